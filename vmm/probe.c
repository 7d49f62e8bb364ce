/*
 * Is there a KVM here that a guest gets through its boot on?
 * Input:  the host.
 * Runs:   main thread.
 * Limits: GUEST_LIMIT_MS for the tiny guest.
 */
#include "vmm/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/loop.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vcpu.h"

#define GUEST_LIMIT_MS 1000

/*
 * On the processor the guest needs as long as the host, within a small factor, plus one entry. Software
 * that interprets needs a hundred times as long. In between lies nothing we know of.
 */
#define SLOWER_MAX 20.0
#define ENTRY_NS   30000000.0
/* A busy host may take the processor away in the middle; an interpreter is slow every time. */
#define ATTEMPTS 3

static const char *const names[] = { "usable", "missing", "denied", "broken", "emulated" };

static void verdict(struct probe *p, enum probe_verdict v, const char *why, int error)
{
        p->verdict = v;
        (void)snprintf(p->why, sizeof(p->why), "%s%s%s", why, error ? ": " : "",
                       error ? strerror(error) : "");
}

struct run {
        int done; /* eventfd: the guest wrote to its port, or stopped */
        _Atomic bool finished;
};

static uint64_t on_read(void *owner, uint64_t off, unsigned len)
{
        (void)owner, (void)off, (void)len;
        return UINT64_MAX;
}

static void on_write(void *owner, uint64_t off, unsigned len, uint64_t value)
{
        struct run *run = owner;

        (void)off, (void)len, (void)value;
        run->finished = true;
        (void)!eventfd_write(run->done, 1);
}

static const struct bus_ops port_ops = { .read = on_read, .write = on_write };

static void on_ended(void *ctx, unsigned index, enum vcpu_end why, const char *detail)
{
        struct run *run = ctx;

        (void)index, (void)why, (void)detail;
        (void)!eventfd_write(run->done, 1);
}

static int set_up(struct kvm *kvm, struct gmem *mem, struct vcpu *vcpu)
{
        struct kvm_sregs sregs;
        struct kvm_regs regs;
        int r = vcpu_get_sregs(vcpu, &sregs);

        (void)kvm;
        if (!r)
                r = x86_probe_setup(mem, &sregs, &regs);
        if (!r)
                r = vcpu_set_sregs(vcpu, &sregs);
        if (!r)
                r = vcpu_set_regs(vcpu, &regs);
        return r;
}

/* Return: 0 with the time, or a negative errno. */
static int time_guest(struct kvm *kvm, double *ret_ns)
{
        cleanup(gmem_freep) struct gmem *mem = NULL;
        cleanup(fd_closep) int done = eventfd(0, EFD_CLOEXEC);
        struct run run = { .done = done };
        struct bus pio = { 0 }, mmio = { 0 };
        struct vcpu_env env = { .mmio = &mmio, .pio = &pio, .ended = on_ended, .ctx = &run };
        cleanup(vcpu_freep) struct vcpu *vcpu = NULL;
        struct pollfd wait = { .fd = done, .events = POLLIN };
        uint64_t start;
        int r;

        bus_add(&pio, X86_PROBE_PORT, 1, &port_ops, &run);
        r = gmem_new(&mem);
        if (!r)
                r = gmem_add_ram(mem, GPA(0), X86_PROBE_RAM);
        if (!r)
                r = kvm_add_memory(kvm, mem);
        if (!r)
                r = vcpu_new(&vcpu, kvm, 0, &env);
        if (!r)
                r = set_up(kvm, mem, vcpu);
        start = loop_now_ns();
        if (!r)
                r = vcpu_start(vcpu);
        if (r)
                return r < 0 ? r : -EIO;
        r = poll(&wait, 1, GUEST_LIMIT_MS);
        *ret_ns = (double)(loop_now_ns() - start);
        vcpu_stop(vcpu);
        if (!r)
                *ret_ns = 0;
        return r && !run.finished ? -EIO : 0;
}

static double time_host(void)
{
        volatile uint32_t unused;
        uint64_t start = loop_now_ns();

        unused = x86_probe_host();
        (void)unused;
        return (double)(loop_now_ns() - start);
}

static bool is_fast(const struct probe *p)
{
        return p->guest_ns > 0 && p->guest_ns < ENTRY_NS + SLOWER_MAX * p->host_ns;
}

static void judge_speed(struct probe *p)
{
        if (is_fast(p))
                verdict(p, PROBE_USABLE, "a guest runs at the processor's speed", 0);
        else
                verdict(p, PROBE_EMULATED,
                        "this KVM interprets its guests: a kernel would not get through its boot", 0);
}

/* Return: true when another attempt may tell more. */
static bool attempt(struct probe *p)
{
        cleanup(kvm_freep) struct kvm *kvm = NULL;
        int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), r;

        *p = (struct probe){ 0 };
        if (fd < 0) {
                if (errno == EACCES || errno == EPERM)
                        verdict(p, PROBE_DENIED,
                                "no permission for /dev/kvm: join its group (usermod -aG kvm NAME)", 0);
                else
                        verdict(p, PROBE_MISSING, "/dev/kvm", errno);
                return false;
        }
        r = kvm_new(&kvm, fd);
        if (r > 0) {
                verdict(p, PROBE_BROKEN, "this KVM is too old: Linux 4.12 or later is needed", 0);
                return false;
        }
        if (!r)
                r = time_guest(kvm, &p->guest_ns);
        if (r < 0) {
                verdict(p, PROBE_BROKEN, "a tiny guest does not run", -r);
                return false;
        }
        p->host_ns = time_host();
        judge_speed(p);
        return !is_fast(p);
}

void probe_run(struct probe *probe)
{
        for (unsigned n = 0; n < ATTEMPTS && attempt(probe);)
                n++;
}

void probe_write_words(const struct probe *p, FILE *f)
{
        (void)fprintf(f, "kvm: %s (%s)\n", names[p->verdict], p->why);
        if (p->host_ns > 0 && p->guest_ns > 0)
                (void)fprintf(f, "a tiny guest took %.2f ms, the same work on the host %.2f ms\n",
                              p->guest_ns / 1e6, p->host_ns / 1e6);
        else if (p->host_ns > 0)
                (void)fprintf(
                        f, "a tiny guest did not end within %d ms, the same work on the host took %.2f ms\n",
                        GUEST_LIMIT_MS, p->host_ns / 1e6);
}

void probe_write_json(const struct probe *p, FILE *f)
{
        (void)fprintf(f, "{\"kvm\":\"%s\",\"why\":", names[p->verdict]);
        json_put_string(f, p->why);
        (void)fprintf(f, ",\"guest_ns\":%.0f,\"host_ns\":%.0f}\n", p->guest_ns, p->host_ns);
}
