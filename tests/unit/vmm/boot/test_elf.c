/* ELF kernels: a good one loads as promised; each way to be bad has its own answer. */
#include "tests/unit/run.h"

#include "tests/unit/vmm/boot/image.h"
#include "vmm/base/cleanup.h"

static int parse(const struct image *i, struct elf_image *ret)
{
        size_t head = i->size < KERNEL_HEAD_BYTES ? i->size : KERNEL_HEAD_BYTES;

        return elf_parse(i->bytes, head, i->size, IMAGE_RAM, ret);
}

START_TEST(test_good)
{
        struct image image;
        struct elf_image e;

        image_make_elf(&image);
        ck_assert_int_eq(parse(&image, &e), 0);
        ck_assert_uint_eq(e.nr_segments, 2);
        ck_assert_uint_eq(e.segments[0].at, 0x200000);
        ck_assert_uint_eq(e.segments[1].at, 0x204100);
        ck_assert(!e.segments[0].writable && e.segments[1].writable);
        ck_assert_uint_eq(e.entry, 0x200040);
        ck_assert_uint_eq(e.start, 0x200000);
        ck_assert_uint_eq(e.end, 0x209100);
        ck_assert_uint_eq(e.notes_offset, IMAGE_NOTES_AT);
}
END_TEST

enum field {
        MAGIC,
        CLASS,
        DATA,
        TYPE,
        MACHINE,
        ENTRY,
        PHOFF,
        PHENTSIZE,
        PHNUM,
        OFFSET,
        PADDR,
        FILESZ,
        MEMSZ,
        SIZE
};

/* One field of a good file is changed; segment fields are those of the text. */
static void spoil(struct image *i, enum field f, uint64_t v)
{
        switch (f) {
        case MAGIC:
                i->bytes[1] = (uint8_t)v;
                break;
        case CLASS:
                i->ehdr.e_ident[EI_CLASS] = (uint8_t)v;
                break;
        case DATA:
                i->ehdr.e_ident[EI_DATA] = (uint8_t)v;
                break;
        case TYPE:
                i->ehdr.e_type = (uint16_t)v;
                break;
        case MACHINE:
                i->ehdr.e_machine = (uint16_t)v;
                break;
        case ENTRY:
                i->ehdr.e_entry = v;
                break;
        case PHOFF:
                i->ehdr.e_phoff = v;
                break;
        case PHENTSIZE:
                i->ehdr.e_phentsize = (uint16_t)v;
                break;
        case PHNUM:
                i->ehdr.e_phnum = (uint16_t)v;
                break;
        case OFFSET:
                i->phdrs[1].p_offset = v;
                break;
        case PADDR:
                i->phdrs[1].p_paddr = v;
                break;
        case FILESZ:
                i->phdrs[1].p_filesz = v;
                break;
        case MEMSZ:
                i->phdrs[1].p_memsz = v;
                break;
        case SIZE:
                i->size = v;
                break;
        }
}

