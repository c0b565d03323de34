/* Two threads of one process over inproc, on libzmq: the yardstick for Workers.
 *
 *   libzmq_inproc push-pull --endpoint E --size S --count N [--hwm H]
 *   libzmq_inproc req-rep   --endpoint E --size S --count N [--warmup W]
 *
 * The main thread pulls or asks and prints the result, whose CPU time is that of both threads. */
#include "libzmq.h"

#include <pthread.h>

static void *context;
static options o;

static void connect_to(void *socket) {
    check(zmq_connect(socket, o.endpoint), o.endpoint);
}

static void *bound(int type) {
    void *socket = socket_of(context, type);
    set_int(socket, ZMQ_RCVHWM, o.hwm);
    check(zmq_bind(socket, o.endpoint), o.endpoint);
    return socket;
}

static void *push(void *unused) {
    void *socket = socket_of(context, ZMQ_PUSH);
    set_int(socket, ZMQ_SNDHWM, o.hwm);
    connect_to(socket);
    char *payload = calloc(1, o.size + 1);
    for (uint64_t i = 0; i < o.count; i++) check(zmq_send(socket, payload, o.size, 0), "zmq_send");
    free(payload);
    zmq_close(socket);
    return unused;
}

static void pull(void *socket) {
    uint64_t bytes = receive(socket);
    double cpu = cpu_seconds();
    uint64_t start = now_ns();
    for (uint64_t i = 1; i < o.count; i++) bytes += receive(socket);
    print_pull(o.count, o.count - 1, bytes, (double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
}

static void *rep(void *unused) {
    void *socket = socket_of(context, ZMQ_REP);
    connect_to(socket);
    for (uint64_t i = 0; i < o.warmup + o.count; i++) {
        zmq_msg_t message;
        check(zmq_msg_init(&message), "zmq_msg_init");
        check(zmq_msg_recv(&message, socket, 0), "zmq_msg_recv");
        check(zmq_msg_send(&message, socket, 0), "zmq_msg_send");
    }
    zmq_close(socket);
    return unused;
}

static void req(void *socket) {
    char *payload = calloc(1, o.size + 1);
    uint64_t *latencies = malloc((o.count + 1) * sizeof *latencies);
    double cpu = cpu_seconds();
    for (uint64_t i = 0; i < o.warmup + o.count; i++) {
        if (i == o.warmup) cpu = cpu_seconds();
        uint64_t start = now_ns();
        check(zmq_send(socket, payload, o.size, 0), "zmq_send");
        if (receive(socket) != o.size) fail("libzmq: the reply has the wrong size");
        if (i >= o.warmup) latencies[i - o.warmup] = now_ns() - start;
    }
    print_req(latencies, o.count, cpu_seconds() - cpu);
    free(latencies);
    free(payload);
}

int main(int argc, char **argv) {
    if (argc < 2) fail("usage: libzmq_inproc <push-pull|req-rep> --endpoint E --size S --count N ...");
    o = parse_options(argc, argv);
    die_with_parent();
    const int pulls = !strcmp(argv[1], "push-pull");
    if (!pulls && strcmp(argv[1], "req-rep")) fail("libzmq_inproc: unknown task %s", argv[1]);
    context = zmq_ctx_new();
    void *socket = bound(pulls ? ZMQ_PULL : ZMQ_REQ);
    pthread_t thread;
    if (pthread_create(&thread, NULL, pulls ? push : rep, NULL) != 0) fail("libzmq_inproc: no thread");
    if (pulls) pull(socket);
    else req(socket);
    pthread_join(thread, NULL);
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
