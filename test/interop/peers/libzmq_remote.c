/* libzmq by remote control: the sockets of this process do what its standard input says, one
 * command per line, and each command is answered with one JSON object on a line, in order.
 *
 *   socket S TYPE             S is 0 to 63: makes socket S; TYPE is libzmq's number
 *   set S OPTION NUMBER       integer options, by libzmq's number
 *   bytes S OPTION DATA...    options that are bytes, once for each DATA
 *   bind S ENDPOINT           {"endpoint":..}
 *   connect S ENDPOINT        also: disconnect, unbind
 *   send S DATA...            a message of these parts; never waits
 *   receive S MS              {"message":["..",..]}, or {"message":null} after MS milliseconds
 *   close S                   with linger 0
 *
 * DATA is in hexadecimal, "-" for nothing. An answer without a result is {}; what libzmq refuses is
 * answered {"refused":"..."}. The program ends with its standard input.
 *
 * While it waits, all sockets go on: libzmq subscribes again, attaches pipes and the like only when
 * the program that owns a socket calls it. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { SOCKETS_MAX = 64 };

static void *context, *sockets[SOCKETS_MAX];
static int descriptors[SOCKETS_MAX];

static void fail(const char *what) {
    printf("{\"error\":\"%s: %s\"}\n", what, zmq_strerror(zmq_errno()));
    fflush(stdout);
    exit(2);
}

static void answer(int result) {
    if (result < 0)
        printf("{\"refused\":\"%s\"}\n", zmq_strerror(zmq_errno()));
    else
        printf("{}\n");
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int events_of(void *socket) {
    int events = 0;
    size_t size = sizeof events;
    if (zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) < 0) fail("ZMQ_EVENTS");
    return events;
}

/* Sleeps until something happens on a socket, or input is there if it is asked for. ZMQ_FD tells of
 * commands, not of messages: who waits for a message asks ZMQ_EVENTS before and after. */
static int pump(int with_input, int timeout_ms) {
    struct pollfd polled[SOCKETS_MAX + 1];
    for (int i = 0; i < SOCKETS_MAX; i++)
        polled[i] = (struct pollfd){.fd = sockets[i] ? descriptors[i] : -1, .events = POLLIN};
    polled[SOCKETS_MAX] = (struct pollfd){.fd = with_input ? 0 : -1, .events = POLLIN};
    if (poll(polled, SOCKETS_MAX + 1, timeout_ms) < 0 && errno != EINTR) fail("poll");
    for (int i = 0; i < SOCKETS_MAX; i++)
        if (polled[i].revents) events_of(sockets[i]); /* This is what handles commands. */
    return polled[SOCKETS_MAX].revents != 0;
}

/* The next bytes of a command, decoded in place; -1 when there are no more. */
static int next_data(char **rest, uint8_t **data) {
    char *text = strsep(rest, " ");
    if (!text) return -1;
    int size = 0;
    *data = (uint8_t *)text;
    for (; text[0] != '-' && text[0] && text[1]; text += 2, size++) {
        char digits[3] = {text[0], text[1], 0};
        (*data)[size] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

static void make(int at, int type) {
    void *socket = sockets[at] = zmq_socket(context, type);
    if (!socket) fail("zmq_socket");
    size_t size = sizeof descriptors[at];
    if (zmq_getsockopt(socket, ZMQ_FD, &descriptors[at], &size) < 0) fail("ZMQ_FD");
    answer(0);
}

static void set_bytes(void *socket, int option, char *rest) {
    uint8_t *data;
    int result = 0;
    for (int size; result == 0 && (size = next_data(&rest, &data)) >= 0;)
        result = zmq_setsockopt(socket, option, data, (size_t)size);
    answer(result);
}

static void bind_to(void *socket, const char *endpoint) {
    char bound[256];
    size_t size = sizeof bound;
    /* The kernel may still be closing what listened here in a process that was killed. */
    int result = -1;
    for (int tries = 0; tries < 500 && result < 0; tries++) {
        result = zmq_bind(socket, endpoint);
        if (result == 0 || zmq_errno() != EADDRINUSE) break;
        usleep(10000);
    }
    if (result < 0) {
        answer(result);
        return;
    }
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) < 0) fail("ZMQ_LAST_ENDPOINT");
    printf("{\"endpoint\":\"%s\"}\n", bound);
}

