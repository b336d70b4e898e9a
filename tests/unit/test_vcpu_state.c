// SPDX-License-Identifier: Apache-2.0
// A vCPU's saved state: a whole machine saved and loaded, each field of the record, and what is refused.
// unit-sources: arch/x86/vcpu_state.c arch/x86/vcpu.c arch/x86/fpu.c arch/x86/guest/*.c core/timer.c core/bus.c lib/config_iommu.c
// unit-sources: devices/uart16550.c devices/pci_function.c core/guest_memory.c core/guest_regions.c core/platform.c lib/state.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "cpu_fixture.h"
#include "arch/x86/clock.h"
#include "arch/x86/engine/mmio.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/vcpu.h"
#include "arch/x86/vcpu_state.h"
#include "core/console.h"
#include "core/log.h"
#include "core/main.h"
#include "devices/guest_passthrough.h"
#include "devices/service_mmio.h"
#include "lib/config.h"
#include "lib/state.h"

void service_guest_memory(struct vm *vm) {
    (void)vm;
}

uint32_t service_mmio_places(const struct vm *vm) {
    (void)vm;
    return 0;
}

const struct part passthrough_part = {.name = "passthrough"};

struct cpu *test_cpu;
uint64_t test_time;

#define VCPUS 3u

static struct cpu cpu;
static struct x86_vm machine;
static struct x86_vcpu vcpus[VCPUS];
static struct x86_vcpu_state states[VCPUS];
static struct emulate emulates[VCPUS];
static struct config_guest config = {.name = "test",
                                     .memory = 16u << 20,
                                     .vcpus = VCPUS,
                                     .cpus = 1,
                                     .exit_port = 1,
                                     .cpu_model = CONFIG_CPU_HOST};
static uint64_t frequency = 2000000000;

/* ---- what core and the rest of the architecture give */

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    void *at = aligned_alloc(64, (size + 63) & ~(size_t)63);
    memset(at, 0, size);
    return at;
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    free(object);
}
uint64_t frame_allocate_stale(unsigned shift, struct memory_account *account) {
    (void)account;
    void *at = aligned_alloc((size_t)1 << shift, (size_t)1 << shift);
    return (uint64_t)(uintptr_t)at;
}
uint64_t frame_allocate_below(unsigned shift, uint64_t limit, struct memory_account *account) {
    (void)shift;
    (void)limit;
    (void)account;
    return 0;
}
uint64_t frame_allocate_row(uint64_t count, uint64_t from, uint64_t limit, struct memory_account *account) {
    (void)count, (void)from, (void)limit, (void)account;
    return 0;
}
void frame_free(uint64_t physical, unsigned shift, struct memory_account *account) {
    (void)shift;
    (void)account;
    free((void *)(uintptr_t)physical);
}
void *arch_window_map(uint64_t physical) {
    return (void *)(uintptr_t)physical;
}
void *arch_window_map_large(uint64_t physical) {
    return (void *)(uintptr_t)physical;
}
void arch_timer_program(uint64_t deadline) {
    (void)deadline;
}
void arch_cpu_kick(struct cpu *which) {
    (void)which;
}
unsigned cpu_count(void) {
    return 1;
}
void vcpu_request(struct vcpu *vcpu, uint32_t requests) {
    vcpu->requests |= requests;
}
void vcpu_kick(struct vcpu *vcpu) {
    (void)vcpu;
}
void vm_end(struct vm *vm, enum vm_end end, uint32_t code, const char *text) {
    (void)vm, (void)end, (void)code, (void)text;
    fail();
}
void log_line(enum log_level level, const char *format, ...) {
    (void)level;
    (void)format;
}
bool log_allowed(struct log_limit *limit) {
    (void)limit;
    return false;
}
void panic(const char *format, ...) {
    (void)format;
    abort();
}
uint64_t wallclock_now(void) {
    return test_time;
}
uint64_t clock_from_tsc(uint64_t tsc) {
    return tsc;
}
uint64_t clock_tsc_frequency(void) {
    return frequency;
}
void console_guest_attach(struct vm *vm, const struct console_receiver *receiver) {
    (void)vm;
    (void)receiver;
}
void console_guest_ready(struct vm *vm) {
    (void)vm;
}
void console_guest_output(struct vm *vm, const uint8_t *bytes, size_t count) {
    (void)vm;
    (void)bytes;
    (void)count;
}
void emulate_cancel(struct emulate *emulate) {
    assert_non_null(emulate);
}
int mmio_create(struct x86_vcpu *vcpu) {
    (void)vcpu;
    return -ENOMEM;
}
void mmio_destroy(struct x86_vcpu *vcpu) {
    (void)vcpu;
}
int mmio_peek(struct x86_vcpu *vcpu, uint64_t linear, void *buffer, size_t size) {
    (void)vcpu;
    (void)linear;
    (void)buffer;
    (void)size;
    return -EFAULT;
}

