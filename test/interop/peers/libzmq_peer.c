/* The other end of the interop tests: a program that knows nothing but the real libzmq.
 *
 *   libzmq_peer <role>-<bind|connect> --endpoint E [...]
 *
 * Roles: push, pub, xpub send; pull, sub, xsub receive; req asks, rep answers; pair, dealer and
 * router ask when they are given messages and otherwise send back what comes. A pub does not know
 * when somebody listens: it sends "sync" until a line on its standard input says so.
 *
 * What it sends:
 *   --messages 0,1,300+0+5 --rounds R     sizes; '+' joins the parts of one message
 *   --count N --size S --parts P --first F --delay-us D
 *                                         numbered: each part begins with u64 number, u32 index
 * What it receives:
 *   --count N                             ends after N messages; 0 never
 *   --subscribe TOPIC                     sub, xsub; may be given many times
 *   --numbered --parts P                  checks that they are whole and follow one another
 *   --log                                 prints each number when its message is complete
 * pair and dealer: --stream sends as push does, --numbered receives as pull does
 * dealer, router: --window W requests under way, --route TEXT a frame in front of the delimiter:
 *   of a router it is the peer's name
 * Options: --linger --hwm --heartbeat --heartbeat-timeout --heartbeat-ttl --identity --slow-ms
 *   --monitor                             prints {"event":N,"value":N} for libzmq's monitor events
 *   --hold                                stays until its standard input ends, then closes
 *   what security.h tells                 mechanism, keys and ZAP handler
 *
 * It prints one JSON object per line: {"endpoint":..} when bound, {"done":..} at the end. When its
 * standard input ends it does too, so that it never outlives a test. The digest is the CRC-32 of
 * all messages: of each part a byte for MORE, its size as u32 and its bytes. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "security.h"

enum { MESSAGES_MAX = 64, PARTS_MAX = 64, TOPICS_MAX = 64 };

typedef struct {
    size_t sizes[PARTS_MAX];
    int parts;
} shape;

static struct {
    const char *endpoint, *identity, *route, *topics[TOPICS_MAX];
    int topics_count;
    shape shapes[MESSAGES_MAX];
    int shapes_count;
    uint64_t rounds, count, size, first;
    int parts, window, linger, hwm, delay_us, slow_ms;
    int heartbeat, heartbeat_timeout, heartbeat_ttl;
    int numbered, stream, log, monitor, hold;
    security_options security;
} o = {.rounds = 1, .size = 64, .parts = 1, .window = 1, .linger = -1, .hwm = 1000};

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;
static pthread_t stdin_thread;
static volatile int finishing, listened_to;

static void print(const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    line[length++] = '\n';
    pthread_mutex_lock(&output);
    /* One write, so that a line is either whole or not there when we are killed. */
    if (write(1, line, (size_t)length) < 0) _exit(3);
    pthread_mutex_unlock(&output);
}

static void fail(const char *what) {
    print("{\"error\":\"%s: %s\"}", what, zmq_strerror(zmq_errno()));
    _exit(2);
}

static void check(int result, const char *what) {
    if (result < 0) fail(what);
}

/* -- digest ---------------------------------------------------------------------------------- */

static uint32_t crc_table[8][256];

static void crc_prepare(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320u ^ (value >> 1) : value >> 1;
        crc_table[0][i] = value;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            crc_table[t][i] = crc_table[0][crc_table[t - 1][i] & 255] ^ (crc_table[t - 1][i] >> 8);
}

static uint32_t crc(uint32_t seed, const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint32_t value = ~seed;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint32_t low, high;
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + 4, 4);
        low ^= value;
        value = crc_table[7][low & 255] ^ crc_table[6][low >> 8 & 255] ^
                crc_table[5][low >> 16 & 255] ^ crc_table[4][low >> 24] ^
                crc_table[3][high & 255] ^ crc_table[2][high >> 8 & 255] ^
                crc_table[1][high >> 16 & 255] ^ crc_table[0][high >> 24];
    }
    for (; size > 0; size--, bytes++) value = crc_table[0][(value ^ *bytes) & 255] ^ (value >> 8);
    return ~value;
}

static uint32_t digest;
static uint64_t messages, bytes, errors;

