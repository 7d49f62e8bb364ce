/*
 * busy: runs a command several times and tells what each run cost.
 * Input:  the command line; /proc/schedstat; what comes by the command's pipe.
 * Runs:   one thread, in a lab that counts instructions (lab/run -i): a nanosecond is an instruction there.
 * Limits: none.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS_MAX 1000000
#define READY_FD 9 /* the command's number for the pipe; QEMU takes a pipe by name, /dev/fd/9 */

static const char usage[] =
        "busy [-n RUNS] [-j] [-r|-b BYTE] COMMAND [ARG...]\n"
        "\n"
        "Prints for each run its elapsed time (with idle waits) and its busy time (what the\n"
        "processors executed meanwhile: the command, the kernel, nested guests), in millions of\n"
        "nanoseconds; inside `lab/run -i` these are instructions. Quote busy, and throw the first\n"
        "two runs away.\n"
        "\n"
        "  -n RUNS  how often (8)\n"
        "  -j       a line of JSON for each run on stdout; the command's own stdout goes to stderr\n"
        "  -r       the command is ready when it writes a line to a pipe, its descriptor 9, whose\n"
        "           number takes the place of the argument {}: measured up to there, and the command\n"
        "           is killed\n"
        "  -b BYTE  as -r, but ready with this byte (such as 0x20) instead of a line's end\n"
        "Exit status: 0 every run succeeded or got ready, 1 one did not, 2 a mistake in the call.\n";

struct options {
        unsigned long runs;
        bool json, ready;
        unsigned char ready_byte;
        char **command;
};

struct sample {
        uint64_t elapsed_ns, busy_ns;
};

struct run {
        struct sample cost;
        struct rusage usage; /* of the whole life of the command */
        int status;          /* as wait4() says it */
        bool ready;
};

/* The sum of what each processor's tasks ran: field 7 of the lines "cpuN". */
static uint64_t read_busy_ns(void)
{
        FILE *f = fopen("/proc/schedstat", "re");
        char line[512];
        uint64_t sum = 0;

        while (f && fgets(line, sizeof(line), f)) {
                unsigned long long busy;

                if (sscanf(line, "cpu%*u %*u %*u %*u %*u %*u %*u %llu", &busy) == 1)
                        sum += busy;
        }
        if (f)
                (void)fclose(f);
        return sum;
}

static uint64_t read_elapsed_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static struct sample take_sample(void)
{
        struct sample s = { .busy_ns = read_busy_ns(), .elapsed_ns = read_elapsed_ns() };

        return s;
}

static int die(const char *what, int error)
{
        (void)fprintf(stderr, "busy: %s: %s\n", what, strerror(error));
        exit(2);
}

/* @ready_fd: the write end for the command, or -1. */
static pid_t spawn(const struct options *o, int ready_fd)
{
        posix_spawn_file_actions_t actions;
        pid_t pid = -1;
        int r = posix_spawn_file_actions_init(&actions);

        if (!r && o->json)
                r = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        if (!r && ready_fd >= 0)
                r = posix_spawn_file_actions_adddup2(&actions, ready_fd, READY_FD);
        if (!r)
                r = posix_spawnp(&pid, o->command[0], &actions, NULL, o->command, environ);
        if (r)
                (void)die(o->command[0], r);
        (void)posix_spawn_file_actions_destroy(&actions);
        return pid;
}

/* Return: whether the byte came before the end. */
static bool wait_for_byte(int fd, unsigned char byte)
{
        char buf[256];

        for (;;) {
                ssize_t n = read(fd, buf, sizeof(buf));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                if (memchr(buf, byte, (size_t)n))
                        return true;
        }
}

static struct run run_once(const struct options *o)
{
        struct run run = { 0 };
        int fds[2] = { -1, -1 };

        if (o->ready && pipe2(fds, O_CLOEXEC))
                (void)die("pipe", errno);

        struct sample before = take_sample();
        pid_t pid = spawn(o, fds[1]);

