// SPDX-License-Identifier: Apache-2.0
// The guest's TLBs: translation, rights, the TLB instructions, and what a miss leaves in the MAS registers.
// unit-sources: arch/ppc/guest/tlb.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "arch/ppc/guest/tlb.h"

static struct ppc_vcpu_state state;
static struct tlb_lost lost;

static int start(void **context) {
    (void)context;
    memset(&state, 0, sizeof(state));
    memset(&lost, 0xff, sizeof(lost));
    return 0;
}

static void write_entry(uint32_t mas0, uint32_t mas1, uint32_t mas2, uint32_t mas3, uint32_t mas7) {
    state.mas[0] = mas0;
    state.mas[1] = mas1;
    state.mas[2] = mas2;
    state.mas[3] = mas3;
    state.mas[7] = mas7;
    guest_tlb_write(&state, &lost);
}

#define TLB1(n) (MAS0_TLBSEL(1) | MAS0_ESEL(n))

static void test_sizes(void **context) {
    (void)context;
    for (uint32_t tsize = 0; tsize < 16; tsize++) {
        struct ppc_tlb_entry entry = {.mas1 = MAS1_V | MAS1_TSIZE(tsize)};
        assert_int_equal(guest_tlb_shift(&entry), tsize >= 1 && tsize <= 11 ? 10 + 2 * tsize : 0);
    }
    /* 16 MiB; what the guest leaves in the bits below the page is ignored. */
    write_entry(TLB1(3), MAS1_V | MAS1_TSIZE(7), 0xc0123000, 0x12abc000 | MAS3_SR, 0xf);
    assert_int_equal(lost.count, 0);
    const struct ppc_tlb_entry *entry = guest_tlb_lookup(&state, 0xc0ffffff, 0);
    assert_ptr_equal(entry, &state.tlb1[3]);
    assert_true(guest_tlb_is_tlb1(&state, entry));
    assert_true(guest_tlb_physical(entry, 0xc0ffffff) == 0xf12ffffffull);
    assert_null(guest_tlb_lookup(&state, 0xc1000000, 0));
    assert_null(guest_tlb_lookup(&state, 0xbfffffff, 0));
    assert_null(guest_tlb_lookup(&state, 0xc0ffffff, 1));
    /* 4 GiB: everything. */
    write_entry(TLB1(3), MAS1_V | MAS1_TSIZE(11), 0xc0000000, 0xabcde000, 1);
    assert_int_equal(lost.count, 1);
    assert_int_equal(lost.range[0].first, 0xc0000000);
    assert_int_equal(lost.range[0].last, 0xc0ffffff);
    entry = guest_tlb_lookup(&state, 0x12345678, 0);
    assert_non_null(entry);
    assert_true(guest_tlb_physical(entry, 0x12345678) == 0x112345678ull);
    /* No such size: no translation, and nothing is lost when it goes. */
    write_entry(TLB1(3), MAS1_V | MAS1_TSIZE(12), 0, 0, 0);
    assert_int_equal(lost.range[0].last, 0xffffffff);
    assert_null(guest_tlb_lookup(&state, 0, 0));
    write_entry(TLB1(3), 0, 0, 0, 0);
    assert_int_equal(lost.count, 0);
}

static void test_pids(void **context) {
    (void)context;
    write_entry(MAS0_ESEL(2), MAS1_V | MAS1_TID(5), 0x10003000, 0x3000, 0);
    assert_null(guest_tlb_lookup(&state, 0x10003000, 0));
    for (unsigned i = 0; i < 3; i++) {
        state.pid[i] = 5;
        const struct ppc_tlb_entry *entry = guest_tlb_lookup(&state, 0x10003abc, 0);
        assert_ptr_equal(entry, &state.tlb0[3][2]);
        assert_false(guest_tlb_is_tlb1(&state, entry));
        state.pid[i] = 6;
        assert_null(guest_tlb_lookup(&state, 0x10003abc, 0));
    }
    write_entry(MAS0_ESEL(1), MAS1_V, 0x10003000, 0x4000, 0);
    assert_ptr_equal(guest_tlb_lookup(&state, 0x10003abc, 0), &state.tlb0[3][1]);
}

static void test_rights(void **context) {
    (void)context;
    static const struct {
        uint32_t right;
        bool user;
        enum tlb_access access;
    } each[] = {
        {MAS3_UX, true, TLB_EXECUTE}, {MAS3_SX, false, TLB_EXECUTE}, {MAS3_UW, true, TLB_WRITE},
        {MAS3_SW, false, TLB_WRITE},  {MAS3_UR, true, TLB_READ},     {MAS3_SR, false, TLB_READ},
    };
    for (unsigned i = 0; i < 6; i++) {
        struct ppc_tlb_entry entry = {.mas3 = each[i].right};
        for (unsigned j = 0; j < 6; j++)
            assert_int_equal(guest_tlb_permits(&entry, each[j].user, each[j].access), i == j);
    }
}

