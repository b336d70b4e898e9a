// SPDX-License-Identifier: Apache-2.0
// x86 vCPUs: creation, the states of power-on, INIT and SIPI (Intel SDM vol. 3, 9.1.1; AMD APM vol. 2, 14.1),
// and the report.
#include "arch/x86/vcpu.h"
#include "arch/x86/clock.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/engine/mmio.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/msr.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/guest/tsc.h"
#include "arch/x86/registers.h"
#include "core/log.h"

#include <stdio.h>
#include <string.h>

struct vcpu *arch_vcpu_create(struct vm *vm, unsigned index) {
    struct memory_account *account = &vm->memory.account;
    struct x86_vcpu *vcpu = heap_allocate(sizeof(*vcpu), account);

    if (!vcpu)
        return NULL;
    vcpu->core.vm = vm;
    vcpu->core.index = index;
    vcpu->state = heap_allocate(sizeof(*vcpu->state), account);
    if (!vcpu->state || mmio_create(vcpu) || engine->vcpu_create(vcpu)) {
        arch_vcpu_destroy(&vcpu->core);
        return NULL;
    }
    return &vcpu->core;
}

void arch_vcpu_destroy(struct vcpu *core) {
    struct x86_vcpu *vcpu = x86_vcpu(core);
    struct memory_account *account = &core->vm->memory.account;

    engine->vcpu_destroy(vcpu);
    mmio_destroy(vcpu);
    if (vcpu->state)
        heap_free(vcpu->state, sizeof(*vcpu->state), account);
    heap_free(vcpu, sizeof(*vcpu), account);
}

/* The register state that power-on and INIT have in common. */
static void reset_registers(struct x86_vcpu *vcpu) {
    struct x86_vcpu_state *state = vcpu->state;
    struct x86_system *system = &state->system;
    uint64_t kept = system->cr0 & (CR0_CD | CR0_NW);

    memset(&state->registers, 0, sizeof(state->registers));
    state->registers.rip = 0xfff0;
    state->registers.rflags = 2;
    state->registers.gpr[X86_RDX] = x86_vm(vcpu->core.vm)->model->basic[1].eax;

    memset(system, 0, sizeof(*system));
    for (unsigned i = 0; i <= X86_GS; i++)
        system->segment[i] = (struct x86_segment){.attributes = X86_SEG_P | X86_SEG_S | 3, .limit = 0xffff};
    system->segment[X86_CS] = (struct x86_segment){
        .selector = 0xf000, .attributes = X86_SEG_P | X86_SEG_S | 0xb, .limit = 0xffff, .base = 0xffff0000};
    system->segment[X86_LDTR] = (struct x86_segment){.attributes = X86_SEG_P | 2, .limit = 0xffff};
    system->segment[X86_TR] = (struct x86_segment){.attributes = X86_SEG_P | 0xb, .limit = 0xffff};
    system->gdtr.limit = 0xffff;
    system->idtr.limit = 0xffff;
    system->cr0 = CR0_ET | kept;

    memset(state->dr, 0, sizeof(state->dr));
    state->dr6 = 0xffff0ff0;
    state->dr7 = 0x400;
    state->nmi_blocked = 0;
    state->nmi_pending = 0;
    state->interrupt_shadow = 0;
    memset(&state->pending, 0, sizeof(state->pending));
    vcpu->postponed.valid = 0;
    emulate_cancel(vcpu->emulate);
}

void vcpu_replaced(struct x86_vcpu *vcpu) {
    vcpu->present = X86_STATE_ALL;
    vcpu->changed = X86_STATE_ALL;
    engine->tlb_flush(vcpu);
    if (engine->reset)
        engine->reset(vcpu);
}

void vcpu_power_on(struct x86_vcpu *vcpu) {
    struct x86_vcpu_state *state = vcpu->state;

    /* What was asked of it in its last life counts no more: devices went on until they were reset, and an NMI
     * or INIT of theirs would be for the new one. Core's bits are not ours. */
    __atomic_and_fetch(&vcpu->core.requests, VCPU_REQUEST_ARCH - 1, __ATOMIC_RELEASE);
    vcpu->record_next = 0; /* a report tells of this life only */
    state->system.cr0 = CR0_CD | CR0_NW;
    reset_registers(vcpu);
    msr_guest_reset(vcpu);
    fpu_reset(vcpu);
    state->activity = vcpu->core.index == 0 ? X86_ACTIVE : X86_WAIT_FOR_SIPI;
    const struct x86_vm *vm = x86_vm(vcpu->core.vm);
    state->tsc_frequency = vm->tsc_frequency ? vm->tsc_frequency : clock_tsc_frequency();
    vcpu->tsc_offset = 0 - tsc_scaled(vm, vm->tsc_start);
    engine->tsc_offset(vcpu);
    vcpu_replaced(vcpu);
}

void vcpu_init_reset(struct x86_vcpu *vcpu) {
    x86_need(vcpu, X86_STATE_ALL);
    reset_registers(vcpu);
    lapic_init_reset(vcpu->lapic);
    /* EFER is cleared; the other MSRs stay. The first vCPU starts at the reset vector again, as the bootstrap
     * processor does. */
    vcpu->state->activity = vcpu->core.index == 0 ? X86_ACTIVE : X86_WAIT_FOR_SIPI;
    vcpu_replaced(vcpu);
}

