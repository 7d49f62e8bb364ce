/*
 * bzImage kernels: the setup header checked, the protected-mode part copied into guest memory.
 * Input:  a kernel file, hostile.
 * Runs:   main thread, before any vCPU.
 * Limits: VERSION_MAX bytes of the version text.
 *
 * The load address is the preferred one even for a relocatable kernel: its own start moves it up there
 * anyway.
 */
#include "vmm/boot/bzimage.h"

#include <string.h>

#include "vmm/base/endian.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/boot/file.h"

/* Offsets in the file (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). */
enum {
        AT_SETUP_SECTS = 0x1f1,
        AT_SYSSIZE = 0x1f4,
        AT_JUMP_LENGTH = 0x201,
        AT_MAGIC = 0x202,
        AT_VERSION = 0x206,
        AT_KERNEL_VERSION = 0x20e,
        AT_LOADFLAGS = 0x211,
        AT_INITRD_MAX = 0x22c,
        AT_XLOADFLAGS = 0x236,
        AT_CMDLINE_SIZE = 0x238,
        AT_PREF_ADDRESS = 0x258,
        AT_INIT_SIZE = 0x260,
        HEADER_END = 0x264, /* of protocol 2.12 */
};

#define PROTOCOL_2_12   0x20cu /* the first with a 64-bit entry that says so */
#define LOADED_HIGH     0x01u
#define XLF_KERNEL_64   0x01u
#define SECTOR_BYTES    512u
#define ENTRY_64_OFFSET 0x200u
#define CMDLINE_MAX     2047u
#define VERSION_MAX     256u

static uint16_t u16_at(const uint8_t *head, size_t off)
{
        le16_t v;

        memcpy(&v, head + off, sizeof(v));
        return le16_get(v);
}

static uint32_t u32_at(const uint8_t *head, size_t off)
{
        le32_t v;

        memcpy(&v, head + off, sizeof(v));
        return le32_get(v);
}

static uint64_t u64_at(const uint8_t *head, size_t off)
{
        le64_t v;

        memcpy(&v, head + off, sizeof(v));
        return le64_get(v);
}

/* The header ends where the jump over it leads. */
static size_t header_end(const uint8_t *head)
{
        return AT_MAGIC + head[AT_JUMP_LENGTH];
}

static int check_kind(const uint8_t *head, size_t len)
{
        if (len < AT_MAGIC + 4 || memcmp(head + AT_MAGIC, "HdrS", 4) != 0)
                return BZIMAGE_E_MAGIC;
        if (len < HEADER_END)
                return BZIMAGE_E_TRUNCATED;
        if (u16_at(head, AT_VERSION) < PROTOCOL_2_12 || header_end(head) < HEADER_END)
                return BZIMAGE_E_VERSION;
        if (!(head[AT_LOADFLAGS] & LOADED_HIGH))
                return BZIMAGE_E_ZIMAGE;
        if (!(u16_at(head, AT_XLOADFLAGS) & XLF_KERNEL_64))
                return BZIMAGE_E_32BIT;
        return 0;
}

static int parse_payload(const uint8_t *head, uint64_t file_size, struct bzimage *image)
{
        uint64_t sectors = head[AT_SETUP_SECTS] ? head[AT_SETUP_SECTS] : 4;
        uint64_t len = u32_at(head, AT_SYSSIZE) * 16ull;
        uint64_t left;

        image->payload_offset = (sectors + 1) * SECTOR_BYTES;
        if (image->payload_offset >= file_size)
                return BZIMAGE_E_TRUNCATED;
        left = file_size - image->payload_offset;
        /* The size is told in 16 bytes; the file need not be padded to that. */
        if (!len || len >= left + 16)
                return BZIMAGE_E_TRUNCATED;
        image->payload_len = num_min(len, left);
        return 0;
}

