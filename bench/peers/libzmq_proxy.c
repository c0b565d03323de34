/* PULL → PUSH through zmq_proxy, in a process of its own.
 *
 *   libzmq_proxy pull-push --endpoint E [--hwm H]
 *
 * Both sides are bound to E, which ends in a wildcard. It prints {"endpoint": "...", "backEnd":
 * "..."}, and at the end of its stdin what it cost. */
#include "libzmq.h"

#include <pthread.h>

static void *until_released(void *unused) {
    wait_for_release();
    print_sender("proxy", 0, cpu_seconds(), 0);
    _exit(0);
    return unused;
}

static void *bind_side(void *context, int type, const options *o, char *bound, size_t length) {
    void *socket = socket_of(context, type);
    set_int(socket, ZMQ_SNDHWM, o->hwm);
    set_int(socket, ZMQ_RCVHWM, o->hwm);
    check(zmq_bind(socket, o->endpoint), o->endpoint);
    bound_endpoint(socket, bound, length);
    return socket;
}

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "pull-push")) fail("usage: libzmq_proxy pull-push --endpoint E [--hwm H]");
    const options o = parse_options(argc, argv);
    die_with_parent();
    void *context = zmq_ctx_new();
    char front_at[256], back_at[256];
    void *front = bind_side(context, ZMQ_PULL, &o, front_at, sizeof front_at);
    void *back = bind_side(context, ZMQ_PUSH, &o, back_at, sizeof back_at);
    pthread_t thread;
    if (pthread_create(&thread, NULL, until_released, NULL) != 0) fail("libzmq_proxy: no thread");
    printf("{\"endpoint\":\"%s\",\"backEnd\":\"%s\"}\n", front_at, back_at);
    fflush(stdout);
    check(zmq_proxy(front, back, NULL), "zmq_proxy");
    return 0;
}
