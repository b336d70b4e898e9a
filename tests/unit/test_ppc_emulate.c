// SPDX-License-Identifier: Apache-2.0
// Privileged instructions of a guest: MSR, returns, each special register, the TLB's, the caches'.
// unit-sources: arch/ppc/guest/emulate.c arch/ppc/guest/spr.c arch/ppc/guest/tlb.c arch/ppc/guest/shadow.c
// unit-sources: arch/ppc/guest/shadow_cpu.c arch/ppc/guest/interrupt.c arch/ppc/guest/clock.c arch/ppc/guest/magic.c
// unit-sources: arch/ppc/guest/translate.c
#include "ppc_cpu_fixture.h"
#include "arch/ppc/guest/decode.h"
#include "arch/ppc/guest/emulate.h"
#include "arch/ppc/guest/shadow.h"

#define PC 0x1000u

static int start(void **context) {
    (void)context;
    fixture_init();
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(shadow_create(&fixture.vcpu[i]), 0);
    state0()->registers.pc = PC;
    return shadow_load(vcpu0());
}

static int stop(void **context) {
    (void)context;
    for (unsigned i = 0; i < VCPUS; i++)
        shadow_destroy(&fixture.vcpu[i]);
    return 0;
}

/* ---- an assembler */

static uint32_t op31(unsigned rt, unsigned ra, unsigned rb, unsigned extended) {
    return 31u << 26 | rt << 21 | ra << 16 | rb << 11 | extended << 1;
}
static uint32_t with_spr(unsigned rt, unsigned spr, unsigned extended) {
    return op31(rt, spr & 31, spr >> 5, extended);
}
static uint32_t op19(unsigned extended) {
    return 19u << 26 | extended << 1;
}

static uint32_t *gpr(void) {
    return state0()->registers.gpr;
}

/* Executes a word that is followed by the next. */
static void execute(uint32_t word) {
    uint32_t pc = state0()->registers.pc;
    assert_int_equal(emulate_instruction(vcpu0(), word), EMULATE_NEXT);
    assert_int_equal(state0()->registers.pc, pc + 4);
}

static void illegal(uint32_t word) {
    static struct ppc_vcpu_state before;
    before = *state0();
    assert_int_equal(emulate_instruction(vcpu0(), word), EMULATE_ILLEGAL);
    assert_memory_equal(&before, state0(), sizeof(before));
}

static uint32_t mfspr(unsigned spr) {
    gpr()[7] = 0xdeadbeef;
    execute(with_spr(7, spr, OP31_MFSPR));
    return gpr()[7];
}
static void mtspr(unsigned spr, uint32_t value) {
    gpr()[8] = value;
    execute(with_spr(8, spr, OP31_MTSPR));
}

static void test_msr(void **context) {
    (void)context;
    state0()->msr = MSR_ME | MSR_CE;
    execute(op31(3, 0, 0, OP31_MFMSR));
    assert_int_equal(gpr()[3], MSR_ME | MSR_CE);
    execute(op31(0, 0, 0x10, OP31_WRTEEI)); /* E = 1 */
    assert_int_equal(state0()->msr, MSR_ME | MSR_CE | MSR_EE);
    execute(op31(0, 0, 0, OP31_WRTEEI));
    assert_int_equal(state0()->msr, MSR_ME | MSR_CE);
    gpr()[4] = 0xffffffff;
    execute(op31(4, 0, 0, OP31_WRTEE));
    assert_int_equal(state0()->msr, MSR_ME | MSR_CE | MSR_EE);
    gpr()[4] = ~(uint32_t)MSR_EE;
    execute(op31(4, 0, 0, OP31_WRTEE));
    assert_int_equal(state0()->msr, MSR_ME | MSR_CE);
    /* What an e500v2 has; the host PIDs follow the mode. */
    uint32_t pid0 = vcpu0()->host_pid0;
    gpr()[5] = 0xffffffff & ~(uint32_t)MSR_WE;
    execute(op31(5, 0, 0, OP31_MTMSR));
    assert_int_equal(state0()->msr, GUEST_MSR_BITS & ~(uint32_t)MSR_WE);
    assert_int_not_equal(vcpu0()->host_pid0, pid0);
    assert_int_equal(state0()->activity, PPC_RUNNING);
}

