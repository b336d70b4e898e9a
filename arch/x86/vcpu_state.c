// SPDX-License-Identifier: Apache-2.0
// Saving and loading a vCPU: version 1 of the record "x86.vcpu". Every field is checked before it is
// believed: nothing that a record holds may make an instruction of the hypervisor's own fault, nor an entry
// fail.
#include "arch/x86/vcpu_state.h"
#include "arch/x86/clock.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/msr.h"
#include "arch/x86/guest/tsc.h"
#include "arch/x86/registers.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/xsave_area.h"
#include "lib/state.h"

#include <errno.h>
#include <string.h>

#define CR0_KNOWN                                                                                            \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR4_OLD            0x7ffull /* VME to OSXMMEXCPT: every CPU with nested paging has them */
#define CR4_FSGSBASE       (1ull << 16)
#define CR4_PKE            (1ull << 22)
#define RFLAGS_FIXED       0x2ull
#define RFLAGS_KNOWN       0x3f7fd7ull
#define RFLAGS_VM          (1ull << 17)
#define ATTRIBUTES         0x0fffu
#define MXCSR_KNOWN        0xffffu
#define MXCSR_MM           (1u << 17) /* AMD's misaligned SSE */
#define XSAVE_RESERVED     520u       /* XCOMP_BV, and what has to be zero */
#define XSAVE_DATA         576u
#define COMPONENT_FIRST    2u /* of those whose place CPUID tells */
#define COMPONENT_END      10u

#define MSR_SYSENTER_ESP   0x00000175u
#define MSR_SYSENTER_EIP   0x00000176u
#define MSR_MTRR_VARIABLE  0x00000200u
#define MSR_MTRR_DEF_TYPE  0x000002ffu
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_KERNEL_GS_BASE 0xc0000102u

static const uint32_t mtrr_fixed[11] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                        0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

/* Requests that belong to the saved state. */
#define PENDING_INIT 1u
#define PENDING_SIPI 2u

/* ---- saving */

static void put_segment(struct state_writer *writer, const struct x86_segment *segment) {
    state_put_u16(writer, segment->selector);
    state_put_u16(writer, segment->attributes);
    state_put_u32(writer, segment->limit);
    state_put_u64(writer, segment->base);
}

static void put_event(struct state_writer *writer, const struct x86_event *event) {
    struct x86_event clean = event->valid ? *event : (struct x86_event){0};
    state_put_u8(writer, clean.valid);
    state_put_u8(writer, clean.type);
    state_put_u8(writer, clean.vector);
    state_put_u8(writer, clean.has_error);
    state_put_u32(writer, clean.error);
}

static void put_system(struct state_writer *writer, const struct x86_system *system) {
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        put_segment(writer, &system->segment[i]);
    state_put_u64(writer, system->gdtr.base);
    state_put_u32(writer, system->gdtr.limit);
    state_put_u64(writer, system->idtr.base);
    state_put_u32(writer, system->idtr.limit);
    state_put_u64(writer, system->cr0);
    state_put_u64(writer, system->cr2);
    state_put_u64(writer, system->cr3);
    state_put_u64(writer, system->cr4);
    state_put_u64(writer, system->efer);
    state_put_u8(writer, (uint8_t)system->cpl);
}

static void put_msrs(struct state_writer *writer, const struct x86_msrs *msrs) {
    state_put_u64(writer, msrs->star);
    state_put_u64(writer, msrs->lstar);
    state_put_u64(writer, msrs->cstar);
    state_put_u64(writer, msrs->sfmask);
    state_put_u64(writer, msrs->kernel_gs_base);
    state_put_u64(writer, msrs->sysenter_cs);
    state_put_u64(writer, msrs->sysenter_esp);
    state_put_u64(writer, msrs->sysenter_eip);
    state_put_u64(writer, msrs->pat);
    state_put_u64(writer, msrs->tsc_aux);
    state_put_u64(writer, msrs->misc_enable);
    state_put_u64(writer, msrs->mtrr_def_type);
    for (unsigned i = 0; i < 11; i++)
        state_put_u64(writer, msrs->mtrr_fixed[i]);
    for (unsigned i = 0; i < 16; i++)
        state_put_u64(writer, msrs->mtrr_variable[i]);
}

