/*
 * A vCPU and its thread.
 * Input:  exits that KVM decoded; addresses and values are the guest's, hostile.
 * Runs:   its own thread, but for set-up, pause and stop.
 * Limits: one page of port data an exit, which KVM bounds.
 *
 * syscalls: vcpu: ioctl(KVM_RUN) futex
 */
#include "vmm/kvm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm/base/err.h"
#include "vmm/base/thread.h"
#include "vmm/kvm/vcpu_priv.h"

#define STOP_SIGNAL SIGUSR1

const char *const vcpu_exit_names[VCPU_NR_EXITS] = { "io", "mmio", "interrupted", "other" };

struct vcpu {
        int fd;
        unsigned index;
        const struct vcpu_env *env;
        struct kvm_run *run;
        uint32_t run_bytes;
        struct thread thread;
        _Atomic bool stopping;
        _Atomic bool in_guest; /* KVM_RUN is under way, or about to be */
        _Atomic bool pausing;  /* changed under lock */
        pthread_mutex_t lock;
        pthread_cond_t changed;                /* in_guest fell during a pause, or the pause is over */
        int stats_fd;                          /* kvm_stats.c's */
        _Atomic uint64_t exits[VCPU_NR_EXITS]; /* vcpu; read by others */
};

int vcpu_new(struct vcpu **ret, struct kvm *kvm, unsigned index, const struct vcpu_env *env)
{
        cleanup(vcpu_freep) struct vcpu *v = calloc(1, sizeof(*v));

        if (!v)
                return err_new(-ENOMEM);
        v->index = index;
        v->env = env;
        v->run_bytes = kvm_run_bytes(kvm);
        v->run = MAP_FAILED;
        v->stats_fd = -1;
        (void)pthread_mutex_init(&v->lock, NULL);
        (void)pthread_cond_init(&v->changed, NULL);
        v->fd = ioctl(kvm_vm_fd(kvm), KVM_CREATE_VCPU, (unsigned long)index);
        if (v->fd < 0)
                return err_new(-errno);
        v->run = mmap(NULL, v->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
        if (v->run == MAP_FAILED)
                return err_new(-errno);
        *ret = steal_ptr(&v);
        return 0;
}

void vcpu_free(struct vcpu *v)
{
        if (!v)
                return;
        vcpu_stop(v);
        if (v->run != MAP_FAILED)
                (void)!munmap(v->run, v->run_bytes);
        fd_closep(&v->stats_fd);
        fd_closep(&v->fd);
        (void)pthread_cond_destroy(&v->changed);
        (void)pthread_mutex_destroy(&v->lock);
        free(v);
}

int vcpu_set_cpuid(struct vcpu *v, const struct kvm_cpuid2 *cpuid)
{
        return ioctl(v->fd, KVM_SET_CPUID2, cpuid) < 0 ? err_new(-errno) : 0;
}

int vcpu_get_sregs(struct vcpu *v, struct kvm_sregs *ret)
{
        return ioctl(v->fd, KVM_GET_SREGS, ret) < 0 ? err_new(-errno) : 0;
}

int vcpu_set_sregs(struct vcpu *v, const struct kvm_sregs *sregs)
{
        return ioctl(v->fd, KVM_SET_SREGS, sregs) < 0 ? err_new(-errno) : 0;
}

int vcpu_set_regs(struct vcpu *v, const struct kvm_regs *regs)
{
        return ioctl(v->fd, KVM_SET_REGS, regs) < 0 ? err_new(-errno) : 0;
}

int vcpu_set_msrs(struct vcpu *v, const struct kvm_msrs *msrs)
{
        int n = ioctl(v->fd, KVM_SET_MSRS, msrs);

        if (n < 0)
                return err_new(-errno);
        return n == (int)msrs->nmsrs ? 0 : err_new(-EINVAL);
}

int vcpu_get_lapic(struct vcpu *v, struct kvm_lapic_state *ret)
{
        return ioctl(v->fd, KVM_GET_LAPIC, ret) < 0 ? err_new(-errno) : 0;
}

int vcpu_set_lapic(struct vcpu *v, const struct kvm_lapic_state *lapic)
{
        return ioctl(v->fd, KVM_SET_LAPIC, lapic) < 0 ? err_new(-errno) : 0;
}

/* One thread adds: no atomic addition. */
static void count(struct vcpu *v, enum vcpu_exit kind)
{
        uint64_t n = atomic_load_explicit(&v->exits[kind], memory_order_relaxed);

        atomic_store_explicit(&v->exits[kind], n + 1, memory_order_relaxed);
}

/* SAFETY: data_offset, size and count come from KVM, which keeps them within the mapped run pages. */
static void do_io(struct vcpu *v)
{
        const struct kvm_run *run = v->run;
        uint8_t *p = (uint8_t *)v->run + run->io.data_offset;

        for (uint32_t i = 0; i < run->io.count; i++, p += run->io.size) {
                uint64_t value = 0;

                if (run->io.direction == KVM_EXIT_IO_OUT) {
                        memcpy(&value, p, run->io.size);
                        (void)bus_write(v->env->pio, run->io.port, run->io.size, value);
                } else {
                        (void)bus_read(v->env->pio, run->io.port, run->io.size, &value);
                        memcpy(p, &value, run->io.size);
                }
        }
}

static void do_mmio(struct vcpu *v)
{
        struct kvm_run *run = v->run;
        uint64_t value = 0;

        if (run->mmio.is_write) {
                memcpy(&value, run->mmio.data, run->mmio.len);
                (void)bus_write(v->env->mmio, run->mmio.phys_addr, run->mmio.len, value);
        } else {
                (void)bus_read(v->env->mmio, run->mmio.phys_addr, run->mmio.len, &value);
                memcpy(run->mmio.data, &value, run->mmio.len);
        }
}

static void end(struct vcpu *v, enum vcpu_end why, const char *detail)
{
        v->env->ended(v->env->ctx, v->index, why, detail);
}

static void end_failed(struct vcpu *v)
{
        const struct kvm_run *run = v->run;
        struct kvm_regs regs = { 0 };
        char text[128];

        (void)!ioctl(v->fd, KVM_GET_REGS, &regs);
        (void)snprintf(text, sizeof(text), "KVM exit %u (%llu) at instruction pointer 0x%llx",
                       run->exit_reason,
                       run->exit_reason == KVM_EXIT_FAIL_ENTRY
                               ? (unsigned long long)run->fail_entry.hardware_entry_failure_reason
                               : (unsigned long long)run->internal.suberror,
                       (unsigned long long)regs.rip);
        end(v, VCPU_FAILED, text);
}

/* Return: true to go on. */
static bool handle_exit(struct vcpu *v)
{
        switch (v->run->exit_reason) {
        case KVM_EXIT_IO:
                count(v, VCPU_EXIT_IO);
                do_io(v);
                return true;
        case KVM_EXIT_MMIO:
                count(v, VCPU_EXIT_MMIO);
                do_mmio(v);
                return true;
        case KVM_EXIT_INTR:
                count(v, VCPU_EXIT_INTR);
                return true;
        case KVM_EXIT_SHUTDOWN:
                count(v, VCPU_EXIT_OTHER);
                end(v, VCPU_TRIPLE_FAULT, "triple fault");
                return false;
        default:
                count(v, VCPU_EXIT_OTHER);
                end_failed(v);
                return false;
        }
}

static void run_failed(struct vcpu *v, int error)
{
        char text[64];

        (void)snprintf(text, sizeof(text), "KVM_RUN: error %d", error);
        end(v, VCPU_FAILED, text);
}

static void tell_changed(struct vcpu *v)
{
        (void)pthread_mutex_lock(&v->lock);
        (void)pthread_cond_broadcast(&v->changed);
        (void)pthread_mutex_unlock(&v->lock);
}

/*
 * Both sides of in_guest are exchanges, so that of us and of vcpu_pause() one sees what the other wrote: it
 * that we are in KVM_RUN, where immediate_exit or the signal reaches us, or we that there is a pause.
 */
static int run_guest(struct vcpu *v)
{
        int r;

        (void)atomic_exchange(&v->in_guest, true);
        r = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
        (void)atomic_exchange(&v->in_guest, false);
        if (atomic_load(&v->pausing))
                tell_changed(v);
        return r;
}

/* Only after KVM_RUN was interrupted, which means that the last register access was brought to its end. */
static void wait_for_resume(struct vcpu *v)
{
        (void)pthread_mutex_lock(&v->lock);
        while (atomic_load(&v->pausing) && !atomic_load(&v->stopping))
                (void)pthread_cond_wait(&v->changed, &v->lock);
        (void)pthread_mutex_unlock(&v->lock);
}

static void run(void *arg)
{
        struct vcpu *v = arg;
        sigset_t stop;

        (void)sigemptyset(&stop);
        (void)sigaddset(&stop, STOP_SIGNAL);
        (void)!pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
        while (!atomic_load_explicit(&v->stopping, memory_order_acquire)) {
                int r = run_guest(v);

                if (r == -EINTR || r == -EAGAIN) {
                        count(v, VCPU_EXIT_INTR);
                        if (r == -EINTR)
                                wait_for_resume(v);
                        continue;
                }
                if (r < 0) {
                        run_failed(v, -r);
                        break;
                }
                if (!handle_exit(v))
                        break;
        }
}

static void on_stop_signal(int signal)
{
        (void)signal; /* its arrival ends KVM_RUN or a write that waits */
}

int vcpu_start(struct vcpu *v)
{
        struct sigaction action = { .sa_handler = on_stop_signal };
        char name[16];
        int r;

        if (sigaction(STOP_SIGNAL, &action, NULL) < 0)
                return err_new(-errno);
        (void)snprintf(name, sizeof(name), "vcpu%u", v->index);
        r = thread_start(&v->thread, name, run, v);
        return r < 0 ? err_trace(r) : 0;
}

/*
 * The flag, then immediate_exit, then the signal: whichever place the thread is in, one of them is seen
 * before the guest runs on. A handler that waits for its own reasons is its owner's to stop; the signal
 * ends its system call.
 */
void vcpu_stop(struct vcpu *v)
{
        if (!v->thread.started)
                return;
        atomic_store_explicit(&v->stopping, true, memory_order_release);
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_RELEASE);
        tell_changed(v);
        thread_kick_and_join(&v->thread, STOP_SIGNAL);
}

