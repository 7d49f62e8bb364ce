/*
 * The block device over real files: in memory, through the page cache, and direct.
 */
#include "virtio/blk/blk.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"
#include "virtio/blk/blk_parse.h"
#include "virtio/blk/blk_wire.h"

#define RAM        (16u << 20)
#define DISK_BYTES (4u << 20)
#define QUEUE_SIZE 256u
#define LIMIT_MS   20000u
#define RATE_BYTES 96u /* of saved state, its end */

enum kind { IN_MEMORY, BUFFERED, DIRECT };
#define NR_KINDS 3

/* A device, its file, and a driver. */
static struct loop *loop;
static struct worker *worker;
static struct virtio_dev *dev;
static struct mock_dev m;
static int disk_fd = -1;

/* A temporary file where the test runs; a file system without O_DIRECT gets a buffered one. */
static int disk_file(enum kind kind)
{
        char path[] = "disk-XXXXXX";
        int fd;

        if (kind == IN_MEMORY) {
                fd = memfd_create("disk", MFD_CLOEXEC);
        } else {
                fd = mkstemp(path);
                ck_assert_int_ge(fd, 0);
                if (kind == DIRECT) {
                        int direct = open(path, O_RDWR | O_CLOEXEC | O_DIRECT);

                        if (direct >= 0)
                                ck_assert_int_ge(dup2(direct, fd), 0);
                        fd_closep(&direct);
                }
                ck_assert_int_eq(unlink(path), 0);
        }
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, DISK_BYTES), 0);
        return fd;
}

static void open_device(enum kind kind, int fd, bool read_only)
{
        struct blk_config cfg = {
                .loop = loop,
                .mem = m.mem,
                .worker = worker,
                .file.fd = fd,
                .read_only = read_only,
                .file.direct = kind == DIRECT,
                .file.size_bytes = DISK_BYTES,
                .serial = "a serial of 20 chars",
        };

        ck_assert_int_eq(blk_new(&cfg, &dev), 0);
        mock_dev_init(&m, dev, m.mem);
        mock_dev_start(&m, 0, QUEUE_SIZE);
}

static void begin(enum kind kind)
{
        log_setup(LOG_ERR, false, "");
        m.mem = mock_ram(RAM);
        ck_assert_int_eq(loop_new(&loop), 0);
        ck_assert_int_eq(worker_new(loop, &worker), 0);
        disk_fd = disk_file(kind);
        open_device(kind, fcntl(disk_fd, F_DUPFD_CLOEXEC, 0), false);
}

static void end(void)
{
        worker_free(worker);
        virtio_free(dev);
        loop_free(loop);
        gmem_free(m.mem);
        fd_closep(&disk_fd);
}

/* One request of the driver: header, data, status, each in a page of its own. */
struct req {
        uint64_t hdr, data, status;
        uint32_t len;
        uint16_t head;
};

static struct req place(uint32_t type, uint64_t sector, uint32_t len)
{
        struct virtio_blk_hdr wire = { .type = le32_of(type), .sector = le64_of(sector) };
        struct req r = {
                .hdr = mock_buf(&m, 16), .data = mock_buf(&m, len), .status = mock_buf(&m, 1), .len = len
        };
        uint8_t unset = 0xee;

        mock_put(m.mem, r.hdr, &wire, sizeof(wire));
        mock_put(m.mem, r.status, &unset, 1);
        return r;
}

static struct req add(uint32_t type, uint64_t sector, uint32_t len, uint8_t fill)
{
        struct req r = place(type, sector, len);
        bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
        const struct mock_seg segs[] = { { r.hdr, 16, false }, { r.data, len, in }, { r.status, 1, true } };
        const struct mock_seg flush[] = { { r.hdr, 16, false }, { r.status, 1, true } };

        ck_assert_int_eq(gmem_fill(m.mem, GPA(r.data), fill, len), 0);
        r.head = len ? mock_add(&m.vq[0], segs, 3) : mock_add(&m.vq[0], flush, 2);
        return r;
}

static uint8_t status_of(struct req r)
{
        uint8_t s;

        mock_get(m.mem, r.status, &s, 1);
        return s;
}

static bool are_used(void *arg)
{
        return mock_used_idx(&m.vq[0]) == *(uint16_t *)arg;
}