static void digest_part(const void *data, size_t size, int more) {
    uint8_t head[5] = {(uint8_t)(more ? 1 : 0)};
    uint32_t size32 = (uint32_t)size;
    memcpy(head + 1, &size32, 4);
    digest = crc(crc(digest, head, 5), data, size);
    bytes += size;
    if (!more) messages++;
}

static void done(void) {
    print("{\"done\":true,\"messages\":%llu,\"bytes\":%llu,\"digest\":%u,\"errors\":%llu}",
          (unsigned long long)messages, (unsigned long long)bytes, digest,
          (unsigned long long)errors);
}

/* -- sending --------------------------------------------------------------------------------- */

static uint8_t *noise;
static size_t noise_bytes;

static void make_noise(void) {
    size_t largest = o.size;
    for (int i = 0; i < o.shapes_count; i++)
        for (int p = 0; p < o.shapes[i].parts; p++)
            if (o.shapes[i].sizes[p] > largest) largest = o.shapes[i].sizes[p];
    noise_bytes = largest + 4096;
    noise = malloc(noise_bytes + 8);
    uint32_t state = 2463534242u;
    for (size_t i = 0; i < noise_bytes; i += 4) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        memcpy(noise + i, &state, 4);
    }
}

/* Other bytes for each message and part. */
static const uint8_t *part_of(uint64_t number, int part) {
    return noise + (number * 131 + (uint64_t)part * 17) % 4096;
}

static void send_part(void *socket, const void *data, size_t size, int more) {
    while (zmq_send(socket, data, size, more ? ZMQ_SNDMORE : 0) < 0)
        if (zmq_errno() != EINTR) fail("zmq_send");
}

static uint64_t messages_to_send(void) {
    return o.shapes_count > 0 ? (uint64_t)o.shapes_count * o.rounds : o.count;
}

static void send_message(void *socket, uint64_t index) {
    if (o.shapes_count > 0) {
        const shape *s = &o.shapes[index % (uint64_t)o.shapes_count];
        for (int p = 0; p < s->parts; p++) {
            int more = p + 1 < s->parts;
            digest_part(part_of(index, p), s->sizes[p], more);
            send_part(socket, part_of(index, p), s->sizes[p], more);
        }
        return;
    }
    uint64_t number = o.first + index;
    for (int p = 0; p < o.parts; p++) {
        uint32_t at = (uint32_t)p;
        memcpy(noise, &number, 8);
        memcpy(noise + 8, &at, 4);
        send_part(socket, noise, o.size, p + 1 < o.parts);
    }
    messages++;
}

static void push(void *socket) {
    uint64_t total = messages_to_send();
    for (uint64_t i = 0; i < total; i++) {
        send_message(socket, i);
        if (o.delay_us > 0) usleep((useconds_t)o.delay_us);
    }
    done();
}

/* Nothing is published before somebody listens. */
static void publish(void *socket, int type) {
    char subscription[256];
    if (type == ZMQ_XPUB) {
        if (zmq_recv(socket, subscription, sizeof subscription, 0) < 1) fail("subscription");
        if (subscription[0] != 1) errors++;
    }
    while (type == ZMQ_PUB && !listened_to) {
        send_part(socket, "sync", 4, 0);
        usleep(1000);
    }
    push(socket);
}

/* -- receiving ------------------------------------------------------------------------------- */

static int receive_part(void *socket, zmq_msg_t *part) {
    check(zmq_msg_init(part), "zmq_msg_init");
    while (zmq_msg_recv(part, socket, 0) < 0)
        if (zmq_errno() != EINTR) fail("zmq_msg_recv");
    return zmq_msg_more(part);
}

static void pull_numbered(void *socket) {
    uint64_t expected = 0;
    int started = 0;
    while (o.count == 0 || messages < o.count) {
        uint64_t number = 0;
        for (int p = 0, more = 1; more; p++) {
            zmq_msg_t part;
            more = receive_part(socket, &part);
            uint64_t own = 0;
            uint32_t index = 0;
            if (zmq_msg_size(&part) >= 12) {
                memcpy(&own, zmq_msg_data(&part), 8);
                memcpy(&index, (uint8_t *)zmq_msg_data(&part) + 8, 4);
            }
            bytes += zmq_msg_size(&part);
            if (p == 0) number = own;
            /* Half a message, or parts of two. */
            if (own != number || index != (uint32_t)p) errors++;
            if (!more && p + 1 != o.parts) errors++;
            zmq_msg_close(&part);
        }
        if (started && number != expected) errors++;
        if (errors > 0 && o.log) print("{\"error\":\"message %llu is not what follows %llu\"}",
                                       (unsigned long long)number, (unsigned long long)expected - 1);
        started = 1;
        expected = number + 1;
        messages++;
        if (o.log) print("{\"number\":%llu}", (unsigned long long)number);
        if (o.slow_ms > 0) usleep((useconds_t)o.slow_ms * 1000);
    }
    done();
}

