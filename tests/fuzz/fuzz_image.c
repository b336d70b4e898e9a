// SPDX-License-Identifier: Apache-2.0
// Any bytes as a kernel image: each parser either refuses with a sentence, or gives segments that lie inside
// the file, inside 1 TiB and apart from each other, and an entry in one of them.
// fuzz-sources: lib/image_elf.c lib/image_kinds.c lib/image_linux.c lib/image_ppc.c
// fuzz-seeds: tests/fuzz/seeds/image
#include "lib/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct input {
    const uint8_t *data;
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

static void sentence(int error, const char *why, size_t size) {
    require(error == -EINVAL);
    size_t length = strnlen(why, size);
    require(length > 0 && length < size);
    for (size_t i = 0; i < length; i++)
        require(why[i] >= ' ' && why[i] <= '~');
}

static void check_loadable(const struct image_loadable *image, uint64_t size, bool entry) {
    bool entered = !entry;
    require(image->count > 0 && image->count <= IMAGE_SEGMENTS && image->lowest < image->highest);
    for (unsigned i = 0; i < image->count; i++) {
        const struct image_segment *one = &image->segment[i];
        require(one->offset <= size && one->file_size <= size - one->offset);
        require(one->memory_size >= one->file_size && one->memory_size > 0);
        require(one->address >= image->lowest && one->address + one->memory_size <= image->highest);
        require(image->highest <= 2ull << 40);
        entered |= image->entry >= one->address && image->entry - one->address < one->file_size;
        for (unsigned j = 0; j < i; j++) {
            const struct image_segment *other = &image->segment[j];
            require(one->address >= other->address + other->memory_size ||
                    other->address >= one->address + one->memory_size);
        }
    }
    require(entered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    const struct image_source source = {.read = read_input, .context = &input, .size = size};
    struct image_loadable image;
    struct image_linux header;
    char why[96]; /* as the smallest caller has it */
    uint8_t note[8];

    for (int kind = IMAGE_LINUX; kind <= IMAGE_FIRMWARE; kind++) {
        int error = image_check((enum image_kind)kind, &source, why, sizeof(why));
        if (error)
            sentence(error, why, sizeof(why));
    }
    if (!image_elf_parse(&source, &image, why, sizeof(why)))
        check_loadable(&image, size, false);
    if (!image_multiboot_parse(&source, &image, why, sizeof(why)))
        check_loadable(&image, size, true);
    if (!image_pvh_parse(&source, &image, why, sizeof(why)))
        check_loadable(&image, size, true);
    image_elf_note(&source, "Xen", 18, note, sizeof(note));
    size_t head = size < IMAGE_HEAD ? size : IMAGE_HEAD;
    if (!image_linux_parse(data, head, size, &header, why, sizeof(why))) {
        require(header.kernel_offset < size && header.kernel_offset + header.kernel_size == size);
        require(header.header_end <= head && header.header_end > 0x1f1);
        require(!header.relocatable || (header.alignment && !(header.alignment & (header.alignment - 1))));
    }
    return 0;
}
