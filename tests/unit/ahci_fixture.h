// SPDX-License-Identifier: Apache-2.0
// An AHCI controller with two disks, one of them slow, and an empty port, over a guest's memory of the test's
// own; and a driver that does what Linux's does with a port.
#ifndef SAGUARO_TESTS_UNIT_AHCI_FIXTURE_H
#define SAGUARO_TESTS_UNIT_AHCI_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "virtio/ahci.h"
#include "virtio/bytes.h"
#include "virtio/disk_memory.h"

#define array_count(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the guest's memory: two pieces that do not lie together on our side */

#define RAM                0x100000u /* guest-physical */
#define RAM_1              0x200000u
#define RAM_END            0x300000u

static uint8_t ram[2][0x100000 + 64];
static uint8_t dirty[RAM_END - RAM];

static void *ram_map(struct virtio_memory *memory, uint64_t gpa, uint64_t *contiguous) {
    (void)memory;
    if (gpa < RAM || gpa >= RAM_END)
        return NULL;
    *contiguous = (gpa < RAM_1 ? RAM_1 : RAM_END) - gpa;
    return &ram[gpa >= RAM_1][gpa & 0xfffff];
}

static void ram_mark(struct virtio_memory *memory, uint64_t gpa, uint64_t size) {
    (void)memory;
    assert_true(gpa >= RAM && gpa < RAM_END && size <= RAM_END - gpa);
    memset(dirty + (gpa - RAM), 1, size);
}

static struct virtio_memory memory = {.map = ram_map, .dirty = ram_mark};

static inline uint8_t *at(uint64_t gpa) {
    uint64_t contiguous;
    uint8_t *data = ram_map(&memory, gpa, &contiguous);
    assert_non_null(data);
    return data;
}

static inline bool all_dirty(uint64_t gpa, uint64_t size) {
    return !memchr(dirty + (gpa - RAM), 0, size);
}

/* ---- the disks */

#define SECTORS 9000u

static uint8_t image[2][SECTORS * DISK_SECTOR];
static struct disk_memory stores[2];
static struct {
    struct disk disk;
    bool hold;
    int fail;
    struct disk_request *held;
    unsigned reads, writes, flushes, discards;
    uint64_t last_sector, last_count;
} slow;

static void slow_submit(struct disk *disk, struct disk_request *request) {
    assert_ptr_equal(disk, &slow.disk);
    slow.reads += request->operation == DISK_READ;
    slow.writes += request->operation == DISK_WRITE;
    slow.flushes += request->operation == DISK_FLUSH;
    slow.discards += request->operation == DISK_DISCARD;
    slow.last_sector = request->sector;
    slow.last_count = request->count;
    if (slow.hold) {
        assert_null(slow.held);
        slow.held = request;
    } else if (slow.fail) {
        request->done(request, slow.fail);
    } else {
        disk_submit(&stores[0].disk, request);
    }
}

static const struct disk_operations slow_operations = {.submit = slow_submit};

static inline void release(int error) {
    struct disk_request *request = slow.held;
    assert_non_null(request);
    slow.held = NULL;
    if (error)
        request->done(request, error);
    else
        disk_submit(&stores[0].disk, request);
}

/* ---- the controller */

static struct ahci ahci;
static struct ahci_record record;
static bool level;      /* of INTx */
static unsigned raises; /* how often it went up */
static bool again_asked;
static char logged[512];
static unsigned lines;

static void set_line(struct ahci *of, bool to) {
    assert_ptr_equal(of, &ahci);
    raises += to && !level;
    level = to;
}

static void ask_again(struct ahci *of) {
    assert_ptr_equal(of, &ahci);
    again_asked = true;
}

static void note_line(struct ahci *of, const char *text) {
    assert_ptr_equal(of, &ahci);
    snprintf(logged, sizeof(logged), "%s", text);
    lines++;
}

/* Runs as the event loop would. */
static inline void loop(void) {
    for (unsigned i = 0; again_asked && i < 10000; i++) {
        again_asked = false;
        ahci_run(&ahci);
    }
    assert_false(again_asked);
}

