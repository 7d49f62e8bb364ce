/* The serial port: registers as a 16550A has them, interrupts, input, output, state. */
#include "tests/unit/run.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/dev/serial.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct port {
        struct serial_sink sink;
        struct irq irq;
        unsigned raised, rooms;
        size_t len;
        uint8_t out[256];
        struct serial *serial;
};

static void on_write(struct serial_sink *sink, const uint8_t *bytes, size_t n)
{
        struct port *p = container_of(sink, struct port, sink);

        memcpy(p->out + p->len, bytes, n);
        p->len += n;
}

static void on_raise(struct irq *irq)
{
        container_of(irq, struct port, irq)->raised++;
}

static void on_room(void *owner)
{
        ((struct port *)owner)->rooms++;
}

static void port_init(struct port *p)
{
        *p = (struct port){ .sink.write = on_write, .irq.raise = on_raise };
        struct serial_config cfg = { .sink = &p->sink, .irq = &p->irq, .on_room = on_room, .owner = p };

        ck_assert_int_eq(serial_new(&cfg, &p->serial), 0);
}

static uint8_t in(struct port *p, unsigned reg)
{
        return (uint8_t)serial_ops.read(p->serial, reg, 1);
}

static void out(struct port *p, unsigned reg, uint8_t v)
{
        serial_ops.write(p->serial, reg, 1, v);
}

/* As a driver leaves it: FIFO on, line gated, interrupts @ier. */
static void open_port(struct port *p, uint8_t ier)
{
        port_init(p);
        out(p, IIR, 0x07);
        out(p, MCR, 0x0b);
        out(p, IER, ier);
}

START_TEST(test_reset_state)
{
        struct port p;

        port_init(&p);
        ck_assert_uint_eq(in(&p, IER), 0);
        ck_assert_uint_eq(in(&p, IIR), 0x01);
        ck_assert_uint_eq(in(&p, LCR), 0);
        ck_assert_uint_eq(in(&p, MCR), 0);
        ck_assert_uint_eq(in(&p, LSR), 0x60);
        ck_assert_uint_eq(in(&p, MSR), 0xb0);
        ck_assert_uint_eq(in(&p, DATA), 0);
        ck_assert_uint_eq(p.raised, 0);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_masks)
{
        struct port p;

        port_init(&p);
        out(&p, IER, 0xff);
        ck_assert_uint_eq(in(&p, IER), 0x0f);
        out(&p, MCR, 0xff);
        ck_assert_uint_eq(in(&p, MCR), 0x1f);
        out(&p, SCR, 0xa5);
        ck_assert_uint_eq(in(&p, SCR), 0xa5);
        out(&p, LSR, 0);
        ck_assert_uint_eq(in(&p, LSR), 0x60);
        out(&p, MSR, 0xff);
        ck_assert_uint_eq(in(&p, MSR) & 0x0f, 0);
        out(&p, IIR, 0x01);
        ck_assert_uint_eq(in(&p, IIR) & 0xc0, 0xc0);
        out(&p, IIR, 0x00);
        ck_assert_uint_eq(in(&p, IIR) & 0xc0, 0);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_divisor)
{
        struct port p;

        port_init(&p);
        out(&p, LCR, 0x83);
        ck_assert_uint_eq(in(&p, DATA), 1);
        out(&p, DATA, 0x0c);
        out(&p, IER, 0x34);
        ck_assert_uint_eq(in(&p, DATA), 0x0c);
        ck_assert_uint_eq(in(&p, IER), 0x34);
        out(&p, LCR, 0x03);
        ck_assert_uint_eq(in(&p, IER), 0);
        ck_assert_uint_eq(p.len, 0);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_output)
{
        struct port p;

        port_init(&p);
        for (const char *c = "hello\n"; *c; c++)
                out(&p, DATA, (uint8_t)*c);
        ck_assert_uint_eq(p.len, 6);
        ck_assert_mem_eq(p.out, "hello\n", 6);
        ck_assert_uint_eq(p.raised, 0);
        serial_free(p.serial);
}
END_TEST

