/* Runs a program as a container or an old kernel would have it:
 *
 *   restricted [--io_uring EPERM|ENOSYS] [--aio EPERM|ENOSYS] [--memlock BYTES] program [argument...]
 *
 * --io_uring and --aio make those system calls fail (seccomp); --memlock sets RLIMIT_MEMLOCK and
 * takes away the right to exceed it. All of it is inherited by what the program starts. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "restricted: %s: %s\n", what, strerror(errno));
    exit(125);
}

static int errno_called(const char *name)
{
    if (strcmp(name, "EPERM") == 0) return EPERM;
    if (strcmp(name, "ENOSYS") == 0) return ENOSYS;
    errno = EINVAL;
    die(name);
    return 0;
}

/* Calls first to last fail with this error. */
static void forbid(unsigned first, unsigned last, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no_new_privs");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) die("seccomp");
}

static void limit_locked_memory(const char *bytes)
{
    struct rlimit limit = { strtoul(bytes, NULL, 10), strtoul(bytes, NULL, 10) };
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) die("RLIMIT_MEMLOCK");
    /* Root may exceed it, unless what it executes cannot get that right. */
    if (geteuid() == 0 && prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) != 0) die("CAP_IPC_LOCK");
}

int main(int argc, char **argv)
{
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        const char *value = argv[at + 1];
        if (strcmp(argv[at], "--io_uring") == 0)
            forbid(SYS_io_uring_setup, SYS_io_uring_register, errno_called(value));
        else if (strcmp(argv[at], "--aio") == 0)
            forbid(SYS_io_setup, SYS_io_cancel, errno_called(value));
        else if (strcmp(argv[at], "--memlock") == 0)
            limit_locked_memory(value);
        else {
            errno = EINVAL;
            die(argv[at]);
        }
    }
    if (at >= argc) {
        errno = EINVAL;
        die("no program");
    }
    execvp(argv[at], argv + at);
    die(argv[at]);
}
