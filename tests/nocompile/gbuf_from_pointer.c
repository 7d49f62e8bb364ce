#include "vmm/mem/gmem.h"
void *f(struct gmem *mem)
{
        return mem->regions;
}
