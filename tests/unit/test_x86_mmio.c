// SPDX-License-Identifier: Apache-2.0
// What the emulator asks of a VM: where its pages are, remembered as long as the guest's memory stays as it
// is.
// unit-sources: arch/x86/engine/mmio.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/x86/engine/engine.h"
#include "arch/x86/engine/mmio.h"
#include "arch/x86/fpu.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/x86_cpu.h"
#include "core/log.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct x86_cpu cpu;
static struct x86_cpu_model model = {.physical_bits = 40};
static struct x86_vm vm;
static struct x86_vcpu_state vcpu_state;
static struct x86_vcpu vcpu = {.core.vm = &vm.core, .state = &vcpu_state, .present = ~0u};
static const struct emulate_ops *ops;
static uint64_t apic, base; /* where the APIC's page is; of what RAM */
static enum guest_region_kind kind;
static unsigned searches;
static int missing;

void panic(const char *format, ...) {
    fail_msg("%s", format);
    abort();
}
void emulate_init(struct emulate *emulate, struct x86_registers *registers, struct x86_system *of,
                  const struct emulate_ops *with, void *context, unsigned bits) {
    assert_ptr_equal(context, &vcpu);
    assert_ptr_equal(registers, &vcpu_state.registers);
    assert_ptr_equal(of, &vcpu_state.system);
    assert_int_equal(bits, 40);
    memset(emulate, 0, sizeof(*emulate));
    ops = with;
}
int guest_memory_translate(struct vm *of, uint64_t gpa, uint64_t *physical, uint64_t *contiguous,
                           enum guest_region_kind *what) {
    assert_ptr_equal(of, &vm.core);
    searches++;
    if (contiguous)
        *contiguous = PAGE_SIZE;
    if (physical)
        *physical = base + gpa;
    *what = kind;
    return missing;
}
void *arch_window_map(uint64_t physical) {
    return (void *)(uintptr_t)physical;
}
uint64_t lapic_mmio_base(const struct lapic *lapic) {
    assert_null(lapic);
    return apic;
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

/* Linked, and not called here. */
const struct engine *engine;

#define NOT_CALLED(declaration)                                                                              \
    declaration {                                                                                            \
        fail_msg("%s", __func__);                                                                            \
        abort();                                                                                             \
    }
#pragma GCC diagnostic ignored "-Wunused-parameter"
NOT_CALLED(int bus_read(const struct bus *b, struct vcpu *of, uint64_t at, unsigned size, uint64_t *value))
NOT_CALLED(int bus_write(const struct bus *b, struct vcpu *of, uint64_t at, unsigned size, uint64_t value))
NOT_CALLED(enum emulate_result emulate_walk(struct emulate *e, uint64_t linear, unsigned access,
                                            uint64_t *gpa))
NOT_CALLED(void fpu_sync(struct x86_vcpu *of))
NOT_CALLED(void fpu_reload(struct x86_vcpu *of))
NOT_CALLED(int guest_read(struct vm *of, uint64_t gpa, void *buffer, size_t size))
NOT_CALLED(int guest_write(struct vm *of, uint64_t gpa, const void *buffer, size_t size))
NOT_CALLED(int guest_compare_exchange(struct vm *of, uint64_t gpa, unsigned size, void *expected,
                                      const void *desired))
NOT_CALLED(int lapic_mmio_read(struct lapic *lapic, uint32_t at, unsigned size, uint64_t *value))
NOT_CALLED(int lapic_mmio_write(struct lapic *lapic, uint32_t at, unsigned size, uint64_t value))

static uint64_t page(uint64_t gpa) {
    (void)mmio_emulator_short(&vcpu);
    return (uint64_t)(uintptr_t)ops->page(&vcpu, gpa);
}

static int setup(void **state) {
    (void)state;
    test_cpu = &cpu.core;
    vm.model = &model;
    vm.core.memory.sequence = 2;
    apic = 0xfee00000;
    base = 1ull << 32;
    kind = GUEST_RAM;
    searches = 0;
    missing = 0;
    return mmio_create(&vcpu);
}

static int teardown(void **state) {
    (void)state;
    mmio_destroy(&vcpu);
    return 0;
}

static void test_pages(void **state) {
    (void)state;
    assert_int_equal(page(0x5000), base + 0x5000);
    assert_int_equal(page(0x7000), base + 0x7000);
    assert_int_equal(searches, 2);
    assert_int_equal(page(0x5000), base + 0x5000);
    assert_int_equal(page(0x7000), base + 0x7000);
    assert_int_equal(searches, 2);
    assert_int_equal(page(0x105000), base + 0x105000); /* in the place of one of them */
    assert_int_equal(page(0x5000), base + 0x5000);
    assert_int_equal(searches, 4);
    /* The map changes, and while it does. */
    for (unsigned i = 0; i < 2; i++) {
        vm.core.memory.sequence++;
        base += 1ull << 32;
        assert_int_equal(page(0x5000), base + 0x5000);
        assert_int_equal(searches, 5 + i);
    }
    missing = -EFAULT;
    assert_int_equal(page(0x5000), base + 0x5000);
    assert_int_equal(page(0x6000), 0);
    missing = 0;
    assert_int_equal(page(0x6000), base + 0x6000);
}

/* Only the VM's own memory goes by that number; the APIC's page lies over all. */
static void test_others(void **state) {
    static const enum guest_region_kind others[] = {GUEST_SHOWN, GUEST_SHOWN_READ, GUEST_SHOWN_DEVICE};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        kind = others[i];
        assert_int_equal(page(0x5000), 0);
    }
    kind = GUEST_ROM;
    assert_int_equal(page(0x5000), base + 0x5000);
    apic = 0x5000;
    assert_int_equal(page(0x5000), 0);
    apic = 0;
    assert_int_equal(page(0), base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
