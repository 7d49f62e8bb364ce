/*
 * A machine, made: memory, kernel, chips, devices, vCPUs.
 * Input:  checked configuration, opened files; kernel and initrd are hostile, and checked by boot/.
 * Runs:   main thread.
 * Limits: those of config.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "vmm/arch/x86/layout.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/base/io.h"
#include "vmm/boot/cmdline.h"
#include "vmm/machine_priv.h"
#include "vmm/status.h"

#define UPPER_SERIAL "upper"

_Static_assert(CONFIG_DISKS_MAX <= 26, "one letter names a disk");

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
                return problem_set(p, VMM_E_RESOURCES,
                                   "%u vCPUs are more than this KVM allows: use at most %u", c->cpus, max);
        if (c->cpus > host)
                log_warn("%u vCPUs on a host of %u processors: they will wait for each other", c->cpus, host);
        if (!c->overcommit && !memory_is_free(c->memory_bytes))
                return problem_set(p, VMM_E_RESOURCES,
                                   "%" PRIu64 " MiB of memory are more than the host has free: use less, or "
                                   "--overcommit",
                                   c->memory_bytes >> 20);
        return 0;
}

static int make_vm(struct machine *m, struct problem *p)
{
        int r = kvm_new(&m->kvm, steal_fd(&m->files->kvm));

        if (r == KVM_E_VERSION)
                return problem_set(p, VMM_E_KVM,
                                   "/dev/kvm speaks another API version than 12: update the kernel");
        if (r == KVM_E_CAPS)
                return problem_set(p, VMM_E_KVM, "/dev/kvm is too old: Linux 4.12 or later is needed");
        if (r == -EBUSY)
                return problem_set(p, VMM_E_KVM,
                                   "/dev/kvm is busy: another hypervisor has the processor's extensions");
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
                return problem_set(p, VMM_E_INPUT, "initrd '%s': %s",
                                   m->config->initrd ? m->config->initrd : "(ours)", initrd_strerror(r));
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
        if (!r && !is_native(m))
                r = kvm_irq_init(&m->button, m->kvm, LAYOUT_BUTTON_GSI);
        if (!r)
                r = kvm_add_memory(m->kvm, m->mem);
        return r < 0 ? host_problem(p, "KVM cannot set up the machine", r) : 0;
}

/* A vCPU's thread waits for the page cache, and nobody else. */
static void write_console_file(struct serial_sink *sink, const uint8_t *bytes, size_t n)
{
        struct machine *m = container_of(sink, struct machine, console_file);
        union {
                const uint8_t *in;
                void *out; /* writev() only reads */
        } text = { .in = bytes };

        capfile_write(&m->files->console, &(struct iovec){ text.out, n }, 1);
}

static int make_serial(struct machine *m)
{
        bool is_file = m->files->console.folder >= 0;
        struct serial_config cfg = {
                .sink = is_file ? &m->console_file : &m->serial_out.sink,
                .irq = &m->serial_irq.irq,
                .on_room = on_serial_room,
                .owner = m,
        };
        int r;

        if (m->files->serial < 0 && !is_file)
                return 0;
        m->console_file.write = write_console_file;
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
                .config = m->config,
                .files = m->files,
                .loop = m->loop,
                .mem = m->mem,
                .kvm = m->kvm,
                .mmio = &m->mmio,
                .native = m->kernel.native,
        };
        int r = make_serial(m);

        if (!r && m->files->output.folder >= 0)
                r = output_new(&m->output, m->loop, &m->files->output);
        env.output = m->output;
        if (!r)
                r = devices_new(&m->devices, &env);
        bus_add(&m->pio, LAYOUT_I8042, I8042_PORTS, &i8042_ops, &m->i8042);
        bus_add(&m->pio, LAYOUT_POWER, POWER_PORTS, &power_ops, &m->power);
        return r < 0 ? host_problem(p, "cannot make the devices", r) : 0;
}

