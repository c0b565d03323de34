/* One socket and many peers, on libzmq.
 *
 *   libzmq_many pub-bind       --endpoint E --size S --seconds T [--no-drop 1]
 *   libzmq_many sub-connect    --endpoint E --size S --sockets N
 *   libzmq_many router-bind    --endpoint E
 *   libzmq_many dealer-connect --endpoint E --size S --seconds T --sockets N --window W
 *   libzmq_many visitor-connect --endpoint E --size S --seconds T --sockets N
 *
 * All N sockets of a process are served by one thread with zmq_poll. How these roles begin and end:
 *   pub     sends empty messages until it is told to go (a line on stdin), then S bytes for T
 *           seconds, then messages of one byte, which may get lost too, until it is released;
 *   sub     says {"ready":true} when every socket has had an empty message, ends when every socket
 *           has had one of one byte; the clock starts with "ready", since what has piled up in the
 *           kernel by the first receipt may be most of a short run;
 *   dealer  makes one round trip on every socket, then keeps W requests outstanding on each for T
 *           seconds, then sends one empty body, which ends the router;
 *   visitor is N dealers at a time: each connects, makes one round trip and closes, and another one
 *           takes its place, for T seconds. Then as dealer. */
#include "libzmq.h"

#include <poll.h>
#include <stdbool.h>

/* What one socket may give before the others get their turn. */
enum { BURST = 256, SOCKETS_MAX = 1000 };

/* Waits a millisecond for stdin: 1 a byte, 0 its end, -1 nothing. */
static int order(void) {
    struct pollfd item = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&item, 1, 1) <= 0) return -1;
    char byte;
    return read(STDIN_FILENO, &byte, 1) > 0;
}

static void pub(void *context, const options *o) {
    void *socket = socket_of(context, ZMQ_PUB);
    set_int(socket, ZMQ_XPUB_NODROP, o->no_drop);
    attach(socket, "bind", o);
    char *payload = calloc(1, o->size + 1);
    while (order() < 0) check(zmq_send(socket, payload, 0, 0), "zmq_send");
    double cpu = cpu_seconds();
    uint64_t sent = 0, deadline = now_ns() + (uint64_t)(o->seconds * 1e9);
    while ((sent & 63) != 0 || now_ns() < deadline) {
        check(zmq_send(socket, payload, o->size, 0), "zmq_send");
        sent++;
    }
    do check(zmq_send(socket, payload, 1, 0), "zmq_send");
    while (order() != 0);
    print_sender("pub", sent, cpu_seconds() - cpu, 0);
    free(payload);
    zmq_close(socket);
}

static void connect_all(void *context, int type, zmq_pollitem_t *items, const options *o) {
    if (o->sockets > SOCKETS_MAX) fail("--sockets: at most %d", SOCKETS_MAX);
    for (size_t i = 0; i < o->sockets; i++) {
        items[i] = (zmq_pollitem_t){.socket = socket_of(context, type), .events = ZMQ_POLLIN};
        if (type == ZMQ_SUB) check(zmq_setsockopt(items[i].socket, ZMQ_SUBSCRIBE, "", 0), "ZMQ_SUBSCRIBE");
        attach(items[i].socket, "connect", o);
    }
}

static void close_all(zmq_pollitem_t *items, const options *o) {
    for (size_t i = 0; i < o->sockets; i++) zmq_close(items[i].socket);
}

/* Until a socket is readable. With one socket its receive waits, which costs less. */
static void wait_for(zmq_pollitem_t *items, const options *o) {
    if (o->sockets > 1) check(zmq_poll(items, (int)o->sockets, -1), "zmq_poll");
    else items[0].revents = ZMQ_POLLIN;
}

