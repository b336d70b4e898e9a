// SPDX-License-Identifier: Apache-2.0
// Kernel images by their headers: sound ones of each kind, and every way in which one is refused.
// unit-sources: lib/image_elf.c lib/image_kinds.c lib/image_linux.c lib/image_ppc.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/unit/image_build.h"

static struct file file;
static struct image_loadable image;
static struct image_linux header;
static char why[160];

static int parse_linux(void) {
    size_t head = file.size < IMAGE_HEAD ? file.size : IMAGE_HEAD;
    /* Of the exact size, so that the sanitizer sees a look beyond it. */
    uint8_t *copy = malloc(head ? head : 1);
    memcpy(copy, file.bytes, head);
    why[0] = 0;
    int error = image_linux_parse(copy, head, file.size, &header, why, sizeof(why));
    free(copy);
    return error;
}

static int check(enum image_kind kind) {
    struct image_source source = file_source(&file);
    why[0] = 0;
    return image_check(kind, &source, why, sizeof(why));
}

static void refused(enum image_kind kind, const char *sentence) {
    assert_int_equal(check(kind), -EINVAL);
    assert_string_equal(why, sentence);
}

/* --- Linux --- */

static void linux_sound(void **state) {
    (void)state;
    build_linux(&file);
    assert_int_equal(parse_linux(), 0);
    assert_int_equal(check(IMAGE_LINUX), 0);
    assert_int_equal(header.kernel_offset, 1024);
    assert_int_equal(header.kernel_size, 4096);
    assert_int_equal(header.version, 0x20f);
    assert_int_equal(header.header_end, 0x26c);
    assert_true(header.relocatable);
    assert_true(header.has_64bit);
    assert_true(header.above_4g);
    assert_int_equal(header.alignment, 0x200000);
    assert_int_equal(header.preferred, 0x1000000);
    assert_int_equal(header.init_size, 0x2000000);
    assert_int_equal(header.initrd_max, 0x7fffffff);
    assert_int_equal(header.cmdline_max, 2047);
}

static void linux_variants(void **state) {
    (void)state;
    /* No set-up sectors means four. */
    build_linux(&file);
    file.bytes[0x1f1] = 0;
    file.size = 5 * 512 + 4096;
    assert_int_equal(parse_linux(), 0);
    assert_int_equal(header.kernel_offset, 5 * 512);
    /* A kernel of 32 bits that cannot be moved; its alignment means nothing. */
    build_linux(&file);
    put16(&file, 0x236, 0);
    file.bytes[0x234] = 0;
    put32(&file, 0x230, 0);
    assert_int_equal(parse_linux(), 0);
    assert_false(header.relocatable);
    assert_false(header.has_64bit);
    assert_false(header.above_4g);
    /* The last unit of 16 bytes need not be full. */
    build_linux(&file);
    file.size -= 15;
    assert_int_equal(parse_linux(), 0);
    assert_int_equal(header.kernel_size, 4081);
}

