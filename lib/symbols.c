// SPDX-License-Identifier: Apache-2.0
// Looks up a code address in the image's own symbol table (see lib/symbols.h).
#include "lib/symbols.h"

#include <stddef.h>

const char *symbol_lookup(uint64_t address, uint64_t *offset) {
    if (symbol_count == 0 || address < symbol_base || address - symbol_base >= symbol_size) {
        return NULL;
    }
    uint64_t wanted = address - symbol_base;
    uint32_t low = 0;
    uint32_t high = symbol_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (symbol_table[middle].offset <= wanted) {
            low = middle;
        } else {
            high = middle;
        }
    }
    if (symbol_table[low].offset > wanted) {
        return NULL;
    }
    if (offset != NULL) {
        *offset = wanted - symbol_table[low].offset;
    }
    return &symbol_names[symbol_table[low].name];
}