static void sub(void *context, const options *o) {
    zmq_pollitem_t items[SOCKETS_MAX];
    bool ready[SOCKETS_MAX] = {0}, ended[SOCKETS_MAX] = {0};
    size_t waiting = o->sockets, open = o->sockets;
    connect_all(context, ZMQ_SUB, items, o);
    uint64_t total = 0, start = 0;
    double cpu = 0;
    const int flags = o->sockets > 1 ? ZMQ_DONTWAIT : 0;
    while (open > 0) {
        wait_for(items, o);
        for (size_t i = 0; i < o->sockets; i++) {
            if (!(items[i].revents & ZMQ_POLLIN)) continue;
            for (int burst = 0; burst < BURST && open > 0; burst++) {
                ssize_t size = receive_with(items[i].socket, flags);
                if (size < 0) break;
                if ((size_t)size == o->size) {
                    total++;
                } else if (size == 0 && !ready[i]) {
                    ready[i] = true;
                    if (--waiting > 0) continue;
                    print_ready();
                    start = now_ns();
                    cpu = cpu_seconds();
                } else if (size == 1 && !ended[i]) {
                    ended[i] = true;
                    open--;
                }
            }
        }
    }
    if (total == 0) fail("libzmq: no message arrived");
    print_pull(total, total, total * o->size, (double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
    close_all(items, o);
}

static void router(void *context, const options *o) {
    void *socket = socket_of(context, ZMQ_ROUTER);
    attach(socket, "bind", o);
    double cpu = cpu_seconds();
    uint64_t total = 0;
    for (;; total++) {
        zmq_msg_t id, body;
        check(zmq_msg_init(&id), "zmq_msg_init");
        check(zmq_msg_init(&body), "zmq_msg_init");
        check(zmq_msg_recv(&id, socket, 0), "zmq_msg_recv");
        check(zmq_msg_recv(&body, socket, 0), "zmq_msg_recv");
        if (zmq_msg_size(&body) == 0) break;
        check(zmq_msg_send(&id, socket, ZMQ_SNDMORE), "zmq_msg_send");
        check(zmq_msg_send(&body, socket, 0), "zmq_msg_send");
    }
    wait_for_release();
    print_sender("router", total, cpu_seconds() - cpu, 0);
    zmq_close(socket);
}

static void dealer(void *context, const options *o) {
    zmq_pollitem_t items[SOCKETS_MAX];
    connect_all(context, ZMQ_DEALER, items, o);
    char *payload = calloc(1, o->size + 1);
    for (size_t i = 0; i < o->sockets; i++) {
        check(zmq_send(items[i].socket, payload, o->size, 0), "zmq_send");
        receive(items[i].socket);
    }
    double cpu = cpu_seconds();
    uint64_t start = now_ns(), deadline = start + (uint64_t)(o->seconds * 1e9), total = 0;
    size_t outstanding = o->sockets * o->window;
    for (size_t i = 0; i < outstanding; i++)
        check(zmq_send(items[i % o->sockets].socket, payload, o->size, 0), "zmq_send");
    while (outstanding > 0) {
        wait_for(items, o);
        const bool more = now_ns() < deadline;
        for (size_t i = 0; i < o->sockets; i++) {
            if (!(items[i].revents & ZMQ_POLLIN)) continue;
            for (size_t burst = 0; burst < o->window; burst++) {
                ssize_t size = receive_with(items[i].socket, burst > 0 ? ZMQ_DONTWAIT : 0);
                if (size < 0) break;
                if ((size_t)size != o->size) fail("libzmq: a reply has the wrong size");
                total++;
                if (more) check(zmq_send(items[i].socket, payload, o->size, 0), "zmq_send");
                else outstanding--;
            }
        }
    }
    print_pull(total, total, total * o->size, (double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
    check(zmq_send(items[0].socket, payload, 0, 0), "zmq_send");
    free(payload);
    close_all(items, o);
}

static void *come(void *context, const char *payload, const options *o) {
    void *socket = socket_of(context, ZMQ_DEALER);
    attach(socket, "connect", o);
    check(zmq_send(socket, payload, o->size, 0), "zmq_send");
    return socket;
}

static void visitors(void *context, const options *o) {
    if (o->sockets > SOCKETS_MAX) fail("--sockets: at most %d", SOCKETS_MAX);
    zmq_pollitem_t items[SOCKETS_MAX];
    char *payload = calloc(1, o->size + 1);
    double cpu = cpu_seconds();
    uint64_t start = now_ns(), deadline = start + (uint64_t)(o->seconds * 1e9), total = 0;
    size_t present = o->sockets;
    for (size_t i = 0; i < present; i++)
        items[i] = (zmq_pollitem_t){.socket = come(context, payload, o), .events = ZMQ_POLLIN};
    while (present > 0) {
        check(zmq_poll(items, (int)present, -1), "zmq_poll");
        const bool more = now_ns() < deadline;
        for (size_t i = present; i-- > 0;) {
            if (!(items[i].revents & ZMQ_POLLIN)) continue;
            if (receive(items[i].socket) != o->size) fail("libzmq: a reply has the wrong size");
            zmq_close(items[i].socket);
            total++;
            if (more) items[i].socket = come(context, payload, o);
            else items[i] = items[--present];
        }
    }
    print_pull(total, total, total * o->size, (double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
    void *last = socket_of(context, ZMQ_DEALER);
    attach(last, "connect", o);
    check(zmq_send(last, payload, 0, 0), "zmq_send");
    free(payload);
    zmq_close(last);
}

int main(int argc, char **argv) {
    if (argc < 2) fail("usage: libzmq_many <pub|router>-bind|<sub|dealer|visitor>-connect --endpoint E ...");
    const options o = parse_options(argc, argv);
    die_with_parent();
    void *context = zmq_ctx_new();
    if (!strcmp(argv[1], "pub-bind")) pub(context, &o);
    else if (!strcmp(argv[1], "sub-connect")) sub(context, &o);
    else if (!strcmp(argv[1], "router-bind")) router(context, &o);
    else if (!strcmp(argv[1], "dealer-connect")) dealer(context, &o);
    else if (!strcmp(argv[1], "visitor-connect")) visitors(context, &o);
    else fail("libzmq_many: unknown task %s", argv[1]);
    zmq_ctx_term(context);
    return 0;
}