static void linux_refused(void **state) {
    (void)state;
    for (uint64_t size = 0; size < 0x264; size++) {
        build_linux(&file);
        file.size = size;
        char expected[80];
        snprintf(expected, sizeof(expected), "is too short for a Linux kernel (%llu bytes)",
                 (unsigned long long)size);
        refused(IMAGE_LINUX, expected);
    }
    build_linux(&file);
    put16(&file, 0x1fe, 0xaa54);
    refused(IMAGE_LINUX, "is no Linux bzImage (no \"HdrS\" at 0x202)");
    build_linux(&file);
    file.bytes[0x205] = 's';
    refused(IMAGE_LINUX, "is no Linux bzImage (no \"HdrS\" at 0x202)");
    build_linux(&file);
    put16(&file, 0x206, 0x20b);
    refused(IMAGE_LINUX, "has boot protocol 2.11; 2.12 (Linux 3.8) or later is needed");
    build_linux(&file);
    file.bytes[0x211] = 0x80;
    refused(IMAGE_LINUX, "is a zImage, which loads below 1 MiB; a bzImage is needed");
    build_linux(&file);
    file.bytes[0x201] = 0x61;
    refused(IMAGE_LINUX, "has a set-up header that ends at 0x263");
    file.bytes[0x201] = 0x62;
    assert_int_equal(check(IMAGE_LINUX), 0);
    file.bytes[0x201] = 0x8f;
    refused(IMAGE_LINUX, "has a set-up header that ends at 0x291");
    file.bytes[0x201] = 0x6a;
    file.size = 0x26b;
    refused(IMAGE_LINUX, "has a set-up header that ends at 0x26c");
    build_linux(&file);
    file.bytes[0x200] = 0xe9;
    refused(IMAGE_LINUX, "has no jump over its set-up header at 0x200");
    build_linux(&file);
    file.size = 1024;
    refused(IMAGE_LINUX, "is cut short: the kernel proper begins at byte 1024 of 1024");
    build_linux(&file);
    file.size -= 16;
    refused(IMAGE_LINUX, "is cut short: 4080 of 4096 bytes of the kernel are there");
    build_linux(&file);
    put32(&file, 0x1f4, 0xffffffff);
    refused(IMAGE_LINUX, "is cut short: 4096 of 68719476720 bytes of the kernel are there");
    for (unsigned i = 0; i < 2; i++) {
        build_linux(&file);
        put32(&file, 0x230, i ? 0x300000 : 0);
        refused(IMAGE_LINUX, i ? "wants to be loaded at a multiple of 0x300000, which is no power of two"
                               : "wants to be loaded at a multiple of 0x0, which is no power of two");
    }
    build_linux(&file);
    put64(&file, 0x258, 0xfffff);
    refused(IMAGE_LINUX, "wants 0x2000000 bytes at 0xfffff: the header is damaged");
    put64(&file, 0x258, 1ull << 40);
    refused(IMAGE_LINUX, "wants 0x2000000 bytes at 0x10000000000: the header is damaged");
    put64(&file, 0x258, 0x100000);
    put32(&file, 0x260, 0xfff);
    refused(IMAGE_LINUX, "wants 0xfff bytes at 0x100000: the header is damaged");
    put32(&file, 0x260, 0x1000);
    assert_int_equal(check(IMAGE_LINUX), 0);
}

static void linux_cut_anywhere(void **state) {
    (void)state;
    build_linux(&file);
    for (uint64_t size = 0; size <= 1024 + 4096 - 16; size++) {
        file.size = size;
        assert_int_equal(check(IMAGE_LINUX), -EINVAL);
    }
}

/* --- ELF --- */

static int parse_elf(void) {
    struct image_source source = file_source(&file);
    why[0] = 0;
    return image_elf_parse(&source, &image, why, sizeof(why));
}

static void elf_refused(const char *sentence) {
    assert_int_equal(parse_elf(), -EINVAL);
    assert_string_equal(why, sentence);
}

static const struct elf_layout *const classes[] = {&elf32, &elf64};

static void elf_sound(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        build_elf(&file, classes[i], 0);
        assert_int_equal(parse_elf(), 0);
        assert_int_equal(image.count, 2);
        assert_int_equal(image.segment[0].offset, ELF_TEXT);
        assert_int_equal(image.segment[0].file_size, 0x200);
        assert_int_equal(image.segment[0].address, 0x100000);
        assert_int_equal(image.segment[0].memory_size, 0x200);
        assert_int_equal(image.segment[1].memory_size, 0x1000);
        assert_int_equal(image.lowest, 0x100000);
        assert_int_equal(image.highest, 0x201000);
        assert_int_equal(image.entry, 0x100010);
        /* Segments in any order; neighbours touch; empty ones do not count. */
        put_ph(&file, classes[i], 0, 1, ELF_TEXT, 0x201000, 0x200, 0x200);
        put_ph(&file, classes[i], 2, 1, 0xffffffff, 0x201000, 0, 0);
        assert_int_equal(parse_elf(), 0);
        assert_int_equal(image.count, 2);
        assert_int_equal(image.lowest, 0x200000);
        assert_int_equal(image.highest, 0x201200);
    }
    /* Larger entries of the table than this version knows; a kernel at 4 GiB. */
    build_elf(&file, &elf64, 0);
    put16(&file, elf64.entry_size, 112);
    put16(&file, elf64.count, 1);
    put_ph(&file, &elf64, 0, 1, ELF_TEXT, 0x100000000, 0x200, 0x200);
    assert_int_equal(parse_elf(), 0);
    assert_true(image.lowest == 0x100000000);
}