/* ---- a machine */

static struct vm *vm(void) {
    return &machine.core;
}

static int setup(void **state) {
    char why[128];
    (void)state;
    memset(&machine, 0, sizeof(machine));
    memset(vcpus, 0, sizeof(vcpus));
    memset(states, 0, sizeof(states));
    memset(&cpu, 0, sizeof(cpu));
    test_cpu = &cpu;
    timer_cpu_init(&cpu);
    test_time = 5000000;
    frequency = 2000000000;
    host_cpu_reset();
    host_cpu_avx512();
    fpu_cpu_init();
    vm()->config = &config;
    vm()->vcpu_count = VCPUS;
    assert_int_equal(cpu_model_create(CONFIG_CPU_HOST, VCPUS, NULL, (struct x86_cpu_model **)&machine.model,
                                      why, sizeof(why)),
                     0);
    assert_int_equal(bus_init(&vm()->bus[BUS_PORT]), 0);
    assert_int_equal(bus_init(&vm()->bus[BUS_MEMORY]), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i].core.vm = vm();
        vcpus[i].core.index = i;
        vcpus[i].state = &states[i];
        vcpus[i].emulate = &emulates[i];
        vm()->vcpu[i] = &vcpus[i].core;
    }
    assert_int_equal(guest_memory_create(vm(), pc_backing_size(&config, 0)), 0);
    assert_int_equal(pc_memory_setup(vm(), 0), 0);
    vm()->platform = &pc_platform;
    assert_int_equal(platform_create(vm()), 0);
    platform_reset(vm());
    return 0;
}

static int teardown(void **state) {
    (void)state;
    platform_destroy(vm());
    guest_memory_destroy(vm());
    bus_destroy(&vm()->bus[BUS_PORT]);
    bus_destroy(&vm()->bus[BUS_MEMORY]);
    cpu_model_destroy((struct x86_cpu_model *)machine.model, NULL);
    assert_true(list_empty(&cpu.timers));
    return 0;
}

static uint8_t saved[65536] __attribute__((aligned(8))), again[65536] __attribute__((aligned(8)));

