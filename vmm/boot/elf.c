/*
 * ELF kernels: headers checked with libelf, segments mapped over guest memory.
 * Input:  a kernel file, hostile.
 * Runs:   main thread, before any vCPU.
 * Limits: headers in the first ELF_HEAD_MAX bytes, ELF_SEGMENTS_MAX segments, ELF_NOTES_MAX of notes.
 *
 * libelf is shown a copy of the first bytes, without section headers: it never sees the rest of the
 * file, which may be large and may change under us.
 */
#include "vmm/boot/elf.h"

#include <assert.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/boot/file.h"

#define NOTE_BUILD_SALT 0x100u /* linux/build-salt.h: LINUX_ELFNOTE_BUILD_SALT */
#define NOTE_XEN_PVH    18u    /* xen/interface/elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY */
#define NATIVE_SALT     "vmlet"

/* What a kernel without a setup header is taken to stand: the values every Linux/x86 has. */
#define ELF_INITRD_MAX  0x7fffffffull
#define ELF_CMDLINE_MAX 2047u

static_assert(KERNEL_HEAD_BYTES <= ELF_HEAD_MAX, "what kernel_load() reads is what elf_parse() takes");

union head {
        Elf64_Ehdr ehdr;
        uint8_t bytes[ELF_HEAD_MAX];
};

static void close_elf(Elf **elf)
{
        (void)!elf_end(*elf);
}

/* Everything that needs no program header. */
static int check_header(const Elf64_Ehdr *ehdr, size_t len, uint64_t file_size)
{
        uint64_t table = ehdr->e_phnum * sizeof(Elf64_Phdr);

        if (ehdr->e_ident[EI_CLASS] != ELFCLASS64 || ehdr->e_ident[EI_DATA] != ELFDATA2LSB)
                return ELF_E_CLASS;
        if (ehdr->e_machine != EM_X86_64)
                return ELF_E_MACHINE;
        if (ehdr->e_type != ET_EXEC)
                return ELF_E_TYPE;
        if (!ehdr->e_phnum)
                return ELF_E_SEGMENTS;
        if (ehdr->e_phentsize != sizeof(Elf64_Phdr) || ehdr->e_phnum == PN_XNUM ||
            ehdr->e_phoff < sizeof(*ehdr) || !num_is_aligned(ehdr->e_phoff, 8))
                return ELF_E_HEADERS;
        if (ehdr->e_phoff > file_size || table > file_size - ehdr->e_phoff)
                return ELF_E_TRUNCATED;
        if (ehdr->e_phoff > len || table > len - ehdr->e_phoff)
                return ELF_E_HEADERS;
        return 0;
}

static int check_segment(const GElf_Phdr *p, uint64_t file_size, uint64_t ram_end)
{
        uint64_t end, file_end;

        if (p->p_filesz > p->p_memsz || !num_add(p->p_paddr, p->p_memsz, &end) ||
            !num_add(p->p_offset, p->p_filesz, &file_end))
                return ELF_E_SIZES;
        if (file_end > file_size)
                return ELF_E_TRUNCATED;
        if (p->p_paddr < KERNEL_START_MIN)
                return ELF_E_LOW;
        return end > ram_end ? ELF_E_MEMORY : 0;
}

/* By rising address. The segments before are disjoint, so that only neighbours can overlap. */
static int insert_segment(struct elf_image *image, const GElf_Phdr *p)
{
        struct elf_segment *s = image->segments;
        unsigned i = image->nr_segments;

        if (i == ELF_SEGMENTS_MAX)
                return ELF_E_SEGMENTS;
        for (; i && s[i - 1].at > p->p_paddr; i--)
                s[i] = s[i - 1];
        s[i] = (struct elf_segment){
                .at = p->p_paddr,
                .offset = p->p_offset,
                .filesz = p->p_filesz,
                .memsz = p->p_memsz,
                .writable = p->p_flags & PF_W,
        };
        image->nr_segments++;
        if (i && s[i].at - s[i - 1].at < s[i - 1].memsz)
                return ELF_E_OVERLAP;
        if (i + 1 < image->nr_segments && s[i + 1].at - s[i].at < s[i].memsz)
                return ELF_E_OVERLAP;
        return 0;
}

