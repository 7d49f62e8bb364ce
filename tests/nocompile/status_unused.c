#include "vmm/mem/gmem.h"
void f(struct gmem *mem)
{
        gmem_read(mem, GPA(0), 0, 0);
}