/* A vCPU in the middle of a 64-bit kernel's life. */
static void live(unsigned index) {
    struct x86_vcpu *vcpu = &vcpus[index];
    struct x86_vcpu_state *state = vcpu->state;
    struct x86_system *system = &state->system;

    for (unsigned i = 0; i < X86_GPR_COUNT; i++)
        state->registers.gpr[i] = 0x1111111111111111ull * i + index;
    state->registers.rip = 0xffffffff81000000ull + index;
    state->registers.rflags = 0x246;
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        system->segment[i] = (struct x86_segment){.selector = (uint16_t)(8 * i),
                                                  .attributes = X86_SEG_P | X86_SEG_S | X86_SEG_G | 3,
                                                  .limit = 0xffffffff,
                                                  .base = 0xffff888000000000ull + i};
    system->segment[X86_CS].attributes = X86_SEG_P | X86_SEG_S | X86_SEG_G | X86_SEG_L | 0xb;
    system->segment[X86_LDTR] = (struct x86_segment){0};
    system->segment[X86_TR] = (struct x86_segment){.attributes = X86_SEG_P | 0xb, .limit = 0x206f};
    system->gdtr = (struct x86_table){.base = 0xfffffe0000001000ull, .limit = 0x7f};
    system->idtr = (struct x86_table){.base = 0xfffffe0000000000ull, .limit = 0xfff};
    system->cr0 = 0x80050033;
    system->cr2 = 0xdeadbeefdeadbeefull;
    system->cr3 = 0x1234000;
    system->cr4 = 0x3506f0;
    system->efer = 0xd01;
    state->msrs.star = 0x23001000000000ull;
    state->msrs.lstar = 0xffffffff81a00000ull;
    state->msrs.cstar = 0xffffffff81a01000ull;
    state->msrs.sfmask = 0x47700;
    state->msrs.kernel_gs_base = 0xffff888000100000ull;
    state->msrs.sysenter_cs = 0x10;
    state->msrs.sysenter_esp = 0xfffffe0000002000ull;
    state->msrs.sysenter_eip = 0xffffffff81a02000ull;
    state->msrs.pat = 0x0407050600070106ull;
    state->msrs.tsc_aux = 1000 + index;
    state->msrs.misc_enable = 0x1801;
    state->msrs.mtrr_def_type = 0xc06;
    for (unsigned i = 0; i < 11; i++)
        state->msrs.mtrr_fixed[i] = 0x0606060600000000ull | i % 2 * 0x05;
    state->msrs.mtrr_variable[0] = 0x80000000;
    state->msrs.mtrr_variable[1] = 0xffff80000800ull;
    for (unsigned i = 0; i < 4; i++)
        state->dr[i] = 0xffffffff81000000ull + i;
    state->dr6 = 0xffff4ff1;
    state->dr7 = 0x403;
    state->xcr0 = 7;
    state->activity = index == 1 ? X86_HALTED : X86_ACTIVE;
    state->nmi_blocked = index == 2;
    state->nmi_pending = index == 2;
    state->interrupt_shadow = index == 0;
    if (index == 0)
        state->pending = (struct x86_event){.valid = 1, .type = 3, .vector = 14, .has_error = 1, .error = 6};
    if (index == 1)
        vcpu->postponed = (struct x86_event){.valid = 1, .type = 0, .vector = 0x31};
    for (unsigned i = 0; i < 512; i++)
        state->xsave[i] = (uint8_t)(i * 7 + index);
    uint32_t mxcsr = 0x1fa0;
    memcpy(state->xsave + 24, &mxcsr, 4);
    state->xsave[512] = 3;
    vcpu->tsc_offset = 0x123456789ull + 100 * index; /* a guest that has moved one CPU's TSC */
}

