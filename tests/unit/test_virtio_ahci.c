// SPDX-License-Identifier: Apache-2.0
// The AHCI controller: registers, resets, errors, hostile lists, a slow disk, interrupts, and the record over
// a restart of the program. Commands are in test_virtio_ata.c.
// unit-sources: virtio/ahci.c virtio/ahci_command.c virtio/ata.c virtio/disk.c virtio/disk_memory.c virtio/memory.c
#include "tests/unit/ahci_fixture.h"
#include "tests/unit/any_moment.h"

/* ---- registers and resets */

static void test_description(void **state) {
    struct service_device device;

    (void)state;
    ahci_describe(&ahci, &device);
    assert_int_equal(bytes_get32(device.config), 0x29228086);
    assert_int_equal(bytes_get32(device.config + 8) >> 8, 0x010601);
    assert_int_equal(device.config[0x3d], 1);
    assert_int_equal(bytes_get16(device.config + 0x92), 0x0507);
    assert_int_equal(device.bar_size[5], 4096);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(device.bar_size[i], 0);
    assert_int_equal(device.region[0].kind, SERVICE_REGION_REQUEST);
    assert_int_equal(device.region[0].bar, 5);
    assert_int_equal(device.region[0].offset, 0);
    assert_int_equal(device.region[0].size, 0x280);
    assert_int_equal(device.region[1].kind, SERVICE_REGION_NONE);
    assert_int_equal(device.msix, 0);
}

static void test_registers(void **state) {
    (void)state;
    assert_int_equal(get(CAP), 0x81249f02);
    assert_int_equal(get(PI), 7);
    assert_int_equal(get(VS), 0x00010301);
    assert_int_equal(get(GHC), 0x80000000);
    /* Nothing is there behind the ports, in other BARs, and in what this controller does not have. */
    assert_int_equal(get(0x280), 0);
    assert_int_equal(get(0xffc), 0);
    assert_int_equal(ahci_read(&ahci, 0, CAP, 4), 0);
    ahci_write(&ahci, 0, GHC, 4, 2);
    put(0x280 + CMD, ST);
    put(CAP, 0);
    put(PI, 0);
    port_put(0, SACT, 1);
    assert_int_equal(port_get(0, SACT), 0);
    assert_int_equal(get(GHC), 0x80000000);
    /* Any size of access, and across registers. */
    assert_int_equal(ahci_read(&ahci, AHCI_BAR, VS + 2, 1), 1);
    assert_int_equal(ahci_read(&ahci, AHCI_BAR, VS, 2), 0x0301);
    assert_true(ahci_read(&ahci, AHCI_BAR, PI, 8) == 0x0001030100000007ull);
    assert_true(ahci_read(&ahci, AHCI_BAR, 0xffffffff, 8) == ahci_read(&ahci, AHCI_BAR, 0xffffffff, 8));
    ahci_write(&ahci, AHCI_BAR, 0x100, 8, 0x11223344556677ffull);
    assert_true(ahci_read(&ahci, AHCI_BAR, 0x100, 8) == 0x1122334455667400ull);
    ahci_write(&ahci, AHCI_BAR, 0x107, 1, 0xaa);
    assert_int_equal(port_get(0, CLBU), 0xaa223344);
    ahci_write(&ahci, AHCI_BAR, 0x106, 4, 0xbbccddee); /* the upper two bytes go to PxFB */
    assert_int_equal(port_get(0, CLBU), 0xddee3344);
    assert_int_equal(port_get(0, FB), 0xbb00);
    port_put(0, FB, 0xffffffff);
    assert_int_equal(port_get(0, FB), 0xffffff00);
    /* Bits that a one clears: a byte beside them does not. */
    port_put(0, IE, 0xffffffff);
    assert_int_equal(port_get(0, IE), 0xfdc000ff);
    assert_int_equal(port_get(0, SERR), 0x04000000);
    ahci_write(&ahci, AHCI_BAR, 0x100 + SERR, 1, 0xff);
    assert_int_equal(port_get(0, SERR), 0x04000000);
    ahci_write(&ahci, AHCI_BAR, 0x100 + SERR + 3, 1, 0x04);
    assert_int_equal(port_get(0, SERR), 0);
}

