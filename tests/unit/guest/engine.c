/*
 * Runs the agent's server in a child: a subreaper, so that orphans come to it as they come to process 1.
 */
#include "tests/unit/guest/engine.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/server.h"

static void die(const char *what)
{
        perror(what);
        exit(99);
}

/* "All processes" of a test are the engine's own children. */
static void signal_children(int signal)
{
        char path[64];
        int pid;

        snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());

        FILE *f = fopen(path, "r");

        while (f && fscanf(f, "%d", &pid) == 1)
                kill(pid, signal);
        if (f)
                fclose(f);
}

/* What commands left running: it comes to us as its parents end, so until there is nobody left. */
static void bury_children(void)
{
        do
                signal_children(SIGKILL);
        while (wait(NULL) > 0);
}

static void end(uint32_t how)
{
        _exit(40 + (int)how);
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) || listen(fd, 256))
                die(path);
        return fd;
}

int engine_listen_log(const struct engine *e)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "%s/log", e->dir);
        fd = listen_at(path);
        fcntl(fd, F_SETFL, 0);
        return fd;
}

void engine_start(struct engine *e, const struct engine_options *options)
{
        static const struct server_ops ops = { signal_children, end };
        static struct server server;
        static struct sockaddr_un log_address = { .sun_family = AF_UNIX };

        strcpy(e->dir, "/tmp/vmlet-test-XXXXXX");
        if (!mkdtemp(e->dir))
                die("mkdtemp");
        snprintf(e->path, sizeof(e->path), "%s/agent", e->dir);

        int fd = listen_at(e->path);

        prctl(PR_SET_CHILD_SUBREAPER, 1); /* of what outlives the engine */
        e->pid = fork();
        if (e->pid) {
                close(fd);
                return;
        }
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chdir("/"))
                die("/");
        server.service.welcome = (struct protocol_welcome){
                .version = PROTOCOL_VERSION,
                .state = options ? options->state : PROTOCOL_STATE_OK,
                .stdin_window = CONN_STDIN_WINDOW,
                .capabilities = PROTOCOL_CAP_EXEC | PROTOCOL_CAP_SHUTDOWN,
                .boot_id = { 1, 2, 3 },
                .release = "test",
                .message = options ? options->message : "",
        };
        snprintf(log_address.sun_path, sizeof(log_address.sun_path), "%s/log", e->dir);
        server.service.log = (const struct sockaddr *)&log_address;
        server.service.log_len = sizeof(log_address);
        if (server_init(&server, fd, &ops))
                die("server_init");
        server_run(&server);
        die("server_run");
}

int engine_connect(const struct engine *e)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", e->path);
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)))
                die("connect");
        return fd;
}

int engine_wait(struct engine *e)
{
        int status = 0;

        waitpid(e->pid, &status, 0);
        bury_children();
        unlink(e->path);
        snprintf(e->path, sizeof(e->path), "%s/log", e->dir);
        unlink(e->path);
        rmdir(e->dir);
        return status;
}

void engine_stop(struct engine *e)
{
        kill(e->pid, SIGKILL);
        engine_wait(e);
}

long engine_memory_kib(const struct engine *e)
{
        char path[64], line[256];
        long total = 0, kib;

        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", e->pid);

        FILE *f = fopen(path, "r");

        while (f && fgets(line, sizeof(line), f)) {
                if (sscanf(line, "Private_Clean: %ld", &kib) == 1 ||
                    sscanf(line, "Private_Dirty: %ld", &kib) == 1)
                        total += kib;
        }
        if (f)
                fclose(f);
        return total;
}

int engine_fds(const struct engine *e)
{
        char path[64];
        int n = 0;

        snprintf(path, sizeof(path), "/proc/%d/fd", e->pid);

        DIR *d = opendir(path);

        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n - 2;
}
