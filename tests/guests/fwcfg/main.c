// SPDX-License-Identifier: Apache-2.0
// fw_cfg: signature, features, CPU count, directory, files by port and by DMA.
#include "tests/guests/runtime/guest.h"

#define SELECTOR 0x510
#define DATA     0x511
#define DMA      0x514

struct directory_entry {
    uint32_t size;
    uint16_t select, reserved;
    char name[56];
} __attribute__((packed));

static struct directory_entry entries[32];
static struct {
    volatile uint32_t control;
    uint32_t length;
    uint64_t address;
} __attribute__((packed, aligned(16))) dma;
static uint8_t by_port[4096], by_dma[4096];

static void read_item(uint16_t item, void *out, uint32_t size) {
    out16(SELECTOR, item);
    for (uint32_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = in8(DATA);
}

static void dma_run(uint32_t control, void *buffer, uint32_t length) {
    uint64_t at = (uint64_t)&dma;
    dma.control = __builtin_bswap32(control);
    dma.length = __builtin_bswap32(length);
    dma.address = __builtin_bswap64((uint64_t)buffer);
    out32(DMA, __builtin_bswap32((uint32_t)(at >> 32)));
    out32(DMA + 4, __builtin_bswap32((uint32_t)at));
}

static bool named(const char *a, const char *b) {
    for (; *a && *a == *b; a++, b++)
        ;
    return *a == *b;
}

void guest_main(void) {
    uint8_t signature[4];
    uint32_t id = 0, count = 0;
    uint16_t cpus = 0;
    uint64_t memory = 0;

    read_item(0, signature, 4);
    check(signature[0] == 'Q' && signature[1] == 'E' && signature[2] == 'M' && signature[3] == 'U',
          "signature");
    check_equal(in8(DATA), 0, "beyond an item's end there are zeroes");
    read_item(1, &id, 4);
    check_equal(id, 3, "features: ports and DMA");
    read_item(5, &cpus, 2);
    check_equal(cpus, 1, "CPU count");
    read_item(3, &memory, 8);
    check_equal(memory, 16 << 20, "memory size");
    read_item(0x3fff, &count, 4);
    check_equal(count, 0, "an unknown item is empty");

    read_item(0x19, &count, 4);
    count = __builtin_bswap32(count);
    check_range(count, 1, 32, "files in the directory");
    for (uint32_t i = 0; i < count && i < 32; i++) {
        uint8_t *entry = (uint8_t *)&entries[i];
        for (unsigned j = 0; j < sizeof(entries[i]); j++)
            entry[j] = in8(DATA);
    }
    const struct directory_entry *e820 = NULL;
    for (uint32_t i = 0; i < count && i < 32; i++) {
        print("file %s %u\n", entries[i].name, (uint64_t)__builtin_bswap32(entries[i].size));
        if (named(entries[i].name, "etc/e820"))
            e820 = &entries[i];
    }
    if (check(e820 != NULL, "there is etc/e820")) {
        uint16_t select = __builtin_bswap16(e820->select);
        uint32_t size = __builtin_bswap32(e820->size);
        check(size >= 20 && size % 20 == 0, "etc/e820 has whole entries");
        read_item(select, by_port, size);
        uint64_t start = *(uint64_t *)by_port;
        check_equal(start, 0, "its first entry starts at 0");
        dma_run((uint32_t)select << 16 | 8 | 2, by_dma, size);
        check_equal(dma.control, 0, "DMA is done");
        bool same = true;
        for (uint32_t i = 0; i < size; i++)
            same = same && by_port[i] == by_dma[i];
        check(same, "DMA reads the same");
        dma_run((uint32_t)select << 16 | 8 | 4, NULL, 8);
        dma_run(2, by_dma, 4);
        check(dma.control == 0 && by_dma[0] == by_port[8], "DMA skips, and goes on without a selection");
        dma_run((uint32_t)select << 16 | 8 | 2, (void *)0xd0000000, 16);
        check_equal(__builtin_bswap32(dma.control) & 1, 1, "DMA to where no RAM is: the error bit");
        dma_run((uint32_t)select << 16 | 8 | 2, (void *)(16 * 1024 * 1024 - 8), 0xfffffff0);
        check_equal(__builtin_bswap32(dma.control) & 1, 1, "DMA beyond the end of RAM: the error bit");
        check_equal(in32(DMA), __builtin_bswap32(0x51454d55), "DMA's signature, upper half");
        check_equal(in32(DMA + 4), __builtin_bswap32(0x20434647), "lower half");
    }
}