static void elf_header_refused(void **state) {
    (void)state;
    build_elf(&file, &elf32, 0);
    file.bytes[1] = 'e';
    elf_refused("is no ELF file");
    file.size = 0;
    elf_refused("is no ELF file");
    for (unsigned i = 0; i < 2; i++) {
        const struct elf_layout *elf = classes[i];
        build_elf(&file, elf, 0);
        put16(&file, 18, 40);
        elf_refused(i ? "is an ELF file for another machine (class 2, machine 40)"
                      : "is an ELF file for another machine (class 1, machine 40)");
        build_elf(&file, elf, 0);
        file.bytes[5] = 2; /* big-endian */
        assert_int_equal(parse_elf(), -EINVAL);
        build_elf(&file, elf, 0);
        put16(&file, 16, 3);
        elf_refused("is an ELF file of type 3; an executable (2) is needed");
        static const char damaged[] = "has a damaged table of program headers";
        build_elf(&file, elf, 0);
        put16(&file, elf->entry_size, (uint16_t)(elf->ph_size - 1));
        elf_refused(damaged);
        build_elf(&file, elf, 0);
        put16(&file, elf->count, 0);
        elf_refused(damaged);
        put16(&file, elf->count, 129);
        elf_refused(damaged);
        build_elf(&file, elf, 0);
        put_word(&file, elf, elf->table, file.size - 3 * elf->ph_size + 1);
        elf_refused(damaged);
        put_word(&file, elf, elf->table, file.size + 1);
        elf_refused(damaged);
        put_word(&file, elf, elf->table, elf->wide ? UINT64_MAX : UINT32_MAX);
        elf_refused(damaged);
    }
    build_elf(&file, &elf32, 0);
    file.bytes[4] = 3;
    elf_refused("is an ELF file for another machine (class 3, machine 3)");
}

static void elf_segments_refused(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct elf_layout *elf = classes[i];
        build_elf(&file, elf, 0);
        put_ph(&file, elf, 1, 1, 0x1f01, 0x200000, 0x100, 0x100);
        elf_refused("is cut short: a segment's bytes 7937 to 8193 lie beyond its end (8192)");
        put_ph(&file, elf, 1, 1, 0x2001, 0x200000, 0, 0x100);
        elf_refused("is cut short: a segment's bytes 8193 to 8193 lie beyond its end (8192)");
        put_ph(&file, elf, 1, 1, 0x1000, 0x200000, 0x101, 0x100);
        elf_refused("has a segment of 0x100 bytes at 0x200000");
        put_ph(&file, elf, 1, 1, 0x1000, 0x1001ff, 0x100, 0x100);
        elf_refused("has overlapping segments at 0x1001ff");
        put_ph(&file, elf, 1, 1, 0x1000, 0xfff01, 0x100, 0x100);
        elf_refused("has overlapping segments at 0xfff01");
        put_ph(&file, elf, 1, 1, 0x1000, 0x0, 0x100, 0x200000);
        elf_refused("has overlapping segments at 0x0");
        put_ph(&file, elf, 0, 6, 0, 0, 0, 0);
        put_ph(&file, elf, 1, 6, 0, 0, 0, 0);
        elf_refused("has nothing to load");
    }
    build_elf(&file, &elf64, 0);
    put_ph(&file, &elf64, 1, 1, UINT64_MAX, 0x200000, UINT64_MAX, UINT64_MAX);
    assert_int_equal(parse_elf(), -EINVAL);
    put_ph(&file, &elf64, 1, 1, 0x1000, UINT64_MAX - 0xff, 0x100, 0x200);
    elf_refused("has a segment of 0x200 bytes at 0xffffffffffffff00");
    put_ph(&file, &elf64, 1, 1, 0x1000, 0x200000, 0x100, 1ull << 40);
    elf_refused("has a segment of 0x10000000000 bytes at 0x200000");
    /* One more segment than there is room for. */
    build_elf(&file, &elf32, 0);
    put16(&file, elf32.count, IMAGE_SEGMENTS);
    for (unsigned i = 0; i <= IMAGE_SEGMENTS; i++)
        put_ph(&file, &elf32, i, 1, ELF_TEXT, 0x100000 + i * 0x1000, 16, 16);
    assert_int_equal(parse_elf(), 0);
    assert_int_equal(image.count, IMAGE_SEGMENTS);
    put16(&file, elf32.count, IMAGE_SEGMENTS + 1);
    elf_refused("has more than 32 segments to load");
}

