// SPDX-License-Identifier: Apache-2.0
// An expansion ROM as the firmware gives it: what is refused, and the copy.
// unit-sources: boot/rom_image.c
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "abi/handover.h"
#include "boot/rom_image.h"

static void test_refused(void **state) {
    (void)state;
    uint8_t *image = malloc(28); /* no more is looked at */
    memset(image, 0, 28);
    image[0] = 0x55;
    image[1] = 0xaa;
    assert_null(rom_image_fault(image, 28));
    assert_null(rom_image_fault(image, HANDOVER_ROM_MAX));
    assert_string_equal(rom_image_fault(image, HANDOVER_ROM_MAX + 1), "it is larger than 16 MiB");
    assert_string_equal(rom_image_fault(image, UINT64_MAX), "it is larger than 16 MiB");
    assert_string_equal(rom_image_fault(image, 27), "there is not even a header");
    assert_string_equal(rom_image_fault(image, 0), "there is not even a header");
    assert_string_equal(rom_image_fault(NULL, 28), "there is not even a header");
    image[1] = 0xab;
    assert_string_equal(rom_image_fault(image, 28), "it does not begin with 55 AA");
    image[1] = 0xaa;
    image[0] = 0x54;
    assert_string_equal(rom_image_fault(image, 28), "it does not begin with 55 AA");
    free(image);
}

static void test_room(void **state) {
    (void)state;
    assert_int_equal(rom_image_room(28), 4096);
    assert_int_equal(rom_image_room(4096), 4096);
    assert_int_equal(rom_image_room(4097), 8192);
    assert_int_equal(rom_image_room(HANDOVER_ROM_MAX - 1), HANDOVER_ROM_MAX);
    assert_int_equal(rom_image_room(HANDOVER_ROM_MAX), HANDOVER_ROM_MAX);
}

static void test_copy(void **state) {
    (void)state;
    static const uint64_t sizes[] = {28, 4095, 4096, 4608};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t size = sizes[i], room = rom_image_room(size);
        uint8_t *image = malloc(size), *to = calloc(1, room);
        for (uint64_t j = 0; j < size; j++)
            image[j] = (uint8_t)(j * 7);
        rom_image_copy(to, image, size);
        assert_memory_equal(to, image, size);
        for (uint64_t j = size; j < room; j++)
            assert_int_equal(to[j], 0xff);
        free(image);
        free(to);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_room),
                                       cmocka_unit_test(test_copy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