static void pull(void *socket) {
    while (o.count == 0 || messages < o.count) {
        zmq_msg_t part;
        int more = receive_part(socket, &part);
        digest_part(zmq_msg_data(&part), zmq_msg_size(&part), more);
        zmq_msg_close(&part);
    }
    done();
}

static void subscribe(void *socket, int type) {
    for (int i = 0; i < o.topics_count; i++) {
        const char *topic = o.topics[i];
        if (type == ZMQ_SUB) {
            check(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, topic, strlen(topic)), "ZMQ_SUBSCRIBE");
            continue;
        }
        char frame[256];
        int size = snprintf(frame, sizeof frame, "\1%s", topic);
        send_part(socket, frame, (size_t)size, 0);
    }
}

/* What comes goes back. A router's first part is the peer's name. */
static void echo(void *socket, int router) {
    while (o.count == 0 || messages < o.count) {
        zmq_msg_t parts[PARTS_MAX];
        int count = 0, more = 1;
        while (more) {
            if (count == PARTS_MAX) fail("too many parts");
            more = receive_part(socket, &parts[count++]);
        }
        if (router && messages == 0) {
            char name[513] = "";
            size_t size = zmq_msg_size(&parts[0]);
            const uint8_t *data = zmq_msg_data(&parts[0]);
            for (size_t i = 0; i < size && i < 256; i++) sprintf(name + 2 * i, "%02x", data[i]);
            print("{\"identity\":\"%.200s\",\"parts\":%d}", name, count);
        }
        int body = 0;
        if (router) {
            body = 1;
            while (body < count && zmq_msg_size(&parts[body]) > 0) body++;
            body++;
        }
        if (body >= count) errors++;
        for (int p = 0; p < count; p++) {
            if (p >= body)
                digest_part(zmq_msg_data(&parts[p]), zmq_msg_size(&parts[p]), p + 1 < count);
            while (zmq_msg_send(&parts[p], socket, p + 1 < count ? ZMQ_SNDMORE : 0) < 0)
                if (zmq_errno() != EINTR) fail("zmq_msg_send");
        }
    }
    done();
}

static void expect_part(void *socket, const void *data, size_t size, int more_expected) {
    zmq_msg_t part;
    int more = receive_part(socket, &part);
    if (zmq_msg_size(&part) != size || more != more_expected ||
        memcmp(zmq_msg_data(&part), data, size) != 0)
        errors++;
    zmq_msg_close(&part);
}

/* The echo of message `index`: the same parts. */
static void expect_message(void *socket, uint64_t index) {
    const shape *s = &o.shapes[index % (uint64_t)o.shapes_count];
    for (int p = 0; p < s->parts; p++)
        expect_part(socket, part_of(index, p), s->sizes[p], p + 1 < s->parts);
}

static void req(void *socket) {
    uint64_t total = messages_to_send();
    for (uint64_t i = 0; i < total; i++) {
        send_message(socket, i);
        expect_message(socket, i);
    }
    done();
}

/* A router that has a peer to ask waits until that peer is there. */
static void send_route(void *socket) {
    while (zmq_send(socket, o.route, strlen(o.route), ZMQ_SNDMORE) < 0) {
        if (zmq_errno() != EHOSTUNREACH && zmq_errno() != EINTR) fail("zmq_send");
        usleep(1000);
    }
}

static void ask(void *socket) {
    uint64_t total = messages_to_send(), sent = 0;
    for (uint64_t answered = 0; answered < total; answered++) {
        for (; sent < total && sent < answered + (uint64_t)o.window; sent++) {
            if (o.route) send_route(socket);
            send_part(socket, "", 0, 1);
            send_message(socket, sent);
        }
        if (o.route) expect_part(socket, o.route, strlen(o.route), 1);
        expect_part(socket, "", 0, 1);
        expect_message(socket, answered);
    }
    done();
}

