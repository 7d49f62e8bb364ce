/*
 * The network device as a whole, over a stream: ring images and guest memory in, bytes of the other side, kicks; then a
 * reset with whatever is under way.
 * Input:  four bytes (log2 of the queues' size; features to leave out, a rate, a header on the stream, a peer that
 *         reads; length of the peer's bytes), the peer's bytes, then RAM from address 0 on, rings first.
 * Runs:   main thread.
 * Limits: RAM_BYTES of memory.
 */
#include <sys/socket.h>

#include "tests/mock/driver.h"
#include "virtio/net/net.h"
#include "virtio/net/net_back.h"
#include "virtio/net/net_wire.h"
#include "vmm/base/assert.h"
#include "vmm/base/cleanup.h"

#define RAM_BYTES 0x40000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct loop *loop;
static struct gmem *mem;

static struct virtio_dev *new_device(bool head, bool limited, int *ret_peer)
{
        struct net_config cfg = { .loop = loop, .mem = mem, .mac = { 2 } };
        int fds[2], small = 1;
        struct virtio_dev *dev;

        ASSERT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
        ASSERT(!setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
        if (limited)
                cfg.rx = cfg.tx = (struct rate_config){ .bandwidth = { .size = 100, .refill_ms = 1 },
                                                        .ops = { .size = 2, .refill_ms = 1 } };
        ASSERT(!net_stream_new(&cfg.back, fds[0], head, 1500));
        ASSERT(!net_new(&cfg, &dev));
        *ret_peer = fds[1];
        return dev;
}

static bool had_rounds(void *rounds)
{
        return ++*(unsigned *)rounds > 2;
}

static void read_all(int peer)
{
        uint8_t bytes[65536];

        while (recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct mock_dev m;
        struct virtio_dev *dev;
        unsigned rounds = 0;
        uint64_t without;
        size_t peer_len;
        int peer;

        if (!loop) {
                log_setup(LOG_ERR, false, "");
                mem = mock_ram(RAM_BYTES);
                ASSERT(!loop_new(&loop));
        }
        if (n < 4)
                return 0;
        peer_len = data[2] | (size_t)data[3] << 8;
        if (peer_len > n - 4 || n - 4 - peer_len > RAM_BYTES)
                return 0;
        without = (data[1] & 1 ? 1ull << VIRTIO_F_EVENT_IDX : 0) |
                  (data[1] & 2 ? 1ull << VIRTIO_F_INDIRECT_DESC : 0) |
                  (data[1] & 4 ? 1ull << VIRTIO_NET_F_MRG_RXBUF : 0);
        dev = new_device(data[1] & 16, data[1] & 8, &peer);
        mock_dev_init(&m, dev, mem);
        ASSERT(!gmem_fill(mem, GPA(0), 0, RAM_BYTES));
        mock_dev_start(&m, without, (uint16_t)(1u << data[0] % 9));
        mock_put(mem, 0, data + 4 + peer_len, n - 4 - peer_len);
        for (unsigned i = 0; i < 4; i++) {
                size_t from = peer_len * i / 4, to = peer_len * (i + 1) / 4;

                (void)!send(peer, data + 4 + from, to - from, MSG_DONTWAIT | MSG_NOSIGNAL);
                ASSERT(virtio_kick(dev, 0) >= 0 && virtio_kick(dev, 1) >= 0);
                if (data[1] & 32)
                        read_all(peer);
        }
        (void)mock_run_until(loop, had_rounds, &rounds, 1000);
        ASSERT(virtio_reset(dev) && !virtio_status(dev));
        mock_dev_start(&m, 0, 8);
        close(peer);
        ASSERT(virtio_kick(dev, 0) >= 0 && virtio_kick(dev, 1) >= 0);
        virtio_free(dev);
        return 0;
}
