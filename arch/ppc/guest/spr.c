// SPDX-License-Identifier: Apache-2.0
// The special-purpose registers that a guest's kernel sees: a table of numbers, where the value is kept,
// which bits can be written (e500 core manual, ch. 2). What is not in it does not exist.
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/emulate.h"
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/guest/shadow.h"
#include "arch/ppc/instructions.h"

/* L1CSR0 and L1CSR1 have the same layout: enable, parity, and the lock bits; the flash bits are never seen
 * set. */
#define L1CSR_BITS    0x00018e01u
#define HID0_BITS     0x80e060c1u
#define HID1_BITS     0x0002f400u
#define ALL           UINT32_MAX
#define DBCR0_RESET   0x20000000u

/* What e500v2 cores have: three PIDs of 8 bits, two TLBs (2.12.3); TLB0 4 ways of 128, 4 KiB; TLB1 16
 * entries, 4 KiB to 4 GiB, IPROT (2.12.4). */
#define MMUCFG_VALUE  0x000019c4u
#define TLB0CFG_VALUE 0x04110200u
#define TLB1CFG_VALUE 0x101bc010u

#define READABLE      1u
#define CLEARED_BY_1  2u /* writing ones clears */

struct spr {
    uint16_t number;
    uint8_t flags;
    uint16_t offset; /* in ppc_vcpu_state, where there is no function */
    uint32_t mask;   /* bits that can be written; 0: read only */
    uint32_t (*read)(struct ppc_vcpu *vcpu);
    void (*write)(struct ppc_vcpu *vcpu, uint32_t value);
};

/* ---- registers with consequences */

static void pid_write(struct ppc_vcpu *vcpu, unsigned which, uint32_t value) {
    vcpu->state->pid[which] = value & 0xff;
    shadow_context(vcpu);
}
static void pid0_write(struct ppc_vcpu *vcpu, uint32_t value) {
    pid_write(vcpu, 0, value);
}
static void pid1_write(struct ppc_vcpu *vcpu, uint32_t value) {
    pid_write(vcpu, 1, value);
}
static void pid2_write(struct ppc_vcpu *vcpu, uint32_t value) {
    pid_write(vcpu, 2, value);
}

static void mmucsr0_write(struct ppc_vcpu *vcpu, uint32_t value) {
    struct tlb_lost lost;
    guest_tlb_flash(vcpu->state, value, &lost);
    shadow_lose(vcpu, &lost);
}

static uint32_t zero_read(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return 0;
}
/* The real time base is everybody's, and user mode reads it: it cannot be set. Locked branches: there are
 * none. */
static void ignored_write(struct ppc_vcpu *vcpu, uint32_t value) {
    (void)vcpu;
    (void)value;
}
static uint32_t timebase_low(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return (uint32_t)timebase_read();
}
static uint32_t timebase_high(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return (uint32_t)(timebase_read() >> 32);
}

static void timers_changed(struct ppc_vcpu *vcpu) {
    __atomic_or_fetch(&vcpu->core.requests, PPC_REQUEST_EVENT, __ATOMIC_RELAXED);
}
static void dec_write(struct ppc_vcpu *vcpu, uint32_t value) {
    clock_dec_write(vcpu, value);
    timers_changed(vcpu);
}
static void tsr_write(struct ppc_vcpu *vcpu, uint32_t value) {
    clock_tsr_write(vcpu, value);
    timers_changed(vcpu);
}
static void tcr_write(struct ppc_vcpu *vcpu, uint32_t value) {
    clock_tcr_write(vcpu, value);
    timers_changed(vcpu);
}

/* RST = 1x resets the core, and with it the machine (2.13.1.1). */
static void dbcr0_write(struct ppc_vcpu *vcpu, uint32_t value) {
    vcpu->state->dbcr0 = value & ~DBCR0_RST_MASK;
    if (value & DBCR0_RESET)
        vm_end(vcpu->core.vm, VM_END_RESET, 0, "reset by DBCR0");
}

/* The guest's way to keep predictions of one mode from another: done on the real branch buffer. */
static void bucsr_write(struct ppc_vcpu *vcpu, uint32_t value) {
    vcpu->state->bucsr = value & BUCSR_BPEN;
    if (value & BUCSR_BBFI) {
        spr_write(SPR_BUCSR, spr_read(SPR_BUCSR) | BUCSR_BBFI);
        context_sync();
    }
}

/* The flash bits read as 0: done. A data cache is never invalidated, it has the hypervisor's data, too. */
static void l1csr1_write(struct ppc_vcpu *vcpu, uint32_t value) {
    vcpu->state->l1csr1 = value & L1CSR_BITS;
    if (value & L1CSR0_CFI)
        cache_forget_code();
}

