/*
 * Requests about the VM as a whole.
 * Input:  checked bodies.
 * Runs:   loop thread.
 * Limits: none of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "api/vm/handle.h"
#include "vmm/base/compiler.h"
#include "vmm/base/log.h"

static const char *state_word(const struct vm *vm)
{
        if (!vm->control || control_state(vm->control) == CONTROL_STARTING)
                return "Not started";
        return control_state(vm->control) == CONTROL_PAUSED ? "Paused" : "Running";
}

int handle_describe(struct vm *vm, struct request *q)
{
        (void)fputs("{\"id\":", q->out);
        json_put_string(q->out, *vm->cfg.base->id ? vm->cfg.base->id : "anonymous-instance");
        (void)fprintf(q->out,
                      ",\"state\":\"%s\",\"vmm_version\":\"" VMLET_VERSION "\",\"app_name\":\"vmlet\"}",
                      state_word(vm));
        return 0;
}

int handle_version(struct vm *vm, struct request *q)
{
        (void)vm;
        (void)fputs("{\"firecracker_version\":\"" VMLET_VERSION "\"}", q->out);
        return 0;
}

int handle_get_config(struct vm *vm, struct request *q)
{
        const struct {
                const char *name;
                const struct schema *schema;
                const void *body;
                bool given;
        } parts[] = {
                { "balloon", &body_balloon_schema, &vm->balloon, vm->balloon.given },
                { "boot-source", &body_boot_schema, &vm->boot, vm->boot.given },
                { "entropy", &body_entropy_schema, &vm->entropy, vm->entropy.given },
                { "logger", &body_logger_schema, &vm->logger, vm->logger.given },
                { "machine-config", &body_machine_schema, &vm->machine, true },
                { "metrics", &body_metrics_schema, &vm->metrics, vm->metrics.given },
                { "serial", &body_serial_schema, &vm->serial, vm->serial.given },
                { "vsock", &body_vsock_schema, &vm->vsock, vm->vsock.given },
        };

        (void)fputs("{\"drives\":[", q->out);
        for (unsigned i = 0; i < vm->nr_drives; i++) {
                (void)fputs(i ? "," : "", q->out);
                schema_write(&body_drive_schema, &vm->drives[i].body, q->out);
        }
        (void)fputc(']', q->out);
        for (unsigned i = 0; i < array_size(parts); i++) {
                if (!parts[i].given)
                        continue;
                (void)fprintf(q->out, ",\"%s\":", parts[i].name);
                schema_write(parts[i].schema, parts[i].body, q->out);
        }
        (void)fputs(",\"network-interfaces\":[", q->out);
        for (unsigned i = 0; i < vm->nr_nets; i++) {
                (void)fputs(i ? "," : "", q->out);
                schema_write(&body_net_schema, &vm->nets[i].body, q->out);
        }
        (void)fputs("]}", q->out);
        return 0;
}

static int must_be(const struct vm *vm, bool started, struct problem *p)
{
        if (!started == !vm->control)
                return 0;
        return problem_set(p, VM_REFUSED, "The requested operation is not supported %s starting the microVM.",
                           started ? "before" : "after");
}

static int flush_metrics(struct vm *vm, struct problem *p)
{
        if (vm->metrics_fd < 0)
                return problem_set(p, VM_REFUSED, "There is no file for metrics: name one by PUT /metrics");
        return vm_flush(vm, p);
}

/* There is no keyboard: what Ctrl-Alt-Del is sent for is asked in other ways. */
static int press(struct vm *vm, struct problem *p)
{
        int r = control_press(vm->control);

        if (r == -EOPNOTSUPP)
                return problem_set(
                        p, VM_REFUSED,
                        "Nobody in this guest would hear: it has neither our agent nor ACPI's power button");
        return r < 0 ? problem_set(p, VM_REFUSED, "The guest cannot be asked to power off: %s", strerror(-r))
                     : 0;
}

int handle_action(struct vm *vm, struct request *q)
{
        switch (q->body->action.action_type.v) {
        case ACTION_START:
                return must_be(vm, false, q->p) ? -1 : vm_start(vm, q->p);
        case ACTION_FLUSH_METRICS:
                return must_be(vm, true, q->p) ? -1 : flush_metrics(vm, q->p);
        case ACTION_CTRL_ALT_DEL:
        default:
                return must_be(vm, true, q->p) ? -1 : press(vm, q->p);
        }
}

int handle_state(struct vm *vm, struct request *q)
{
        bool pause = q->body->vm.state.v == STATE_PAUSED;
        int r = pause ? control_pause(vm->control) : control_resume(vm->control);

        if (r < 0)
                return problem_set(q->p, VM_REFUSED, "The VM cannot be %s: %s", pause ? "paused" : "resumed",
                                   r == -EBUSY ? "it is coming to its end" : strerror(-r));
        return 0;
}

/* A file, or a named pipe, which may have no reader yet. */
static int open_output(const char *what, const char *path, struct problem *p)
{
        int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

        if (fd < 0)
                (void)problem_set(p, VM_REFUSED, "The file '%s' for %s cannot be opened: %s", path, what,
                                  strerror(errno));
        return fd;
}

int handle_logger(struct vm *vm, struct request *q)
{
        const struct body_logger *b = &q->body->logger;
        int level = b->level.given ? (int)b->level.v : LEVEL_INFO, fd = -1;

        if (b->module.given)
                return problem_set(q->p, VM_REFUSED,
                                   "A filter by module is not supported by this version of vmlet.");
        if (b->log_path.given) {
                fd = open_output("log lines", b->log_path.v, q->p);
                if (fd < 0)
                        return -1;
        }
        /* Error is the lowest of ours, and Trace has nothing that Debug has not. */
        log_adjust(level > LEVEL_DEBUG ? (int)LOG_DEBUG : level - LEVEL_ERROR, b->show_log_origin.v);
        log_redirect(fd);
        fd_closep(&vm->log_fd);
        vm->log_fd = fd;
        vm->logger = *b;
        handle_keep(&vm->logger_doc, q);
        return 0;
}

int handle_metrics(struct vm *vm, struct request *q)
{
        if (vm->metrics.given)
                return problem_set(q->p, VM_REFUSED, "The metrics system was already initialized.");
        vm->metrics_fd = open_output("metrics", q->body->metrics.metrics_path.v, q->p);
        if (vm->metrics_fd < 0)
                return -1;
        vm->metrics = q->body->metrics;
        handle_keep(&vm->metrics_doc, q);
        return 0;
}
