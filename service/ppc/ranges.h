// SPDX-License-Identifier: Apache-2.0
// Ranges of a 32-bit address space and what lies behind them: where there is room for another one, and which
// page, of the sizes that TLB1 has, maps an address. Pages of different ranges, or of one, never overlap.
#ifndef SAGUARO_SERVICE_PPC_RANGES_H
#define SAGUARO_SERVICE_PPC_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_RANGES 128u /* our memory, board, config, files, windows, registers of devices */

struct range {
    uint64_t physical;
    uint32_t first, last; /* addresses of the first and the last byte of whole 4 KiB pages; last 0: unused */
    bool writable;
    bool device; /* registers, not memory */
};

struct ranges {
    struct range range[MAX_RANGES];
};

/* A page of a range: 4^tsize KiB. */
struct range_page {
    uint64_t physical;
    uint32_t address;
    unsigned tsize;
    bool writable, device;
};

/* Adds [first, first + size); all are multiples of 4 KiB, nothing lies there yet. False: too many. */
bool ranges_add(struct ranges *ranges, uint32_t first, uint64_t physical, uint64_t size, bool writable,
                bool device);
/* An address inside [low, high) for `size` bytes of `physical`, where the largest pages fit that there is
 * room for. 0: there is none. */
uint32_t ranges_place(const struct ranges *ranges, uint64_t physical, uint64_t size, uint32_t low,
                      uint32_t high);
void ranges_remove(struct ranges *ranges, uint32_t first);
/* The largest page around `address` that lies in its range; 4 KiB to 1 GiB. False: no range holds it. */
bool ranges_page(const struct ranges *ranges, uint32_t address, struct range_page *page);

#endif