/* Wider accesses are nobody's; none reaches a register. */
START_TEST(test_width)
{
        struct port p;

        port_init(&p);
        serial_ops.write(p.serial, DATA, 2, 0x4141);
        serial_ops.write(p.serial, SCR, 4, 7);
        ck_assert_uint_eq(p.len, 0);
        ck_assert_uint_eq(in(&p, SCR), 0);
        ck_assert(serial_ops.read(p.serial, LSR, 2) == UINT64_MAX);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_transmit_interrupt)
{
        struct port p;

        open_port(&p, 0x02);
        ck_assert_uint_eq(p.raised, 1); /* at once: the transmitter is empty */
        ck_assert_uint_eq(in(&p, IIR), 0xc2);
        ck_assert_uint_eq(in(&p, IIR), 0xc1); /* telling ends it */
        out(&p, DATA, 'x');
        ck_assert_uint_eq(p.raised, 2);
        out(&p, DATA, 'y'); /* still pending: no second edge */
        ck_assert_uint_eq(p.raised, 2);
        out(&p, IER, 0);
        ck_assert_uint_eq(in(&p, IIR), 0xc1);
        out(&p, IER, 0x02); /* asserted again whenever it is switched on: drivers test for that */
        ck_assert_uint_eq(p.raised, 3);
        ck_assert_uint_eq(in(&p, IIR), 0xc2);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_gate)
{
        struct port p;

        port_init(&p);
        out(&p, IER, 0x02);
        ck_assert_uint_eq(p.raised, 0); /* OUT2 is off */
        out(&p, MCR, 0x08);
        ck_assert_uint_eq(p.raised, 1);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_input)
{
        struct port p;

        open_port(&p, 0x01);
        ck_assert_uint_eq(serial_feed(p.serial, (const uint8_t *)"ab", 2), 2);
        ck_assert_uint_eq(p.raised, 1);
        ck_assert_uint_eq(in(&p, LSR), 0x61);
        ck_assert_uint_eq(in(&p, IIR), 0xc4);
        ck_assert_uint_eq(in(&p, IIR), 0xc4); /* only reading the data ends it */
        ck_assert_uint_eq(in(&p, DATA), 'a');
        ck_assert_uint_eq(serial_feed(p.serial, (const uint8_t *)"c", 1), 1);
        ck_assert_uint_eq(p.raised, 1);
        ck_assert_uint_eq(in(&p, DATA), 'b');
        ck_assert_uint_eq(in(&p, DATA), 'c');
        ck_assert_uint_eq(in(&p, LSR), 0x60);
        ck_assert_uint_eq(in(&p, IIR), 0xc1);
        ck_assert_uint_eq(serial_feed(p.serial, (const uint8_t *)"d", 1), 1);
        ck_assert_uint_eq(p.raised, 2);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_input_limit)
{
        uint8_t bytes[SERIAL_FIFO_BYTES + 1];
        struct port p;

        for (unsigned i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)i;
        open_port(&p, 0x01);
        ck_assert_uint_eq(serial_feed(p.serial, bytes, sizeof(bytes) - 1), SERIAL_FIFO_BYTES);
        (void)in(&p, DATA);
        ck_assert_uint_eq(p.rooms, 0); /* nobody was turned away */
        ck_assert_uint_eq(serial_feed(p.serial, bytes, 2), 1);
        ck_assert_uint_eq(serial_feed(p.serial, bytes, 1), 0);
        ck_assert_uint_eq(p.rooms, 0);
        ck_assert_uint_eq(in(&p, DATA), 1);
        ck_assert_uint_eq(p.rooms, 1);
        ck_assert_uint_eq(in(&p, DATA), 2);
        ck_assert_uint_eq(p.rooms, 1); /* once for each time */
        serial_free(p.serial);
}
END_TEST

/* What comes before a driver listens is not lost when it clears the FIFO. */
START_TEST(test_early_input)
{
        struct port p;

        port_init(&p);
        ck_assert_uint_eq(serial_feed(p.serial, (const uint8_t *)"early", 5), 0);
        ck_assert_uint_eq(p.rooms, 0);
        out(&p, IIR, 0x07);
        (void)in(&p, DATA);
        out(&p, MCR, 0x0b);
        out(&p, IER, 0x05);
        ck_assert_uint_eq(p.rooms, 1);
        ck_assert_uint_eq(serial_feed(p.serial, (const uint8_t *)"early", 5), 5);
        ck_assert_uint_eq(in(&p, DATA), 'e');
        out(&p, IIR, 0x03);
        ck_assert_uint_eq(in(&p, LSR), 0x60);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_loopback)
{
        struct port p;

        port_init(&p);
        out(&p, MCR, 0x1a); /* the test of Linux: RTS and OUT2 come back as CTS and DCD */
        ck_assert_uint_eq(in(&p, MSR), 0x90);
        out(&p, MCR, 0x15);
        ck_assert_uint_eq(in(&p, MSR), 0x60);
        for (unsigned i = 0; i < SERIAL_FIFO_BYTES; i++)
                out(&p, DATA, (uint8_t)(i + 1));
        ck_assert_uint_eq(in(&p, LSR), 0x61);
        out(&p, DATA, 0xff);
        ck_assert_uint_eq(in(&p, LSR), 0x63); /* overrun, told once */
        ck_assert_uint_eq(in(&p, LSR), 0x61);
        for (unsigned i = 0; i < SERIAL_FIFO_BYTES; i++)
                ck_assert_uint_eq(in(&p, DATA), i + 1);
        ck_assert_uint_eq(p.len, 0);
        out(&p, IER, 0x01);
        ck_assert_uint_eq(serial_feed(p.serial, (const uint8_t *)"x", 1), 0);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_line_status_interrupt)
{
        struct port p;

        open_port(&p, 0x04);
        out(&p, MCR, 0x18);
        for (unsigned i = 0; i <= SERIAL_FIFO_BYTES; i++)
                out(&p, DATA, 1);
        ck_assert_uint_eq(p.raised, 1);
        ck_assert_uint_eq(in(&p, IIR), 0xc6);
        (void)in(&p, LSR);
        ck_assert_uint_eq(in(&p, IIR), 0xc1);
        serial_free(p.serial);
}
END_TEST

