// SPDX-License-Identifier: Apache-2.0
// vCPUs of a Book E guest: creation, power-on, the ePAPR starts of the first and of the others, and the
// report.
#include "arch/ppc/guest/vcpu.h"
#include "arch/ppc/clock.h"
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/shadow.h"
#include "arch/ppc/guest/translate.h"
#include "core/log.h"

#include <stdio.h>
#include <string.h>

#define EPAPR_MAGIC 0x45504150u
#define START_AREA  0x04000000u /* 64 MiB: what a secondary finds mapped */
#define RESET_PC    0xfffffffcu
#define RIGHTS_ALL  (MAS3_SX | MAS3_SW | MAS3_SR | MAS3_UX | MAS3_UW | MAS3_UR)
#define TSIZE_MAX   11u

struct vcpu *arch_vcpu_create(struct vm *vm, unsigned index) {
    struct memory_account *account = &vm->memory.account;
    struct ppc_vcpu *vcpu = heap_allocate(sizeof(*vcpu), account);

    if (!vcpu)
        return NULL;
    vcpu->core.vm = vm;
    vcpu->core.index = index;
    clock_guest_create(vcpu);
    vcpu->state = heap_allocate(sizeof(*vcpu->state), account);
    if (!vcpu->state || shadow_create(vcpu)) {
        arch_vcpu_destroy(&vcpu->core);
        return NULL;
    }
    /* Interrupts and machine checks are the host's; ppc_enter() adds nothing to it that a guest could choose.
     */
    vcpu->host_msr = MSR_CE | MSR_EE | MSR_PR | MSR_ME | MSR_IS | MSR_DS;
    return &vcpu->core;
}

void arch_vcpu_destroy(struct vcpu *core) {
    struct ppc_vcpu *vcpu = ppc_vcpu(core);
    struct memory_account *account = &core->vm->memory.account;

    timer_cancel(&vcpu->timer);
    magic_destroy(vcpu);
    shadow_destroy(vcpu);
    if (vcpu->state)
        heap_free(vcpu->state, sizeof(*vcpu->state), account);
    heap_free(vcpu, sizeof(*vcpu), account);
}

void vcpu_replaced(struct ppc_vcpu *vcpu) {
    shadow_renew(vcpu);
    vcpu->code_seen = NULL;
    vcpu->record_next = 0; /* a report tells of this life only */
    __atomic_or_fetch(&vcpu->core.requests, PPC_REQUEST_EVENT, __ATOMIC_RELEASE);
}

/* e500 core manual, 2.17 and 12.6: one entry, 4 KiB at the top of the address space; MSR, HID0 and the rest
 * 0. */
void vcpu_power_on(struct ppc_vcpu *vcpu) {
    struct ppc_vcpu_state *state = vcpu->state;

    magic_unmap(vcpu);
    memset(state, 0, sizeof(*state));
    state->registers.pc = RESET_PC;
    state->pir = vcpu->core.index;
    state->tlb1[0] = (struct ppc_tlb_entry){
        .mas1 = MAS1_V | MAS1_IPROT | MAS1_TSIZE(TSIZE_4K),
        .mas2 = RESET_PC & MAS2_EPN_MASK,
        .mas3 = (RESET_PC & MAS3_RPN_MASK) | MAS3_SX | MAS3_SW | MAS3_SR,
    };
    state->timebase_frequency = clock_timebase_frequency();
    state->activity = vcpu->core.index == 0 ? PPC_RUNNING : PPC_HELD;
    vcpu->slow = 0;
    clock_guest_reset(vcpu);
    vcpu_replaced(vcpu);
}

void vcpu_map_start(struct ppc_vcpu *vcpu, uint32_t address, uint32_t base, uint32_t size) {
    struct ppc_vcpu_state *state = vcpu->state;
    uint32_t tsize = TSIZE_4K;

    while (tsize < TSIZE_MAX - 1 && 1024ull << 2 * (tsize + 1) <= size)
        tsize++;
    state->tlb1[0] = (struct ppc_tlb_entry){
        .mas1 = MAS1_V | MAS1_TSIZE(tsize),
        .mas2 = (address & MAS2_EPN_MASK) | MAS2_M,
        .mas3 = (base & MAS3_RPN_MASK) | RIGHTS_ALL,
    };
    /* As a boot program leaves it. */
    state->hid0 = HID0_TBEN | HID0_EN_MAS7_UPDATE;
}

void vcpu_boot(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t device_tree, uint32_t mapped_size) {
    struct ppc_vcpu_state *state = vcpu->state;

    state->registers.pc = pc & ~3u;
    state->registers.gpr[3] = device_tree;
    state->registers.gpr[6] = EPAPR_MAGIC;
    state->registers.gpr[7] = mapped_size;
    vcpu_map_start(vcpu, 0, 0, mapped_size); /* the initial mapped area (ePAPR 5.4.1) */
    vcpu_replaced(vcpu);
}

