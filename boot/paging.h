// SPDX-License-Identifier: Apache-2.0
// The page tables that the loader jumps with: physical memory as it is, and the hypervisor at its linked
// addresses. Pure code: builds in the loader and in its unit test. Formats: Intel SDM vol. 3, section 4.5;
// AMD APM vol. 2, 5.3.
#ifndef SAGUARO_BOOT_PAGING_H
#define SAGUARO_BOOT_PAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `page` returns one zeroed, 4 KiB aligned page, or NULL. Its address now is its physical one, as in all of
 * EFI. */
struct paging {
    void *(*page)(void *context);
    void *context;
    bool large_1g;  /* CPUID 80000001 EDX[26] */
    uint64_t *root; /* PML4; NULL before paging_start() */
};

/* Give the tables their root. -ENOMEM if there is no page. */
int paging_start(struct paging *paging);

/*
 * Map physical [base, base + size) at the same address, writable and executable, with the largest pages there
 * are: what is mapped grows to whole 2 MiB (or 1 GiB) pages. Ranges may repeat and overlap. -EINVAL: above
 * 2^47; -ENOMEM.
 */
int paging_map_identity(struct paging *paging, uint64_t base, uint64_t size);

/* Map `size` bytes of 4 KiB pages at `virtual_address` to `physical`; all three page-aligned. -EEXIST:
 * already mapped; -ENOMEM. */
int paging_map_pages(struct paging *paging, uint64_t virtual_address, uint64_t physical, uint64_t size,
                     bool writable, bool executable);

#endif