static void elf_cut_anywhere(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        build_elf(&file, classes[i], 0);
        for (uint64_t size = 0; size < ELF_DATA + 0x100; size++) {
            file.size = size;
            assert_int_equal(parse_elf(), -EINVAL);
        }
        file.size = ELF_DATA + 0x100;
        assert_int_equal(parse_elf(), 0);
    }
}

/* --- multiboot --- */

static void multiboot_elf(void **state) {
    (void)state;
    /* The header may stand at every multiple of 4 that lies wholly in the first 8 KiB. */
    for (uint64_t at = ELF_MULTIBOOT; at <= 8192 - 12; at += 4) {
        build_elf(&file, &elf32, 0);
        put_multiboot(&file, at, 3);
        assert_int_equal(check(IMAGE_MULTIBOOT), 0);
    }
    build_elf(&file, &elf32, 0);
    put_multiboot(&file, ELF_MULTIBOOT, 0);
    struct image_source source = file_source(&file);
    assert_int_equal(image_multiboot_parse(&source, &image, why, sizeof(why)), 0);
    assert_int_equal(image.entry, 0x100010);
    assert_int_equal(image.count, 2);
    /* What the header may not be asked for; its upper half are offers that may be ignored. */
    put_multiboot(&file, ELF_MULTIBOOT, 4);
    refused(IMAGE_MULTIBOOT, "asks for multiboot features that are not offered (flags 0x4)");
    put_multiboot(&file, ELF_MULTIBOOT, 0x8000);
    refused(IMAGE_MULTIBOOT, "asks for multiboot features that are not offered (flags 0x8000)");
    put_multiboot(&file, ELF_MULTIBOOT, 0xfffe0003);
    assert_int_equal(check(IMAGE_MULTIBOOT), 0);
}

static void multiboot_none(void **state) {
    (void)state;
    static const char none[] = "has no multiboot header in its first 8 KiB";
    build_elf(&file, &elf32, 0);
    refused(IMAGE_MULTIBOOT, none);
    put_multiboot(&file, ELF_MULTIBOOT + 2, 0);
    refused(IMAGE_MULTIBOOT, none);
    build_elf(&file, &elf32, 0);
    file.size = 12288;
    put_multiboot(&file, 8192 - 8, 0);
    refused(IMAGE_MULTIBOOT, none);
    build_elf(&file, &elf32, 0);
    put_multiboot(&file, ELF_MULTIBOOT, 3);
    file.bytes[ELF_MULTIBOOT + 8] ^= 1;
    refused(IMAGE_MULTIBOOT, none);
    /* A false one does not hide a true one behind it. */
    put_multiboot(&file, ELF_MULTIBOOT + 16, 3);
    assert_int_equal(check(IMAGE_MULTIBOOT), 0);
    for (uint64_t size = 0; size < 12; size++) {
        file.size = size;
        refused(IMAGE_MULTIBOOT, none);
    }
}