        if (o->ready) {
                (void)close(fds[1]);
                run.ready = wait_for_byte(fds[0], o->ready_byte);
        } else if (wait4(pid, &run.status, 0, &run.usage) < 0) {
                (void)die("wait", errno);
        }

        struct sample after = take_sample();

        run.cost.elapsed_ns = after.elapsed_ns - before.elapsed_ns;
        run.cost.busy_ns = after.busy_ns - before.busy_ns;
        if (o->ready) {
                if (run.ready)
                        (void)kill(pid, SIGKILL);
                if (wait4(pid, &run.status, 0, &run.usage) < 0)
                        (void)die("wait", errno);
                (void)close(fds[0]);
        }
        return run;
}

static int exit_status(const struct run *run)
{
        return WIFEXITED(run->status) ? WEXITSTATUS(run->status) : 128 + WTERMSIG(run->status);
}

static void print_json(unsigned long i, const struct options *o, const struct run *run)
{
        (void)printf("{\"run\":%lu,\"elapsed_ns\":%llu,\"busy_ns\":%llu,\"status\":%d,", i,
                     (unsigned long long)run->cost.elapsed_ns, (unsigned long long)run->cost.busy_ns,
                     exit_status(run));
        if (o->ready)
                (void)printf("\"ready\":%s,", run->ready ? "true" : "false");
        (void)printf("\"minor_faults\":%ld,\"major_faults\":%ld,\"max_rss_kib\":%ld}\n", run->usage.ru_minflt,
                     run->usage.ru_majflt, run->usage.ru_maxrss);
        (void)fflush(stdout);
}

static void print_text(unsigned long i, const struct options *o, const struct run *run)
{
        (void)fprintf(stderr, "run %lu: elapsed %.2f M, busy %.2f M, ", i, (double)run->cost.elapsed_ns / 1e6,
                      (double)run->cost.busy_ns / 1e6);
        if (o->ready && run->ready)
                (void)fprintf(stderr, "ready\n");
        else
                (void)fprintf(stderr, "status %d\n", exit_status(run));
}

static bool parse_byte(const char *text, unsigned char *ret)
{
        char *end;
        unsigned long value = strtoul(text, &end, 0);

        *ret = (unsigned char)value;
        return *text && !*end && value <= UINT8_MAX;
}

static void put_descriptor(char **command)
{
        static char number[16];

        (void)snprintf(number, sizeof(number), "%d", READY_FD);
        for (; *command; command++)
                if (!strcmp(*command, "{}"))
                        *command = number;
}

static bool parse(struct options *o, int argc, char **argv)
{
        int option;

        /* "+": what follows the command's name is its own */
        while ((option = getopt(argc, argv, "+n:jrb:")) != -1) {
                char *end;

                switch (option) {
                case 'n':
                        o->runs = strtoul(optarg, &end, 10);
                        if (*end || !*optarg || !o->runs || o->runs > RUNS_MAX)
                                return false;
                        break;
                case 'j':
                        o->json = true;
                        break;
                case 'r':
                        o->ready = true;
                        break;
                case 'b':
                        o->ready = true;
                        if (!parse_byte(optarg, &o->ready_byte))
                                return false;
                        break;
                default:
                        return false;
                }
        }
        o->command = argv + optind;
        if (o->ready)
                put_descriptor(o->command);
        return optind < argc;
}

/* The first spawn of a process touches pages that later ones find: a cost of ours, and not of the command. */
static void warm_up(void)
{
        struct options nothing = { .command = (char *[]){ (char[]){ "true" }, NULL } };

        (void)run_once(&nothing);
}

int main(int argc, char **argv)
{
        struct options o = { .runs = 8, .ready_byte = '\n' };
        bool failed = false;

        if (!parse(&o, argc, argv)) {
                (void)fputs(usage, stderr);
                return 2;
        }
        warm_up();
        for (unsigned long i = 0; i < o.runs; i++) {
                struct run run = run_once(&o);

                if (o.json)
                        print_json(i, &o, &run);
                else
                        print_text(i, &o, &run);
                failed = failed || !(o.ready ? run.ready : run.status == 0);
        }
        return failed;
}