/* Where a component of XSAVE's standard format lies on this CPU; 0: it has none that we switch. */
static uint32_t component_offset(unsigned component) {
    if (!(fpu_components() >> component & 1))
        return 0;
    return cpuid_read(0xd, component).ebx;
}

static void save(struct vm *vm, unsigned index, struct state_writer *writer) {
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[index]);
    struct x86_vm *x86 = x86_vm(vm);
    const struct x86_vcpu_state *state = vcpu->state;
    uint32_t requests = __atomic_load_n(&vcpu->core.requests, __ATOMIC_ACQUIRE);

    /* One moment for all vCPUs, or their TSCs would drift apart. */
    if (index == 0)
        x86->tsc_saved = tsc_read();
    for (unsigned i = 0; i < X86_GPR_COUNT; i++)
        state_put_u64(writer, state->registers.gpr[i]);
    state_put_u64(writer, state->registers.rip);
    state_put_u64(writer, state->registers.rflags);
    put_system(writer, &state->system);
    put_msrs(writer, &state->msrs);
    for (unsigned i = 0; i < 4; i++)
        state_put_u64(writer, state->dr[i]);
    state_put_u64(writer, state->dr6);
    state_put_u64(writer, state->dr7);
    state_put_u64(writer, state->xcr0);
    state_put_u64(writer, tsc_of_guest(vcpu, x86->tsc_saved));
    state_put_u64(writer, state->tsc_frequency);
    state_put_u8(writer, (uint8_t)state->activity);
    state_put_u8(writer, state->nmi_blocked);
    state_put_u8(writer, state->nmi_pending || (requests & X86_REQUEST_NMI));
    state_put_u8(writer, state->interrupt_shadow);
    put_event(writer, &state->pending);
    put_event(writer, &vcpu->postponed);
    state_put_u8(writer, (requests & X86_REQUEST_INIT ? PENDING_INIT : 0) |
                             (requests & X86_REQUEST_SIPI ? PENDING_SIPI : 0));
    state_put_u8(writer, vcpu->sipi_vector);
    for (unsigned i = COMPONENT_FIRST; i < COMPONENT_END; i++)
        state_put_u32(writer, component_offset(i));
    state_put(writer, state->xsave, sizeof(state->xsave));
}

/* ---- loading */

/* A record's contents, before they are believed. */
struct record {
    struct x86_vcpu_state state;
    struct x86_event postponed;
    uint32_t component[COMPONENT_END];
    uint8_t requests;
    uint8_t sipi_vector;
};

static void get_segment(struct state_reader *reader, struct x86_segment *segment) {
    segment->selector = state_get_u16(reader);
    segment->attributes = state_get_u16(reader);
    segment->limit = state_get_u32(reader);
    segment->base = state_get_u64(reader);
}

static void get_event(struct state_reader *reader, struct x86_event *event) {
    event->valid = state_get_u8(reader);
    event->type = state_get_u8(reader);
    event->vector = state_get_u8(reader);
    event->has_error = state_get_u8(reader);
    event->error = state_get_u32(reader);
}

static void get_system(struct state_reader *reader, struct x86_system *system) {
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        get_segment(reader, &system->segment[i]);
    system->gdtr.base = state_get_u64(reader);
    system->gdtr.limit = state_get_u32(reader);
    system->idtr.base = state_get_u64(reader);
    system->idtr.limit = state_get_u32(reader);
    system->cr0 = state_get_u64(reader);
    system->cr2 = state_get_u64(reader);
    system->cr3 = state_get_u64(reader);
    system->cr4 = state_get_u64(reader);
    system->efer = state_get_u64(reader);
    system->cpl = state_get_u8(reader);
}

static void get_msrs(struct state_reader *reader, struct x86_msrs *msrs) {
    msrs->star = state_get_u64(reader);
    msrs->lstar = state_get_u64(reader);
    msrs->cstar = state_get_u64(reader);
    msrs->sfmask = state_get_u64(reader);
    msrs->kernel_gs_base = state_get_u64(reader);
    msrs->sysenter_cs = state_get_u64(reader);
    msrs->sysenter_esp = state_get_u64(reader);
    msrs->sysenter_eip = state_get_u64(reader);
    msrs->pat = state_get_u64(reader);
    msrs->tsc_aux = state_get_u64(reader);
    msrs->misc_enable = state_get_u64(reader);
    msrs->mtrr_def_type = state_get_u64(reader);
    for (unsigned i = 0; i < 11; i++)
        msrs->mtrr_fixed[i] = state_get_u64(reader);
    for (unsigned i = 0; i < 16; i++)
        msrs->mtrr_variable[i] = state_get_u64(reader);
}