static void multiboot_entry(void **state) {
    (void)state;
    build_elf(&file, &elf32, 0);
    put_multiboot(&file, ELF_MULTIBOOT, 0);
    put32(&file, elf32.entry, 0x100200);
    refused(IMAGE_MULTIBOOT, "is entered at 0x100200, where nothing is loaded");
    put32(&file, elf32.entry, 0x1001ff);
    assert_int_equal(check(IMAGE_MULTIBOOT), 0);
    put32(&file, elf32.entry, 0x200100); /* zeroes */
    refused(IMAGE_MULTIBOOT, "is entered at 0x200100, where nothing is loaded");
    put32(&file, elf32.entry, 0xfffff);
    refused(IMAGE_MULTIBOOT, "is entered at 0xfffff, where nothing is loaded");
}

/* A flat file of 0x1000 bytes with a header at 0x40 that has addresses. */
static void build_flat(uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end, uint32_t entry) {
    const uint32_t words[] = {header, load, load_end, bss_end, entry};
    memset(&file, 0, sizeof(file));
    file.size = 0x1000;
    put_multiboot(&file, 0x40, 0x10000);
    for (unsigned i = 0; i < 5; i++)
        put32(&file, 0x4c + 4 * i, words[i]);
}

static void multiboot_addresses(void **state) {
    (void)state;
    struct image_source source = {.read = file_read, .context = &file, .size = 0x1000};
    build_flat(0x100040, 0x100000, 0x100800, 0x102000, 0x100060);
    assert_int_equal(image_multiboot_parse(&source, &image, why, sizeof(why)), 0);
    assert_int_equal(image.count, 1);
    assert_int_equal(image.segment[0].offset, 0);
    assert_int_equal(image.segment[0].file_size, 0x800);
    assert_int_equal(image.segment[0].address, 0x100000);
    assert_int_equal(image.segment[0].memory_size, 0x2000);
    assert_int_equal(image.highest, 0x102000);
    assert_int_equal(image.entry, 0x100060);
    /* Loading begins behind the file's start; up to its end; no bss. */
    build_flat(0x100010, 0x100000, 0, 0, 0x100060);
    assert_int_equal(image_multiboot_parse(&source, &image, why, sizeof(why)), 0);
    assert_int_equal(image.segment[0].offset, 0x30);
    assert_int_equal(image.segment[0].file_size, 0xfd0);
    assert_int_equal(image.segment[0].memory_size, 0xfd0);
    /* These addresses count, not those of an ELF header. */
    build_flat(0x100040, 0x100000, 0, 0, 0x100060);
    memcpy(file.bytes,
           "\x7f"
           "ELF",
           4);
    assert_int_equal(check(IMAGE_MULTIBOOT), 0);
}

static void multiboot_addresses_refused(void **state) {
    (void)state;
    static const char lies[] = "has a multiboot header that lies about its address";
    static const char beyond[] = "has a multiboot header that loads nothing, or beyond 4 GiB";
    build_flat(0xfffff, 0x100000, 0, 0, 0x100060);
    refused(IMAGE_MULTIBOOT, lies);
    build_flat(0x100041, 0x100000, 0, 0, 0x100060);
    refused(IMAGE_MULTIBOOT, lies);
    build_flat(0x100040, 0x100000, 0x101001, 0, 0x100060);
    refused(IMAGE_MULTIBOOT, "is cut short: its multiboot header loads up to 0x101001");
    build_flat(0x100040, 0x100000, 0xfffff, 0, 0x100060);
    refused(IMAGE_MULTIBOOT, "is cut short: its multiboot header loads up to 0xfffff");
    build_flat(0x100040, 0x100000, 0x100000, 0, 0x100060);
    refused(IMAGE_MULTIBOOT, beyond);
    build_flat(0xfffff040, 0xfffff000, 0, 0, 0xfffff060);
    assert_int_equal(check(IMAGE_MULTIBOOT), 0); /* up to 4 GiB exactly */
    build_flat(0xfffff041, 0xfffff001, 0, 0, 0xfffff060);
    refused(IMAGE_MULTIBOOT, beyond);
    build_flat(0x100040, 0x100000, 0x100800, 0x102000, 0x100800);
    refused(IMAGE_MULTIBOOT, "is entered at 0x100800, where nothing is loaded");
    /* The addresses themselves are cut off. */
    build_flat(0x100040, 0x100000, 0, 0, 0x100060);
    for (file.size = 0; file.size < 0x60; file.size++)
        assert_int_equal(check(IMAGE_MULTIBOOT), -EINVAL);
}

