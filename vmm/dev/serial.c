/*
 * A 16550A serial port.
 * Input:  port accesses of the guest, hostile; bytes from the console.
 * Runs:   vCPU threads; serial_feed() on the loop thread.
 * Limits: SERIAL_FIFO_BYTES of input.
 *
 * Names of registers and bits are those of the PC16550D data sheet. A byte to send is gone as soon as
 * it is written, so that the transmitter is always empty; its interrupt is pending from then until IIR
 * tells of it. The interrupt line is an edge for each time that a cause appears where none was: that is
 * what an ISA interrupt is, and drivers read IIR until it says that nothing is left.
 */
#include "vmm/dev/serial.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/compiler.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

enum {
        REG_DATA = 0, /* RBR, THR; DLL when DLAB is set */
        REG_IER = 1,  /* DLM when DLAB is set */
        REG_IIR = 2,  /* FCR when written */
        REG_LCR = 3,
        REG_MCR = 4,
        REG_LSR = 5,
        REG_MSR = 6,
        REG_SCR = 7,
};

enum { IER_RX = 0x01, IER_TX = 0x02, IER_LINE = 0x04, IER_MASK = 0x0f };
enum { IIR_NONE = 0x01, IIR_TX = 0x02, IIR_RX = 0x04, IIR_LINE = 0x06, IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10, MCR_MASK = 0x1f };
enum { LSR_DATA = 0x01, LSR_OVERRUN = 0x02, LSR_THR_EMPTY = 0x20, LSR_EMPTY = 0x40 };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

/* 115200 baud, for guests that ask before they set it. */
#define DIVISOR_LOW 1u

struct serial {
        struct serial_sink *sink; /* const after new */
        struct irq *irq;          /* const after new */
        void (*on_room)(void *);  /* const after new */
        void *owner;              /* const after new */
        pthread_mutex_t out_lock; /* one write to the sink at a time; taken before `lock` */
        pthread_mutex_t lock;     /* everything below */
        uint8_t ier, lcr, mcr, scr, dll, dlm;
        bool fifo;       /* FCR_ENABLE */
        bool tx_pending; /* IIR has not told yet */
        bool overrun;    /* in loopback only: the console is never taken from faster than it is read */
        bool line;       /* a cause is present */
        bool starved;    /* the feeder waits for on_room() */
        uint8_t rx_at, rx_len;
        uint8_t rx[SERIAL_FIFO_BYTES];
};

static void rx_push(struct serial *s, uint8_t byte)
{
        if (s->rx_len == SERIAL_FIFO_BYTES) {
                s->overrun = true;
                return;
        }
        s->rx[(s->rx_at + s->rx_len) % SERIAL_FIFO_BYTES] = byte;
        s->rx_len++;
}

static uint8_t rx_pop(struct serial *s)
{
        uint8_t byte;

        if (!s->rx_len)
                return 0;
        byte = s->rx[s->rx_at];
        s->rx_at = (uint8_t)((s->rx_at + 1) % SERIAL_FIFO_BYTES);
        s->rx_len--;
        return byte;
}

static size_t room(const struct serial *s)
{
        return s->ier & IER_RX && !(s->mcr & MCR_LOOP) ? (size_t)(SERIAL_FIFO_BYTES - s->rx_len) : 0;
}

static uint8_t cause(const struct serial *s)
{
        if (s->ier & IER_LINE && s->overrun)
                return IIR_LINE;
        if (s->ier & IER_RX && s->rx_len)
                return IIR_RX;
        if (s->ier & IER_TX && s->tx_pending)
                return IIR_TX;
        return IIR_NONE;
}

/* After every change of state. OUT2 gates the line, as on a PC's board. */
static void update_line(struct serial *s)
{
        bool line = s->mcr & MCR_OUT2 && cause(s) != IIR_NONE;
        bool rises = line && !s->line;

        s->line = line;
        if (rises)
                irq_raise(s->irq);
}

static uint8_t read_iir(struct serial *s)
{
        uint8_t iir = cause(s);

        if (iir == IIR_TX)
                s->tx_pending = false;
        return s->fifo ? iir | IIR_FIFO : iir;
}

static uint8_t read_lsr(struct serial *s)
{
        uint8_t lsr = LSR_THR_EMPTY | LSR_EMPTY;

        if (s->rx_len)
                lsr |= LSR_DATA;
        if (s->overrun)
                lsr |= LSR_OVERRUN;
        s->overrun = false;
        return lsr;
}