static void send_message(void *socket, char *rest) {
    uint8_t *data;
    int size = next_data(&rest, &data), result = 0;
    while (size >= 0 && result >= 0) {
        uint8_t *part = data;
        int part_size = size;
        size = next_data(&rest, &data);
        int flags = ZMQ_DONTWAIT | (size >= 0 ? ZMQ_SNDMORE : 0);
        result = zmq_send(socket, part, (size_t)part_size, flags);
    }
    answer(result);
}

static void receive(void *socket, int timeout_ms) {
    long long deadline = now_ms() + timeout_ms;
    while (!(events_of(socket) & ZMQ_POLLIN)) {
        long long left = deadline - now_ms();
        if (left <= 0) {
            printf("{\"message\":null}\n");
            return;
        }
        pump(0, (int)left);
    }
    printf("{\"message\":[");
    for (int more = 1; more;) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0) fail("zmq_msg_recv");
        const uint8_t *data = zmq_msg_data(&part);
        putchar('"');
        for (size_t i = 0; i < zmq_msg_size(&part); i++) printf("%02x", data[i]);
        more = zmq_msg_more(&part);
        printf(more ? "\"," : "\"");
        zmq_msg_close(&part);
    }
    printf("]}\n");
}

static void shut(int at) {
    int linger = 0;
    zmq_setsockopt(sockets[at], ZMQ_LINGER, &linger, sizeof linger);
    answer(zmq_close(sockets[at]));
    sockets[at] = NULL;
}

static void obey(char *line) {
    char *rest = line;
    const char *command = strsep(&rest, " "), *number = strsep(&rest, " ");
    int at = number ? atoi(number) : -1;
    int making = !strcmp(command, "socket");
    if (at < 0 || at >= SOCKETS_MAX || !rest != !strcmp(command, "close") ||
        making != !sockets[at]) {
        errno = EINVAL;
        fail(command);
    }
    void *socket = sockets[at];
    if (making) make(at, atoi(rest));
    else if (!strcmp(command, "set")) {
        int option = atoi(strsep(&rest, " ")), value = atoi(rest ? rest : "");
        answer(zmq_setsockopt(socket, option, &value, sizeof value));
    } else if (!strcmp(command, "bytes")) {
        int option = atoi(strsep(&rest, " "));
        set_bytes(socket, option, rest);
    } else if (!strcmp(command, "bind")) bind_to(socket, rest);
    else if (!strcmp(command, "connect")) answer(zmq_connect(socket, rest));
    else if (!strcmp(command, "disconnect")) answer(zmq_disconnect(socket, rest));
    else if (!strcmp(command, "unbind")) answer(zmq_unbind(socket, rest));
    else if (!strcmp(command, "send")) send_message(socket, rest);
    else if (!strcmp(command, "receive")) receive(socket, atoi(rest));
    else if (!strcmp(command, "close")) shut(at);
    else {
        errno = EINVAL;
        fail(command);
    }
}

int main(void) {
    static char input[1 << 22];
    size_t size = 0;
    context = zmq_ctx_new();
    for (;;) {
        while (!pump(1, -1)) {
        }
        ssize_t length = read(0, input + size, sizeof input - size);
        /* Sockets of a program that ends are no concern: nobody waits for them. */
        if (length <= 0) _exit(0);
        size += (size_t)length;
        char *line = input, *end;
        while ((end = memchr(line, '\n', size - (size_t)(line - input)))) {
            *end = 0;
            obey(line);
            line = end + 1;
        }
        fflush(stdout);
        size -= (size_t)(line - input);
        memmove(input, line, size);
    }
}
