// SPDX-License-Identifier: Apache-2.0
// The shadow of a guest's TLB: what the real CPU then finds in each mode, that nothing outlives what it
// stands for, host PIDs and their recycling, large entries, two vCPUs. The model of the real TLB checks each
// entry.
// unit-sources: arch/ppc/guest/magic.c arch/ppc/guest/shadow.c arch/ppc/guest/shadow_cpu.c arch/ppc/guest/tlb.c
#include "ppc_cpu_fixture.h"
#include "arch/ppc/guest/shadow.h"

static int start(void **context) {
    (void)context;
    fixture_init();
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(shadow_create(&fixture.vcpu[i]), 0);
    return shadow_load(vcpu0());
}

static int stop(void **context) {
    (void)context;
    for (unsigned i = 0; i < VCPUS; i++)
        shadow_destroy(&fixture.vcpu[i]);
    return 0;
}

/* As a miss of the real CPU's would be dealt with. */
static enum shadow_result fill(struct ppc_vcpu *vcpu, uint32_t address, enum tlb_access access) {
    unsigned space = (vcpu->state->msr & (access == TLB_EXECUTE ? MSR_IS : MSR_DS)) != 0;
    const struct ppc_tlb_entry *entry = guest_tlb_lookup(vcpu->state, address, space);
    assert_non_null(entry);
    assert_true(guest_tlb_permits(entry, vcpu->state->msr & MSR_PR, access));
    return shadow_fill(vcpu, entry, address, access);
}

static void set_msr(uint32_t msr) {
    state0()->msr = msr;
    shadow_context(vcpu0());
}

static void set_pid(uint32_t pid) {
    state0()->pid[0] = pid;
    shadow_context(vcpu0());
}

#define assert_maps(vcpu, address, host, rights)                                                             \
    do {                                                                                                     \
        const struct real_entry *found = real_find(vcpu, address);                                           \
        assert_non_null(found);                                                                              \
        assert_true(real_physical(found, address) == (host));                                                \
        assert_int_equal(found->mas3 &(MAS3_UX | MAS3_UW | MAS3_UR), rights);                                \
    } while (0)

static void test_rights(void **context) {
    (void)context;
    map0(state0(), 0, 0x10005000, 0x00123000, MAS3_SR | MAS3_SX | MAS3_UW, 0);
    assert_null(real_find(vcpu0(), 0x10005678));
    assert_int_equal(fill(vcpu0(), 0x10005678, TLB_READ), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10005678, host_of(0x123678), MAS3_UR | MAS3_UX);
    /* User mode has entries of its own. */
    set_msr(MSR_PR);
    assert_null(real_find(vcpu0(), 0x10005678));
    assert_int_equal(fill(vcpu0(), 0x10005678, TLB_WRITE), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10005678, host_of(0x123678), MAS3_UW);
    set_msr(0);
    assert_maps(vcpu0(), 0x10005678, host_of(0x123678), MAS3_UR | MAS3_UX);
}

static void test_memory(void **context) {
    (void)context;
    /* ROM is not written, devices are not mapped, W and I are not passed on, G and E are. */
    map0(state0(), 0, 0x10005000, ROM_BASE + 0x3000, RIGHTS_ALL, 0);
    assert_int_equal(fill(vcpu0(), 0x10005678, TLB_WRITE), SHADOW_DEVICE);
    assert_int_equal(fill(vcpu0(), 0x10005678, TLB_READ), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10005678, ROM_HOST + 0x3678, MAS3_UR | MAS3_UX);
    map0(state0(), 0, 0x10006000, DEVICE_BASE, RIGHTS_ALL, 0);
    assert_int_equal(fill(vcpu0(), 0x10006000, TLB_READ), SHADOW_DEVICE);
    assert_int_equal(fill(vcpu0(), 0x10006000, TLB_EXECUTE), SHADOW_DEVICE);
    assert_null(real_find(vcpu0(), 0x10006000));
    map0(state0(), 0, 0x10007000, RAM_SIZE, RIGHTS_ALL, 0);
    assert_int_equal(fill(vcpu0(), 0x10007000, TLB_READ), SHADOW_DEVICE);
    map0(state0(), 0, 0x10008000, 0x1000, RIGHTS_ALL, 0);
    state0()->tlb0[8][0].mas2 |= MAS2_W | MAS2_I | MAS2_G | MAS2_E;
    assert_int_equal(fill(vcpu0(), 0x10008000, TLB_READ), SHADOW_FILLED);
    assert_int_equal(real_find(vcpu0(), 0x10008000)->mas2, 0x10008000 | MAS2_M | MAS2_G | MAS2_E);
    /* Registers that it is shown: uncached and guarded whatever it says, and no code. */
    map0(state0(), 0, 0x10009000, SHOWN_BASE, RIGHTS_ALL, 0);
    assert_int_equal(fill(vcpu0(), 0x10009004, TLB_EXECUTE), SHADOW_DEVICE);
    assert_int_equal(fill(vcpu0(), 0x10009004, TLB_WRITE), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10009004, SHOWN_BASE + 4, MAS3_UR | MAS3_UW);
    assert_int_equal(real_find(vcpu0(), 0x10009000)->mas2, 0x10009000 | MAS2_I | MAS2_G);
}

