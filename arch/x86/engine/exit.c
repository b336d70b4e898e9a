// SPDX-License-Identifier: Apache-2.0
// Exits by their meaning, for every engine: CPUID, MSRs, ports, second-level faults, HLT, hypercalls, and the
// rest.
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/engine/exit_inline.h"
#include "arch/x86/engine/mmio.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/msr.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/registers.h"
#include "core/log.h"
#include "core/service.h"

#include <errno.h>
#include <stdio.h>

#define DR6_BS (1ull << 14)

static bool in_long_mode(const struct x86_system *system) {
    return (system->efer & EFER_LMA) && (system->segment[X86_CS].attributes & X86_SEG_L);
}

/* A single-step trap follows the instruction. */
static void __attribute__((noinline)) trap_step(struct x86_vcpu *vcpu) {
    x86_need(vcpu, X86_STATE_DEBUG);
    vcpu->state->dr6 |= DR6_BS;
    x86_changed(vcpu, X86_STATE_DEBUG);
    x86_inject_exception(vcpu, VECTOR_DB, -1);
}

void x86_skip_slow(struct x86_vcpu *vcpu, uint64_t rip) {
    struct x86_registers *registers = &vcpu->state->registers;

    x86_need(vcpu, X86_STATE_CODE | X86_STATE_CONTROL);
    registers->rip = in_long_mode(&vcpu->state->system) ? rip : (uint32_t)rip;
    registers->rflags &= ~RFLAGS_RF;
    if (registers->rflags & RFLAGS_TF)
        trap_step(vcpu);
}

const struct emulate_instruction *x86_decode(struct x86_vcpu *vcpu) {
    struct emulate *emulate = mmio_emulator(vcpu);

    switch (emulate_decode(emulate)) {
    case EMULATE_OK:
        return &emulate->instruction;
    case EMULATE_FAULT:
        if (emulate->fault.vector == VECTOR_PF)
            x86_inject_page_fault(vcpu, emulate->fault.cr2, emulate->fault.error);
        else
            x86_inject_exception(vcpu, emulate->fault.vector,
                                 emulate->fault.has_error ? (int64_t)emulate->fault.error : -1);
        return NULL;
    case EMULATE_RETRY:
        return NULL;
    case EMULATE_UNHANDLED:
        break;
    }
    x86_inject_exception(vcpu, VECTOR_UD, -1);
    return NULL;
}

unsigned x86_instruction_length(struct x86_vcpu *vcpu, const uint8_t *opcode, unsigned opcode_length,
                                uint64_t *page) {
    const struct emulate_instruction *instruction = x86_decode(vcpu);

    if (page)
        *page = UINT64_MAX;
    if (!instruction)
        return 0;
    if (page) {
        const struct x86_system *system = &vcpu->state->system;
        uint64_t linear =
            vcpu->state->registers.rip + (in_long_mode(system) ? 0 : system->segment[X86_CS].base);
        uint64_t gpa, physical, contiguous;
        enum guest_region_kind kind;
        if (emulate_walk(vcpu->emulate, linear, EMULATE_EXECUTE | EMULATE_PEEK, &gpa) == EMULATE_OK &&
            guest_memory_translate(vcpu->core.vm, gpa, &physical, &contiguous, &kind) == 0)
            *page = physical & ~(PAGE_SIZE - 1);
    }
    /* Another vCPU may have changed the bytes since the exit: then the new instruction is run as such. */
    uint16_t expected = opcode_length == 1 ? EMULATE_OPCODE(0, opcode[0]) : EMULATE_OPCODE(1, opcode[1]);
    if (instruction->opcode != expected || (opcode_length == 3 && instruction->modrm != opcode[2]))
        return 0;
    return instruction->length;
}

void exit_cpuid_computed(struct x86_vcpu *vcpu, unsigned length) {
    uint64_t *gpr = vcpu->state->registers.gpr;
    struct cpuid_leaf leaf;

    cpu_model_cpuid(vcpu, (uint32_t)gpr[X86_RAX], (uint32_t)gpr[X86_RCX], &leaf);
    gpr[X86_RAX] = leaf.eax;
    gpr[X86_RBX] = leaf.ebx;
    gpr[X86_RCX] = leaf.ecx;
    gpr[X86_RDX] = leaf.edx;
    x86_skip(vcpu, length);
}

void exit_msr_read(struct x86_vcpu *vcpu, unsigned length) {
    uint64_t *gpr = vcpu->state->registers.gpr;
    uint64_t value;

    if (msr_guest_read(vcpu, (uint32_t)gpr[X86_RCX], &value)) {
        x86_inject_exception(vcpu, VECTOR_GP, 0);
        return;
    }
    gpr[X86_RAX] = (uint32_t)value;
    gpr[X86_RDX] = value >> 32;
    x86_skip(vcpu, length);
}

