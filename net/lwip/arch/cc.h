#pragma once
/* What lwIP asks of a platform. Its assertions are ours: they end the process. */
#include <stdlib.h>

#include "vmm/base/assert.h"

#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(x) assert_fail((x), __FILE__, __LINE__)
#define LWIP_NO_CTYPE_H         0
#define LWIP_TIMEVAL_PRIVATE    0
#define LWIP_RAND()             ((u32_t)rand())