/* Kicks, and waits until all that was ever made available is used. */
static void go(void)
{
        uint16_t all = m.vq[0].avail_idx;

        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert(mock_run_until(loop, are_used, &all, LIMIT_MS));
}

static uint8_t one(uint32_t type, uint64_t sector, uint32_t len, uint8_t fill)
{
        struct req r = add(type, sector, len, fill);

        go();
        return status_of(r);
}

/* One assertion for all: check writes a record of each to its parent. */
static bool are_all(const uint8_t *bytes, size_t n, uint8_t value)
{
        for (size_t i = 0; i < n; i++)
                if (bytes[i] != value)
                        return false;
        return true;
}

static void check_data(struct req r, uint8_t value)
{
        uint8_t bytes[4096];

        for (uint32_t at = 0; at < r.len; at += 4096) {
                uint32_t n = r.len - at < 4096 ? r.len - at : 4096;

                mock_get(m.mem, r.data + at, bytes, n);
                ck_assert(are_all(bytes, n, value));
        }
}

static void check_file(uint64_t at, uint32_t len, uint8_t value)
{
        static uint8_t bytes[1 << 20] __attribute__((aligned(4096)));

        ck_assert_int_eq(pread(disk_fd, bytes, len, (off_t)at), len);
        ck_assert(are_all(bytes, len, value));
}

/* Work that keeps the worker busy until it is told. */
static sem_t gate;

static void wait_at_gate(struct work *work)
{
        (void)work;
        while (sem_wait(&gate) < 0)
                ;
}

static void passed(struct work *work)
{
        (void)work;
}

static struct work gate_work = { .run = wait_at_gate, .done = passed };

static void close_gate(void)
{
        ck_assert_int_eq(sem_init(&gate, 0, 0), 0);
        worker_submit(worker, &gate_work);
}

START_TEST(test_write_flush_read)
{
        struct req r;
        uint32_t id, len;

        begin((enum kind)_i);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 8, 8192, 0x5a), 0);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
        check_file(4096, 8192, 0x5a);
        r = add(VIRTIO_BLK_T_IN, 8, 8192, 0);
        go();
        ck_assert_uint_eq(status_of(r), 0);
        check_data(r, 0x5a);
        for (unsigned i = 0; i < 2; i++)
                ck_assert(mock_used(&m.vq[0], &id, &len) && len == 1);
        ck_assert(mock_used(&m.vq[0], &id, &len));
        ck_assert_uint_eq(id, r.head);
        ck_assert_uint_eq(len, 8193);
        ck_assert_uint_ge(m.interrupts[0], 1);
        ck_assert_uint_eq(mock_stat(&m, "reads"), 1);
        ck_assert_uint_eq(mock_stat(&m, "writes"), 1);
        ck_assert_uint_eq(mock_stat(&m, "flushes"), 1);
        ck_assert_uint_eq(mock_stat(&m, "read_bytes"), 8192);
        ck_assert_uint_eq(mock_stat(&m, "written_bytes"), 8192);
        ck_assert_uint_eq(dev->guest_errors, 0);
        end();
}
END_TEST

START_TEST(test_serial)
{
        struct req r;
        char id[20];

        begin(IN_MEMORY);
        r = add(VIRTIO_BLK_T_GET_ID, 0, 20, 0);
        go();
        ck_assert_uint_eq(status_of(r), 0);
        mock_get(m.mem, r.data, id, sizeof(id));
        ck_assert_mem_eq(id, "a serial of 20 chars", 20);
        end();
}
END_TEST

/* What is adjacent becomes one I/O; each request keeps its own status and length. */
START_TEST(test_merge)
{
        struct req w[8], r[8];
        uint32_t id, len;

        begin((enum kind)_i);
        for (unsigned i = 0; i < 8; i++)
                w[i] = add(VIRTIO_BLK_T_OUT, 8ull * i, 4096, (uint8_t)(i + 1));
        go();
        ck_assert_uint_eq(mock_stat(&m, "merges"), 7);
        for (unsigned i = 0; i < 8; i++) {
                ck_assert_uint_eq(status_of(w[i]), 0);
                check_file(4096ull * i, 4096, (uint8_t)(i + 1));
                r[i] = add(VIRTIO_BLK_T_IN, 8ull * (i ^ 1), 4096, 0);
        }
        go();
        /* 1 0 3 2 5 4 7 6: only 0 3, 2 5, 4 7 are in a row, and those are not adjacent. */
        ck_assert_uint_eq(mock_stat(&m, "merges"), 7);
        for (unsigned i = 0; i < 8; i++) {
                ck_assert_uint_eq(status_of(r[i]), 0);
                check_data(r[i], (uint8_t)((i ^ 1) + 1));
                ck_assert(mock_used(&m.vq[0], &id, &len) && len == 1);
        }
        for (unsigned i = 0; i < 8; i++)
                ck_assert(mock_used(&m.vq[0], &id, &len) && len == 4097);
        end();
}
END_TEST

