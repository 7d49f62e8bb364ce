#include "vmm/base/endian.h"
unsigned f(le32_t v)
{
        return v + 1;
}
