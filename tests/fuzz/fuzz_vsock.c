/*
 * The whole socket device between a hostile guest and hostile clients.
 * Input:  a list of steps, each a byte and its operands: packets with any header, rx buffers of any size, pokes into
 *         rings and descriptors, clients that connect, write, read, leave; kicks, resets.
 * Runs:   main thread.
 * Limits: RAM_BYTES of memory, CLIENTS clients at a time, STEPS_MAX steps.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/mock/driver.h"
#include "virtio/vsock/vsock.h"
#include "virtio/vsock/vsock_parse.h"
#include "vmm/base/assert.h"

#define RAM_BYTES  0x100000u
#define QUEUE_SIZE 8u
#define CLIENTS    4u
#define STEPS_MAX  200u
#define BUF_BYTES  0x4000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        const uint8_t *at;
        size_t left;
};

struct machine {
        struct loop *loop;
        struct gmem *mem;
        struct virtio_dev *dev;
        struct mock_dev m;
        uint64_t buf;
        int clients[CLIENTS];
};

static void get(struct input *in, void *dst, size_t n)
{
        size_t have = n < in->left ? n : in->left;

        memset(dst, 0, n);
        memcpy(dst, in->at, have);
        in->at += have;
        in->left -= have;
}

static unsigned get8(struct input *in)
{
        uint8_t v;

        get(in, &v, sizeof(v));
        return v;
}

static unsigned get16(struct input *in)
{
        uint16_t v;

        get(in, &v, sizeof(v));
        return v;
}

static int guest_connects(void *ctx, uint32_t guest_port, uint32_t port)
{
        struct machine *f = ctx;
        int pair[2];

        (void)guest_port;
        if (port & 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
                return -1;
        fd_closep(&f->clients[port / 2 % CLIENTS]);
        f->clients[port / 2 % CLIENTS] = pair[0];
        return pair[1];
}

/* The connections of clients have these ports; the guest cannot but guess them, so we help. */
static uint32_t likely_port(unsigned v)
{
        return v & 0x80 ? 0x40000000u + (v & 7) : v & 15;
}

static void send_packet(struct machine *f, struct input *in)
{
        struct mock_vq *q = &f->m.vq[1];
        unsigned how = get8(in);
        struct vsock_hdr hdr = {
                .src_cid = le64_of(3),
                .dst_cid = le64_of(2),
                .src_port = le32_of(likely_port(get8(in) & 15)),
                .dst_port = le32_of(likely_port(get8(in))),
                .type = le16_of(1),
                .op = le16_of((uint16_t)(how & 15)),
                .flags = le32_of(how >> 4 & 3),
                .buf_alloc = le32_of(get16(in)),
                .fwd_cnt = le32_of(get16(in)),
        };
        uint32_t n = get16(in) % BUF_BYTES;
        struct mock_seg segs[2] = { { .at = f->buf, .len = sizeof(hdr) },
                                    { .at = f->buf + 0x1000, .len = n } };

        hdr.len = le32_of(n);
        if (how & 0x80)
                get(in, &hdr, sizeof(hdr));
        mock_put(f->mem, f->buf, &hdr, sizeof(hdr));
        (void)mock_add(q, segs, how & 0x40 ? 2 : 1);
}

static void client_step(struct machine *f, unsigned step, struct input *in)
{
        static uint8_t bytes[BUF_BYTES];
        unsigned which = get8(in);
        int *fd = &f->clients[which % CLIENTS];
        int pair[2];

        switch (step) {
        case 0:
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
                        return;
                fd_closep(fd);
                *fd = pair[0];
                (void)!vsock_connect_fd(f->dev, which & 15, pair[1]);
                return;
        case 1:
                (void)!send(*fd, bytes, get16(in) % BUF_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL);
                return;
        case 2:
                (void)!recv(*fd, bytes, sizeof(bytes), MSG_DONTWAIT);
                return;
        case 3:
                (void)!shutdown(*fd, which >> 4 & 1 ? SHUT_WR : SHUT_RD);
                return;
        default:
                fd_closep(fd);
        }
}

static void guest_step(struct machine *f, unsigned step, struct input *in)
{
        struct mock_seg seg = { .at = f->buf, .writable = true };
        unsigned v = get8(in), qi = v % 3;
        uint8_t poke[4];

        switch (step) {
        case 0:
                seg.len = v & 3 ? 4096 : get16(in);
                (void)mock_add(&f->m.vq[v >> 6 & 2], &seg, 1);
                return;
        case 1:
                (void)mock_kick(&f->m, qi);
                return;
        case 2:
                get(in, poke, sizeof(poke));
                mock_put(f->mem, (uint64_t)MOCK_VQ_BYTES * qi + get16(in) % 0x200, poke, sizeof(poke));
                return;
        case 3:
                mock_desc(&f->m.vq[qi], v >> 2 & 7, get16(in), get16(in), get8(in), get8(in));
                mock_push(&f->m.vq[qi], v >> 2 & 7);
                return;
        default:
                ASSERT(virtio_reset(f->dev));
                mock_dev_start(&f->m, 0, QUEUE_SIZE);
        }
}

static struct loop *stop_this;

static int on_stop(struct loop_timer *timer)
{
        (void)timer;
        loop_stop(stop_this);
        return 0;
}

static void run_round(struct machine *f)
{
        struct loop_timer timer = { .call = on_stop };

        stop_this = f->loop;
        loop_timer_set(f->loop, &timer, 0);
        ASSERT(!loop_run(f->loop));
}

static void set_up(struct machine *f)
{
        struct vsock_config cfg = {
                .guest_cid = 3, .listen_fd = -1, .connect = guest_connects, .connect_ctx = f, .late_tx = true
        };

        *f = (struct machine){ 0 };
        for (unsigned i = 0; i < CLIENTS; i++)
                f->clients[i] = -1;
        ASSERT(!loop_new(&f->loop));
        f->mem = cfg.mem = mock_ram(RAM_BYTES);
        cfg.loop = f->loop;
        ASSERT(!vsock_new(&cfg, &f->dev));
        mock_dev_init(&f->m, f->dev, f->mem);
        f->buf = mock_buf(&f->m, BUF_BYTES + 0x1000);
        mock_dev_start(&f->m, 0, QUEUE_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        struct machine f;

        log_setup(LOG_ERR, false, "");
        set_up(&f);
        for (unsigned n = 0; in.left && n < STEPS_MAX; n++) {
                unsigned step = get8(&in) % 12;

                if (step == 0)
                        send_packet(&f, &in);
                else if (step < 6)
                        guest_step(&f, step - 1, &in);
                else if (step < 11)
                        client_step(&f, step - 6, &in);
                else
                        run_round(&f);
        }
        run_round(&f);
        virtio_free(f.dev);
        for (unsigned i = 0; i < CLIENTS; i++)
                fd_closep(&f.clients[i]);
        loop_free(f.loop);
        gmem_free(f.mem);
        return 0;
}