static const struct {
        const char *what;
        enum field field;
        uint64_t value;
        int error;
} hostile[] = {
        { "magic", MAGIC, 'X', ELF_E_CLASS },
        { "32-bit", CLASS, ELFCLASS32, ELF_E_CLASS },
        { "no class", CLASS, 0, ELF_E_CLASS },
        { "big-endian", DATA, ELFDATA2MSB, ELF_E_CLASS },
        { "aarch64", MACHINE, EM_AARCH64, ELF_E_MACHINE },
        { "i386", MACHINE, EM_386, ELF_E_MACHINE },
        { "object file", TYPE, ET_REL, ELF_E_TYPE },
        { "library", TYPE, ET_DYN, ELF_E_TYPE },
        { "core", TYPE, ET_CORE, ELF_E_TYPE },
        { "entry before", ENTRY, 0x1fffff, ELF_E_ENTRY },
        { "entry behind", ENTRY, 0x202080, ELF_E_ENTRY },
        { "entry in bss", ENTRY, 0x206000, ELF_E_ENTRY },
        { "entry 0", ENTRY, 0, ELF_E_ENTRY },
        { "entry at the top", ENTRY, UINT64_MAX, ELF_E_ENTRY },
        { "headers in the ELF header", PHOFF, 8, ELF_E_HEADERS },
        { "headers at 0", PHOFF, 0, ELF_E_HEADERS },
        { "headers misaligned", PHOFF, 65, ELF_E_HEADERS },
        { "headers behind what is read", PHOFF, 4096, ELF_E_HEADERS },
        { "headers cross what is read", PHOFF, 4096 - 56, ELF_E_HEADERS },
        { "headers behind the file", PHOFF, IMAGE_BYTES, ELF_E_TRUNCATED },
        { "headers near 2^64", PHOFF, UINT64_MAX - 7, ELF_E_TRUNCATED },
        { "small header entries", PHENTSIZE, 32, ELF_E_HEADERS },
        { "large header entries", PHENTSIZE, 64, ELF_E_HEADERS },
        { "no headers", PHNUM, 0, ELF_E_SEGMENTS },
        { "count is elsewhere", PHNUM, PN_XNUM, ELF_E_HEADERS },
        { "many headers", PHNUM, 1000, ELF_E_TRUNCATED },
        { "bytes behind the file", OFFSET, IMAGE_BYTES - 0x2080 + 1, ELF_E_TRUNCATED },
        { "offset near 2^64", OFFSET, UINT64_MAX - 0x2080, ELF_E_TRUNCATED },
        { "offset wraps", OFFSET, UINT64_MAX, ELF_E_SIZES },
        { "low", PADDR, KERNEL_START_MIN - 1, ELF_E_LOW },
        { "at 0", PADDR, 0, ELF_E_LOW },
        { "beyond RAM", PADDR, IMAGE_RAM, ELF_E_MEMORY },
        { "one byte beyond RAM", PADDR, IMAGE_RAM - 0x2080 + 1, ELF_E_MEMORY },
        { "near 2^64", PADDR, UINT64_MAX - 0x2080, ELF_E_MEMORY },
        { "address wraps", PADDR, UINT64_MAX, ELF_E_SIZES },
        { "overlap from below", PADDR, 0x204100 - 0x2080 + 1, ELF_E_OVERLAP },
        { "overlap from above", PADDR, 0x2090ff, ELF_E_OVERLAP },
        { "same place", PADDR, 0x204100, ELF_E_OVERLAP },
        { "more bytes than memory", FILESZ, 0x2081, ELF_E_SIZES },
        { "bytes without memory", MEMSZ, 0, ELF_E_SIZES },
        { "huge", MEMSZ, UINT64_MAX, ELF_E_SIZES },
        { "just too large", MEMSZ, IMAGE_RAM - 0x200000 + 1, ELF_E_MEMORY },
        { "file cut in the data", SIZE, 0x5eff, ELF_E_TRUNCATED },
        { "file cut behind the headers", SIZE, 400, ELF_E_TRUNCATED },
};

START_TEST(test_hostile)
{
        struct image image;
        struct elf_image e;
        int r;

        image_make_elf(&image);
        spoil(&image, hostile[_i].field, hostile[_i].value);
        r = parse(&image, &e);
        ck_assert_msg(r == hostile[_i].error, "%s: %d, not %d", hostile[_i].what, r, hostile[_i].error);
        ck_assert_ptr_nonnull(elf_strerror(r));
}
END_TEST

START_TEST(test_cut_anywhere)
{
        struct image image;
        struct elf_image e;

        image_make_elf(&image);
        for (size_t n = 0; n < 0x5f00; n++) {
                image.size = n;
                ck_assert_msg(parse(&image, &e) > 0, "taken when cut to %zu bytes", n);
        }
        image.size = 0x5f00;
        ck_assert_int_eq(parse(&image, &e), 0);
}
END_TEST

START_TEST(test_segment_limit)
{
        struct image image;
        struct elf_image e;

        for (unsigned n = ELF_SEGMENTS_MAX; n <= ELF_SEGMENTS_MAX + 1; n++) {
                image_make_elf(&image);
                image.ehdr.e_phnum = (uint16_t)n;
                for (unsigned i = 2; i < n; i++)
                        image.phdrs[i] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                                       .p_paddr = 0x300000 - i * 0x1000,
                                                       .p_memsz = 0x1000 };
                ck_assert_int_eq(parse(&image, &e), n > ELF_SEGMENTS_MAX ? ELF_E_SEGMENTS : 0);
        }
        /* Empty ones do not count, nor do other kinds. */
        image_make_elf(&image);
        image.ehdr.e_phnum = IMAGE_PHDRS_MAX;
        for (unsigned i = 2; i < IMAGE_PHDRS_MAX; i++)
                image.phdrs[i].p_type = i % 2 ? PT_LOAD : PT_GNU_STACK;
        ck_assert_int_eq(parse(&image, &e), 0);
        ck_assert_uint_eq(e.nr_segments, 2);
        image.phdrs[0].p_type = image.phdrs[1].p_type = PT_NULL;
        ck_assert_int_eq(parse(&image, &e), ELF_E_SEGMENTS);
}
END_TEST