/* A disk that says so by its serial holds the changes to a read-only image, in place of the guest's memory. */
static void add_upper(const struct vm_config *c, struct cmdline *line)
{
        char word[] = "vmlet.upper=/dev/vdX";

        for (unsigned i = 1; i < c->nr_disks; i++) {
                if (!strcmp(c->disks[i].serial, UPPER_SERIAL)) {
                        word[sizeof(word) - 2] = (char)('a' + i);
                        cmdline_add(line, word);
                        return;
                }
        }
}

static void make_cmdline(const struct machine *m, struct cmdline *line)
{
        const struct vm_config *c = m->config;
        const struct arch_device *list;
        unsigned n;

        if (m->serial && !c->bare_cmdline)
                cmdline_add(line, "console=ttyS0");
        if (is_native(m)) {
                cmdline_add(line, NATIVE_CMDLINE);
                if (!m->serial)
                        cmdline_add(line, "8250.nr_uarts=0"); /* looking for one costs 60 exits */
                list = devices_list(m->devices, &n);
                for (unsigned i = 0; i < n; i++)
                        cmdline_add_virtio_mmio(line, list[i].base, list[i].size, list[i].gsi);
        } else if (!c->bare_cmdline) {
                cmdline_add(line, "panic=-1");
        }
        if (c->has_image && m->files->has_agent) {
                cmdline_add(line, c->disks[0].read_only ? "vmlet.root=/dev/vda vmlet.overlay=1"
                                                        : "vmlet.root=/dev/vda vmlet.overlay=0");
                if (c->disks[0].read_only)
                        add_upper(c, line);
        }
        if (c->has_image && !m->files->has_agent)
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

        make_cmdline(m, &line);
        if (line.too_long || line.len > m->kernel.cmdline_max)
                return problem_set(p, VMM_E_USAGE, "the kernel's command line is too long: shorten --append");
        boot.devices = devices_list(m->devices, &boot.nr_devices);
        log_debug("command line: %s", line.text);
        x86_setup_memory(m->mem, &boot);
        return 0;
}

/* See x86_boot_lapic(). */
static int close_pic_line(struct vcpu *vcpu)
{
        struct kvm_lapic_state lapic;
        int r = vcpu_get_lapic(vcpu, &lapic);

        if (r < 0)
                return err_trace(r);
        x86_boot_lapic(&lapic);
        return vcpu_set_lapic(vcpu, &lapic);
}

static int set_boot_registers(struct machine *m)
{
        struct kvm_sregs sregs;
        struct kvm_regs regs;
        int r;

        x86_boot_sregs(&sregs);
        x86_boot_regs(m->kernel.entry, &regs);
        r = vcpu_set_sregs(m->vcpus[0], &sregs);
        if (!r)
                r = vcpu_set_regs(m->vcpus[0], &regs);
        if (!r && !is_native(m))
                r = close_pic_line(m->vcpus[0]);
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
                .devices = m->devices,
                .vcpus = m->vcpus,
                .nr_vcpus = m->config->cpus,
                .vsock = devices_vsock(m->devices),
                .button = m->button.fd >= 0 ? &m->button.irq : NULL,
                .grace_ns = m->config->grace_ns,
                .lifetime_ns = m->config->lifetime_ns,
                .on_end = machine_on_asked_end,
                .on_paused = machine_on_paused,
                .ctx = m,
        };
        int r = control_new(&m->control, &cfg);

        if (!r && m->serial && !strcmp(m->config->serial, "stdio"))
                r = console_new(&m->console, m->loop, m->serial, machine_on_asked_end, m);
        if (!r && m->files->control >= 0)
                r = control_socket_new(&m->control_socket, m->loop, m->control, steal_fd(&m->files->control));
        return r < 0 ? host_problem(p, "cannot listen to signals, keys and requests", r) : 0;
}

int machine_make(struct machine *m, struct problem *p)
{
        if (make_vm(m, p) || make_memory(m, p) || make_chips(m, p) || make_devices(m, p) ||
            write_boot_memory(m, p) || make_vcpus(m, p) || make_controls(m, p))
                return -1;
        return 0;
}
