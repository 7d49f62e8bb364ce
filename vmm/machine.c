/*
 * A running VM: made, run to its end, taken apart.
 * Input:  checked configuration, opened files; kernel and initrd are hostile, and checked by boot/.
 * Runs:   main thread, the loop thread in machine_run(). Events of the guest come on vCPU threads.
 * Limits: those of config.h.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "vmm/arch/x86/layout.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/base/assert.h"
#include "vmm/base/io.h"
#include "vmm/base/loop.h"
#include "vmm/boot/cmdline.h"
#include "vmm/console.h"
#include "vmm/control.h"
#include "vmm/dev/i8042.h"
#include "vmm/dev/power.h"
#include "vmm/dev/serial.h"
#include "vmm/devices.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/status.h"

#define NO_END (-1)

struct machine {
        const struct vm_config *config;
        struct files *files;
        struct timeline *timeline;

        struct loop *loop;
        struct gmem *mem;
        struct kvm *kvm;
        struct bus mmio, pio;
        struct devices *devices;
        struct control *control;
        struct kernel kernel;
        struct initrd initrd;

        struct serial *serial;
        struct serial_out serial_out;
        struct kvm_irq serial_irq;
        struct console *console;
        struct i8042 i8042;
        struct power power;

        struct vcpu_env vcpu_env;
        struct vcpu *vcpus[CONFIG_CPUS_MAX];

        struct loop_timer boot_timer;
        struct loop_post ready; /* from a vCPU: the agent is ready */
        struct loop_post over;  /* from anywhere: the end is near */
        _Atomic int end;        /* enum vmm_status, or NO_END; the first one stays */
        char end_detail[160];   /* written by whoever set `end`, read after the vCPUs are joined */
};

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
        case POWER_EVENT_READY:
                timeline_mark(m->timeline, STAGE_AGENT_READY);
                loop_post(m->loop, &m->ready);
                break;
        }
}

static void on_ready(struct loop_post *post)
{
        struct machine *m = container_of(post, struct machine, ready);

        loop_timer_clear(m->loop, &m->boot_timer);
        control_set_ready(m->control);
        /* Who waits may be gone; the guest is ready all the same. */
        if (m->config->ready_fd >= 0)
                (void)!write(m->config->ready_fd, "ready\n", 6);
}

static int on_boot_timeout(struct loop_timer *timer)
{
        end(container_of(timer, struct machine, boot_timer), VMM_E_BOOT_TIMEOUT, "");
        return 0;
}

static void on_asked_end(void *ctx)
{
        end(ctx, VMM_ENDED, "");
}

static void on_serial_room(void *owner)
{
        struct machine *m = owner;

        if (m->console)
                console_has_room(m->console);
}

static int host_problem(struct problem *p, const char *what, int r)
{
        return problem_set(p, VMM_E_HOST, "%s: %s (%s)", what, strerror(-r), err_where());
}

/* What is free without pushing anything out is the cheap question; the kernel's estimate the dear one. */
static bool memory_is_free(uint64_t bytes)
{
        cleanup(freep) char *text = NULL;
        struct sysinfo info;
        const char *line;

        if (sysinfo(&info) < 0 || (uint64_t)info.freeram * info.mem_unit >= bytes)
                return true;
        if (io_read_file("/proc/meminfo", 16384, &text) < 0)
                return true;
        line = strstr(text, "MemAvailable:");
        return !line || strtoull(line + strlen("MemAvailable:"), NULL, 10) * 1024 >= bytes;
}

static int check_resources(struct machine *m, struct problem *p)
{
        const struct vm_config *c = m->config;
        unsigned max = kvm_max_vcpus(m->kvm), host = kvm_recommended_vcpus(m->kvm);

        if (c->cpus > max)
                return problem_set(p, VMM_E_RESOURCES, "%u vCPUs are more than this KVM allows: use at most %u", c->cpus,
                                   max);
        if (c->cpus > host)
                log_warn("%u vCPUs on a host of %u processors: they will wait for each other", c->cpus, host);
        if (!c->overcommit && !memory_is_free(c->memory_bytes))
                return problem_set(p, VMM_E_RESOURCES,
                                   "%" PRIu64 " MiB of memory are more than the host has free: use less, or --overcommit",
                                   c->memory_bytes >> 20);
        return 0;
}