/* As many segments as one chain may have, and as many as one call takes. */
START_TEST(test_most_segments)
{
        struct mock_seg segs[VQ_SEGS_MAX];
        struct req r[3];

        begin((enum kind)_i);
        for (unsigned n = 0; n < 3; n++) {
                const unsigned last = VQ_SEGS_MAX - 1;

                r[n] = place(VIRTIO_BLK_T_OUT, 126ull * n, 512 * (VQ_SEGS_MAX - 2));
                ck_assert_int_eq(gmem_fill(m.mem, GPA(r[n].data), (uint8_t)(n + 1), r[n].len), 0);
                segs[0] = (struct mock_seg){ r[n].hdr, 16, false };
                for (unsigned i = 1; i < last; i++)
                        segs[i] = (struct mock_seg){ r[n].data + 512ull * (i - 1), 512, false };
                segs[last] = (struct mock_seg){ r[n].status, 1, true };
                r[n].head = mock_add_indirect(&m.vq[0], mock_buf(&m, sizeof(struct vring_desc) * VQ_SEGS_MAX),
                                              segs, VQ_SEGS_MAX);
        }
        go();
        for (unsigned n = 0; n < 3; n++) {
                ck_assert_uint_eq(status_of(r[n]), 0);
                check_file(126ull * 512 * n, r[n].len, (uint8_t)(n + 1));
        }
        ck_assert_uint_eq(mock_stat(&m, "merges"), 1); /* 2 * 128 fit into GIO_SEGS_MAX, 3 do not */
        end();
}
END_TEST

/* Too much for the loop goes to the worker, in memory or not. */
START_TEST(test_large)
{
        struct req r;

        begin((enum kind)_i);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 0, (1u << 20) + 512, 0x77), 0);
        ck_assert_uint_eq(mock_stat(&m, "worker_trips"), 1);
        r = add(VIRTIO_BLK_T_IN, 0, (1u << 20) + 512, 0);
        go();
        ck_assert_uint_eq(status_of(r), 0);
        check_data(r, 0x77);
        ck_assert_uint_eq(mock_stat(&m, "worker_trips"), 2);
        end();
}
END_TEST

START_TEST(test_loop_does_what_is_cached)
{
        begin(BUFFERED);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 0, 65536, 1), 0);
        ck_assert_uint_eq(mock_stat(&m, "worker_trips"), 1);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 0, 65536, 0), 0);
        ck_assert_uint_le(mock_stat(&m, "worker_trips"), 2); /* 2 where the file system cannot decline */
        end();
}
END_TEST

static void put_range(struct req r, unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
        struct virtio_blk_range range = { .sector = le64_of(sector),
                                          .num_sectors = le32_of(n),
                                          .flags = le32_of(flags) };

        mock_put(m.mem, r.data + sizeof(range) * i, &range, sizeof(range));
}

START_TEST(test_discard_and_zeroes)
{
        struct req r;

        begin((enum kind)_i);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 0, 65536, 0xff), 0);
        r = add(VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, 0);
        put_range(r, 0, 0, 8, 0);
        put_range(r, 1, 16, 8, VIRTIO_BLK_RANGE_F_UNMAP);
        go();
        ck_assert_uint_eq(status_of(r), 0);
        check_file(0, 4096, 0);
        check_file(4096, 4096, 0xff);
        check_file(8192, 4096, 0);
        check_file(12288, 4096, 0xff);
        r = add(VIRTIO_BLK_T_DISCARD, 0, 16, 0);
        put_range(r, 0, 24, 8, 0);
        go();
        ck_assert_uint_le(status_of(r) & ~VIRTIO_BLK_S_UNSUPP, 0); /* a file system may not know it */
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 0, 65536, 0), 0);
        ck_assert_uint_eq(mock_stat(&m, "discards"), 1);
        ck_assert_uint_eq(mock_stat(&m, "write_zeroes"), 1);
        end();
}
END_TEST