/* With the log of written pages running a page can be written once its first write has been noted. */
static void test_dirty(void **context) {
    (void)context;
    uint64_t log;
    vm()->memory.dirty = &log;
    map0(state0(), 0, 0x10006000, 0x00124000, MAS3_SR | MAS3_SW | MAS3_SX, 0);
    map1(state0(), 2, 0x40000000, 0x00100000, TSIZE_1M, RIGHTS_ALL, 0);
    fill(vcpu0(), 0x10006abc, TLB_READ);
    assert_maps(vcpu0(), 0x10006abc, host_of(0x124abc), MAS3_UR | MAS3_UW | MAS3_UX);
    assert_int_equal(fixture.dirty_size, 0); /* no log runs */
    vm()->memory.logging = true;
    shadow_forget(vcpu0());
    fill(vcpu0(), 0x10006abc, TLB_READ);
    assert_maps(vcpu0(), 0x10006abc, host_of(0x124abc), MAS3_UR | MAS3_UX);
    assert_int_equal(fixture.dirty_size, 0);
    fill(vcpu0(), 0x10006abc, TLB_WRITE);
    assert_maps(vcpu0(), 0x10006abc, host_of(0x124abc), MAS3_UR | MAS3_UW | MAS3_UX);
    assert_int_equal(fixture.dirty_first, 0x124000);
    assert_int_equal(fixture.dirty_size, 4096);
    /* A large page of the guest's is noted page by page. */
    fill(vcpu0(), 0x40005000, TLB_WRITE);
    assert_int_equal(fixture.dirty_first, 0x105000);
    assert_int_equal(fixture.dirty_size, 4096);
    assert_null(real_find(vcpu0(), 0x40006000));
    vm()->memory.logging = false;
}

static void test_pids(void **context) {
    (void)context;
    set_pid(3);
    map0(state0(), 0, 0x10005000, 0x00123000, MAS3_SR, MAS1_TID(3));
    map0(state0(), 1, 0x10005000, 0x00456000, MAS3_SR, MAS1_TID(4));
    map0(state0(), 0, 0x10006000, 0x00789000, MAS3_SR, 0);
    fill(vcpu0(), 0x10005000, TLB_READ);
    fill(vcpu0(), 0x10006000, TLB_READ);
    assert_maps(vcpu0(), 0x10005000, host_of(0x123000), MAS3_UR);
    uint32_t shared = vcpu0()->host_pid1, own = vcpu0()->host_pid0;
    assert_true(own && shared && own != shared);
    /* Another process: what is global stays, what is private is gone, and comes back with the PID. */
    set_pid(4);
    assert_int_equal(vcpu0()->host_pid1, shared);
    assert_int_not_equal(vcpu0()->host_pid0, own);
    assert_null(real_find(vcpu0(), 0x10005000));
    assert_maps(vcpu0(), 0x10006000, host_of(0x789000), MAS3_UR);
    fill(vcpu0(), 0x10005000, TLB_READ);
    assert_maps(vcpu0(), 0x10005000, host_of(0x456000), MAS3_UR);
    set_pid(3);
    assert_maps(vcpu0(), 0x10005000, host_of(0x123000), MAS3_UR);
    /* A global page laid over a process's own, which the guest should not do: never two hits. */
    map0(state0(), 2, 0x10005000, 0x00aaa000, MAS3_SR, 0);
    const struct ppc_tlb_entry *entry = &state0()->tlb0[5][2];
    assert_int_equal(shadow_fill(vcpu0(), entry, 0x10005000, TLB_READ), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10005000, host_of(0xaaa000), MAS3_UR);
    set_pid(4);
    assert_maps(vcpu0(), 0x10005000, host_of(0xaaa000), MAS3_UR);
}

