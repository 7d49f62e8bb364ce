#pragma once
/*
 * Records of a sandbox's output file, as vmm/output.h has them. Pure.
 */
#include <stddef.h>
#include <stdint.h>

#define LOGS_HEADER_SIZE 16u
#define LOGS_RECORD_MAX  (1u << 20) /* no monitor writes one that long */

enum { LOGS_STDOUT = 1, LOGS_STDERR = 2 };

struct logs_record {
        uint64_t time_ns; /* since 1970 */
        uint8_t kind;
        const uint8_t *bytes; /* a view */
        size_t len, size;     /* of the bytes; of the record */
};

enum { LOGS_OK, LOGS_E_MORE, LOGS_E_BAD };

/* logs_parse() - the record at @p. Return: LOGS_OK, LOGS_E_MORE when it is not all there, LOGS_E_BAD. */
int logs_parse(const uint8_t *p, size_t len, struct logs_record *ret);
