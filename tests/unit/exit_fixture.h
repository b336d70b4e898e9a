// SPDX-License-Identifier: Apache-2.0
// One x86 vCPU over an engine of the test's own, whose guest does what the test says, and all that its exits
// ask. Included by one file of a test program.
#ifndef SAGUARO_TESTS_EXIT_FIXTURE_H
#define SAGUARO_TESTS_EXIT_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "cpu_fixture.h"
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/engine/exit_inline.h"
#include "arch/x86/engine/mmio.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/msr.h"
#include "arch/x86/guest/pic.h"
#include "arch/x86/guest/pv.h"
#include "arch/x86/host_map.h"
#include "arch/x86/vcpu.h"
#include "core/log.h"
#include "core/service.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct cpu cpu;
static struct x86_vm vm;
static struct x86_vcpu vcpu;
static struct x86_vcpu_state state;
static struct x86_cpu_model model;
static struct emulate emulate;

static struct {
    char crash[160];
    enum emulate_result result; /* of emulate_one() and emulate_decode() */
    unsigned emulations, xcr0_changes, eois, offers, refreshes, init_resets;
    int lapic_vector; /* what the APIC would deliver; -1: nothing */
    int accepted;     /* vectors taken from it, the last one */
    bool lapic_work, pic, pic_accepted, kicked;
    uint8_t acknowledged;
    uint64_t hypercall[5];
    uint64_t cr8;
    uint8_t peek[3];
    unsigned peek_count;
    int translate; /* what guest_memory_translate() says */
    enum guest_region_kind kind;
    uint64_t mmio_base;
    bool device; /* emulate_device() takes it */
    unsigned device_moves, mmio_loads;
    unsigned asks;  /* how often it says that the answer comes later */
    bool waits;     /* what the vCPU is held for is not there yet */
    bool call_hold; /* a call of the service VM's holds it */
    uint32_t call[5];
    int32_t call_result;
    unsigned calls;
    bool nmi_open;
    unsigned nmis, preempted, loads, puts;
    uint64_t dr0;      /* the CPU's */
    uint64_t executed; /* where paging_execute() was asked for code, and what it says */
    int execute;
    int sipi;
} mock;

/* ---- surroundings */