#define MSR_X2APIC_EOI 0x80bu

void exit_msr_write(struct x86_vcpu *vcpu, unsigned length) {
    uint64_t *gpr = vcpu->state->registers.gpr;
    uint32_t msr = (uint32_t)gpr[X86_RCX];
    uint64_t value = (uint32_t)gpr[X86_RAX] | gpr[X86_RDX] << 32;

    if (msr == MSR_X2APIC_EOI)
        vcpu->exits[EXIT_EOI]++;
    if (msr_guest_write(vcpu, msr, value)) {
        x86_inject_exception(vcpu, VECTOR_GP, 0);
        return;
    }
    x86_skip(vcpu, length);
}

/* The service VM's (abi/service.h). */
static enum engine_next service_hypercall(struct x86_vcpu *vcpu, unsigned length) {
    uint64_t *gpr = vcpu->state->registers.gpr;
    const uint32_t arguments[4] = {(uint32_t)gpr[X86_RBX], (uint32_t)gpr[X86_RCX], (uint32_t)gpr[X86_RDX],
                                   (uint32_t)gpr[X86_RSI]};

    gpr[X86_RAX] = (uint64_t)(int64_t)service_call(&vcpu->core, (uint32_t)gpr[X86_RAX], arguments);
    x86_skip(vcpu, length);
    return vcpu->core.hold ? ENGINE_BLOCK : ENGINE_AGAIN;
}

enum engine_next exit_hypercall(struct x86_vcpu *vcpu, unsigned length) {
    uint64_t *gpr = vcpu->state->registers.gpr;

    if (__builtin_expect(vcpu->core.vm->service, 0))
        return service_hypercall(vcpu, length);
    x86_need(vcpu, X86_STATE_CODE | X86_STATE_CONTROL);
    if (in_long_mode(&vcpu->state->system))
        gpr[X86_RAX] =
            pv_hypercall(vcpu, gpr[X86_RAX], gpr[X86_RBX], gpr[X86_RCX], gpr[X86_RDX], gpr[X86_RSI]);
    else
        gpr[X86_RAX] =
            (uint32_t)pv_hypercall(vcpu, (uint32_t)gpr[X86_RAX], (uint32_t)gpr[X86_RBX],
                                   (uint32_t)gpr[X86_RCX], (uint32_t)gpr[X86_RDX], (uint32_t)gpr[X86_RSI]);
    x86_skip(vcpu, length);
    return ENGINE_AGAIN;
}

void exit_xsetbv(struct x86_vcpu *vcpu, unsigned length) {
    uint64_t *gpr = vcpu->state->registers.gpr;
    const struct x86_cpu_model *model = x86_vm(vcpu->core.vm)->model;
    uint64_t value = (uint32_t)gpr[X86_RAX] | gpr[X86_RDX] << 32;

    x86_need(vcpu, X86_STATE_CODE | X86_STATE_CONTROL);
    if (!(vcpu->state->system.cr4 & CR4_OSXSAVE) || !cpu_model_has(model, WORD_1_ECX, 26)) {
        x86_inject_exception(vcpu, VECTOR_UD, -1);
        return;
    }
    /* x87 always; AVX needs SSE; the three parts of AVX-512 come together and need AVX (Intel SDM vol.
     * 1, 13.3). */
    if (vcpu->state->system.cpl || (uint32_t)gpr[X86_RCX] || !(value & 1) || (value & ~model->xcr0_allowed) ||
        ((value & 4) && !(value & 2)) || ((value & 0xe0) && ((value & 0xe0) != 0xe0 || !(value & 4)))) {
        x86_inject_exception(vcpu, VECTOR_GP, 0);
        return;
    }
    vcpu->state->xcr0 = value;
    fpu_xcr0_changed(vcpu);
    x86_skip(vcpu, length);
}

enum engine_next exit_halt(struct x86_vcpu *vcpu, unsigned length) {
    x86_skip(vcpu, length);
    if (vcpu->state->pending.valid)
        return ENGINE_AGAIN; /* a trap follows the HLT */
    pv_eoi_sync(&vcpu->core);
    lapic_page_unload(vcpu->lapic);
    vcpu->state->activity = X86_HALTED;
    if (arch_vcpu_pending(&vcpu->core)) {
        vcpu->state->activity = X86_ACTIVE;
        pv_take_kick(vcpu);
        __atomic_or_fetch(&vcpu->core.requests, X86_REQUEST_EVENT, __ATOMIC_RELAXED);
        return ENGINE_AGAIN;
    }
    return ENGINE_BLOCK;
}

