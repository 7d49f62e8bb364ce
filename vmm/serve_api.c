/*
 * --api-sock in the program that has the API: the life of a VM that is configured over it.
 * Input:  options; requests are api/vm's.
 * Runs:   main thread = loop thread.
 * Limits: one machine.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "api/vm/api.h"
#include "vmm/base/uds.h"
#include "vmm/run.h"
#include "vmm/serve.h"
#include "vmm/status.h"

struct serve {
        struct vm_config config;
        struct run *run;
        struct uds uds;
        struct api *api;
        struct ev signals; /* until there is a machine, which has its own */
        bool asked;        /* for the start, by a client */
        bool ending;       /* a signal came before it */
};

static int on_signal(struct ev *ev, uint32_t events)
{
        struct serve *s = container_of(ev, struct serve, signals);

        (void)events;
        s->ending = true;
        loop_stop(s->run->loop);
        return 0;
}

static int watch_signals(struct serve *s)
{
        struct sigaction hangup;
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        if (sigaction(SIGHUP, NULL, &hangup) < 0 || hangup.sa_handler != SIG_IGN) /* as control.c has it */
                (void)sigaddset(&set, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return err_new(-errno);
        s->signals = (struct ev){ .call = on_signal, .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) };
        if (s->signals.fd < 0)
                return err_new(-errno);
        return loop_add(s->run->loop, &s->signals, EPOLLIN);
}

static void unwatch_signals(struct serve *s)
{
        loop_remove(s->run->loop, &s->signals);
        fd_closep(&s->signals.fd);
}

static int on_start(void *ctx, const struct vm_config *c, struct control **ret, struct problem *p)
{
        struct serve *s = ctx;

        if (s->ending)
                return problem_set(p, VMM_ENDED, "The process is ending.");
        s->config = *c;
        if (run_start(s->run, p))
                return -1;
        unwatch_signals(s);
        s->asked = true;
        *ret = machine_control(s->run->machine);
        return 0;
}

static int begin(struct serve *s, const struct vm_config *c, struct problem *p)
{
        struct api_config cfg = { .loop = s->run->loop, .base = c, .start = on_start, .ctx = s };
        int r;

        if (uds_listen("API", c->api_path, VMM_E_INPUT, p, &s->uds, &cfg.listen_fd))
                return -1;
        r = api_new(&s->api, &cfg);
        if (r < 0)
                return problem_set(p, VMM_E_HOST, "cannot serve the API: %s", strerror(-r));
        if (c->kernel) {
                if (run_start(s->run, p))
                        return -1;
                api_set_started(s->api, machine_control(s->run->machine));
                return 0;
        }
        r = watch_signals(s);
        return r < 0 ? problem_set(p, VMM_E_HOST, "cannot listen to signals: %s", strerror(-r)) : 0;
}

int serve_run(struct run *run, char **argv, struct problem *p)
{
        struct serve s = { .config = *run->config, .run = run, .signals.fd = -1 };
        struct vm_config *base = run->config;
        int status;

        (void)argv;
        /* cppcheck-suppress autoVariables ; put back below */
        run->config = &s.config;
        status = begin(&s, base, p) ? p->status : run_to_end(run, p);
        /* Firecracker's guests end by a reboot, and its clients take any status but 0 for a failure. */
        if (s.asked && status == VMM_REBOOT) {
                *p = (struct problem){ 0 };
                status = VMM_OK;
        }
        unwatch_signals(&s);
        api_free(s.api);
        uds_unlink(&s.uds);
        run_fini(run);
        run->config = base;
        return status;
}
