// SPDX-License-Identifier: Apache-2.0
// The guest's TLBs in software: lookup, the TLB instructions, what a miss leaves in the MAS registers (e500
// core manual, 12.3 to 12.7).
#include "arch/ppc/guest/tlb.h"

#include <stddef.h>

/* MAS registers in ppc_vcpu_state.mas: MAS7 is the last. */
enum { MAS0, MAS1, MAS2, MAS3, MAS4, MAS6 = 6, MAS7 };

#define TSIZE_MAX 11u /* 4 GiB */

static unsigned set_of(uint32_t address) {
    return address >> 12 & (PPC_TLB0_SETS - 1);
}

unsigned guest_tlb_shift(const struct ppc_tlb_entry *entry) {
    uint32_t size = (entry->mas1 & MAS1_TSIZE_MASK) >> MAS1_TSIZE_SHIFT;
    return size >= TSIZE_4K && size <= TSIZE_MAX ? 10 + 2 * size : 0;
}

/* Address bits inside a page of the entry. */
static uint32_t offset_mask(const struct ppc_tlb_entry *entry) {
    unsigned shift = guest_tlb_shift(entry);
    return shift >= 32 ? UINT32_MAX : (1u << shift) - 1;
}

static bool covers(const struct ppc_tlb_entry *entry, uint32_t address) {
    if (!(entry->mas1 & MAS1_V) || !guest_tlb_shift(entry))
        return false;
    return ((entry->mas2 ^ address) & MAS2_EPN_MASK & ~offset_mask(entry)) == 0;
}

static unsigned space_of(const struct ppc_tlb_entry *entry) {
    return (entry->mas1 & MAS1_TS) != 0;
}

static uint32_t tid_of(const struct ppc_tlb_entry *entry) {
    return (entry->mas1 & MAS1_TID_MASK) >> MAS1_TID_SHIFT;
}

static bool matches(const struct ppc_tlb_entry *entry, uint32_t address, unsigned space,
                    const uint32_t pid[3]) {
    if (!covers(entry, address) || space_of(entry) != space)
        return false;
    uint32_t tid = tid_of(entry);
    return !tid || tid == pid[0] || tid == pid[1] || tid == pid[2];
}

static const struct ppc_tlb_entry *find(const struct ppc_vcpu_state *state, uint32_t address, unsigned space,
                                        const uint32_t pid[3]) {
    for (unsigned i = 0; i < PPC_TLB1_ENTRIES; i++)
        if (matches(&state->tlb1[i], address, space, pid))
            return &state->tlb1[i];
    const struct ppc_tlb_entry *way = state->tlb0[set_of(address)];
    for (unsigned i = 0; i < PPC_TLB0_WAYS; i++)
        if (matches(&way[i], address, space, pid))
            return &way[i];
    return NULL;
}

const struct ppc_tlb_entry *guest_tlb_lookup(const struct ppc_vcpu_state *state, uint32_t address,
                                             unsigned space) {
    return find(state, address, space, state->pid);
}

uint64_t guest_tlb_physical(const struct ppc_tlb_entry *entry, uint32_t address) {
    uint32_t inside = offset_mask(entry);
    uint32_t page = entry->mas3 & MAS3_RPN_MASK & ~inside;
    return (uint64_t)(entry->mas7 & MAS7_RPN_MASK) << 32 | page | (address & inside);
}

bool guest_tlb_permits(const struct ppc_tlb_entry *entry, bool user, enum tlb_access access) {
    static const uint32_t right[2][3] = {{MAS3_SR, MAS3_SW, MAS3_SX}, {MAS3_UR, MAS3_UW, MAS3_UX}};
    return (entry->mas3 & right[user][access]) != 0;
}

bool guest_tlb_is_tlb1(const struct ppc_vcpu_state *state, const struct ppc_tlb_entry *entry) {
    return entry >= state->tlb1 && entry < state->tlb1 + PPC_TLB1_ENTRIES;
}