static int make_vm(struct machine *m, struct problem *p)
{
        int r = kvm_new(&m->kvm, steal_fd(&m->files->kvm));

        if (r == KVM_E_VERSION)
                return problem_set(p, VMM_E_KVM, "/dev/kvm speaks another API version than 12: update the kernel");
        if (r == KVM_E_CAPS)
                return problem_set(p, VMM_E_KVM, "/dev/kvm is too old: Linux 4.12 or later is needed");
        if (r == -EBUSY)
                return problem_set(p, VMM_E_KVM, "/dev/kvm is busy: another hypervisor has the processor's extensions");
        if (r < 0)
                return problem_set(p, VMM_E_KVM, "cannot create a VM: %s", strerror(-r));
        if (check_resources(m, p))
                return -1;
        timeline_mark(m->timeline, STAGE_VM_CREATED);
        return 0;
}

static int make_memory(struct machine *m, struct problem *p)
{
        struct x86_range ranges[2];
        unsigned n = x86_ram(m->config->memory_bytes, ranges);
        uint64_t ram_end = ranges[0].size;
        int r = gmem_new(&m->mem);

        for (unsigned i = 0; i < n && !r; i++)
                r = gmem_add_ram(m->mem, GPA(ranges[i].at), ranges[i].size);
        if (r < 0)
                return problem_set(p, VMM_E_RESOURCES, "cannot reserve the guest's memory: %s", strerror(-r));
        r = kernel_load(m->mem, m->files->kernel, ram_end, &m->kernel);
        if (r > 0)
                return problem_set(p, VMM_E_INPUT, "kernel '%s': %s", m->config->kernel, kernel_strerror(r));
        if (r < 0)
                return host_problem(p, "cannot load the kernel", r);
        if (m->files->initrd < 0)
                return 0;
        r = initrd_load(m->mem, m->files->initrd, &m->kernel, ram_end, &m->initrd);
        if (r > 0)
                return problem_set(p, VMM_E_INPUT, "initrd '%s': %s", m->config->initrd ? m->config->initrd : "(ours)",
                                   initrd_strerror(r));
        return r < 0 ? host_problem(p, "cannot load the initrd", r) : 0;
}

static bool is_native(const struct machine *m)
{
        return m->config->platform == PLATFORM_NATIVE ||
               (m->config->platform == PLATFORM_AUTO && m->kernel.native);
}

static int make_chips(struct machine *m, struct problem *p)
{
        int r = kvm_create_irqchip(m->kvm);

        if (!r && !is_native(m))
                r = kvm_create_pit(m->kvm);
        if (!r)
                r = kvm_add_memory(m->kvm, m->mem);
        return r < 0 ? host_problem(p, "KVM cannot set up the machine", r) : 0;
}

static int make_serial(struct machine *m)
{
        struct serial_config cfg = { .sink = &m->serial_out.sink, .irq = &m->serial_irq.irq, .on_room = on_serial_room, .owner = m };
        int r;

        if (m->files->serial < 0)
                return 0;
        serial_out_init(&m->serial_out, m->files->serial);
        r = kvm_irq_init(&m->serial_irq, m->kvm, LAYOUT_COM1_GSI);
        if (!r)
                r = serial_new(&cfg, &m->serial);
        if (r < 0)
                return err_trace(r);
        bus_add(&m->pio, LAYOUT_COM1, SERIAL_PORTS, &serial_ops, m->serial);
        return 0;
}

static int make_devices(struct machine *m, struct problem *p)
{
        struct devices_env env = {
                .config = m->config, .files = m->files, .loop = m->loop, .mem = m->mem, .kvm = m->kvm, .mmio = &m->mmio,
        };
        int r = make_serial(m);

        if (!r)
                r = devices_new(&m->devices, &env);
        m->i8042.on_reset = on_reset_line;
        m->power.on_event = on_power_event;
        bus_add(&m->pio, LAYOUT_I8042, I8042_PORTS, &i8042_ops, &m->i8042);
        bus_add(&m->pio, LAYOUT_POWER, POWER_PORTS, &power_ops, &m->power);
        return r < 0 ? host_problem(p, "cannot make the devices", r) : 0;
}

