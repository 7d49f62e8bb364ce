/*
 * A tiny guest that only computes, for telling a real KVM from one that interprets.
 * Input:  none.
 * Runs:   main thread.
 * Limits: X86_PROBE_LOOPS rounds: well under a millisecond on a processor, some 100 ms where each
 *         instruction is interpreted.
 *
 * Exits say nothing: an interpreter has cheap ones. The rate of plain instructions does.
 */
#include <string.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/base/err.h"

#define CODE_AT    0x1000u
#define DATA_AT    0x800u
#define CR0_PE     0x1ull
#define RFLAGS_ONE 0x2ull

#define U32_BYTES(v) (v) & 0xff, (v) >> 8 & 0xff, (v) >> 16 & 0xff, (v) >> 24 & 0xff

/* clang-format off */
static const uint8_t code[] = {
        0xb9, U32_BYTES(X86_PROBE_LOOPS), /*        mov ecx, LOOPS */
        0x01, 0xc8,                       /* round: add eax, ecx   */
        0xa3, U32_BYTES(DATA_AT),         /*        mov [DATA], eax */
        0x03, 0x05, U32_BYTES(DATA_AT),   /*        add eax, [DATA] */
        0x49,                             /*        dec ecx */
        0x75, 0xf0,                       /*        jnz round */
        0xba, U32_BYTES(X86_PROBE_PORT),  /*        mov edx, PORT */
        0xee,                             /*        out dx, al */
        0xf4,                             /*        hlt */
};
/* clang-format on */

int x86_probe_setup(struct gmem *mem, struct kvm_sregs *sregs, struct kvm_regs *ret_regs)
{
        static const struct kvm_segment flat = {
                .selector = 0x18,
                .limit = 0xffffffff,
                .type = 3,
                .present = 1,
                .s = 1,
                .db = 1,
                .g = 1,
        };
        int r = gmem_write(mem, GPA(CODE_AT), code, sizeof(code));

        if (r)
                return r;
        sregs->cs = flat;
        sregs->cs.selector = 0x10;
        sregs->cs.type = 11;
        sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = flat;
        sregs->cr0 |= CR0_PE;
        *ret_regs = (struct kvm_regs){ .rip = CODE_AT, .rflags = RFLAGS_ONE };
        return 0;
}

uint32_t x86_probe_host(void)
{
        volatile uint32_t data;
        uint32_t sum = 0;

        for (uint32_t i = X86_PROBE_LOOPS; i; i--) {
                sum += i;
                data = sum;
                sum += data;
        }
        return sum;
}
