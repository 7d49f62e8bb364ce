/*
 * CPUID: what KVM supports on this host, made what a guest of so many vCPUs should see.
 * Input:  KVM's list.
 * Runs:   main thread, before any vCPU.
 * Limits: the caller's room for entries.
 *
 * Nothing is promised that KVM did not offer. Taken away: the performance counters (a switch of their
 * state with every entry), nested virtualisation and SGX (doors that a sandbox does not need). Topology
 * is told anew: one package, one thread a core.
 */
#include <string.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/base/assert.h"
#include "vmm/base/num.h"

#define LEAF_VENDOR       0x0u
#define LEAF_FEATURES     0x1u
#define LEAF_CACHES       0x4u
#define LEAF_EXTENDED     0x7u
#define LEAF_PMU          0xau
#define LEAF_TOPOLOGY     0xbu
#define LEAF_SGX          0x12u
#define LEAF_TOPOLOGY_V2  0x1fu
#define LEAF_AMD_FEATURES 0x80000001u
#define LEAF_AMD_SIZES    0x80000008u
#define LEAF_AMD_SVM      0x8000000au
#define LEAF_AMD_CACHES   0x8000001du
#define LEAF_AMD_IDS      0x8000001eu
#define LEAF_AMD_PMU      0x80000022u
#define LEAF_AMD_TOPOLOGY 0x80000026u

#define BIT(n) (1u << (n))
/* Leaf 1 */
#define ECX_MONITOR      BIT(3)
#define ECX_VMX          BIT(5)
#define ECX_PDCM         BIT(15)
#define ECX_X2APIC       BIT(21)
#define ECX_TSC_DEADLINE BIT(24)
#define ECX_HYPERVISOR   BIT(31)
#define EDX_HTT          BIT(28)
/* Leaf 7 */
#define EBX_SGX    BIT(2)
#define ECX_SGX_LC BIT(30)
/* Leaf 0x80000001 */
#define ECX_AMD_CMP_LEGACY BIT(1)
#define ECX_AMD_SVM        BIT(2)
#define ECX_AMD_PERFCTR    BIT(23)

/* Leaf 0, EBX */
#define VENDOR_AMD   0x68747541u /* "Auth" */
#define VENDOR_HYGON 0x6f677948u /* "Hygo" */

enum { LEVEL_THREAD = 1, LEVEL_CORE = 2 };
#define NR_LEVELS        3u  /* with the one that ends the list */
#define CORES_TOLD_MAX   64u /* leaf 4 has six bits */
#define LAST_LEVEL_CACHE 3u

static bool is_amd(const struct kvm_cpuid2 *cpuid)
{
        for (unsigned i = 0; i < cpuid->nent; i++)
                if (cpuid->entries[i].function == LEAF_VENDOR)
                        return cpuid->entries[i].ebx == VENDOR_AMD || cpuid->entries[i].ebx == VENDOR_HYGON;
        return false;
}

/* The number of bits that hold the ids 0 … n - 1. */
static uint32_t bits_of(unsigned n)
{
        return n > 1 ? 32u - (uint32_t)__builtin_clz(n - 1) : 0;
}

/* Caches: levels up to 2 belong to one core, the last level to all. */
static uint32_t sharing(uint32_t eax, unsigned nr_vcpus)
{
        uint32_t level = eax >> 5 & 7;

        return level >= LAST_LEVEL_CACHE ? (1u << bits_of(nr_vcpus)) - 1 : 0;
}

static void adapt_intel_cache(struct kvm_cpuid_entry2 *e, unsigned nr_vcpus)
{
        uint32_t cores = (uint32_t)num_min(nr_vcpus, CORES_TOLD_MAX) - 1;

        if (e->eax & 0x1f)
                e->eax = (e->eax & 0x3fff) | sharing(e->eax, nr_vcpus) << 14 | cores << 26;
}

static void clear(struct kvm_cpuid_entry2 *e)
{
        e->eax = e->ebx = e->ecx = e->edx = 0;
}

static void adapt_features(struct kvm_cpuid_entry2 *e, const struct x86_cpuid_options *o)
{
        e->ecx &= ~(ECX_MONITOR | ECX_VMX | ECX_PDCM | ECX_TSC_DEADLINE);
        e->ecx |= ECX_HYPERVISOR | ECX_X2APIC | (o->tsc_deadline ? ECX_TSC_DEADLINE : 0);
        e->edx = (e->edx & ~EDX_HTT) | (o->nr_vcpus > 1 ? EDX_HTT : 0);
        e->ebx = (e->ebx & 0xffff) | o->nr_vcpus << 16;
}

