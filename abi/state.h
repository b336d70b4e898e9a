// SPDX-License-Identifier: Apache-2.0
// Saved state: tag-length-value records of the parts of a guest's machine. Little-endian, 8-byte aligned,
// versioned per part.
#ifndef SAGUARO_ABI_STATE_H
#define SAGUARO_ABI_STATE_H

#include <stdint.h>

#define STATE_MAGIC 0x3154415453474153ull /* "SAGSTAT1" */
#define STATE_NAME  24

/* Heads each record; `length` bytes follow, padded to a multiple of 8. */
struct state_record {
    char name[STATE_NAME]; /* NUL-padded, e.g. "x86.lapic" */
    uint32_t instance;     /* vCPU number, or 0 */
    uint16_t version;
    uint16_t reserved;
    uint64_t length;
};

#endif