static void test_hot_reset(void **state) {
    (void)state;
    /* Before the guest takes FISes nothing is known of the disk; with them it tells what it is. */
    assert_int_equal(port_get(0, TFD), 0x7f);
    assert_int_equal(port_get(0, SIG), 0xffffffff);
    assert_int_equal(port_get(0, SSTS), 0x123);
    assert_int_equal(port_get(0, P_IS), PCS);
    port_put(0, FB, RECEIVED(0));
    port_put(0, CMD, FRE);
    assert_int_equal(port_get(0, TFD), 0x150);
    assert_int_equal(port_get(0, SIG), 0x101);
    assert_int_equal(*at(RECEIVED(0) + 0x40), 0x34);
    assert_true(all_dirty(RECEIVED(0) + 0x40, 20));
    /* PCS is PxSERR's mirror. */
    port_put(0, P_IS, 0xffffffff);
    assert_int_equal(port_get(0, P_IS), PCS);
    port_put(0, SERR, 0xffffffff);
    assert_int_equal(port_get(0, P_IS), 0);
    /* COMRESET, as sata_link_hardreset() does it. */
    *at(RECEIVED(0) + 0x40) = 0;
    port_put(0, SCTL, 0x301);
    assert_int_equal(port_get(0, SCTL), 0x301);
    assert_int_equal(port_get(0, SSTS), 0);
    assert_int_equal(port_get(0, TFD), 0x7f);
    assert_int_equal(port_get(0, SIG), 0xffffffff);
    port_put(0, SCTL, 0x300);
    assert_int_equal(port_get(0, SSTS), 0x123);
    assert_int_equal(port_get(0, SERR), 0x04000000);
    assert_int_equal(port_get(0, TFD), 0x150);
    assert_int_equal(port_get(0, SIG), 0x101);
    assert_int_equal(*at(RECEIVED(0) + 0x40), 0x34);
    /* A limit of the speed; offline. */
    port_put(0, SCTL, 0x310);
    assert_int_equal(port_get(0, SSTS), 0x113);
    port_put(0, SCTL, 0x304);
    assert_int_equal(port_get(0, SSTS), 4);
    /* A port without a disk. */
    port_put(1, FB, RECEIVED(1));
    port_put(1, CMD, FRE);
    port_put(1, SCTL, 0x301);
    port_put(1, SCTL, 0x300);
    assert_int_equal(port_get(1, SSTS), 0);
    assert_int_equal(port_get(1, SERR), 0);
    assert_int_equal(port_get(1, TFD), 0x7f);
    assert_int_equal(port_get(1, SIG), 0xffffffff);
    port_put(1, CLB, LIST(1));
    port_put(1, CMD, FRE | ST);
    issue(1, 0, 0xec, 0, 0, DATA, 512);
    assert_int_equal(port_get(1, CI), 1);
    /* The controller's reset: addresses stay, all else goes. */
    put(GHC, 0x80000003);
    assert_int_equal(get(GHC), 0x80000000);
    assert_int_equal(port_get(1, CI), 0);
    assert_int_equal(port_get(1, CMD), 6);
    assert_int_equal(port_get(1, CLB), LIST(1));
    assert_int_equal(port_get(0, FB), RECEIVED(0));
    assert_int_equal(port_get(0, SCTL), 0);
    assert_int_equal(port_get(0, SSTS), 0x123);
    assert_int_equal(port_get(0, TFD), 0x7f);
}