static int parse_segments(Elf *elf, unsigned nr, uint64_t file_size, uint64_t ram_end,
                          struct elf_image *image)
{
        for (unsigned i = 0; i < nr; i++) {
                GElf_Phdr p;
                int r;

                if (!gelf_getphdr(elf, (int)i, &p))
                        return ELF_E_HEADERS;
                if (p.p_type == PT_NOTE && !image->notes_len && p.p_filesz <= ELF_NOTES_MAX &&
                    p.p_offset <= file_size && p.p_filesz <= file_size - p.p_offset) {
                        image->notes_offset = p.p_offset;
                        image->notes_len = p.p_filesz;
                }
                if (p.p_type != PT_LOAD || (!p.p_memsz && !p.p_filesz))
                        continue;
                r = check_segment(&p, file_size, ram_end);
                if (!r)
                        r = insert_segment(image, &p);
                if (r)
                        return r;
        }
        return image->nr_segments ? 0 : ELF_E_SEGMENTS;
}

static bool has_entry(const struct elf_image *image)
{
        for (unsigned i = 0; i < image->nr_segments; i++) {
                const struct elf_segment *s = &image->segments[i];

                if (image->entry >= s->at && image->entry - s->at < s->filesz)
                        return true;
        }
        return false;
}

int elf_parse(const uint8_t *head, size_t len, uint64_t file_size, uint64_t ram_end, struct elf_image *ret)
{
        union head copy __attribute__((uninitialized, aligned(8)));
        struct elf_image image = { 0 };
        cleanup(close_elf) Elf *elf = NULL;
        GElf_Ehdr ehdr;
        int r;

        len = num_min(len, sizeof(copy));
        if (len < EI_NIDENT || memcmp(head, ELFMAG, SELFMAG) != 0)
                return ELF_E_CLASS;
        if (len < sizeof(copy.ehdr))
                return ELF_E_TRUNCATED;
        memcpy(copy.bytes, head, len);
        r = check_header(&copy.ehdr, len, file_size);
        if (r)
                return r;
        copy.ehdr.e_shoff = 0;
        copy.ehdr.e_shnum = 0;
        copy.ehdr.e_shstrndx = SHN_UNDEF;

        (void)!elf_version(EV_CURRENT);
        elf = elf_memory((char *)copy.bytes, len);
        if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr))
                return ELF_E_HEADERS;
        image.entry = ehdr.e_entry;
        r = parse_segments(elf, ehdr.e_phnum, file_size, ram_end, &image);
        if (r)
                return r;
        if (!has_entry(&image))
                return ELF_E_ENTRY;
        image.start = image.segments[0].at;
        image.end = image.segments[image.nr_segments - 1].at + image.segments[image.nr_segments - 1].memsz;
        *ret = image;
        return 0;
}

static void take_note(uint32_t type, const char *name, size_t name_len, const uint8_t *desc, size_t desc_len,
                      struct elf_notes *ret)
{
        if (type == NOTE_BUILD_SALT && name_len == sizeof("Linux") && !memcmp(name, "Linux", name_len))
                ret->native =
                        desc_len >= sizeof(NATIVE_SALT) && !memcmp(desc, NATIVE_SALT, sizeof(NATIVE_SALT));
        if (type == NOTE_XEN_PVH && name_len == sizeof("Xen") && !memcmp(name, "Xen", name_len) &&
            (desc_len == 4 || desc_len == 8)) {
                ret->pvh_entry = 0;
                memcpy(&ret->pvh_entry, desc, desc_len);
        }
}

/* gelf_getnote() would need libelf to hold the whole file. Three words, a name, bytes: 4-byte aligned. */
void elf_parse_notes(const uint8_t *notes, size_t len, struct elf_notes *ret)
{
        *ret = (struct elf_notes){ 0 };
        for (size_t at = 0; len - at >= sizeof(Elf64_Nhdr);) {
                size_t name_room, desc_room;
                const uint8_t *name;
                Elf64_Nhdr n;

                memcpy(&n, notes + at, sizeof(n));
                at += sizeof(n);
                name = notes + at;
                name_room = num_align_up(n.n_namesz, 4);
                if (name_room > len - at)
                        return;
                at += name_room;
                desc_room = num_align_up(n.n_descsz, 4);
                /* The last one's padding may be missing. */
                if (n.n_descsz > len - at)
                        return;
                take_note(n.n_type, (const char *)name, n.n_namesz, notes + at, n.n_descsz, ret);
                at += num_min(desc_room, len - at);
        }
}