static void make_cmdline(const struct machine *m, struct cmdline *line)
{
        const struct vm_config *c = m->config;
        const struct arch_device *list;
        unsigned n;

        if (m->serial)
                cmdline_add(line, "console=ttyS0");
        if (is_native(m)) {
                cmdline_add(line, NATIVE_CMDLINE);
                list = devices_list(m->devices, &n);
                for (unsigned i = 0; i < n; i++)
                        cmdline_add_virtio_mmio(line, list[i].base, list[i].size, list[i].gsi);
        } else {
                cmdline_add(line, "panic=-1");
        }
        if (c->has_image && m->files->has_agent)
                cmdline_add(line, c->disks[0].read_only ? "vmlet.root=/dev/vda vmlet.overlay=1"
                                                        : "vmlet.root=/dev/vda vmlet.overlay=0");
        else if (c->has_image)
                cmdline_add(line, c->disks[0].read_only ? "root=/dev/vda ro" : "root=/dev/vda rw");
        if (c->append)
                cmdline_add(line, c->append);
}

static int write_boot_memory(struct machine *m, struct problem *p)
{
        struct cmdline line = { 0 };
        struct arch_boot boot = {
                .platform = is_native(m) ? ARCH_NATIVE : ARCH_ACPI,
                .nr_vcpus = m->config->cpus,
                .memory_bytes = m->config->memory_bytes,
                .cmdline = line.text,
                .kernel = &m->kernel,
                .initrd = m->initrd,
                .has_serial = m->serial,
        };
        int r;

        make_cmdline(m, &line);
        if (line.too_long || line.len > m->kernel.cmdline_max)
                return problem_set(p, VMM_E_USAGE, "the kernel's command line is too long: shorten --append");
        boot.devices = devices_list(m->devices, &boot.nr_devices);
        log_debug("command line: %s", line.text);
        r = x86_setup_memory(m->mem, &boot);
        return r < 0 ? host_problem(p, "cannot write the boot structures", r) : 0;
}

static int set_boot_registers(struct machine *m)
{
        struct kvm_sregs sregs;
        struct kvm_regs regs;
        int r = vcpu_get_sregs(m->vcpus[0], &sregs);

        if (r < 0)
                return err_trace(r);
        x86_boot_sregs(&sregs);
        x86_boot_regs(m->kernel.entry, &regs);
        r = vcpu_set_sregs(m->vcpus[0], &sregs);
        if (!r)
                r = vcpu_set_regs(m->vcpus[0], &regs);
        return r < 0 ? err_trace(r) : 0;
}

static int make_vcpu(struct machine *m, unsigned i, struct kvm_cpuid2 *cpuid, const struct x86_msrs *msrs)
{
        int r = vcpu_new(&m->vcpus[i], m->kvm, i, &m->vcpu_env);

        if (r < 0)
                return err_trace(r);
        x86_cpuid_vcpu(cpuid, i);
        r = vcpu_set_cpuid(m->vcpus[i], cpuid);
        if (r < 0)
                return err_trace(r);
        /* SAFETY: struct x86_msrs begins as struct kvm_msrs does, and holds its entries. */
        r = vcpu_set_msrs(m->vcpus[i], (const struct kvm_msrs *)(const void *)msrs);
        return r < 0 ? err_trace(r) : 0;
}

static int make_vcpus(struct machine *m, struct problem *p)
{
        struct x86_cpuid_options options = {
                .nr_vcpus = m->config->cpus,
                .tsc_deadline = kvm_has(m->kvm, KVM_CAP_TSC_DEADLINE_TIMER),
        };
        cleanup(freep) struct kvm_cpuid2 *cpuid = NULL;
        struct x86_msrs msrs;
        int r;

        m->vcpu_env = (struct vcpu_env){ .mmio = &m->mmio, .pio = &m->pio, .ended = on_vcpu_ended, .ctx = m };
        r = kvm_supported_cpuid(m->kvm, X86_CPUID_EXTRA, &cpuid);
        if (r < 0)
                return host_problem(p, "KVM does not tell its processor", r);
        x86_cpuid_prepare(cpuid, cpuid->nent + X86_CPUID_EXTRA, &options);
        x86_boot_msrs(&msrs);
        for (unsigned i = 0; i < m->config->cpus && !r; i++)
                r = make_vcpu(m, i, cpuid, &msrs);
        if (!r)
                r = set_boot_registers(m);
        return r < 0 ? host_problem(p, "KVM cannot make the vCPUs", r) : 0;
}

