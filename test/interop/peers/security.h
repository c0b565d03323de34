/* What a socket of libzmq proves of itself, and whom it lets in: options of libzmq_peer.
 *
 *   --plain-server
 *   --plain-user U --plain-password P     a PLAIN client
 *   --curve-server SECRET                 a CURVE server; all keys are in Z85
 *   --curve-server-key KEY --curve-public KEY --curve-secret KEY
 *                                         a CURVE client
 *   --zap-domain D
 *   --zap STATUS                          a ZAP handler that answers so; "none" never does, "bad" sends
 *                                         something else. It prints what it is asked: {"zap":{..}}
 *   --zap-user U --zap-password P         200 for these and 400 for others, of --zap 200
 *   --zap-key KEY                         the same for a public key
 *
 * The handler names no user: a REQ of libzmq 4.3.4 would lose each connection whose user has a name. */
#ifndef MONOCOQUE_INTEROP_SECURITY_H
#define MONOCOQUE_INTEROP_SECURITY_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { ZAP_PARTS_MAX = 16, ZAP_PART_BYTES_MAX = 256 };

typedef struct {
    const char *plain_user, *plain_password;
    const char *curve_server, *curve_server_key, *curve_public, *curve_secret;
    const char *zap_domain, *zap, *zap_user, *zap_password, *zap_key;
    int plain_server;
} security_options;

/* 1: it was one of these options, with its value if it has one. */
static int security_parse(security_options *s, const char *name, const char *value) {
    const struct {
        const char *name, **target;
    } known[] = {{"--plain-user", &s->plain_user},     {"--plain-password", &s->plain_password},
                 {"--curve-server", &s->curve_server}, {"--curve-server-key", &s->curve_server_key},
                 {"--curve-public", &s->curve_public}, {"--curve-secret", &s->curve_secret},
                 {"--zap-domain", &s->zap_domain},     {"--zap", &s->zap},
                 {"--zap-user", &s->zap_user},         {"--zap-password", &s->zap_password},
                 {"--zap-key", &s->zap_key}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name)) continue;
        *known[i].target = value;
        return 1;
    }
    return 0;
}

static void security_set(void *socket, int option, const char *text) {
    if (text && zmq_setsockopt(socket, option, text, strlen(text)) < 0) {
        fprintf(stderr, "libzmq_peer: option %d: %s\n", option, zmq_strerror(zmq_errno()));
        exit(2);
    }
}

static void security_switch(void *socket, int option) {
    int on = 1;
    if (zmq_setsockopt(socket, option, &on, sizeof on) < 0) exit(2);
}

/* Before it is bound or connected. */
static void security_apply(void *socket, const security_options *s) {
    security_set(socket, ZMQ_ZAP_DOMAIN, s->zap_domain);
    if (s->plain_server) security_switch(socket, ZMQ_PLAIN_SERVER);
    security_set(socket, ZMQ_PLAIN_USERNAME, s->plain_user);
    security_set(socket, ZMQ_PLAIN_PASSWORD, s->plain_password);
    if (s->curve_server) {
        security_switch(socket, ZMQ_CURVE_SERVER);
        security_set(socket, ZMQ_CURVE_SECRETKEY, s->curve_server);
    }
    security_set(socket, ZMQ_CURVE_PUBLICKEY, s->curve_public);
    security_set(socket, ZMQ_CURVE_SECRETKEY, s->curve_secret);
    security_set(socket, ZMQ_CURVE_SERVERKEY, s->curve_server_key);
}

typedef struct {
    size_t size;
    char bytes[ZAP_PART_BYTES_MAX + 1];
} zap_part;

/* The parts of a request behind the delimiter: version, id, domain, address, identity, mechanism. */
enum { ZAP_ID = 1, ZAP_DOMAIN, ZAP_ADDRESS, ZAP_IDENTITY, ZAP_MECHANISM, ZAP_CREDENTIALS };

