// SPDX-License-Identifier: Apache-2.0
// Any bytes as a disk with partitions: as they are; as an MBR; and with right signatures and checksums, so
// that the GPT's fields and entries are looked at.
// fuzz-sources: virtio/partition.c virtio/disk.c virtio/disk_memory.c
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include "tests/unit/partition_build.h"
#include "virtio/disk_memory.h"
#include "virtio/partition.h"

#define SIZE 0xc000u

static uint8_t image[SIZE];

static void require(bool holds) {
    if (!holds)
        abort();
}

static void check(uint32_t block) {
    static const unsigned numbers[] = {1, 2, 4, 5, 7, 32, 128, UINT32_MAX};
    static struct partition_search search;
    struct disk_memory memory;

    require(disk_memory_init(&memory, image, SIZE, true) == 0);
    memory.disk.block = block;
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const int error = partition_find(&search, &memory.disk, numbers[i]);
        if (error == 0) {
            struct disk_part part;
            require(disk_part_init(&part, &memory.disk, search.first, search.sectors, false) == 0);
        } else {
            require(error == -ENOENT || error == -EINVAL);
            require(search.why[0] != '\0' && search.sectors == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t block = 512;

    if (size < 2 || size > SIZE)
        return 0;
    if (data[0] & 1)
        block = 4096;
    memset(image, 0, SIZE);
    memcpy(image, data, size);
    check(block);
    /* Four entries of a table, and tables of logical partitions in every block. */
    memset(image, 0, SIZE);
    for (size_t at = 1, number = 0; at + 8 <= size && number < SIZE / block; at += 8, number++)
        for (unsigned i = 0; i < (number ? 2 : 4); i++)
            build_mbr(image + number * block, i, data[at + i], data[at + 4] * (data[at + 5] & 3),
                      i == 0 ? data[at + 6] : bytes_get16(data + at + 6));
    check(block);
    /* A GPT with right sums: entries of two bytes each, mostly on the disk, and a header of which one byte is
     * the fuzzer's, or all fields behind the signature. */
    memset(image, 0, SIZE);
    build_mbr(image, 0, 0xee, 1, 1000);
    uint8_t *const head = image + block, *const table = image + 2 * block;
    const uint64_t blocks = SIZE / block;
    for (size_t i = 0, at = 3; i < 32 && at + 2 <= size; i++, at += 2) {
        if (data[at] & 0x80)
            build_gpt_entry(table + i * 128, data[at] & 0x7f, data[at + 1]);
        else if (data[at] & 0x40)
            build_gpt_entry(table + i * 128, (uint64_t)data[at] << 56, (uint64_t)data[at + 1] << 56);
    }
    build_gpt(head, 1, blocks - 1, blocks, 2, table, data[0] & 2 ? 32 : 4, 128);
    bytes_put64(head + 40, 6);
    bytes_put64(head + 48, blocks - 2);
    if (data[0] & 4)
        memcpy(head + 24, data + 1, size - 1 < 68 ? size - 1 : 68);
    else if ((data[0] & 32) && size > 3)
        head[24 + data[1] % 68] = data[2];
    if (data[0] & 8)
        bytes_put64(head + 24, 1);
    if ((data[0] & 64) && block == 512) { /* a damaged table, and a backup elsewhere */
        table[0] ^= data[1];
        bytes_put64(head + 32, 40);
        build_gpt(image + 40 * block, 40, 1, blocks, 2, table, 4, 128);
    }
    build_gpt_sum(head, 92);
    memcpy(image + (blocks - 1) * block, head, 92);
    if (data[0] & 16) {
        bytes_put64(image + (blocks - 1) * block + 24, blocks - 1);
        build_gpt_sum(image + (blocks - 1) * block, 92);
    }
    check(block);
    return 0;
}
