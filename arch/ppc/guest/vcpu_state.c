// SPDX-License-Identifier: Apache-2.0
// The record "ppc.cpu": a vCPU's state field by field, each checked before it is believed: nothing that a
// record holds may become a state that the guest could not have reached.
#include "arch/ppc/guest/vcpu_state.h"
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/emulate.h"
#include "arch/ppc/guest/interrupt.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/shadow.h"
#include "arch/ppc/guest/tlb.h"
#include "arch/ppc/guest/vcpu.h"
#include "core/memory.h"
#include "lib/state.h"

#include <errno.h>
#include <string.h>

#define TCR_BITS                                                                                             \
    (TCR_WP_MASK | TCR_WRC_MASK | TCR_WIE | TCR_DIE | TCR_FP_MASK | TCR_FIE | TCR_ARE | TCR_WPEXT_MASK |     \
     TCR_FPEXT_MASK)
#define TSR_BITS    (TSR_ENW | TSR_WIS | TSR_WRS_MASK | TSR_DIS | TSR_FIS)

/* The fields of 32 bits, in the record's order. (The arrays follow.) */
#define FIELD(name) (uint16_t) offsetof(struct ppc_vcpu_state, name)
static const uint16_t words[] = {
    FIELD(registers.cr), FIELD(registers.lr), FIELD(registers.ctr), FIELD(registers.xer),
    FIELD(registers.pc), FIELD(msr),          FIELD(srr0),          FIELD(srr1),
    FIELD(csrr0),        FIELD(csrr1),        FIELD(mcsrr0),        FIELD(mcsrr1),
    FIELD(dear),         FIELD(esr),          FIELD(mcsr),          FIELD(mcar),
    FIELD(pid[0]),       FIELD(pid[1]),       FIELD(pid[2]),        FIELD(usprg0),
    FIELD(ivpr),         FIELD(tcr),          FIELD(tsr),           FIELD(decar),
    FIELD(dec),          FIELD(hid0),         FIELD(hid1),          FIELD(l1csr0),
    FIELD(l1csr1),       FIELD(bucsr),        FIELD(dbcr0),         FIELD(dbcr1),
    FIELD(dbcr2),        FIELD(dbsr),         FIELD(iac1),          FIELD(iac2),
    FIELD(dac1),         FIELD(dac2),         FIELD(spefscr),       FIELD(epr),
    FIELD(pir),          FIELD(activity),     FIELD(magic_page),    FIELD(magic_physical),
};

static uint32_t *word_at(struct ppc_vcpu_state *state, unsigned index) {
    return (uint32_t *)(void *)((char *)state + words[index]);
}

/* ---- saving */

static void put_array(struct state_writer *writer, const uint32_t *from, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        state_put_u32(writer, from[i]);
}

static void put_entry(struct state_writer *writer, const struct ppc_tlb_entry *entry) {
    state_put_u32(writer, entry->mas1);
    state_put_u32(writer, entry->mas2);
    state_put_u32(writer, entry->mas3);
    state_put_u32(writer, entry->mas7);
}

/* What was asked of the vCPU and not done yet. */
static void put_start(struct state_writer *writer, struct ppc_vcpu *vcpu) {
    bool start = (__atomic_load_n(&vcpu->core.requests, __ATOMIC_ACQUIRE) & PPC_REQUEST_START) != 0;

    state_put_u8(writer, start);
    state_put_u32(writer, start ? vcpu->release_pc : 0);
    state_put_u32(writer, start ? vcpu->release_r3 : 0);
}

static void save(struct vm *vm, unsigned index, struct state_writer *writer) {
    struct ppc_vcpu *vcpu = ppc_vcpu(vm->vcpu[index]);
    struct ppc_vcpu_state *state = vcpu->state;

    /* Another vCPU's tlbivax that this one has not come to: to the guest it is done. */
    shadow_take_broadcast(vcpu);
    clock_save(vcpu);
    put_array(writer, state->registers.gpr, 32);
    for (unsigned i = 0; i < array_count(words); i++)
        state_put_u32(writer, *word_at(state, i));
    put_array(writer, state->sprg, 10);
    put_array(writer, state->ivor, PPC_IVOR_COUNT);
    put_array(writer, state->mas, 8);
    put_array(writer, state->gpr_high, 32);
    state_put_u64(writer, state->acc);
    state_put_u64(writer, state->timebase);
    state_put_u64(writer, state->timebase_frequency);
    put_start(writer, vcpu);
    state_put(writer, state->tlb0_next, sizeof(state->tlb0_next));
    for (unsigned set = 0; set < PPC_TLB0_SETS; set++)
        for (unsigned way = 0; way < PPC_TLB0_WAYS; way++)
            put_entry(writer, &state->tlb0[set][way]);
    for (unsigned i = 0; i < PPC_TLB1_ENTRIES; i++)
        put_entry(writer, &state->tlb1[i]);
    /* Between two entries the registers above are the master copy; the rest of the page is the guest's. */
    if (state->magic_page)
        state_put(writer, vcpu->magic, PAGE_SIZE);
}

/* ---- loading */

struct start {
    uint8_t asked;
    uint32_t pc, r3;
};

static void get_array(struct state_reader *reader, uint32_t *to, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        to[i] = state_get_u32(reader);
}

static void get_entry(struct state_reader *reader, struct ppc_tlb_entry *entry) {
    entry->mas1 = state_get_u32(reader);
    entry->mas2 = state_get_u32(reader);
    entry->mas3 = state_get_u32(reader);
    entry->mas7 = state_get_u32(reader);
}

