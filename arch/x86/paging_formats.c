// SPDX-License-Identifier: Apache-2.0
// Second-level page-table formats: how rights become bits and back.
#include "arch/x86/paging_formats.h"

#define ADDRESS 0x000ffffffffff000ull

#define LEVELS                                                                                               \
    {                                                                                                        \
        {.shift = 12, .bits = 9, .leaf = true}, {.shift = 21, .bits = 9, .leaf = true},                      \
            {.shift = 30, .bits = 9, .leaf = true}, {                                                        \
            .shift = 39, .bits = 9, .leaf = false                                                            \
        }                                                                                                    \
    }

#define NPT_PRESENT    (1ull << 0)
#define NPT_WRITE      (1ull << 1)
#define NPT_USER       (1ull << 2)
#define NPT_PWT        (1ull << 3)
#define NPT_PCD        (1ull << 4)
#define NPT_ACCESSED   (1ull << 5)
#define NPT_DIRTY      (1ull << 6)
#define NPT_LARGE      (1ull << 7)
#define NPT_NO_EXECUTE (1ull << 63)

/* Every guest access counts as a user access (APM vol. 2, 15.25.6), so that NPT_USER is set everywhere. */
static uint64_t npt_encode(unsigned rights) {
    return ((rights & PAGING_WRITE) ? NPT_WRITE : 0) | ((rights & PAGING_EXECUTE) ? 0 : NPT_NO_EXECUTE) |
           ((rights & PAGING_UNCACHED) ? NPT_PCD | NPT_PWT : 0);
}

static unsigned npt_decode(uint64_t entry) {
    return PAGING_READ | ((entry & NPT_WRITE) ? PAGING_WRITE : 0) |
           ((entry & NPT_NO_EXECUTE) ? 0 : PAGING_EXECUTE) | ((entry & NPT_PCD) ? PAGING_UNCACHED : 0);
}

const struct paging_format paging_npt_format = {
    .name = "NPT",
    .levels = 4,
    .level = LEVELS,
    .address_mask = ADDRESS,
    .present_mask = NPT_PRESENT,
    .table_bits = NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_ACCESSED,
    .leaf_bits = NPT_PRESENT | NPT_USER | NPT_ACCESSED,
    .large_bit = NPT_LARGE,
    .accessed = NPT_ACCESSED,
    .dirty = NPT_DIRTY,
    .physical = true,
    .rights_encode = npt_encode,
    .rights_decode = npt_decode,
};

/* SDM vol. 3, tables 28-1 to 28-7. */
#define EPT_READ       (1ull << 0)
#define EPT_WRITE      (1ull << 1)
#define EPT_EXECUTE    (1ull << 2)
#define EPT_TYPE       (7ull << 3)
#define EPT_WRITE_BACK (6ull << 3)
#define EPT_LARGE      (1ull << 7)
#define EPT_ACCESSED   (1ull << 8)
#define EPT_DIRTY      (1ull << 9)
#define EPT_ALL        (EPT_READ | EPT_WRITE | EPT_EXECUTE)

/* The engine asks for PAGING_READ always: an entry that may be written but not read is a misconfiguration. */
static uint64_t ept_encode(unsigned rights) {
    return EPT_READ | ((rights & PAGING_WRITE) ? EPT_WRITE : 0) |
           ((rights & PAGING_EXECUTE) ? EPT_EXECUTE : 0) | ((rights & PAGING_UNCACHED) ? 0 : EPT_WRITE_BACK);
}

static unsigned ept_decode(uint64_t entry) {
    return ((entry & EPT_READ) ? PAGING_READ : 0) | ((entry & EPT_WRITE) ? PAGING_WRITE : 0) |
           ((entry & EPT_EXECUTE) ? PAGING_EXECUTE : 0) |
           ((entry & EPT_TYPE) == EPT_WRITE_BACK ? 0 : PAGING_UNCACHED);
}

const struct paging_format paging_ept_format = {
    .name = "EPT",
    .levels = 4,
    .level = LEVELS,
    .address_mask = ADDRESS,
    .present_mask = EPT_ALL,
    .table_bits = EPT_ALL | EPT_ACCESSED,
    .leaf_bits = EPT_ACCESSED,
    .large_bit = EPT_LARGE,
    .accessed = EPT_ACCESSED,
    .dirty = EPT_DIRTY,
    .physical = true,
    .rights_encode = ept_encode,
    .rights_decode = ept_decode,
};

const struct paging_format paging_ept_plain_format = {
    .name = "EPT",
    .levels = 4,
    .level = LEVELS,
    .address_mask = ADDRESS,
    .present_mask = EPT_ALL,
    .table_bits = EPT_ALL,
    .large_bit = EPT_LARGE,
    .physical = true,
    .rights_encode = ept_encode,
    .rights_decode = ept_decode,
};
