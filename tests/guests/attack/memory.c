// SPDX-License-Identifier: Apache-2.0
// Pages of the attack guest for its devices: taken from the end of its RAM below 4 GiB, as the multiboot
// memory map shows it (Multiboot 0.6.96, 3.3).
#include "tests/guests/attack/attack.h"

#define INFO_MAP    0x40u
#define MAP_RAM     1u
#define ADDRESSABLE 0x100000000ull /* what the runtime maps */

struct map_entry {
    uint32_t size; /* of what follows */
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));

extern char end_of_guest[];
static uint64_t bottom, top;

void memory_start(void) {
    const uint32_t *info = (const uint32_t *)(word)boot_info;
    uint64_t at = info[12], end = at + info[11];

    if (!check(info[0] & INFO_MAP, "there is a memory map"))
        guest_finish();
    while (at < end) {
        const struct map_entry *entry = (const struct map_entry *)at;
        if (entry->type == MAP_RAM && entry->base + entry->length > top && entry->base < ADDRESSABLE) {
            bottom = entry->base;
            top = entry->base + entry->length;
        }
        at += entry->size + sizeof(entry->size);
    }
    if (top > ADDRESSABLE)
        top = ADDRESSABLE;
    top &= ~(uint64_t)(PAGE - 1);
    if (bottom < (uint64_t)end_of_guest && top > (uint64_t)end_of_guest)
        bottom = (uint64_t)end_of_guest;
    print("memory for devices: up to 0x%x\n", top);
}

void *memory_take(uint64_t bytes) {
    bytes = (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    if (top < bytes || top - bytes < bottom) {
        check(false, "there is memory left");
        guest_finish();
    }
    top -= bytes;
    volatile uint64_t *at = (volatile uint64_t *)top;
    for (uint64_t i = 0; i < bytes / 8; i++)
        at[i] = 0;
    return (void *)top;
}

void print_words(const volatile uint32_t *word, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        print(" %x", (uint64_t)word[i]);
}