static const struct {
        const char *what;
        uint32_t type;
        uint64_t sector;
        uint32_t len;
        uint8_t status;
} refused[] = {
        { "a sector beyond the end", VIRTIO_BLK_T_IN, DISK_BYTES / 512, 512, VIRTIO_BLK_S_IOERR },
        { "a sector that wraps", VIRTIO_BLK_T_OUT, UINT64_MAX, 512, VIRTIO_BLK_S_IOERR },
        { "half a sector", VIRTIO_BLK_T_IN, 0, 256, VIRTIO_BLK_S_IOERR },
        { "a type that nobody knows", 77, 0, 512, VIRTIO_BLK_S_UNSUPP },
        { "an id without room", VIRTIO_BLK_T_GET_ID, 0, 19, VIRTIO_BLK_S_IOERR },
        { "no ranges", VIRTIO_BLK_T_DISCARD, 0, 0, VIRTIO_BLK_S_IOERR },
        { "too many ranges", VIRTIO_BLK_T_DISCARD, 0, 16 * (BLK_RANGES_MAX + 1), VIRTIO_BLK_S_IOERR },
};

/* A request that makes no sense is answered, and the next one is served. */
START_TEST(test_refused)
{
        begin(IN_MEMORY);
        for (size_t i = 0; i < array_size(refused); i++) {
                uint32_t id, len;

                ck_assert_msg(one(refused[i].type, refused[i].sector, refused[i].len, 0) == refused[i].status,
                              "%s", refused[i].what);
                ck_assert_msg(mock_used(&m.vq[0], &id, &len) && len <= 1, "%s", refused[i].what);
                ck_assert_uint_eq(mock_stat(&m, "refused"), i + 1);
        }
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 0, 512, 0), 0);
        ck_assert_uint_eq(dev->guest_errors, 0);
        end();
}
END_TEST

/* One that cannot even be answered breaks the queue: nothing is served until a reset. */
START_TEST(test_no_room_for_an_answer)
{
        struct req r;
        struct mock_seg seg;

        begin(IN_MEMORY);
        r = place(VIRTIO_BLK_T_FLUSH, 0, 0);
        seg = (struct mock_seg){ r.hdr, 16, false };
        (void)mock_add(&m.vq[0], &seg, 1);
        r = add(VIRTIO_BLK_T_IN, 0, 512, 0);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(status_of(r), 0xee);
        ck_assert(virtio_status(dev) & VIRTIO_STATUS_NEEDS_RESET);
        ck_assert_uint_eq(dev->guest_errors, 1);
        ck_assert(virtio_reset(dev));
        mock_dev_start(&m, 0, QUEUE_SIZE);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 0, 512, 0), 0);
        end();
}
END_TEST

START_TEST(test_read_only)
{
        begin(IN_MEMORY);
        virtio_free(dev);
        open_device(IN_MEMORY, fcntl(disk_fd, F_DUPFD_CLOEXEC, 0), true);
        ck_assert(dev->features >> VIRTIO_BLK_F_RO & 1);
        ck_assert(!(dev->features >> VIRTIO_BLK_F_DISCARD & 1));
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 0, 512, 1), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 0), VIRTIO_BLK_S_UNSUPP);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 0, 512, 1), 0);
        check_file(0, 512, 0);
        end();
}
END_TEST

/* The disk's trouble is the request's, not ours: a file cut short under us. */
START_TEST(test_host_errors)
{
        uint32_t id, len;

        begin((enum kind)_i);
        ck_assert_int_eq(ftruncate(disk_fd, 4096), 0);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 0, 8192, 0), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(mock_stat(&m, "host_errors"), 1);
        ck_assert(mock_used(&m.vq[0], &id, &len));
        ck_assert_uint_eq(len, 0); /* nothing is promised of what was read */
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 0, 4096, 0), 0);
        ck_assert_uint_eq(dev->guest_errors, 0);
        end();
}
END_TEST

START_TEST(test_write_that_fails)
{
        char path[64];
        int fd;

        begin(IN_MEMORY);
        virtio_free(dev);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", disk_fd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        open_device(IN_MEMORY, fd, false);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 0, 4096, 0), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(mock_stat(&m, "host_errors"), 1);
        end();
}
END_TEST

