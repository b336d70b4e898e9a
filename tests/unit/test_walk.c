// SPDX-License-Identifier: Apache-2.0
// The emulator's page walk: every paging mode, fault and error code, rights, reserved bits, accessed and
// dirty.
// unit-sources: arch/x86/emulate/*.c
#include "tests/unit/emulate_mock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define P   1ull
#define W   2ull
#define U   4ull
#define A   0x20ull
#define D   0x40ull
#define PS  0x80ull
#define NX  (1ull << 63)
#define RWU (P | W | U)

static struct mock mock;
static uint64_t gpa;

enum paging { LEGACY, PAE, LONG4, LONG5 };

/* Tables at 0x10000, 0x11000, ... from the root down; `entries` for `linear`, root first. */
static void map(enum paging paging, uint64_t linear, const uint64_t *flags, unsigned count, uint64_t target) {
    static const unsigned levels[] = {2, 3, 4, 5};
    unsigned bits = paging == LEGACY ? 10 : 9, size = paging == LEGACY ? 4 : 8;
    mock_reset(&mock, paging >= LONG4 ? 64 : 32);
    mock.system.cr0 |= 0x80010000u; /* PG, WP */
    mock.system.cr4 |= paging == LEGACY ? 0x10 : paging == LONG5 ? 0x1020 : 0x20;
    if (paging != LEGACY)
        mock.system.efer |= 0x800;
    mock.system.cr3 = 0x10000;
    for (unsigned i = 0; i < count; i++) {
        unsigned shift = 12 + bits * (levels[paging] - 1 - i);
        uint64_t index = linear >> shift & ((1u << bits) - 1);
        if (paging == PAE && i == 0)
            index &= 3;
        uint64_t next = i + 1 == count ? target : 0x11000 + 0x1000ull * i;
        mock_store(&mock, 0x10000 + 0x1000ull * i + index * size, next | flags[i], size);
    }
}
static uint64_t entry(enum paging paging, uint64_t linear, unsigned level_from_root) {
    static const unsigned levels[] = {2, 3, 4, 5};
    unsigned bits = paging == LEGACY ? 10 : 9, size = paging == LEGACY ? 4 : 8;
    unsigned shift = 12 + bits * (levels[paging] - 1 - level_from_root);
    uint64_t index = linear >> shift & ((1u << bits) - 1);
    return mock_load(&mock, 0x10000 + 0x1000ull * level_from_root + index * size, size);
}
static enum emulate_result walk(uint64_t linear, unsigned access) {
    gpa = ~0ull;
    return emulate_walk(&mock.emulate, linear, access, &gpa);
}
static void expect_fault(uint64_t linear, unsigned access, uint32_t error) {
    assert_int_equal(walk(linear, access), EMULATE_FAULT);
    assert_int_equal(mock.emulate.fault.vector, 14);
    assert_true(mock.emulate.fault.has_error);
    assert_int_equal(mock.emulate.fault.error, error);
    assert_int_equal(mock.emulate.fault.cr2, linear);
}

static void expect(uint64_t linear, unsigned access, uint64_t address) {
    assert_int_equal(walk(linear, access), EMULATE_OK);
    assert_int_equal(gpa, address);
}

static const uint64_t all[5] = {RWU, RWU, RWU, RWU, RWU};

static void paging_off(void **unused) {
    (void)unused;
    mock_reset(&mock, 32);
    expect(0xfeb00123, EMULATE_WRITE, 0xfeb00123);
}

static void legacy(void **unused) {
    (void)unused;
    const uint64_t linear = 0xc0801234;
    map(LEGACY, linear, all, 2, 0x12345000);
    expect(linear, 0, 0x12345234);
    assert_int_equal(entry(LEGACY, linear, 0), 0x11000 | RWU | A);
    assert_int_equal(entry(LEGACY, linear, 1), 0x12345000 | RWU | A);
    expect(linear, EMULATE_WRITE, 0x12345234);
    assert_int_equal(entry(LEGACY, linear, 0), 0x11000 | RWU | A);
    assert_int_equal(entry(LEGACY, linear, 1), 0x12345000 | RWU | A | D);
    unsigned calls = mock.cmpxchg_calls;
    expect(linear, EMULATE_WRITE, 0x12345234);
    assert_int_equal(mock.cmpxchg_calls, calls); /* nothing left to set */
    expect_fault(linear + 0x1000, 0, 0);
    expect_fault(linear + 0x400000, EMULATE_WRITE, 2);
    expect_fault(linear + 0x400000, EMULATE_EXECUTE, 0); /* I only with NXE in PAE paging, or with SMEP */
    mock.system.cr4 |= 0x100000;
    expect_fault(linear + 0x400000, EMULATE_EXECUTE, 0x10);
}