/* As ahci_do_softreset(). */
static void test_soft_reset(void **state) {
    (void)state;
    start(0);
    uint8_t *of = fis(0, 0, 0, 0, 0, 0);
    of[1] = 0;
    of[15] = 0x0c;
    header(0, 0, RESET_FLAG | CLEAR_BUSY, 0);
    port_put(0, CI, 1);
    assert_int_equal(port_get(0, CI), 0);
    /* A command in between is none that the disk takes. */
    assert_int_equal(refused(0, 0xec, 0, 0), ATA_ERROR_ABORTED);
    of = fis(0, 0, 0, 0, 0, 0);
    of[1] = 0;
    of[15] = 0x08;
    memset(at(RECEIVED(0) + 0x40), 0, 20);
    header(0, 0, 0, 0);
    port_put(0, CI, 1);
    assert_int_equal(port_get(0, CI), 0);
    assert_int_equal(port_get(0, TFD), 0x150);
    assert_int_equal(port_get(0, SIG), 0x101);
    assert_int_equal(*at(RECEIVED(0) + 0x40), 0x34);
    succeeds(0, 0xe7, 0, 0);
    /* The control register written without a reset does nothing. */
    of = fis(0, 0, 0, 0, 0, 0);
    of[1] = 0;
    port_put(0, CI, 1);
    assert_int_equal(port_get(0, CI), 0);
    assert_int_equal(port_get(0, TFD), 0x50);
    /* Without the flag that clears BSY the disk stays busy until the guest clears it. */
    of[15] = 0x04;
    port_put(0, CI, 1);
    assert_int_equal(port_get(0, TFD), 0x80);
    of[15] = 0;
    port_put(0, CI, 1);
    assert_int_equal(port_get(0, CI), 1);
    restart_engine(0);
    port_put(0, CI, 1);
    assert_int_equal(port_get(0, TFD), 0x150);
}

/* ---- errors */

static void test_read_only(void **state) {
    (void)state;
    start(2);
    assert_int_equal(refused(2, 0x35, 0, 1), ATA_ERROR_ABORTED);
    assert_int_equal(refused(2, 0xca, 0, 1), ATA_ERROR_ABORTED);
    issue(2, 0, 0x25, 17, 2, DATA, 1024);
    assert_int_equal(interrupt(2), DHRS);
    assert_memory_equal(at(DATA), image[1] + 17 * 512, 1024);
}

static void test_disk_errors(void **state) {
    (void)state;
    start(0);
    slow.fail = -EIO;
    assert_int_equal(refused(0, 0x25, 77, 1), ATA_ERROR_UNREADABLE);
    assert_string_equal(logged, "disk0: I/O error -5, command 0x25, sectors from 77 on (1 so far)");
    assert_int_equal(refused(0, 0x40, 77, 1), ATA_ERROR_UNREADABLE);
    assert_int_equal(refused(0, 0x35, 77, 1), ATA_ERROR_ABORTED);
    assert_int_equal(lines, 2);
    assert_int_equal(refused(0, 0xe7, 0, 0), ATA_ERROR_ABORTED);
    assert_int_equal(lines, 3);
    /* What was issued behind it is not begun before the guest has looked. */
    slow.fail = 0;
    fis(0, 4, 0xff, 0, 0, 0);
    header(0, 4, 0, 0);
    fis(0, 5, 0xe7, 0, 0, 0);
    header(0, 5, 0, 0);
    unsigned flushes = slow.flushes;
    port_put(0, CI, 0x30);
    assert_int_equal(port_get(0, CI), 0x30);
    assert_int_equal(port_get(0, CMD) >> 8 & 31, 4);
    assert_int_equal(slow.flushes, flushes);
    assert_int_equal(interrupt(0), DHRS | TFES);
    port_put(0, CI, 0x40);
    assert_int_equal(port_get(0, CI), 0x70);
    restart_engine(0);
    succeeds(0, 0xe7, 0, 0);
    const struct disk_counters *counters = &ahci.port[0].counters;
    assert_true(counters->errors == 4 && counters->others == 1);
    assert_true(counters->reads == 0 && counters->writes == 0);
    succeeds(0, 0x35, 77, 8);
    succeeds(0, 0x25, 77, 8);
    assert_true(counters->reads == 1 && counters->read_bytes == 4096);
    assert_true(counters->writes == 1 && counters->written_bytes == 4096);
    assert_true(counters->errors == 4 && counters->others == 1);
    succeeds(0, 0xec, 0, 0); /* IDENTIFY DEVICE asks nothing of the disk */
    assert_true(counters->reads == 1 && counters->others == 1);
}

/* What Linux's handler expects of a port that met with a bad address: it freezes and resets it. */
static void expect_fault(uint32_t bits) {
    assert_int_equal(port_get(0, CI), 1);
    uint32_t status = interrupt(0);
    if ((status & bits) != bits)
        fail_msg("PxIS 0x%x, not 0x%x", status, bits);
    restart_engine(0);
    succeeds(0, 0xe7, 0, 0);
}