static bool is_reset(void *arg)
{
        (void)arg;
        return m.resets_done;
}

/* virtio 1.2, 2.4.2: the guest's memory is its own again only when nothing is in flight. */
START_TEST(test_reset_in_flight)
{
        struct req r;

        begin(BUFFERED);
        close_gate();
        for (unsigned i = 0; i < 5; i++)
                r = add(VIRTIO_BLK_T_OUT, 16ull * i, 4096, 0x11);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(mock_stat(&m, "worker_trips"), 5);
        ck_assert(!virtio_reset(dev));
        ck_assert_uint_ne(virtio_status(dev), 0);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(m.resets_done, 0);
        ck_assert_int_eq(sem_post(&gate), 0);
        ck_assert(mock_run_until(loop, is_reset, NULL, LIMIT_MS));
        ck_assert_uint_eq(virtio_status(dev), 0);
        ck_assert_uint_eq(mock_used_idx(&m.vq[0]), 0);
        ck_assert_uint_eq(m.interrupts[0], 0);
        /* And it lives on. */
        mock_dev_start(&m, 0, QUEUE_SIZE);
        r = add(VIRTIO_BLK_T_IN, 64, 4096, 0);
        go();
        ck_assert_uint_eq(status_of(r), 0);
        check_data(r, 0x11);
        ck_assert_uint_eq(m.resets_done, 1);
        end();
}
END_TEST

/* A driver that makes chains available again before they are used: served all the same, in time. */
START_TEST(test_more_than_the_pool)
{
        struct req r[QUEUE_SIZE];
        uint16_t twice = 2 * QUEUE_SIZE;

        begin(BUFFERED);
        close_gate();
        for (unsigned i = 0; i < QUEUE_SIZE; i++) {
                r[i] = place(VIRTIO_BLK_T_FLUSH, 0, 0);
                mock_desc_at(m.mem, r[i].hdr + 64, r[i].hdr, 16, VRING_DESC_F_NEXT, 1);
                mock_desc_at(m.mem, r[i].hdr + 80, r[i].status, 1, VRING_DESC_F_WRITE, 0);
                mock_desc(&m.vq[0], i, r[i].hdr + 64, 32, VRING_DESC_F_INDIRECT, 0);
                mock_push(&m.vq[0], i);
        }
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(mock_stat(&m, "flushes"), QUEUE_SIZE);
        for (unsigned i = 0; i < QUEUE_SIZE; i++)
                mock_push(&m.vq[0], i);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(mock_stat(&m, "flushes"), QUEUE_SIZE);
        ck_assert_int_eq(sem_post(&gate), 0);
        ck_assert(mock_run_until(loop, are_used, &twice, LIMIT_MS));
        ck_assert_uint_eq(mock_stat(&m, "flushes"), twice);
        ck_assert_uint_eq(dev->guest_errors, 0);
        end();
}
END_TEST

START_TEST(test_many)
{
        struct req r[200];

        begin((enum kind)_i);
        for (unsigned round = 0; round < 3; round++) {
                for (unsigned i = 0; i < 80; i++)
                        r[i] = add(i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 16ull * i, 4096, (uint8_t)i);
                go();
                for (unsigned i = 0; i < 80; i++)
                        ck_assert_uint_eq(status_of(r[i]), 0);
        }
        for (unsigned i = 1; i < 80; i += 2)
                check_file(16ull * 512 * i, 4096, (uint8_t)i);
        ck_assert_uint_lt(m.interrupts[0], 240);
        end();
}
END_TEST

START_TEST(test_save_and_load)
{
        static uint8_t first[4096], second[4096];
        struct buf a = buf_of(first, sizeof(first)), b = buf_of(second, sizeof(second));

        begin(IN_MEMORY);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 0, 4096, 3), 0);
        (void)add(VIRTIO_BLK_T_IN, 0, 4096, 0);
        virtio_save(dev, &a);
        ck_assert(!a.bad);
        ck_assert(virtio_reset(dev));
        a = buf_of(first, a.at);
        virtio_load(dev, &a);
        ck_assert(!a.bad && !buf_left(&a));
        virtio_save(dev, &b);
        ck_assert_uint_eq(b.at, a.size);
        ck_assert_mem_eq(first, second, a.size);
        go();
        /* Another disk is another size. */
        first[a.size - RATE_BYTES - sizeof(struct virtio_blk_config)]++;
        a = buf_of(first, a.size);
        (void)virtio_reset(dev);
        virtio_load(dev, &a);
        ck_assert(a.bad);
        end();
}
END_TEST