/* --- PVH --- */

static void pvh_sound(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        build_pvh(&file, classes[i]);
        struct image_source source = file_source(&file);
        assert_int_equal(image_pvh_parse(&source, &image, why, sizeof(why)), 0);
        assert_int_equal(image.entry, 0x100020);
        assert_int_equal(image.count, 2);
        assert_int_equal(check(IMAGE_PVH), 0);
    }
}

static void pvh_refused(void **state) {
    (void)state;
    static const char none[] = "has no PVH entry (ELF note \"Xen\", type 18); was it built with CONFIG_PVH?";
    const uint32_t entry[2] = {0x100020, 1};
    build_elf(&file, &elf64, 0);
    refused(IMAGE_PVH, none);
    const struct {
        const char *name;
        uint32_t type, size;
    } wrong[] = {{"Xen", 17, 8}, {"Xem", 18, 8}, {"Xen4", 18, 8},
                 {"", 18, 8},    {"Xen", 18, 2}, {"Xen", 18, 8}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint64_t end = put_note(&file, ELF_NOTE, wrong[i].name, wrong[i].type, entry, wrong[i].size);
        put_ph(&file, &elf64, 2, 4, ELF_NOTE, 0, end - ELF_NOTE, end - ELF_NOTE);
        refused(IMAGE_PVH, none);
    }
    build_pvh(&file, &elf32);
    put32(&file, ELF_NOTE + 24 + 16, 0x300000);
    refused(IMAGE_PVH, "is entered at 0x300000, where nothing is loaded");
    build_pvh(&file, &elf32);
    file.bytes[0] = 0;
    refused(IMAGE_PVH, "is no ELF file");
}

/* A file of zeroes is full of notes, and may be the segment of many program headers. */
static unsigned reads;

static int counted_read(void *context, uint64_t offset, void *buffer, size_t size) {
    (void)context;
    reads++;
    memset(buffer, 0, size);
    if (offset < sizeof(file.bytes))
        memcpy(buffer, file.bytes + offset,
               size < sizeof(file.bytes) - offset ? size : sizeof(file.bytes) - offset);
    return 0;
}

static void notes_without_end(void **state) {
    (void)state;
    const uint64_t size = 64u << 20;
    const struct image_source source = {.read = counted_read, .size = size};
    char out[8];

    build_elf(&file, &elf64, 0);
    put16(&file, elf64.count, 128);
    for (unsigned i = 0; i < 128; i++)
        put_ph(&file, &elf64, i, 4, sizeof(file.bytes), 0, size - sizeof(file.bytes), 0);
    reads = 0;
    assert_int_equal(image_elf_note(&source, "Xen", 18, out, sizeof(out)), -ENOENT);
    assert_true(reads < 5000);
}

