#pragma once
/*
 * A vCPU and its thread, which does KVM_RUN and hands exits to the buses, and nothing else of weight.
 *
 * The vCPU is set up on the main thread. vcpu_start() gives it a thread; vcpu_stop() ends and joins it,
 * from any other thread, whatever the guest does.
 */
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/cleanup.h"
#include "vmm/bus/bus.h"
#include "vmm/kvm/kvm.h"

struct vcpu;

/* Why a vCPU thread ended by itself. */
enum vcpu_end {
        VCPU_TRIPLE_FAULT,
        VCPU_FAILED, /* KVM cannot go on with this guest; `detail` says what it reported */
};

/* Exits that reached this process, by kind. */
enum vcpu_exit { VCPU_EXIT_IO, VCPU_EXIT_MMIO, VCPU_EXIT_INTR, VCPU_EXIT_OTHER };
#define VCPU_NR_EXITS 4
extern const char *const vcpu_exit_names[VCPU_NR_EXITS];

struct vcpu_env {
        const struct bus *mmio; /* borrowed, const from vcpu_start() on */
        const struct bus *pio;
        /* vCPU thread; the thread ends right after. @detail: one line, borrowed for the call. */
        void (*ended)(void *ctx, unsigned index, enum vcpu_end why, const char *detail);
        void *ctx;
};

/* @env: borrowed. @index is the APIC id as well. */
int must_check vcpu_new(struct vcpu **ret, struct kvm *kvm, unsigned index, const struct vcpu_env *env);
void vcpu_free(struct vcpu *vcpu);
DEFINE_CLEANUP(struct vcpu *, vcpu_free)

/* Registers as KVM names them; before vcpu_start(). */
int must_check vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid2 *cpuid);
int must_check vcpu_get_sregs(struct vcpu *vcpu, struct kvm_sregs *ret);
int must_check vcpu_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
int must_check vcpu_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);
int must_check vcpu_set_msrs(struct vcpu *vcpu, const struct kvm_msrs *msrs);
int must_check vcpu_get_lapic(struct vcpu *vcpu, struct kvm_lapic_state *ret);
int must_check vcpu_set_lapic(struct vcpu *vcpu, const struct kvm_lapic_state *lapic);

int must_check vcpu_start(struct vcpu *vcpu);
/* Does nothing for one that was never started. */
void vcpu_stop(struct vcpu *vcpu);

/*
 * A pause, from the thread that calls vcpu_stop(): vcpu_pause() asks, vcpu_wait_paused() returns once the
 * vCPU is out of its guest, where it stays until vcpu_resume(). A register access that was under way is
 * finished, though not necessarily by then: it may wait for the loop, or for a slow reader. KVM tells the
 * guest's watchdogs that it was stopped.
 *
 * To be called for one that is not started, is paused, or is not paused as well. vcpu_stop() ends a pause.
 */
void vcpu_pause(struct vcpu *vcpu);
void vcpu_wait_paused(struct vcpu *vcpu);
void vcpu_resume(struct vcpu *vcpu);

/* Any thread; of a vCPU that runs, what it was a moment ago. */
uint64_t vcpu_exits(const struct vcpu *vcpu, enum vcpu_exit kind);

/*
 * vcpu_open_stats() - from now on vcpu_kvm_stats() may be called. Paused, stopped or not started: KVM hands
 *                     the counters out between two runs only
 * Return: 0 (also when it was called before), or a negative errno where the kernel has none.
 */
int must_check vcpu_open_stats(struct vcpu *vcpu);
/*
 * vcpu_kvm_stats() - KVM's own counters of this vCPU (KVM_GET_STATS_FD)
 * @each: called for every counter that is a plain sum and not 0
 * Return: 0, or a negative errno where the kernel has none.
 */
int must_check vcpu_kvm_stats(struct vcpu *vcpu, void (*each)(void *ctx, const char *name, uint64_t n),
                              void *ctx);