static void test_wait(void **context) {
    (void)context;
    /* WE without a power-saving mode does nothing. */
    gpr()[5] = MSR_WE | MSR_EE;
    execute(op31(5, 0, 0, OP31_MTMSR));
    assert_int_equal(state0()->activity, PPC_RUNNING);
    state0()->hid0 = HID0_DOZE;
    execute(op31(5, 0, 0, OP31_MTMSR));
    assert_int_equal(state0()->activity, PPC_WAITING);
    state0()->activity = PPC_RUNNING;
    execute(op31(0, 0, 0, OP31_WAIT));
    assert_int_equal(state0()->activity, PPC_WAITING);
}

static void test_returns(void **context) {
    (void)context;
    static const struct {
        unsigned extended;
        size_t pc, msr;
    } each[] = {
        {OP19_RFI, offsetof(struct ppc_vcpu_state, srr0), offsetof(struct ppc_vcpu_state, srr1)},
        {OP19_RFCI, offsetof(struct ppc_vcpu_state, csrr0), offsetof(struct ppc_vcpu_state, csrr1)},
        {OP19_RFMCI, offsetof(struct ppc_vcpu_state, mcsrr0), offsetof(struct ppc_vcpu_state, mcsrr1)},
    };
    for (unsigned i = 0; i < 3; i++) {
        char *base = (char *)state0();
        *(uint32_t *)(void *)(base + each[i].pc) = 0x5003 + (i << 12);
        *(uint32_t *)(void *)(base + each[i].msr) = MSR_EE | MSR_PR | MSR_FP | i << 4;
        assert_int_equal(emulate_instruction(vcpu0(), op19(each[i].extended)), EMULATE_JUMP);
        assert_int_equal(state0()->registers.pc, 0x5000 + (i << 12));
        assert_int_equal(state0()->msr, MSR_EE | MSR_PR | i << 4);
    }
    illegal(op19(39));  /* rfdi */
    illegal(op19(102)); /* rfgi */
}

static void test_plain_registers(void **context) {
    (void)context;
    static const struct {
        uint16_t spr;
        uint32_t mask;
    } each[] = {
        {SPR_SRR0, ~3u},        {SPR_SRR1, ~0u},        {SPR_CSRR0, ~3u},       {SPR_CSRR1, ~0u},
        {SPR_MCSRR0, ~3u},      {SPR_MCSRR1, ~0u},      {SPR_DEAR, ~0u},        {SPR_ESR, GUEST_ESR_BITS},
        {SPR_IVPR, 0xffff0000}, {SPR_USPRG0, ~0u},      {SPR_SPRG0, ~0u},       {SPR_SPRG1, ~0u},
        {SPR_SPRG2, ~0u},       {SPR_SPRG3, ~0u},       {SPR_SPRG4, ~0u},       {SPR_SPRG5, ~0u},
        {SPR_SPRG6, ~0u},       {SPR_SPRG7, ~0u},       {SPR_PID, 0xff},        {SPR_PID1, 0xff},
        {SPR_PID2, 0xff},       {SPR_DBCR1, ~0u},       {SPR_IAC1, ~0u},        {SPR_DAC2, ~0u},
        {SPR_SPEFSCR, ~0u},     {SPR_IVOR32, 0xfff0},   {SPR_IVOR33, 0xfff0},   {SPR_IVOR34, 0xfff0},
        {SPR_IVOR35, 0xfff0},   {SPR_MAS0, 0x100f0003}, {SPR_MAS1, 0xc0ff1f00}, {SPR_MAS2, 0xfffff07f},
        {SPR_MAS3, 0xfffff3ff}, {SPR_MAS4, 0x10030f7f}, {SPR_MAS6, 0x00ff0001}, {SPR_MAS7, 0x0000000f},
        {SPR_BUCSR, 0x1},       {SPR_MMUCSR0, 0},       {SPR_BBEAR, 0},
    };
    for (unsigned i = 0; i < array_count(each); i++) {
        mtspr(each[i].spr, 0xffffffff);
        assert_int_equal(mfspr(each[i].spr), each[i].mask);
        mtspr(each[i].spr, 0x5a5a5a5a);
        assert_int_equal(mfspr(each[i].spr), each[i].mask & 0x5a5a5a5a);
    }
    for (unsigned i = 0; i < 16; i++) {
        mtspr(SPR_IVOR(i), 0xabc00f13 + (i << 4));
        assert_int_equal(state0()->ivor[i], 0x0f10 + (i << 4));
    }
    /* SPRG3-7 under their users' numbers. */
    for (unsigned i = 0; i < 5; i++) {
        mtspr(SPR_SPRG3 + i, 77 + i);
        assert_int_equal(mfspr(SPR_SPRG3_USER + i), 77 + i);
        illegal(with_spr(0, SPR_SPRG3_USER + i, OP31_MTSPR));
    }
    /* Bits that start something and are not seen again: flash invalidation of caches. */
    mtspr(SPR_L1CSR0, L1CSR0_CE | L1CSR0_CFI | 0x100);
    assert_int_equal(mfspr(SPR_L1CSR0), L1CSR0_CE);
    mtspr(SPR_L1CSR1, L1CSR0_CE | L1CSR0_CFI | L1CSR0_CPE);
    assert_int_equal(mfspr(SPR_L1CSR1), L1CSR0_CE | L1CSR0_CPE);
    assert_true(spr_guest_valid(state0()));
}