static uint32_t pvr_read(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return PPC_GUEST_PVR;
}
static uint32_t svr_read(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return PPC_GUEST_SVR;
}
static uint32_t l1cfg0_read(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return spr_read(SPR_L1CFG0);
}
static uint32_t l1cfg1_read(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return spr_read(SPR_L1CFG1);
}
static uint32_t mmucfg_read(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return MMUCFG_VALUE;
}
static uint32_t tlb0cfg_read(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return TLB0CFG_VALUE;
}
static uint32_t tlb1cfg_read(struct ppc_vcpu *vcpu) {
    (void)vcpu;
    return TLB1CFG_VALUE;
}

/* ---- the table, by number */

#define AT(field) .offset = offsetof(struct ppc_vcpu_state, field)
#define KEPT(spr, field, bits)                                                                               \
    { .number = (spr), .flags = READABLE, AT(field), .mask = (bits) }
#define READ_ONLY(spr, field)                                                                                \
    { .number = (spr), .flags = READABLE, AT(field) }
#define COMPUTED(spr, reader)                                                                                \
    { .number = (spr), .flags = READABLE, .read = (reader) }
#define BOTH(spr, reader, writer)                                                                            \
    { .number = (spr), .flags = READABLE, .read = (reader), .write = (writer) }
#define WRITTEN(spr, field, writer)                                                                          \
    { .number = (spr), .flags = READABLE, AT(field), .write = (writer) }
#define IVOR_ENTRY(n) KEPT(SPR_IVOR(n), ivor[n], 0xfff0)

static const struct spr table[] = {
    BOTH(SPR_DEC, clock_dec_read, dec_write),
    KEPT(SPR_SRR0, srr0, ~3u),
    KEPT(SPR_SRR1, srr1, ALL),
    WRITTEN(SPR_PID, pid[0], pid0_write),
    {.number = SPR_DECAR, .write = clock_decar_write},
    KEPT(SPR_CSRR0, csrr0, ~3u),
    KEPT(SPR_CSRR1, csrr1, ALL),
    KEPT(SPR_DEAR, dear, ALL),
    KEPT(SPR_ESR, esr, GUEST_ESR_BITS),
    KEPT(SPR_IVPR, ivpr, 0xffff0000),
    KEPT(SPR_USPRG0, usprg0, ALL),
    READ_ONLY(SPR_SPRG3_USER, sprg[3]),
    READ_ONLY(SPR_SPRG4_USER, sprg[4]),
    READ_ONLY(SPR_SPRG5_USER, sprg[5]),
    READ_ONLY(SPR_SPRG6_USER, sprg[6]),
    READ_ONLY(SPR_SPRG7_USER, sprg[7]),
    COMPUTED(SPR_TBL, timebase_low),
    COMPUTED(SPR_TBU, timebase_high),
    KEPT(SPR_SPRG0, sprg[0], ALL),
    KEPT(SPR_SPRG1, sprg[1], ALL),
    KEPT(SPR_SPRG2, sprg[2], ALL),
    KEPT(SPR_SPRG3, sprg[3], ALL),
    KEPT(SPR_SPRG4, sprg[4], ALL),
    KEPT(SPR_SPRG5, sprg[5], ALL),
    KEPT(SPR_SPRG6, sprg[6], ALL),
    KEPT(SPR_SPRG7, sprg[7], ALL),
    {.number = SPR_TBL_WRITE, .write = ignored_write},
    {.number = SPR_TBU_WRITE, .write = ignored_write},
    READ_ONLY(SPR_PIR, pir),
    COMPUTED(SPR_PVR, pvr_read),
    {.number = SPR_DBSR, .flags = READABLE | CLEARED_BY_1, AT(dbsr), .mask = ALL},
    WRITTEN(SPR_DBCR0, dbcr0, dbcr0_write),
    KEPT(SPR_DBCR1, dbcr1, ALL),
    KEPT(SPR_DBCR2, dbcr2, ALL),
    KEPT(SPR_IAC1, iac1, ALL),
    KEPT(SPR_IAC2, iac2, ALL),
    KEPT(SPR_DAC1, dac1, ALL),
    KEPT(SPR_DAC2, dac2, ALL),
    BOTH(SPR_TSR, clock_tsr_read, tsr_write),
    WRITTEN(SPR_TCR, tcr, tcr_write),
    IVOR_ENTRY(0),
    IVOR_ENTRY(1),
    IVOR_ENTRY(2),
    IVOR_ENTRY(3),
    IVOR_ENTRY(4),
    IVOR_ENTRY(5),
    IVOR_ENTRY(6),
    IVOR_ENTRY(7),
    IVOR_ENTRY(8),
    IVOR_ENTRY(9),
    IVOR_ENTRY(10),
    IVOR_ENTRY(11),
    IVOR_ENTRY(12),
    IVOR_ENTRY(13),
    IVOR_ENTRY(14),
    IVOR_ENTRY(15),
    KEPT(SPR_SPEFSCR, spefscr, ALL),
    BOTH(SPR_BBEAR, zero_read, ignored_write),
    BOTH(SPR_BBTAR, zero_read, ignored_write),
    COMPUTED(SPR_L1CFG0, l1cfg0_read),
    COMPUTED(SPR_L1CFG1, l1cfg1_read),
    COMPUTED(SPR_ATBL, timebase_low),
    COMPUTED(SPR_ATBU, timebase_high),
    KEPT(SPR_IVOR32, ivor[16], 0xfff0),
    KEPT(SPR_IVOR33, ivor[17], 0xfff0),
    KEPT(SPR_IVOR34, ivor[18], 0xfff0),
    KEPT(SPR_IVOR35, ivor[19], 0xfff0),
    COMPUTED(SPR_MCARU, zero_read),
    KEPT(SPR_MCSRR0, mcsrr0, ~3u),
    KEPT(SPR_MCSRR1, mcsrr1, ALL),
    {.number = SPR_MCSR, .flags = READABLE | CLEARED_BY_1, AT(mcsr), .mask = ALL},
    READ_ONLY(SPR_MCAR, mcar),
    KEPT(SPR_MAS0, mas[0], GUEST_MAS0_BITS),
    KEPT(SPR_MAS1, mas[1], GUEST_MAS1_BITS),
    KEPT(SPR_MAS2, mas[2], GUEST_MAS2_BITS),
    KEPT(SPR_MAS3, mas[3], GUEST_MAS3_BITS),
    KEPT(SPR_MAS4, mas[4], GUEST_MAS4_BITS),
    KEPT(SPR_MAS6, mas[6], GUEST_MAS6_BITS),
    WRITTEN(SPR_PID1, pid[1], pid1_write),
    WRITTEN(SPR_PID2, pid[2], pid2_write),
    COMPUTED(SPR_TLB0CFG, tlb0cfg_read),
    COMPUTED(SPR_TLB1CFG, tlb1cfg_read),
    READ_ONLY(SPR_EPR, epr),
    KEPT(SPR_MAS7, mas[7], MAS7_RPN_MASK),
    KEPT(SPR_HID0, hid0, HID0_BITS),
    KEPT(SPR_HID1, hid1, HID1_BITS),
    KEPT(SPR_L1CSR0, l1csr0, L1CSR_BITS),
    WRITTEN(SPR_L1CSR1, l1csr1, l1csr1_write),
    BOTH(SPR_MMUCSR0, zero_read, mmucsr0_write),
    WRITTEN(SPR_BUCSR, bucsr, bucsr_write),
    COMPUTED(SPR_MMUCFG, mmucfg_read),
    COMPUTED(SPR_SVR, svr_read),
};