static void test_hostile(void **state) {
    (void)state;
    start(0);
    /* The table or the PRDT's data are nowhere. */
    static const uint64_t nowhere[] = {0, RAM - 128, RAM_END, 0x8000000000000000, ~0ull << 7};
    for (unsigned i = 0; i < array_count(nowhere); i++) {
        fis(0, 0, 0x25, 0, 1, 0);
        header(0, 0, 0, 1);
        bytes_put64(at(LIST(0) + 8), nowhere[i]);
        port_put(0, CI, 1);
        expect_fault(HBFS);
        issue(0, 0, 0x25, 0, 1, nowhere[i], 512);
        expect_fault(HBFS | TFES);
        issue(0, 0, 0x35, 0, 1, nowhere[i], 512);
        expect_fault(HBFS | TFES);
        issue(0, 0, 0xec, 0, 1, nowhere[i], 512);
        expect_fault(HBFS | TFES);
    }
    /* The data leave RAM, the entries do. */
    issue(0, 0, 0x25, 0, 2, RAM_END - 512, 1024);
    expect_fault(HBFS | TFES);
    header(0, 0, 0, 65535);
    bytes_put64(at(LIST(0) + 8), RAM_END - 128);
    memcpy(at(RAM_END - 128), fis(0, 0, 0x25, 0, 1, 0), 20);
    port_put(0, CI, 1);
    expect_fault(HBFS | TFES);
    /* Too little room. */
    issue(0, 0, 0x25, 0, 2, DATA, 1022);
    expect_fault(OFS | TFES);
    issue(0, 0, 0x35, 0, 2, DATA, 0);
    expect_fault(OFS | TFES);
    issue(0, 0, 0xec, 0, 2, DATA, 510);
    expect_fault(OFS | TFES);
    fis(0, 0, 0x06, 0, 8, 1);
    header(0, 0, 0, 1);
    entry(0, 0, 0, DATA, 4094);
    port_put(0, CI, 1);
    expect_fault(OFS | TFES);
    /* A sector in more pieces than anybody makes: two bytes each. */
    bytes_put64(at(LIST(0) + 8), DATA);
    bytes_put32(at(LIST(0)), 5 | 300u << 16);
    memcpy(at(DATA), fis(0, 1, 0x25, 0, 1, 0), 20);
    for (unsigned i = 0; i < 300; i++) {
        bytes_put64(at(DATA + 0x80 + 16 * i), RAM_1 + 2 * i);
        bytes_put32(at(DATA + 0x80 + 16 * i) + 12, 1);
    }
    slow.disk.block = 1024;
    port_put(0, CI, 1);
    slow.disk.block = 512;
    expect_fault(HBFS | TFES);
    /* No FIS, one that is too short, or too long. */
    issue(0, 0, 0xe7, 0, 0, 0, 0);
    (void)interrupt(0);
    at(TABLE(0, 0))[0] = 0x34;
    port_put(0, CI, 1);
    assert_int_equal(port_get(0, SERR), 0x00400000);
    expect_fault(IFS);
    for (unsigned length = 0; length < 32; length++) {
        fis(0, 0, 0xe7, 0, 0, 0);
        header(0, 0, 0, 0);
        bytes_put32(at(LIST(0)), length);
        if (length >= 5 && length <= 16)
            continue;
        port_put(0, CI, 1);
        expect_fault(IFS);
    }
    /* No command list; no place for FISes. */
    port_put(0, CLB, RAM_END);
    port_put(0, CI, 1);
    assert_true(interrupt(0) & HBFS);
    port_put(0, CMD, FRE);
    port_put(0, CLB, LIST(0));
    port_put(0, FBU, 1);
    port_put(0, CMD, FRE | ST);
    issue(0, 0, 0xec, 0, 2, DATA, 512);
    assert_true(interrupt(0) & HBFS);
    assert_true(lines > 3 && lines < 8); /* of many: 1st, 2nd, 4th, ... */
}