void vm_crash(struct vcpu *which, const char *format, ...) {
    va_list arguments;
    assert_ptr_equal(which, &vcpu.core);
    va_start(arguments, format);
    vsnprintf(mock.crash, sizeof(mock.crash), format, arguments);
    va_end(arguments);
    vcpu.core.requests |= VCPU_REQUEST_PARK;
}
void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    return calloc(1, size);
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    free(object);
}
int guest_memory_translate(struct vm *which, uint64_t gpa, uint64_t *physical, uint64_t *contiguous,
                           enum guest_region_kind *kind) {
    (void)which;
    *physical = gpa;
    *contiguous = 4096;
    *kind = mock.kind;
    return mock.translate;
}
int paging_execute(struct paging *paging, uint64_t address) {
    assert_ptr_equal(paging, &vm.nested);
    mock.executed = address;
    return mock.execute;
}
struct emulate *mmio_emulator(struct x86_vcpu *which) {
    x86_need(which, X86_STATE_SEGMENTS | X86_STATE_CONTROL);
    return &emulate;
}
struct emulate *mmio_emulator_short(struct x86_vcpu *which) {
    x86_need(which, X86_STATE_CODE | X86_STATE_CONTROL);
    return &emulate;
}
void mmio_load(struct x86_vcpu *which) {
    assert_ptr_equal(which, &vcpu);
    mock.mmio_loads++;
}
bool mmio_is_device(struct x86_vcpu *which, uint64_t gpa, bool write) {
    (void)which;
    if (mock.mmio_base && (gpa & ~0xfffull) == mock.mmio_base)
        return true;
    return mock.translate != 0 || (write && mock.kind == GUEST_ROM);
}
bool emulate_device(struct emulate *which, enum emulate_result *result) {
    assert_true(which->gpa_valid);
    mock.device_moves += mock.device;
    *result = mock.result;
    if (mock.device && mock.asks) {
        mock.asks--;
        vcpu.core.hold = VCPU_HOLD_ANSWER;
        *result = EMULATE_RETRY;
    }
    return mock.device;
}
enum emulate_result emulate_one(struct emulate *which) {
    (void)which;
    mock.emulations++;
    if (mock.asks) {
        mock.asks--;
        vcpu.core.hold = VCPU_HOLD_ANSWER;
        return EMULATE_RETRY;
    }
    return mock.result;
}
enum emulate_result emulate_decode(struct emulate *which) {
    (void)which;
    return mock.result;
}
enum emulate_result emulate_walk(struct emulate *which, uint64_t linear, unsigned access, uint64_t *gpa) {
    (void)which;
    assert_int_equal(access, EMULATE_EXECUTE | EMULATE_PEEK);
    *gpa = linear + 0x100000;
    return mock.result;
}
unsigned emulate_peek(struct emulate *which, uint8_t *buffer, unsigned size) {
    (void)which;
    memcpy(buffer, mock.peek, size);
    return mock.peek_count;
}
void fpu_xcr0_changed(struct x86_vcpu *which) {
    assert_ptr_equal(which, &vcpu);
    mock.xcr0_changes++;
}
void fpu_load(struct x86_vcpu *which) {
    (void)which;
    mock.loads++;
}
void fpu_save(struct x86_vcpu *which) {
    (void)which;
    mock.puts++;
}
void vcpu_debug_load(struct x86_vcpu *which) {
    mock.dr0 = which->state->dr[0];
}
void vcpu_debug_save(struct x86_vcpu *which) {
    which->state->dr[0] = mock.dr0;
}
void window_forget(void) {}
static unsigned barriers;
void barrier_between_vms(void) {
    barriers++;
}
void cpu_model_cpuid(struct x86_vcpu *which, uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *out) {
    (void)which;
    *out = (struct cpuid_leaf){leaf + 1, subleaf, 3, 4};
}
int msr_guest_read(struct x86_vcpu *which, uint32_t msr, uint64_t *value) {
    (void)which;
    *value = 0x123456789abcdef0;
    return msr == 0x10 ? 0 : -EINVAL;
}
static uint64_t msr_written;
int msr_guest_write(struct x86_vcpu *which, uint32_t msr, uint64_t value) {
    (void)which;
    msr_written = value;
    return msr == 0x10 || msr == 0x80b ? 0 : -EINVAL;
}
uint64_t lapic_mmio_base(const struct lapic *lapic) {
    (void)lapic;
    return mock.mmio_base;
}
void lapic_page_unload(struct lapic *lapic) {
    (void)lapic;
}
uint64_t lapic_cr8(struct lapic *lapic) {
    (void)lapic;
    return mock.cr8;
}
void lapic_set_cr8(struct lapic *lapic, uint64_t value) {
    (void)lapic;
    mock.cr8 = value;
}
int lapic_pending(struct lapic *lapic) {
    (void)lapic;
    return mock.lapic_vector;
}
void lapic_accept(struct lapic *lapic, uint8_t vector) {
    (void)lapic;
    assert_int_equal(vector, mock.lapic_vector);
    mock.accepted = vector;
    mock.lapic_vector = -1;
    mock.lapic_work = false;
}
bool lapic_has_work(struct lapic *lapic) {
    (void)lapic;
    return mock.lapic_work;
}
bool lapic_accepts_pic(const struct lapic *lapic) {
    (void)lapic;
    return mock.pic_accepted;
}
bool pic_pending(const struct pic *pic) {
    (void)pic;
    return mock.pic;
}
uint8_t pic_acknowledge(struct pic *pic) {
    (void)pic;
    assert_true(mock.pic);
    mock.pic = false;
    return mock.acknowledged;
}
uint64_t pv_hypercall(struct x86_vcpu *which, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2,
                      uint64_t a3) {
    const uint64_t all[5] = {number, a0, a1, a2, a3};
    (void)which;
    memcpy(mock.hypercall, all, sizeof(all));
    return 0xfffffffffffffc18;
}
int32_t service_call(struct vcpu *which, uint32_t number, const uint32_t arguments[4]) {
    assert_ptr_equal(which, &vcpu.core);
    assert_true(which->vm->service);
    mock.calls++;
    mock.call[0] = number;
    memcpy(&mock.call[1], arguments, 4 * sizeof(arguments[0]));
    if (mock.call_hold)
        which->hold = VCPU_HOLD_EVENT;
    return mock.call_result;
}
bool vcpu_held(const struct vcpu *which) {
    assert_ptr_equal(which, &vcpu.core);
    return which->hold && mock.waits;
}
void pv_eoi_sync(struct vcpu *which) {
    (void)which;
    mock.eois++;
}
void pv_eoi_offer(struct x86_vcpu *which, uint8_t vector) {
    (void)which;
    assert_int_equal(vector, mock.accepted);
    mock.offers++;
}
bool pv_kicked(const struct x86_vcpu *which) {
    (void)which;
    return mock.kicked;
}
bool pv_take_kick(struct x86_vcpu *which) {
    (void)which;
    bool was = mock.kicked;
    mock.kicked = false;
    return was;
}
void pv_refresh(struct x86_vcpu *which, bool paused) {
    (void)which;
    assert_true(paused);
    mock.refreshes++;
}
void pv_scheduled(struct x86_vcpu *which) {
    (void)which;
}
void pv_preempted(struct x86_vcpu *which) {
    (void)which;
    mock.preempted++;
}
void vcpu_init_reset(struct x86_vcpu *which) {
    mock.init_resets++;
    memset(which->state->dr, 0, sizeof(which->state->dr));
    which->state->activity = which->core.index == 0 ? X86_ACTIVE : X86_WAIT_FOR_SIPI;
    which->state->nmi_pending = which->state->nmi_blocked = 0;
}
void vcpu_sipi(struct x86_vcpu *which, uint8_t vector) {
    mock.sipi = vector;
    which->state->activity = X86_ACTIVE;
}