static void test_read_only(void **context) {
    (void)context;
    fixture.spr[SPR_PVR] = 0x80210030; /* the host's own, which the guest does not see */
    fixture.spr[SPR_SVR] = 0x80210000;
    fixture.spr[SPR_L1CFG0] = 0x3820;
    fixture.spr[SPR_L1CFG1] = 0x3821;
    fixture.timebase = 0x1122334455667788;
    state0()->pir = 1;
    state0()->epr = 0x123;
    state0()->mcar = 0x456;
    static const struct {
        uint16_t spr;
        uint32_t value;
    } each[] = {
        {SPR_PVR, PPC_GUEST_PVR},
        {SPR_SVR, PPC_GUEST_SVR},
        {SPR_L1CFG0, 0x3820},
        {SPR_L1CFG1, 0x3821},
        {SPR_PIR, 1},
        {SPR_EPR, 0x123},
        {SPR_MCAR, 0x456},
        {SPR_MCARU, 0},
        {SPR_MMUCFG, 0x19c4},
        {SPR_TLB0CFG, 0x04110200},
        {SPR_TLB1CFG, 0x101bc010},
        {SPR_TBL, 0x55667788},
        {SPR_TBU, 0x11223344},
        {SPR_ATBL, 0x55667788},
        {SPR_ATBU, 0x11223344},
    };
    for (unsigned i = 0; i < array_count(each); i++) {
        assert_int_equal(mfspr(each[i].spr), each[i].value);
        illegal(with_spr(0, each[i].spr, OP31_MTSPR));
    }
    /* Write only. The time base is not the guest's to set. */
    mtspr(SPR_DECAR, 0x1234);
    assert_int_equal(state0()->decar, 0x1234);
    illegal(with_spr(0, SPR_DECAR, OP31_MFSPR));
    mtspr(SPR_TBL_WRITE, 0);
    assert_int_equal(mfspr(SPR_TBL), 0x55667788);
    illegal(with_spr(0, SPR_TBU_WRITE, OP31_MFSPR));
}

static void test_absent(void **context) {
    (void)context;
    /* IVOR36, SPRG8, MAS5, EPCR, L2CSR0, those of other families. */
    static const uint16_t absent[] = {0, 18, 25, 604, 605, 629, 307, 532, 1017, 528 + 4, 688 + 2, 1014, 1020};
    for (unsigned i = 0; i < array_count(absent); i++) {
        illegal(with_spr(0, absent[i], OP31_MFSPR));
        illegal(with_spr(0, absent[i], OP31_MTSPR));
    }
    illegal(op31(0, 0, 0, 18));  /* tlbilx */
    illegal(op31(0, 0, 0, 206)); /* msgsnd */
    illegal(op31(0, 0, 0, 323)); /* mfdcr */
    illegal(0);
    illegal(0x60000000);
    illegal(0xffffffff);
}