static uint32_t next(void) {
    static uint32_t seed = 12345;
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

/* Everything at random: nothing but the guest's memory may be touched, and each run ends. */
static void test_random(void **state) {
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        unsigned port = next() % 4, tag = next() % 32;
        if (next() % 8 == 0)
            start(port % 3);
        if (next() % 2)
            ahci_write(&ahci, AHCI_BAR, 0x100 + 0x80 * port + next() % 64, 1u << next() % 4,
                       (uint64_t)next() << next() % 40);
        fis(port % 3, tag % 16, next() % 2 ? (uint8_t)next() : 0x25 + 16 * (next() % 2), next() % 9100,
            next() % 3000, (uint16_t)next());
        header(port % 3, tag % 16, next() % 4 ? 0 : next() & 0xffff, next() % 5);
        for (unsigned j = 0; j < 4; j++)
            entry(port % 3, tag % 16, j, RAM + next() % (RAM_END - RAM + 4096), next() % 0x100000);
        slow.fail = next() % 16 ? 0 : -EIO;
        port_put(port, CI, 1u << tag);
    }
    assert_true(ahci_idle(&ahci));
}

/* ---- a slow disk, and restarts */

static void test_slow(void **state) {
    (void)state;
    start(0);
    slow.hold = true;
    issue(0, 0, 0x25, 100, 2, DATA, 1024);
    assert_int_equal(port_get(0, CI), 1);
    assert_int_equal(port_get(0, TFD), 0x80);
    assert_false(ahci_idle(&ahci));
    assert_false(level);
    /* The next one waits, in its slot. */
    issue(0, 1, 0xe7, 0, 0, 0, 0);
    assert_int_equal(port_get(0, CI), 3);
    slow.hold = false;
    release(0);
    assert_true(again_asked);
    loop();
    assert_int_equal(port_get(0, CI), 0);
    assert_int_equal(interrupt(0), DHRS);
    assert_memory_equal(at(DATA), image[0] + 100 * 512, 1024);
    assert_true(ahci_idle(&ahci));
    /* Given up by the guest while the disk is at work: its memory is marked, and nothing is said. */
    for (unsigned how = 0; how < 4; how++) {
        start(0);
        memset(dirty, 0, sizeof(dirty));
        slow.hold = true;
        issue(0, 0, 0x25, 100, 2, DATA, 1024);
        if (how == 0) {
            port_put(0, CMD, FRE);
        } else if (how == 1) {
            port_put(0, SCTL, 0x301);
            port_put(0, SCTL, 0x300);
        } else if (how == 2) {
            put(GHC, 0x80000001);
        } else {
            ahci_reset(&ahci);
        }
        assert_int_equal(port_get(0, CI), 0);
        if (how == 0) {
            assert_int_equal(port_get(0, TFD), 0x80);
            port_put(0, CMD, FRE | ST);
            issue(0, 1, 0xe7, 0, 0, 0, 0);
            assert_int_equal(port_get(0, CI), 2);
        } else {
            /* The guest is not told that its memory is its own again. */
            port_put(0, FB, RECEIVED(0));
            port_put(0, CMD, FRE);
            *at(RECEIVED(0) + 0x40) = 0;
            assert_int_equal(port_get(0, TFD), 0x80);
            assert_int_equal(port_get(0, SIG), 0xffffffff);
            assert_int_equal(port_get(0, SSTS), 0x123);
            port_put(0, CMD, FRE | ST);
            issue(0, 1, 0xe7, 0, 0, 0, 0);
            assert_int_equal(port_get(0, CI), 2);
            port_put(0, CMD, FRE);
        }
        assert_int_equal(port_get(0, CMD) & CR, CR);
        slow.hold = false;
        release(how & 1 ? -EIO : 0);
        loop();
        assert_true(ahci_idle(&ahci));
        assert_true(all_dirty(DATA, 1024));
        assert_int_equal(lines, 0);
        assert_int_equal(port_get(0, CI), 0);
        if (how == 0) {
            assert_int_equal(interrupt(0), DHRS);
        } else {
            assert_int_equal(port_get(0, TFD), 0x150);
            assert_int_equal(port_get(0, SIG), 0x101);
            assert_int_equal(*at(RECEIVED(0) + 0x40), 0x34);
            assert_int_equal(port_get(0, CMD) & CR, 0);
        }
        start(0);
        succeeds(0, 0xe7, 0, 0);
    }
}