static void test_tlb0_write(void **context) {
    (void)context;
    /* TLB0 forces 4 KiB and has no IPROT; ESEL counts two bits; NV is kept for the set. */
    write_entry(MAS0_ESEL(0xd) | 3, MAS1_V | MAS1_IPROT | MAS1_TSIZE(9) | MAS1_TS, 0x7f05f003, 0x1000, 0xa);
    const struct ppc_tlb_entry *entry = &state.tlb0[0x5f][1];
    assert_int_equal(entry->mas1, MAS1_V | MAS1_TSIZE(1) | MAS1_TS);
    assert_int_equal(entry->mas2, 0x7f05f003);
    assert_int_equal(entry->mas7, 0xa);
    assert_int_equal(state.tlb0_next[0x5f], 3);
    assert_ptr_equal(guest_tlb_lookup(&state, 0x7f05ffff, 1), entry);
    write_entry(MAS0_ESEL(1), 0, 0x1105f000, 0, 0);
    assert_int_equal(lost.count, 1);
    assert_false(lost.tlb0);
    assert_int_equal(lost.range[0].first, 0x7f05f000);
    assert_int_equal(lost.range[0].last, 0x7f05ffff);
}

static void test_miss(void **context) {
    (void)context;
    state.pid[0] = 0x11;
    state.pid[1] = 0x22;
    state.pid[2] = 0x33;
    state.mas[1] = state.mas[3] = state.mas[7] = 0xffffffff;
    state.tlb0_next[0x45] = 3;
    /* TLB0 by MAS4: the hint is the set's next victim, and the one after it. */
    state.mas[4] = MAS1_TSIZE(1) | MAS2_M | MAS2_X0;
    guest_tlb_miss(&state, 0x10045678, 1);
    assert_int_equal(state.mas[0], MAS0_ESEL(3) | 0);
    assert_int_equal(state.mas[1], MAS1_V | MAS1_TID(0x11) | MAS1_TS | MAS1_TSIZE(1));
    assert_int_equal(state.mas[2], 0x10045000 | MAS2_M | MAS2_X0);
    assert_int_equal(state.mas[3], 0);
    assert_int_equal(state.mas[6], 0x110000 | MAS6_SAS);
    assert_int_equal(state.mas[7], 0);
    /* The handler's tlbwe moves the hint on. */
    guest_tlb_write(&state, &lost);
    assert_ptr_equal(guest_tlb_lookup(&state, 0x10045678, 1), &state.tlb0[0x45][3]);
    guest_tlb_miss(&state, 0x20045678, 0);
    assert_int_equal(state.mas[0], MAS0_ESEL(0) | 1);
    assert_int_equal(state.mas[6], 0x110000);
    /* TIDSELD, and TLB1 by default. */
    static const uint32_t tid[4] = {0x11, 0x22, 0x33, 0};
    for (uint32_t select = 0; select < 4; select++) {
        state.mas[4] = MAS4_TLBSELD_MASK | select << 16 | MAS1_TSIZE(5) | MAS2_I | MAS2_G;
        guest_tlb_miss(&state, 0x123, 0);
        assert_int_equal(state.mas[0], MAS0_TLBSEL(1));
        assert_int_equal(state.mas[1], MAS1_V | MAS1_TID(tid[select]) | MAS1_TSIZE(5));
        assert_int_equal(state.mas[2], MAS2_I | MAS2_G);
    }
}

static void test_read(void **context) {
    (void)context;
    write_entry(TLB1(15), MAS1_V | MAS1_IPROT | MAS1_TSIZE(5), 0x80000000, 0x00100001, 7);
    write_entry(MAS0_ESEL(2) | 1, MAS1_V | MAS1_TID(9), 0x00006000, 0x5003, 3);
    /* MAS7 is written if HID0 says so alone. */
    memset(state.mas, 0, sizeof(state.mas));
    state.mas[0] = TLB1(15);
    state.mas[7] = 0xf;
    guest_tlb_read(&state);
    assert_int_equal(state.mas[0], TLB1(15));
    assert_int_equal(state.mas[1], MAS1_V | MAS1_IPROT | MAS1_TSIZE(5));
    assert_int_equal(state.mas[2], 0x80000000);
    assert_int_equal(state.mas[3], 0x00100001);
    assert_int_equal(state.mas[7], 0xf);
    state.hid0 = HID0_EN_MAS7_UPDATE;
    state.mas[0] = MAS0_ESEL(2) | 3;
    state.mas[2] = 0x7ff06000; /* the set alone counts */
    guest_tlb_read(&state);
    assert_int_equal(state.mas[0], MAS0_ESEL(2) | 1);
    assert_int_equal(state.mas[1], MAS1_V | MAS1_TID(9) | MAS1_TSIZE(1));
    assert_int_equal(state.mas[2], 0x6000);
    assert_int_equal(state.mas[7], 3);
}

