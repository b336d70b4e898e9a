// SPDX-License-Identifier: Apache-2.0
// The x86-64 page-table format for the hypervisor's own tables (Intel SDM vol. 3, 4.5).
#ifndef SAGUARO_ARCH_X86_PAGING_HOST_H
#define SAGUARO_ARCH_X86_PAGING_HOST_H

#include "core/paging.h"

#define PTE_PRESENT           (1ull << 0)
#define PTE_WRITE             (1ull << 1)
#define PTE_USER              (1ull << 2)
#define PTE_PWT               (1ull << 3)
#define PTE_PCD               (1ull << 4)
#define PTE_ACCESSED          (1ull << 5)
#define PTE_DIRTY             (1ull << 6)
#define PTE_LARGE             (1ull << 7)
#define PTE_NO_EXECUTE        (1ull << 63)
#define PTE_ADDRESS           0x000ffffffffff000ull

/* Memory types of PAT entries 0-3 and again 4-7: write-back, write-combining, UC-, uncached. So PWT alone
 * means write-combining here. */
#define PAT_VALUE             0x0007010600070106ull

/* A right beside core's PAGING_*: device memory that may be written in bursts (frame buffer). */
#define PAGING_HOST_COMBINING 0x80000000u

extern const struct paging_format paging_host_format;

#endif
