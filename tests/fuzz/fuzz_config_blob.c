// SPDX-License-Identifier: Apache-2.0
// Any bytes as a compiled config: checked and read. So that the fuzzer gets past the header, there are three
// kinds of input: bytes as they are, a tree built from a list of nodes and properties (first byte 'T'), and
// such a tree with up to eight of its bytes changed (first byte 'M', then eight times offset, offset and
// mask).
// fuzz-sources: lib/config*.c lib/dts*.c
// fuzz-seeds: tests/fuzz/seeds/config-blob
#include "tests/fuzz/config_target.h"

#define CHANGES      8u
#define CHANGE_BYTES 3u

/* The decimal numbers of a text, anything between them, as cells. */
static void add_cells(void *tree, const char *name, const char *text) {
    fdt32_t cells[64];
    unsigned count = 0;

    while (*text != '\0' && count < 64) {
        uint32_t number = 0;

        for (; *text >= '0' && *text <= '9'; text++) {
            number = number * 10u + (uint32_t)(*text - '0');
        }
        cells[count++] = cpu_to_fdt32(number);
        text += *text != '\0';
    }
    fdt_property(tree, name, cells, (int)(count * sizeof(cells[0])));
}

/*
 * One line of the list: `{NAME` begins a node, `}` ends it, `NAME=VALUE` is a property with `|` for a NUL in
 * the value, `NAME:1 2` is one of cells.
 */
static void add_line(void *tree, char *line, size_t size) {
    char *divider = strpbrk(line, "=:");

    if (line[0] == '{') {
        fdt_begin_node(tree, line + 1);
    } else if (line[0] == '}') {
        fdt_end_node(tree);
    } else if (divider != NULL && *divider == ':') {
        *divider = '\0';
        add_cells(tree, line, divider + 1);
    } else if (divider != NULL) {
        *divider = '\0';
        for (char *at = divider + 1; at < line + size; at++) {
            *at = *at == '|' ? '\0' : *at;
        }
        fdt_property(tree, line, divider + 1, (int)(line + size - divider - 1));
    }
}

static size_t build_tree(const uint8_t *data, size_t size, void *tree, size_t room) {
    static char line[4200];

    fdt_create(tree, (int)room);
    fdt_finish_reservemap(tree);
    fdt_begin_node(tree, "");
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end != NULL ? (size_t)(end - data) : size;
        size_t kept = length < sizeof(line) - 1 ? length : sizeof(line) - 1;

        memcpy(line, data, kept);
        line[kept] = '\0';
        if (strlen(line) != 0) {
            add_line(tree, line, kept);
        }
        length += end != NULL;
        data += length;
        size -= length;
    }
    fdt_end_node(tree);
    return fdt_finish(tree) == 0 ? fdt_totalsize(tree) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint64_t built[262144 / 8];
    struct config_source source = {.file = "fuzz.dtb", .size = size};
    struct target target = {0};
    const uint8_t *changes = data + 1, *bytes = data;
    uint8_t *tree;

    if (size > 0 && data[0] == 'T') {
        source.size = build_tree(data + 1, size - 1, built, sizeof(built));
        bytes = (const uint8_t *)built;
    } else if (size > 1 + CHANGES * CHANGE_BYTES && data[0] == 'M') {
        const uint8_t *list = changes + CHANGES * CHANGE_BYTES;

        source.size = build_tree(list, size - (size_t)(list - data), built, sizeof(built));
        for (unsigned i = 0; i < CHANGES && source.size != 0; i++) {
            const uint8_t *change = changes + i * CHANGE_BYTES;

            ((uint8_t *)built)[(change[0] << 8 | change[1]) % source.size] ^= change[2];
        }
        bytes = (const uint8_t *)built;
    }
    /* Memory of just this size, so that reading past it is seen. */
    tree = aligned_alloc(8, (source.size + 8) & ~(size_t)7);
    memcpy(tree, bytes, source.size);
    source.fdt = tree;
    target_check(&target, &source);
    free(tree);
    return 0;
}
