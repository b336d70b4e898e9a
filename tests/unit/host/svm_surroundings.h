// SPDX-License-Identifier: Apache-2.0
// What surrounds the SVM engine in test_svm.c: memory, the machine's functions that it calls, and a VMRUN
// that the test answers.
#ifndef SAGUARO_TESTS_UNIT_HOST_SVM_SURROUNDINGS_H
#define SAGUARO_TESTS_UNIT_HOST_SVM_SURROUNDINGS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/x86/engine/svm/svm.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/paging_formats.h"
#include "arch/x86/registers.h"
#include "arch/x86/x86_cpu.h"
#include "core/log.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct x86_cpu cpus[2];
static struct x86_vm vm;
static struct x86_vcpu vcpus[3];
static struct x86_vcpu_state states[3];
static struct x86_cpu_model model;
static struct vmcb host;
static char crash[160];
static struct x86_event injected; /* by x86_inject_exception() */

const struct engine *engine = &svm_engine;
bool x86_eoi_exits;
const struct paging_format paging_npt_format = {.levels = 4};

/* ---- surroundings */

static uint32_t asids = 4, features;

struct cpuid_registers test_cpuid(uint32_t leaf, uint32_t subleaf) {
    (void)subleaf;
    switch (leaf) {
    case 0x80000000:
        return (struct cpuid_registers){.eax = 0x8000000a};
    case 0x80000001:
        return (struct cpuid_registers){.ecx = features & 2 ? 0 : 4, .edx = 1u << 26};
    case 0x8000000a:
        return (struct cpuid_registers){.ebx = asids, .edx = features};
    }
    return (struct cpuid_registers){0};
}
uint64_t test_msr_read(uint32_t msr) {
    (void)msr;
    return 0;
}
void test_msr_write(uint32_t msr, uint64_t value) {
    (void)msr;
    (void)value;
}
void arch_timer_program(uint64_t deadline) {
    (void)deadline;
}
uint64_t arch_heap_physical(const void *address) {
    return (uint64_t)(uintptr_t)address;
}
void *arch_window_map(uint64_t physical) {
    return (void *)(uintptr_t)physical;
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
static unsigned pages_left = UINT32_MAX;
void *heap_pages(unsigned order, struct memory_account *account) {
    (void)account;
    size_t size = (size_t)PAGE_SIZE << order;
    if (!pages_left)
        return NULL;
    pages_left--;
    void *pages = aligned_alloc(PAGE_SIZE, size);
    memset(pages, 0, size);
    return pages;
}
void heap_pages_free(void *pages, unsigned order, struct memory_account *account) {
    (void)order;
    (void)account;
    free(pages);
}
bool cpu_model_emulated(void) {
    return false;
}
static unsigned rechecks;
void host_apic_recheck(void) {
    rechecks++;
}
void vm_crash(struct vcpu *vcpu, const char *format, ...) {
    va_list arguments;
    (void)vcpu;
    va_start(arguments, format);
    vsnprintf(crash, sizeof(crash), format, arguments);
    va_end(arguments);
}
void x86_inject_exception(struct x86_vcpu *vcpu, uint8_t vector, int64_t error) {
    (void)vcpu;
    injected = (struct x86_event){.valid = 1, .type = 3, .vector = vector, .has_error = error >= 0};
}
uint32_t x86_event_info(const struct x86_event *event) {
    return event->vector | (uint32_t)event->type << 8 | 1u << 31 | (event->has_error ? 1u << 11 : 0);
}
static uint32_t interrupted_info, interrupted_error;
void x86_interrupted(struct x86_vcpu *vcpu, uint32_t info, uint32_t error) {
    (void)vcpu;
    interrupted_info = info;
    interrupted_error = error;
}
void x86_skip_slow(struct x86_vcpu *vcpu, uint64_t rip) {
    vcpu->state->registers.rip = rip;
}
unsigned x86_instruction_length(struct x86_vcpu *vcpu, const uint8_t *opcode, unsigned opcode_length,
                                uint64_t *page) {
    (void)vcpu;
    (void)opcode;
    *page = UINT64_MAX;
    return opcode_length;
}
const struct emulate_instruction *x86_decode(struct x86_vcpu *vcpu) {
    (void)vcpu;
    return NULL;
}
#define UNUSED __attribute__((unused))
#define UNUSED_NEXT(name, ...)                                                                               \
    enum engine_next name(__VA_ARGS__) {                                                                     \
        fail();                                                                                              \
        return ENGINE_AGAIN;                                                                                 \
    }
UNUSED_NEXT(exit_hypercall, struct x86_vcpu *vcpu UNUSED, unsigned length UNUSED)
UNUSED_NEXT(exit_undefined, struct x86_vcpu *vcpu UNUSED)
#define UNUSED_EXIT(name, ...)                                                                               \
    void name(__VA_ARGS__) {                                                                                 \
        fail();                                                                                              \
    }
UNUSED_EXIT(exit_cpuid_computed, struct x86_vcpu *vcpu UNUSED, unsigned length UNUSED)
UNUSED_EXIT(exit_msr_read, struct x86_vcpu *vcpu UNUSED, unsigned length UNUSED)
UNUSED_EXIT(exit_msr_write, struct x86_vcpu *vcpu UNUSED, unsigned length UNUSED)
UNUSED_EXIT(exit_xsetbv, struct x86_vcpu *vcpu UNUSED, unsigned length UNUSED)
UNUSED_EXIT(exit_cr8, struct x86_vcpu *vcpu UNUSED, bool write UNUSED, unsigned gpr UNUSED,
            unsigned length UNUSED)
UNUSED_EXIT(exit_alignment, struct x86_vcpu *vcpu UNUSED)
UNUSED_EXIT(exit_machine_check, void)
UNUSED_EXIT(exit_shutdown, struct x86_vcpu *vcpu UNUSED)
UNUSED_EXIT(exit_cache, struct x86_vcpu *vcpu UNUSED, unsigned length UNUSED)
UNUSED_EXIT(exit_absent, struct x86_vcpu *vcpu UNUSED)
UNUSED_EXIT(exit_rdpmc, struct x86_vcpu *vcpu UNUSED)
static unsigned pauses;
void exit_pause(struct x86_vcpu *vcpu) {
    (void)vcpu;
    pauses++;
}
static struct {
    unsigned size, length;
    uint16_t port;
    bool in;
} port;
enum engine_next exit_port(struct x86_vcpu *vcpu, uint16_t number, unsigned size, bool in, unsigned length) {
    (void)vcpu;
    port.port = number;
    port.size = size;
    port.in = in;
    port.length = length;
    return ENGINE_AGAIN;
}
enum engine_next exit_halt(struct x86_vcpu *vcpu, unsigned length) {
    (void)vcpu;
    (void)length;
    return ENGINE_BLOCK;
}
static char fault[32];
enum engine_next exit_nested_fault(struct x86_vcpu *vcpu, uint64_t gpa, bool write, bool fetch) {
    (void)vcpu;
    snprintf(fault, sizeof(fault), "%llx %c%c", (unsigned long long)gpa, write ? 'w' : '-',
             fetch ? 'x' : '-');
    return ENGINE_AGAIN;
}
enum engine_next exit_nested_table_fault(struct x86_vcpu *vcpu, uint64_t gpa) {
    (void)vcpu;
    snprintf(fault, sizeof(fault), "%llx table", (unsigned long long)gpa);
    return ENGINE_AGAIN;
}
static unsigned emulations;
enum engine_next exit_emulate(struct x86_vcpu *vcpu) {
    (void)vcpu;
    emulations++;
    return ENGINE_AGAIN;
}

/* ---- VMRUN */

static struct vmcb entered; /* as it was at the last one */
static void (*on_run)(struct vmcb *vmcb);

void svm_enter(struct x86_registers *registers, uint64_t guest_vmcb, uint64_t host_vmcb,
               uint64_t interrupt_shadow) {
    struct vmcb *vmcb = (struct vmcb *)(uintptr_t)guest_vmcb;
    (void)registers;
    assert_ptr_equal((void *)(uintptr_t)host_vmcb, &host);
    assert_int_equal(interrupt_shadow, vmcb->interrupt_shadow);
    entered = *vmcb;
    vmcb->exit_code = SVM_EXIT_NMI; /* nothing for us to do */
    vmcb->exit_interrupt_info = 0;
    if (on_run)
        on_run(vmcb);
}

static unsigned gif_set;
void svm_set_gif(void) {
    gif_set++;
}

static struct vmcb *vmcb_of(unsigned index) {
    return svm_vcpu(&vcpus[index])->vmcb;
}

static enum engine_next run(unsigned index) {
    return svm_engine.run(&vcpus[index]);
}

static void on_cpu(unsigned index, unsigned cpu) {
    vcpus[index].core.cpu = &cpus[cpu].core;
    test_cpu = &cpus[cpu].core;
    svm_engine.vcpu_load(&vcpus[index]);
}

static int setup(void **unused) {
    char why[160];
    (void)unused;
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    memset(states, 0, sizeof(states));
    memset(&model, 0, sizeof(model));
    memset(cpus, 0, sizeof(cpus));
    memset(&injected, 0, sizeof(injected));
    crash[0] = fault[0] = 0;
    on_run = NULL;
    interrupted_info = 0;
    features = SVM_FEATURE_NP | SVM_FEATURE_NRIP;
    /* What probe() finds, but for the MSR that only hardware has. */
    svm_features = features;
    svm_asids = asids;
    (void)why;
    for (unsigned i = 0; i < 2; i++) {
        cpus[i].core.number = i;
        timer_cpu_init(&cpus[i].core);
        svm_cpu[i] = (struct svm_cpu){
            .host = &host, .host_physical = (uint64_t)(uintptr_t)&host, .generation = 1, .next_asid = 1};
    }
    test_cpu = &cpus[0].core;
    vm.model = &model;
    model.features[WORD_80000001_EDX] = 1u << 27;
    vm.nested.root = (void *)&host;
    assert_int_equal(svm_vm_create(&vm), 0);
    for (unsigned i = 0; i < 3; i++) {
        vcpus[i].core.vm = &vm.core;
        vcpus[i].state = &states[i];
        assert_int_equal(svm_vcpu_create(&vcpus[i]), 0);
        on_cpu(i, 0);
    }
    return 0;
}

static int teardown(void **unused) {
    (void)unused;
    test_cpu = &cpus[0].core;
    for (unsigned i = 0; i < 3; i++)
        svm_vcpu_destroy(&vcpus[i]);
    svm_vm_destroy(&vm);
    assert_true(list_empty(&cpus[0].core.timers) && list_empty(&cpus[1].core.timers));
    return 0;
}

#endif