static void notes_damaged(void **state) {
    (void)state;
    uint8_t out[8];
    for (unsigned i = 0; i < 2; i++) {
        const struct elf_layout *elf = classes[i];
        build_pvh(&file, elf);
        struct image_source source = file_source(&file);
        assert_int_equal(image_elf_note(&source, "Xen", 18, out, sizeof(out)), elf->wide ? 8 : 4);
        /* No more than there is room for. */
        memset(out, 0xee, sizeof(out));
        assert_int_equal(image_elf_note(&source, "Xen", 18, out, 2), elf->wide ? 8 : 4);
        assert_int_equal(out[0], 0x20);
        assert_int_equal(out[2], 0xee);
        assert_int_equal(image_elf_note(&source, "A name too long for notes", 18, out, 8), -ENOENT);
        /* Every size of the segment that cuts the note off. */
        uint64_t whole = elf->wide ? 48 : 44;
        for (uint64_t size = 0; size < whole; size++) {
            put_ph(&file, elf, 2, 4, ELF_NOTE, 0, size, size);
            assert_int_equal(image_elf_note(&source, "Xen", 18, out, sizeof(out)), -ENOENT);
        }
        put_ph(&file, elf, 2, 4, ELF_NOTE, 0, whole, whole);
        assert_true(image_elf_note(&source, "Xen", 18, out, sizeof(out)) > 0);
        /* Sizes of a first note that wrap or lie. */
        for (unsigned field = 0; field < 2; field++)
            for (uint32_t size = 0xfffffff0; size != 0x10; size++) {
                build_pvh(&file, elf);
                put32(&file, ELF_NOTE + 4 * field, size);
                image_elf_note(&source, "Xen", 18, out, sizeof(out));
            }
        /* A note segment beyond the file's end. */
        build_pvh(&file, elf);
        put_ph(&file, elf, 2, 4, file.size - 4, 0, 64, 64);
        assert_int_equal(image_elf_note(&source, "Xen", 18, out, sizeof(out)), -ENOENT);
        put_ph(&file, elf, 2, 4, elf->wide ? UINT64_MAX : UINT32_MAX, 0, 64, 64);
        assert_int_equal(image_elf_note(&source, "Xen", 18, out, sizeof(out)), -ENOENT);
    }
}

/* --- firmware --- */

static void firmware(void **state) {
    (void)state;
    const struct {
        uint64_t size;
        const char *sentence;
    } cases[] = {
        {0, "has 0 bytes; a firmware image has 16 bytes to 16 MiB"},
        {15, "has 15 bytes; a firmware image has 16 bytes to 16 MiB"},
        {16, NULL},
        {16 << 20, NULL},
        {(16 << 20) + 1, "has 16777217 bytes; a firmware image has 16 bytes to 16 MiB"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        file.size = cases[i].size;
        if (cases[i].sentence)
            refused(IMAGE_FIRMWARE, cases[i].sentence);
        else
            assert_int_equal(check(IMAGE_FIRMWARE), 0);
    }
}

static void kinds_apart(void **state) {
    (void)state;
    build_linux(&file);
    assert_int_equal(check(IMAGE_MULTIBOOT), -EINVAL);
    assert_int_equal(check(IMAGE_PVH), -EINVAL);
    build_pvh(&file, &elf64);
    assert_int_equal(check(IMAGE_LINUX), -EINVAL);
    assert_int_equal(check(IMAGE_MULTIBOOT), -EINVAL);
    assert_int_equal(check((enum image_kind)77), -EINVAL);
}

static int read_fails(void *context, uint64_t offset, void *buffer, size_t size) {
    (void)context, (void)offset, (void)buffer, (void)size;
    return -EIO;
}

static void unreadable(void **state) {
    (void)state;
    const struct image_source source = {.read = read_fails, .size = 4096};
    for (int kind = IMAGE_LINUX; kind <= IMAGE_PVH; kind++)
        assert_int_equal(image_check((enum image_kind)kind, &source, why, sizeof(why)), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linux_sound),
        cmocka_unit_test(linux_variants),
        cmocka_unit_test(linux_refused),
        cmocka_unit_test(linux_cut_anywhere),
        cmocka_unit_test(elf_sound),
        cmocka_unit_test(elf_header_refused),
        cmocka_unit_test(elf_segments_refused),
        cmocka_unit_test(elf_cut_anywhere),
        cmocka_unit_test(multiboot_elf),
        cmocka_unit_test(multiboot_none),
        cmocka_unit_test(multiboot_entry),
        cmocka_unit_test(multiboot_addresses),
        cmocka_unit_test(multiboot_addresses_refused),
        cmocka_unit_test(pvh_sound),
        cmocka_unit_test(pvh_refused),
        cmocka_unit_test(notes_damaged),
        cmocka_unit_test(notes_without_end),
        cmocka_unit_test(firmware),
        cmocka_unit_test(kinds_apart),
        cmocka_unit_test(unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
