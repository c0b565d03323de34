/* Writes down what the real libzmq says: conversations of two of its sockets through a relay that
 * keeps the bytes of each direction. Its output is zig/sim/transcripts/libzmq.txt:
 *
 *   zig-out/bin/libzmq_capture > zig/sim/transcripts/libzmq.txt
 *
 * Each direction is a line "TYPE bind|connect to TYPE", followed by its bytes in hex and a blank
 * line; "61*40000" is a byte that comes so many times. Both sides send heartbeats, ids where they
 * have some, empty and multipart messages and sizes around the limits of the format. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

enum { DIRECTION_BYTES_MAX = 1 << 20, LARGE = 40000 };

typedef struct {
    int listener, target_port;
    uint8_t *bytes[2];
    size_t sizes[2];
} relay;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(2);
}

static int check(int result, const char *what) {
    if (result < 0) fail(what);
    return result;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void *run_relay(void *argument) {
    relay *r = argument;
    struct sockaddr_in address = loopback(r->target_port);
    int ends[2] = {check(accept(r->listener, NULL, NULL), "accept"),
                   check(socket(AF_INET, SOCK_STREAM, 0), "socket")};
    check(connect(ends[1], (struct sockaddr *)&address, sizeof address), "connect");
    for (int open = 1; open;) {
        struct pollfd polled[2] = {{.fd = ends[0], .events = POLLIN},
                                   {.fd = ends[1], .events = POLLIN}};
        check(poll(polled, 2, -1), "poll");
        for (int i = 0; i < 2 && open; i++) {
            if (!polled[i].revents) continue;
            uint8_t *space = r->bytes[i] + r->sizes[i];
            ssize_t count = read(ends[i], space, DIRECTION_BYTES_MAX - r->sizes[i]);
            if (count <= 0) open = 0;
            else if (write(ends[1 - i], space, (size_t)count) != count) open = 0;
            else r->sizes[i] += (size_t)count;
        }
    }
    close(ends[0]);
    close(ends[1]);
    return NULL;
}

static void print_bytes(const uint8_t *bytes, size_t size) {
    size_t column = 0;
    for (size_t at = 0; at < size;) {
        size_t run = 1;
        while (at + run < size && bytes[at + run] == bytes[at]) run++;
        column += (size_t)printf(run >= 8 ? "%02x*%zu" : "%02x", bytes[at], run);
        at += run >= 8 ? run : 1;
        if (column >= 90 || at == size) {
            printf("\n");
            column = 0;
        } else if (run >= 8) column += (size_t)printf(" ");
    }
    printf("\n");
}

/* -- what they say --------------------------------------------------------------------------- */

static const char *names[] = {"PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER",
                              "PULL", "PUSH", "XPUB", "XSUB"};
static uint8_t body[LARGE];

static void part(void *socket, size_t size, int more) {
    check(zmq_send(socket, body, size, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)), "zmq_send");
}

/* Of the envelope a router begins with the id. */
static void head(void *socket, int type, int peer) {
    if (type == ZMQ_ROUTER) check(zmq_send(socket, "other", 5, ZMQ_SNDMORE), "zmq_send");
    if (type == ZMQ_DEALER && peer == ZMQ_REP) part(socket, 0, 1);
    if (type == ZMQ_ROUTER && peer == ZMQ_REQ) part(socket, 0, 1);
}

static void say(void *socket, int type, int peer, int large) {
    static const size_t sizes[] = {0, 1, 5, 255, 256, 300};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        head(socket, type, peer);
        part(socket, sizes[i], 0);
    }
    head(socket, type, peer);
    part(socket, 1, 1);
    part(socket, 0, 1);
    part(socket, 256, 1);
    part(socket, 3, 0);
    if (!large) return;
    head(socket, type, peer);
    part(socket, LARGE, 0);
    head(socket, type, peer);
    part(socket, 7, 0);
}

/* Takes all that comes within the time; returns whether it was a whole request. */
static int hear(void *socket, int ms) {
    int heard = 0, more = 1;
    check(zmq_setsockopt(socket, ZMQ_RCVTIMEO, &ms, sizeof ms), "ZMQ_RCVTIMEO");
    while (more) {
        if (zmq_recv(socket, NULL, 0, 0) < 0) return heard;
        size_t size = sizeof more;
        check(zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size), "ZMQ_RCVMORE");
        heard = 1;
    }
    return heard;
}

static void subscribe(void *socket, int type, const char *topic, int wanted) {
    if (type == ZMQ_SUB) {
        int option = wanted ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE;
        check(zmq_setsockopt(socket, option, topic, strlen(topic)), "ZMQ_SUBSCRIBE");
        return;
    }
    char frame[512] = {(char)wanted};
    size_t size = strlen(topic);
    memcpy(frame + 1, topic, size);
    check(zmq_send(socket, frame, size + 1, 0), "subscription");
}

