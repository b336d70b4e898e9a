// SPDX-License-Identifier: Apache-2.0
// ATA commands through an AHCI port: IDENTIFY DEVICE, reads and writes of each kind and size, settings, TRIM.
// unit-sources: virtio/ahci.c virtio/ahci_command.c virtio/ata.c virtio/disk.c virtio/disk_memory.c virtio/memory.c
#include "tests/unit/ahci_fixture.h"

static void test_identify(void **state) {
    uint8_t sum = 0;

    (void)state;
    start(0);
    issue(0, 0, 0xec, 0, 0, DATA + 2, 512);
    assert_int_equal(port_get(0, CI), 0);
    /* PIO to the host: its FIS has the end's status, and no other one follows. */
    assert_int_equal(interrupt(0), PSS);
    assert_int_equal(port_get(0, TFD), 0x50);
    assert_int_equal(*at(RECEIVED(0) + 0x20), 0x5f);
    assert_int_equal(*at(RECEIVED(0) + 0x21), 0x60);
    assert_int_equal(*at(RECEIVED(0) + 0x20 + 15), 0x50);
    assert_int_equal(bytes_get16(at(RECEIVED(0) + 0x20 + 16)), 512);
    assert_int_equal(moved(0, 0), 512);
    assert_true(all_dirty(DATA + 2, 512) && all_dirty(LIST(0) + 4, 4));
    assert_int_equal(dirty[DATA + 1 - RAM], 0);
    const uint8_t *data = at(DATA + 2);
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + data[i]);
    assert_int_equal(sum, 0);
    assert_memory_equal(data + 20, "esirla0-21436587-9na", 20);
    assert_int_equal(bytes_get32(data + 120), SECTORS);
    assert_true(bytes_get64(data + 200) == SECTORS);
    assert_int_equal(bytes_get16(data + 2 * 169), 1);
    /* The read-only one has no TRIM; a short serial number. */
    start(2);
    issue(2, 31, 0xec, 0, 0, DATA, 512);
    assert_int_equal(interrupt(2), PSS);
    data = at(DATA);
    assert_memory_equal(data + 20, "erdao-ln y          ", 20);
    assert_int_equal(bytes_get16(data + 2 * 169), 0);
    assert_int_equal(port_get(2, CMD) >> 8 & 31, 31);
}

static void test_read_write(void **state) {
    static const struct {
        uint8_t read, write;
        uint32_t bits;
    } rows[] = {{0x25, 0x35, DHRS}, {0xc8, 0xca, DHRS}, {0x24, 0x34, PSS}, {0x20, 0x30, PSS},
                {0x29, 0x39, PSS},  {0xc4, 0xc5, PSS},  {0x25, 0x3d, DHRS}};

    (void)state;
    start(0);
    succeeds(0, 0xc6, 0, 8);
    for (unsigned i = 0; i < array_count(rows); i++) {
        uint64_t sector = 100 + 10 * i;
        memset(at(DATA), 0, 4096);
        issue(0, i, rows[i].read, sector, 3, DATA, 1536);
        assert_int_equal(port_get(0, CI), 0);
        assert_int_equal(interrupt(0), rows[i].bits);
        assert_memory_equal(at(DATA), image[0] + sector * 512, 1536);
        assert_int_equal(*at(DATA + 1536), 0);
        assert_int_equal(moved(0, i), 1536);
        memset(at(DATA), 0x11 * (int)(i + 1), 4096);
        issue(0, i, rows[i].write, sector, 2, DATA, 1024);
        assert_int_equal(interrupt(0) & ~PSS, DHRS);
        assert_int_equal(port_get(0, TFD), 0x50);
        assert_memory_equal(at(DATA), image[0] + sector * 512, 1024);
        assert_int_equal(image[0][(sector + 2) * 512], (uint8_t)((sector + 2) * 7));
    }
    assert_int_equal(slow.flushes, 1); /* FUA's */
    assert_true(all_dirty(DATA, 1536));
    assert_int_equal(lines, 0);
    /* Addresses of 28 bits have four of them in the device register. */
    issue(0, 0, 0xc8, 0, 1, DATA, 512);
    at(TABLE(0, 0))[7] = 0x41;
    port_put(0, CI, 1);
    assert_int_equal(port_get(0, TFD), 0x1051);
}