static void get(struct state_reader *reader, struct record *record) {
    struct x86_vcpu_state *state = &record->state;

    for (unsigned i = 0; i < X86_GPR_COUNT; i++)
        state->registers.gpr[i] = state_get_u64(reader);
    state->registers.rip = state_get_u64(reader);
    state->registers.rflags = state_get_u64(reader);
    get_system(reader, &state->system);
    get_msrs(reader, &state->msrs);
    for (unsigned i = 0; i < 4; i++)
        state->dr[i] = state_get_u64(reader);
    state->dr6 = state_get_u64(reader);
    state->dr7 = state_get_u64(reader);
    state->xcr0 = state_get_u64(reader);
    state->tsc = state_get_u64(reader);
    state->tsc_frequency = state_get_u64(reader);
    state->activity = state_get_u8(reader);
    state->nmi_blocked = state_get_u8(reader);
    state->nmi_pending = state_get_u8(reader);
    state->interrupt_shadow = state_get_u8(reader);
    get_event(reader, &state->pending);
    get_event(reader, &record->postponed);
    record->requests = state_get_u8(reader);
    record->sipi_vector = state_get_u8(reader);
    for (unsigned i = COMPONENT_FIRST; i < COMPONENT_END; i++)
        record->component[i] = state_get_u32(reader);
    state_get(reader, state->xsave, sizeof(state->xsave));
}

