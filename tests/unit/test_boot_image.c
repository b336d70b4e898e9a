// SPDX-License-Identifier: Apache-2.0
// The loader's view of the hypervisor: checks of its ELF image, and the page tables that it is entered with.
// unit-sources: boot/elf_image.c boot/paging.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "boot/elf_image.h"
#include "boot/paging.h"

#define BASE 0xffff870000000000ull

/* An ELF file in memory: text (R-X, 0x1800 bytes), data (RW-, 0x100 in the file, 0x2100 in memory) a page
 * apart. */
struct elf_file {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_offset, section_offset;
    uint32_t flags;
    uint16_t header_size, program_entry_size, program_count, rest[3];
    struct {
        uint32_t type, flags;
        uint64_t offset, address, physical, file_size, memory_size, alignment;
    } segments[20];
    uint8_t content[0x3000];
};

static struct elf_file file;
static struct elf_image image;
static const char *why;

static int setup(void **state) {
    static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

    (void)state;
    memset(&file, 0, sizeof(file));
    memcpy(file.ident, ident, sizeof(ident));
    file.type = 2;
    file.machine = 62;
    file.entry = BASE + 0x4010;
    file.program_offset = offsetof(struct elf_file, segments);
    file.program_entry_size = 56;
    file.program_count = 2;
    /* data first in the table, behind text in memory */
    file.segments[0].type = 1;
    file.segments[0].flags = 6;
    file.segments[0].offset = offsetof(struct elf_file, content) + 0x2000;
    file.segments[0].address = BASE + 0x7000;
    file.segments[0].file_size = 0x100;
    file.segments[0].memory_size = 0x2100;
    file.segments[1].type = 1;
    file.segments[1].flags = 5;
    file.segments[1].offset = offsetof(struct elf_file, content);
    file.segments[1].address = BASE + 0x4000;
    file.segments[1].file_size = 0x1800;
    file.segments[1].memory_size = 0x1800;
    memset(file.content, 0x11, 0x2000);
    memset(file.content + 0x2000, 0x22, 0x1000);
    return 0;
}

static int read_file(void) {
    return elf_image_read(&file, sizeof(file), &image, &why);
}

static void test_elf_sound(void **state) {
    uint8_t *memory;

    (void)state;
    assert_int_equal(read_file(), 0);
    assert_int_equal(image.base, BASE + 0x4000);
    assert_int_equal(image.size, 0x6000); /* 4000..A000, the last page of bss whole */
    assert_int_equal(image.entry, BASE + 0x4010);
    assert_int_equal(image.segment_count, 2);
    assert_true(image.segments[0].executable && !image.segments[0].writable);
    assert_true(image.segments[1].writable && !image.segments[1].executable);
    memory = malloc(image.size);
    memset(memory, 0xcc, image.size);
    elf_image_place(&image, &file, memory);
    assert_int_equal(memory[0], 0x11);
    assert_int_equal(memory[0x17ff], 0x11);
    for (size_t i = 0x1800; i < 0x3000; i++) {
        assert_int_equal(memory[i], 0);
    }
    assert_int_equal(memory[0x30ff], 0x22);
    for (size_t i = 0x3100; i < 0x6000; i++) {
        assert_int_equal(memory[i], 0);
    }
    free(memory);
}

static void refused(const char *word) {
    why = NULL;
    assert_int_equal(read_file(), -EINVAL);
    assert_non_null(why);
    assert_non_null(strstr(why, word));
    setup(NULL);
}

static void test_elf_refused(void **state) {
    (void)state;
    file.ident[0] = 0;
    refused("ELF64");
    file.ident[4] = 1;
    refused("ELF64");
    file.machine = 3;
    refused("x86-64");
    file.type = 3;
    refused("x86-64");
    file.program_entry_size = 32;
    refused("program headers");
    file.program_count = 0;
    refused("program headers");
    file.program_offset = sizeof(file);
    refused("outside");
    file.program_offset = UINT64_MAX - 8;
    refused("outside");
    file.program_offset = sizeof(file) - 111;
    refused("outside");
    file.segments[0].file_size = 0x2101;
    refused("more bytes");
    file.segments[0].offset = sizeof(file) - 0xff;
    refused("outside the file");
    file.segments[0].offset = UINT64_MAX;
    refused("outside the file");
    file.segments[0].address += 8;
    refused("page");
    file.segments[0].address = 0x100000;
    refused("range");
    file.segments[0].address = ELF_IMAGE_HIGHEST - 0xfff;
    refused("range");
    file.segments[0].memory_size = UINT64_MAX;
    refused("range");
    file.segments[0].address = UINT64_MAX - 0xfff;
    refused("range");
    file.segments[1].flags = 7;
    refused("both");
    file.segments[0].address = BASE + 0x5000; /* the page in which text ends */
    refused("share");
    file.segments[0].address = BASE + 0x4000;
    refused("share");
    file.entry = BASE + 0x4000 + 0x1800;
    refused("entry");
    file.entry = BASE + 0x7000;
    refused("entry");
    file.entry = 0;
    refused("entry");
    file.segments[0].type = file.segments[1].type = 4;
    refused("nothing");
    file.segments[0].type = 2;
    refused("dynamic");
    file.segments[0].memory_size = ELF_IMAGE_MAX_SIZE;
    refused("large");
    file.program_count = 17;
    for (size_t i = 0; i < 17; i++) {
        file.segments[i] = file.segments[1];
        file.segments[i].address = BASE + 0x10000 * i;
    }
    refused("many");
    assert_int_equal(elf_image_read(&file, 63, &image, &why), -EINVAL);
    assert_int_equal(elf_image_read(&file, 0, &image, &why), -EINVAL);
}