static void legacy_large(void **unused) {
    (void)unused;
    const uint64_t linear = 0xc0c54321, large[1] = {RWU | PS};
    map(LEGACY, linear, large, 1, 0x00c00000);
    expect(linear, EMULATE_WRITE, 0x00c54321);
    assert_int_equal(entry(LEGACY, linear, 0), 0x00c00000 | RWU | PS | A | D);
    map(LEGACY, linear, large, 1, 0x00c00000 | 0x12ull << 13); /* PSE-36: address bits 39-32 */
    expect(linear, 0, 0x1200c54321ull);
    map(LEGACY, linear, large, 1, 0x00c00000 | 1ull << 21);
    expect_fault(linear, 0, 9);
    map(LEGACY, linear, large, 1, 0x00c00000 | 0x10ull << 13);
    mock.emulate.physical_mask = (1ull << 36) - 1;
    expect_fault(linear, 0, 9);
    map(LEGACY, linear, large, 1, 0x00c00000 | 1 << 12); /* bit 12 is PAT */
    expect(linear, 0, 0x00c54321);
    /* Without CR4.PSE the bit is ignored. */
    uint64_t flags[2] = {RWU | PS, RWU};
    map(LEGACY, linear, flags, 2, 0x5000);
    mock.system.cr4 &= ~0x10ull;
    expect(linear, 0, 0x5321);
}

static void pae(void **unused) {
    (void)unused;
    const uint64_t linear = 0xc0801234;
    uint64_t flags[3] = {P, RWU, RWU};
    map(PAE, linear, flags, 3, 0x7712345000ull);
    expect(linear, EMULATE_WRITE, 0x7712345234ull);
    assert_int_equal(entry(PAE, linear, 0), 0x11000 | P); /* no accessed bit in a PDPTE */
    assert_int_equal(entry(PAE, linear, 1), 0x12000 | RWU | A);
    assert_int_equal(entry(PAE, linear, 2), 0x7712345000ull | RWU | A | D);
    expect_fault(0x1234, 0, 0);
    flags[0] = 0;
    map(PAE, linear, flags, 3, 0x5000);
    expect_fault(linear, 0, 0);
    flags[0] = P | A; /* QEMU 7.2 sets it in a PDPTE while the guest runs */
    map(PAE, linear, flags, 3, 0x5000);
    expect(linear, 0, 0x5234);
    flags[0] = P | W; /* reserved in a PDPTE */
    map(PAE, linear, flags, 3, 0x5000);
    expect_fault(linear, 0, 9);
    flags[0] = P;
    map(PAE, linear, flags, 3, 1ull << 40 | 0x5000); /* above MAXPHYADDR */
    expect_fault(linear, EMULATE_WRITE, 0xb);
    map(PAE, linear, flags, 3, 1ull << 52 | 0x5000); /* bits 62-52 are reserved in PAE paging */
    expect_fault(linear, 0, 9);
    flags[2] = RWU | NX;
    map(PAE, linear, flags, 3, 0x5000);
    expect(linear, 0, 0x5234);
    expect_fault(linear, EMULATE_EXECUTE, 0x11);
    mock.system.efer &= ~0x800ull; /* NX is reserved without NXE */
    expect_fault(linear, 0, 9);
    uint64_t large[2] = {P, RWU | PS};
    map(PAE, linear, large, 2, 0x600000);
    expect(linear, 0, 0x601234);
    map(PAE, linear, large, 2, 0x602000);
    expect_fault(linear, 0, 9);
    /* CR3 names a 32-byte aligned table. */
    map(PAE, linear, large, 2, 0x600000);
    mock_store(&mock, 0x10fe0 + 3 * 8, 0x11000 | P, 8);
    mock.system.cr3 = 0x10ff8;
    expect(linear, 0, 0x601234);
}