enum engine_next exit_port(struct x86_vcpu *vcpu, uint16_t port, unsigned size, bool in, unsigned length) {
    uint64_t *rax = &vcpu->state->registers.gpr[X86_RAX];
    struct bus *bus = &vcpu->core.vm->bus[BUS_PORT];
    int error;

    if (in) {
        uint64_t value;
        error = bus_read(bus, &vcpu->core, port, size, &value);
        if (error != -EAGAIN)
            *rax = size == 4   ? (uint32_t)value
                   : size == 2 ? (*rax & ~0xffffull) | (uint16_t)value
                               : (*rax & ~0xffull) | (uint8_t)value;
    } else {
        error = bus_write(bus, &vcpu->core, port, size,
                          size == 4   ? (uint32_t)*rax
                          : size == 2 ? (uint16_t)*rax
                                      : (uint8_t)*rax);
    }
    if (__builtin_expect(error == -EAGAIN, 0))
        return ENGINE_BLOCK;
    x86_skip(vcpu, length);
    return ENGINE_AGAIN;
}

/* MOV and POP to a segment register: the emulator's only writes to system state. */
static bool loads_segment(const struct emulate_instruction *instruction) {
    switch (instruction->opcode) {
    case EMULATE_OPCODE(0, 0x07):
    case EMULATE_OPCODE(0, 0x17):
    case EMULATE_OPCODE(0, 0x1f):
    case EMULATE_OPCODE(0, 0x8e):
    case EMULATE_OPCODE(1, 0xa1):
    case EMULATE_OPCODE(1, 0xa9):
        return !instruction->vex;
    default:
        return false;
    }
}

static enum engine_next __attribute__((noinline))
emulated(struct x86_vcpu *vcpu, const struct emulate *emulate, enum emulate_result result) {
    switch (result) {
    case EMULATE_OK:
        vcpu->state->interrupt_shadow = emulate->interrupt_shadow;
        /* Segment registers are written by the few forms that load one; told apart by the opcode. */
        if (loads_segment(&emulate->instruction))
            x86_changed(vcpu, X86_STATE_SEGMENTS);
        if (emulate->debug_trap)
            trap_step(vcpu);
        break;
    case EMULATE_FAULT:
        if (emulate->fault.vector == VECTOR_PF)
            x86_inject_page_fault(vcpu, emulate->fault.cr2, emulate->fault.error);
        else
            x86_inject_exception(vcpu, emulate->fault.vector,
                                 emulate->fault.has_error ? (int64_t)emulate->fault.error : -1);
        break;
    case EMULATE_RETRY:
        if (vcpu->core.hold)
            return ENGINE_BLOCK;
        break;
    case EMULATE_UNHANDLED: {
        /* A program must not end its machine: an instruction that touches no RAM and that nobody emulates
         * does not exist for it. */
        if (vcpu->state->system.cpl == 3) {
            x86_inject_exception(vcpu, VECTOR_UD, -1);
            break;
        }
        char text[3 * EMULATE_INSTRUCTION_MAX + 1] = "";
        for (unsigned i = 0; i < emulate->fetched && i < EMULATE_INSTRUCTION_MAX; i++)
            snprintf(text + 3 * i, sizeof(text) - 3 * i, " %02x", emulate->bytes[i]);
        vm_crash(&vcpu->core, "cannot emulate the instruction%s (address 0x%llx)", text,
                 (unsigned long long)emulate->gpa);
        break;
    }
    }
    return ENGINE_AGAIN;
}

enum engine_next exit_emulate(struct x86_vcpu *vcpu) {
    struct emulate *emulate = mmio_emulator(vcpu);

    emulate->gpa = 0;
    return emulated(vcpu, emulate, emulate_one(emulate));
}

enum engine_next exit_nested_table_fault(struct x86_vcpu *vcpu, uint64_t gpa) {
    uint64_t physical, contiguous;
    enum guest_region_kind kind;

    if (guest_memory_translate(vcpu->core.vm, gpa, &physical, &contiguous, &kind) == 0 && kind == GUEST_RAM)
        engine->tlb_flush(vcpu);
    else
        vm_crash(&vcpu->core, "has page tables at 0x%llx, where there is no RAM", (unsigned long long)gpa);
    return ENGINE_AGAIN;
}