void vcpu_sipi(struct x86_vcpu *vcpu, uint8_t vector) {
    x86_need(vcpu, X86_STATE_ALL);
    vcpu->state->system.segment[X86_CS].selector = (uint16_t)(vector << 8);
    vcpu->state->system.segment[X86_CS].base = (uint64_t)vector << 12;
    vcpu->state->registers.rip = 0;
    vcpu->state->activity = X86_ACTIVE;
    vcpu_replaced(vcpu);
}

void vcpu_debug_load(struct x86_vcpu *vcpu) {
    const uint64_t *dr = vcpu->state->dr;

    __asm__ volatile("movq %0, %%db0; movq %1, %%db1; movq %2, %%db2; movq %3, %%db3" ::"r"(dr[0]),
                     "r"(dr[1]), "r"(dr[2]), "r"(dr[3]));
    if (cpu_model_has_rdtscp(x86_vm(vcpu->core.vm)->model))
        msr_write(0xc0000103u, vcpu->state->msrs.tsc_aux);
}

void vcpu_debug_save(struct x86_vcpu *vcpu) {
    uint64_t *dr = vcpu->state->dr;

    __asm__ volatile("movq %%db0, %0; movq %%db1, %1; movq %%db2, %2; movq %%db3, %3"
                     : "=r"(dr[0]), "=r"(dr[1]), "=r"(dr[2]), "=r"(dr[3]));
}

static void report_segments(const struct x86_system *system) {
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        log_error("  %-4s %04x base %016llx limit %08x attributes %03x", names[i],
                  system->segment[i].selector, (unsigned long long)system->segment[i].base,
                  system->segment[i].limit, system->segment[i].attributes);
}

/* Walks the guest's frame pointers; every step is read through the guest's own page tables, and counted. */
static void report_backtrace(struct x86_vcpu *vcpu) {
    const struct x86_registers *registers = &vcpu->state->registers;
    uint64_t frame = registers->gpr[X86_RBP];
    char line[160];
    int used = 0;

    if (!(vcpu->state->system.efer & EFER_LMA))
        return;
    log_error("  backtrace by frame pointers:");
    log_error("    %016llx", (unsigned long long)registers->rip);
    for (unsigned depth = 0; depth < 16; depth++) {
        uint64_t words[2];
        if (!frame || (frame & 7) || mmio_peek(vcpu, frame, words, sizeof(words)) || words[0] <= frame)
            break;
        log_error("    %016llx", (unsigned long long)words[1]);
        frame = words[0];
    }
    uint64_t stack[8];
    if (mmio_peek(vcpu, registers->gpr[X86_RSP], stack, sizeof(stack)) == 0) {
        for (unsigned i = 0; i < 8; i++)
            used +=
                snprintf(line + used, sizeof(line) - (size_t)used, " %016llx", (unsigned long long)stack[i]);
        log_error("  stack:%s", line);
    }
}

void arch_vcpu_report(struct vcpu *core) {
    static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                        "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
    static const char *const activity[] = {"active", "halted", "waiting for SIPI", "shut down"};
    struct x86_vcpu *vcpu = x86_vcpu(core);
    const struct x86_vcpu_state *state = vcpu->state;

    log_error("guest %s, vCPU %u (%s):", core->vm->name, core->index, activity[state->activity & 3]);
    log_error("  RIP %04x:%016llx RFLAGS %08llx CPL %u", state->system.segment[X86_CS].selector,
              (unsigned long long)state->registers.rip, (unsigned long long)state->registers.rflags,
              state->system.cpl);
    for (unsigned i = 0; i < X86_GPR_COUNT; i += 4)
        log_error("  %-3s %016llx %-3s %016llx %-3s %016llx %-3s %016llx", names[i],
                  (unsigned long long)state->registers.gpr[i], names[i + 1],
                  (unsigned long long)state->registers.gpr[i + 1], names[i + 2],
                  (unsigned long long)state->registers.gpr[i + 2], names[i + 3],
                  (unsigned long long)state->registers.gpr[i + 3]);
    log_error("  CR0 %08llx CR2 %016llx CR3 %016llx CR4 %08llx EFER %04llx",
              (unsigned long long)state->system.cr0, (unsigned long long)state->system.cr2,
              (unsigned long long)state->system.cr3, (unsigned long long)state->system.cr4,
              (unsigned long long)state->system.efer);
    report_segments(&state->system);
    uint32_t first = vcpu->record_next > X86_EXIT_RECORDS ? vcpu->record_next - X86_EXIT_RECORDS : 0;
    log_error("  last exits, oldest first:");
    for (uint32_t i = first; i != vcpu->record_next; i++) {
        const struct x86_exit_record *record = &vcpu->record[i % X86_EXIT_RECORDS];
        log_error("    %-10s code %llx info %llx at %016llx", engine->exit_name(record->code),
                  (unsigned long long)record->code, (unsigned long long)record->info,
                  (unsigned long long)record->rip);
    }
    report_backtrace(vcpu);
}
