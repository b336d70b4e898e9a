// SPDX-License-Identifier: Apache-2.0
// Any text as a config: parsed, checked, read, held against a machine; and every error printed.
// fuzz-sources: lib/config*.c lib/dts*.c
// fuzz-seeds: tests/fuzz/seeds/config-text examples/two-guests
#include "tests/fuzz/config_target.h"

/* A text may include the one file that there is, which is its own second half, after a line "====". */
struct include {
    const char *text;
    size_t size;
};

static int include_file(void *context, const char *name, struct dts_file *file) {
    const struct include *include = context;

    require(config_path_problem(name) == NULL);
    if (include->text == NULL) {
        return -ENOENT;
    }
    file->text = include->text;
    file->size = include->size;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char divider[] = "\n====\n";
    static struct dts_mark marks[DTS_MARKS];
    static struct dts_positions positions;
    static uint64_t blob[DTS_BLOB_SIZE / 8];
    struct dts_file file = {.name = "fuzz.dts", .text = (const char *)data, .size = size};
    const uint8_t *middle = memmem(data, size, divider, sizeof(divider) - 1);
    struct include include = {0};
    struct target target = {0};
    /* Small buffers, too: a byte of the input says how small. */
    size_t room = size > 0 && data[size - 1] == '!' ? (size * 8) & ~(size_t)7 : sizeof(blob);
    int error;

    if (middle != NULL) {
        file.size = (size_t)(middle - data);
        include.text = (const char *)middle + sizeof(divider) - 1;
        include.size = size - file.size - (sizeof(divider) - 1);
    }
    positions.marks = marks;
    positions.capacity = size > 0 && data[size - 1] == '?' ? (uint32_t)size : DTS_MARKS;
    target_begin(&target);
    room = room > sizeof(blob) ? sizeof(blob) : room;
    error = dts_parse(&file, include_file, &include, blob, room, &positions, &target.report);
    require(target.report.count == (error != 0 ? 1 : 0));
    if (error == 0) {
        struct config_source source = {
            .fdt = blob, .size = room, .file = "fuzz.dts", .positions = &positions};

        require(fdt_check_full(blob, room) == 0);
        target_check(&target, &source);
    }
    return 0;
}