static void test_platform(void **state) {
    char why[96];
    (void)state;
    for (unsigned i = 0; i < VCPUS; i++)
        live(i);
    vcpus[1].core.requests = X86_REQUEST_NMI;
    vcpus[2].core.requests = X86_REQUEST_INIT | X86_REQUEST_SIPI | VCPU_REQUEST_PARK;
    vcpus[2].sipi_vector = 0x9a;
    static struct x86_vcpu_state before[VCPUS];
    memcpy(before, states, sizeof(before));
    uint64_t guest_tsc[VCPUS];
    for (unsigned i = 0; i < VCPUS; i++)
        guest_tsc[i] = test_time + vcpus[i].tsc_offset;

    int64_t size = platform_save(vm(), saved, sizeof(saved));
    assert_true(size > 0);
    /* Another machine, another moment. */
    for (unsigned i = 0; i < VCPUS; i++)
        vcpus[i].core.requests = VCPU_REQUEST_PARK | X86_REQUEST_NMI;
    test_time += 987654321;
    why[0] = 0;
    int result = platform_load(vm(), saved, (uint64_t)size, why);
    assert_string_equal(why, "");
    assert_int_equal(result, 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        before[i].tsc = states[i].tsc;
        if (i == 1)
            before[i].nmi_pending = 1; /* had only been asked for */
        assert_memory_equal(&before[i], &states[i], sizeof(before[i]));
        /* The guest's TSCs go on from where they were, and none moved against another. */
        assert_int_equal(test_time + vcpus[i].tsc_offset, guest_tsc[i]);
        assert_int_equal(vcpus[i].present, X86_STATE_ALL);
        assert_int_equal(vcpus[i].changed, X86_STATE_ALL);
        assert_false(vcpus[i].fpu_loaded);
    }
    assert_int_equal(vcpus[0].core.requests, VCPU_REQUEST_PARK | X86_REQUEST_EVENT);
    assert_int_equal(vcpus[2].core.requests,
                     VCPU_REQUEST_PARK | X86_REQUEST_EVENT | X86_REQUEST_INIT | X86_REQUEST_SIPI);
    assert_int_equal(vcpus[2].sipi_vector, 0x9a);
    assert_int_equal(vcpus[1].postponed.vector, 0x31);
    assert_int_equal(engine_calls.resets > 0, 1);
    /* Saved again at the same guest time, it is the same. */
    machine.tsc_saved = 0;
    assert_int_equal(platform_save(vm(), again, sizeof(again)), size);
    assert_memory_equal(saved, again, (size_t)size);
    /* At power-on nothing is left of what was asked of the last life. */
    platform_reset(vm());
    assert_int_equal(vcpus[2].core.requests & ~X86_REQUEST_EVENT, VCPU_REQUEST_PARK);
}

static bool scaling(void) {
    return true;
}

/* From a machine of another frequency: refused, but by a CPU that scales the TSC. */
static void test_other_frequency(void **state) {
    static const struct engine scaler = {.name = "scaler",
                                         .fetch = test_engine_fetch,
                                         .tsc_offset = test_engine_tsc_offset,
                                         .tlb_flush = test_engine_tlb_flush,
                                         .tsc_scaling = scaling};
    char why[96];
    (void)state;
    for (unsigned i = 0; i < VCPUS; i++)
        live(i);
    uint64_t guest_tsc[VCPUS], before = frequency;
    for (unsigned i = 0; i < VCPUS; i++)
        guest_tsc[i] = test_time + vcpus[i].tsc_offset;
    int64_t size = platform_save(vm(), saved, sizeof(saved));
    assert_true(size > 0);
    frequency = before / 2; /* the machine that it comes to is slower */
    assert_int_equal(platform_load(vm(), saved, (uint64_t)size, why), -EINVAL);
    engine = &scaler;
    assert_int_equal(platform_load(vm(), saved, (uint64_t)size, why), 0);
    assert_int_equal(machine.tsc_ratio, 1ull << 49);
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(states[i].tsc_frequency, before);
        assert_int_equal(test_time * 2 + vcpus[i].tsc_offset, guest_tsc[i]);
    }
    /* One TSC of another frequency among them is none that could be. */
    states[1].tsc_frequency = before + before / 100;
    size = platform_save(vm(), saved, sizeof(saved));
    assert_int_equal(platform_load(vm(), saved, (uint64_t)size, why), -EINVAL);
    engine = &test_engine;
    frequency = before;
    machine.tsc_ratio = machine.tsc_inverse = machine.tsc_frequency = 0;
}

