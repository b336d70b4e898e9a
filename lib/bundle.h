// SPDX-License-Identifier: Apache-2.0
// Reads a bundle (abi/bundle.h): checks all of it, and gives its files. Pure; for any byte order of the CPU.
#ifndef SAGUARO_LIB_BUNDLE_H
#define SAGUARO_LIB_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

/* One file of a bundle. */
struct bundle_entry {
    const char *name; /* in the bundle; 1..BUNDLE_NAME - 1 bytes and a NUL */
    uint64_t offset;  /* of the content from the bundle's start, a multiple of BUNDLE_ALIGN */
    uint64_t size;    /* bytes of it, at least 1 */
};

/*
 * Checks the bundle that begins at `bundle`, of which `size` bytes are there (it may be shorter): checksum,
 * and of each file name and place. Names differ, may name a file of a config, and the first is that of the
 * compiled config; contents lie behind the table, in order, and do not overlap. Returns the number of files,
 * or -EINVAL with a sentence in `why` that goes on after "the bundle".
 */
int bundle_check(const void *bundle, uint64_t size, char *why, size_t why_size);

/* File number `index`, from 0 and below what bundle_check() returned of this bundle. */
struct bundle_entry bundle_file(const void *bundle, unsigned index);

#define BUNDLE_CONFIG "saguaro.dtb" /* the first file */

#endif