/* An entry that every vCPU shows alike. Return: false if it is not to be shown at all. */
static bool adapt(struct kvm_cpuid_entry2 *e, const struct x86_cpuid_options *o, bool amd)
{
        switch (e->function) {
        case LEAF_FEATURES:
                adapt_features(e, o);
                break;
        case LEAF_CACHES:
                adapt_intel_cache(e, o->nr_vcpus);
                break;
        case LEAF_EXTENDED:
                if (!e->index) {
                        e->ebx &= ~EBX_SGX;
                        e->ecx &= ~ECX_SGX_LC;
                }
                break;
        case LEAF_AMD_FEATURES:
                e->ecx &= ~(ECX_AMD_CMP_LEGACY | ECX_AMD_SVM | ECX_AMD_PERFCTR);
                if (amd && o->nr_vcpus > 1)
                        e->ecx |= ECX_AMD_CMP_LEGACY;
                break;
        case LEAF_AMD_SIZES:
                if (amd)
                        e->ecx = bits_of(o->nr_vcpus) << 12 | (o->nr_vcpus - 1);
                break;
        case LEAF_AMD_CACHES:
                if (e->eax & 0x1f)
                        e->eax = (e->eax & 0x3fff) | sharing(e->eax, o->nr_vcpus) << 14;
                break;
        case LEAF_PMU:
        case LEAF_SGX:
        case LEAF_AMD_SVM:
        case LEAF_AMD_PMU:
                clear(e);
                break;
        case LEAF_TOPOLOGY:    /* told anew below */
        case LEAF_TOPOLOGY_V2: /* empty: the reader falls back to the one above */
        case LEAF_AMD_TOPOLOGY:
                return false;
        default:
                break;
        }
        return true;
}

static void add(struct kvm_cpuid2 *cpuid, unsigned max, const struct kvm_cpuid_entry2 *e)
{
        ASSERT(cpuid->nent < max);
        cpuid->entries[cpuid->nent++] = *e;
}

/* Intel SDM, CPUID leaf 0xb. Threads first, then cores, then the end. */
static void add_topology(struct kvm_cpuid2 *cpuid, unsigned max, unsigned nr_vcpus)
{
        struct kvm_cpuid_entry2 levels[NR_LEVELS] = {
                { .ebx = 1, .ecx = LEVEL_THREAD << 8 },
                { .eax = bits_of(nr_vcpus), .ebx = nr_vcpus, .ecx = LEVEL_CORE << 8 | 1 },
                { .ecx = 2 },
        };

        for (unsigned i = 0; i < NR_LEVELS; i++) {
                levels[i].function = LEAF_TOPOLOGY;
                levels[i].index = i;
                levels[i].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
                add(cpuid, max, &levels[i]);
        }
}

void x86_cpuid_prepare(struct kvm_cpuid2 *cpuid, unsigned max, const struct x86_cpuid_options *options)
{
        bool amd = is_amd(cpuid);
        unsigned kept = 0;

        ASSERT(options->nr_vcpus && options->nr_vcpus <= X86_VCPUS_MAX);
        for (unsigned i = 0; i < cpuid->nent; i++) {
                struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

                if (!adapt(e, options, amd))
                        continue;
                if (kept != i)
                        cpuid->entries[kept] = *e;
                kept++;
        }
        cpuid->nent = kept;
        add_topology(cpuid, max, options->nr_vcpus);
        for (unsigned i = 0; i < cpuid->nent; i++) {
                struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

                if (!e->function)
                        e->eax = (uint32_t)num_max(e->eax, LEAF_TOPOLOGY);
        }
}

void x86_cpuid_vcpu(struct kvm_cpuid2 *cpuid, unsigned index)
{
        for (unsigned i = 0; i < cpuid->nent; i++) {
                struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

                switch (e->function) {
                case LEAF_FEATURES:
                        e->ebx = (e->ebx & 0xffffff) | index << 24;
                        break;
                case LEAF_TOPOLOGY:
                        e->edx = index;
                        break;
                case LEAF_AMD_IDS:
                        e->eax = index;
                        e->ebx = index & 0xff; /* core id, one thread */
                        e->ecx = 0;            /* one node */
                        break;
                default:
                        break;
                }
        }
}
