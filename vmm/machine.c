/*
 * A machine's life: it runs, its guest makes events, it ends.
 * Input:  events of the guest.
 * Runs:   main thread = loop thread; events on vCPU threads.
 * Limits: one end, whichever comes first.
 */
#include "vmm/machine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/machine_priv.h"
#include "vmm/status.h"

#define NO_END (-1)

/* Any thread. */
static void end(struct machine *m, enum vmm_status status, const char *detail)
{
        int none = NO_END;

        if (!atomic_compare_exchange_strong(&m->end, &none, (int)status))
                return;
        (void)snprintf(m->end_detail, sizeof(m->end_detail), "%s", detail);
        loop_post(m->loop, &m->over);
}

static void on_over(struct loop_post *post)
{
        loop_stop(container_of(post, struct machine, over)->loop);
}

static void on_vcpu_ended(void *ctx, unsigned index, enum vcpu_end why, const char *detail)
{
        (void)index;
        end(ctx, why == VCPU_TRIPLE_FAULT ? VMM_TRIPLE_FAULT : VMM_GUEST_FAILED, detail);
}

static void on_reset_line(struct i8042 *kbd)
{
        end(container_of(kbd, struct machine, i8042), VMM_REBOOT, "");
}

static void on_power_event(struct power *power, enum power_event event)
{
        struct machine *m = container_of(power, struct machine, power);

        switch (event) {
        case POWER_EVENT_OFF:
                end(m, VMM_OK, "");
                break;
        case POWER_EVENT_RESET:
                end(m, VMM_REBOOT, "");
                break;
        case POWER_EVENT_PANIC:
                end(m, VMM_PANIC, "");
                break;
        case POWER_EVENT_KERNEL:
                timeline_mark(m->timeline, STAGE_KERNEL);
                break;
        case POWER_EVENT_INIT:
                timeline_mark(m->timeline, STAGE_INIT);
                break;
        case POWER_EVENT_NO_ROOT:
                loop_post(m->loop, &m->no_root);
                break;
        case POWER_EVENT_READY:
                timeline_mark(m->timeline, STAGE_AGENT_READY);
                loop_post(m->loop, &m->ready);
                break;
        }
}

static void on_ready(struct loop_post *post)
{
        struct machine *m = container_of(post, struct machine, ready);

        /* A guest may say so as often as it likes; who waits is told once. */
        if (m->is_ready)
                return;
        m->is_ready = true;
        loop_timer_clear(m->loop, &m->boot_timer);
        control_set_ready(m->control);
        /* Who waits may be gone; the guest is ready all the same. */
        if (m->config->ready_fd >= 0)
                (void)!write(m->config->ready_fd, "ready\n", 6);
}

static void on_no_root(struct loop_post *post)
{
        struct machine *m = container_of(post, struct machine, no_root);

        log_guest(&m->guest_log, "agent", "the guest cannot mount '%s' as its root: vmlet exec says why",
                  m->config->has_image ? m->config->disks[0].path : "(no image)");
}

static int on_boot_timeout(struct loop_timer *timer)
{
        end(container_of(timer, struct machine, boot_timer), VMM_E_BOOT_TIMEOUT, "");
        return 0;
}

void machine_on_asked_end(void *ctx)
{
        end(ctx, VMM_ENDED, "");
}

/* What the guest cannot do while it is paused it need not be in time for. */
void machine_on_paused(void *ctx, bool paused)
{
        struct machine *m = ctx;
        uint64_t now = loop_now_ns();

        if (paused && m->boot_timer.at_ns) {
                m->boot_left_ns = m->boot_timer.at_ns > now ? m->boot_timer.at_ns - now : 1;
                loop_timer_clear(m->loop, &m->boot_timer);
        } else if (!paused && m->boot_left_ns) {
                loop_timer_set(m->loop, &m->boot_timer, m->boot_left_ns);
                m->boot_left_ns = 0;
        }
}

int machine_new(struct machine **ret, struct loop *loop, const struct vm_config *c, struct files *files,
                struct timeline *timeline, struct problem *p)
{
        cleanup(machine_freep) struct machine *m = calloc(1, sizeof(*m));

        if (!m)
                return problem_set(p, VMM_E_HOST, "out of memory");
        m->loop = loop;
        m->config = c;
        m->files = files;
        m->timeline = timeline;
        m->serial_irq.fd = -1;
        m->button.fd = -1;
        m->boot_timer.call = on_boot_timeout;
        m->ready.call = on_ready;
        m->no_root.call = on_no_root;
        m->over.call = on_over;
        atomic_init(&m->end, NO_END);
        m->vcpu_env = (struct vcpu_env){ .mmio = &m->mmio, .pio = &m->pio, .ended = on_vcpu_ended, .ctx = m };
        m->i8042.on_reset = on_reset_line;
        m->power.on_event = on_power_event;
        if (machine_make(m, p))
                return -1;
        *ret = steal_ptr(&m);
        return 0;
}

