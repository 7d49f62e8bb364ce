/*
 * What the guest sends to the log port, in pieces: the first byte says how large they are.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/output_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct output_parser parser = { 0 };
        size_t step = size ? data[0] + 1u : 1, taken = 0, told = 0;

        for (size_t at = 1; at < size;) {
                size_t n = size - at < step ? size - at : step, used = 0;
                /* A copy as long as the piece: a read beyond it is seen. */
                uint8_t *copy = malloc(n);
                struct output_piece piece;
                int r;

                memcpy(copy, data + at, n);
                r = output_parse(&parser, copy, n, &used, &piece);
                ASSERT(used && used <= n);
                ASSERT(r >= 0 && r < PROTOCOL_E_NR);
                if (!r && (piece.kind == OUTPUT_STDOUT || piece.kind == OUTPUT_STDERR)) {
                        ASSERT(piece.len && piece.bytes >= copy && piece.bytes + piece.len <= copy + used);
                        told += piece.len;
                }
                if (!r && piece.kind == OUTPUT_EXIT)
                        ASSERT(piece.exit.kind < PROTOCOL_KIND_NR);
                free(copy);
                if (r)
                        break;
                at += used;
                taken += used;
        }
        ASSERT(told <= taken);
        return 0;
}