/* The APIC's deadline is in the guest's TSC, which it finds again. */
static void test_deadline(void **state) {
    char why[96];
    (void)state;
    for (unsigned i = 0; i < VCPUS; i++)
        live(i);
    assert_int_equal(lapic_msr_write(vcpus[0].lapic, 0x1b, 0xfee00d00), 0); /* x2APIC */
    assert_int_equal(lapic_msr_write(vcpus[0].lapic, 0x80f, 0x1ff), 0);
    assert_int_equal(lapic_msr_write(vcpus[0].lapic, 0x832, 0x400ec), 0);
    uint64_t guest = test_time + vcpus[0].tsc_offset;
    assert_int_equal(lapic_msr_write(vcpus[0].lapic, MSR_TSC_DEADLINE, guest + 1000), 0);
    int64_t size = platform_save(vm(), saved, sizeof(saved));
    assert_true(size > 0);
    test_time += 500000000;
    assert_int_equal(platform_load(vm(), saved, (uint64_t)size, why), 0);
    test_time += 990;
    timer_interrupt();
    assert_false(lapic_has_work(vcpus[0].lapic));
    test_time += 20;
    timer_interrupt();
    assert_true(lapic_has_work(vcpus[0].lapic));
}

/* ---- one record */

static size_t record_size;

static void record_save(unsigned index) {
    struct state_writer writer;
    state_writer_init(&writer, saved, sizeof(saved));
    state_begin(&writer, vcpu_part.name, index, vcpu_part.version);
    vcpu_part.save(vm(), index, &writer);
    state_end(&writer);
    int64_t used = state_finish(&writer);
    assert_true(used > 0);
    record_size = (size_t)used;
}

static int record_load(unsigned index, uint16_t version) {
    struct state_reader reader;
    assert_int_equal(state_reader_init(&reader, saved, record_size), 0);
    assert_true(state_next(&reader));
    int result = vcpu_part.load(vm(), index, &reader, version);
    if (result) {
        /* In its reset state. */
        assert_int_equal(states[index].registers.rip, 0xfff0);
        assert_int_equal(states[index].system.cr0, 0x60000010);
        assert_int_equal(states[index].msrs.pat, 0x0007040600070406);
        assert_int_equal(states[index].msrs.lstar, 0);
        assert_int_equal(states[index].msrs.mtrr_def_type, 0);
        assert_int_equal(states[index].xcr0, 1);
        assert_false(states[index].pending.valid || vcpus[index].postponed.valid);
        assert_int_equal(engine_calls.fetched, 0);
    }
    return result;
}

/* Saves what `change` makes of a live vCPU. */
static int change_and_load(void (*change)(struct x86_vcpu_state *state, uint64_t value), uint64_t value) {
    live(0);
    change(&states[0], value);
    record_save(0);
    platform_reset(vm());
    return record_load(0, 1);
}

#define CHANGE(name, statement)                                                                              \
    static void name(struct x86_vcpu_state *state, uint64_t value) {                                         \
        statement;                                                                                           \
    }
CHANGE(c_rip, state->registers.rip = value)
CHANGE(c_rflags, state->registers.rflags = value)
CHANGE(c_rip32, state->system.segment[X86_CS].attributes &= (uint16_t)~X86_SEG_L;
       state->registers.rip = value)