int bzimage_parse(const uint8_t *head, size_t len, uint64_t file_size, uint64_t ram_end, struct bzimage *ret)
{
        struct bzimage image = { 0 };
        uint64_t end;
        int r = check_kind(head, len);

        if (!r)
                r = parse_payload(head, file_size, &image);
        if (r)
                return r;
        image.at = u64_at(head, AT_PREF_ADDRESS);
        image.init_size = u32_at(head, AT_INIT_SIZE);
        image.entry = image.at + ENTRY_64_OFFSET;
        if (image.at < KERNEL_START_MIN)
                return BZIMAGE_E_LOW;
        if (image.init_size < image.payload_len || image.payload_len <= ENTRY_64_OFFSET ||
            !num_is_aligned(image.at, GMEM_PAGE_BYTES))
                return BZIMAGE_E_SIZES;
        if (!num_add(image.at, image.init_size, &end) || end > ram_end)
                return BZIMAGE_E_MEMORY;
        image.initrd_max = u32_at(head, AT_INITRD_MAX);
        image.cmdline_max = num_min(u32_at(head, AT_CMDLINE_SIZE), CMDLINE_MAX);
        if (u16_at(head, AT_KERNEL_VERSION))
                image.version_offset = u16_at(head, AT_KERNEL_VERSION) + 0x200u;
        image.setup_len = num_min(num_min(header_end(head), len) - KERNEL_SETUP_OFFSET, sizeof(image.setup));
        memcpy(image.setup, head + KERNEL_SETUP_OFFSET, image.setup_len);
        *ret = image;
        return 0;
}

bool bzimage_is_native(const char *version, size_t len)
{
        static const char mark[] = "-vmlet";
        const char *space;

        len = strnlen(version, len);
        space = memchr(version, ' ', len);
        if (space)
                len = (size_t)(space - version);
        return memmem(version, len, mark, sizeof(mark) - 1);
}

static int read_version(int fd, uint64_t file_size, const struct bzimage *image, bool *ret_native)
{
        char version[VERSION_MAX] __attribute__((uninitialized));
        size_t len;
        int r;

        *ret_native = false;
        if (!image->version_offset || image->version_offset >= file_size)
                return 0;
        len = num_min(sizeof(version), file_size - image->version_offset);
        r = file_read(fd, version, len, image->version_offset);
        if (!r)
                *ret_native = bzimage_is_native(version, len);
        return r;
}

int bzimage_load(struct gmem *mem, const struct kernel_file *file, uint64_t ram_end, struct kernel *ret)
{
        struct bzimage image;
        bool native;
        int r = bzimage_parse(file->head, file->head_len, file->size, ram_end, &image);

        if (r)
                return r;
        r = read_version(file->fd, file->size, &image, &native);
        if (!r)
                r = file_read_guest(file->fd, mem, GPA(image.at), image.payload_len, image.payload_offset);
        if (r)
                return r == FILE_E_SHORT ? KERNEL_E_CHANGED : err_trace(r);
        *ret = (struct kernel){
                .kind = KERNEL_BZIMAGE,
                .native = native,
                .entry = GPA(image.entry),
                .start = image.at,
                .end = image.at + image.init_size,
                .initrd_max = image.initrd_max,
                .cmdline_max = image.cmdline_max,
                .setup_len = image.setup_len,
        };
        memcpy(ret->setup, image.setup, image.setup_len);
        return 0;
}

const char *bzimage_strerror(int code)
{
        switch ((enum bzimage_error)code) {
        case BZIMAGE_E_TRUNCATED:
                return "is truncated: its bzImage header promises more than it holds";
        case BZIMAGE_E_MAGIC:
                return "is not a bzImage";
        case BZIMAGE_E_VERSION:
                return "speaks a boot protocol older than 2.12: Linux 3.8 or later is needed";
        case BZIMAGE_E_ZIMAGE:
                return "is a zImage: a bzImage is needed";
        case BZIMAGE_E_32BIT:
                return "has no 64-bit entry: a kernel for x86-64 is needed";
        case BZIMAGE_E_LOW:
                return "wants to be loaded below 1 MiB";
        case BZIMAGE_E_MEMORY:
                return "does not fit in the memory of the machine with room to unpack: give it more";
        case BZIMAGE_E_SIZES:
                return "has impossible sizes in its bzImage header";
        }
        return "is not usable as a bzImage";
}