START_TEST(test_notes)
{
        uint8_t notes[64] = { 0 };
        struct elf_notes n;
        uint64_t pvh = 0x1000190;
        size_t len = image_note(notes, "Linux", 0x100, "vmlet", 6);

        elf_parse_notes(notes, len, &n);
        ck_assert(n.native && !n.pvh_entry);
        /* The padding of the last note may be missing; a byte of it may not. */
        elf_parse_notes(notes, len - 2, &n);
        ck_assert(n.native);
        for (size_t cut = 0; cut < len - 2; cut++) {
                elf_parse_notes(notes, cut, &n);
                ck_assert(!n.native);
        }
        elf_parse_notes(notes, image_note(notes, "Linux", 0x100, "vmlets", 7), &n);
        ck_assert(!n.native);
        elf_parse_notes(notes, image_note(notes, "Linux", 0x101, "vmlet", 6), &n);
        ck_assert(!n.native);
        elf_parse_notes(notes, image_note(notes, "Linus", 0x100, "vmlet", 6), &n);
        ck_assert(!n.native);
        elf_parse_notes(notes, image_note(notes, "Xen", 18, &pvh, sizeof(pvh)), &n);
        ck_assert_uint_eq(n.pvh_entry, pvh);
        elf_parse_notes(notes, image_note(notes, "Xen", 18, &pvh, 3), &n);
        ck_assert_uint_eq(n.pvh_entry, 0);
}
END_TEST

START_TEST(test_notes_sizes_near_the_top)
{
        static const uint32_t sizes[] = { 0x7fffffff, 0xfffffff0, 0xfffffffc, 0xfffffffd, 0xffffffff };
        uint8_t notes[64] = { 0 };
        struct elf_notes n;

        for (unsigned i = 0; i < array_size(sizes); i++) {
                Elf64_Nhdr long_name = { .n_namesz = sizes[i], .n_type = 0x100 };
                Elf64_Nhdr long_desc = { .n_namesz = 4, .n_descsz = sizes[i], .n_type = 0x100 };

                memcpy(notes, &long_name, sizeof(long_name));
                elf_parse_notes(notes, sizeof(notes), &n);
                ck_assert(!n.native);
                memcpy(notes, &long_desc, sizeof(long_desc));
                elf_parse_notes(notes, sizeof(notes), &n);
                ck_assert(!n.native);
        }
}
END_TEST

START_TEST(test_load)
{
        cleanup(gmem_freep) struct gmem *mem = image_ram();
        struct image image;
        struct kernel k;
        int fd;

        image_make_elf(&image);
        fd = image_fd(&image);
        ck_assert_int_eq(kernel_load(mem, fd, IMAGE_RAM, &k), 0);
        close(fd);
        ck_assert(k.kind == KERNEL_ELF && k.native);
        ck_assert_uint_eq(k.entry.v, 0x200040);
        ck_assert_uint_eq(k.pvh_entry.v, 0x200100);
        ck_assert_uint_eq(k.start, 0x200000);
        ck_assert_uint_eq(k.end, 0x209100);
        ck_assert_uint_eq(k.setup_len, 0);
        image_expect(mem, 0x1ff000, 0x1000, 0);
        image_expect(mem, 0x200000, 0x2080, 0x11);
        image_expect(mem, 0x202080, 0x2080, 0);
        image_expect(mem, 0x204100, 0x1e00, 0x22);
        image_expect(mem, 0x205f00, 0x3200, 0);
}
END_TEST

/* The guest's writes stay the guest's, and another guest does not see them. */
START_TEST(test_mapping_is_private)
{
        cleanup(gmem_freep) struct gmem *a = image_ram(), *b = image_ram();
        struct image image;
        struct kernel k;
        uint8_t byte;
        int fd;

        image_make_elf(&image);
        fd = image_fd(&image);
        ck_assert_int_eq(kernel_load(a, fd, IMAGE_RAM, &k), 0);
        ck_assert_int_eq(kernel_load(b, fd, IMAGE_RAM, &k), 0);
        ck_assert_int_eq(gmem_fill(a, GPA(0x200000), 0x77, 0x1000), 0);
        image_expect(b, 0x200000, 0x1000, 0x11);
        ck_assert_int_eq(pread(fd, &byte, 1, IMAGE_TEXT_AT), 1);
        ck_assert_uint_eq(byte, 0x11);
        close(fd);
}
END_TEST

/* Offsets that pages cannot be mapped from are copied. */
START_TEST(test_load_incongruent)
{
        cleanup(gmem_freep) struct gmem *mem = image_ram();
        struct image image;
        struct kernel k;
        int fd;

        image_make_elf(&image);
        image.phdrs[1].p_paddr = 0x100010;
        image.ehdr.e_entry = 0x100010;
        fd = image_fd(&image);
        ck_assert_int_eq(kernel_load(mem, fd, IMAGE_RAM, &k), 0);
        close(fd);
        image_expect(mem, 0x100000, 0x10, 0);
        image_expect(mem, 0x100010, 0x2080, 0x11);
        image_expect(mem, 0x102090, 0x100, 0);
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_good, 1 },
                { test_hostile, array_size(hostile) },
                { test_cut_anywhere, 1 },
                { test_segment_limit, 1 },
                { test_notes, 1 },
                { test_notes_sizes_near_the_top, 1 },
                { test_load, 1 },
                { test_mapping_is_private, 1 },
                { test_load_incongruent, 1 },
        };

        return run_loop_tests("elf", tests, array_size(tests));
}