static void four_level(void **unused) {
    (void)unused;
    const uint64_t linear = 0xffff888012345678ull;
    map(LONG4, linear, all, 4, 0xff12345000ull);
    expect(linear, EMULATE_WRITE, 0xff12345678ull);
    for (unsigned i = 0; i < 4; i++)
        assert_true(entry(LONG4, linear, i) & A);
    assert_int_equal(entry(LONG4, linear, 3), 0xff12345000ull | RWU | A | D);
    assert_false(entry(LONG4, linear, 2) & D);
    map(LONG4, linear, all, 4, 0x5000);
    expect(linear, EMULATE_WRITE | EMULATE_PEEK, 0x5678);
    for (unsigned i = 0; i < 4; i++)
        assert_false(entry(LONG4, linear, i) & A);
    for (unsigned i = 0; i < 4; i++) { /* each level: absent, reserved */
        uint64_t flags[4] = {RWU, RWU, RWU, RWU};
        flags[i] &= ~P;
        map(LONG4, linear, flags, 4, 0x5000);
        expect_fault(linear, EMULATE_WRITE, 2);
        for (unsigned j = 0; j < 4; j++)
            assert_false(entry(LONG4, linear, j) & A); /* nothing is marked by a walk that faults */
        flags[i] = RWU | 1ull << 45;
        map(LONG4, linear, flags, 4, 0x5000);
        expect_fault(linear, 0, 9);
        flags[i] = RWU | 1ull << 55; /* ignored here */
        map(LONG4, linear, flags, 4, 0x5000);
        expect(linear, 0, 0x5678);
        flags[i] = RWU | NX;
        map(LONG4, linear, flags, 4, 0x5000);
        expect_fault(linear, EMULATE_EXECUTE, 0x11);
    }
    uint64_t flags[4] = {RWU | PS, RWU, RWU, RWU};
    map(LONG4, linear, flags, 4, 0x5000);
    expect_fault(linear, 0, 9);
    uint64_t two[3] = {RWU, RWU, RWU | PS};
    map(LONG4, linear, two, 3, 0x400000);
    expect(linear, EMULATE_WRITE, 0x400000 + (linear & 0x1fffff));
    assert_int_equal(entry(LONG4, linear, 2), 0x400000 | RWU | PS | A | D);
    map(LONG4, linear, two, 3, 0x402000);
    expect_fault(linear, 0, 9);
    map(LONG4, linear, two, 3, 0x401000); /* PAT */
    expect(linear, 0, 0x400000 + (linear & 0x1fffff));
    uint64_t one[2] = {RWU, RWU | PS};
    map(LONG4, linear, one, 2, 0x80000000ull);
    expect(linear, 0, 0x80000000ull + (linear & 0x3fffffff));
    map(LONG4, linear, one, 2, 0x80200000ull);
    expect_fault(linear, 0, 9);
}

static void five_level(void **unused) {
    (void)unused;
    const uint64_t linear = 0xff11223344556789ull;
    map(LONG5, linear, all, 5, 0x7000);
    expect(linear, EMULATE_WRITE, 0x7789);
    assert_true(entry(LONG5, linear, 0) & A);
    expect_fault(linear ^ 1ull << 55, 0, 0);
    uint64_t flags[5] = {RWU | PS, RWU, RWU, RWU, RWU};
    map(LONG5, linear, flags, 5, 0x7000);
    expect_fault(linear, 0, 9);
}