static void test_recycling(void **context) {
    (void)context;
    map0(state0(), 0, 0x10006000, 0x00789000, MAS3_SR, 0);
    map1(state0(), 0, 0xc0000000, 0, TSIZE_16M, RIGHTS_ALL, 0);
    for (uint32_t turn = 0; turn < 3; turn++)
        for (uint32_t pid = 0; pid < 256; pid++) {
            state0()->tlb0[5][0].mas1 = 0;
            set_pid(pid);
            map0(state0(), 0, 0x10005000, pid << 12, MAS3_SR, MAS1_TID(pid));
            if (!real_find(vcpu0(), 0x10006000))
                fill(vcpu0(), 0x10006000, TLB_READ);
            if (!real_find(vcpu0(), 0xc0123456))
                fill(vcpu0(), 0xc0123456, TLB_READ);
            if (!real_find(vcpu0(), 0x10005000))
                fill(vcpu0(), 0x10005000, TLB_READ);
            assert_true(vcpu0()->host_pid0 && vcpu0()->host_pid1 && vcpu0()->host_pid0 != vcpu0()->host_pid1);
            assert_maps(vcpu0(), 0x10005000, host_of(pid << 12), MAS3_UR);
            assert_maps(vcpu0(), 0x10006000, host_of(0x789000), MAS3_UR);
            assert_maps(vcpu0(), 0xc0123456, host_of(0x123456), MAS3_UR | MAS3_UW | MAS3_UX);
            struct tlb_lost lost = {.count = 1, .range = {{0x10005000, 0x10005fff}}};
            shadow_lose(vcpu0(), &lost);
            assert_null(real_find(vcpu0(), 0x10005000));
        }
    assert_true(fixture.flashes >= 2);
}

static void test_large(void **context) {
    (void)context;
    /* 16 MiB of the guest's lie in one piece of host memory. */
    map1(state0(), 0, 0xc0000000, 0, TSIZE_16M, MAS3_SR | MAS3_SW | MAS3_SX, 0);
    fill(vcpu0(), 0xc0543210, TLB_READ);
    assert_int_equal(fixture.written, 1);
    assert_int_equal(real_find(vcpu0(), 0xc0000000)->mas1 & MAS1_TSIZE_MASK, MAS1_TSIZE(TSIZE_16M));
    for (uint32_t at = 0; at < 1u << 24; at += 0x7f3c4)
        assert_maps(vcpu0(), 0xc0000000 + at, host_of(at), MAS3_UR | MAS3_UW | MAS3_UX);
    /* The next 16 MiB are scattered in blocks of 2 MiB: 1 MiB at a time. Not aligned alike: 4 KiB. */
    map1(state0(), 1, 0xc1000000, 0x01000000, TSIZE_16M, MAS3_SR, 0);
    fill(vcpu0(), 0xc1543210, TLB_READ);
    assert_int_equal(real_find(vcpu0(), 0xc1500000)->mas1 & MAS1_TSIZE_MASK, MAS1_TSIZE(TSIZE_1M));
    assert_null(real_find(vcpu0(), 0xc1400000));
    assert_maps(vcpu0(), 0xc15fffff, host_of(0x015fffff), MAS3_UR);
    /* Small entries that it covers give way to a large one, in all processes. */
    map1(state0(), 2, 0xd0000000, 0, TSIZE_4K, MAS3_SR, MAS1_TID(1));
    set_pid(1);
    fill(vcpu0(), 0xd0000000, TLB_READ);
    set_pid(2);
    map1(state0(), 2, 0xd0000000, 0x00400000, TSIZE_4M, MAS3_SR, 0);
    fill(vcpu0(), 0xd0012345, TLB_READ);
    assert_maps(vcpu0(), 0xd0000000, host_of(0x400000), MAS3_UR);
    set_pid(1);
    assert_maps(vcpu0(), 0xd0000000, host_of(0x400000), MAS3_UR);
    /* Memory's end inside the page. */
    map1(state0(), 3, 0xe0000000, 0, TSIZE_64M, MAS3_SR, 0);
    fill(vcpu0(), 0xe1ffffff, TLB_READ);
    assert_maps(vcpu0(), 0xe1ffffff, host_of(0x01ffffff), MAS3_UR);
    assert_int_equal(fill(vcpu0(), 0xe2000000, TLB_READ), SHADOW_DEVICE);
}