/* Slots take turns from the last one on. */
static void test_order(void **state) {
    (void)state;
    start(0);
    issue(0, 5, 0xe7, 0, 0, 0, 0);
    slow.hold = true;
    for (unsigned tag = 0; tag < 32; tag++) {
        fis(0, tag % 16, 0x25, tag, 1, 0);
        bytes_put32(at(LIST(0) + 32 * tag), 5 | 1u << 16);
        bytes_put64(at(LIST(0) + 32 * tag + 8), TABLE(0, tag % 16));
        entry(0, tag % 16, 0, DATA, 512);
    }
    port_put(0, CI, 0x80000061);
    static const uint8_t order[] = {6, 31, 0, 5};
    for (unsigned i = 0; i < array_count(order); i++) {
        assert_int_equal(port_get(0, CMD) >> 8 & 31, order[i]);
        release(0);
        loop();
    }
    assert_int_equal(port_get(0, CI), 0);
}

static void issue_read(void) {
    issue(0, 4, 0x25, 100, 2, DATA, 1024);
}
static void issue_identify(void) {
    issue(0, 4, 0xec, 0, 0, DATA, 512);
}
static void issue_unknown(void) {
    issue(0, 4, 0xff, 0, 0, DATA, 512);
}
static void issue_no_fis(void) {
    fis(0, 4, 0x25, 100, 2, 0)[0] = 0x34;
    header(0, 4, 0, 0);
    port_put(0, CI, 1u << 4);
}

/* Whenever the program ends, the guest is told of the end of its command. */
static void test_any_moment(void **state) {
    (void)state;
    static const struct {
        void (*issue)(void);
        uint32_t left, status; /* PxCI and PxIS in the end */
    } commands[] = {{issue_read, 0, DHRS},
                    {issue_identify, 0, PSS},
                    {issue_unknown, 1u << 4, DHRS | TFES},
                    {issue_no_fis, 1u << 4, IFS}};
    for (unsigned i = 0; i < array_count(commands); i++) {
        start(0);
        unsigned count = moments_of(commands[i].issue, &record, sizeof(record), NULL, 0);
        for (unsigned n = 1; n < count; n++) { /* 0: before the command was there */
            moment_restore(n);
            assert_int_equal(power_up(), 0);
            assert_int_equal(port_get(0, CI), commands[i].left);
            assert_int_equal(interrupt(0), commands[i].status);
        }
    }
}

static void stop_engine(void) {
    port_put(0, CMD, FRE);
}
static void link_off(void) {
    port_put(0, SCTL, 0x301);
}
static void link_on(void) {
    port_put(0, SCTL, 0x300);
}

/* A write that ends a command, whenever the program ends, is done once more by the hypervisor: the command is
 * given up, and the disk is there again. */
static void test_any_moment_reset(void **state) {
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        void (*ends)(void) = how == 0 ? stop_engine : how == 1 ? link_off : link_on;
        start(0);
        slow.hold = true;
        issue(0, 4, 0x35, 100, 2, DATA, 1024);
        if (how == 2) {
            link_off();
            release(0);
            loop();
        }
        unsigned count = moments_of(ends, &record, sizeof(record), NULL, 0);
        for (unsigned n = 0; n < count; n++) {
            moment_restore(n);
            slow.held = NULL;
            assert_int_equal(power_up(), 0);
            ends();
            if (how == 1)
                link_on();
            if (slow.held)
                release(0);
            loop();
            assert_int_equal(port_get(0, CI), 0);
            assert_int_equal(port_get(0, TFD) & 0x88, 0);
            if (how) {
                assert_int_equal(port_get(0, SIG), 0x101);
                assert_true(port_get(0, SERR) & 0x4000000);
            }
            slow.writes = 0;
            port_put(0, CMD, FRE);
            port_put(0, CMD, FRE | ST);
            assert_int_equal(slow.writes, 0);
            assert_null(slow.held);
        }
        slow.hold = false;
    }
}

