/*
 * Runs a fuzz target over files and folders of inputs, for builds without libFuzzer: what was once
 * found is looked for in every test run.
 * Input:  the corpus.
 * Runs:   main thread.
 * Limits: INPUT_MAX bytes an input.
 */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "vmm/base/assert.h"

#define INPUT_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned nr_inputs;

static int replay(const char *path, const struct stat *st, int type)
{
        size_t n = (size_t)st->st_size;
        uint8_t *data;
        FILE *f;

        if (type != FTW_F)
                return 0;
        ASSERT(n <= INPUT_MAX);
        f = fopen(path, "rb");
        data = malloc(n ? n : 1); /* its very size: a sanitizer sees each byte beyond it */
        ASSERT(f && data && fread(data, 1, n, f) == n);
        (void)fclose(f);
        (void)fprintf(stderr, "%s\n", path); /* the last one named is the one that failed */
        (void)LLVMFuzzerTestOneInput(data, n);
        free(data);
        nr_inputs++;
        return 0;
}

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++)
                if (ftw(argv[i], replay, 8) != 0)
                        return EXIT_FAILURE;
        (void)printf("%u inputs\n", nr_inputs);
        return nr_inputs ? EXIT_SUCCESS : EXIT_FAILURE;
}
