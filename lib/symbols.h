// SPDX-License-Identifier: Apache-2.0
// Function names for backtraces. tools/symbols.py writes the table from the linked image, which is then
// linked again.
#ifndef SAGUARO_LIB_SYMBOLS_H
#define SAGUARO_LIB_SYMBOLS_H

#include <stdint.h>

struct symbol {
    uint32_t offset; /* of the function's first byte from symbol_base */
    uint32_t name;   /* offset of its NUL-terminated name in symbol_names */
};

extern const uint64_t symbol_base;         /* address of the first function */
extern const uint32_t symbol_size;         /* bytes from there to the end of the last function */
extern const uint32_t symbol_count;        /* entries in symbol_table */
extern const struct symbol symbol_table[]; /* sorted by offset, each offset once */
extern const char symbol_names[];

/*
 * The name of the function that holds `address`, and in *offset how far into it the address lies. NULL if no
 * function of this image holds it; *offset is then left alone. `offset` may be NULL.
 */
const char *symbol_lookup(uint64_t address, uint64_t *offset);

#endif