/* ---- an engine whose guest does what the test says */

#define STEPS 16
static struct {
    enum engine_next (*step[STEPS])(void);
    unsigned count, at;
    struct x86_event entered[STEPS]; /* what each entry injected */
    struct engine engine;
} guest;

static enum engine_next engine_run(struct x86_vcpu *which) {
    assert_ptr_equal(which, &vcpu);
    assert_int_equal(vcpu.core.in_guest, 1);
    assert_true(guest.at < guest.count);
    guest.entered[guest.at] = state.pending;
    state.pending = (struct x86_event){0};
    vcpu.core.in_guest = 0;
    return guest.step[guest.at++]();
}

static bool nmi_open(struct x86_vcpu *which) {
    (void)which;
    return mock.nmi_open && !state.nmi_blocked && !state.pending.valid && !state.interrupt_shadow;
}
static void nmi_injected(struct x86_vcpu *which) {
    (void)which;
    mock.nmis++;
}
static void nothing(struct x86_vcpu *which) {
    (void)which;
}

static inline int setup(void **unused) {
    (void)unused;
    memset(&cpu, 0, sizeof(cpu));
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    memset(&state, 0, sizeof(state));
    memset(&model, 0, sizeof(model));
    memset(&emulate, 0, sizeof(emulate));
    memset(&mock, 0, sizeof(mock));
    memset(&guest, 0, sizeof(guest));
    memset(&engine_calls, 0, sizeof(engine_calls));
    test_cpu = &cpu;
    guest.engine = test_engine;
    guest.engine.run = engine_run;
    guest.engine.nmi_open = nmi_open;
    guest.engine.nmi_injected = nmi_injected;
    guest.engine.vcpu_load = guest.engine.vcpu_put = nothing;
    engine = &guest.engine;
    vm.model = &model;
    vcpu.core.vm = &vm.core;
    vcpu.core.cpu = &cpu;
    vcpu.state = &state;
    vcpu.emulate = &emulate;
    vcpu.present = X86_STATE_ALL;
    mock.lapic_vector = mock.accepted = mock.sipi = -1;
    mock.nmi_open = true;
    state.registers.rip = 0x1000;
    state.registers.rflags = 0x202;
    state.system.cr0 = CR0_PE | CR0_PG;
    state.system.efer = EFER_LME | EFER_LMA;
    state.system.segment[X86_CS].attributes = X86_SEG_P | X86_SEG_S | X86_SEG_L | 0xb;
    assert_int_equal(bus_init(&vm.core.bus[BUS_PORT]), 0);
    return 0;
}

static inline int teardown(void **unused) {
    (void)unused;
    bus_destroy(&vm.core.bus[BUS_PORT]);
    return 0;
}

static inline void mode_32(void) {
    state.system.segment[X86_CS].attributes &= (uint16_t)~X86_SEG_L;
}

static inline void is_pending(unsigned type, unsigned vector, int64_t error) {
    assert_int_equal(state.pending.valid, 1);
    assert_int_equal(state.pending.type, type);
    assert_int_equal(state.pending.vector, vector);
    assert_int_equal(state.pending.has_error, error >= 0);
    assert_int_equal(state.pending.error, error >= 0 ? error : 0);
}

static inline enum engine_next step_reschedule(void) {
    cpu.reschedule = 1;
    return ENGINE_AGAIN;
}
static inline enum vcpu_run_result run(unsigned count, ...) {
    va_list steps;
    va_start(steps, count);
    for (unsigned i = 0; i < count; i++)
        guest.step[i] = va_arg(steps, enum engine_next(*)(void));
    va_end(steps);
    guest.count = count;
    guest.at = 0;
    cpu.reschedule = 0;
    unsigned puts = mock.puts, loads = mock.loads;
    enum vcpu_run_result result = arch_vcpu_run(&vcpu.core);
    assert_int_equal(guest.at, count);
    assert_int_equal(vcpu.core.in_guest, 0);
    assert_int_equal(mock.puts - puts, 1);
    assert_int_equal(mock.loads - loads, 1);
    return result;
}

#endif