static void test_consequences(void **context) {
    (void)context;
    /* Ones clear. */
    state0()->mcsr = 0xf0;
    mtspr(SPR_MCSR, 0x30);
    assert_int_equal(mfspr(SPR_MCSR), 0xc0);
    state0()->dbsr = 3;
    mtspr(SPR_DBSR, 1);
    assert_int_equal(mfspr(SPR_DBSR), 2);
    state0()->tsr = TSR_DIS | TSR_FIS;
    mtspr(SPR_TSR, TSR_DIS);
    assert_int_equal(mfspr(SPR_TSR), TSR_FIS);
    assert_int_equal(vcpu0()->core.requests, PPC_REQUEST_EVENT);
    mtspr(SPR_TCR, TCR_DIE | 1);
    assert_int_equal(mfspr(SPR_TCR), TCR_DIE);
    mtspr(SPR_DEC, 1000);
    fixture.timebase += 10;
    assert_int_equal(mfspr(SPR_DEC), 990);
    /* DECAR is loaded as it was at that time, also where nobody has looked since. */
    mtspr(SPR_DECAR, 1000);
    mtspr(SPR_TCR, TCR_ARE);
    mtspr(SPR_DEC, 100);
    fixture.timebase += 150;
    mtspr(SPR_DECAR, 60);
    assert_int_equal(mfspr(SPR_DEC), 950);
    fixture.timebase += 950;
    assert_int_equal(mfspr(SPR_DEC), 60);
    /* The branch buffer is flushed for real. */
    mtspr(SPR_BUCSR, BUCSR_BPEN);
    assert_int_equal(fixture.spr[SPR_BUCSR], 0);
    mtspr(SPR_BUCSR, BUCSR_BPEN | BUCSR_BBFI);
    assert_int_equal(fixture.spr[SPR_BUCSR], BUCSR_BBFI);
    /* PID: another context. */
    uint32_t pid0 = vcpu0()->host_pid0;
    mtspr(SPR_PID, 0x105);
    assert_int_equal(state0()->pid[0], 5);
    assert_int_not_equal(vcpu0()->host_pid0, pid0);
    /* Reset by the debug control register. */
    mtspr(SPR_DBCR0, DBCR0_IDM | 0x10000000);
    assert_int_equal(fixture.end, VM_END_NONE);
    assert_int_equal(mfspr(SPR_DBCR0), DBCR0_IDM);
    mtspr(SPR_DBCR0, 0x30000000);
    assert_int_equal(fixture.end, VM_END_RESET);
}

static void test_performance(void **context) {
    (void)context;
    execute(with_spr(9, 400, OP31_MFPMR));
    assert_int_equal(gpr()[9], 0x80000000);
    execute(with_spr(9, 16, OP31_MFPMR));
    assert_int_equal(gpr()[9], 0);
    execute(with_spr(9, 275, OP31_MTPMR));
    illegal(with_spr(9, 401, OP31_MFPMR));
    illegal(with_spr(9, 20, OP31_MTPMR));
}