static void test_restart(void **state) {
    (void)state;
    start(0);
    start(2);
    issue(2, 0, 0xe7, 0, 0, 0, 0); /* its interrupt stays */
    assert_true(level);
    slow.hold = true;
    memset(at(DATA), 0x5a, 1024);
    issue(0, 7, 0x35, 300, 2, DATA, 1024);
    fis(0, 3, 0xe7, 0, 0, 0);
    header(0, 3, 0, 0);
    port_put(0, CI, 1u << 3);
    assert_int_equal(port_get(0, CI), 0x88);
    /* The program starts anew: what was at the disk is lost, and done again. */
    slow.held = NULL;
    slow.hold = false;
    slow.flushes = 0;
    raises = 0;
    assert_int_equal(power_up(), 0);
    assert_true(level && raises == 1);
    assert_int_equal(port_get(0, CI), 0);
    assert_memory_equal(image[0] + 300 * 512, at(DATA), 1024);
    assert_int_equal(slow.flushes, 1);
    assert_int_equal(port_get(0, P_IS), DHRS);
    assert_int_equal(get(IS), 5);
    port_put(0, P_IS, DHRS);
    port_put(2, P_IS, DHRS);
    put(IS, 5);
    assert_false(level);
    /* One that was given up: the disk is not busy for ever. */
    slow.hold = true;
    issue(0, 7, 0x35, 300, 2, DATA, 1024);
    port_put(0, CMD, FRE);
    assert_int_equal(port_get(0, TFD), 0x80);
    slow.held = NULL;
    slow.hold = false;
    assert_int_equal(power_up(), 0);
    assert_int_equal(port_get(0, TFD), 0x50);
    port_put(0, CMD, FRE | ST);
    succeeds(0, 0xe7, 0, 0);
    /* And a reset that waited for it. */
    slow.hold = true;
    issue(0, 7, 0x25, 300, 2, DATA, 1024);
    port_put(0, SCTL, 0x301);
    port_put(0, SCTL, 0x300);
    assert_int_equal(port_get(0, TFD), 0x80);
    slow.held = NULL;
    slow.hold = false;
    assert_int_equal(power_up(), 0);
    assert_int_equal(port_get(0, TFD), 0x150);
    assert_int_equal(port_get(0, SIG), 0x101);
    port_put(0, SERR, 0xffffffff);
    succeeds(0, 0xe7, 0, 0);
    /* Records that are not sound. */
    struct ahci_record good = record;
    for (unsigned how = 0; how < 6; how++) {
        record = good;
        uint32_t *magic[] = {&record.magic, &record.version, &record.ports};
        if (how < 3)
            ++*magic[how];
        else if (how == 3)
            record.port[2].slot = 32;
        else if (how == 4)
            record.port[2].next = 32;
        else
            record.port[1].list |= 1;
        assert_int_equal(power_up(), -EINVAL);
        assert_int_equal(port_get(0, CMD), 6);
        assert_int_equal(record.magic, AHCI_RECORD_MAGIC);
    }
}

/* A level that the guest does not look at stays; the enable bits count. */
static void test_interrupts(void **state) {
    (void)state;
    start(0);
    put(GHC, 0x80000000);
    issue(0, 0, 0xe7, 0, 0, 0, 0);
    assert_false(level);
    put(GHC, 0x80000002);
    assert_true(level);
    put(IS, 1); /* the port has more to say */
    assert_int_equal(get(IS), 1);
    assert_true(level);
    port_put(0, P_IS, DHRS);
    assert_true(level);
    put(IS, 1);
    assert_false(level);
    port_put(0, IE, 0);
    issue(0, 0, 0xe7, 0, 0, 0, 0);
    assert_false(level);
    assert_int_equal(port_get(0, P_IS), DHRS);
    port_put(0, IE, DHRS);
    assert_true(level);
    ahci_reset(&ahci);
    assert_false(level);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_description), TEST(test_registers),   TEST(test_hot_reset),  TEST(test_soft_reset),

        TEST(test_read_only),   TEST(test_disk_errors), TEST(test_hostile),    TEST(test_random),
        TEST(test_slow),        TEST(test_order),       TEST(test_any_moment), TEST(test_any_moment_reset),
        TEST(test_restart),     TEST(test_interrupts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