static void get(struct state_reader *reader, struct ppc_vcpu_state *state, struct start *start) {
    get_array(reader, state->registers.gpr, 32);
    for (unsigned i = 0; i < array_count(words); i++)
        *word_at(state, i) = state_get_u32(reader);
    get_array(reader, state->sprg, 10);
    get_array(reader, state->ivor, PPC_IVOR_COUNT);
    get_array(reader, state->mas, 8);
    get_array(reader, state->gpr_high, 32);
    state->acc = state_get_u64(reader);
    state->timebase = state_get_u64(reader);
    state->timebase_frequency = state_get_u64(reader);
    start->asked = state_get_u8(reader);
    start->pc = state_get_u32(reader);
    start->r3 = state_get_u32(reader);
    state_get(reader, state->tlb0_next, sizeof(state->tlb0_next));
    for (unsigned set = 0; set < PPC_TLB0_SETS; set++)
        for (unsigned way = 0; way < PPC_TLB0_WAYS; way++)
            get_entry(reader, &state->tlb0[set][way]);
    for (unsigned i = 0; i < PPC_TLB1_ENTRIES; i++)
        get_entry(reader, &state->tlb1[i]);
}

static bool entry_valid(const struct ppc_tlb_entry *entry, bool tlb1) {
    if (entry->mas1 & ~GUEST_MAS1_BITS || entry->mas2 & ~GUEST_MAS2_BITS || entry->mas3 & ~GUEST_MAS3_BITS ||
        entry->mas7 & ~(uint32_t)MAS7_RPN_MASK)
        return false;
    if (tlb1 || !(entry->mas1 & MAS1_V))
        return true;
    return !(entry->mas1 & MAS1_IPROT) && (entry->mas1 & MAS1_TSIZE_MASK) == MAS1_TSIZE(TSIZE_4K);
}

static bool tlb_valid(const struct ppc_vcpu_state *state) {
    for (unsigned set = 0; set < PPC_TLB0_SETS; set++) {
        if (state->tlb0_next[set] >= PPC_TLB0_WAYS)
            return false;
        for (unsigned way = 0; way < PPC_TLB0_WAYS; way++)
            if (!entry_valid(&state->tlb0[set][way], false))
                return false;
    }
    for (unsigned i = 0; i < PPC_TLB1_ENTRIES; i++)
        if (!entry_valid(&state->tlb1[i], true))
            return false;
    return true;
}

static bool valid(const struct ppc_vcpu_state *state, const struct start *start,
                  const struct ppc_vcpu *vcpu) {
    if ((state->registers.pc & 3) || state->msr & ~GUEST_MSR_BITS || !spr_guest_valid(state))
        return false;
    if (state->tcr & ~TCR_BITS || state->tsr & ~TSR_BITS || state->pir != vcpu->core.index)
        return false;
    if (state->sprg[8] || state->sprg[9] || state->mas[5] || state->activity > PPC_HELD || start->asked > 1)
        return false;
    if ((state->magic_page | state->magic_physical) & 0xfff || (!state->magic_page && state->magic_physical))
        return false;
    /* The guest reads the real time base: another frequency would be another clock. */
    return state->timebase_frequency == vcpu->state->timebase_frequency && tlb_valid(state);
}

static void replace(struct ppc_vcpu *vcpu, const struct ppc_vcpu_state *state, const struct start *start) {
    *vcpu->state = *state;
    vcpu->slow = 0;
    if (state->magic_page)
        magic_loaded(vcpu);
    vcpu->release_pc = start->pc;
    vcpu->release_r3 = start->r3;
    /* What was asked of the machine before counts no more; core's bits are not ours. */
    __atomic_and_fetch(&vcpu->core.requests, VCPU_REQUEST_ARCH - 1, __ATOMIC_RELEASE);
    if (start->asked)
        __atomic_or_fetch(&vcpu->core.requests, PPC_REQUEST_START, __ATOMIC_RELEASE);
    clock_load(vcpu);
    vcpu_replaced(vcpu);
}

static int load_into(struct ppc_vcpu *vcpu, struct ppc_vcpu_state *state, struct state_reader *reader) {
    struct start start;

    get(reader, state, &start);
    if (reader->error || !valid(state, &start, vcpu))
        return -EINVAL;
    if (state->magic_page) {
        int error = magic_map(vcpu, state->magic_page, state->magic_physical);
        if (error)
            return error;
        state_get(reader, vcpu->magic, PAGE_SIZE);
        if (reader->error) {
            magic_unmap(vcpu);
            return -EINVAL;
        }
    }
    replace(vcpu, state, &start);
    return 0;
}

static int load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    struct ppc_vcpu *vcpu = ppc_vcpu(vm->vcpu[index]);
    struct memory_account *account = &vm->memory.account;

    (void)version;
    magic_unmap(vcpu);
    /* More than a stack should hold. */
    struct ppc_vcpu_state *state = heap_allocate(sizeof(*state), account);
    if (!state)
        return -ENOMEM;
    int error = load_into(vcpu, state, reader);
    heap_free(state, sizeof(*state), account);
    return error;
}

static void reset(struct vm *vm, unsigned index) {
    vcpu_power_on(ppc_vcpu(vm->vcpu[index]));
}

const struct part ppc_cpu_part = {
    .name = "ppc.cpu",
    .version = PPC_VCPU_STATE_VERSION,
    .per_vcpu = 1,
    .reset = reset,
    .save = save,
    .load = load,
};
