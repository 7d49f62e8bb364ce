/*
 * The kernel's command line.
 * Input:  words of our own and of the person's.
 * Runs:   main thread.
 * Limits: CMDLINE_BYTES.
 */
#include "vmm/boot/cmdline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void cmdline_add(struct cmdline *c, const char *words)
{
        size_t n = strlen(words);
        size_t space = c->len ? 1 : 0;

        if (!n || c->too_long)
                return;
        if (n > CMDLINE_BYTES - 1 - c->len || n + space > CMDLINE_BYTES - 1 - c->len) {
                c->too_long = true;
                return;
        }
        if (space)
                c->text[c->len++] = ' ';
        memcpy(c->text + c->len, words, n + 1);
        c->len += n;
}

void cmdline_add_virtio_mmio(struct cmdline *c, uint64_t base, uint64_t size, unsigned gsi)
{
        char words[80];

        (void)snprintf(words, sizeof(words), "virtio_mmio.device=%" PRIu64 "@0x%" PRIx64 ":%u", size, base,
                       gsi);
        cmdline_add(c, words);
}