static void test_elf_random(void **state) {
    (void)state;
    srand(11);
    for (int round = 0; round < 20000; round++) {
        setup(NULL);
        for (int i = 0; i < 1 + rand() % 4; i++) {
            ((uint8_t *)&file)[rand() % offsetof(struct elf_file, segments[2])] = (uint8_t)rand();
        }
        if (read_file() == 0) {
            uint8_t *memory = malloc(image.size);

            elf_image_place(&image, &file, memory);
            free(memory);
        }
    }
}

/* Pages for tables, a bounded number of them. */
struct pool {
    void *pages[64];
    size_t count;
    size_t limit;
};

static void *pool_page(void *context) {
    struct pool *pool = context;

    if (pool->count == pool->limit) {
        return NULL;
    }
    pool->pages[pool->count] = aligned_alloc(4096, 4096);
    memset(pool->pages[pool->count], 0, 4096);
    return pool->pages[pool->count++];
}

static void pool_free(struct pool *pool) {
    while (pool->count != 0) {
        free(pool->pages[--pool->count]);
    }
}

/* Walk as the CPU does. Returns the last entry's rights (bits 63, 2:0); *physical the address; 0: not mapped.
 */
static uint64_t translate(const uint64_t *root, uint64_t address, uint64_t *physical) {
    const uint64_t *table = root;
    uint64_t rights = 7;
    uint64_t no_execute = 0;

    for (int level = 4; level >= 1; level--) {
        unsigned int shift = 12 + 9 * (unsigned int)(level - 1);
        uint64_t e = table[address >> shift & 511];

        if (!(e & 1)) {
            return 0;
        }
        rights &= e;
        no_execute |= e & 1ull << 63;
        if (level == 1 || (e & 0x80)) {
            uint64_t mask = (1ull << shift) - 1;

            assert_true(level != 4);
            *physical = (e & 0x000ffffffffff000ull & ~mask) | (address & mask);
            return rights | no_execute;
        }
        table = (const uint64_t *)(uintptr_t)(e & 0x000ffffffffff000ull);
    }
    return 0;
}

static void paging_case(bool large_1g) {
    struct pool pool = {.limit = 64};
    struct paging paging = {.page = pool_page, .context = &pool, .large_1g = large_1g};
    uint64_t physical = 0;

    assert_int_equal(paging_start(&paging), 0);
    assert_int_equal(paging_map_identity(&paging, 0, 4ull << 30), 0);
    assert_int_equal(paging_map_identity(&paging, 0x1fffff000, 0x2000), 0); /* across 8 GiB */
    assert_int_equal(paging_map_identity(&paging, 0x1000, 0x1000), 0);      /* again */
    assert_int_equal(paging_map_pages(&paging, BASE, 0x200000, 0x2000, false, true), 0);
    assert_int_equal(paging_map_pages(&paging, BASE + 0x3000, 0x203000, 0x1000, true, false), 0);
    assert_int_equal(paging_map_pages(&paging, BASE + 0x4000, 0x204000, 0x1000, false, false), 0);

    assert_int_equal(translate(paging.root, 0x12345678, &physical), 3);
    assert_int_equal(physical, 0x12345678);
    assert_int_equal(translate(paging.root, 0xffffffff, &physical), 3);
    assert_int_equal(physical, 0xffffffff);
    assert_int_equal(translate(paging.root, 0x1ffffffff, &physical), 3);
    assert_int_equal(physical, 0x1ffffffff);
    assert_int_equal(translate(paging.root, 0x200000fff, &physical), 3);
    assert_int_equal(physical, 0x200000fff);
    assert_int_equal(translate(paging.root, 0x280000000, &physical), 0);
    assert_int_equal(translate(paging.root, BASE + 0x1fff, &physical), 1);
    assert_int_equal(physical, 0x201fff);
    assert_int_equal(translate(paging.root, BASE + 0x2000, &physical), 0); /* the gap */
    assert_int_equal(translate(paging.root, BASE + 0x3000, &physical), 3 | 1ull << 63);
    assert_int_equal(physical, 0x203000);
    assert_int_equal(translate(paging.root, BASE + 0x4000, &physical), 1 | 1ull << 63);

    assert_int_equal(paging_map_pages(&paging, BASE + 0x1000, 0, 0x1000, true, false), -EEXIST);
    assert_int_equal(paging_map_pages(&paging, 0x1000, 0, 0x1000, true, false), -EEXIST); /* a large page */
    assert_int_equal(paging_map_identity(&paging, 1ull << 47, 1), -EINVAL);
    assert_int_equal(paging_map_identity(&paging, 4096, 1ull << 47), -EINVAL);
    assert_int_equal(paging_map_identity(&paging, UINT64_MAX, 2), -EINVAL);
    pool_free(&pool);
}

static void test_paging_1g(void **state) {
    (void)state;
    paging_case(true);
}

static void test_paging_2m(void **state) {
    (void)state;
    paging_case(false);
}

static void test_paging_out_of_memory(void **state) {
    (void)state;
    for (size_t limit = 0; limit < 6; limit++) {
        struct pool pool = {.limit = limit};
        struct paging paging = {.page = pool_page, .context = &pool};
        int error = paging_start(&paging);

        if (error == 0) {
            error = paging_map_identity(&paging, 0, 4ull << 30);
        }
        assert_int_equal(error, -ENOMEM); /* six are needed: root, PDPT and four directories */
        pool_free(&pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_elf_sound, setup),
        cmocka_unit_test_setup(test_elf_refused, setup),
        cmocka_unit_test_setup(test_elf_random, setup),
        cmocka_unit_test(test_paging_1g),
        cmocka_unit_test(test_paging_2m),
        cmocka_unit_test(test_paging_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