/* 65536 sectors are meant by 0; the disk has less. 256 by 0 with 28 bits. */
static void test_large(void **state) {
    (void)state;
    start(0);
    for (unsigned i = 0; i < 32; i++)
        entry(0, 0, i, RAM_1 - 0x20000 + i * 0x1000, 0x1000);
    fis(0, 0, 0xc8, 5, 0, 0);
    header(0, 0, 0, 32);
    port_put(0, CI, 1);
    assert_int_equal(interrupt(0), DHRS);
    assert_memory_equal(at(RAM_1 - 0x20000), image[0] + 5 * 512, 0x20000);
    assert_int_equal(moved(0, 0), 0x20000);
    /* One piece of 4 MiB is the longest; here it crosses what lies together. */
    memset(at(RAM_1), 0, 0x1000);
    issue(0, 1, 0x25, 2000, 1000, RAM_1 - 1024, 0x400000);
    assert_int_equal(interrupt(0), DHRS);
    assert_memory_equal(at(RAM_1 - 1024), image[0] + 2000 * 512, 1024);
    assert_memory_equal(at(RAM_1), image[0] + 2002 * 512, 998 * 512);
    assert_true(all_dirty(RAM_1 - 1024, 1000 * 512));
    /* Pieces that split sectors, and many more than one request has. */
    for (unsigned i = 0; i < 48; i++)
        entry(0, 2, i, DATA + i * 32, 22);
    entry(0, 2, 48, DATA + 0x2000, 512 * 3 - 48 * 22);
    fis(0, 2, 0x25, 7, 3, 0);
    header(0, 2, 0, 49);
    port_put(0, CI, 4);
    assert_int_equal(interrupt(0), DHRS);
    for (unsigned i = 0; i < 48; i++)
        assert_memory_equal(at(DATA + i * 32), image[0] + 7 * 512 + i * 22, 22);
    assert_memory_equal(at(DATA + 0x2000), image[0] + 7 * 512 + 48 * 22, 480);
    assert_int_equal(refused(0, 0x25, 0, 0), ATA_ERROR_NOT_FOUND);
    assert_int_equal(refused(0, 0x25, SECTORS - 1, 2), ATA_ERROR_NOT_FOUND);
    assert_int_equal(refused(0, 0x25, 0xffffffffffff, 1), ATA_ERROR_NOT_FOUND);
}

/* More entries than a request has segments. */
static void test_many_entries(void **state) {
    (void)state;
    start(0);
    bytes_put64(at(LIST(0) + 8), DATA);
    bytes_put32(at(LIST(0)), 5 | 600u << 16);
    memcpy(at(DATA), fis(0, 1, 0x35, 3, 600, 0), 20);
    for (unsigned i = 0; i < 600; i++) {
        bytes_put64(at(DATA + 0x80 + 16 * i), RAM_1 + 1024 * ((i * 7) % 600));
        bytes_put32(at(DATA + 0x80 + 16 * i) + 12, 511 | (i == 599 ? 0x80000000 : 0));
        memset(at(RAM_1 + 1024 * ((i * 7) % 600)), (int)i, 512);
    }
    port_put(0, CI, 1);
    assert_int_equal(interrupt(0), DHRS | DPS);
    assert_int_equal(moved(0, 0), 600 * 512);
    for (unsigned i = 0; i < 600; i++) {
        assert_int_equal(image[0][(3 + i) * 512], (uint8_t)i);
        assert_int_equal(image[0][(3 + i) * 512 + 511], (uint8_t)i);
    }
    assert_true(slow.writes >= 3);
}