START_TEST(test_state)
{
        uint8_t first[64], second[64];
        struct buf a = buf_of(first, sizeof(first)), b = buf_of(first, sizeof(first)),
                   c = buf_of(second, sizeof(second));
        struct port p, q;

        open_port(&p, 0x03);
        out(&p, SCR, 0x77);
        ck_assert_uint_eq(serial_feed(p.serial, (const uint8_t *)"0123456789", 10), 10);
        (void)in(&p, DATA);
        serial_save(p.serial, &a);
        ck_assert(!a.bad);
        port_init(&q);
        b.size = a.at;
        ck_assert_int_eq(serial_load(q.serial, &b), 0);
        ck_assert_uint_eq(buf_left(&b), 0);
        serial_save(q.serial, &c);
        ck_assert_uint_eq(c.at, a.at);
        ck_assert_mem_eq(first, second, a.at);
        ck_assert_uint_eq(in(&q, SCR), 0x77);
        ck_assert_uint_eq(in(&q, DATA), '1');
        serial_free(p.serial);
        serial_free(q.serial);
}
END_TEST

START_TEST(test_hostile_state)
{
        static const struct {
                const char *what;
                size_t at;
                uint8_t value;
        } rows[] = { { "IER", 0, 0x10 },
                     { "MCR", 2, 0x20 },
                     { "flags", 6, 0x10 },
                     { "length", 7, 17 },
                     { "much", 7, 255 } };
        uint8_t good[64], bad[64];
        struct buf a = buf_of(good, sizeof(good));
        struct port p;

        open_port(&p, 0x01);
        ck_assert_uint_eq(serial_feed(p.serial, (const uint8_t *)"abc", 3), 3);
        serial_save(p.serial, &a);
        for (unsigned i = 0; i < array_size(rows); i++) {
                struct buf b = buf_of(bad, sizeof(bad));

                memcpy(bad, good, sizeof(bad));
                bad[rows[i].at] = rows[i].value;
                ck_assert_msg(serial_load(p.serial, &b) == SERIAL_E_STATE, "%s", rows[i].what);
        }
        for (size_t n = 0; n < a.at; n++) {
                struct buf b = buf_of(good, n);

                ck_assert_int_eq(serial_load(p.serial, &b), SERIAL_E_STATE);
        }
        ck_assert_uint_eq(in(&p, DATA), 'a');
        serial_free(p.serial);
}
END_TEST

#define PIPE_BYTES 300000u

static void *slow_reader(void *arg)
{
        uint8_t bytes[1000];
        size_t sum = 0;
        ssize_t n;

        while ((n = read(*(int *)arg, bytes, sizeof(bytes))) > 0)
                sum += (size_t)n;
        return (void *)sum;
}

/* A full pipe, non-blocking: nothing is lost. */
START_TEST(test_out_waits)
{
        static const uint8_t bytes[PIPE_BYTES];
        struct serial_out o;
        pthread_t reader;
        int pipes[2];
        void *sum;

        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        ck_assert_int_eq(fcntl(pipes[1], F_SETFL, O_NONBLOCK), 0);
        serial_out_init(&o, pipes[1]);
        ck_assert_int_eq(pthread_create(&reader, NULL, slow_reader, &pipes[0]), 0);
        o.sink.write(&o.sink, bytes, sizeof(bytes));
        close(pipes[1]);
        pthread_join(reader, &sum);
        ck_assert_uint_eq((size_t)sum, PIPE_BYTES);
        close(pipes[0]);
}
END_TEST

START_TEST(test_out_reader_gone)
{
        struct serial_out o;
        int pipes[2];

        (void)signal(SIGPIPE, SIG_IGN);
        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        serial_out_init(&o, pipes[1]);
        close(pipes[0]);
        o.sink.write(&o.sink, (const uint8_t *)"x", 1);
        ck_assert(o.gone);
        o.sink.write(&o.sink, (const uint8_t *)"y", 1);
        close(pipes[1]);
}
END_TEST

static void *stopper(void *arg)
{
        (void)usleep(50000);
        serial_out_stop(arg);
        return NULL;
}

START_TEST(test_out_stops)
{
        static const uint8_t bytes[PIPE_BYTES];
        struct serial_out o;
        pthread_t thread;
        int pipes[2];

        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
        serial_out_init(&o, pipes[1]);
        ck_assert_int_eq(pthread_create(&thread, NULL, stopper, &o), 0);
        o.sink.write(&o.sink, bytes, sizeof(bytes)); /* nobody reads */
        pthread_join(thread, NULL);
        close(pipes[0]);
        close(pipes[1]);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_reset_state, test_masks,
                test_divisor,     test_output,
                test_width,       test_transmit_interrupt,
                test_gate,        test_input,
                test_input_limit, test_early_input,
                test_loopback,    test_line_status_interrupt,
                test_state,       test_hostile_state,
                test_out_waits,   test_out_reader_gone,
                test_out_stops,
        };

        return run_tests("serial", tests, array_size(tests));
}
