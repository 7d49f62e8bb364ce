/* Signals, and what the agent is asked. */
#include "vmm/control.h"

#include <errno.h>
#include <signal.h>

#include "guest/protocol.h"
#include "tests/unit/virtio/vsock/peer.h"

#define NS_PER_MS 1000000ull
#define HOUR_MS   3600000u

static struct loop *end_loop;
static unsigned ends;

static void on_end(void *ctx)
{
        (void)ctx;
        ends++;
        loop_stop(end_loop);
}

/* Nobody to ask: the signal ends the machine. One that was ignored before stays so, as nohup wants. */
START_TEST(test_signals)
{
        struct control_config cfg = { .on_end = on_end, .grace_ns = NS_PER_MS };
        struct control *control;

        ck_assert(signal(SIGHUP, SIG_IGN) != SIG_ERR);
        ck_assert(!loop_new(&end_loop));
        cfg.loop = end_loop;
        ck_assert(!control_new(&control, &cfg));
        ck_assert_int_eq(raise(SIGHUP), 0);
        (void)mock_run_until(end_loop, peer_never, NULL, 20);
        ck_assert_uint_eq(ends, 0);
        ck_assert_int_eq(raise(SIGTERM), 0);
        ck_assert(!loop_run(end_loop));
        ck_assert_uint_eq(ends, 1);
        control_free(control);
        loop_free(end_loop);
}
END_TEST

/* The guest's processes have all of the grace, but no more than its protocol allows. */
START_TEST(test_grace)
{
        static const uint64_t rows[][2] = { { 10, 10 },
                                            { HOUR_MS, HOUR_MS },
                                            { 3 * HOUR_MS, HOUR_MS },
                                            { UINT64_MAX / NS_PER_MS, HOUR_MS } };
        struct control_config cfg = { .on_end = on_end, .grace_ns = rows[_i][0] * NS_PER_MS };
        struct control *control;
        le32_t grace;
        struct peer p;

        peer_init(&p, 0);
        peer_start(&p, PEER_QUEUE / 2);
        cfg.loop = p.loop;
        cfg.vsock = p.dev;
        ck_assert(!control_new(&control, &cfg));
        control_set_ready(control);
        control_ask_end(control);
        peer_expect(&p, VSOCK_OP_REQUEST);
        ck_assert_uint_eq(le32_get(p.hdr.dst_port), PROTOCOL_PORT);
        peer_send(&p, PROTOCOL_PORT, le32_get(p.hdr.src_port), VSOCK_OP_RESPONSE);
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_gt(p.len, sizeof(grace));
        memcpy(&grace, p.data + p.len - sizeof(grace), sizeof(grace));
        ck_assert_uint_eq(le32_get(grace), rows[_i][1]);
        control_free(control);
        peer_fini(&p);
}
END_TEST

/* The button is pressed as often as one likes, and has no deadline; the agent is asked once. */
START_TEST(test_press)
{
        struct control_config cfg = { .on_end = on_end, .grace_ns = 10 * NS_PER_MS };
        struct control *control;
        struct peer p;

        peer_init(&p, 0);
        peer_start(&p, PEER_QUEUE / 2);
        cfg.loop = end_loop = p.loop;
        cfg.vsock = p.dev;
        ck_assert(!control_new(&control, &cfg));
        ck_assert_int_eq(control_press(control), -EBUSY);
        control_set_started(control);
        ck_assert_int_eq(control_press(control), -EOPNOTSUPP);
        control_set_ready(control);
        ck_assert(!control_press(control) && !control_press(control));
        peer_expect(&p, VSOCK_OP_REQUEST);
        peer_send(&p, PROTOCOL_PORT, le32_get(p.hdr.src_port), VSOCK_OP_RESPONSE);
        peer_expect(&p, VSOCK_OP_RW);
        (void)mock_run_until(p.loop, peer_never, NULL, 30);
        ck_assert_uint_eq(ends, 0);
        control_ask_end(control);
        (void)mock_run_until(p.loop, peer_never, NULL, 30);
        ck_assert_uint_eq(ends, 0); /* the grace is over, but the guest has its disks to write back */
        ck_assert(!loop_run(p.loop));
        ck_assert_uint_eq(ends, 1);
        ck_assert_int_eq(control_press(control), -EBUSY);
        control_free(control);
        peer_fini(&p);
}
END_TEST

int main(void)
{
        const struct run_test tests[] = { { test_signals, 1 }, { test_grace, 4 }, { test_press, 1 } };

        return run_loop_tests("control", tests, array_size(tests));
}