static bool canonical(uint64_t address) {
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static bool segment_valid(const struct x86_segment *segment) {
    if (segment->attributes & ~ATTRIBUTES || !canonical(segment->base))
        return false;
    if (!(segment->attributes & X86_SEG_P))
        return true;
    /* A limit is what a descriptor can express. */
    return segment->attributes & X86_SEG_G ? (segment->limit & 0xfff) == 0xfff : segment->limit <= 0xfffff;
}

/* CR4 bits that this CPU can have: a guest sets them by itself, also those of features that it is not shown.
 */
static uint64_t cr4_possible(void) {
    uint64_t bits = CR4_OLD;
    uint32_t basic = cpuid_read(1, 0).ecx;

    bits |= basic & 1u << 17 ? CR4_PCIDE : 0;
    bits |= basic & 1u << 26 ? CR4_OSXSAVE : 0;
    if (cpuid_read(0, 0).eax >= 7) {
        struct cpuid_registers more = cpuid_read(7, 0);
        bits |= more.ebx & 1u << 0 ? CR4_FSGSBASE : 0;
        bits |= more.ebx & 1u << 7 ? CR4_SMEP : 0;
        bits |= more.ebx & 1u << 20 ? CR4_SMAP : 0;
        bits |= more.ecx & 1u << 2 ? CR4_UMIP : 0;
        bits |= more.ecx & 1u << 3 ? CR4_PKE : 0;
    }
    return bits;
}

/* What VMRUN and VM entry would refuse (AMD APM vol. 2, 15.5.1; Intel SDM vol. 3, 26.3.1). */
static bool system_valid(const struct x86_system *system, const struct x86_cpu_model *model) {
    uint16_t code = system->segment[X86_CS].attributes;
    bool paging = (system->cr0 & CR0_PG) != 0;
    bool active = (system->efer & EFER_LMA) != 0;

    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        if (!segment_valid(&system->segment[i]))
            return false;
    if (!canonical(system->gdtr.base) || !canonical(system->idtr.base) || system->gdtr.limit > 0xffff ||
        system->idtr.limit > 0xffff)
        return false;
    if (system->cr0 & ~CR0_KNOWN || (paging && !(system->cr0 & CR0_PE)) ||
        ((system->cr0 & CR0_NW) && !(system->cr0 & CR0_CD)))
        return false;
    if (system->cr3 >> model->physical_bits || system->cr4 & ~cr4_possible() ||
        system->efer & ~cpu_model_efer_allowed(model))
        return false;
    if (active != (paging && (system->efer & EFER_LME)))
        return false;
    if (active && (!(system->cr4 & CR4_PAE) || ((code & X86_SEG_L) && (code & X86_SEG_DB))))
        return false;
    if ((system->cr4 & CR4_PCIDE) && !active)
        return false;
    return system->cpl <= 3 && (system->cr0 & CR0_PE || !system->cpl);
}

static bool registers_valid(const struct x86_registers *registers, const struct x86_system *system) {
    bool wide = (system->efer & EFER_LMA) && (system->segment[X86_CS].attributes & X86_SEG_L);

    if (!(registers->rflags & RFLAGS_FIXED) || registers->rflags & ~RFLAGS_KNOWN)
        return false;
    if ((registers->rflags & RFLAGS_VM) &&
        (!(system->cr0 & CR0_PE) || (system->efer & EFER_LMA) || system->cpl != 3))
        return false;
    return wide ? canonical(registers->rip) : !(registers->rip >> 32);
}

/* What can be injected (AMD APM vol. 2, 15.20; Intel SDM vol. 3, 26.2.1.3). */
static bool event_valid(const struct x86_event *event, const struct x86_system *system) {
    if (event->valid > 1 || event->has_error > 1)
        return false;
    if (!event->valid)
        return !event->type && !event->vector && !event->has_error && !event->error;
    if (!event->has_error && event->error)
        return false;
    switch (event->type) {
    case X86_EVENT_INTERRUPT:
        return !event->has_error;
    case X86_EVENT_NMI:
        return event->vector == VECTOR_NMI && !event->has_error;
    case X86_EVENT_EXCEPTION:
        break;
    default:
        return false;
    }
    /* Not NMI, nor what only an instruction raises: that is executed again. */
    if (event->vector > 31 || event->vector == VECTOR_NMI || event->vector == 3 || event->vector == 4)
        return false;
    bool has_error = event->vector == VECTOR_DF || (event->vector >= 10 && event->vector <= 14) ||
                     event->vector == VECTOR_AC;
    return event->has_error == (has_error && (system->cr0 & CR0_PE)) && event->error <= 0xffff;
}

/* What XRSTOR would fault on, or restore into another component (Intel SDM vol. 1, 13.8.1 and 13.4). */
static bool xsave_valid(const struct record *record, const struct x86_cpu_model *model) {
    const uint8_t *area = record->state.xsave;
    uint32_t mxcsr, mxcsr_known = MXCSR_KNOWN;
    uint64_t components;

    memcpy(&mxcsr, area + XSAVE_MXCSR, sizeof(mxcsr));
    memcpy(&components, area + XSAVE_BV, sizeof(components));
    if (cpu_model_has(model, WORD_80000001_ECX, 7))
        mxcsr_known |= MXCSR_MM;
    if (mxcsr & ~mxcsr_known || components & ~fpu_components())
        return false;
    for (unsigned i = XSAVE_RESERVED; i < XSAVE_DATA; i++)
        if (area[i])
            return false;
    for (unsigned i = COMPONENT_FIRST; i < COMPONENT_END; i++)
        if ((components >> i & 1) && record->component[i] != component_offset(i))
            return false;
    return true;
}

static bool xcr0_valid(uint64_t xcr0, const struct x86_cpu_model *model) {
    if (!(xcr0 & 1) || xcr0 & ~model->xcr0_allowed || ((xcr0 & 4) && !(xcr0 & 2)))
        return false;
    return !(xcr0 & 0xe0) || ((xcr0 & 0xe0) == 0xe0 && (xcr0 & 4));
}

static bool valid(const struct record *record, const struct x86_cpu_model *model) {
    const struct x86_vcpu_state *state = &record->state;
    const struct x86_system *system = &state->system;

    if (!system_valid(system, model) || !registers_valid(&state->registers, system))
        return false;
    if (!event_valid(&state->pending, system) || !event_valid(&record->postponed, system))
        return false;
    if (state->dr6 >> 32 || state->dr7 >> 32 || !xcr0_valid(state->xcr0, model) ||
        !xsave_valid(record, model))
        return false;
    if (state->activity > X86_WAIT_FOR_SIPI || state->nmi_blocked > 1 || state->nmi_pending > 1 ||
        state->interrupt_shadow > 1)
        return false;
    if (record->requests & ~(PENDING_INIT | PENDING_SIPI) || !tsc_frequency_possible(state->tsc_frequency))
        return false;
    return state->msrs.tsc_aux <= UINT32_MAX && (!state->msrs.tsc_aux || cpu_model_has_rdtscp(model));
}

/* Those with rules go the guest's own way. */
static bool msrs_load(struct x86_vcpu *vcpu, const struct x86_msrs *msrs) {
    const struct {
        uint32_t msr;
        uint64_t value;
    } checked[] = {
        {MSR_LSTAR, msrs->lstar},
        {MSR_CSTAR, msrs->cstar},
        {MSR_KERNEL_GS_BASE, msrs->kernel_gs_base},
        {MSR_SYSENTER_ESP, msrs->sysenter_esp},
        {MSR_SYSENTER_EIP, msrs->sysenter_eip},
        {MSR_PAT, msrs->pat},
        {MSR_MTRR_DEF_TYPE, msrs->mtrr_def_type},
    };
    struct x86_msrs *own = &vcpu->state->msrs;

    for (unsigned i = 0; i < array_count(checked); i++)
        if (msr_guest_write(vcpu, checked[i].msr, checked[i].value))
            return false;
    for (unsigned i = 0; i < array_count(mtrr_fixed); i++)
        if (msr_guest_write(vcpu, mtrr_fixed[i], msrs->mtrr_fixed[i]))
            return false;
    for (unsigned i = 0; i < 16; i++)
        if (msr_guest_write(vcpu, MSR_MTRR_VARIABLE + i, msrs->mtrr_variable[i]))
            return false;
    own->star = msrs->star;
    own->sfmask = msrs->sfmask;
    own->sysenter_cs = msrs->sysenter_cs;
    own->tsc_aux = msrs->tsc_aux;
    own->misc_enable = msrs->misc_enable;
    return true;
}

static void requests_load(struct x86_vcpu *vcpu, const struct record *record) {
    vcpu->sipi_vector = record->sipi_vector;
    vcpu_request(&vcpu->core, (record->requests & PENDING_INIT ? X86_REQUEST_INIT : 0) |
                                  (record->requests & PENDING_SIPI ? X86_REQUEST_SIPI : 0) |
                                  X86_REQUEST_EVENT);
}

static int load_record(struct x86_vcpu *vcpu, struct state_reader *reader, struct record *record) {
    struct x86_vm *vm = x86_vm(vcpu->core.vm);
    struct x86_vcpu_state *state = vcpu->state;

    get(reader, record);
    if (reader->error || !valid(record, vm->model))
        return -EINVAL;
    /* All vCPUs' TSCs run alike. */
    if (vcpu->core.index && record->state.tsc_frequency != vm->tsc_frequency)
        return -EINVAL;
    if (!msrs_load(vcpu, &record->state.msrs)) {
        vcpu_power_on(vcpu);
        return -EINVAL;
    }
    record->state.msrs = state->msrs;
    *state = record->state;
    vcpu->postponed = record->postponed;
    if (!vcpu->core.index)
        tsc_set_frequency(vm, state->tsc_frequency);
    /* now, or rather at the reset just before: for all alike */
    vcpu->tsc_offset = state->tsc - tsc_scaled(vm, vm->tsc_start);
    engine->tsc_offset(vcpu);
    vcpu_replaced(vcpu);
    requests_load(vcpu, record);
    if (vcpu->lapic)
        lapic_tsc_changed(vcpu->lapic);
    return 0;
}

static int load(struct vm *vm, unsigned index, struct state_reader *reader, uint16_t version) {
    struct x86_vcpu *vcpu = x86_vcpu(vm->vcpu[index]);
    struct record *record;
    int error;

    vcpu_power_on(vcpu);
    if (version != 1)
        return -EINVAL;
    record = heap_allocate(sizeof(*record), &vm->memory.account); /* too much for a stack */
    if (!record)
        return -ENOMEM;
    error = load_record(vcpu, reader, record);
    heap_free(record, sizeof(*record), &vm->memory.account);
    return error;
}

static void reset(struct vm *vm, unsigned index) {
    if (index == 0)
        x86_vm(vm)->tsc_start = tsc_read();
    vcpu_power_on(x86_vcpu(vm->vcpu[index]));
}

const struct part vcpu_part = {
    .name = "x86.vcpu",
    .version = 1,
    .per_vcpu = 1,
    .reset = reset,
    .save = save,
    .load = load,
};