static const struct spr *find(unsigned number) {
    size_t low = 0, high = array_count(table);

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table[middle].number == number)
            return &table[middle];
        if (table[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static uint32_t *field(struct ppc_vcpu_state *state, const struct spr *spr) {
    return (uint32_t *)(void *)((char *)state + spr->offset);
}

bool spr_guest_read(struct ppc_vcpu *vcpu, unsigned number, uint32_t *value) {
    const struct spr *spr = find(number);

    if (!spr || !(spr->flags & READABLE))
        return false;
    *value = spr->read ? spr->read(vcpu) : *field(vcpu->state, spr);
    return true;
}

bool spr_guest_write(struct ppc_vcpu *vcpu, unsigned number, uint32_t value) {
    const struct spr *spr = find(number);

    if (!spr || (!spr->write && !spr->mask))
        return false;
    if (spr->write) {
        spr->write(vcpu, value);
        return true;
    }
    uint32_t *at = field(vcpu->state, spr);
    *at = spr->flags & CLEARED_BY_1 ? *at & ~value : value & spr->mask;
    return true;
}

bool spr_guest_valid(const struct ppc_vcpu_state *state) {
    for (size_t i = 0; i < array_count(table); i++) {
        const struct spr *spr = &table[i];
        uint32_t value = *(const uint32_t *)(const void *)((const char *)state + spr->offset);
        if (spr->mask && (value & ~spr->mask))
            return false;
    }
    return state->pid[0] <= 0xff && state->pid[1] <= 0xff && state->pid[2] <= 0xff &&
           !(state->bucsr & ~BUCSR_BPEN) && !(state->dbcr0 & DBCR0_RST_MASK);
}
