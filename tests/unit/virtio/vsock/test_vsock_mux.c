/*
 * The table of connections: names, ports, turns, and RSTs that wait.
 */
#include "virtio/vsock/vsock_mux.h"

#include <fcntl.h>

#include "tests/unit/run.h"

static struct vsock_mux mux;
static struct loop *loop;

static void set_up(void)
{
        ck_assert(!loop_new(&loop));
        vsock_mux_init(&mux, loop);
}

static void tear_down(void)
{
        vsock_mux_fini(&mux);
        ck_assert_uint_eq(mux.nr_conns, 0);
        loop_free(loop);
}

static struct vsock_conn *add(void)
{
        struct vsock_conn *c = vsock_mux_add(&mux, open("/dev/null", O_RDWR | O_CLOEXEC), VSOCK_OPEN);

        ck_assert_ptr_nonnull(c);
        return c;
}

START_TEST(test_names)
{
        struct vsock_conn *c[64];

        set_up();
        for (unsigned i = 0; i < 64; i++) {
                c[i] = add();
                vsock_mux_bind(&mux, c[i], i % 8, i / 8);
        }
        for (unsigned i = 0; i < 64; i++)
                ck_assert_ptr_eq(vsock_mux_find(&mux, i % 8, i / 8), c[i]);
        ck_assert_ptr_null(vsock_mux_find(&mux, 8, 0));
        for (unsigned i = 0; i < 64; i += 2)
                vsock_mux_remove(&mux, c[i]);
        for (unsigned i = 0; i < 64; i++)
                ck_assert_ptr_eq(vsock_mux_find(&mux, i % 8, i / 8), i % 2 ? c[i] : NULL);
        ck_assert_uint_eq(mux.nr_conns, 32);
        vsock_mux_unbind(&mux, c[1]);
        ck_assert_ptr_null(vsock_mux_find(&mux, 1, 0));
        tear_down();
}
END_TEST

START_TEST(test_ports)
{
        set_up();
        ck_assert_uint_eq(vsock_mux_new_port(&mux, 1), VSOCK_HOST_PORT_MIN);
        vsock_mux_bind(&mux, add(), 1, VSOCK_HOST_PORT_MIN + 1);
        vsock_mux_bind(&mux, add(), 1, VSOCK_HOST_PORT_MIN + 2);
        ck_assert_uint_eq(vsock_mux_new_port(&mux, 1), VSOCK_HOST_PORT_MIN + 3);
        /* Round, and over those that are still there; they are free beside another port. */
        mux.next_port = VSOCK_HOST_PORT_MAX;
        ck_assert_uint_eq(vsock_mux_new_port(&mux, 1), VSOCK_HOST_PORT_MAX);
        ck_assert_uint_eq(vsock_mux_new_port(&mux, 1), VSOCK_HOST_PORT_MIN);
        ck_assert_uint_eq(vsock_mux_new_port(&mux, 2), VSOCK_HOST_PORT_MIN + 1);
        ck_assert_uint_eq(vsock_mux_new_port(&mux, 1), VSOCK_HOST_PORT_MIN + 3);
        tear_down();
}
END_TEST

START_TEST(test_turns)
{
        struct vsock_conn *c[3];

        set_up();
        for (unsigned i = 0; i < 3; i++) {
                c[i] = add();
                vsock_mux_queue(&mux, c[i]);
        }
        ck_assert_ptr_null(vsock_mux_next(&mux)); /* none wants anything */
        for (unsigned i = 0; i < 3; i++) {
                c[i]->owes = VSOCK_OWES_RESPONSE;
                vsock_mux_queue(&mux, c[i]);
                vsock_mux_queue(&mux, c[i]);
        }
        ck_assert_ptr_eq(vsock_mux_next(&mux), c[0]);
        vsock_mux_unqueue(&mux, c[0]);
        vsock_mux_queue(&mux, c[0]);
        ck_assert_ptr_eq(vsock_mux_next(&mux), c[1]);
        vsock_mux_remove(&mux, c[1]);
        ck_assert_ptr_eq(vsock_mux_next(&mux), c[2]);
        vsock_mux_unqueue(&mux, c[2]);
        ck_assert_ptr_eq(vsock_mux_next(&mux), c[0]);
        c[0]->owes = 0;
        vsock_mux_queue(&mux, c[0]);
        ck_assert_ptr_null(vsock_mux_next(&mux));
        tear_down();
}
END_TEST

START_TEST(test_touched)
{
        struct vsock_conn *c[3];

        set_up();
        for (unsigned i = 0; i < 3; i++)
                c[i] = add();
        for (unsigned i = 0; i < 6; i++)
                vsock_mux_touch(&mux, c[i % 3]);
        vsock_mux_remove(&mux, c[1]);
        ck_assert_ptr_eq(vsock_mux_take_touched(&mux), c[0]);
        ck_assert_ptr_eq(vsock_mux_take_touched(&mux), c[2]);
        ck_assert_ptr_null(vsock_mux_take_touched(&mux));
        vsock_mux_touch(&mux, c[0]);
        ck_assert_ptr_eq(vsock_mux_take_touched(&mux), c[0]);
        tear_down();
}
END_TEST

START_TEST(test_rsts)
{
        set_up();
        ck_assert_ptr_null(vsock_mux_rst(&mux));
        for (unsigned round = 0; round < 3; round++) {
                for (uint32_t i = 0; i < VSOCK_RSTS_MAX; i++)
                        ck_assert(vsock_mux_put_rst(&mux, i, round, 1));
                ck_assert(!vsock_mux_put_rst(&mux, 0, 0, 1));
                for (uint32_t i = 0; i < VSOCK_RSTS_MAX; i++) {
                        ck_assert_uint_eq(vsock_mux_rst(&mux)->guest_port, i);
                        ck_assert_uint_eq(vsock_mux_rst(&mux)->host_port, round);
                        vsock_mux_drop_rst(&mux);
                }
                /* Not at the same place the next time. */
                ck_assert(vsock_mux_put_rst(&mux, 0, 0, 1));
                vsock_mux_drop_rst(&mux);
        }
        tear_down();
}
END_TEST

START_TEST(test_limit)
{
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        set_up();
        /* As if so many were there: the real ones are test_vsock.c's. */
        mux.nr_conns = VSOCK_CONNS_MAX;
        ck_assert_ptr_null(vsock_mux_add(&mux, fd, VSOCK_LINE));
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* was closed */
        mux.nr_conns = 0;
        tear_down();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_names, test_ports, test_turns, test_touched, test_rsts, test_limit
        };

        return run_tests("vsock_mux", tests, array_size(tests));
}
