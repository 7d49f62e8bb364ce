#pragma once
/*
 * The zero page of the Linux/x86 boot protocol.
 */
#include <asm/bootparam.h>

#include "vmm/arch/arch.h"

/* bootparams_fill() - everything the kernel is told there. Pure. */
void bootparams_fill(const struct arch_boot *boot, struct boot_params *ret);