enum engine_next exit_nested_fault(struct x86_vcpu *vcpu, uint64_t gpa, bool write, bool fetch) {
    if (!mmio_is_device(vcpu, gpa, write)) {
        uint64_t physical, contiguous;
        enum guest_region_kind kind;
        if (fetch && guest_memory_translate(vcpu->core.vm, gpa, &physical, &contiguous, &kind) == 0 &&
            kind != GUEST_RAM && kind != GUEST_ROM)
            vm_crash(&vcpu->core, "runs code at 0x%llx, where a device has its registers or its ROM",
                     (unsigned long long)gpa);
        else if (fetch && x86_vm(vcpu->core.vm)->nested.small_code &&
                 paging_execute(&x86_vm(vcpu->core.vm)->nested, gpa) == -ENOMEM)
            vm_crash(&vcpu->core, "runs code at 0x%llx: no memory for small pages there",
                     (unsigned long long)gpa);
        else /* RAM is there: the tables have changed since the CPU looked. */
            engine->tlb_flush(vcpu);
        return ENGINE_AGAIN;
    }
    if (fetch) {
        vm_crash(&vcpu->core, "runs code at 0x%llx, where there is no memory", (unsigned long long)gpa);
        return ENGINE_AGAIN;
    }
    if (vcpu->state->pending.valid) {
        vm_crash(&vcpu->core,
                 "delivers vector %u through tables or a stack at 0x%llx, where there is no memory",
                 vcpu->state->pending.vector, (unsigned long long)gpa);
        return ENGINE_AGAIN;
    }
    struct emulate *emulate = mmio_emulator_short(vcpu);
    enum emulate_result result;

    emulate->gpa = gpa;
    emulate->gpa_write = write;
    emulate->gpa_valid = true;
    if (__builtin_expect(emulate_device(emulate, &result), 1)) {
        if (__builtin_expect(result == EMULATE_OK, 1)) {
            vcpu->state->interrupt_shadow = 0;
            return ENGINE_AGAIN;
        }
        return emulated(vcpu, emulate, result);
    }
    mmio_emulator(vcpu);
    return emulated(vcpu, emulate, emulate_one(emulate));
}

enum engine_next exit_nested_again(struct x86_vcpu *vcpu) {
    if (!vcpu->emulate->gpa) /* it was exit_emulate(), of INS or OUTS */
        return exit_emulate(vcpu);
    return exit_nested_fault(vcpu, vcpu->emulate->gpa, vcpu->emulate->gpa_write, false);
}

void exit_cr8(struct x86_vcpu *vcpu, bool write, unsigned gpr, unsigned length) {
    uint64_t *value = &vcpu->state->registers.gpr[gpr];

    if (!write) {
        *value = lapic_cr8(vcpu->lapic);
    } else if (*value >> 4) {
        x86_inject_exception(vcpu, VECTOR_GP, 0);
        return;
    } else {
        lapic_set_cr8(vcpu->lapic, *value);
    }
    x86_skip(vcpu, length);
}

enum engine_next exit_undefined(struct x86_vcpu *vcpu) {
    struct emulate *emulate = mmio_emulator(vcpu);
    uint8_t bytes[3];

    /* VMCALL on AMD, VMMCALL on Intel: a guest that came from the other kind of machine goes on with what it
     * is used to. */
    if (emulate_peek(emulate, bytes, 3) == 3 && bytes[0] == 0x0f && bytes[1] == 0x01 &&
        (bytes[2] == 0xc1 || bytes[2] == 0xd9)) {
        vcpu->exits[EXIT_HYPERCALL]++;
        return exit_hypercall(vcpu, 3);
    }
    x86_inject_exception(vcpu, VECTOR_UD, -1);
    return ENGINE_AGAIN;
}

void exit_alignment(struct x86_vcpu *vcpu) {
    x86_inject_exception(vcpu, VECTOR_AC, 0);
}

void exit_machine_check(void) {
    __asm__ volatile("int $18");
}

void exit_pause(struct x86_vcpu *vcpu) {
    /* It spins: whoever holds what it waits for may need this CPU. */
    vcpu->core.slice_left = 0;
    __atomic_store_n(&vcpu->core.cpu->reschedule, 1, __ATOMIC_RELEASE);
}

void exit_cache(struct x86_vcpu *vcpu, unsigned length) {
    /* No cache of ours needs to be written back for a guest without devices of its own, and INVD must never
     * throw host data away. */
    x86_skip(vcpu, length);
}

void exit_absent(struct x86_vcpu *vcpu) {
    x86_inject_exception(vcpu, VECTOR_UD, -1);
}

/* No performance counters are offered (docs/cpu-policy.md). */
void exit_rdpmc(struct x86_vcpu *vcpu) {
    x86_inject_exception(vcpu, VECTOR_GP, 0);
}

void exit_shutdown(struct x86_vcpu *vcpu) {
    vcpu->state->activity = X86_SHUTDOWN;
    vm_crash(&vcpu->core, "triple fault on vCPU %u", vcpu->core.index);
}
