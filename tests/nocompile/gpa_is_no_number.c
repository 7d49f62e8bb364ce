#include "vmm/mem/gmem.h"
unsigned long f(gpa_t at)
{
        return at + 1;
}