/* -- set-up ---------------------------------------------------------------------------------- */

static void *read_stdin(void *unused) {
    char buffer[256];
    while (read(0, buffer, sizeof buffer) > 0) listened_to = 1;
    if (!finishing) _exit(0);
    return unused;
}

static void *read_monitor(void *socket) {
    for (;;) {
        zmq_msg_t event, address;
        if (zmq_msg_init(&event) < 0 || zmq_msg_recv(&event, socket, 0) < 0) return NULL;
        uint16_t number;
        uint32_t value;
        memcpy(&number, zmq_msg_data(&event), 2);
        memcpy(&value, (uint8_t *)zmq_msg_data(&event) + 2, 4);
        zmq_msg_close(&event);
        if (zmq_msg_init(&address) < 0 || zmq_msg_recv(&address, socket, 0) < 0) return NULL;
        zmq_msg_close(&address);
        print("{\"event\":%u,\"value\":%u}", number, value);
    }
}

static void set(void *socket, int option, int value) {
    check(zmq_setsockopt(socket, option, &value, sizeof value), "zmq_setsockopt");
}

static void parse_messages(const char *text) {
    shape *s = &o.shapes[0];
    while (o.shapes_count < MESSAGES_MAX && s->parts < PARTS_MAX) {
        char *end;
        s->sizes[s->parts++] = strtoull(text, &end, 10);
        if (*end == '+') {
            text = end + 1;
            continue;
        }
        s = &o.shapes[++o.shapes_count];
        if (*end != ',') return;
        text = end + 1;
    }
}

