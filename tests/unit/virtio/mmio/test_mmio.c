/* The registers of virtio over MMIO, driven as a driver does, and as no driver should. */
#include "tests/unit/run.h"

#include <string.h>

#include "virtio/core/wire.h"
#include "virtio/mmio/mmio.h"
#include "vmm/base/thread.h"

#define RAM 0x100000u

struct toy {
        struct virtio_dev dev;
        unsigned kicks, resets;
        bool busy; /* a reset has to wait */
        struct loop_job later;
};

static struct loop *loop;
static struct toy toy;
static unsigned interrupts;

static int toy_kick(struct virtio_dev *dev, unsigned qi)
{
        (void)dev, (void)qi;
        toy.kicks++;
        return 0;
}

static void finish_reset(struct loop_job *job)
{
        (void)job;
        virtio_reset_done(&toy.dev);
}

static bool toy_reset(struct virtio_dev *dev)
{
        (void)dev;
        toy.resets++;
        if (toy.busy)
                loop_defer(loop, &toy.later);
        return !toy.busy;
}

static void toy_destroy(struct virtio_dev *dev)
{
        (void)dev;
}

static const struct virtio_class toy_class = {
        .name = "toy",
        .id = 42,
        .nr_queues = 2,
        .queue_max = 8,
        .kick = toy_kick,
        .reset = toy_reset,
        .destroy = toy_destroy,
};

static void raise_irq(struct irq *irq)
{
        (void)irq;
        interrupts++;
}

static struct irq irq = { .raise = raise_irq };
static struct gmem *mem;
static struct mmio *mmio;