/* Looped back, the outputs are the inputs; otherwise somebody is always there and ready. */
static uint8_t read_msr(const struct serial *s)
{
        if (!(s->mcr & MCR_LOOP))
                return MSR_CTS | MSR_DSR | MSR_DCD;
        return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
                         (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static uint8_t read_register(struct serial *s, uint64_t off)
{
        switch (off) {
        case REG_DATA:
                return s->lcr & LCR_DLAB ? s->dll : rx_pop(s);
        case REG_IER:
                return s->lcr & LCR_DLAB ? s->dlm : s->ier;
        case REG_IIR:
                return read_iir(s);
        case REG_LCR:
                return s->lcr;
        case REG_MCR:
                return s->mcr;
        case REG_LSR:
                return read_lsr(s);
        case REG_MSR:
                return read_msr(s);
        case REG_SCR:
                return s->scr;
        default:
                return UINT8_MAX;
        }
}

static void write_ier(struct serial *s, uint8_t v)
{
        if (s->lcr & LCR_DLAB) {
                s->dlm = v;
                return;
        }
        /* Switching it on tells at once of a transmitter that is empty. */
        if (v & ~s->ier & IER_TX)
                s->tx_pending = true;
        s->ier = v & IER_MASK;
}

static void write_fcr(struct serial *s, uint8_t v)
{
        bool enable = v & FCR_ENABLE;

        if (v & FCR_CLEAR_RX || enable != s->fifo)
                s->rx_len = 0;
        s->fifo = enable;
}

/* All but what goes to the sink. */
static void write_register(struct serial *s, uint64_t off, uint8_t v)
{
        switch (off) {
        case REG_DATA:
                if (s->lcr & LCR_DLAB) {
                        s->dll = v;
                        break;
                }
                if (s->mcr & MCR_LOOP)
                        rx_push(s, v);
                s->tx_pending = true;
                break;
        case REG_IER:
                write_ier(s, v);
                break;
        case REG_IIR:
                write_fcr(s, v);
                break;
        case REG_LCR:
                s->lcr = v;
                break;
        case REG_MCR:
                s->mcr = v & MCR_MASK;
                break;
        case REG_SCR:
                s->scr = v;
                break;
        default: /* LSR and MSR: read-only */
                break;
        }
}

/* Ends every access: the line, the lock, and word to the feeder, which must not come under the lock. */
static void finish(struct serial *s)
{
        bool feed = s->starved && room(s);

        if (feed)
                s->starved = false;
        update_line(s);
        pthread_mutex_unlock(&s->lock);
        if (feed && s->on_room)
                s->on_room(s->owner);
}

static uint64_t serial_read(void *owner, uint64_t off, unsigned len)
{
        struct serial *s = owner;
        uint8_t v;

        if (len != 1)
                return UINT64_MAX;
        pthread_mutex_lock(&s->lock);
        v = read_register(s, off);
        finish(s);
        return v;
}

static bool goes_out(struct serial *s, uint64_t off)
{
        bool out;

        if (off != REG_DATA || !s->sink)
                return false;
        pthread_mutex_lock(&s->lock);
        out = !(s->lcr & LCR_DLAB) && !(s->mcr & MCR_LOOP);
        pthread_mutex_unlock(&s->lock);
        return out;
}

static void serial_write(void *owner, uint64_t off, unsigned len, uint64_t value)
{
        struct serial *s = owner;
        uint8_t v = (uint8_t)value;

        if (len != 1)
                return;
        if (goes_out(s, off)) {
                pthread_mutex_lock(&s->out_lock);
                s->sink->write(s->sink, &v, 1);
                pthread_mutex_unlock(&s->out_lock);
        }
        pthread_mutex_lock(&s->lock);
        write_register(s, off, v);
        finish(s);
}

const struct bus_ops serial_ops = { .read = serial_read, .write = serial_write };

size_t serial_feed(struct serial *s, const uint8_t *bytes, size_t n)
{
        size_t taken;

        pthread_mutex_lock(&s->lock);
        taken = num_min(n, room(s));
        for (size_t i = 0; i < taken; i++)
                rx_push(s, bytes[i]);
        s->starved = taken < n;
        update_line(s);
        pthread_mutex_unlock(&s->lock);
        return taken;
}

int serial_new(const struct serial_config *cfg, struct serial **ret)
{
        struct serial *s = calloc(1, sizeof(*s));

        if (!s)
                return err_new(-ENOMEM);
        s->sink = cfg->sink;
        s->irq = cfg->irq;
        s->on_room = cfg->on_room;
        s->owner = cfg->owner;
        s->dll = DIVISOR_LOW;
        pthread_mutex_init(&s->out_lock, NULL);
        pthread_mutex_init(&s->lock, NULL);
        *ret = s;
        return 0;
}

void serial_free(struct serial *s)
{
        if (!s)
                return;
        pthread_mutex_destroy(&s->lock);
        pthread_mutex_destroy(&s->out_lock);
        free(s);
}

enum { SAVED_FIFO = 1, SAVED_TX_PENDING = 2, SAVED_OVERRUN = 4, SAVED_LINE = 8, SAVED_MASK = 15 };

void serial_save(struct serial *s, struct buf *b)
{
        const uint8_t registers[] = { s->ier, s->lcr, s->mcr, s->scr, s->dll, s->dlm };

        buf_put(b, registers, sizeof(registers));
        buf_put_u8(b, (uint8_t)((s->fifo ? SAVED_FIFO : 0) | (s->tx_pending ? SAVED_TX_PENDING : 0) |
                                (s->overrun ? SAVED_OVERRUN : 0) | (s->line ? SAVED_LINE : 0)));
        buf_put_u8(b, s->rx_len);
        for (unsigned i = 0; i < s->rx_len; i++)
                buf_put_u8(b, s->rx[(s->rx_at + i) % SERIAL_FIFO_BYTES]);
}

int serial_load(struct serial *s, struct buf *b)
{
        uint8_t rx[SERIAL_FIFO_BYTES] = { 0 };
        uint8_t registers[6], flags, rx_len;

        buf_get(b, registers, sizeof(registers));
        flags = buf_get_u8(b);
        rx_len = buf_get_u8(b);
        if (rx_len <= sizeof(rx))
                buf_get(b, rx, rx_len);
        if (b->bad || rx_len > sizeof(rx) || flags & ~SAVED_MASK || registers[0] & ~IER_MASK ||
            registers[2] & ~MCR_MASK)
                return SERIAL_E_STATE;
        s->ier = registers[0];
        s->lcr = registers[1];
        s->mcr = registers[2];
        s->scr = registers[3];
        s->dll = registers[4];
        s->dlm = registers[5];
        s->fifo = flags & SAVED_FIFO;
        s->tx_pending = flags & SAVED_TX_PENDING;
        s->overrun = flags & SAVED_OVERRUN;
        s->line = flags & SAVED_LINE;
        s->rx_at = 0;
        s->rx_len = rx_len;
        memcpy(s->rx, rx, sizeof(rx));
        return 0;
}