static void rights(void **unused) {
    (void)unused;
    const uint64_t linear = 0x400123;
    for (unsigned level = 0; level < 4; level++) {
        uint64_t flags[4] = {RWU, RWU, RWU, RWU};
        flags[level] = P | W; /* supervisor */
        map(LONG4, linear, flags, 4, 0x5000);
        mock.system.cr4 |= 0x300000; /* SMEP, SMAP do not matter to supervisor pages */
        expect(linear, EMULATE_WRITE, 0x5123);
        expect(linear, EMULATE_EXECUTE, 0x5123);
        mock.system.cpl = 3;
        expect_fault(linear, 0, 5);
        expect_fault(linear, EMULATE_WRITE, 7);
        expect_fault(linear, EMULATE_EXECUTE, 0x15);
        expect(linear, EMULATE_IMPLICIT, 0x5123);
        flags[level] = P | U; /* read-only */
        map(LONG4, linear, flags, 4, 0x5000);
        expect(linear, 0, 0x5123);
        expect_fault(linear, EMULATE_WRITE, 3);
        mock.system.cr0 &= ~0x10000ull; /* WP off */
        expect(linear, EMULATE_WRITE, 0x5123);
        mock.system.cpl = 3;
        expect_fault(linear, EMULATE_WRITE, 7);
        expect(linear, 0, 0x5123);
        mock.system.cpl = 1; /* 0 to 2 are all supervisor */
        expect(linear, EMULATE_WRITE, 0x5123);
    }
    map(LONG4, linear, all, 4, 0x5000);
    mock.system.cr4 |= 0x100000;
    expect_fault(linear, EMULATE_EXECUTE, 0x11); /* SMEP */
    expect(linear, EMULATE_WRITE, 0x5123);
    mock.system.cpl = 3;
    expect(linear, EMULATE_EXECUTE, 0x5123);
    mock.system.cpl = 0;
    mock.system.cr4 ^= 0x300000;
    expect(linear, EMULATE_EXECUTE, 0x5123);
    expect_fault(linear, 0, 1); /* SMAP */
    expect_fault(linear, EMULATE_WRITE, 3);
    mock.registers.rflags |= 0x40000; /* AC lifts it, but not for implicit accesses */
    expect(linear, EMULATE_WRITE, 0x5123);
    expect_fault(linear, EMULATE_IMPLICIT, 1);
    mock.system.cpl = 3;
    mock.registers.rflags = 2;
    expect(linear, EMULATE_WRITE, 0x5123);
    expect_fault(linear, EMULATE_IMPLICIT, 1);
}

static void races(void **unused) {
    (void)unused;
    const uint64_t linear = 0x400123;
    map(LONG4, linear, all, 4, 0x5000);
    mock.cmpxchg_spoil = 1; /* another CPU sets the accessed bit of the first entry first */
    mock.spoil_xor = A;
    expect(linear, EMULATE_WRITE, 0x5123);
    assert_int_equal(entry(LONG4, linear, 3), 0x5000 | RWU | A | D);
    map(LONG4, linear, all, 4, 0x5000);
    mock.cmpxchg_spoil = 1; /* and here it unmaps */
    mock.spoil_xor = P;
    expect_fault(linear, EMULATE_WRITE, 2);
    map(LONG4, linear, all, 4, 0x5000);
    mock.cmpxchg_spoil = ~0u; /* and here it never stops */
    mock.spoil_xor = 0x200;
    assert_int_equal(walk(linear, 0), EMULATE_RETRY);
}

static void outside_ram(void **unused) {
    (void)unused;
    const uint64_t linear = 0x400123;
    map(LONG4, linear, all, 4, 0x5000);
    mock.system.cr3 = MOCK_DEVICE;
    assert_int_equal(walk(linear, 0), EMULATE_UNHANDLED);
    /* Tables in ROM are walked; their bits stay. */
    mock.system.cr3 = MOCK_RAM;
    memcpy(mock.ram + MOCK_RAM, mock.ram + 0x10000, 0x1000);
    expect(linear, EMULATE_WRITE, 0x5123);
    assert_int_equal(mock_load(&mock, MOCK_RAM, 8), 0x11000 | RWU);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paging_off), cmocka_unit_test(legacy),     cmocka_unit_test(legacy_large),
        cmocka_unit_test(pae),        cmocka_unit_test(four_level), cmocka_unit_test(five_level),
        cmocka_unit_test(rights),     cmocka_unit_test(races),      cmocka_unit_test(outside_ram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