/* Where the next victim of TLB0 is proposed: MAS0[ESEL] and MAS0[NV] (12.3.2.2.2); TLB1 has no such hint. */
static uint32_t victim(const struct ppc_vcpu_state *state, uint32_t address) {
    uint32_t select = state->mas[MAS4] & MAS4_TLBSELD_MASK;
    if (select)
        return select;
    uint32_t next = state->tlb0_next[set_of(address)] & (PPC_TLB0_WAYS - 1);
    return MAS0_ESEL(next) | ((next + 1) & (PPC_TLB0_WAYS - 1));
}

void guest_tlb_miss(struct ppc_vcpu_state *state, uint32_t address, unsigned space) {
    uint32_t *mas = state->mas;
    uint32_t select = (mas[MAS4] & MAS4_TIDSELD_MASK) >> MAS4_TIDSELD_SHIFT;
    uint32_t tid = select < 3 ? state->pid[select] : 0;

    mas[MAS0] = victim(state, address);
    mas[MAS1] = MAS1_V | MAS1_TID(tid) | (space ? MAS1_TS : 0) | (mas[MAS4] & MAS4_TSIZED_MASK);
    mas[MAS2] = (address & MAS2_EPN_MASK) | (mas[MAS4] & MAS4_WIMGED_MASK);
    mas[MAS3] = 0;
    mas[MAS6] = state->pid[0] << MAS6_SPID_SHIFT | (space ? MAS6_SAS : 0);
    mas[MAS7] = 0;
}

/* The entry that MAS0, and for TLB0 MAS2, select. */
static struct ppc_tlb_entry *selected(struct ppc_vcpu_state *state) {
    uint32_t number = (state->mas[MAS0] & MAS0_ESEL_MASK) >> MAS0_ESEL_SHIFT;
    if (state->mas[MAS0] & MAS0_TLBSEL_MASK)
        return &state->tlb1[number];
    return &state->tlb0[set_of(state->mas[MAS2])][number & (PPC_TLB0_WAYS - 1)];
}

/* The entry ceases to be. `lost` has room: it is asked for TLB1's entries and one of TLB0 at most. */
static void drop(struct ppc_tlb_entry *entry, struct tlb_lost *lost) {
    unsigned shift = guest_tlb_shift(entry);
    if ((entry->mas1 & MAS1_V) && shift) {
        uint32_t inside = offset_mask(entry);
        uint32_t first = entry->mas2 & MAS2_EPN_MASK & ~inside;
        lost->range[lost->count].first = first;
        lost->range[lost->count].last = first | inside;
        lost->count++;
    }
    entry->mas1 &= ~MAS1_V;
}

void guest_tlb_write(struct ppc_vcpu_state *state, struct tlb_lost *lost) {
    const uint32_t *mas = state->mas;
    struct ppc_tlb_entry *entry = selected(state);
    bool tlb1 = (mas[MAS0] & MAS0_TLBSEL_MASK) != 0;

    lost->tlb0 = false;
    lost->count = 0;
    drop(entry, lost);
    entry->mas1 = mas[MAS1];
    entry->mas2 = mas[MAS2];
    entry->mas3 = mas[MAS3];
    entry->mas7 = mas[MAS7];
    if (tlb1)
        return;
    /* TLB0 has pages of 4 KiB, and no protection from invalidation. */
    entry->mas1 = (entry->mas1 & ~(MAS1_IPROT | MAS1_TSIZE_MASK)) | MAS1_TSIZE(TSIZE_4K);
    state->tlb0_next[set_of(mas[MAS2])] = mas[MAS0] & MAS0_NV_MASK;
}

/* MAS1 to 3 from an entry; MAS7 where HID0 says so (2.12.5.7). */
static void show(struct ppc_vcpu_state *state, const struct ppc_tlb_entry *entry) {
    state->mas[MAS1] = entry->mas1;
    state->mas[MAS2] = entry->mas2;
    state->mas[MAS3] = entry->mas3;
    if (state->hid0 & HID0_EN_MAS7_UPDATE)
        state->mas[MAS7] = entry->mas7;
}

