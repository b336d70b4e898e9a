// SPDX-License-Identifier: Apache-2.0
// An expansion ROM's image as the firmware gives it: whether it can be one, and the room for a copy of it.
// Pure code: builds in the loader and in its unit test.
#ifndef SAGUARO_BOOT_ROM_IMAGE_H
#define SAGUARO_BOOT_ROM_IMAGE_H

#include <stdint.h>

/* Why it cannot be handed over, in words; NULL: it can. `image` is looked at if `size` is sound. */
const char *rom_image_fault(const void *image, uint64_t size);

/* Bytes that a copy takes: a power of two, at least a page. `size` is of a sound image. */
uint64_t rom_image_room(uint64_t size);

/* Makes the copy: the image, and 0xff in the rest of the room. */
void rom_image_copy(void *to, const void *image, uint64_t size);

#endif
