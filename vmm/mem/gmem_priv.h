#pragma once
/*
 * What the files of vmm/mem share, and nobody else sees.
 */
#include <stdatomic.h>

#include "vmm/mem/gmem.h"

struct gmem_region {
        uint64_t base;
        uint64_t size;
        uint8_t *hva;
        void *reserved; /* the whole mapping, guard pages and alignment included */
        size_t reserved_size;
        uint64_t file_from, file_to; /* offsets: views of files lie between them; from == to == size: none */
        _Atomic uint64_t *dirty;     /* a bit a page, or NULL */
};

struct gmem {
        unsigned nr_regions;
        bool is_logging; /* changes while nothing runs */
        struct gmem_region regions[GMEM_REGIONS_MAX];
};

/* The one check. @ret_region may be NULL. Return: host address or NULL. */
uint8_t *gmem_resolve(struct gmem *mem, gpa_t at, uint64_t len, struct gmem_region **ret_region);
/* The range was checked. */
void gmem_log_write(struct gmem *mem, gpa_t at, uint64_t len);
