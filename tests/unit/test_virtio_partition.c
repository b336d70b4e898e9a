// SPDX-License-Identifier: Apache-2.0
// Partitions by number: GPT with its backup and what may be wrong with it, blocks of 4 KiB, MBR with logical
// partitions and chains that do not end, disks that answer late or never.
// unit-sources: virtio/partition.c virtio/disk.c virtio/disk_memory.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/partition_build.h"
#include "virtio/disk_memory.h"
#include "virtio/partition.h"

#define BLOCKS 1000u

static uint8_t image[BLOCKS * 4096];
static struct disk_memory memory;
static struct partition_search search;
static uint32_t block; /* bytes */

static int set_up(void **state) {
    (void)state;
    memset(image, 0, sizeof(image));
    block = 512;
    assert_int_equal(disk_memory_init(&memory, image, BLOCKS * 512, true), 0);
    return 0;
}

static uint8_t *at(uint64_t number) {
    return image + number * block;
}

static void found(unsigned number, uint64_t first, uint64_t count) {
    memset(&search, 0xff, sizeof(search));
    assert_int_equal(partition_find(&search, &memory.disk, number), 0);
    assert_int_equal(search.first, first * (block / 512));
    assert_int_equal(search.sectors, count * (block / 512));
}

static void not_found(unsigned number, int error, const char *why) {
    assert_int_equal(partition_find(&search, &memory.disk, number), error);
    assert_string_equal(search.why, why);
}

/* ---- GPT */

static void make_gpt(uint32_t count, uint32_t entry_size) {
    const uint64_t size = ((uint64_t)count * entry_size + block - 1) / block;
    build_mbr(at(0), 0, 0xee, 1, UINT32_MAX);
    build_gpt_entry(at(2), 40, 99);
    build_gpt_entry(at(2) + 2 * entry_size, 100, 100);
    build_gpt_entry(at(2) + (count - 1) * entry_size, BLOCKS - 100, BLOCKS - 34);
    memcpy(at(BLOCKS - 1 - size), at(2), size * block);
    build_gpt(at(1), 1, BLOCKS - 1, BLOCKS, 2, at(2), count, entry_size);
    build_gpt(at(BLOCKS - 1), BLOCKS - 1, 1, BLOCKS, BLOCKS - 1 - size, at(2), count, entry_size);
}

static void test_gpt(void **state) {
    (void)state;
    make_gpt(128, 128);
    found(1, 40, 60);
    found(3, 100, 1);
    found(128, BLOCKS - 100, 67);
    not_found(2, -ENOENT, "the disk has no such partition");
    not_found(0, -ENOENT, "there is no partition of this number");
    not_found(129, -ENOENT, "there is no partition of this number");
    memset(at(1), 0, 34 * 512);
    make_gpt(5, 512);
    found(3, 100, 1);
    found(5, BLOCKS - 100, 67);
    not_found(6, -ENOENT, "the disk has no such partition");
    make_gpt(4, 4096); /* entries larger than a block */
    found(3, 100, 1);
    found(4, BLOCKS - 100, 67);
}

static void test_gpt_4k(void **state) {
    (void)state;
    block = 4096;
    assert_int_equal(disk_memory_init(&memory, image, sizeof(image), true), 0);
    memory.disk.block = 4096;
    make_gpt(128, 128);
    found(1, 40, 60);
    found(128, BLOCKS - 100, 67);
    make_gpt(5, 256);
    found(3, 100, 1);
}

static void test_gpt_backup(void **state) {
    (void)state;
    make_gpt(128, 128);
    at(1)[60] ^= 1;
    found(3, 100, 1);
    make_gpt(128, 128);
    at(30)[60] ^= 1; /* the table's checksum */
    found(3, 100, 1);
    at(BLOCKS - 2)[60] ^= 1;
    not_found(3, -EINVAL, "the disk's GPT has a wrong checksum");
    make_gpt(128, 128);
    at(1)[0] = 0;
    at(BLOCKS - 1)[0] = 0;
    not_found(3, -EINVAL, "the disk's GPT header is damaged");
    /* The backup is not at the end, but where the primary header says: the disk has grown. */
    make_gpt(128, 128);
    memcpy(at(BLOCKS - 60), at(2), 32 * 512);
    build_gpt(at(BLOCKS - 20), BLOCKS - 20, 1, BLOCKS, BLOCKS - 60, at(2), 128, 128);
    build_gpt(at(1), 1, BLOCKS - 20, BLOCKS, 2, at(2), 128, 128);
    bytes_put64(at(BLOCKS - 20) + 48, BLOCKS - 61); /* the last block that it says may be used */
    bytes_put64(at(1) + 48, BLOCKS - 61);
    build_gpt_sum(at(BLOCKS - 20), 92);
    build_gpt_sum(at(1), 92);
    memset(at(BLOCKS - 1), 0, 512);
    at(2)[0] ^= 1;
    found(3, 100, 1);
    /* A primary one that is sound decides, even if what it says cannot be. */
    make_gpt(128, 128);
    build_gpt_entry(at(2), 10, 20);
    build_gpt(at(1), 1, BLOCKS - 1, BLOCKS, 2, at(2), 128, 128);
    not_found(1, -EINVAL, "it does not lie where the disk's GPT allows");
}

