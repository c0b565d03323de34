/* What the C peers share: options, clocks, and the lines they print.
 *
 * Every peer, in whatever language, follows the same rules, so that the harness treats them alike:
 *   1. a binder prints {"endpoint": "..."} once it listens;
 *   2. the leading side (pull, req) prints one line of result when it has received everything;
 *   3. the other side (push, rep) then sees the end of its stdin and prints its own line, so that
 *      its CPU time covers whatever its library still did after the last call returned. */
#ifndef MONOCOQUE_BENCH_PEER_H
#define MONOCOQUE_BENCH_PEER_H

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    const char *endpoint;
    size_t size;         /* bytes of one message */
    uint64_t count;      /* messages or round trips; 0: until an empty message arrives */
    uint64_t warmup;     /* round trips before the measured ones */
    int hwm;             /* both high-water marks, in messages */
    double seconds;      /* push, pub, dealer: send for this long; push then sends one empty message */
    double progress;     /* pull only: seconds between lines of progress, 0: none */
    size_t sockets;      /* sub, dealer: how many of them */
    size_t window;       /* dealer: requests of each socket that wait for their reply */
    int no_drop;         /* pub: wait for the slowest instead of dropping */
    int curve;           /* inside CURVE: who binds is the server */
} options;

static inline void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* A peer that waits for messages must not outlive a parent that was killed. */
static inline void die_with_parent(void) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail("prctl(PR_SET_PDEATHSIG) failed");
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Wall clock in milliseconds: the only clock that C, Node and Bun agree on across processes. */
static inline double wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* User and system time of all threads of this process, in seconds. */
static inline double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static inline double number_argument(const char *name, const char *text) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || !(value >= 0)) fail("%s: %s is not a number >= 0", name, text);
    return value;
}

static inline options parse_options(int argc, char **argv) {
    options o = {.size = 64, .count = 100000, .warmup = 0, .hwm = 1000, .sockets = 1, .window = 1};
    for (int i = 2; i < argc; i += 2) {
        const char *name = argv[i];
        if (i + 1 == argc) fail("%s wants a value", name);
        const char *text = argv[i + 1];
        if (!strcmp(name, "--endpoint")) o.endpoint = text;
        else if (!strcmp(name, "--size")) o.size = (size_t)number_argument(name, text);
        else if (!strcmp(name, "--count")) o.count = (uint64_t)number_argument(name, text);
        else if (!strcmp(name, "--warmup")) o.warmup = (uint64_t)number_argument(name, text);
        else if (!strcmp(name, "--hwm")) o.hwm = (int)number_argument(name, text);
        else if (!strcmp(name, "--seconds")) o.seconds = number_argument(name, text);
        else if (!strcmp(name, "--progress")) o.progress = number_argument(name, text);
        else if (!strcmp(name, "--sockets")) o.sockets = (size_t)number_argument(name, text);
        else if (!strcmp(name, "--window")) o.window = (size_t)number_argument(name, text);
        else if (!strcmp(name, "--no-drop")) o.no_drop = (int)number_argument(name, text);
        else if (!strcmp(name, "--curve")) o.curve = (int)number_argument(name, text);
        else if (!strcmp(name, "--mode")) continue; /* the C peers have one mode */
        else fail("unknown option %s", name);
    }
    if (!o.endpoint) fail("--endpoint is missing");
    if (o.sockets == 0 || o.window == 0) fail("--sockets and --window are at least 1");
    return o;
}

static inline void print_endpoint(const char *endpoint) {
    printf("{\"endpoint\":\"%s\"}\n", endpoint);
    fflush(stdout);
}

static inline void print_ready(void) {
    printf("{\"ready\":true}\n");
    fflush(stdout);
}

/* `counted` excludes the messages with which the clock started. */
static inline void print_pull(uint64_t total, uint64_t counted, uint64_t bytes, double seconds, double cpu) {
    printf("{\"role\":\"pull\",\"total\":%llu,\"counted\":%llu,\"bytes\":%llu,\"seconds\":%.9f,"
           "\"rate\":%.1f,\"cpu\":%.6f,\"endAt\":%.3f}\n",
           (unsigned long long)total, (unsigned long long)counted, (unsigned long long)bytes, seconds,
           seconds > 0 ? (double)counted / seconds : 0.0, cpu, wall_ms());
    fflush(stdout);
}

static inline void print_sender(const char *role, uint64_t total, double cpu, double connect_at) {
    printf("{\"role\":\"%s\",\"total\":%llu,\"cpu\":%.6f,\"connectAt\":%.3f}\n", role,
           (unsigned long long)total, cpu, connect_at);
    fflush(stdout);
}

static inline void wait_for_release(void) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
}

static inline int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static inline double percentile_us(const uint64_t *sorted, uint64_t count, double fraction) {
    return (double)sorted[(uint64_t)((double)(count - 1) * fraction)] / 1e3;
}

static inline void print_req(uint64_t *latencies, uint64_t count, double cpu) {
    double sum = 0;
    for (uint64_t i = 0; i < count; i++) sum += (double)latencies[i];
    qsort(latencies, count, sizeof *latencies, compare_u64);
    printf("{\"role\":\"req\",\"total\":%llu,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"mean\":%.2f,\"cpu\":%.6f}\n",
           (unsigned long long)count, percentile_us(latencies, count, 0.5), percentile_us(latencies, count, 0.9),
           percentile_us(latencies, count, 0.99), sum / (double)count / 1e3, cpu);
    fflush(stdout);
}

#endif
