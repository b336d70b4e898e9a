// SPDX-License-Identifier: Apache-2.0
// Any bytes as a PowerPC kernel: refused with a sentence, or segments that lie inside the file, below 4 GiB
// and apart from each other, and an entry that the file gives. A uImage's checksum is put right first, so
// that what lies behind it is reached.
// fuzz-sources: lib/image_elf.c lib/image_kinds.c lib/image_linux.c lib/image_ppc.c
// fuzz-seeds: tests/fuzz/seeds/image-ppc
#include "lib/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UIMAGE_HEADER 64u

struct input {
    uint8_t *data;
    size_t size;
};

static int read_input(void *context, uint64_t offset, void *buffer, size_t size) {
    const struct input *input = context;
    if (offset > input->size || size > input->size - offset)
        return -EINVAL;
    memcpy(buffer, input->data + offset, size);
    return 0;
}

static void require(bool holds) {
    if (!holds)
        abort();
}

static void seal(uint8_t *header) {
    uint32_t crc = UINT32_MAX;
    memset(header + 4, 0, 4);
    for (unsigned i = 0; i < UIMAGE_HEADER; i++) {
        crc ^= header[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    for (unsigned i = 0; i < 4; i++)
        header[4 + i] = (uint8_t)(~crc >> (24 - 8 * i));
}

static void parse(const struct input *input) {
    const struct image_source source = {.read = read_input, .context = (void *)input, .size = input->size};
    struct image_loadable image;
    char why[96]; /* as the smallest caller has it */

    int error = image_ppc_parse(&source, &image, why, sizeof(why));
    if (error) {
        require(error == -EINVAL);
        size_t length = strnlen(why, sizeof(why));
        require(length > 0 && length < sizeof(why) - 1);
        return;
    }
    bool entered = false;
    require(image.count > 0 && image.count <= IMAGE_SEGMENTS && image.highest <= 1ull << 32);
    for (unsigned i = 0; i < image.count; i++) {
        const struct image_segment *one = &image.segment[i];
        require(one->offset <= input->size && one->file_size <= input->size - one->offset);
        require(one->memory_size >= one->file_size && one->memory_size > 0);
        require(one->address >= image.lowest && one->address + one->memory_size <= image.highest);
        entered |= image.entry >= one->address && image.entry - one->address < one->file_size;
        for (unsigned j = 0; j < i; j++) {
            const struct image_segment *other = &image.segment[j];
            require(one->address >= other->address + other->memory_size ||
                    other->address >= one->address + one->memory_size);
        }
    }
    require(entered && image.entry % 4 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {malloc(size ? size : 1), size};

    require(input.data != NULL);
    memcpy(input.data, data, size);
    parse(&input);
    if (size >= UIMAGE_HEADER) {
        seal(input.data);
        parse(&input);
    }
    free(input.data);
    return 0;
}