static void parse(int argc, char **argv) {
    for (int i = 2; i < argc; i++) {
        const char *name = argv[i];
        if (!strcmp(name, "--numbered")) { o.numbered = 1; continue; }
        if (!strcmp(name, "--stream")) { o.stream = 1; continue; }
        if (!strcmp(name, "--log")) { o.log = 1; continue; }
        if (!strcmp(name, "--monitor")) { o.monitor = 1; continue; }
        if (!strcmp(name, "--hold")) { o.hold = 1; continue; }
        if (!strcmp(name, "--plain-server")) { o.security.plain_server = 1; continue; }
        const char *value = ++i < argc ? argv[i] : "";
        if (!strcmp(name, "--endpoint")) o.endpoint = value;
        else if (!strcmp(name, "--identity")) o.identity = value;
        else if (!strcmp(name, "--route")) o.route = value;
        else if (!strcmp(name, "--messages")) parse_messages(value);
        else if (!strcmp(name, "--subscribe") && o.topics_count < TOPICS_MAX)
            o.topics[o.topics_count++] = value;
        else if (!strcmp(name, "--rounds")) o.rounds = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--count")) o.count = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--size")) o.size = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--first")) o.first = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--parts")) o.parts = atoi(value);
        else if (!strcmp(name, "--window")) o.window = atoi(value);
        else if (!strcmp(name, "--linger")) o.linger = atoi(value);
        else if (!strcmp(name, "--hwm")) o.hwm = atoi(value);
        else if (!strcmp(name, "--delay-us")) o.delay_us = atoi(value);
        else if (!strcmp(name, "--slow-ms")) o.slow_ms = atoi(value);
        else if (!strcmp(name, "--heartbeat")) o.heartbeat = atoi(value);
        else if (!strcmp(name, "--heartbeat-timeout")) o.heartbeat_timeout = atoi(value);
        else if (!strcmp(name, "--heartbeat-ttl")) o.heartbeat_ttl = atoi(value);
        else if (!security_parse(&o.security, name, value)) {
            fprintf(stderr, "libzmq_peer: unknown option %s\n", name);
            exit(2);
        }
    }
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int type;
    } roles[] = {{"push", ZMQ_PUSH}, {"pull", ZMQ_PULL},     {"req", ZMQ_REQ},
                 {"rep", ZMQ_REP},   {"dealer", ZMQ_DEALER}, {"router", ZMQ_ROUTER},
                 {"pub", ZMQ_PUB},   {"sub", ZMQ_SUB},       {"pair", ZMQ_PAIR},
                 {"xpub", ZMQ_XPUB}, {"xsub", ZMQ_XSUB}};
    if (argc == 2 && !strcmp(argv[1], "version")) {
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        printf("%d.%d.%d\n", major, minor, patch);
        return 0;
    }
    if (argc == 2 && !strcmp(argv[1], "curve")) return zmq_has("curve") ? 0 : 2;
    if (argc == 2 && !strcmp(argv[1], "keys")) {
        char public_key[41], secret_key[41];
        check(zmq_curve_keypair(public_key, secret_key), "zmq_curve_keypair");
        printf("%s %s\n", public_key, secret_key);
        return 0;
    }
    const char *side = argc > 1 ? strchr(argv[1], '-') : NULL;
    int type = -1;
    for (size_t i = 0; side && i < sizeof roles / sizeof *roles; i++)
        if (!strncmp(argv[1], roles[i].name, (size_t)(side - argv[1]))) type = roles[i].type;
    parse(argc, argv);
    if (type < 0 || !o.endpoint) {
        fprintf(stderr, "usage: libzmq_peer <role>-<bind|connect> --endpoint E ...\n");
        return 2;
    }
    crc_prepare();
    make_noise();

    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, type);
    if (!socket) fail("zmq_socket");
    set(socket, ZMQ_SNDHWM, o.hwm);
    set(socket, ZMQ_RCVHWM, o.hwm);
    set(socket, ZMQ_LINGER, o.linger);
    if (o.heartbeat > 0) set(socket, ZMQ_HEARTBEAT_IVL, o.heartbeat);
    if (o.heartbeat_timeout > 0) set(socket, ZMQ_HEARTBEAT_TIMEOUT, o.heartbeat_timeout);
    if (o.heartbeat_ttl > 0) set(socket, ZMQ_HEARTBEAT_TTL, o.heartbeat_ttl);
    if (o.identity)
        check(zmq_setsockopt(socket, ZMQ_ROUTING_ID, o.identity, strlen(o.identity)), "identity");
    /* send_route() has to learn whether the peer is there. */
    if (type == ZMQ_ROUTER && o.route) set(socket, ZMQ_ROUTER_MANDATORY, 1);
    subscribe(socket, type);
    security_apply(socket, &o.security);
    zap_start(context, &o.security, print);
    void *monitor = NULL;
    pthread_t monitor_thread;
    if (o.monitor) {
        check(zmq_socket_monitor(socket, "inproc://monitor", ZMQ_EVENT_ALL), "monitor");
        monitor = zmq_socket(context, ZMQ_PAIR);
        check(zmq_connect(monitor, "inproc://monitor"), "connect monitor");
        pthread_create(&monitor_thread, NULL, read_monitor, monitor);
    }
    if (!strcmp(side, "-connect")) {
        check(zmq_connect(socket, o.endpoint), o.endpoint);
        print("{\"endpoint\":\"%s\"}", o.endpoint);
    } else {
        check(zmq_bind(socket, o.endpoint), o.endpoint);
        char bound[256];
        size_t length = sizeof bound;
        check(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &length), "ZMQ_LAST_ENDPOINT");
        print("{\"endpoint\":\"%s\"}", bound);
    }
    pthread_create(&stdin_thread, NULL, read_stdin, NULL);

    int asks = o.shapes_count > 0 && !o.stream;
    /* Two types do what others do, when they are told to. */
    if (type == ZMQ_PAIR || type == ZMQ_DEALER)
        type = o.stream ? ZMQ_PUSH : o.numbered ? ZMQ_PULL : type;
    switch (type) {
    case ZMQ_PUSH: push(socket); break;
    case ZMQ_PUB:
    case ZMQ_XPUB: publish(socket, type); break;
    case ZMQ_PULL:
    case ZMQ_SUB:
    case ZMQ_XSUB: o.numbered ? pull_numbered(socket) : pull(socket); break;
    case ZMQ_REP: echo(socket, 0); break;
    case ZMQ_REQ: req(socket); break;
    case ZMQ_PAIR: asks ? req(socket) : echo(socket, 0); break;
    case ZMQ_DEALER: asks ? ask(socket) : echo(socket, 0); break;
    case ZMQ_ROUTER: asks ? ask(socket) : echo(socket, 1); break;
    }
    finishing = 1;
    if (o.hold) pthread_join(stdin_thread, NULL);
    if (monitor || o.security.zap) _exit(0);
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