/* The program starts, with the record as it is. */
static inline int power_up(void) {
    memset(&ahci, 0, sizeof(ahci));
    ahci.memory = &memory;
    ahci.line = set_line;
    ahci.again = ask_again;
    ahci.log = note_line;
    ahci_add_port(&ahci, &slow.disk, "disk0", "serial-0123456789-and-more", false);
    ahci_add_port(&ahci, NULL, "disk1", "none", false);
    ahci_add_port(&ahci, &stores[1].disk, "disk2", "read-only", true);
    again_asked = false;
    int error = ahci_init(&ahci, &record);
    loop();
    return error;
}

static inline int set_up(void **state) {
    (void)state;
    memset(ram, 0, sizeof(ram));
    memset(dirty, 0, sizeof(dirty));
    memset(&record, 0, sizeof(record));
    for (size_t i = 0; i < sizeof(image[0]); i++) {
        image[0][i] = (uint8_t)(i / DISK_SECTOR * 7 + i);
        image[1][i] = (uint8_t)(i / DISK_SECTOR * 3 + i);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(disk_memory_init(&stores[i], image[i], sizeof(image[i]), false), 0);
    memset(&slow, 0, sizeof(slow));
    slow.disk = stores[0].disk;
    slow.disk.operations = &slow_operations;
    slow.disk.discards = true;
    level = false;
    raises = lines = 0;
    logged[0] = 0;
    assert_int_equal(power_up(), 0);
    raises = 0;
    return 0;
}

/* ---- a driver. Port n has its structures at STRUCTURES(n); data anywhere else. */

#define STRUCTURES(n) (RAM + 0x10000u * (n))
#define LIST(n)       STRUCTURES(n)
#define RECEIVED(n)   (STRUCTURES(n) + 0x400)
#define TABLE(n, tag) (STRUCTURES(n) + 0x1000 + 0x400 * (tag))
#define DATA          (RAM + 0x40000u)

enum { CAP = 0, GHC = 4, IS = 8, PI = 12, VS = 16 };
enum {
    CLB = 0,
    CLBU = 4,
    FB = 8,
    FBU = 12,
    P_IS = 16,
    IE = 20,
    CMD = 24,
    TFD = 32,
    SIG = 36,
    SSTS = 40,
    SCTL = 44,
    SERR = 48,
    SACT = 52,
    CI = 56
};
#define ST         1u
#define CLO        8u
#define FRE        0x10u
#define CR         0x8000u
#define DHRS       1u
#define PSS        2u
#define DPS        0x20u
#define PCS        0x40u
#define OFS        0x1000000u
#define IFS        0x8000000u
#define HBFS       0x20000000u
#define TFES       0x40000000u
#define LINUX_IE   0x7d80006fu /* DEF_PORT_IRQ */
#define CLEAR_BUSY 0x400u
#define RESET_FLAG 0x100u

static inline uint32_t get(uint32_t offset) {
    return (uint32_t)ahci_read(&ahci, AHCI_BAR, offset, 4);
}
/* A write, and what follows from it. */
static inline void put(uint32_t offset, uint32_t value) {
    ahci_write(&ahci, AHCI_BAR, offset, 4, value);
    loop();
}
static inline uint32_t port_get(unsigned port, uint32_t offset) {
    return get(0x100 + 0x80 * port + offset);
}
static inline void port_put(unsigned port, uint32_t offset, uint32_t value) {
    put(0x100 + 0x80 * port + offset, value);
}

/* As ahci_reset_controller() and what follows, with a hard reset of the link. */
static inline void start(unsigned port) {
    put(GHC, 0x80000000);
    put(GHC, 0x80000002);
    port_put(port, CMD, 0x10000006); /* no engine, no FISes */
    assert_int_equal(port_get(port, CMD) & 0xc011, 0);
    port_put(port, CLB, LIST(port));
    port_put(port, CLBU, 0);
    port_put(port, FB, RECEIVED(port));
    port_put(port, FBU, 0);
    port_put(port, CMD, port_get(port, CMD) | FRE);
    port_put(port, CMD, port_get(port, CMD) | ST);
    assert_int_equal(port_get(port, CMD) & 0xc011, 0xc011);
    port_put(port, SERR, port_get(port, SERR));
    port_put(port, P_IS, port_get(port, P_IS));
    put(IS, 1u << port);
    port_put(port, IE, LINUX_IE);
}

static inline void header(unsigned port, unsigned tag, uint32_t flags, uint32_t entries) {
    uint8_t *of = at(LIST(port) + 32 * tag);
    bytes_put32(of, 5 | flags | entries << 16);
    bytes_put32(of + 4, 0);
    bytes_put64(of + 8, TABLE(port, tag));
}

static inline void entry(unsigned port, unsigned tag, unsigned index, uint64_t gpa, uint32_t size) {
    uint8_t *of = at(TABLE(port, tag) + 0x80 + 16 * index);
    bytes_put64(of, gpa);
    bytes_put32(of + 8, 0);
    bytes_put32(of + 12, size - 1);
}

/* A 48-bit command's FIS; the device register has the bit that asks for addresses by LBA. */
static inline uint8_t *fis(unsigned port, unsigned tag, uint8_t command, uint64_t lba, uint32_t count,
                           uint16_t features) {
    uint8_t *of = at(TABLE(port, tag));
    memset(of, 0, 64);
    of[0] = 0x27;
    of[1] = 0x80;
    of[2] = command;
    of[3] = (uint8_t)features;
    bytes_put(of + 4, 3, (uint32_t)lba);
    of[7] = 0x40;
    bytes_put(of + 8, 3, (uint32_t)(lba >> 24));
    of[11] = (uint8_t)(features >> 8);
    bytes_put16(of + 12, (uint16_t)count);
    return of;
}

/* One command in slot `tag`, with one piece of data. */
static inline void issue(unsigned port, unsigned tag, uint8_t command, uint64_t lba, uint32_t count,
                         uint64_t gpa, uint32_t size) {
    fis(port, tag, command, lba, count, 0);
    header(port, tag, 0, size ? 1 : 0);
    if (size)
        entry(port, tag, 0, gpa, size);
    port_put(port, CI, 1u << tag);
}

/* As ahci_interrupt(): what the port had to say. */
static inline uint32_t interrupt(unsigned port) {
    assert_true(level);
    assert_true(get(IS) >> port & 1);
    uint32_t status = port_get(port, P_IS);
    port_put(port, P_IS, status);
    put(IS, 1u << port);
    assert_false(level);
    return status;
}

static inline uint32_t moved(unsigned port, unsigned tag) {
    return bytes_get32(at(LIST(port) + 32 * tag + 4));
}

/* The port is in error: as ahci_stop_engine(), and on again. */
static inline void restart_engine(unsigned port) {
    port_put(port, CMD, port_get(port, CMD) & ~ST);
    assert_int_equal(port_get(port, CI), 0);
    assert_int_equal(port_get(port, CMD) & 0x8000, 0);
    port_put(port, SERR, port_get(port, SERR));
    port_put(port, CMD, port_get(port, CMD) | CLO);
    assert_int_equal(port_get(port, CMD) & CLO, 0);
    assert_int_equal(port_get(port, TFD) & 0x88, 0);
    port_put(port, CMD, port_get(port, CMD) | ST);
}

/* A command that the disk refuses; the engine is started anew. The error register. */
static inline uint8_t refused(unsigned port, uint8_t command, uint64_t lba, uint32_t count) {
    issue(port, 3, command, lba, count, DATA, 0x1000);
    assert_int_equal(port_get(port, CI), 8);
    assert_true(interrupt(port) & TFES);
    uint32_t tfd = port_get(port, TFD);
    assert_int_equal(tfd & 0xff, 0x51);
    restart_engine(port);
    return (uint8_t)(tfd >> 8);
}

/* A command that moves no data, or one block to DATA. */
static inline void succeeds(unsigned port, uint8_t command, uint64_t lba, uint32_t count) {
    issue(port, 2, command, lba, count, DATA, 0x1000);
    assert_int_equal(port_get(port, CI), 0);
    assert_int_equal(port_get(port, TFD), 0x50);
    (void)interrupt(port);
}

#endif
