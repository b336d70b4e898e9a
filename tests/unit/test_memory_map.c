// SPDX-License-Identifier: Apache-2.0
// The loader's translation of firmware memory maps: types, order, overlaps, nonsense sizes.
// unit-sources: boot/memory_map.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "boot/memory_map.h"

#define WB           MEMORY_ATTRIBUTE_WB
#define RUNTIME      MEMORY_ATTRIBUTE_RUNTIME
#define PAGES(bytes) ((bytes) / 4096)

enum {
    EFI_RESERVED,
    EFI_LCODE,
    EFI_LDATA,
    EFI_BCODE,
    EFI_BDATA,
    EFI_RCODE,
    EFI_RDATA,
    EFI_FREE,
    EFI_BAD,
    EFI_ACPI,
    EFI_NVS,
    EFI_MMIO,
    EFI_PORTS,
    EFI_PAL,
    EFI_PERSISTENT
};

static struct handover_memory out[64];

static void expect(long count, size_t index, uint64_t base, uint64_t end, uint32_t type) {
    assert_true(count > (long)index);
    assert_int_equal(out[index].base, base);
    assert_int_equal(out[index].base + out[index].size, end);
    assert_int_equal(out[index].type, type);
}

/* What must hold of every map, whatever came in. */
static void check_shape(long count) {
    for (long i = 0; i < count; i++) {
        assert_int_equal(out[i].base % 4096, 0);
        assert_int_equal(out[i].size % 4096, 0);
        assert_true(out[i].size != 0);
        assert_true(out[i].base + out[i].size > out[i].base);
        assert_in_range(out[i].type, HANDOVER_MEMORY_USABLE, HANDOVER_MEMORY_FILE);
        if (i != 0) {
            assert_true(out[i - 1].base + out[i - 1].size <= out[i].base);
        }
    }
}

static long build(const struct memory_descriptor *map, size_t count, const struct memory_own *own,
                  size_t own_count) {
    long n = memory_map_build(map, count * sizeof(*map), sizeof(*map), own, own_count, out, 64);

    check_shape(n);
    return n;
}