static void prepare(void *socket, int type, const char *id) {
    int interval = 40, ttl = 1000, linger = 0;
    check(zmq_setsockopt(socket, ZMQ_HEARTBEAT_IVL, &interval, sizeof interval), "interval");
    check(zmq_setsockopt(socket, ZMQ_HEARTBEAT_TTL, &ttl, sizeof ttl), "ttl");
    check(zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger), "linger");
    if (type != ZMQ_PUB && type != ZMQ_SUB)
        check(zmq_setsockopt(socket, ZMQ_ROUTING_ID, id, strlen(id)), "ZMQ_ROUTING_ID");
    if (type != ZMQ_SUB && type != ZMQ_XSUB) return;
    static char topic[301];
    memset(topic, 't', 300);
    static const char *const topics[] = {"", "a", "weather", topic};
    for (size_t i = 0; i < 4; i++) subscribe(socket, type, topics[i], 1);
}

/* A socket of libzmq learns of a connection, and a publisher of subscriptions, in its own calls. */
static void wake(void *socket) {
    int events;
    size_t size = sizeof events;
    check(zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size), "ZMQ_EVENTS");
}

static void converse(void *a, int type_a, void *b, int type_b, int large) {
    for (int i = 0; i < 5; i++) {
        usleep(20 * 1000);
        wake(a);
        wake(b);
    }
    if (type_a == ZMQ_REQ) {
        for (size_t size = 0; size < 600; size += 255) {
            part(a, size, size > 255);
            if (size > 255) part(a, large ? LARGE : 2, 0);
            if (type_b == ZMQ_ROUTER) {
                hear(b, 200);
                head(b, type_b, type_a);
            } else hear(b, 200);
            part(b, size, 0);
            hear(a, 200);
        }
        return;
    }
    if (type_b == ZMQ_REP) {
        for (int i = 0; i < 7; i++) {
            head(a, type_a, type_b);
            part(a, (size_t)i * 60, 0);
            hear(b, 200);
            part(b, (size_t)i * 50, 1);
            part(b, 0, 0);
            hear(a, 200);
        }
        return;
    }
    say(a, type_a, type_b, large);
    if (type_b == ZMQ_SUB || type_b == ZMQ_XSUB) {
        subscribe(b, type_b, "weather", 0);
        subscribe(b, type_b, "later", 1);
        if (type_b == ZMQ_XSUB) check(zmq_send(b, "\2user", 5, 0), "user's message");
    } else if (type_b != ZMQ_PULL) say(b, type_b, type_a, 0);
    while (hear(b, 100)) continue;
    while (type_a != ZMQ_PUSH && type_a != ZMQ_PUB && hear(a, 20)) continue;
    wake(a);
    usleep(50 * 1000);
}

static void capture(int type_a, int type_b, int a_binds, int large) {
    void *context = zmq_ctx_new();
    void *a = zmq_socket(context, type_a), *b = zmq_socket(context, type_b);
    prepare(a, type_a, "other");
    prepare(b, type_b, "other");
    void *binds = a_binds ? a : b, *connects = a_binds ? b : a;
    char endpoint[64];
    size_t size = sizeof endpoint;
    check(zmq_bind(binds, "tcp://127.0.0.1:*"), "bind");
    check(zmq_getsockopt(binds, ZMQ_LAST_ENDPOINT, endpoint, &size), "endpoint");

    relay r = {.listener = check(socket(AF_INET, SOCK_STREAM, 0), "socket"),
               .target_port = atoi(strrchr(endpoint, ':') + 1)};
    for (int i = 0; i < 2; i++) r.bytes[i] = malloc(DIRECTION_BYTES_MAX);
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    check(bind(r.listener, (struct sockaddr *)&address, length), "bind");
    check(listen(r.listener, 1), "listen");
    check(getsockname(r.listener, (struct sockaddr *)&address, &length), "getsockname");
    pthread_t thread;
    pthread_create(&thread, NULL, run_relay, &r);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    check(zmq_connect(connects, endpoint), "connect");
    converse(a, type_a, b, type_b, large);
    zmq_close(a);
    zmq_close(b);
    pthread_join(thread, NULL);
    zmq_ctx_term(context);
    close(r.listener);

    /* Direction 0 is what the connecting side said. */
    for (int i = 0; i < 2; i++) {
        int from_a = (i == 0) != a_binds;
        printf("%s %s to %s\n", names[from_a ? type_a : type_b], i == 0 ? "connect" : "bind",
               names[from_a ? type_b : type_a]);
        print_bytes(r.bytes[i], r.sizes[i]);
        free(r.bytes[i]);
    }
}

int main(void) {
    static const int pairs[][2] = {
        {ZMQ_PUSH, ZMQ_PULL},     {ZMQ_PUB, ZMQ_SUB},    {ZMQ_PUB, ZMQ_XSUB},
        {ZMQ_XPUB, ZMQ_SUB},      {ZMQ_XPUB, ZMQ_XSUB},  {ZMQ_REQ, ZMQ_REP},
        {ZMQ_REQ, ZMQ_ROUTER},    {ZMQ_DEALER, ZMQ_REP}, {ZMQ_DEALER, ZMQ_ROUTER},
        {ZMQ_DEALER, ZMQ_DEALER}, {ZMQ_ROUTER, ZMQ_ROUTER}, {ZMQ_PAIR, ZMQ_PAIR},
    };
    memset(body, 'a', sizeof body);
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    printf("libzmq %d.%d.%d, written by test/interop/peers/libzmq_capture.c\n\n", major, minor,
           patch);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int a_binds = 0; a_binds < 2; a_binds++)
            capture(pairs[i][0], pairs[i][1], a_binds, a_binds && i != 2 && i != 3);
    return 0;
}