/* One field of a header with a right checksum is changed; the backup is gone. */
static void change(unsigned offset, unsigned size, uint64_t value) {
    uint8_t number[8];
    make_gpt(128, 128);
    bytes_put64(number, value);
    memcpy(at(1) + offset, number, size);
    const uint32_t length = bytes_get32(at(1) + 12);
    build_gpt_sum(at(1), length <= 512 ? length : 92);
    memset(at(BLOCKS - 1), 0, 512);
    assert_true(partition_find(&search, &memory.disk, 1) == -EINVAL);
    assert_true(search.why[0] != '\0' && search.sectors == 0);
}

static void test_gpt_wrong(void **state) {
    (void)state;
    change(8, 4, 0xffff);
    change(12, 4, 91);
    change(12, 4, 513);
    change(12, 4, UINT32_MAX);
    change(24, 8, 2);
    change(40, 8, BLOCKS);
    change(48, 8, BLOCKS);
    change(48, 8, UINT64_MAX);
    change(48, 8, 33);
    change(72, 8, BLOCKS);
    change(72, 8, BLOCKS - 31); /* runs over the end */
    change(72, 8, UINT64_MAX);
    change(72, 8, UINT64_MAX - 10);
    change(80, 4, 0);
    change(80, 4, UINT32_MAX);
    change(80, 4, 0x2001);
    change(40, 8, 1);          /* partitions over the header, ... */
    change(40, 8, 2);          /* ... the table, ... */
    change(40, 8, 33);         /* ... its last block, ... */
    change(48, 8, BLOCKS - 1); /* ... the backup header */
    change(72, 8, 34);
    change(72, 8, BLOCKS - 34);
    change(84, 4, 0);
    change(84, 4, 64);
    change(84, 4, 130);
    change(84, 4, 0x80000000);
    change(88, 4, 0);
    static const uint64_t wrong[][2] = {
        {50, 49},         {33, 40}, {40, BLOCKS - 33}, {40, UINT64_MAX},
        {UINT64_MAX, 40}, {0, 0},   {BLOCKS, BLOCKS},  {1ull << 55, 1ull << 56}};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        build_gpt_entry(at(2), wrong[i][0], wrong[i][1]);
        build_gpt(at(1), 1, BLOCKS - 1, BLOCKS, 2, at(2), 128, 128);
        not_found(1, -EINVAL, "it does not lie where the disk's GPT allows");
    }
}

/* ---- MBR */

/* Whoever has a partition that the table lies in could choose where the others are. */
static void test_table_inside(void **state) {
    (void)state;
    build_mbr(at(0), 0, 0x17, 0, 500); /* an image that starts from CD or stick */
    build_mbr(at(0), 1, 0xef, 100, 50);
    not_found(1, -EINVAL, "the disk's partition table lies in it");
    found(2, 100, 50);
    build_mbr(at(0), 0, 0x0f, 200, 500);
    build_mbr(at(200), 0, 0x83, 0, 50);
    not_found(5, -EINVAL, "the disk's partition table lies in it");
}

static void test_mbr(void **state) {
    (void)state;
    not_found(1, -ENOENT, "the disk has no partition table");
    build_mbr(at(0), 0, 0x83, 10, 20);
    build_mbr(at(0), 1, 0x83, 30, 0);
    build_mbr(at(0), 3, 0x82, 50, BLOCKS - 50);
    found(1, 10, 20);
    found(4, 50, BLOCKS - 50);
    not_found(2, -ENOENT, "the disk has no such partition");
    not_found(3, -ENOENT, "the disk has no such partition");
    not_found(5, -ENOENT, "the disk has no such partition");
    build_mbr(at(0), 2, 0x83, 50, BLOCKS - 49);
    not_found(3, -EINVAL, "it does not lie on the disk");
    build_mbr(at(0), 2, 0x83, UINT32_MAX, UINT32_MAX);
    not_found(3, -EINVAL, "it does not lie on the disk");
    image[446] = 0x80; /* active */
    found(1, 10, 20);
    image[446] = 0x12; /* boot code of a file system */
    not_found(1, -ENOENT, "the disk has no partition table");
}

