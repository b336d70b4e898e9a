// SPDX-License-Identifier: Apache-2.0
// VT-x's exits by reason: the instructions that a guest does not have, #DB and what it leaves in DR6 and DR7,
// NMIs that an IRET had opened too soon, and numbers that nobody knows.
// unit-sources: arch/x86/engine/vmx/vmx_exit.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/unit/vmcs_mock.h"
#include "arch/x86/engine/vmx/vmx_check.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct x86_vm vm;
static struct x86_vcpu vcpu;
static struct x86_vcpu_state state;
static struct vmx_vcpu vmx;
static char crash[160];
static struct x86_event injected;
static unsigned absent;
static char fault[32];

static void fetch(struct x86_vcpu *which, uint32_t groups) {
    (void)which;
    (void)groups;
}
static const struct engine test_engine = {.fetch = fetch};
const struct engine *engine = &test_engine;

/* ---- surroundings */

void vm_crash(struct vcpu *which, const char *format, ...) {
    va_list arguments;
    assert_ptr_equal(which, &vcpu.core);
    va_start(arguments, format);
    vsnprintf(crash, sizeof(crash), format, arguments);
    va_end(arguments);
}
void x86_inject_exception(struct x86_vcpu *which, uint8_t vector, int64_t error) {
    (void)which;
    injected = (struct x86_event){.valid = 1, .type = 3, .vector = vector, .has_error = error >= 0};
}
void exit_absent(struct x86_vcpu *which) {
    (void)which;
    absent++;
}
enum engine_next exit_nested_fault(struct x86_vcpu *which, uint64_t gpa, bool write, bool code) {
    (void)which;
    snprintf(fault, sizeof(fault), "%llx %c%c", (unsigned long long)gpa, write ? 'w' : '-', code ? 'x' : '-');
    return ENGINE_AGAIN;
}
enum engine_next exit_nested_table_fault(struct x86_vcpu *which, uint64_t gpa) {
    (void)which;
    snprintf(fault, sizeof(fault), "%llx table", (unsigned long long)gpa);
    return ENGINE_AGAIN;
}
const char *vmx_state_error(uint64_t qualification) {
    (void)qualification;
    return NULL;
}
int paging_lookup(const struct paging *paging, uint64_t address, uint64_t *physical, unsigned *rights,
                  unsigned *shift) {
    (void)paging;
    (void)address;
    (void)physical;
    (void)rights;
    (void)shift;
    return -ENOENT;
}

#define UNUSED __attribute__((unused))
#define NEVER(name, ...)                                                                                     \
    void name(__VA_ARGS__) {                                                                                 \
        fail();                                                                                              \
    }
#define NEVER_NEXT(name, ...)                                                                                \
    enum engine_next name(__VA_ARGS__) {                                                                     \
        fail();                                                                                              \
        return ENGINE_AGAIN;                                                                                 \
    }
#define VCPU   struct x86_vcpu *which UNUSED
#define LENGTH unsigned length UNUSED
NEVER(exit_cpuid_computed, VCPU, LENGTH)
NEVER(exit_msr_read, VCPU, LENGTH)
NEVER(exit_msr_write, VCPU, LENGTH)
NEVER(exit_xsetbv, VCPU, LENGTH)
NEVER(exit_cache, VCPU, LENGTH)
NEVER(exit_alignment, VCPU)
NEVER(exit_machine_check, void)
NEVER(exit_pause, VCPU)
NEVER(exit_rdpmc, VCPU)
NEVER(exit_shutdown, VCPU)
NEVER(x86_skip_slow, VCPU, uint64_t rip UNUSED)
NEVER(vmx_cr_access, VCPU, uint64_t qualification UNUSED, LENGTH)
NEVER(lapic_page_eoi, struct lapic *lapic UNUSED, uint8_t vector UNUSED)
NEVER(lapic_page_write, struct lapic *lapic UNUSED, uint32_t offset UNUSED)
NEVER_NEXT(exit_hypercall, VCPU, LENGTH)
NEVER_NEXT(exit_halt, VCPU, LENGTH)
NEVER_NEXT(exit_emulate, VCPU)
NEVER_NEXT(exit_undefined, VCPU)
NEVER_NEXT(exit_port, VCPU, uint16_t port UNUSED, unsigned size UNUSED, bool in UNUSED, LENGTH)