START_TEST(test_config_space)
{
        struct virtio_blk_config c;

        begin(IN_MEMORY);
        virtio_config_read(dev, 0, &c, sizeof(c));
        ck_assert_uint_eq(le64_get(c.capacity), DISK_BYTES / 512);
        ck_assert_uint_eq(le32_get(c.seg_max), 126);
        ck_assert_uint_eq(le32_get(c.blk_size), 512);
        virtio_config_write(dev, 0, "\xff\xff\xff\xff", 4);
        virtio_config_read(dev, 0, &c, sizeof(c));
        ck_assert_uint_eq(le64_get(c.capacity), DISK_BYTES / 512);
        end();
}
END_TEST

/* With work still on its way: the worker ends first, then the device. */
START_TEST(test_end_in_flight)
{
        begin((enum kind)_i);
        for (unsigned i = 0; i < 50; i++)
                (void)add(i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 16ull * i, 4096, 1);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        end();
}
END_TEST

/* Two operations at once, then one every 40 ms. */
static const struct rate_config two_ops = { .ops = { .size = 2, .refill_ms = 80 } };

static unsigned nr_answered(const struct req *r, unsigned n)
{
        unsigned sum = 0;

        for (unsigned i = 0; i < n; i++)
                sum += status_of(r[i]) == 0;
        return sum;
}

START_TEST(test_rate_of_operations)
{
        uint64_t before = loop_now_ns();
        struct req r[6];

        begin((enum kind)_i);
        blk_set_rate(dev, &two_ops);
        for (unsigned i = 0; i < 6; i++)
                r[i] = add(VIRTIO_BLK_T_IN, 64ull * i, 4096, 0xee);
        go();
        ck_assert_uint_ge(loop_now_ns() - before, 160 * 1000000ull);
        ck_assert_uint_eq(nr_answered(r, 6), 6);
        ck_assert_uint_ge(mock_stat(&m, "throttled"), 4);
        ck_assert_uint_lt(mock_stat(&m, "throttled"), 20);
        end();
}
END_TEST

/* 64 KiB, then 64 KiB more every 50 ms. A request larger than that goes, and the next one pays for it. */
START_TEST(test_rate_of_bytes)
{
        static const struct rate_config cfg = { .bandwidth = { .size = 65536, .refill_ms = 50 } };
        uint64_t before;
        struct req r[4];

        begin(IN_MEMORY);
        before = loop_now_ns();
        blk_set_rate(dev, &cfg);
        r[0] = add(VIRTIO_BLK_T_OUT, 0, 131072, 1);
        r[1] = add(VIRTIO_BLK_T_GET_ID, 0, 20, 0);
        r[2] = add(VIRTIO_BLK_T_IN, 0, 65536, 2);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(nr_answered(r, 2), 2);
        ck_assert_uint_eq(status_of(r[2]), 0xee);
        go();
        ck_assert_uint_ge(loop_now_ns() - before, 100 * 1000000ull);
        check_data(r[2], 1);
        end();
}
END_TEST

/* Zeroes that have to be written cost as much as data; a hole costs nothing. */
START_TEST(test_rate_of_zeroes)
{
        static const struct rate_config cfg = { .bandwidth = { .size = 4096, .refill_ms = 3600000 } };
        struct virtio_blk_range zero = { .num_sectors = le32_of(16) }, hole = zero;
        struct req r[3];

        begin(IN_MEMORY);
        blk_set_rate(dev, &cfg);
        hole.flags = le32_of(VIRTIO_BLK_RANGE_F_UNMAP);
        for (unsigned i = 0; i < 3; i++) {
                struct mock_seg segs[3];

                r[i] = place(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16);
                mock_put(m.mem, r[i].data, i == 1 ? &zero : &hole, 16);
                segs[0] = (struct mock_seg){ r[i].hdr, 16, false };
                segs[1] = (struct mock_seg){ r[i].data, 16, false };
                segs[2] = (struct mock_seg){ r[i].status, 1, true };
                (void)mock_add(&m.vq[0], segs, 3);
        }
        go();
        ck_assert_uint_eq(nr_answered(r, 3), 3);
        r[0] = add(VIRTIO_BLK_T_IN, 0, 512, 0xee);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(status_of(r[0]), 0xee); /* 4096 bytes are owed */
        end();
}
END_TEST