static void test_types(void **state) {
    static const struct {
        uint32_t efi;
        uint64_t attributes;
        uint32_t type;
    } cases[] = {
        {EFI_RESERVED, WB, HANDOVER_MEMORY_RESERVED},
        {EFI_LCODE, WB, HANDOVER_MEMORY_USABLE},
        {EFI_LDATA, WB, HANDOVER_MEMORY_USABLE},
        {EFI_BCODE, WB, HANDOVER_MEMORY_USABLE},
        {EFI_BDATA, WB, HANDOVER_MEMORY_USABLE},
        {EFI_FREE, WB | 7, HANDOVER_MEMORY_USABLE},
        {EFI_FREE, 7, HANDOVER_MEMORY_RESERVED},
        {EFI_FREE, WB | MEMORY_ATTRIBUTE_SPECIFIC_PURPOSE, HANDOVER_MEMORY_RESERVED},
        {EFI_BDATA, WB | RUNTIME, HANDOVER_MEMORY_RUNTIME},
        {EFI_RCODE, WB | RUNTIME, HANDOVER_MEMORY_RUNTIME},
        {EFI_RDATA, WB, HANDOVER_MEMORY_RUNTIME},
        {EFI_BAD, WB, HANDOVER_MEMORY_RESERVED},
        {EFI_ACPI, WB, HANDOVER_MEMORY_ACPI},
        {EFI_NVS, WB, HANDOVER_MEMORY_ACPI_NVS},
        {EFI_MMIO, RUNTIME, HANDOVER_MEMORY_MMIO},
        {EFI_PORTS, 0, HANDOVER_MEMORY_MMIO},
        {EFI_PAL, WB, HANDOVER_MEMORY_RESERVED},
        {EFI_PERSISTENT, WB, HANDOVER_MEMORY_RESERVED},
        {15, WB, HANDOVER_MEMORY_RESERVED},
        {0x70000000, WB, HANDOVER_MEMORY_RESERVED},
        {0xffffffff, WB, HANDOVER_MEMORY_RESERVED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(memory_map_type(cases[i].efi, cases[i].attributes), cases[i].type);
    }
}

static void test_sorts_and_merges(void **state) {
    const struct memory_descriptor map[] = {
        {.type = EFI_FREE, .base = 0x200000, .pages = 16, .attributes = WB},
        {.type = EFI_RCODE, .base = 0x300000, .pages = 1, .attributes = WB | RUNTIME},
        {.type = EFI_BDATA, .base = 0x1000, .pages = 0x9e, .attributes = WB | 7},
        {.type = EFI_LDATA, .base = 0x210000, .pages = 16, .attributes = WB},
        {.type = EFI_RDATA, .base = 0x301000, .pages = 1, .attributes = WB | RUNTIME | 0x4000},
        {.type = EFI_BCODE, .base = 0x1f0000, .pages = 16, .attributes = WB | 7},
        {.type = EFI_FREE, .base = 0x400000, .pages = 0, .attributes = WB},
    };
    long count = build(map, 7, NULL, 0);

    (void)state;
    assert_int_equal(count, 4);
    expect(count, 0, 0x1000, 0x9f000, HANDOVER_MEMORY_USABLE);
    expect(count, 1, 0x1f0000, 0x220000, HANDOVER_MEMORY_USABLE);
    assert_int_equal(out[1].efi_attributes, WB | 7); /* of the first merged */
    expect(count, 2, 0x300000, 0x301000, HANDOVER_MEMORY_RUNTIME);
    expect(count, 3, 0x301000, 0x302000, HANDOVER_MEMORY_RUNTIME); /* other attributes: stays apart */
    assert_int_equal(out[3].efi_attributes, WB | RUNTIME | 0x4000);
    assert_int_equal(memory_map_total(out, 4, HANDOVER_MEMORY_USABLE), 0x9e000 + 0x30000);
    assert_int_equal(memory_map_total(out, 4, HANDOVER_MEMORY_FILE), 0);
}

static void test_own_ranges(void **state) {
    const struct memory_descriptor map[] = {
        {.type = EFI_FREE, .base = 0x100000, .pages = 0x100, .attributes = WB},
        {.type = EFI_LDATA, .base = 0x200000, .pages = 0x100, .attributes = WB | 4},
    };
    const struct memory_own own[] = {
        {.base = 0x210000, .size = 0x2000, .type = HANDOVER_MEMORY_FILE},
        {.base = 0x1ff000, .size = 0x2000, .type = HANDOVER_MEMORY_HYPERVISOR}, /* across both */
        {.base = 0x212000, .size = 0x1000, .type = HANDOVER_MEMORY_FILE},
        {.base = 0x213000, .size = 0x1000, .type = HANDOVER_MEMORY_LOADER},
        {.base = 0x220000, .size = 0, .type = HANDOVER_MEMORY_LOADER},
    };
    long count = build(map, 2, own, 5);

    (void)state;
    assert_int_equal(count, 6);
    expect(count, 0, 0x100000, 0x1ff000, HANDOVER_MEMORY_USABLE);
    expect(count, 1, 0x1ff000, 0x201000, HANDOVER_MEMORY_HYPERVISOR);
    expect(count, 2, 0x201000, 0x210000, HANDOVER_MEMORY_USABLE);
    expect(count, 3, 0x210000, 0x213000, HANDOVER_MEMORY_FILE);
    assert_int_equal(out[3].efi_attributes, WB | 4);
    expect(count, 4, 0x213000, 0x214000, HANDOVER_MEMORY_LOADER);
    expect(count, 5, 0x214000, 0x300000, HANDOVER_MEMORY_USABLE);
}

static void test_overlaps(void **state) {
    const struct memory_descriptor map[] = {
        {.type = EFI_FREE, .base = 0, .pages = PAGES(0x100000), .attributes = WB},
        {.type = EFI_RESERVED, .base = 0x10000, .pages = PAGES(0x20000), .attributes = WB},
        {.type = EFI_RDATA, .base = 0x20000, .pages = PAGES(0x20000), .attributes = WB | RUNTIME},
        {.type = EFI_FREE, .base = 0x28000, .pages = 1, .attributes = WB},
        {.type = EFI_ACPI, .base = 0x3f000, .pages = 2, .attributes = WB},
        {.type = EFI_NVS, .base = 0x40000, .pages = 2, .attributes = WB},
        {.type = EFI_FREE, .base = 0x80000, .pages = PAGES(0x100000), .attributes = WB},
    };
    long count = build(map, 7, NULL, 0);

    (void)state;
    assert_int_equal(count, 5);
    expect(count, 0, 0, 0x10000, HANDOVER_MEMORY_USABLE);
    expect(count, 1, 0x10000, 0x20000, HANDOVER_MEMORY_RESERVED);
    expect(count, 2, 0x20000, 0x40000, HANDOVER_MEMORY_RUNTIME); /* RUNTIME over ACPI and free memory */
    expect(count, 3, 0x40000, 0x42000, HANDOVER_MEMORY_ACPI_NVS);
    expect(count, 4, 0x42000, 0x180000, HANDOVER_MEMORY_USABLE);
}

static void test_unaligned(void **state) {
    const struct memory_descriptor map[] = {
        {.type = EFI_FREE, .base = 0x1800, .pages = 3, .attributes = WB},      /* shrinks to 2000..4000 */
        {.type = EFI_RESERVED, .base = 0x10800, .pages = 1, .attributes = WB}, /* grows to 10000..12000 */
        {.type = EFI_FREE, .base = 0x20001, .pages = 1, .attributes = WB},     /* nothing whole is left */
    };
    long count = build(map, 3, NULL, 0);

    (void)state;
    assert_int_equal(count, 2);
    expect(count, 0, 0x2000, 0x4000, HANDOVER_MEMORY_USABLE);
    expect(count, 1, 0x10000, 0x12000, HANDOVER_MEMORY_RESERVED);
}

static void test_wrap_around(void **state) {
    const uint64_t limit = 1ull << 52;
    const struct memory_descriptor map[] = {
        {.type = EFI_FREE, .base = 0x1000, .pages = UINT64_MAX, .attributes = WB},
        {.type = EFI_FREE, .base = 0x5000, .pages = 1ull << 52, .attributes = WB}, /* bytes wrap to 0 */
        {.type = EFI_FREE, .base = UINT64_MAX - 4095, .pages = 1, .attributes = WB},
        {.type = EFI_FREE, .base = limit - 0x1000, .pages = 1, .attributes = WB}, /* the last page is one */
        {.type = EFI_MMIO, .base = limit - 0x10000, .pages = UINT64_MAX / 2, .attributes = 1},
        {.type = EFI_MMIO, .base = limit, .pages = 1, .attributes = 1},
        {.type = EFI_FREE, .base = 0x7000, .pages = 1, .attributes = WB},
    };
    const struct memory_own own[] = {
        {.base = UINT64_MAX - 4095, .size = 4096, .type = HANDOVER_MEMORY_FILE},
        {.base = 0x9000, .size = UINT64_MAX - 0x8000, .type = HANDOVER_MEMORY_FILE},
    };
    long count = build(map, 7, own, 2);

    (void)state;
    assert_int_equal(count, 2);
    expect(count, 0, 0x7000, 0x8000, HANDOVER_MEMORY_USABLE);
    expect(count, 1, limit - 0x10000, limit, HANDOVER_MEMORY_MMIO);
}

static void test_bad_shapes(void **state) {
    struct memory_descriptor map[2] = {{.type = EFI_FREE, .base = 0x1000, .pages = 1, .attributes = WB}};

    (void)state;
    assert_int_equal(memory_map_build(map, 40, 39, NULL, 0, out, 64), -EINVAL);
    assert_int_equal(memory_map_build(map, 40, 0, NULL, 0, out, 64), -EINVAL);
    assert_int_equal(memory_map_build(map, 41, 40, NULL, 0, out, 64), -EINVAL);
    assert_int_equal(memory_map_build(map, 0, 40, NULL, 0, out, 64), 0);
    assert_int_equal(memory_map_build(map, 40, 40, NULL, 0, out, 0), -ENOSPC);
}

static void test_wide_descriptors_and_capacity(void **state) {
    uint8_t bytes[48 * 3]; /* real firmware: 48 bytes a descriptor */
    const struct memory_descriptor map[3] = {
        {.type = EFI_FREE, .base = 0x1000, .pages = 1, .attributes = WB},
        {.type = EFI_ACPI, .base = 0x2000, .pages = 1, .attributes = WB},
        {.type = EFI_FREE, .base = 0x3000, .pages = 1, .attributes = WB},
    };

    (void)state;
    memset(bytes, 0xee, sizeof(bytes));
    for (size_t i = 0; i < 3; i++) {
        memcpy(bytes + i * 48, &map[i], sizeof(map[i]));
    }
    assert_int_equal(memory_map_build(bytes, sizeof(bytes), 48, NULL, 0, out, 3), 3);
    expect(3, 1, 0x2000, 0x3000, HANDOVER_MEMORY_ACPI);
    assert_int_equal(memory_map_build(bytes, sizeof(bytes), 48, NULL, 0, out, 2), -ENOSPC);
}

/* Random maps against a page-by-page model. */
static void test_random_against_model(void **state) {
    static const unsigned int order[] = {/* by handover type: rank */ 9,
                                         0,
                                         1,
                                         3,
                                         4,
                                         5,
                                         2,
                                         6,
                                         6,
                                         6};
    enum { MODEL_PAGES = 64 };

    (void)state;
    srand(20260101);
    for (int round = 0; round < 2000; round++) {
        struct memory_descriptor map[12];
        size_t count = (size_t)(rand() % 13);
        uint32_t model[MODEL_PAGES] = {0};
        long n;

        for (size_t i = 0; i < count; i++) {
            map[i] = (struct memory_descriptor){
                .type = (uint32_t)(rand() % 16),
                .base = (uint64_t)(rand() % 48) * 4096,
                .pages = (uint64_t)(rand() % 16),
                .attributes = rand() % 4 ? WB : 0,
            };
            for (uint64_t p = 0; p < map[i].pages; p++) {
                uint32_t type = memory_map_type(map[i].type, map[i].attributes);
                uint32_t *at = &model[map[i].base / 4096 + p];

                if (*at == 0 || order[type] > order[*at]) {
                    *at = type;
                }
            }
        }
        n = build(map, count, NULL, 0);
        assert_true(n >= 0);
        for (uint64_t p = 0; p < MODEL_PAGES; p++) {
            uint32_t type = 0;

            for (long i = 0; i < n; i++) {
                if (p * 4096 >= out[i].base && p * 4096 < out[i].base + out[i].size) {
                    type = out[i].type;
                }
            }
            assert_int_equal(type, model[p]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_sorts_and_merges),
        cmocka_unit_test(test_own_ranges),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_wrap_around),
        cmocka_unit_test(test_bad_shapes),
        cmocka_unit_test(test_wide_descriptors_and_capacity),
        cmocka_unit_test(test_random_against_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
