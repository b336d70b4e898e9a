// SPDX-License-Identifier: Apache-2.0
// The bundle: one file that holds a compiled config and the files that it names, for machines whose firmware
// loads a kernel and one blob beside it (PowerPC: an initial RAM disk). All fields are big-endian.
#ifndef SAGUARO_ABI_BUNDLE_H
#define SAGUARO_ABI_BUNDLE_H

#include <stdint.h>

#define BUNDLE_MAGIC     "SAGUARO" /* 8 bytes with the NUL */
#define BUNDLE_VERSION   1u
#define BUNDLE_ALIGN     4096u /* of each file's content */
#define BUNDLE_MAX_FILES 256u
#define BUNDLE_NAME      204u

struct bundle_header {
    char magic[8];
    uint32_t version;
    uint32_t file_count; /* 1..BUNDLE_MAX_FILES; the first is the compiled config, named "saguaro.dtb" */
    uint64_t size;       /* bytes of the whole bundle */
    uint32_t crc32;      /* of the bundle with this field as 0 (IEEE 802.3) */
    uint32_t reserved;
};

/* The table follows the header. */
struct bundle_file {
    uint64_t offset;        /* from the header's start; BUNDLE_ALIGN aligned */
    uint64_t size;          /* bytes */
    char name[BUNDLE_NAME]; /* NUL-terminated, as the config spells it */
    uint32_t reserved;
};

#endif
