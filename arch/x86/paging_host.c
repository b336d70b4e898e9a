// SPDX-License-Identifier: Apache-2.0
// The x86-64 page-table format for the paging engine: four levels, NX, no user pages.
#include "arch/x86/paging_host.h"

static uint64_t rights_encode(unsigned rights) {
    uint64_t bits = 0;

    if (rights & PAGING_WRITE)
        bits |= PTE_WRITE;
    if (!(rights & PAGING_EXECUTE))
        bits |= PTE_NO_EXECUTE;
    if (rights & PAGING_USER)
        bits |= PTE_USER;
    if (rights & PAGING_HOST_COMBINING)
        bits |= PTE_PWT;
    else if (rights & PAGING_UNCACHED)
        bits |= PTE_PWT | PTE_PCD;
    return bits;
}

static unsigned rights_decode(uint64_t entry) {
    unsigned rights = PAGING_READ;

    if (entry & PTE_WRITE)
        rights |= PAGING_WRITE;
    if (!(entry & PTE_NO_EXECUTE))
        rights |= PAGING_EXECUTE;
    if (entry & PTE_USER)
        rights |= PAGING_USER;
    if (entry & PTE_PCD)
        rights |= PAGING_UNCACHED;
    else if (entry & PTE_PWT)
        rights |= PAGING_HOST_COMBINING;
    return rights;
}

const struct paging_format paging_host_format = {
    .name = "x86-64",
    .levels = 4,
    .level = {{.shift = 12, .bits = 9, .leaf = true},
              {.shift = 21, .bits = 9, .leaf = true},
              {.shift = 30, .bits = 9, .leaf = true},
              {.shift = 39, .bits = 9, .leaf = false}},
    .address_mask = PTE_ADDRESS,
    .present_mask = PTE_PRESENT,
    .table_bits = PTE_PRESENT | PTE_WRITE | PTE_ACCESSED,
    .leaf_bits = PTE_PRESENT | PTE_ACCESSED,
    .large_bit = PTE_LARGE,
    .accessed = PTE_ACCESSED,
    .dirty = PTE_DIRTY,
    .rights_encode = rights_encode,
    .rights_decode = rights_decode,
};
