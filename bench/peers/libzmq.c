/* The same work on libzmq, through its own API: the yardstick of every ratio we print.
 *
 *   libzmq <push|pull|req|rep>-<bind|connect> --endpoint E --size S --count N
 *          [--hwm H] [--warmup W] [--seconds T] [--progress T]
 *
 * It receives with zmq_msg_recv (no copy) and sends with zmq_send, as libzmq's own local_thr and
 * remote_thr do in essence. The rules that all peers follow are in peer.h. */
#include "libzmq.h"

static void pull(void *socket, const options *o) {
    uint64_t bytes = receive(socket), total = 1;
    double cpu = cpu_seconds();
    uint64_t start = now_ns(), line = start;
    while (total < o->count || o->count == 0) {
        size_t size = receive(socket);
        if (size == 0 && o->count == 0) break;
        bytes += size;
        total++;
        if (o->progress > 0 && (total & 255) == 0 && (double)(now_ns() - line) > o->progress * 1e9) {
            line = now_ns();
            printf("{\"progress\":%llu}\n", (unsigned long long)total);
            fflush(stdout);
        }
    }
    print_pull(total, total - 1, bytes, (double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
}

static void push(void *socket, const options *o, double connect_at) {
    char *payload = calloc(1, o->size + 1);
    double cpu = cpu_seconds();
    uint64_t sent = 0, deadline = now_ns() + (uint64_t)(o->seconds * 1e9);
    while (o->seconds > 0 || sent < o->count) {
        check(zmq_send(socket, payload, o->size, 0), "zmq_send");
        sent++;
        if (o->seconds > 0 && (sent & 63) == 0 && now_ns() > deadline) break;
    }
    if (o->seconds > 0) check(zmq_send(socket, payload, 0, 0), "zmq_send");
    wait_for_release();
    print_sender("push", sent, cpu_seconds() - cpu, connect_at);
    free(payload);
}

static void rep(void *socket, const options *o) {
    double cpu = cpu_seconds();
    for (uint64_t i = 0; i < o->warmup + o->count; i++) {
        if (i == o->warmup) cpu = cpu_seconds();
        zmq_msg_t message;
        check(zmq_msg_init(&message), "zmq_msg_init");
        check(zmq_msg_recv(&message, socket, 0), "zmq_msg_recv");
        check(zmq_msg_send(&message, socket, 0), "zmq_msg_send");
    }
    wait_for_release();
    print_sender("rep", o->count, cpu_seconds() - cpu, 0);
}

static void req(void *socket, const options *o) {
    char *payload = calloc(1, o->size + 1);
    uint64_t *latencies = malloc((o->count + 1) * sizeof *latencies);
    double cpu = cpu_seconds();
    for (uint64_t i = 0; i < o->warmup + o->count; i++) {
        if (i == o->warmup) cpu = cpu_seconds();
        uint64_t start = now_ns();
        check(zmq_send(socket, payload, o->size, 0), "zmq_send");
        if (receive(socket) != o->size) fail("libzmq: the reply has the wrong size");
        if (i >= o->warmup) latencies[i - o->warmup] = now_ns() - start;
    }
    print_req(latencies, o->count, cpu_seconds() - cpu);
    free(latencies);
    free(payload);
}

int main(int argc, char **argv) {
    if (argc < 2) fail("usage: libzmq <push|pull|req|rep>-<bind|connect> --endpoint E ...");
    if (!strcmp(argv[1], "version")) {
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        printf("%d.%d.%d\n", major, minor, patch);
        return 0;
    }
    const char *side = strchr(argv[1], '-');
    if (!side || (strcmp(side, "-bind") && strcmp(side, "-connect"))) fail("libzmq: unknown mode %s", argv[1]);
    size_t role = (size_t)(side - argv[1]);
    const options o = parse_options(argc, argv);
    die_with_parent();
    int type = !strncmp(argv[1], "push", role)   ? ZMQ_PUSH
               : !strncmp(argv[1], "pull", role) ? ZMQ_PULL
               : !strncmp(argv[1], "req", role)  ? ZMQ_REQ
               : !strncmp(argv[1], "rep", role)  ? ZMQ_REP
                                                 : -1;
    if (type < 0) fail("libzmq: unknown mode %s", argv[1]);
    void *context = zmq_ctx_new();
    void *socket = socket_of(context, type);
    double connect_at = wall_ms();
    attach(socket, side + 1, &o);
    if (type == ZMQ_PUSH) push(socket, &o, connect_at);
    else if (type == ZMQ_PULL) pull(socket, &o);
    else if (type == ZMQ_REQ) req(socket, &o);
    else rep(socket, &o);
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