static void test_crowded(void **context) {
    (void)context;
    map1(state0(), 0, 0xc0000000, 0, TSIZE_16M, MAS3_SR, 0);
    map1(state0(), 1, 0xc1000000, 0x01000000, TSIZE_16M, MAS3_SR, 0);
    for (uint32_t i = 0; i < 16; i++)
        fill(vcpu0(), 0xc1000000 + (i << 20), TLB_READ);
    /* Eight large ones, then small ones; now and then a large one gives way. */
    unsigned large = 0;
    for (unsigned i = 8; i < 16; i++)
        large += (real.tlb1[0][i].mas1 & MAS1_V) != 0;
    assert_int_equal(large, 8);
    assert_int_equal(real_find(vcpu0(), 0xc1f00000)->mas1 & MAS1_TSIZE_MASK, MAS1_TSIZE(TSIZE_4K));
    for (uint32_t i = 0; i < 64; i++)
        fill(vcpu0(), 0xc1800000 + (i << 12), TLB_READ);
    unsigned bigger = 0;
    for (uint32_t i = 8; i < 16; i++) {
        const struct real_entry *found = real_find(vcpu0(), 0xc1000000 + (i << 20));
        bigger += found && (found->mas1 & MAS1_TSIZE_MASK) == MAS1_TSIZE(TSIZE_1M);
    }
    assert_int_equal(bigger, 1);
}

static void test_lose(void **context) {
    (void)context;
    struct tlb_lost lost;
    map1(state0(), 0, 0xc0000000, 0, TSIZE_16M, MAS3_SR, 0);
    map1(state0(), 1, 0xc1000000, 0x01000000, TSIZE_16M, MAS3_SR, MAS1_IPROT);
    map0(state0(), 0, 0x10005000, 0x00123000, MAS3_SR, 0);
    fill(vcpu0(), 0xc0000000, TLB_READ);
    for (uint32_t i = 0; i < 10; i++)
        fill(vcpu0(), 0xc1000000 + (i << 20), TLB_READ);
    fill(vcpu0(), 0x10005000, TLB_READ);
    /* Only what stands for TLB0 goes with TLB0. */
    guest_tlb_flash(state0(), MMUCSR0_TLB0_FI, &lost);
    shadow_lose(vcpu0(), &lost);
    assert_null(real_find(vcpu0(), 0x10005000));
    assert_non_null(real_find(vcpu0(), 0xc0000000));
    assert_non_null(real_find(vcpu0(), 0xc1900000));
    /* Only what stands for unprotected entries with TLB1. */
    guest_tlb_flash(state0(), MMUCSR0_TLB1_FI, &lost);
    shadow_lose(vcpu0(), &lost);
    assert_null(real_find(vcpu0(), 0xc0000000));
    assert_non_null(real_find(vcpu0(), 0xc1000000));
    assert_non_null(real_find(vcpu0(), 0xc1900000));
    /* An entry that is overwritten: in every mode that had it, large and small parts. */
    set_msr(MSR_PR);
    state0()->tlb1[1].mas3 |= MAS3_UR;
    fill(vcpu0(), 0xc1a00000, TLB_READ);
    state0()->mas[0] = MAS0_TLBSEL(1) | MAS0_ESEL(1);
    guest_tlb_write(state0(), &lost);
    shadow_lose(vcpu0(), &lost);
    for (uint32_t i = 0; i < 16; i++)
        assert_null(real_find(vcpu0(), 0xc1000000 + (i << 20)));
    set_msr(0);
    for (uint32_t i = 0; i < 16; i++)
        assert_null(real_find(vcpu0(), 0xc1000000 + (i << 20)));
}

