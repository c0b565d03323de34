/* What the peers on libzmq share: checks, options, endpoints, receiving without a copy. */
#ifndef MONOCOQUE_BENCH_LIBZMQ_H
#define MONOCOQUE_BENCH_LIBZMQ_H

#include "peer.h"

#include <errno.h>
#include <zmq.h>

static inline void check(int result, const char *what) {
    if (result < 0) fail("libzmq: %s: %s", what, zmq_strerror(zmq_errno()));
}

static inline void *socket_of(void *context, int type) {
    void *socket = zmq_socket(context, type);
    if (!socket) fail("libzmq: zmq_socket: %s", zmq_strerror(zmq_errno()));
    return socket;
}

static inline void set_int(void *socket, int option, int value) {
    check(zmq_setsockopt(socket, option, &value, sizeof value), "zmq_setsockopt");
}

/* The last endpoint it was bound to, with the port that a wildcard became. */
static inline void bound_endpoint(void *socket, char *text, size_t length) {
    check(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, text, &length), "ZMQ_LAST_ENDPOINT");
}

static inline void set_key(void *socket, int option, const char *key) {
    check(zmq_setsockopt(socket, option, key, strlen(key)), "key");
}

/* Known to everybody: the same as in common.mjs. */
static inline void set_keys(void *socket, int server) {
    if (server) {
        set_int(socket, ZMQ_CURVE_SERVER, 1);
        set_key(socket, ZMQ_CURVE_SECRETKEY, "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6");
        return;
    }
    set_key(socket, ZMQ_CURVE_SERVERKEY, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
    set_key(socket, ZMQ_CURVE_PUBLICKEY, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
    set_key(socket, ZMQ_CURVE_SECRETKEY, "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs");
}

static inline void attach(void *socket, const char *side, const options *o) {
    set_int(socket, ZMQ_SNDHWM, o->hwm);
    set_int(socket, ZMQ_RCVHWM, o->hwm);
    set_int(socket, ZMQ_LINGER, 1000);
    if (o->curve) set_keys(socket, !strcmp(side, "bind"));
    if (!strcmp(side, "connect")) {
        check(zmq_connect(socket, o->endpoint), o->endpoint);
        return;
    }
    check(zmq_bind(socket, o->endpoint), o->endpoint);
    char bound[256];
    bound_endpoint(socket, bound, sizeof bound);
    print_endpoint(bound);
}

/* Receives one message and returns its size; -1: none is there (with ZMQ_DONTWAIT). */
static inline ssize_t receive_with(void *socket, int flags) {
    zmq_msg_t message;
    check(zmq_msg_init(&message), "zmq_msg_init");
    while (zmq_msg_recv(&message, socket, flags) < 0) {
        if (zmq_errno() == EAGAIN) return -1;
        if (zmq_errno() != EINTR) check(-1, "zmq_msg_recv");
    }
    ssize_t size = (ssize_t)zmq_msg_size(&message);
    zmq_msg_close(&message);
    return size;
}

/* Receives one message and returns its size. */
static inline size_t receive(void *socket) {
    return (size_t)receive_with(socket, 0);
}

#endif
