/*
 * config.toml.
 */
#include <string.h>

#include "sandbox/settings_parse.h"
#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct settings s;
        unsigned line;
        int r = settings_parse((const char *)data, size, &s, &line);

        ASSERT(r >= 0 && r < SETTINGS_E_NR && line <= size + 1);
        ASSERT(strnlen(s.image, sizeof(s.image)) <= SETTINGS_TEXT_MAX &&
               strnlen(s.disk, sizeof(s.disk)) <= SETTINGS_TEXT_MAX);
        return 0;
}