CHANGE(c_attributes, state->system.segment[X86_ES].attributes = (uint16_t)value)
CHANGE(c_limit, state->system.segment[X86_DS].limit = (uint32_t)value)
CHANGE(c_limit_bytes, state->system.segment[X86_TR].limit = (uint32_t)value)
CHANGE(c_base, state->system.segment[X86_FS].base = value)
CHANGE(c_code, state->system.segment[X86_CS].attributes = (uint16_t)value)
CHANGE(c_gdt, state->system.gdtr.base = value)
CHANGE(c_gdt_limit, state->system.gdtr.limit = (uint32_t)value)
CHANGE(c_idt, state->system.idtr.base = value)
CHANGE(c_idt_limit, state->system.idtr.limit = (uint32_t)value)
CHANGE(c_cr0, state->system.cr0 = value)
CHANGE(c_cr3, state->system.cr3 = value)
CHANGE(c_cr4, state->system.cr4 = value)
CHANGE(c_efer, state->system.efer = value)
CHANGE(c_cpl, state->system.cpl = (uint32_t)value)
CHANGE(c_lstar, state->msrs.lstar = value)
CHANGE(c_cstar, state->msrs.cstar = value)
CHANGE(c_kgs, state->msrs.kernel_gs_base = value)
CHANGE(c_esp, state->msrs.sysenter_esp = value)
CHANGE(c_eip, state->msrs.sysenter_eip = value)
CHANGE(c_pat, state->msrs.pat = value)
CHANGE(c_aux, state->msrs.tsc_aux = value)
CHANGE(c_mtrr, state->msrs.mtrr_def_type = value)
CHANGE(c_fixed, state->msrs.mtrr_fixed[10] = value)
CHANGE(c_variable, state->msrs.mtrr_variable[14] = value)
CHANGE(c_dr6, state->dr6 = value)
CHANGE(c_dr7, state->dr7 = value)
CHANGE(c_xcr0, state->xcr0 = value)
CHANGE(c_frequency, state->tsc_frequency = value)
CHANGE(c_activity, state->activity = (uint32_t)value)
CHANGE(c_blocked, state->nmi_blocked = (uint8_t)value)
CHANGE(c_shadow, state->interrupt_shadow = (uint8_t)value)
CHANGE(c_mxcsr, memcpy(state->xsave + 24, &value, 4))
CHANGE(c_bv, memcpy(state->xsave + 512, &value, 8))
CHANGE(c_compact, state->xsave[527] = (uint8_t)value)
CHANGE(c_header, state->xsave[575] = (uint8_t)value)
/* type, vector, has_error, error */
CHANGE(c_event, state->pending.type = (uint8_t)(value >> 24); state->pending.vector = (uint8_t)(value >> 16);
       state->pending.has_error = (uint8_t)(value >> 15 & 1); state->pending.error = value & 0x7fff)
CHANGE(c_event_valid, state->pending.valid = (uint8_t)value)

/* Real mode, as a vCPU is between SIPI and its first far jump. */
static void real_mode(struct x86_vcpu_state *state, uint64_t value) {
    state->system.cr0 = 0x10;
    state->system.efer = 0;
    state->system.cr4 = 0;
    state->system.segment[X86_CS].attributes = 0x9b;
    state->system.segment[X86_CS].limit = 0xffff;
    state->registers.rip = 0x1000;
    state->pending.has_error = value & 1;
    state->pending.error = 0;
    state->system.cpl = (uint32_t)(value >> 1);
}

#define EVENT(type, vector, has, error) ((uint64_t)(type) << 24 | (vector) << 16 | (has) << 15 | (error))