static void test_search(void **context) {
    (void)context;
    state.hid0 = HID0_EN_MAS7_UPDATE;
    state.pid[0] = 1;
    write_entry(TLB1(4), MAS1_V | MAS1_TSIZE(5), 0x80000000, 0x00100001, 7);
    write_entry(MAS0_ESEL(3) | 2, MAS1_V | MAS1_TID(9) | MAS1_TS, 0x00006000, 0x5003, 3);
    /* Searched by MAS6, not by PID. */
    state.mas[6] = 9u << 16 | MAS6_SAS;
    guest_tlb_search(&state, 0x6fff);
    assert_int_equal(state.mas[0], MAS0_ESEL(3) | 2);
    assert_int_equal(state.mas[1], MAS1_V | MAS1_TID(9) | MAS1_TS | MAS1_TSIZE(1));
    assert_int_equal(state.mas[3], 0x5003);
    assert_int_equal(state.mas[7], 3);
    state.mas[6] = 1u << 16;
    guest_tlb_search(&state, 0x800fffff);
    assert_int_equal(state.mas[0], TLB1(4));
    assert_int_equal(state.mas[7], 7);
    /* A miss: V off, the defaults, the PID and space that were searched. */
    state.mas[4] = MAS1_TSIZE(1) | MAS2_M;
    state.mas[6] = 8u << 16 | MAS6_SAS;
    guest_tlb_search(&state, 0x6fff);
    assert_int_equal(state.mas[0], MAS0_ESEL(2) | 3);
    assert_int_equal(state.mas[1], MAS1_TID(8) | MAS1_TS | MAS1_TSIZE(1));
    assert_int_equal(state.mas[2] & MAS2_X0, 0);
    assert_int_equal(state.mas[2] & MAS2_WIMGE_MASK, MAS2_M);
    assert_int_equal(state.mas[3], 0);
    assert_int_equal(state.mas[7], 0);
    assert_int_equal(state.mas[6], 8u << 16 | MAS6_SAS);
}

static void test_invalidate(void **context) {
    (void)context;
    write_entry(MAS0_ESEL(0), MAS1_V | MAS1_TID(1), 0x6000, 0x1000, 0);
    write_entry(MAS0_ESEL(1), MAS1_V | MAS1_TID(2) | MAS1_TS, 0x6000, 0x2000, 0);
    write_entry(MAS0_ESEL(2), MAS1_V, 0x86000, 0x3000, 0);
    write_entry(TLB1(0), MAS1_V | MAS1_TSIZE(5), 0x00000000, 0, 0);
    write_entry(TLB1(1), MAS1_V | MAS1_IPROT | MAS1_TSIZE(9), 0x00000000, 0, 0);
    /* Every PID and both spaces, TLB0 alone. */
    guest_tlb_invalidate(&state, 0x6000, &lost);
    assert_false(state.tlb0[6][0].mas1 & MAS1_V);
    assert_false(state.tlb0[6][1].mas1 & MAS1_V);
    assert_true(state.tlb0[6][2].mas1 & MAS1_V);
    assert_true(state.tlb1[0].mas1 & MAS1_V);
    assert_int_equal(lost.count, 1);
    assert_int_equal(lost.range[0].first, 0x6000);
    assert_int_equal(lost.range[0].last, 0x6fff);
    guest_tlb_invalidate(&state, 0x7000, &lost);
    assert_int_equal(lost.count, 0);
    /* TLB1, but for protected entries. */
    guest_tlb_invalidate(&state, 0x000ff000 | TLBIVAX_TLB1, &lost);
    assert_false(state.tlb1[0].mas1 & MAS1_V);
    assert_true(state.tlb1[1].mas1 & MAS1_V);
    assert_int_equal(lost.count, 1);
    assert_int_equal(lost.range[0].last, 0x000fffff);
    guest_tlb_invalidate(&state, TLBIVAX_ALL, &lost);
    assert_true(lost.tlb0);
    assert_false(state.tlb0[6][2].mas1 & MAS1_V);
    for (uint32_t i = 0; i < 16; i++)
        write_entry(TLB1(i), MAS1_V | MAS1_TSIZE(1) | (i == 5 ? MAS1_IPROT : 0), i << 12, 0, 0);
    guest_tlb_invalidate(&state, TLBIVAX_ALL | TLBIVAX_TLB1, &lost);
    assert_false(lost.tlb0);
    assert_int_equal(lost.count, 15);
    assert_true(state.tlb1[5].mas1 & MAS1_V);
    guest_tlb_flash(&state, MMUCSR0_TLB0_FI | MMUCSR0_TLB1_FI, &lost);
    assert_true(lost.tlb0);
    assert_int_equal(lost.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sizes, start),  cmocka_unit_test_setup(test_pids, start),
        cmocka_unit_test_setup(test_rights, start), cmocka_unit_test_setup(test_tlb0_write, start),
        cmocka_unit_test_setup(test_miss, start),   cmocka_unit_test_setup(test_read, start),
        cmocka_unit_test_setup(test_search, start), cmocka_unit_test_setup(test_invalidate, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
