#pragma once
/*
 * A machine from inside: what machine.c (its life) and machine_make.c (its making) share.
 */
#include <stdatomic.h>

#include "vmm/base/loop.h"
#include "vmm/boot/initrd.h"
#include "vmm/boot/kernel.h"
#include "vmm/console.h"
#include "vmm/control.h"
#include "vmm/control_socket.h"
#include "vmm/dev/i8042.h"
#include "vmm/dev/power.h"
#include "vmm/dev/serial.h"
#include "vmm/devices.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/machine.h"
#include "vmm/output.h"

struct machine {
        const struct vm_config *config;
        struct files *files;
        struct timeline *timeline;

        struct loop *loop; /* borrowed */
        struct gmem *mem;
        struct kvm *kvm;
        struct bus mmio, pio;
        struct devices *devices;
        struct control *control;
        struct control_socket *control_socket;
        struct kernel kernel;
        struct initrd initrd;

        struct serial *serial;
        struct serial_out serial_out;    /* of a terminal, a pipe … */
        struct serial_sink console_file; /* or of a plain file: files->console */
        struct output *output;           /* NULL: not kept */
        struct kvm_irq serial_irq;
        struct console *console;
        struct kvm_irq button; /* power button; ACPI machines only, else fd -1 */
        struct i8042 i8042;
        struct power power;

        struct vcpu_env vcpu_env;
        struct vcpu *vcpus[CONFIG_CPUS_MAX];

        struct loop_timer boot_timer;
        uint64_t boot_left_ns;       /* paused: of the boot's time limit */
        struct log_bucket guest_log; /* loop */
        struct loop_post ready;      /* from a vCPU: the agent is ready */
        struct loop_post no_root;    /* from a vCPU: it could not mount the root image */
        bool is_ready;               /* loop */
        struct loop_post over;       /* from anywhere: the end is near */
        _Atomic int end;             /* enum vmm_status, or NO_END; the first one stays */
        char end_detail[160];        /* written by whoever set `end`, read after the vCPUs are joined */
};

/*
 * machine_make() - everything but the callbacks, which machine_new() has set
 * Return: 0, or -1 with *p filled; what was made is left for machine_free().
 */
int must_check machine_make(struct machine *m, struct problem *p);

/* The guest is to end (console, control); any thread. */
void machine_on_asked_end(void *ctx);
/* For control_config; loop thread. */
void machine_on_paused(void *ctx, bool paused);