static void test_fields(void **unused) {
    static const struct {
        void (*change)(struct x86_vcpu_state *, uint64_t);
        uint64_t value;
        bool good;
    } rows[] = {
        {c_rip, 0x7fffffffffff, true},
        {c_rip, 0x800000000000, false},
        {c_rip32, 0xffffffff, true},
        {c_rip32, 0x100000000, false},
        {c_rflags, 0x2, true},
        {c_rflags, 0x0, false},
        {c_rflags, 0xa, false},
        {c_rflags, 0x400002, false},
        {c_rflags, 0x100000002, false},
        {c_rflags, 0x20002, false}, /* VM86 in long mode */
        {c_attributes, 0x1093, false},
        {c_attributes, 0x0, true}, /* not present: the limit means nothing */
        {c_limit, 0xfffff, true},
        {c_limit, 0xffffe, false},
        {c_limit_bytes, 0xfffff, true},
        {c_limit_bytes, 0x100000, false},
        {c_base, 0x8000000000000000, false},
        {c_code, 0xa9b, true},
        {c_code, 0xe9b, false}, /* L and D */
        {c_gdt, 0x800000000000, false},
        {c_gdt_limit, 0x10000, false},
        {c_gdt_limit, 0xffff, true},
        {c_idt, 0x800000000000, false},
        {c_idt_limit, 0x10000, false},
        {c_cr0, 0x80050033, true},
        {c_cr0, 0x180050033, false},
        {c_cr0, 0x80050032, false}, /* PG without PE */
        {c_cr0, 0xa0050033, false}, /* NW without CD */
        {c_cr0, 0xe0050033, true},
        {c_cr0, 0x80050073, false}, /* a reserved bit */
        {c_cr0, 0x50033, false},    /* LMA without PG */
        {c_cr3, 0xfffffffffff8, true},
        {c_cr3, 0x1000000000000, false},
        {c_cr4, 0x3506f0, true},
        {c_cr4, 0x3506d0, false}, /* no PAE */
        {c_cr4, 0x3516f0, false}, /* LA57 */
        {c_cr4, 0x3526f0, false}, /* VMXE */
        {c_cr4, 0x8000003506f0, false},
        {c_efer, 0xd01, true},
        {c_efer, 0x901, false},  /* LMA missing */
        {c_efer, 0xc01, false},  /* LME missing */
        {c_efer, 0x1d01, false}, /* SVME */
        {c_efer, 0x4d01, true},  /* FFXSR: the model has it */
        {c_efer, 0x8000d01, false},
        {c_cpl, 3, true},
        {c_cpl, 4, false},
        {c_lstar, 0x800000000000, false},
        {c_cstar, 0x800000000000, false},
        {c_kgs, 0x800000000000, false},
        {c_esp, 0x800000000000, false},
        {c_eip, 0x800000000000, false},
        {c_pat, 0x0007040600070402, false},
        {c_aux, 0xffffffff, true},
        {c_aux, 0x100000000, false},
        {c_mtrr, 0xc02, false},
        {c_mtrr, 0x1c06, false},
        {c_fixed, 0x0606060606060603, false},
        {c_variable, 0x1000000000006, false},
        {c_variable, 0x7, false},
        {c_dr6, 0x1ffff0ff0, false},
        {c_dr7, 0x100000400, false},
        {c_xcr0, 1, true},
        {c_xcr0, 3, true},
        {c_xcr0, 0xe7, true},
        {c_xcr0, 0, false},
        {c_xcr0, 6, false},
        {c_xcr0, 5, false},
        {c_xcr0, 0x67, false},
        {c_xcr0, 0xe3, false},
        {c_xcr0, 0x207, false}, /* PKRU is not shown */
        {c_frequency, 2001000000, true},
        {c_frequency, 1999000000, true},
        {c_frequency, 2100000000, false},
        {c_frequency, 0, false},
        {c_activity, X86_WAIT_FOR_SIPI, true},
        {c_activity, X86_SHUTDOWN, false},
        {c_activity, 4, false},
        {c_blocked, 2, false},
        {c_shadow, 2, false},
        {c_mxcsr, 0xffff, true},
        {c_mxcsr, 0x21f80, true}, /* MM, which this CPU has */
        {c_mxcsr, 0x11f80, false},
        {c_bv, 0, true},
        {c_bv, 0x2e7, true},
        {c_bv, 0x8, false},
        {c_bv, 0x8000000000000003, false},
        {c_compact, 0x80, false},
        {c_header, 1, false},
        {c_event, EVENT(0, 0x20, 0, 0), true},
        {c_event, EVENT(0, 0xff, 0, 0), true},
        {c_event, EVENT(0, 0x20, 1, 0), false},
        {c_event, EVENT(1, 0x20, 0, 0), false},
        {c_event, EVENT(2, 2, 0, 0), true},
        {c_event, EVENT(2, 3, 0, 0), false},
        {c_event, EVENT(2, 2, 1, 0), false},
        {c_event, EVENT(3, 13, 1, 0x18), true},
        {c_event, EVENT(3, 13, 0, 0), false},
        {c_event, EVENT(3, 6, 0, 0), true},
        {c_event, EVENT(3, 6, 1, 0), false},
        {c_event, EVENT(3, 6, 0, 1), false},
        {c_event, EVENT(3, 8, 1, 0), true},
        {c_event, EVENT(3, 17, 1, 0), true},
        {c_event, EVENT(3, 1, 0, 0), true},
        {c_event, EVENT(3, 2, 0, 0), false},
        {c_event, EVENT(3, 3, 0, 0), false},
        {c_event, EVENT(3, 4, 0, 0), false},
        {c_event, EVENT(3, 32, 0, 0), false},
        {c_event, EVENT(4, 0x80, 0, 0), false},
        {c_event, EVENT(5, 0, 0, 0), false},
        {c_event_valid, 0, true},
        {c_event_valid, 2, false},
        {real_mode, 0, true},
        {real_mode, 1, false}, /* an error code in real mode */
        {real_mode, 2, false}, /* CPL 1 */
    };
    (void)unused;
    for (unsigned i = 0; i < array_count(rows); i++) {
        int result = change_and_load(rows[i].change, rows[i].value);
        if (result != (rows[i].good ? 0 : -EINVAL))
            fail_msg("row %u, value 0x%llx: %d", i, (unsigned long long)rows[i].value, result);
    }
}