/* What waits may pass as soon as the limit is gone, or a higher one is there. */
START_TEST(test_rate_changes)
{
        static const struct rate_config slow = { .ops = { .size = 1, .refill_ms = 3600000 } },
                                        none = { .ops = { 0 } };
        struct req r[3];

        begin(IN_MEMORY);
        blk_set_rate(dev, &slow);
        for (unsigned i = 0; i < 3; i++)
                r[i] = add(VIRTIO_BLK_T_IN, 0, 512, 0);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_int_eq(mock_kick(&m, 0), 0); /* asking again does not help */
        ck_assert_uint_eq(nr_answered(r, 3), 1);
        blk_set_rate(dev, _i ? &two_ops : &none);
        go();
        ck_assert_uint_eq(nr_answered(r, 3), 3);
        end();
}
END_TEST

START_TEST(test_reset_while_throttled)
{
        static const struct rate_config slow = { .ops = { .size = 1, .refill_ms = 20 } };
        struct req r[2];

        begin(IN_MEMORY);
        blk_set_rate(dev, &slow);
        for (unsigned i = 0; i < 2; i++)
                r[i] = add(VIRTIO_BLK_T_IN, 0, 512, 0);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(nr_answered(r, 2), 1);
        ck_assert(virtio_reset(dev));
        mock_dev_start(&m, 0, QUEUE_SIZE);
        r[0] = add(VIRTIO_BLK_T_IN, 0, 512, 0);
        go();
        ck_assert_uint_eq(status_of(r[0]), 0);
        ck_assert_uint_eq(status_of(r[1]), 0xee);
        ck_assert_uint_eq(dev->guest_errors, 0);
        end();
}
END_TEST

/* The rate is part of the state, and what was taken from it; what waits is in the queue. */
START_TEST(test_save_while_throttled)
{
        static const struct rate_config slow = { .ops = { .size = 1, .refill_ms = 3600000 } },
                                        none = { .ops = { 0 } };
        static uint8_t bytes[4096];
        struct buf b = buf_of(bytes, sizeof(bytes));
        struct req r[2];

        begin(IN_MEMORY);
        blk_set_rate(dev, &slow);
        for (unsigned i = 0; i < 2; i++)
                r[i] = add(VIRTIO_BLK_T_IN, 0, 512, 0);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        virtio_save(dev, &b);
        ck_assert(virtio_reset(dev));
        blk_set_rate(dev, &none);
        b = buf_of(bytes, b.at);
        virtio_load(dev, &b);
        ck_assert(!b.bad && !buf_left(&b));
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(nr_answered(r, 2), 1);
        blk_set_rate(dev, &none);
        go();
        ck_assert_uint_eq(nr_answered(r, 2), 2);
        end();
}
END_TEST

static int memory_disk(off_t size, uint8_t fill)
{
        uint8_t sector[512];
        int fd = memfd_create("disk", MFD_CLOEXEC);

        memset(sector, fill, sizeof(sector));
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(ftruncate(fd, size), 0);
        ck_assert_int_eq(pwrite(fd, sector, sizeof(sector), 0), 512);
        return fd;
}

static bool is_told(void *arg)
{
        return m.config_interrupts == *(unsigned *)arg;
}

START_TEST(test_another_file)
{
        struct blk_file file = { .size_bytes = 8192 };
        struct virtio_blk_config c;
        unsigned told = 1;
        struct req r;

        begin((enum kind)_i);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 0, 512, 0xee), 0);
        file.fd = memory_disk(8192, 0x77);
        ck_assert_int_eq(blk_replace(dev, &file), 0);
        r = add(VIRTIO_BLK_T_IN, 0, 512, 0xee); /* meanwhile: it is the new file's already */
        go();
        check_data(r, 0x77);
        ck_assert(mock_run_until(loop, is_told, &told, LIMIT_MS));
        virtio_config_read(dev, 0, &c, sizeof(c));
        ck_assert_uint_eq(le64_get(c.capacity), 16);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 16, 512, 0), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 15, 512, 1), 0);
        end();
}
END_TEST

