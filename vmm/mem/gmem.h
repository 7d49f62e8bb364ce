#pragma once
/*
 * Guest memory: the only module that turns a guest address into a host one.
 *
 * A guest address is a gpa_t, which is not a number. Everybody else copies in and out with it, or
 * passes on a `struct gbuf`, whose host side only vmm/mem can see. Every call takes (address, length)
 * and checks both in one place. GMEM_FAULT is the guest's mistake; nothing was copied then.
 *
 * Regions are added before the first vCPU runs and never change afterwards, so that every thread may
 * read and write. A range must lie within one region.
 *
 * Writes of ours are logged when somebody asked for it (gmem_log_start): what the devices write is not
 * in KVM's own dirty log.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

#define GMEM_REGIONS_MAX 8
#define GMEM_PAGE_BYTES  4096u

typedef struct {
        uint64_t v;
} gpa_t;

#define GPA(x) ((gpa_t){ (x) })

static inline gpa_t gpa_add(gpa_t at, uint64_t n)
{
        return GPA(at.v + n);
}

enum { GMEM_FAULT = 1 };

struct gmem;

/* A checked piece of guest memory, for the calls of vmm/mem/gio.h. The fields are theirs. */
struct gbuf {
        struct gmem *mem;
        gpa_t at;
        void *hva;
        size_t len;
};

int must_check gmem_new(struct gmem **ret);
void gmem_free(struct gmem *mem);
DEFINE_CLEANUP(struct gmem *, gmem_free)

/*
 * gmem_add_ram() - anonymous private memory, zero, between two guard pages, on 2 MiB borders so that
 *                  huge pages can back it
 * @at, @size: page aligned, apart from every other region
 */
int must_check gmem_add_ram(struct gmem *mem, gpa_t at, uint64_t size);

/*
 * gmem_map_file() - put a private copy-on-write view of a file over a part of RAM
 * @fd: borrowed; the file must not be cut short while the guest runs
 * @offset, @len: the file's part, @offset page aligned. The last page's rest beyond @len reads as what
 *                the file holds there or as zero.
 */
int must_check gmem_map_file(struct gmem *mem, gpa_t at, uint64_t len, int fd, uint64_t offset);

int must_check gmem_read(struct gmem *mem, gpa_t at, void *dst, size_t n);
int must_check gmem_write(struct gmem *mem, gpa_t at, const void *src, size_t n);
int must_check gmem_fill(struct gmem *mem, gpa_t at, uint8_t value, uint64_t n);

/*
 * gmem_discard() - the memory of whole pages goes back to the host; they read as zero until they are written again.
 *                  What lies between the first and the last view of a file is left as it is.
 * @ret_bytes: how much went
 * Return: 0, GMEM_FAULT (not pages, or not all in one region: nothing is done), or a negative errno.
 */
int must_check gmem_discard(struct gmem *mem, gpa_t at, uint64_t len, uint64_t *ret_bytes);

/* Ring indexes: loaded and stored once, with the order in the name. Misaligned: GMEM_FAULT. */
int must_check gmem_load_le16_acquire(struct gmem *mem, gpa_t at, uint16_t *ret);
int must_check gmem_store_le16_release(struct gmem *mem, gpa_t at, uint16_t v);

/* gmem_buf() - check a range for bulk transfer. @len 0 is a buffer of nothing. */
int must_check gmem_buf(struct gmem *mem, gpa_t at, size_t len, struct gbuf *ret);

/* A contiguous run of guest memory as KVM wants it told. */
struct gmem_slot {
        gpa_t at;
        uint64_t size;
        uint64_t user_addr; /* only for KVM_SET_USER_MEMORY_REGION */
};

unsigned gmem_nr_slots(const struct gmem *mem);
struct gmem_slot gmem_slot(const struct gmem *mem, unsigned i);
/* Bytes of RAM in all. */
uint64_t gmem_size(const struct gmem *mem);

/*
 * gmem_log_start() - from now on remember which pages we write; gmem_log_take() asks for one page and
 *                    forgets it. For snapshots.
 */
int must_check gmem_log_start(struct gmem *mem);
bool gmem_log_take(struct gmem *mem, gpa_t page);