static int setup(void **unused) {
    (void)unused;
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    memset(&state, 0, sizeof(state));
    memset(&vmx, 0, sizeof(vmx));
    memset(&mock, 0, sizeof(mock));
    memset(&injected, 0, sizeof(injected));
    crash[0] = fault[0] = 0;
    absent = 0;
    vcpu.core.vm = &vm.core;
    vcpu.state = &state;
    vcpu.engine = &vmx;
    vcpu.present = X86_STATE_ALL;
    state.registers.rip = 0x1000;
    state.dr6 = 0xffff0ff0;
    state.dr7 = 0x400;
    return 0;
}

static void leave(uint32_t reason) {
    mock.field[VMCS_EXIT_REASON] = reason;
    assert_int_equal(vmx_exit(&vcpu, reason), ENGINE_AGAIN);
}

/* ---- tests */

/* They exit whatever the controls say, those of CPUs with TDX among them. */
static void test_absent(void **unused) {
    static const uint32_t reasons[] = {11, 17, 19, 20, 21, 22, 23, 24, 25,
                                       26, 27, 36, 39, 50, 53, 59, 76, 77};
    (void)unused;
    for (unsigned i = 0; i < array_count(reasons); i++) {
        leave(reasons[i]);
        assert_int_equal(absent, i + 1);
        assert_string_not_equal(vmx_exit_name(reasons[i]), "?");
    }
    assert_int_equal(crash[0], 0);
    static const uint32_t strange[] = {35, 38, 42, 69, 75, 78, 0xffff};
    for (unsigned i = 0; i < array_count(strange); i++) {
        char number[32];
        crash[0] = 0;
        leave(strange[i]);
        snprintf(number, sizeof(number), "exit %u ", strange[i]);
        assert_non_null(strstr(crash, number));
        assert_string_equal(vmx_exit_name(strange[i]), "?");
    }
}

static void test_debug(void **unused) {
    (void)unused;
    /* A single step, then a breakpoint by MOV to a debug register with GD. */
    mock.field[VMCS_EXIT_EVENT] = 0x80000301;
    mock.field[VMCS_QUALIFICATION] = 0x4000;
    leave(VMX_REASON_EXCEPTION);
    assert_int_equal(injected.vector, VECTOR_DB);
    assert_false(injected.has_error);
    assert_int_equal(state.dr6, 0xffff4ff0);
    assert_int_equal(vcpu.changed, X86_STATE_DEBUG);
    state.dr6 |= 2;
    state.dr7 |= 1u << 13;
    mock.field[VMCS_QUALIFICATION] = 0x2001;
    leave(VMX_REASON_EXCEPTION);
    assert_int_equal(state.dr6, 0xffff6ff1); /* B0 to B3 are new, BS stays until it is cleared */
    assert_int_equal(state.dr7, 0x400);
    assert_int_equal(state.registers.rip, 0x1000);
    /* INT1 is a trap, and no debug register knows of it. */
    mock.field[VMCS_EXIT_EVENT] = 0x80000501;
    mock.field[VMCS_EXIT_LENGTH] = 1;
    mock.field[VMCS_QUALIFICATION] = 0;
    leave(VMX_REASON_EXCEPTION);
    assert_int_equal(state.registers.rip, 0x1001);
    assert_int_equal(state.dr6, 0xffff6ff1);
}

static void test_second_level(void **unused) {
    (void)unused;
    mock.field[VMCS_GUEST_PHYSICAL] = 0x123000;
    mock.field[VMCS_QUALIFICATION] = VMX_EPT_LINEAR_VALID | VMX_EPT_FINAL | VMX_EPT_FETCH;
    leave(VMX_REASON_EPT_VIOLATION);
    assert_string_equal(fault, "123000 -x");
    assert_int_equal(state.nmi_blocked, 0);
    /* For an IRET that has opened NMIs already; not so inside an event's delivery. */
    mock.field[VMCS_QUALIFICATION] = VMX_EPT_LINEAR_VALID | VMX_EPT_WRITE | VMX_EPT_NMI_UNBLOCKED;
    leave(VMX_REASON_EPT_VIOLATION);
    assert_string_equal(fault, "123000 table");
    assert_int_equal(state.nmi_blocked, 1);
    state.nmi_blocked = 0;
    mock.field[VMCS_VECTORING] = VMX_EVENT_VALID | 0x30;
    leave(VMX_REASON_EPT_VIOLATION);
    assert_int_equal(state.nmi_blocked, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {TEST(test_absent), TEST(test_debug), TEST(test_second_level)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