static void test_logical(void **state) {
    (void)state;
    build_mbr(at(0), 0, 0x83, 10, 20);
    build_mbr(at(0), 1, 0x0f, 100, 500);
    build_mbr(at(100), 0, 0x83, 2, 50);
    build_mbr(at(100), 1, 0x05, 60, 40);
    build_mbr(at(160), 0, 0x83, 1, 439);
    build_mbr(at(160), 1, 0x85, 300, 40);
    build_mbr(at(400), 0, 0x83, 1, 199);
    found(5, 102, 50);
    found(6, 161, 439);
    found(7, 401, 199);
    not_found(2, -EINVAL, "it is the extended partition that holds those from 5 on");
    not_found(8, -ENOENT, "the disk has no such partition");
    build_mbr(at(400), 0, 0x83, 1, 200);
    not_found(7, -EINVAL, "it does not lie in the extended partition");
    build_mbr(at(400), 0, 0x83, 201, 1);
    not_found(7, -EINVAL, "it does not lie in the extended partition");
    build_mbr(at(400), 0, 0x83, 1, UINT32_MAX);
    not_found(7, -EINVAL, "it does not lie in the extended partition");
    build_mbr(at(400), 0, 0, 1, 199);
    not_found(7, -ENOENT, "the disk has no such partition");
    build_mbr(at(160), 1, 0x05, 500, 40);
    not_found(7, -EINVAL, "the chain of logical partitions leaves the extended one");
    build_mbr(at(160), 1, 0x05, 499, 40);
    not_found(7, -EINVAL, "the table of a logical partition is damaged");
    build_mbr(at(160), 1, 0x05, 60, 40); /* its own successor: ends all the same */
    found(128, 161, 439);
    /* An extended partition that is larger than the disk. */
    build_mbr(at(0), 1, 0x05, 100, UINT32_MAX);
    build_mbr(at(160), 1, 0x05, BLOCKS, 1);
    not_found(7, -EINVAL, "the partition table points beyond the disk's end");
    build_mbr(at(160), 0, 0x83, 1, BLOCKS);
    not_found(6, -EINVAL, "it does not lie on the disk");
}

/* ---- disks that take their time */

static struct disk_request *held;
static unsigned polls_left;
static unsigned polls_each = 5;
static unsigned requests, polls;
static int fail;

static void slow_submit(struct disk *disk, struct disk_request *request) {
    (void)disk;
    held = request;
    polls_left = polls_each;
    requests++;
}
static void slow_poll(struct disk *disk) {
    (void)disk;
    polls++;
    if (!held || --polls_left)
        return;
    struct disk_request *request = held;
    held = NULL;
    if (fail)
        request->done(request, fail);
    else
        disk_submit(&memory.disk, request);
}

static void test_slow(void **state) {
    struct disk_operations operations = {.submit = slow_submit, .poll = slow_poll};
    struct disk disk = memory.disk;
    (void)state;
    disk.operations = &operations;
    make_gpt(128, 128);
    assert_int_equal(partition_find(&search, &disk, 3), 0);
    assert_int_equal(search.first, 100);
    fail = -ENXIO;
    assert_int_equal(partition_find(&search, &disk, 3), -EIO);
    fail = 0;
    operations.poll = NULL; /* nothing to wait with */
    assert_int_equal(partition_find(&search, &disk, 3), -ETIMEDOUT);
    assert_string_equal(search.why, "the disk does not answer");
}

/* What lies on the disk does not say how long its owner waits: the table is read in large pieces, and all
 * answers together have a limit. */
static void test_bound(void **state) {
    const struct disk_operations operations = {.submit = slow_submit, .poll = slow_poll};
    struct disk disk = memory.disk;
    (void)state;
    disk.operations = &operations;
    make_gpt(128, 128);
    requests = 0;
    assert_int_equal(partition_find(&search, &disk, 3), 0);
    assert_int_equal(requests, 3); /* boot record, header, table */
    /* The largest table there is, with a wrong checksum, of the primary GPT and of the backup. */
    uint8_t *large = calloc(8192, 512);
    struct disk_memory bigger;
    assert_non_null(large);
    assert_int_equal(disk_memory_init(&bigger, large, 8192 * 512, true), 0);
    build_mbr(large, 0, 0xee, 1, UINT32_MAX);
    build_gpt(large + 512, 1, 8191, 8192, 2, large + 1024, 8192, 128);
    build_gpt(large + 8191 * 512, 8191, 1, 8192, 3000, large + 3000 * 512, 8192, 128);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *head = large + (i ? 8191 : 1) * 512;
        bytes_put64(head + 40, 2050);
        bytes_put64(head + 48, 2999);
        bytes_put32(head + 88, 0);
        build_gpt_sum(head, 92);
    }
    disk = bigger.disk;
    disk.operations = &operations;
    held = NULL;
    memory = bigger;
    requests = 0;
    assert_int_equal(partition_find(&search, &disk, 3), -EINVAL);
    assert_true(requests < 200);
    /* Each answer comes in time, but there are too many that take long. */
    polls_each = 9000000;
    polls = 0;
    assert_int_equal(partition_find(&search, &disk, 3), -ETIMEDOUT);
    assert_string_equal(search.why, "the disk answers too slowly");
    assert_true(polls <= 40000000);
    polls_each = 5;
    free(large);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_gpt, set_up),          cmocka_unit_test_setup(test_gpt_4k, set_up),
        cmocka_unit_test_setup(test_gpt_backup, set_up),   cmocka_unit_test_setup(test_gpt_wrong, set_up),
        cmocka_unit_test_setup(test_mbr, set_up),          cmocka_unit_test_setup(test_logical, set_up),
        cmocka_unit_test_setup(test_table_inside, set_up), cmocka_unit_test_setup(test_slow, set_up),
        cmocka_unit_test_setup(test_bound, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