/* What is in flight ends with the old file; then the last of those that were named takes its place. */
START_TEST(test_another_file_waits_for_its_turn)
{
        struct blk_file second = { .size_bytes = 4096 }, third = { .size_bytes = 512 };
        struct req r[3];

        begin(BUFFERED);
        close_gate();
        r[0] = add(VIRTIO_BLK_T_OUT, 8, 4096, 0x11);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        second.fd = memory_disk(4096, 2);
        third.fd = memory_disk(512, 3);
        ck_assert_int_eq(blk_replace(dev, &second), 0);
        ck_assert_int_eq(blk_replace(dev, &third), 0);
        r[1] = add(VIRTIO_BLK_T_IN, 0, 512, 0);
        r[2] = add(VIRTIO_BLK_T_IN, 8, 512, 0); /* beyond the new end */
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(status_of(r[0]), 0xee);
        ck_assert_uint_eq(status_of(r[1]), 0xee);
        ck_assert_int_eq(sem_post(&gate), 0);
        go();
        ck_assert_uint_eq(status_of(r[0]), 0);
        check_file(4096, 4096, 0x11);
        check_data(r[1], 3);
        ck_assert_uint_eq(status_of(r[2]), VIRTIO_BLK_S_IOERR);
        ck_assert_uint_eq(m.config_interrupts, 1);
        end();
}
END_TEST

START_TEST(test_another_file_that_does_not_fit)
{
        static const struct blk_file rows[] = {
                { .size_bytes = 513 },
                { .size_bytes = 4096, .block_bytes = 4096 },
        };

        begin(IN_MEMORY);
        for (unsigned i = 0; i < array_size(rows); i++) {
                struct blk_file file = rows[i];

                file.fd = memory_disk(4096, 2);
                ck_assert_int_eq(blk_replace(dev, &file), -EINVAL);
        }
        ck_assert_uint_eq(one(VIRTIO_BLK_T_OUT, 0, 4096, 5), 0);
        check_file(0, 4096, 5);
        end();
}
END_TEST

/* It ends, or is reset, before the new file had its turn. */
START_TEST(test_another_file_and_the_end)
{
        struct blk_file file = { .size_bytes = 4096 };

        begin(BUFFERED);
        close_gate();
        (void)add(VIRTIO_BLK_T_OUT, 8, 4096, 0x11);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        file.fd = memory_disk(4096, 2);
        ck_assert_int_eq(blk_replace(dev, &file), 0);
        if (_i)
                ck_assert(!virtio_reset(dev));
        ck_assert_int_eq(sem_post(&gate), 0);
        if (_i) {
                ck_assert(mock_run_until(loop, is_reset, NULL, LIMIT_MS));
                mock_dev_start(&m, 0, QUEUE_SIZE);
                ck_assert_uint_eq(one(VIRTIO_BLK_T_IN, 8, 512, 0), VIRTIO_BLK_S_IOERR);
        }
        end();
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_write_flush_read, NR_KINDS },
                { test_serial, 1 },
                { test_merge, NR_KINDS },
                { test_most_segments, NR_KINDS },
                { test_large, NR_KINDS },
                { test_loop_does_what_is_cached, 1 },
                { test_discard_and_zeroes, NR_KINDS },
                { test_refused, 1 },
                { test_no_room_for_an_answer, 1 },
                { test_read_only, 1 },
                { test_host_errors, NR_KINDS },
                { test_write_that_fails, 1 },
                { test_reset_in_flight, 1 },
                { test_more_than_the_pool, 1 },
                { test_many, NR_KINDS },
                { test_save_and_load, 1 },
                { test_config_space, 1 },
                { test_end_in_flight, NR_KINDS },
                { test_rate_of_operations, NR_KINDS },
                { test_rate_of_bytes, 1 },
                { test_rate_of_zeroes, 1 },
                { test_rate_changes, 2 },
                { test_reset_while_throttled, 1 },
                { test_save_while_throttled, 1 },
                { test_another_file, NR_KINDS },
                { test_another_file_waits_for_its_turn, 1 },
                { test_another_file_that_does_not_fit, 1 },
                { test_another_file_and_the_end, 2 },
        };

        return run_loop_tests("blk", tests, array_size(tests));
}