static size_t zap_receive(void *handler, zap_part *parts) {
    size_t count = 0;
    for (int more = 1; more && count < ZAP_PARTS_MAX; count++) {
        int size = zmq_recv(handler, parts[count].bytes, ZAP_PART_BYTES_MAX, 0);
        if (size < 0) return 0;
        parts[count].size = (size_t)size;
        parts[count].bytes[size] = 0;
        size_t length = sizeof more;
        zmq_getsockopt(handler, ZMQ_RCVMORE, &more, &length);
    }
    return count;
}

static void zap_print(const zap_part *parts, size_t count, void (*print)(const char *, ...)) {
    char credentials[1024] = "";
    size_t filled = 0;
    for (size_t p = ZAP_CREDENTIALS; p < count && filled < 500; p++) {
        filled += (size_t)sprintf(credentials + filled, p > ZAP_CREDENTIALS ? ",\"" : "\"");
        for (size_t i = 0; i < parts[p].size && filled < 900; i++)
            filled += (size_t)sprintf(credentials + filled, "%02x", (unsigned char)parts[p].bytes[i]);
        filled += (size_t)sprintf(credentials + filled, "\"");
    }
    print("{\"zap\":{\"version\":\"%s\",\"domain\":\"%s\",\"address\":\"%s\",\"mechanism\":\"%s\","
          "\"credentials\":[%s]}}",
          parts[0].bytes, parts[ZAP_DOMAIN].bytes, parts[ZAP_ADDRESS].bytes,
          parts[ZAP_MECHANISM].bytes, credentials);
}

static int zap_allows(const security_options *s, const zap_part *parts, size_t count) {
    const zap_part *given = parts + ZAP_CREDENTIALS;
    if (s->zap_user)
        return count == ZAP_CREDENTIALS + 2 && !strcmp(given[0].bytes, s->zap_user) &&
               !strcmp(given[1].bytes, s->zap_password);
    if (!s->zap_key) return 1;
    unsigned char key[32];
    if (!zmq_z85_decode(key, s->zap_key)) exit(2);
    return count == ZAP_CREDENTIALS + 1 && given->size == 32 && !memcmp(given->bytes, key, 32);
}

typedef struct {
    void *handler;
    const security_options *options;
    void (*print)(const char *, ...);
} zap_thread;

static void *zap_run(void *argument) {
    zap_thread *zap = argument;
    const security_options *s = zap->options;
    static zap_part parts[ZAP_PARTS_MAX];
    for (;;) {
        size_t count = zap_receive(zap->handler, parts);
        if (count <= ZAP_MECHANISM) return NULL;
        zap_print(parts, count, zap->print);
        /* A REP that does not answer cannot be asked again: one request is all it gets. */
        if (!strcmp(s->zap, "none")) return NULL;
        const char *status = zap_allows(s, parts, count) ? s->zap : "400";
        const char *rest[] = {status, "as told", "", ""};
        size_t rest_count = !strcmp(s->zap, "bad") ? 2 : 4;
        zmq_send(zap->handler, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(zap->handler, parts[ZAP_ID].bytes, parts[ZAP_ID].size, ZMQ_SNDMORE);
        for (size_t i = 0; i < rest_count; i++)
            zmq_send(zap->handler, rest[i], strlen(rest[i]), i + 1 < rest_count ? ZMQ_SNDMORE : 0);
    }
}

/* Starts the handler, if one is wanted. */
static void zap_start(void *context, const security_options *s, void (*print)(const char *, ...)) {
    static zap_thread zap;
    pthread_t thread;
    if (!s->zap) return;
    zap = (zap_thread){zmq_socket(context, ZMQ_REP), s, print};
    if (!zap.handler || zmq_bind(zap.handler, "inproc://zeromq.zap.01") < 0) exit(2);
    pthread_create(&thread, NULL, zap_run, &zap);
}

#endif