static void test_forget(void **context) {
    (void)context;
    map1(state0(), 0, 0xc0000000, 0, TSIZE_16M, MAS3_SR, 0);
    map0(state0(), 0, 0x10005000, 0x00123000, MAS3_SR, 0);
    fill(vcpu0(), 0xc0000000, TLB_READ);
    fill(vcpu0(), 0x10005000, TLB_READ);
    shadow_forget(vcpu0());
    assert_null(real_find(vcpu0(), 0xc0000000));
    assert_null(real_find(vcpu0(), 0x10005000));
    /* Many times: the large entries do not stay occupied, and PIDs do not run out. */
    for (unsigned i = 0; i < 600; i++) {
        fill(vcpu0(), 0xc0000000, TLB_READ);
        assert_int_equal(real_find(vcpu0(), 0xc0000000)->mas1 & MAS1_TSIZE_MASK, MAS1_TSIZE(TSIZE_16M));
        if (i % 3 == 0)
            shadow_put(vcpu0()); /* also while it is away */
        shadow_forget(vcpu0());
        if (i % 3 == 0)
            assert_int_equal(shadow_load(vcpu0()), 0);
        assert_null(real_find(vcpu0(), 0xc0000000));
    }
}

static void test_move(void **context) {
    (void)context;
    map0(state0(), 0, 0x10005000, 0x00123000, MAS3_SR, 0);
    fill(vcpu0(), 0x10005000, TLB_READ);
    /* Another vCPU on the same CPU has nothing of it, and the first finds its own again. */
    shadow_put(vcpu0());
    assert_int_equal(shadow_load(&fixture.vcpu[1]), 0);
    assert_null(real_find(&fixture.vcpu[1], 0x10005000));
    map0(&fixture.state[1], 0, 0x10005000, 0x00456000, MAS3_SR, 0);
    fill(&fixture.vcpu[1], 0x10005000, TLB_READ);
    assert_maps(&fixture.vcpu[1], 0x10005000, host_of(0x456000), MAS3_UR);
    shadow_put(&fixture.vcpu[1]);
    assert_int_equal(shadow_load(vcpu0()), 0);
    assert_maps(vcpu0(), 0x10005000, host_of(0x123000), MAS3_UR);
    /* On another CPU it loses the page; back on the first, the old entry must not be found. */
    shadow_put(vcpu0());
    test_cpu = &fixture.cpu[1];
    assert_int_equal(shadow_load(vcpu0()), 0);
    assert_null(real_find(vcpu0(), 0x10005000));
    fill(vcpu0(), 0x10005000, TLB_READ);
    struct tlb_lost lost = {.count = 1, .range = {{0x10005000, 0x10005fff}}};
    shadow_lose(vcpu0(), &lost);
    shadow_put(vcpu0());
    test_cpu = &fixture.cpu[0];
    assert_int_equal(shadow_load(vcpu0()), 0);
    assert_null(real_find(vcpu0(), 0x10005000));
    /* What was lost while it ran nowhere. */
    fill(vcpu0(), 0x10005000, TLB_READ);
    shadow_put(vcpu0());
    shadow_lose(vcpu0(), &lost);
    assert_int_equal(shadow_load(vcpu0()), 0);
    assert_null(real_find(vcpu0(), 0x10005000));
}