static void set_pausing(struct vcpu *v, bool pausing)
{
        (void)pthread_mutex_lock(&v->lock);
        (void)atomic_exchange(&v->pausing, pausing);
        __atomic_store_n(&v->run->immediate_exit, pausing, __ATOMIC_SEQ_CST);
        (void)pthread_cond_broadcast(&v->changed);
        (void)pthread_mutex_unlock(&v->lock);
}

void vcpu_pause(struct vcpu *v)
{
        if (atomic_load(&v->pausing))
                return;
        set_pausing(v, true);
        thread_kick(&v->thread, STOP_SIGNAL);
}

void vcpu_wait_paused(struct vcpu *v)
{
        (void)pthread_mutex_lock(&v->lock);
        while (atomic_load(&v->pausing) && atomic_load(&v->in_guest))
                (void)pthread_cond_wait(&v->changed, &v->lock);
        (void)pthread_mutex_unlock(&v->lock);
}

/* A guest that uses no clock of KVM's has none to tell: the kernel refuses, and that is all right. */
void vcpu_resume(struct vcpu *v)
{
        if (!atomic_load(&v->pausing))
                return;
        (void)!ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0);
        set_pausing(v, false);
}

uint64_t vcpu_exits(const struct vcpu *v, enum vcpu_exit kind)
{
        return atomic_load_explicit(&v->exits[kind], memory_order_relaxed);
}

int vcpu_fd(const struct vcpu *v)
{
        return v->fd;
}

int *vcpu_stats_fd(struct vcpu *v)
{
        return &v->stats_fd;
}