void guest_tlb_read(struct ppc_vcpu_state *state) {
    uint32_t next = state->tlb0_next[set_of(state->mas[MAS2])];

    if (!(state->mas[MAS0] & MAS0_TLBSEL_MASK))
        state->mas[MAS0] = (state->mas[MAS0] & ~MAS0_NV_MASK) | next;
    show(state, selected(state));
}

void guest_tlb_search(struct ppc_vcpu_state *state, uint32_t address) {
    uint32_t *mas = state->mas;
    uint32_t pid = (mas[MAS6] & MAS6_SPID_MASK) >> MAS6_SPID_SHIFT;
    unsigned space = mas[MAS6] & MAS6_SAS;
    const struct ppc_tlb_entry *entry = find(state, address, space, (const uint32_t[3]){pid, pid, pid});

    if (!entry) {
        mas[MAS0] = victim(state, address);
        mas[MAS1] = MAS1_TID(pid) | (space ? MAS1_TS : 0) | (mas[MAS4] & MAS4_TSIZED_MASK);
        mas[MAS2] = (mas[MAS2] & MAS2_EPN_MASK) | (mas[MAS4] & MAS4_WIMGED_MASK);
        mas[MAS3] = 0;
        if (state->hid0 & HID0_EN_MAS7_UPDATE)
            mas[MAS7] = 0;
        return;
    }
    if (guest_tlb_is_tlb1(state, entry))
        mas[MAS0] = MAS0_TLBSEL_MASK | MAS0_ESEL((uint32_t)(entry - state->tlb1));
    else
        mas[MAS0] =
            MAS0_ESEL((uint32_t)(entry - state->tlb0[set_of(address)])) | state->tlb0_next[set_of(address)];
    show(state, entry);
}

static void flash_tlb0(struct ppc_vcpu_state *state, struct tlb_lost *lost) {
    for (unsigned set = 0; set < PPC_TLB0_SETS; set++)
        for (unsigned way = 0; way < PPC_TLB0_WAYS; way++)
            state->tlb0[set][way].mas1 &= ~MAS1_V;
    lost->tlb0 = true;
}

static void flash_tlb1(struct ppc_vcpu_state *state, struct tlb_lost *lost) {
    for (unsigned i = 0; i < PPC_TLB1_ENTRIES; i++)
        if (!(state->tlb1[i].mas1 & MAS1_IPROT))
            drop(&state->tlb1[i], lost);
}

void guest_tlb_invalidate(struct ppc_vcpu_state *state, uint32_t operand, struct tlb_lost *lost) {
    bool tlb1 = (operand & TLBIVAX_TLB1) != 0;

    if (operand & TLBIVAX_ALL) {
        guest_tlb_flash(state, tlb1 ? MMUCSR0_TLB1_FI : MMUCSR0_TLB0_FI, lost);
        return;
    }
    lost->tlb0 = false;
    lost->count = 0;
    /* Whatever TID and address space the entry has (12.4.3). */
    if (tlb1) {
        for (unsigned i = 0; i < PPC_TLB1_ENTRIES; i++)
            if (!(state->tlb1[i].mas1 & MAS1_IPROT) && covers(&state->tlb1[i], operand))
                drop(&state->tlb1[i], lost);
        return;
    }
    struct ppc_tlb_entry *way = state->tlb0[set_of(operand)];
    bool found = false;
    for (unsigned i = 0; i < PPC_TLB0_WAYS; i++)
        if (covers(&way[i], operand)) {
            way[i].mas1 &= ~MAS1_V;
            found = true;
        }
    if (found) {
        lost->count = 1;
        lost->range[0].first = operand & MAS2_EPN_MASK;
        lost->range[0].last = operand | ~MAS2_EPN_MASK;
    }
}

void guest_tlb_flash(struct ppc_vcpu_state *state, uint32_t which, struct tlb_lost *lost) {
    lost->tlb0 = false;
    lost->count = 0;
    if (which & MMUCSR0_TLB0_FI)
        flash_tlb0(state, lost);
    if (which & MMUCSR0_TLB1_FI)
        flash_tlb1(state, lost);
}