static int make_controls(struct machine *m, struct problem *p)
{
        struct control_config cfg = {
                .loop = m->loop,
                .vsock = devices_vsock(m->devices),
                .grace_ns = m->config->grace_ns,
                .on_end = on_asked_end,
                .ctx = m,
        };
        int r = control_new(&m->control, &cfg);

        if (!r && m->serial && !strcmp(m->config->serial, "stdio"))
                r = console_new(&m->console, m->loop, m->serial, on_asked_end, m);
        return r < 0 ? host_problem(p, "cannot listen to signals and keys", r) : 0;
}

static int make(struct machine *m, struct problem *p)
{
        int r = loop_new(&m->loop);

        if (r < 0)
                return host_problem(p, "cannot make the event loop", r);
        if (make_vm(m, p) || make_memory(m, p) || make_chips(m, p) || make_devices(m, p) ||
            write_boot_memory(m, p) || make_vcpus(m, p) || make_controls(m, p))
                return -1;
        return 0;
}

int machine_new(struct machine **ret, const struct vm_config *c, struct files *files, struct timeline *timeline,
                struct problem *p)
{
        cleanup(machine_freep) struct machine *m = calloc(1, sizeof(*m));

        if (!m)
                return problem_set(p, VMM_E_HOST, "out of memory");
        m->config = c;
        m->files = files;
        m->timeline = timeline;
        m->serial_irq.fd = -1;
        m->boot_timer.call = on_boot_timeout;
        m->ready.call = on_ready;
        m->over.call = on_over;
        atomic_init(&m->end, NO_END);
        if (make(m, p))
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
                (void)problem_set(p, status, "the guest's agent was not ready within %" PRIu64
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
                ASSERT(!"an end of a running machine");
        }
        return status;
}

int machine_run(struct machine *m, struct problem *p)
{
        int r = 0;

        if (m->files->has_agent && m->config->boot_timeout_ns)
                loop_timer_set(m->loop, &m->boot_timer, m->config->boot_timeout_ns);
        timeline_mark(m->timeline, STAGE_FIRST_INSTRUCTION);
        for (unsigned i = 0; i < m->config->cpus && !r; i++)
                r = vcpu_start(m->vcpus[i]);
        if (!r)
                r = loop_run(m->loop);
        stop_vcpus(m);
        if (r < 0) {
                (void)host_problem(p, "the VM had to end", r);
                return VMM_E_HOST;
        }
        return word_end(m, p);
}

static void write_kvm_stat(void *ctx, const char *name, uint64_t n)
{
        (void)fprintf(ctx, ",\"%s\":%" PRIu64, name, n);
}

void machine_write_stats(struct machine *m, FILE *f)
{
        (void)fputs("{\"vcpus\":[", f);
        for (unsigned i = 0; i < m->config->cpus; i++) {
                (void)fprintf(f, "%s{\"exits\":{", i ? "," : "");
                for (unsigned k = 0; k < VCPU_NR_EXITS; k++)
                        (void)fprintf(f, "%s\"%s\":%" PRIu64, k ? "," : "", vcpu_exit_names[k],
                                      vcpu_exits(m->vcpus[i], (enum vcpu_exit)k));
                (void)fputs("},\"kvm\":{\"index\":0", f);
                if (vcpu_kvm_stats(m->vcpus[i], write_kvm_stat, f) < 0)
                        log_debug("this kernel has no counters of vCPUs");
                (void)fputs("}}", f);
        }
        (void)fputs("],\"devices\":{", f);
        devices_write_stats(m->devices, f);
        (void)fputs("}}\n", f);
}

void machine_free(struct machine *m)
{
        if (!m)
                return;
        console_free(m->console);
        control_free(m->control);
        for (unsigned i = 0; i < CONFIG_CPUS_MAX; i++)
                vcpu_free(m->vcpus[i]);
        devices_free(m->devices);
        serial_free(m->serial);
        kvm_irq_fini(&m->serial_irq);
        kvm_free(m->kvm);
        gmem_free(m->mem);
        loop_free(m->loop);
        free(m);
}