/* MSR[IS] != MSR[DS]. */
static void test_split(void **context) {
    (void)context;
    set_msr(MSR_IS);
    /* The same page on both sides: one entry with both's rights. */
    map0(state0(), 0, 0x10005000, 0x00123000, MAS3_SX | MAS3_SR, MAS1_TS);
    map0(state0(), 1, 0x10005000, 0x00123000, MAS3_SW | MAS3_SR, 0);
    assert_int_equal(fill(vcpu0(), 0x10005000, TLB_EXECUTE), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10005000, host_of(0x123000), MAS3_UX | MAS3_UW | MAS3_UR);
    /* One side alone. */
    map0(state0(), 0, 0x10006000, 0x00124000, MAS3_SX | MAS3_SR, MAS1_TS);
    assert_int_equal(fill(vcpu0(), 0x10006000, TLB_EXECUTE), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10006000, host_of(0x124000), MAS3_UX);
    map0(state0(), 0, 0x10007000, 0x00125000, MAS3_SX | MAS3_SR, 0);
    assert_int_equal(fill(vcpu0(), 0x10007000, TLB_READ), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10007000, host_of(0x125000), MAS3_UR);
    /* To be run and read on one side, to be written alone on the other: the hypervisor does not read there
     * what the guest may not. */
    map0(state0(), 0, 0x10009000, 0x00128000, MAS3_SX | MAS3_SR, MAS1_TS);
    map0(state0(), 1, 0x10009000, 0x00128000, MAS3_SW, 0);
    assert_int_equal(fill(vcpu0(), 0x10009000, TLB_WRITE), SHADOW_FILLED);
    assert_maps(vcpu0(), 0x10009000, host_of(0x128000), MAS3_UX | MAS3_UW);
    /* Two pages: code runs, data accesses are done by hand. */
    map0(state0(), 0, 0x10008000, 0x00126000, MAS3_SX, MAS1_TS);
    map0(state0(), 1, 0x10008000, 0x00127000, MAS3_SR, 0);
    assert_int_equal(fill(vcpu0(), 0x10008000, TLB_EXECUTE), SHADOW_FILLED);
    assert_int_equal(fill(vcpu0(), 0x10008000, TLB_READ), SHADOW_CONFLICT);
    assert_maps(vcpu0(), 0x10008000, host_of(0x126000), MAS3_UX);
    /* With IS = DS again nothing of it is seen. */
    set_msr(MSR_IS | MSR_DS);
    for (uint32_t at = 0x10005000; at <= 0x10008000; at += 0x1000)
        assert_null(real_find(vcpu0(), at));
    set_msr(0);
    for (uint32_t at = 0x10005000; at <= 0x10008000; at += 0x1000)
        assert_null(real_find(vcpu0(), at));
    fill(vcpu0(), 0x10008000, TLB_READ);
    assert_maps(vcpu0(), 0x10008000, host_of(0x127000), MAS3_UR);
}

static void test_broadcast(void **context) {
    (void)context;
    struct ppc_vcpu *other = &fixture.vcpu[1];
    struct ppc_vcpu_state *state = &fixture.state[1];
    map0(state, 0, 0x10005000, 0x00456000, MAS3_SR, 0);
    map0(state, 0, 0x10006000, 0x00456000, MAS3_SR, 0);
    map1(state, 0, 0xc0000000, 0, TSIZE_16M, MAS3_SR, 0);
    shadow_broadcast(vcpu0(), 0x10005000);
    assert_int_equal(other->core.requests, PPC_REQUEST_TLB);
    assert_int_equal(vcpu0()->core.requests, 0);
    shadow_take_broadcast(other);
    assert_false(state->tlb0[5][0].mas1 & MAS1_V);
    assert_true(state->tlb0[6][0].mas1 & MAS1_V);
    assert_true(state->tlb1[0].mas1 & MAS1_V);
    /* Too many to remember: all of that TLB, and only of that. */
    for (unsigned i = 0; i < 9; i++)
        shadow_broadcast(vcpu0(), 0x20000000);
    shadow_take_broadcast(other);
    assert_false(state->tlb0[6][0].mas1 & MAS1_V);
    assert_true(state->tlb1[0].mas1 & MAS1_V);
    shadow_broadcast(vcpu0(), 0xc0000000 | TLBIVAX_TLB1);
    shadow_take_broadcast(other);
    assert_false(state->tlb1[0].mas1 & MAS1_V);
    /* tlbsync waits for nobody who is outside the guest, and not for ever. */
    other->core.in_guest = 1;
    shadow_wait(vcpu0());
}

static void test_no_memory(void **context) {
    (void)context;
    fixture.heap_left = 0;
    shadow_put(vcpu0());
    struct ppc_vcpu vcpu = {.core = {.vm = vm()}};
    assert_int_equal(shadow_create(&vcpu), -ENOMEM);
    shadow_destroy(&vcpu);
    struct cpu third = {.number = 62};
    test_cpu = &third;
    assert_int_equal(shadow_load(vcpu0()), -ENOMEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_rights),    TEST(test_memory), TEST(test_dirty),   TEST(test_pids),
        TEST(test_recycling), TEST(test_large),  TEST(test_crowded), TEST(test_lose),
        TEST(test_forget),    TEST(test_move),   TEST(test_split),   TEST(test_broadcast),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
