#pragma once
/*
 * Kernel files for the tests: a small correct ELF kernel and a small correct bzImage, to be spoiled.
 */
#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "vmm/boot/elf.h"

#define IMAGE_RAM       0x800000ull /* what the files are made for */
#define IMAGE_BYTES     0x6000u
#define IMAGE_PHDRS_MAX 24u
#define IMAGE_NOTES_AT  0x800u
#define IMAGE_TEXT_AT   0x1000u
#define IMAGE_DATA_AT   0x4100u

/*
 * Text: two whole pages and a bit at 2 MiB. Data: begins and ends within pages, with bss behind it.
 * The notes are not loaded.
 */
struct image {
        size_t size;
        union {
                uint8_t bytes[IMAGE_BYTES];
                struct {
                        Elf64_Ehdr ehdr;
                        Elf64_Phdr phdrs[IMAGE_PHDRS_MAX];
                };
        };
};

static inline size_t image_note(uint8_t *at, const char *name, uint32_t type, const void *desc, uint32_t n)
{
        Elf64_Nhdr hdr = { .n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = n, .n_type = type };
        size_t desc_at = sizeof(hdr) + (hdr.n_namesz + 3u) / 4 * 4;

        memcpy(at, &hdr, sizeof(hdr));
        memcpy(at + sizeof(hdr), name, hdr.n_namesz);
        memcpy(at + desc_at, desc, n);
        return desc_at + (n + 3u) / 4 * 4;
}

static inline void image_make_elf(struct image *i)
{
        uint32_t pvh = 0x200100;
        size_t notes;

        memset(i, 0, sizeof(*i));
        i->size = IMAGE_BYTES;
        memset(i->bytes + IMAGE_TEXT_AT, 0x11, 0x2080);
        memset(i->bytes + IMAGE_DATA_AT, 0x22, 0x1e00);
        notes = image_note(i->bytes + IMAGE_NOTES_AT, "GNU", 3, "0123456789", 10);
        notes += image_note(i->bytes + IMAGE_NOTES_AT + notes, "Xen", 18, &pvh, sizeof(pvh));
        notes += image_note(i->bytes + IMAGE_NOTES_AT + notes, "Linux", 0x100, "vmlet", 6);
        i->ehdr = (Elf64_Ehdr){
                .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                .e_type = ET_EXEC,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_entry = 0x200040,
                .e_phoff = sizeof(Elf64_Ehdr),
                .e_shoff = IMAGE_BYTES - 0x80, /* where libelf must not look */
                .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = 3,
                .e_shentsize = sizeof(Elf64_Shdr),
                .e_shnum = 40,
                .e_shstrndx = 39,
        };
        i->phdrs[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                    .p_flags = PF_R | PF_W,
                                    .p_offset = IMAGE_DATA_AT,
                                    .p_paddr = 0x204100,
                                    .p_filesz = 0x1e00,
                                    .p_memsz = 0x5000,
                                    .p_align = 0x1000 };
        i->phdrs[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                    .p_flags = PF_R | PF_X,
                                    .p_offset = IMAGE_TEXT_AT,
                                    .p_paddr = 0x200000,
                                    .p_filesz = 0x2080,
                                    .p_memsz = 0x2080,
                                    .p_align = 0x1000 };
        i->phdrs[2] = (Elf64_Phdr){ .p_type = PT_NOTE,
                                    .p_offset = IMAGE_NOTES_AT,
                                    .p_filesz = notes,
                                    .p_memsz = notes,
                                    .p_align = 4 };
}

static inline void image_set16(struct image *i, size_t at, uint16_t v)
{
        memcpy(i->bytes + at, &v, sizeof(v));
}

static inline void image_set32(struct image *i, size_t at, uint32_t v)
{
        memcpy(i->bytes + at, &v, sizeof(v));
}

static inline void image_set64(struct image *i, size_t at, uint64_t v)
{
        memcpy(i->bytes + at, &v, sizeof(v));
}

/* Two sectors of setup, 0x5000 bytes of payload to 2 MiB, which needs 64 KiB to unpack. */
#define IMAGE_PAYLOAD_AT 0x600u
#define IMAGE_VERSION_AT 0x400u

static inline void image_make_bzimage(struct image *i)
{
        memset(i, 0, sizeof(*i));
        i->size = IMAGE_PAYLOAD_AT + 0x5000;
        memset(i->bytes + IMAGE_PAYLOAD_AT, 0x33, 0x5000);
        i->bytes[0x1f1] = 2;
        image_set32(i, 0x1f4, 0x500);
        i->bytes[0x200] = 0xeb;
        i->bytes[0x201] = 0x6a;
        memcpy(i->bytes + 0x202, "HdrS", 4);
        image_set16(i, 0x206, 0x20f);
        image_set16(i, 0x20e, IMAGE_VERSION_AT - 0x200);
        i->bytes[0x211] = 1;
        image_set32(i, 0x22c, 0x7fffffff);
        image_set16(i, 0x236, 1);
        image_set32(i, 0x238, 1000);
        image_set64(i, 0x258, 0x200000);
        image_set32(i, 0x260, 0x10000);
        strncpy((char *)i->bytes + IMAGE_VERSION_AT, "6.12.1-vmlet (nobody@nowhere) #1", 64);
}

static inline int image_fd(const struct image *i)
{
        int fd = memfd_create("kernel", MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, i->bytes, i->size), (ssize_t)i->size);
        return fd;
}

static inline struct gmem *image_ram(void)
{
        struct gmem *mem;

        ck_assert_int_eq(gmem_new(&mem), 0);
        ck_assert_int_eq(gmem_add_ram(mem, GPA(0), IMAGE_RAM), 0);
        return mem;
}

/* All bytes of guest memory [at, at + n) are @value. */
static inline void image_expect(struct gmem *mem, uint64_t at, size_t n, uint8_t value)
{
        uint8_t bytes[4096], good[4096];

        memset(good, value, sizeof(good));
        for (size_t done = 0; done < n;) {
                size_t part = n - done < sizeof(bytes) ? n - done : sizeof(bytes);

                ck_assert_int_eq(gmem_read(mem, GPA(at + done), bytes, part), 0);
                ck_assert_msg(!memcmp(bytes, good, part), "from %#lx: not all %#x",
                              (unsigned long)(at + done), value);
                done += part;
        }
}