/* Component 5 lies elsewhere here than where the record was made. */
static void test_components(void **unused) {
    (void)unused;
    live(0);
    states[0].xsave[512] = 0x27;
    record_save(0);
    assert_int_equal(record_load(0, 1), 0);
    host_xsave[5].ebx = 832;
    assert_int_equal(record_load(0, 1), -EINVAL);
    live(0); /* it is not in use: no matter where */
    record_save(0);
    host_xsave[5].ebx = 1088;
    assert_int_equal(record_load(0, 1), 0);
}

static void test_no_rdtscp(void **unused) {
    (void)unused;
    struct x86_cpu_model *model = (struct x86_cpu_model *)machine.model;
    live(0);
    record_save(0);
    model->features[WORD_80000001_EDX] &= ~(1u << 27);
    assert_int_equal(record_load(0, 1), -EINVAL);
}

static void test_truncation(void **unused) {
    (void)unused;
    live(0);
    record_save(0);
    struct state_record *record = (struct state_record *)saved;
    uint64_t length = record->length;
    assert_int_equal(record_load(0, 2), -EINVAL);
    assert_int_equal(record_load(0, 0), -EINVAL);
    assert_int_equal(record_load(0, 1), 0);
    for (uint64_t cut = 0; cut < length; cut += cut < 700 ? 1 : 97) {
        record->length = cut;
        record_size = sizeof(*record) + (cut + 7) / 8 * 8;
        assert_int_equal(record_load(0, 1), -EINVAL);
    }
}

/* Any byte changed to anything: refused or loaded, and what is loaded saves as it was. */
static void test_noise(void **unused) {
    unsigned loaded = 0;
    (void)unused;
    srand(3);
    for (unsigned i = 0; i < 4000; i++) {
        live(i % VCPUS);
        record_save(i % VCPUS);
        size_t offset = sizeof(struct state_record) +
                        (size_t)rand() % (i % 4 ? 1100 : record_size - sizeof(struct state_record));
        saved[offset] = (uint8_t)rand();
        if (record_load(i % VCPUS, 1))
            continue;
        loaded++;
        size_t field = offset - sizeof(struct state_record);
        if (field >= 743 && field < 775)
            continue; /* where components lie that are not in use: this CPU's own places are saved */
        memcpy(again, saved, record_size);
        record_save(i % VCPUS);
        assert_memory_equal(again, saved, record_size);
    }
    assert_in_range(loaded, 500, 3900);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_platform),        TEST(test_deadline),  TEST(test_fields),     TEST(test_components),
        TEST(test_other_frequency), TEST(test_no_rdtscp), TEST(test_truncation), TEST(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