static void test_settings(void **state) {
    (void)state;
    start(0);
    /* The write cache: once it is off, each write is followed by a flush. */
    fis(0, 0, 0xef, 0, 0, 0x82);
    header(0, 0, 0, 0);
    port_put(0, CI, 1);
    assert_int_equal(interrupt(0), DHRS);
    assert_int_equal(slow.flushes, 1);
    issue(0, 1, 0x35, 5, 1, DATA, 512);
    assert_int_equal(interrupt(0), DHRS);
    assert_int_equal(slow.flushes, 2);
    issue(0, 1, 0xec, 0, 0, DATA, 512);
    (void)interrupt(0);
    assert_int_equal(bytes_get16(at(DATA + 2 * 85)), 0x0008);
    /* It outlives resets of the link and of the controller, but not a start of the VM. */
    put(GHC, 0x80000001);
    start(0);
    assert_int_equal(record.port[0].ata.write_through, 1);
    at(TABLE(0, 0))[3] = 0x02;
    fis(0, 0, 0xef, 0, 0, 2);
    header(0, 0, 0, 0);
    port_put(0, CI, 1);
    assert_int_equal(interrupt(0), DHRS);
    assert_int_equal(record.port[0].ata.write_through, 0);
    /* Transfer modes. */
    static const uint8_t good[] = {0, 1, 8, 12, 0x20, 0x22, 0x40, 0x46}, bad[] = {2, 13, 0x23, 0x47, 0x80};
    for (unsigned i = 0; i < array_count(good); i++) {
        fis(0, 2, 0xef, 0, good[i], 3);
        header(0, 2, 0, 0);
        port_put(0, CI, 4);
        assert_int_equal(interrupt(0), DHRS);
    }
    assert_int_equal(record.port[0].ata.transfer_mode, 0x46);
    for (unsigned i = 0; i < array_count(bad); i++) {
        fis(0, 2, 0xef, 0, bad[i], 3);
        port_put(0, CI, 4);
        assert_int_equal(interrupt(0), DHRS | TFES);
        restart_engine(0);
    }
    assert_int_equal(refused(0, 0xef, 0, 0), ATA_ERROR_ABORTED);
    assert_int_equal(refused(0, 0xc6, 0, 3), ATA_ERROR_ABORTED);
    assert_int_equal(refused(0, 0xc6, 0, 32), ATA_ERROR_ABORTED);
    assert_int_equal(refused(0, 0xc4, 0, 1), ATA_ERROR_ABORTED);
    /* Power: what is kept in the disk's cache is safe before it sleeps. */
    unsigned flushes = slow.flushes;
    succeeds(0, 0xe5, 0, 0);
    assert_int_equal(*at(RECEIVED(0) + 0x40 + 12), 0xff);
    succeeds(0, 0xe0, 0, 0);
    assert_int_equal(slow.flushes, flushes + 1);
    succeeds(0, 0xe5, 0, 0);
    assert_int_equal(*at(RECEIVED(0) + 0x40 + 12), 0);
    succeeds(0, 0x42, SECTORS - 100, 100);
    succeeds(0, 0xe5, 0, 0);
    assert_int_equal(*at(RECEIVED(0) + 0x40 + 12), 0xff);
    succeeds(0, 0xe6, 0, 0);
    succeeds(0, 0xe1, 0, 0);
    succeeds(0, 0xe5, 0, 0);
    assert_int_equal(*at(RECEIVED(0) + 0x40 + 12), 0xff);
    succeeds(0, 0xea, 0, 0);
    /* EXECUTE DEVICE DIAGNOSTIC. */
    issue(0, 0, 0x90, 0, 0, 0, 0);
    assert_int_equal(interrupt(0), DHRS);
    assert_int_equal(port_get(0, TFD), 0x150);
    static const uint8_t unknown[] = {0x00, 0x2f, 0x60, 0x61, 0xa0, 0xa1, 0xb0, 0xf5, 0xf8, 0xff};
    for (unsigned i = 0; i < array_count(unknown); i++)
        assert_int_equal(refused(0, unknown[i], 0, 1), ATA_ERROR_ABORTED);
    assert_int_equal(lines, 0);
}

static void put_range(unsigned index, uint64_t lba, uint16_t count) {
    bytes_put64(at(DATA + 8 * index), lba | (uint64_t)count << 48);
}

static uint32_t trim(unsigned port, uint32_t blocks) {
    fis(port, 0, 0x06, 0, blocks, 1);
    header(port, 0, 0, 1);
    entry(port, 0, 0, DATA, 0x1000);
    port_put(port, CI, 1);
    return interrupt(port);
}

static void test_trim(void **state) {
    (void)state;
    start(0);
    put_range(1, 10, 20);
    put_range(63, 4000, 5000);
    assert_int_equal(trim(0, 1), DHRS);
    assert_int_equal(slow.discards, 2);
    assert_true(slow.last_sector == 4000 && slow.last_count == 5000);
    assert_int_equal(moved(0, 0), 512);
    assert_int_equal(trim(0, 8), DHRS);
    assert_int_equal(slow.discards, 4);
    /* None is done if one is wrong. */
    put_range(64, 8999, 2);
    assert_int_equal(trim(0, 2), DHRS | TFES);
    assert_int_equal(port_get(0, TFD), 0x1051);
    assert_int_equal(slow.discards, 4);
    restart_engine(0);
    assert_int_equal(trim(0, 0), DHRS | TFES);
    restart_engine(0);
    assert_int_equal(trim(0, 9), DHRS | TFES);
    restart_engine(0);
    assert_int_equal(refused(0, 0x06, 0, 1), ATA_ERROR_ABORTED); /* not TRIM */
    start(2);
    assert_int_equal(trim(2, 1), DHRS | TFES);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_identify),     TEST(test_read_write), TEST(test_large),
        TEST(test_many_entries), TEST(test_settings),   TEST(test_trim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
