/* The limit that no messaging library can pass: the same framed bytes through blocking send and recv
 * with 64 KiB buffers, and an echo of one frame.
 *
 *   raw <pull-bind|push-connect|rep-bind|req-connect> --endpoint tcp://127.0.0.1:0|ipc://path
 *       --size S --count N [--warmup W]
 *
 * The rules that all peers follow are in peer.h. */
#define _GNU_SOURCE
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { BUFFER_BYTES = 64 * 1024, MESSAGE_BYTES_MAX = 1 << 20 };

/* A ZMTP frame: flags and one length byte, or flags and eight. */
static size_t frame_bytes(size_t size) {
    return size + (size <= 255 ? 2 : 9);
}

static void check(ssize_t result, const char *what) {
    if (result < 0) fail("raw: %s: %s", what, strerror(errno));
}

static int open_socket(const char *endpoint, struct sockaddr_storage *address, socklen_t *length) {
    memset(address, 0, sizeof *address);
    if (!strncmp(endpoint, "ipc://", 6)) {
        struct sockaddr_un *un = (struct sockaddr_un *)address;
        un->sun_family = AF_UNIX;
        if (strlen(endpoint + 6) >= sizeof un->sun_path) fail("raw: %s is too long", endpoint);
        strcpy(un->sun_path, endpoint + 6);
        *length = sizeof *un;
        return socket(AF_UNIX, SOCK_STREAM, 0);
    }
    const char *port = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://127.0.0.1:", 16) || !port) fail("raw: cannot use %s", endpoint);
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons((uint16_t)atoi(port + 1)); /* "*" reads as 0, which is what we want */
    *length = sizeof *in;
    return socket(AF_INET, SOCK_STREAM, 0);
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* fails on unix sockets, harmlessly */
}

static int accept_one(const char *endpoint) {
    struct sockaddr_storage address;
    socklen_t length;
    int listener = open_socket(endpoint, &address, &length);
    check(listener, "socket");
    check(bind(listener, (struct sockaddr *)&address, length), endpoint);
    check(listen(listener, 1), "listen");
    char bound[160];
    check(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    if (address.ss_family == AF_INET)
        snprintf(bound, sizeof bound, "tcp://127.0.0.1:%d", ntohs(((struct sockaddr_in *)&address)->sin_port));
    else snprintf(bound, sizeof bound, "%s", endpoint);
    print_endpoint(bound);
    int fd = accept(listener, NULL, NULL);
    check(fd, "accept");
    close(listener);
    no_delay(fd);
    return fd;
}

static int connect_one(const char *endpoint) {
    struct sockaddr_storage address;
    socklen_t length;
    int fd = open_socket(endpoint, &address, &length);
    check(fd, "socket");
    check(connect(fd, (struct sockaddr *)&address, length), endpoint);
    no_delay(fd);
    return fd;
}

static void send_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        check(sent, "send");
        bytes += sent;
        length -= (size_t)sent;
    }
}

static void receive_all(int fd, char *bytes, size_t length) {
    while (length > 0) {
        ssize_t got = recv(fd, bytes, length, 0);
        check(got, "recv");
        if (got == 0) fail("raw: the peer closed the connection early");
        bytes += got;
        length -= (size_t)got;
    }
}

static void pull(int fd, const options *o, char *buffer) {
    uint64_t frame = frame_bytes(o->size), expected = frame * o->count, got = 0, first = 0, start = 0;
    double cpu = 0;
    while (got < expected) {
        ssize_t chunk = recv(fd, buffer, BUFFER_BYTES, 0);
        check(chunk, "recv");
        if (chunk == 0) fail("raw: the peer closed after %llu of %llu bytes", (unsigned long long)got,
                             (unsigned long long)expected);
        got += (uint64_t)chunk;
        if (start == 0) {
            start = now_ns();
            cpu = cpu_seconds();
            first = got;
        }
    }
    print_pull(o->count, (got - first) / frame, o->size * o->count, (double)(now_ns() - start) / 1e9,
               cpu_seconds() - cpu);
}

static void push(int fd, const options *o, char *buffer, double connect_at) {
    uint64_t left = frame_bytes(o->size) * o->count;
    double cpu = cpu_seconds();
    while (left > 0) {
        size_t chunk = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        send_all(fd, buffer, chunk);
        left -= chunk;
    }
    wait_for_release();
    print_sender("push", o->count, cpu_seconds() - cpu, connect_at);
}

static void rep(int fd, const options *o, char *buffer) {
    size_t frame = frame_bytes(o->size);
    double cpu = cpu_seconds();
    for (uint64_t i = 0; i < o->warmup + o->count; i++) {
        if (i == o->warmup) cpu = cpu_seconds();
        receive_all(fd, buffer, frame);
        send_all(fd, buffer, frame);
    }
    wait_for_release();
    print_sender("rep", o->count, cpu_seconds() - cpu, 0);
}

static void req(int fd, const options *o, char *buffer) {
    size_t frame = frame_bytes(o->size);
    uint64_t *latencies = malloc((o->count + 1) * sizeof *latencies);
    double cpu = cpu_seconds();
    for (uint64_t i = 0; i < o->warmup + o->count; i++) {
        if (i == o->warmup) cpu = cpu_seconds();
        uint64_t start = now_ns();
        send_all(fd, buffer, frame);
        receive_all(fd, buffer, frame);
        if (i >= o->warmup) latencies[i - o->warmup] = now_ns() - start;
    }
    print_req(latencies, o->count, cpu_seconds() - cpu);
    free(latencies);
}

int main(int argc, char **argv) {
    if (argc < 2) fail("usage: raw <pull-bind|push-connect|rep-bind|req-connect> --endpoint E ...");
    const options o = parse_options(argc, argv);
    die_with_parent();
    if (o.size > MESSAGE_BYTES_MAX || o.count == 0) fail("raw: --size up to %d and --count above 0", MESSAGE_BYTES_MAX);
    size_t room = frame_bytes(o.size) > BUFFER_BYTES ? frame_bytes(o.size) : BUFFER_BYTES;
    char *buffer = calloc(1, room);
    double connect_at = wall_ms();
    if (!strcmp(argv[1], "pull-bind")) pull(accept_one(o.endpoint), &o, buffer);
    else if (!strcmp(argv[1], "push-connect")) push(connect_one(o.endpoint), &o, buffer, connect_at);
    else if (!strcmp(argv[1], "rep-bind")) rep(accept_one(o.endpoint), &o, buffer);
    else if (!strcmp(argv[1], "req-connect")) req(connect_one(o.endpoint), &o, buffer);
    else fail("raw: unknown mode %s", argv[1]);
    free(buffer);
    return 0;
}
