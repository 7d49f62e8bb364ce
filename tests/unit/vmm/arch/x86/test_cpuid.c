/* CPUID: what is added, taken away, and told of the topology. */
#include "tests/unit/run.h"

#include <string.h>

#include "vmm/arch/x86/x86.h"

#define MAX 40u

struct list {
        uint32_t nent, padding;
        struct kvm_cpuid_entry2 entries[MAX];
};

static struct kvm_cpuid2 *kvm(struct list *l)
{
        return (struct kvm_cpuid2 *)(void *)l;
}

static struct list host(bool amd)
{
        struct list l = {
                .entries = {
                        { .function = 0, .eax = 7, .ebx = amd ? 0x68747541 : 0x756e6547 },
                        { .function = 1, .ebx = 0x42010800, .ecx = 1u << 3 | 1u << 5 | 1u << 15 | 1u << 0,
                          .edx = 1u << 28 | 1 },
                        { .function = 4, .index = 0, .eax = 0xfc00c121 },
                        { .function = 4, .index = 1, .eax = 0xfc03c163 },
                        { .function = 4, .index = 2, .eax = 0 },
                        { .function = 7, .index = 0, .eax = 2, .ebx = 1u << 2 | 1u << 5, .ecx = 1u << 30 | 1u << 8 },
                        { .function = 7, .index = 1, .ebx = 1u << 2 },
                        { .function = 0xa, .eax = 0x07300402 },
                        { .function = 0xb, .index = 0, .eax = 1, .ebx = 2, .edx = 66 },
                        { .function = 0xb, .index = 1, .eax = 7, .ebx = 128, .edx = 66 },
                        { .function = 0x12, .eax = 1 },
                        { .function = 0x1f, .index = 0, .eax = 1, .ebx = 2, .edx = 66 },
                        { .function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b },
                        { .function = 0x40000001, .eax = 0x01007efb },
                        { .function = 0x80000001, .ecx = 1u << 2 | 1u << 23 | 1u << 5 },
                        { .function = 0x80000008, .eax = 0x3030, .ecx = amd ? 0x703f : 0 },
                        { .function = 0x8000000a, .eax = 1, .edx = 0xffff },
                        { .function = 0x8000001d, .index = 3, .eax = 0x3c163 },
                        { .function = 0x8000001e, .eax = 66, .ebx = 0x121, .ecx = 0x103 },
                        { .function = 0x80000022, .eax = 1 },
                        { .function = 0x80000026, .index = 0, .eax = 1 },
                },
        };

        while (l.nent < MAX && (!l.nent || l.entries[l.nent].function))
                l.nent++;
        return l;
}

/* The entry, which must be there. */
static const struct kvm_cpuid_entry2 *at(const struct list *l, uint32_t function, uint32_t index)
{
        for (unsigned i = 0; i < l->nent; i++)
                if (l->entries[i].function == function && l->entries[i].index == index)
                        return &l->entries[i];
        ck_abort_msg("no leaf %#x.%u", function, index);
        return NULL;
}

static bool has(const struct list *l, uint32_t function)
{
        for (unsigned i = 0; i < l->nent; i++)
                if (l->entries[i].function == function)
                        return true;
        return false;
}

static struct list prepared(bool amd, unsigned nr_vcpus, bool tsc_deadline)
{
        struct x86_cpuid_options o = { .nr_vcpus = nr_vcpus, .tsc_deadline = tsc_deadline };
        struct list l = host(amd);

        x86_cpuid_prepare(kvm(&l), MAX, &o);
        return l;
}

START_TEST(test_features)
{
        struct list one = prepared(false, 1, false), many = prepared(false, 16, true);

        ck_assert_uint_eq(at(&one, 1, 0)->ecx, 1u << 31 | 1u << 21 | 1);
        ck_assert_uint_eq(at(&many, 1, 0)->ecx, 1u << 31 | 1u << 24 | 1u << 21 | 1);
        ck_assert_uint_eq(at(&one, 1, 0)->edx, 1);
        ck_assert_uint_eq(at(&many, 1, 0)->edx, 1u << 28 | 1);
        ck_assert_uint_eq(at(&many, 1, 0)->ebx & 0xffffff, 0x100800);
        ck_assert_uint_eq(at(&one, 0, 0)->eax, 0xb);
        ck_assert_uint_eq(at(&one, 7, 0)->ebx, 1u << 5);
        ck_assert_uint_eq(at(&one, 7, 0)->ecx, 1u << 8);
        ck_assert_uint_eq(at(&one, 7, 1)->ebx, 1u << 2);
        ck_assert_uint_eq(at(&one, 0x40000001, 0)->eax, 0x01007efb);
        ck_assert_uint_eq(at(&one, 0x80000001, 0)->ecx, 1u << 5);
}
END_TEST