/*
 * Whole pages of a read-only segment are mapped: the page cache's copy serves all VMs. A writable one is
 * copied: the kernel writes to nearly every page of it at once, which would cost two faults and a copy
 * each where a copy into a huge page costs none. What shares its first or last page with something else
 * is copied too, so that memory beyond filesz stays the zero it was.
 */
static int load_segment(struct gmem *mem, int fd, const struct elf_segment *s)
{
        uint64_t end = s->at + s->filesz;
        uint64_t first = num_min(num_align_up(s->at, GMEM_PAGE_BYTES), end);
        uint64_t last = num_max(num_align_down(end, GMEM_PAGE_BYTES), first);
        int r;

        if (s->writable || (s->at ^ s->offset) % GMEM_PAGE_BYTES)
                first = last = end;
        r = file_read_guest(fd, mem, GPA(s->at), first - s->at, s->offset);
        if (r)
                return err_trace(r);
        if (last > first) {
                r = gmem_map_file(mem, GPA(first), last - first, fd, s->offset + (first - s->at));
                ASSERT(r <= 0);
                if (r)
                        return err_trace(r);
        }
        return file_read_guest(fd, mem, GPA(last), end - last, s->offset + (last - s->at));
}

static int load_notes(int fd, const struct elf_image *image, struct elf_notes *ret)
{
        uint8_t notes[ELF_NOTES_MAX] __attribute__((uninitialized));
        int r = file_read(fd, notes, image->notes_len, image->notes_offset);

        if (!r)
                elf_parse_notes(notes, image->notes_len, ret);
        return r;
}

int elf_load(struct gmem *mem, const struct kernel_file *file, uint64_t ram_end, struct kernel *ret)
{
        struct elf_image image;
        struct elf_notes notes = { 0 };
        int r = elf_parse(file->head, file->head_len, file->size, ram_end, &image);

        if (r)
                return r;
        r = load_notes(file->fd, &image, &notes);
        for (unsigned i = 0; !r && i < image.nr_segments; i++)
                r = load_segment(mem, file->fd, &image.segments[i]);
        if (r)
                return r == FILE_E_SHORT ? KERNEL_E_CHANGED : err_trace(r);
        *ret = (struct kernel){
                .kind = KERNEL_ELF,
                .native = notes.native,
                .entry = GPA(image.entry),
                .pvh_entry = GPA(notes.pvh_entry),
                .start = image.start,
                .end = image.end,
                .initrd_max = ELF_INITRD_MAX,
                .cmdline_max = ELF_CMDLINE_MAX,
        };
        return 0;
}

const char *elf_strerror(int code)
{
        switch ((enum elf_error)code) {
        case ELF_E_TRUNCATED:
                return "is truncated: its ELF headers promise more than it holds";
        case ELF_E_CLASS:
                return "is not a 64-bit little-endian ELF file";
        case ELF_E_MACHINE:
                return "is an ELF file for another processor than x86-64";
        case ELF_E_TYPE:
                return "is an ELF file but no executable: a vmlinux is needed";
        case ELF_E_HEADERS:
                return "has malformed ELF headers";
        case ELF_E_SEGMENTS:
                return "has no ELF segments to load, or too many";
        case ELF_E_SIZES:
                return "has an ELF segment of impossible size";
        case ELF_E_LOW:
                return "has an ELF segment below 1 MiB: it is not a Linux kernel";
        case ELF_E_MEMORY:
                return "does not fit in the memory of the machine: give it more";
        case ELF_E_OVERLAP:
                return "has ELF segments that overlap";
        case ELF_E_ENTRY:
                return "has its entry outside of its ELF segments";
        }
        return "is not usable as an ELF kernel";
}