void vcpu_release(struct ppc_vcpu *vcpu, uint32_t pc, uint32_t r3) {
    __atomic_store_n(&vcpu->release_pc, pc, __ATOMIC_RELAXED);
    __atomic_store_n(&vcpu->release_r3, r3, __ATOMIC_RELAXED);
    vcpu_request(&vcpu->core, PPC_REQUEST_START);
}

/* ePAPR 5.5.2: the 64 MiB in which the entry point lies are mapped at 0. */
void vcpu_start(struct ppc_vcpu *vcpu) {
    struct ppc_vcpu_state *state = vcpu->state;
    uint32_t entry = __atomic_load_n(&vcpu->release_pc, __ATOMIC_RELAXED);

    if (state->activity != PPC_HELD)
        return;
    memset(&state->registers, 0, sizeof(state->registers));
    state->registers.pc = entry & (START_AREA - 1) & ~3u;
    state->registers.gpr[3] = __atomic_load_n(&vcpu->release_r3, __ATOMIC_RELAXED);
    state->registers.gpr[7] = START_AREA;
    vcpu_map_start(vcpu, 0, entry & ~(START_AREA - 1), START_AREA);
    state->activity = PPC_RUNNING;
    vcpu_replaced(vcpu);
}

void vcpu_set_external(struct ppc_vcpu *vcpu, bool asserted) {
    __atomic_store_n(&vcpu->external, asserted, __ATOMIC_RELEASE);
    if (asserted)
        vcpu_request(&vcpu->core, PPC_REQUEST_EVENT);
}

/* ---- the report */

/* The back chain (System V ABI, PowerPC supplement): each step is read through the guest's TLB, and counted.
 */
static void report_backtrace(struct ppc_vcpu *vcpu) {
    const struct ppc_registers *registers = &vcpu->state->registers;
    uint32_t frame = registers->gpr[1];
    uint32_t words[2];

    log_error("  backtrace:");
    log_error("    %08x (LR %08x)", registers->pc, registers->lr);
    if (translate_peek(vcpu, frame, words, 1))
        return;
    for (unsigned depth = 0; depth < 16; depth++) {
        uint32_t next = words[0];
        if (next <= frame || translate_peek(vcpu, next, words, 2))
            break;
        log_error("    %08x", words[1]);
        frame = next;
    }
}

static void report_tlb(const struct ppc_vcpu_state *state) {
    unsigned used = 0;

    for (unsigned i = 0; i < PPC_TLB1_ENTRIES; i++) {
        const struct ppc_tlb_entry *entry = &state->tlb1[i];
        if (entry->mas1 & MAS1_V)
            log_error("  TLB1[%2u] MAS1 %08x MAS2 %08x MAS3 %08x MAS7 %x", i, entry->mas1, entry->mas2,
                      entry->mas3, entry->mas7);
    }
    for (unsigned set = 0; set < PPC_TLB0_SETS; set++)
        for (unsigned way = 0; way < PPC_TLB0_WAYS; way++)
            used += (state->tlb0[set][way].mas1 & MAS1_V) != 0;
    log_error("  TLB0: %u entries are valid", used);
}

void arch_vcpu_report(struct vcpu *core) {
    static const char *const activity[] = {"running", "waiting", "held"};
    struct ppc_vcpu *vcpu = ppc_vcpu(core);
    const struct ppc_vcpu_state *state = vcpu->state;
    const uint32_t *gpr = state->registers.gpr;

    log_error("guest %s, vCPU %u (%s):", core->vm->name, core->index,
              state->activity < array_count(activity) ? activity[state->activity] : "?");
    log_error("  PC %08x MSR %08x CR %08x LR %08x CTR %08x XER %08x", state->registers.pc, state->msr,
              state->registers.cr, state->registers.lr, state->registers.ctr, state->registers.xer);
    for (unsigned i = 0; i < 32; i += 8)
        log_error("  r%-2u %08x %08x %08x %08x %08x %08x %08x %08x", i, gpr[i], gpr[i + 1], gpr[i + 2],
                  gpr[i + 3], gpr[i + 4], gpr[i + 5], gpr[i + 6], gpr[i + 7]);
    log_error("  SRR0 %08x SRR1 %08x CSRR0 %08x CSRR1 %08x MCSRR0 %08x MCSRR1 %08x", state->srr0, state->srr1,
              state->csrr0, state->csrr1, state->mcsrr0, state->mcsrr1);
    log_error("  DEAR %08x ESR %08x MCSR %08x IVPR %08x PID %02x TCR %08x TSR %08x", state->dear, state->esr,
              state->mcsr, state->ivpr, state->pid[0], state->tcr, state->tsr);
    report_tlb(state);
    uint32_t first = vcpu->record_next > PPC_EXIT_RECORDS ? vcpu->record_next - PPC_EXIT_RECORDS : 0;
    log_error("  last exits, oldest first:");
    for (uint32_t i = first; i != vcpu->record_next; i++) {
        const struct ppc_exit_record *record = &vcpu->record[i % PPC_EXIT_RECORDS];
        log_error("    IVOR%-2u at %08x ESR %08x DEAR %08x", record->vector, record->pc, record->esr,
                  record->dear);
    }
    report_backtrace(vcpu);
}