static void set_up(void)
{
        static const uint8_t config[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

        memset(&toy, 0, sizeof(toy));
        ck_assert(!gmem_new(&mem) && !gmem_add_ram(mem, GPA(0), RAM) && !loop_new(&loop));
        virtio_init(&toy.dev, &toy_class, mem, 1);
        toy.dev.config = config;
        toy.dev.config_len = sizeof(config);
        toy.later.call = finish_reset;
        ck_assert(!mmio_new(&mmio, loop, &toy.dev, &irq));
}

static void tear_down(void)
{
        mmio_free(mmio);
        loop_free(loop);
        gmem_free(mem);
}

static void put(uint64_t off, uint32_t v)
{
        mmio_ops.write(mmio, off, 4, v);
}

static uint32_t get(uint64_t off)
{
        return (uint32_t)mmio_ops.read(mmio, off, 4);
}

static void set_queue(unsigned i)
{
        put(0x30, i);
        put(0x38, 8);
        put(0x80, 0x1000 + i * 0x1000);
        put(0x90, 0x1400 + i * 0x1000);
        put(0xa0, 0x1800 + i * 0x1000);
        put(0x44, 1);
}

static void start(void)
{
        put(0x70, 0);
        put(0x70, 1);
        put(0x70, 3);
        put(0x24, 1);
        put(0x20, 1);
        put(0x70, 11);
        set_queue(0);
        set_queue(1);
        put(0x70, 15);
}

START_TEST(test_a_driver_finds_the_device)
{
        set_up();
        ck_assert_uint_eq(get(0x00), 0x74726976);
        ck_assert_uint_eq(get(0x04), 2);
        ck_assert_uint_eq(get(0x08), 42);
        put(0x14, 1);
        ck_assert_uint_eq(get(0x10), 1); /* VERSION_1 */
        put(0x14, 2);
        ck_assert_uint_eq(get(0x10), 0);
        put(0x30, 1);
        ck_assert_uint_eq(get(0x34), 8);
        put(0x30, 2);
        ck_assert_uint_eq(get(0x34), 0);
        ck_assert_uint_eq(mmio_ops.read(mmio, 0x103, 1), 4);
        ck_assert_uint_eq(mmio_ops.read(mmio, 0x102, 2), 0x0403);
        ck_assert_uint_eq(mmio_ops.read(mmio, 0x106, 4), 0); /* over the end */
        start();
        ck_assert_uint_eq(get(0x70), 15);
        ck_assert(virtio_is_live(&toy.dev));
        tear_down();
}
END_TEST

START_TEST(test_status_has_its_order)
{
        set_up();
        put(0x70, 15); /* all at once, nothing negotiated */
        ck_assert_uint_eq(get(0x70), 3);
        put(0x70, 11); /* without VERSION_1 */
        ck_assert_uint_eq(get(0x70), 3);
        put(0x70, 7);
        ck_assert_uint_eq(get(0x70), 3);
        ck_assert(!virtio_is_live(&toy.dev));
        put(0x24, 1);
        put(0x20, 0xffffffff);
        put(0x70, 11);
        ck_assert_uint_eq(get(0x70), 3); /* more than was offered */
        put(0x20, 1);
        put(0x70, 11);
        ck_assert_uint_eq(get(0x70), 11);
        put(0x20, 0);
        ck_assert_uint_eq(toy.dev.acked >> 32, 1); /* fixed by FEATURES_OK */
        tear_down();
}
END_TEST

START_TEST(test_a_ring_outside_memory_needs_a_reset)
{
        static const uint64_t bad[] = { 0xffffffffffffff00ull, RAM, 0x1001, RAM - 16 };

        set_up();
        for (unsigned i = 0; i < array_size(bad); i++) {
                put(0x70, 0);
                put(0x70, 3);
                put(0x24, 1);
                put(0x20, 1);
                put(0x70, 11);
                set_queue(0);
                put(0x80, (uint32_t)bad[i]);
                put(0x84, (uint32_t)(bad[i] >> 32));
                put(0x70, 15);
                ck_assert_uint_eq(get(0x70), 15 | 64);
                ck_assert(!virtio_is_live(&toy.dev));
        }
        tear_down();
}
END_TEST

START_TEST(test_a_queue_has_at_most_the_size_offered)
{
        static const uint32_t sizes[] = { 8, 16, 3, 0, 65536 + 8 };

        set_up();
        for (unsigned i = 0; i < array_size(sizes); i++) {
                put(0x70, 0);
                put(0x70, 3);
                put(0x24, 1);
                put(0x20, 1);
                put(0x70, 11);
                set_queue(0);
                put(0x38, sizes[i]);
                put(0x70, 15);
                ck_assert_uint_eq(get(0x34), 8);
                ck_assert(virtio_is_live(&toy.dev) == (sizes[i] == 8));
                if (!i) { /* a reset of a live device is the loop's: see below */
                        tear_down();
                        set_up();
                }
        }
        tear_down();
}
END_TEST

START_TEST(test_queues_are_fixed_while_live)
{
        set_up();
        start();
        put(0x30, 0);
        put(0x80, 0xffffffff);
        put(0x44, 0);
        put(0x38, 3);
        ck_assert_uint_eq(toy.dev.vq[0].desc.v, 0x1000);
        ck_assert(toy.dev.vq[0].ready && toy.dev.vq[0].size == 8);
        tear_down();
}
END_TEST

START_TEST(test_wrong_widths_and_places_do_nothing)
{
        set_up();
        start();
        for (uint64_t off = 0; off < MMIO_SIZE; off++) {
                for (unsigned len = 1; len <= 8; len *= 2) {
                        if (off + len > MMIO_SIZE || (len == 4 && (off == 0x70 || off == 0x64)))
                                continue;
                        mmio_ops.write(mmio, off, len, UINT64_MAX);
                        (void)mmio_ops.read(mmio, off, len);
                }
        }
        ck_assert_uint_eq(get(0x70), 15);
        ck_assert(virtio_is_live(&toy.dev));
        tear_down();
}
END_TEST

START_TEST(test_interrupt_status_is_acknowledged)
{
        set_up();
        start();
        interrupts = 0;
        virtio_config_changed(&toy.dev);
        ck_assert_uint_eq(interrupts, 1);
        virtio_config_changed(&toy.dev); /* the first edge may have met a masked line */
        ck_assert_uint_eq(interrupts, 2);
        ck_assert_uint_eq(get(0x60), 2);
        ck_assert_uint_eq(get(0xfc), 2);
        put(0x64, 1);
        ck_assert_uint_eq(get(0x60), 2);
        put(0x64, 2);
        ck_assert_uint_eq(get(0x60), 0);
        tear_down();
}
END_TEST

static int stop_when_reset(struct loop_timer *t)
{
        if (atomic_load(&toy.dev.status))
                loop_timer_set(loop, t, 1000000);
        else
                loop_stop(loop);
        return 0;
}

static void write_reset(void *arg)
{
        (void)arg;
        put(0x70, 0);
}

static void check_reset(bool busy)
{
        struct loop_timer poll = { .call = stop_when_reset };
        struct thread vcpu = { 0 };

        set_up();
        start();
        toy.busy = busy;
        loop_timer_set(loop, &poll, 1000000);
        ck_assert(!thread_start(&vcpu, "vcpu0", write_reset, NULL));
        ck_assert(!loop_run(loop));
        thread_join(&vcpu);
        ck_assert_uint_eq(toy.resets, 1);
        ck_assert(!virtio_is_live(&toy.dev) && !toy.dev.vq[0].ready && !toy.dev.acked);
        start();
        ck_assert(virtio_is_live(&toy.dev));
        tear_down();
}

START_TEST(test_reset_of_a_live_device)
{
        check_reset(false);
}
END_TEST

START_TEST(test_reset_waits_for_what_is_in_flight)
{
        check_reset(true);
}
END_TEST

static void run_for_ms(unsigned ms)
{
        struct loop_timer stop = { .call = stop_when_reset };

        atomic_store(&toy.dev.status, 0);
        loop_timer_set(loop, &stop, ms * 1000000ull);
        ck_assert(!loop_run(loop));
}

/* What is kicked during a pause is done after it. */
START_TEST(test_pause)
{
        set_up();
        start();
        mmio_pause(mmio);
        ck_assert_int_eq(write(mmio_kick_fd(mmio, 1), &(uint64_t){ 1 }, 8), 8);
        run_for_ms(5);
        ck_assert_uint_eq(toy.kicks, 0);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(toy.kicks, 0);
        mmio_resume(mmio);
        run_for_ms(5);
        ck_assert_uint_eq(toy.kicks, 2);
        tear_down();
}
END_TEST

START_TEST(test_state_survives)
{
        uint8_t first[1024], second[1024];
        struct buf b = buf_of(first, sizeof(first));
        size_t len;

        set_up();
        start();
        mmio_save(mmio, &b);
        ck_assert(!b.bad);
        len = b.at;
        tear_down();
        set_up();
        b = buf_of(first, len);
        mmio_load(mmio, &b);
        ck_assert(!b.bad && !buf_left(&b) && virtio_is_live(&toy.dev));
        b = buf_of(second, sizeof(second));
        mmio_save(mmio, &b);
        ck_assert_uint_eq(b.at, len);
        ck_assert_mem_eq(first, second, len);
        tear_down();
        for (size_t cut = 0; cut < len; cut++) { /* a state that was cut short is refused */
                set_up();
                b = buf_of(first, cut);
                mmio_load(mmio, &b);
                ck_assert(b.bad);
                tear_down();
        }
}
END_TEST

/* A driver that kicks too early: of most devices that means nothing, of some it is known. */
START_TEST(test_kicks_before_the_start)
{
        struct virtio_class early = toy_class;

        for (unsigned is_known = 0; is_known < 2; is_known++) {
                early.early_kicks = is_known;
                set_up();
                toy.dev.cls = &early;
                ck_assert_int_eq(write(mmio_kick_fd(mmio, 1), &(uint64_t){ 1 }, 8), 8);
                run_for_ms(5);
                ck_assert_uint_eq(toy.kicks, 0);
                start();
                run_for_ms(5);
                ck_assert_uint_eq(toy.kicks, is_known ? 2 : 0);
                tear_down();
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_a_driver_finds_the_device,
                test_status_has_its_order,
                test_a_ring_outside_memory_needs_a_reset,
                test_queues_are_fixed_while_live,
                test_wrong_widths_and_places_do_nothing,
                test_interrupt_status_is_acknowledged,
                test_reset_of_a_live_device,
                test_reset_waits_for_what_is_in_flight,
                test_a_queue_has_at_most_the_size_offered,
                test_pause,
                test_kicks_before_the_start,
                test_state_survives,
        };

        return run_tests("mmio", tests, array_size(tests));
}
