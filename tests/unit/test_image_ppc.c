// SPDX-License-Identifier: Apache-2.0
// PowerPC kernels by their headers: what is found in sound ELF files and uImages, and what is refused and
// why.
// unit-sources: lib/image_elf.c lib/image_kinds.c lib/image_linux.c lib/image_ppc.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/image_build_ppc.h"

static struct file file;
static struct image_loadable image;
static char why[96];

static int parse(void) {
    struct image_source source = file_source(&file);
    memset(why, 0, sizeof(why));
    int error = image_ppc_parse(&source, &image, why, sizeof(why));
    struct image_loadable again = image;
    assert_int_equal(image_check(IMAGE_PPC, &source, why, sizeof(why)), error);
    image = again;
    return error;
}

static void refused(const char *sentence) {
    assert_int_equal(parse(), -EINVAL);
    assert_string_equal(why, sentence);
}

static void test_elf(void **state) {
    (void)state;
    build_vmlinux(&file);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.count, 2);
    assert_int_equal(image.segment[0].offset, PPC_TEXT);
    assert_int_equal(image.segment[0].address, 0);
    assert_int_equal(image.segment[0].file_size, 0x200);
    assert_int_equal(image.segment[1].address, 0x10000);
    assert_int_equal(image.segment[1].file_size, 0x100);
    assert_int_equal(image.segment[1].memory_size, 0x1000);
    assert_int_equal(image.lowest, 0);
    assert_int_equal(image.highest, 0x11000);
    assert_int_equal(image.entry, 0); /* the physical address */
    put32be(&file, PPC_ENTRY, PPC_VIRTUAL + 0x100fc);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.entry, 0x100fc);
    put32be(&file, PPC_ENTRY, 0x1fc); /* given as one */
    assert_int_equal(parse(), 0);
    assert_int_equal(image.entry, 0x1fc);
    /* Up to 4 GiB exactly. */
    put32be(&file, PPC_PH(1) + 12, 0xfffff000);
    assert_int_equal(parse(), 0);
    assert_true(image.highest == 1ull << 32);
    /* Segments without memory are skipped. */
    put32be(&file, PPC_PH(1) + 16, 0);
    put32be(&file, PPC_PH(1) + 20, 0);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.count, 1);
}

static void test_elf_refused(void **state) {
    (void)state;
    build_vmlinux(&file);
    file.size = 63;
    refused("is too short for a kernel");
    build_vmlinux(&file);
    file.bytes[0] = 0;
    refused("is neither an ELF file nor a uImage");
    build_vmlinux(&file);
    file.bytes[4] = 2;
    refused("is an ELF file for another machine (class 2, byte order 2, machine 20)");
    build_vmlinux(&file);
    put16be(&file, 18, 21);
    refused("is an ELF file for another machine (class 1, byte order 2, machine 21)");
    build_elf(&file, &elf64, 0);
    refused("is an ELF file for another machine (class 2, byte order 1, machine 62)");
    build_vmlinux(&file);
    put16be(&file, 16, 3);
    refused("is an ELF file of type 3; an executable (2) is needed");
    static const char table[] = "has a damaged table of program headers";
    static const struct {
        unsigned at;
        uint16_t value;
    } bad[] = {
        {PPC_STEP, 31}, {PPC_COUNT, 0}, {PPC_COUNT, 129}, {PPC_TABLE, 0x8000}, {PPC_TABLE + 2, 0x1fe0}};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        build_vmlinux(&file);
        put16be(&file, bad[i].at, bad[i].value);
        refused(table);
    }
    build_vmlinux(&file);
    put32be(&file, PPC_PH(0) + 4, 0x1e01);
    refused("is cut short: a segment's bytes 7681 to 8193 lie beyond its end (8192)");
    build_vmlinux(&file);
    put32be(&file, PPC_PH(1) + 12, 0x1ff);
    refused("has overlapping segments at 0x1ff");
    build_vmlinux(&file);
    put32be(&file, PPC_PH(1) + 12, 0xfffff001);
    refused("has a segment of 0x1000 bytes at 0xfffff001");
    build_vmlinux(&file);
    put32be(&file, PPC_PH(1) + 16, 0x1001);
    file.size = 0x3000;
    refused("has a segment of 0x1000 bytes at 0x10000");
    build_vmlinux(&file);
    put32be(&file, PPC_PH(0), 0);
    put32be(&file, PPC_PH(1), 0);
    refused("has nothing to load");
    build_vmlinux(&file);
    put32be(&file, PPC_ENTRY, PPC_VIRTUAL + 0x10100);
    refused("is entered at 0xc0010100, where nothing is loaded");
    build_vmlinux(&file);
    put32be(&file, PPC_ENTRY, PPC_VIRTUAL + 2);
    refused("is entered at 0x2, which is no multiple of 4");
}

static void test_uimage(void **state) {
    (void)state;
    build_uimage(&file);
    assert_int_equal(parse(), 0);
    assert_int_equal(image.count, 1);
    assert_int_equal(image.segment[0].offset, 64);
    assert_int_equal(image.segment[0].file_size, 4096);
    assert_int_equal(image.segment[0].address, 0x400000);
    assert_int_equal(image.highest, 0x401000);
    assert_int_equal(image.entry, 0x400010);
    file.bytes[40] = 'x'; /* the name, not in the checksum yet */
    refused("is a uImage with a damaged header");
    seal_uimage(&file);
    assert_int_equal(parse(), 0);
    file.bytes[31] = 1;
    seal_uimage(&file);
    refused("is a compressed uImage (method 1); give the vmlinux that it was made from");
    build_uimage(&file);
    file.bytes[29] = 2;
    seal_uimage(&file);
    refused("is a uImage of type 2 for machine 2; a kernel (2) for PowerPC (7) is needed");
    build_uimage(&file);
    file.bytes[30] = 3;
    seal_uimage(&file);
    refused("is a uImage of type 3 for machine 7; a kernel (2) for PowerPC (7) is needed");
    build_uimage(&file);
    put32be(&file, 12, 0);
    seal_uimage(&file);
    refused("has nothing to load");
    build_uimage(&file);
    file.size--;
    refused("is cut short: a segment's bytes 64 to 4160 lie beyond its end (4159)");
    build_uimage(&file);
    put32be(&file, 16, 0xfffff001);
    seal_uimage(&file);
    refused("has a segment of 0x1000 bytes at 0xfffff001");
    build_uimage(&file);
    put32be(&file, 20, 0x401000);
    seal_uimage(&file);
    refused("is entered at 0x401000, where nothing is loaded");
}

static int broken_read(void *context, uint64_t offset, void *buffer, size_t size) {
    unsigned *left = context;
    (void)offset;
    if ((*left)-- == 0)
        return -EIO;
    memcpy(buffer, file.bytes + offset, size);
    return 0;
}

static void test_broken_reads(void **state) {
    (void)state;
    build_vmlinux(&file);
    for (unsigned reads = 0; reads < 4; reads++) {
        unsigned left = reads;
        struct image_source source = {.read = broken_read, .context = &left, .size = file.size};
        assert_int_equal(image_ppc_parse(&source, &image, why, sizeof(why)), -EINVAL);
    }
    unsigned left = 4;
    struct image_source source = {.read = broken_read, .context = &left, .size = file.size};
    assert_int_equal(image_ppc_parse(&source, &image, why, sizeof(why)), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elf),
        cmocka_unit_test(test_elf_refused),
        cmocka_unit_test(test_uimage),
        cmocka_unit_test(test_broken_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