/* The order matters: who waits for the loop is let go, then who writes to the console, then all end. */
static void stop_vcpus(struct machine *m)
{
        loop_close(m->loop);
        if (m->serial)
                serial_out_stop(&m->serial_out);
        for (unsigned i = 0; i < m->config->cpus && m->vcpus[i]; i++)
                vcpu_stop(m->vcpus[i]);
}

static int word_end(const struct machine *m, struct problem *p)
{
        int status = atomic_load(&m->end);

        switch ((enum vmm_status)status) {
        case VMM_OK:
                return VMM_OK;
        case VMM_REBOOT:
                (void)problem_set(p, status, "the guest asked for a reboot");
                break;
        case VMM_TRIPLE_FAULT:
                (void)problem_set(p, status, "triple fault: the guest's kernel crashed without a word");
                break;
        case VMM_PANIC:
                (void)problem_set(p, status, "the guest's kernel panicked: its console (--serial) says why");
                break;
        case VMM_ENDED:
                (void)problem_set(p, status, "ended before the guest powered off");
                break;
        case VMM_E_BOOT_TIMEOUT:
                (void)problem_set(p, status,
                                  "the guest's agent was not ready within %" PRIu64
                                  " ms: see its console (--serial), or allow more with --boot-timeout",
                                  m->config->boot_timeout_ns / 1000000);
                break;
        case VMM_GUEST_FAILED:
                (void)problem_set(p, status, "KVM cannot run this guest: %s", m->end_detail);
                break;
        case VMM_E_HOST:
        case VMM_E_USAGE:
        case VMM_E_INPUT:
        case VMM_E_KVM:
        case VMM_E_RESOURCES:
                ASSERT(false); /* no end of a running machine */
        }
        return status;
}

int machine_start(struct machine *m)
{
        int r = 0;

        if (m->files->has_agent && m->config->boot_timeout_ns)
                loop_timer_set(m->loop, &m->boot_timer, m->config->boot_timeout_ns);
        timeline_mark(m->timeline, STAGE_FIRST_INSTRUCTION);
        for (unsigned i = 0; i < m->config->cpus && !r; i++)
                r = vcpu_start(m->vcpus[i]);
        if (!r)
                control_set_started(m->control);
        return r < 0 ? err_trace(r) : 0;
}

/* What the guest sent before its end may still lie in its queue. */
static void drain_output(struct machine *m)
{
        struct virtio_dev *vsock = devices_vsock(m->devices);

        if (!m->output)
                return;
        for (unsigned qi = 0; vsock && qi < vsock->cls->nr_queues; qi++)
                (void)!virtio_kick(vsock, qi);
        output_drain(m->output);
}

static void tell_lost(const char *what, const struct capfile *file)
{
        if (file->lost_bytes)
                log_warn("%" PRIu64 " bytes of %s could not be written", file->lost_bytes, what);
}

int machine_end(struct machine *m, int r, struct problem *p)
{
        stop_vcpus(m);
        drain_output(m);
        tell_lost("the console", &m->files->console);
        tell_lost("the output", &m->files->output);
        if (r < 0) {
                (void)problem_set(p, VMM_E_HOST, "the VM had to end: %s (%s)", strerror(-r), err_where());
                return VMM_E_HOST;
        }
        return word_end(m, p);
}

struct control *machine_control(struct machine *m)
{
        return m->control;
}

void machine_report(const struct machine *m, struct exit_report *ret)
{
        ret->is_lifetime = control_cause(m->control) == CONTROL_BY_LIFETIME;
        ret->has_main = m->output && output_main(m->output, &ret->main);
}

void machine_write_stats(struct machine *m, FILE *f)
{
        control_write_metrics(m->control, f, METRICS_JSON);
}

void machine_free(struct machine *m)
{
        if (!m)
                return;
        console_free(m->console);
        control_socket_free(m->control_socket);
        control_free(m->control);
        for (unsigned i = 0; i < CONFIG_CPUS_MAX; i++)
                vcpu_free(m->vcpus[i]);
        devices_free(m->devices);
        output_free(m->output);
        serial_free(m->serial);
        kvm_irq_fini(&m->serial_irq);
        kvm_irq_fini(&m->button);
        kvm_free(m->kvm);
        gmem_free(m->mem);
        free(m);
}