static void test_tlb(void **context) {
    (void)context;
    mtspr(SPR_MAS0, MAS0_ESEL(1));
    mtspr(SPR_MAS1, MAS1_V);
    mtspr(SPR_MAS2, 0x10005000);
    mtspr(SPR_MAS3, 0x00123000 | MAS3_SR);
    mtspr(SPR_MAS7, 0);
    execute(op31(0, 0, 0, OP31_TLBWE));
    const struct ppc_tlb_entry *entry = guest_tlb_lookup(state0(), 0x10005000, 0);
    assert_non_null(entry);
    assert_int_equal(shadow_fill(vcpu0(), entry, 0x10005000, TLB_READ), SHADOW_FILLED);
    assert_non_null(real_find(vcpu0(), 0x10005000));
    mtspr(SPR_MAS6, 0);
    /* RA = 0 is the number 0. */
    gpr()[0] = 0x77777000;
    gpr()[3] = 0x10000000;
    gpr()[4] = 0x10005000;
    gpr()[5] = 0x00005000;
    execute(op31(0, 3, 5, OP31_TLBSX));
    assert_int_equal(mfspr(SPR_MAS1), MAS1_V | MAS1_TSIZE(1));
    execute(op31(0, 0, 4, OP31_TLBSX));
    assert_int_equal(mfspr(SPR_MAS1), MAS1_V | MAS1_TSIZE(1));
    mtspr(SPR_MAS3, 0);
    execute(op31(0, 0, 0, OP31_TLBRE));
    assert_int_equal(mfspr(SPR_MAS3), 0x00123000 | MAS3_SR);
    /* Gone from the guest's TLB, from the real one, and the other vCPU is told. */
    execute(op31(0, 0, 4, OP31_TLBIVAX));
    assert_null(guest_tlb_lookup(state0(), 0x10005000, 0));
    assert_null(real_find(vcpu0(), 0x10005000));
    assert_int_equal(fixture.vcpu[1].core.requests, PPC_REQUEST_TLB);
    execute(op31(0, 0, 0, OP31_TLBSYNC));
    /* Flash invalidation is this CPU's alone. */
    fixture.vcpu[1].core.requests = 0;
    execute(op31(0, 0, 0, OP31_TLBWE));
    entry = guest_tlb_lookup(state0(), 0x10005000, 0);
    shadow_fill(vcpu0(), entry, 0x10005000, TLB_READ);
    mtspr(SPR_MMUCSR0, MMUCSR0_TLB0_FI);
    assert_null(real_find(vcpu0(), 0x10005000));
    assert_null(guest_tlb_lookup(state0(), 0x10005000, 0));
    assert_int_equal(fixture.vcpu[1].core.requests, 0);
    /* Overwriting does it too. */
    execute(op31(0, 0, 0, OP31_TLBWE));
    shadow_fill(vcpu0(), guest_tlb_lookup(state0(), 0x10005000, 0), 0x10005000, TLB_READ);
    mtspr(SPR_MAS1, 0);
    execute(op31(0, 0, 0, OP31_TLBWE));
    assert_null(real_find(vcpu0(), 0x10005000));
}

static void test_caches(void **context) {
    (void)context;
    state0()->ivpr = 0xc0000000;
    state0()->ivor[IVOR_DATA_TLB] = 0x130;
    state0()->ivor[IVOR_DATA_STORAGE] = 0x20;
    gpr()[3] = 0x10005004;
    assert_int_equal(emulate_instruction(vcpu0(), op31(0, 0, 3, OP31_DCBI)), EMULATE_JUMP);
    assert_int_equal(state0()->registers.pc, 0xc0000130);
    assert_int_equal(state0()->srr0, PC);
    assert_int_equal(state0()->dear, 0x10005004);
    assert_int_equal(state0()->esr, ESR_ST);
    map0(state0(), 0, 0x10005000, 0x00123000, MAS3_SR | MAS3_UW, 0);
    assert_int_equal(emulate_instruction(vcpu0(), op31(0, 0, 3, OP31_DCBI)), EMULATE_JUMP);
    assert_int_equal(state0()->registers.pc, 0xc0000020);
    map0(state0(), 0, 0x10005000, 0x00123000, MAS3_SW, 0);
    execute(op31(0, 0, 3, OP31_DCBI));
    execute(op31(0, 0, 3, OP31_ICBT));
    execute(op31(0, 0, 3, OP31_DCBTLS));
    assert_int_equal(state0()->l1csr0, 0x400);
    execute(op31(0, 0, 3, OP31_ICBTLS));
    assert_int_equal(state0()->l1csr1, 0x400);
    execute(op31(0, 0, 3, OP31_DCBLC));
    assert_false(emulate_cache_lock(vcpu0(), op31(0, 0, 3, OP31_DCBI)));
    assert_false(emulate_cache_lock(vcpu0(), 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_msr),       TEST(test_wait),   TEST(test_returns),      TEST(test_plain_registers),
        TEST(test_read_only), TEST(test_absent), TEST(test_consequences), TEST(test_performance),
        TEST(test_tlb),       TEST(test_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
