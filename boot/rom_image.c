// SPDX-License-Identifier: Apache-2.0
// An expansion ROM's image (PCI Firmware 3.0, 5.1.1): whether it can be one, and the room for a copy of it.
#include "boot/rom_image.h"

#include <stddef.h>
#include <string.h>

#include "abi/handover.h"

#define HEADER_SIZE 28u /* up to the pointer to the PCI data structure, and the words beside it */

const char *rom_image_fault(const void *image, uint64_t size) {
    const uint8_t *bytes = image;

    if (image == NULL || size < HEADER_SIZE) {
        return "there is not even a header";
    }
    if (size > HANDOVER_ROM_MAX) {
        return "it is larger than 16 MiB";
    }
    if (bytes[0] != 0x55 || bytes[1] != 0xaa) {
        return "it does not begin with 55 AA";
    }
    return NULL;
}

uint64_t rom_image_room(uint64_t size) {
    uint64_t room = HANDOVER_ROM_MIN;

    while (room < size) {
        room *= 2;
    }
    return room;
}

void rom_image_copy(void *to, const void *image, uint64_t size) {
    memcpy(to, image, size);
    memset((uint8_t *)to + size, 0xff, rom_image_room(size) - size);
}
