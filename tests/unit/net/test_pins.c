/*
 * Pinned names.
 */
#include <stdio.h>
#include <string.h>

#include "net/pins.h"
#include "tests/unit/run.h"

#define S 1000000000ull

static struct address address(unsigned i)
{
        return address_ip4((const uint8_t[]){ 198, 51, (uint8_t)(i >> 8), (uint8_t)i });
}

static bool has(struct pins *p, const struct address *a, const char *name, uint64_t now_ns)
{
        struct policy_names names;

        pins_find(p, a, now_ns, &names);
        for (unsigned i = 0; i < names.nr; i++)
                if (!strcmp(names.names[i], name))
                        return true;
        return false;
}

START_TEST(test_ttl)
{
        static const struct {
                uint32_t ttl_s;
                uint64_t seconds;
        } rows[] = {
                { 0, PINS_TTL_MIN_S },
                { PINS_TTL_MIN_S - 1, PINS_TTL_MIN_S },
                { PINS_TTL_MIN_S + 1, PINS_TTL_MIN_S + 1 },
                { PINS_TTL_MAX_S, PINS_TTL_MAX_S },
                { PINS_TTL_MAX_S + 1, PINS_TTL_MAX_S },
                { UINT32_MAX, PINS_TTL_MAX_S },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                cleanup(pins_freep) struct pins *p = NULL;
                struct address a = address(1);

                ck_assert_int_eq(pins_new(&p), 0);
                pins_put(p, &a, "example.com", rows[i].ttl_s, 5 * S);
                ck_assert(has(p, &a, "example.com", 5 * S));
                ck_assert_msg(has(p, &a, "example.com", (5 + rows[i].seconds) * S - 1), "row %zu", i);
                ck_assert_msg(!has(p, &a, "example.com", (5 + rows[i].seconds) * S), "row %zu", i);
        }
}
END_TEST

START_TEST(test_pairs)
{
        cleanup(pins_freep) struct pins *p = NULL;
        struct address a = address(1), b = address(2);
        struct address c = address_ip6((const uint8_t[16]){ 198, 51, 0, 1 });

        ck_assert_int_eq(pins_new(&p), 0);
        pins_put(p, &a, "example.com", 100, 0);
        pins_put(p, &a, "example.org", 100, 0);
        pins_put(p, &b, "example.com", 100, 0);
        pins_put(p, &a, "example.com", 200, 0);
        pins_put(p, &a, "example.org", 50, 0);
        ck_assert_uint_eq(pins_count(p), 3);
        ck_assert(has(p, &a, "example.com", 199 * S));
        ck_assert(has(p, &a, "example.org", 99 * S));
        ck_assert(!has(p, &b, "example.org", 0));
        /* The same bytes, another family. */
        ck_assert(!has(p, &c, "example.com", 0));
        pins_forget(p);
        ck_assert_uint_eq(pins_count(p), 0);
        ck_assert(!has(p, &a, "example.com", 0));
        pins_put(p, &a, "example.com", 100, 0);
        ck_assert(has(p, &a, "example.com", 0));
}
END_TEST

START_TEST(test_names_of_one_address)
{
        cleanup(pins_freep) struct pins *p = NULL;
        struct address a = address(1);
        struct policy_names names;
        char name[32];

        ck_assert_int_eq(pins_new(&p), 0);
        for (unsigned i = 0; i < POLICY_NAMES_MAX; i++) {
                snprintf(name, sizeof(name), "n%u.example.com", i);
                pins_put(p, &a, name, 100 + (i + 3) % POLICY_NAMES_MAX, 0);
        }
        pins_find(p, &a, 0, &names);
        ck_assert_uint_eq(names.nr, POLICY_NAMES_MAX);
        /* n13 ends first. */
        pins_put(p, &a, "one.example.com", 300, 0);
        pins_find(p, &a, 0, &names);
        ck_assert_uint_eq(names.nr, POLICY_NAMES_MAX);
        ck_assert_uint_eq(pins_count(p), POLICY_NAMES_MAX);
        ck_assert(has(p, &a, "one.example.com", 0));
        ck_assert(!has(p, &a, "n13.example.com", 0));
        ck_assert(has(p, &a, "n12.example.com", 0) && has(p, &a, "n14.example.com", 0));
}
END_TEST

START_TEST(test_full)
{
        cleanup(pins_freep) struct pins *p = NULL;
        struct address a;

        ck_assert_int_eq(pins_new(&p), 0);
        for (unsigned i = 0; i < PINS_MAX; i++) {
                a = address(i);
                pins_put(p, &a, "example.com", i == 77 ? 40 : 100, 0);
        }
        ck_assert_uint_eq(pins_count(p), PINS_MAX);
        for (unsigned i = 0; i < PINS_MAX; i++) {
                a = address(i);
                ck_assert(has(p, &a, "example.com", 0));
        }
        a = address(PINS_MAX);
        pins_put(p, &a, "example.com", 100, 0);
        ck_assert_uint_eq(pins_count(p), PINS_MAX);
        ck_assert(has(p, &a, "example.com", 0));
        for (unsigned i = 0; i < PINS_MAX; i++) {
                a = address(i);
                ck_assert(has(p, &a, "example.com", 0) == (i != 77));
        }
        /* All others turn over, too, and none is found twice or lost. */
        for (unsigned i = 0; i < PINS_MAX; i++) {
                a = address(10000 + i);
                pins_put(p, &a, "example.org", 100, 500 * S);
        }
        ck_assert_uint_eq(pins_count(p), PINS_MAX);
        for (unsigned i = 0; i < PINS_MAX; i++) {
                a = address(10000 + i);
                ck_assert(has(p, &a, "example.org", 500 * S));
        }
}
END_TEST

START_TEST(test_longest_name)
{
        cleanup(pins_freep) struct pins *p = NULL;
        struct address a = address(1);
        name_t name;

        for (unsigned i = 0; i < NAME_LEN_MAX; i++)
                name[i] = i % 64 == 63 ? '.' : 'x';
        name[NAME_LEN_MAX] = 0;
        ck_assert_int_eq(pins_new(&p), 0);
        pins_put(p, &a, name, 100, 0);
        ck_assert(has(p, &a, name, 0));
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_ttl, test_pairs, test_names_of_one_address, test_full,
                                       test_longest_name };

        return run_tests("pins", tests, array_size(tests));
}