START_TEST(test_taken_away)
{
        static const uint32_t cleared[] = { 0xa, 0x12, 0x8000000a, 0x80000022 };
        struct list l = prepared(true, 4, true);

        for (unsigned i = 0; i < array_size(cleared); i++) {
                const struct kvm_cpuid_entry2 *e = at(&l, cleared[i], 0);

                ck_assert(!e->eax && !e->ebx && !e->ecx && !e->edx);
        }
        ck_assert(!has(&l, 0x1f) && !has(&l, 0x80000026));
}
END_TEST

START_TEST(test_topology)
{
        static const struct {
                unsigned n, bits;
        } rows[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 16, 4 }, { 17, 5 }, { 255, 8 } };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct list l = prepared(true, rows[i].n, true);

                for (unsigned k = 0; k < 2; k++) {
                        unsigned v = k * (rows[i].n - 1); /* the first, the last */

                        x86_cpuid_vcpu(kvm(&l), v);
                        ck_assert_uint_eq(at(&l, 1, 0)->ebx >> 24, v);
                        for (unsigned level = 0; level < 3; level++)
                                ck_assert_uint_eq(at(&l, 0xb, level)->edx, v);
                        ck_assert_uint_eq(at(&l, 0x8000001e, 0)->eax, v);
                        ck_assert_uint_eq(at(&l, 0x8000001e, 0)->ebx, v);
                        ck_assert_uint_eq(at(&l, 0x8000001e, 0)->ecx, 0);
                }
                ck_assert_uint_eq(at(&l, 0xb, 0)->eax, 0);
                ck_assert_uint_eq(at(&l, 0xb, 0)->ebx, 1);
                ck_assert_uint_eq(at(&l, 0xb, 0)->ecx, 0x100);
                ck_assert_uint_eq(at(&l, 0xb, 1)->eax, rows[i].bits);
                ck_assert_uint_eq(at(&l, 0xb, 1)->ebx, rows[i].n);
                ck_assert_uint_eq(at(&l, 0xb, 1)->ecx, 0x201);
                ck_assert_uint_eq(at(&l, 0xb, 2)->ecx, 2);
                ck_assert_uint_eq(at(&l, 0x80000008, 0)->ecx, rows[i].bits << 12 | (rows[i].n - 1));
        }
}
END_TEST

START_TEST(test_caches)
{
        struct list l = prepared(false, 16, true);

        /* Own the first, share the last; 16 cores in the package. */
        ck_assert_uint_eq(at(&l, 4, 0)->eax, 15u << 26 | 0x121);
        ck_assert_uint_eq(at(&l, 4, 1)->eax, 15u << 26 | 15u << 14 | 0x163);
        ck_assert_uint_eq(at(&l, 4, 2)->eax, 0);
        ck_assert_uint_eq(at(&l, 0x8000001d, 3)->eax, 15u << 14 | 0x163);
        ck_assert_uint_eq(at(&l, 0x80000008, 0)->ecx, 0);
        l = prepared(false, 200, true);
        ck_assert_uint_eq(at(&l, 4, 1)->eax, 63u << 26 | 255u << 14 | 0x163);
}
END_TEST

/* Room for exactly what is added suffices. */
START_TEST(test_room)
{
        struct x86_cpuid_options o = { .nr_vcpus = 1 };
        struct list l = host(true);
        uint32_t before;

        l.nent = 1;
        before = l.nent;
        x86_cpuid_prepare(kvm(&l), before + X86_CPUID_EXTRA, &o);
        ck_assert_uint_le(l.nent, before + X86_CPUID_EXTRA);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_features, test_taken_away, test_topology, test_caches,
                                       test_room };

        return run_tests("cpuid", tests, array_size(tests));
}
