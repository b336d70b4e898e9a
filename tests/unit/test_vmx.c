// SPDX-License-Identifier: Apache-2.0
// Unit tests of the VT-x engine's parts that need no CPU: the choice of controls, segment rights, the checks
// of VM entry in words, and every state through VMCB and VMCS.
// unit-sources: arch/x86/engine/vmx/vmx_caps.c arch/x86/engine/vmx/vmx_check.c arch/x86/engine/vmx/vmx_state.c arch/x86/engine/svm/svm_state.c arch/x86/engine/direct_msrs.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/x86/engine/svm/svm.h"
#include "arch/x86/engine/vmx/vmx_check.h"
#include "arch/x86/engine/vmx/vmx_segments.h"
#include "tests/unit/vcpu_states.h"
#include "tests/unit/vmcs_mock.h"

struct cpu *test_cpu;
uint64_t test_time;
uint32_t svm_features, svm_asids;
bool svm_emulated;
struct svm_cpu svm_cpu[MAX_CPUS];

/* ---- what the engines' files ask for */

static uint8_t guest_pages[4096];

int guest_read(struct vm *vm, uint64_t gpa, void *buffer, uint64_t size) {
    (void)vm;
    if (gpa < 0x123000 || gpa + size > 0x124000)
        return -EFAULT;
    memcpy(buffer, guest_pages + (gpa - 0x123000), size);
    return 0;
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
void *heap_pages(unsigned order, struct memory_account *account) {
    (void)account;
    return aligned_alloc(4096, 4096u << order);
}
void heap_pages_free(void *pages, unsigned order, struct memory_account *account) {
    (void)order;
    (void)account;
    free(pages);
}
uint64_t arch_heap_physical(const void *pointer) {
    return (uint64_t)pointer;
}
void timer_init(struct timer *timer, void (*function)(struct timer *timer)) {
    timer->function = function;
}
bool timer_cancel(struct timer *timer) {
    (void)timer;
    return false;
}

uint32_t x86_event_info(const struct x86_event *event) {
    return event->vector | (uint32_t)event->type << 8 | 1u << 31 | (event->has_error ? 1u << 11 : 0);
}

/* ---- controls */

/* What Bochs 2.7's corei7_skylake_x says. */
static struct vmx_caps skylake(void) {
    return (struct vmx_caps){
        .pin = 0x000000ff00000016,
        .primary = 0xfff9fffe04006172,
        .secondary = 0x02177fff00000000,
        .exit = 0x01ffffff00036dfb,
        .entry = 0x0003ffff000011fb,
        .cr0_fixed0 = 0x80000021,
        .cr0_fixed1 = 0xffffffff,
        .cr4_fixed0 = 0x2000,
        .cr4_fixed1 = 0x3767ff,
        .ept_vpid = 0xf0106334141,
    };
}

static void test_controls(void **unused) {
    (void)unused;
    struct vmx_caps caps = skylake();
    struct vmx_controls controls;
    char why[160] = "";

    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), 0);
    assert_string_equal(why, "");
    /* What has to be 1 is, what may not be is not, and what is needed is there. */
    assert_int_equal(controls.pin, 0x3f);
    assert_int_equal(controls.primary & 0x04006172, 0x04006172);
    assert_int_equal(controls.primary & ~(uint32_t)(caps.primary >> 32), 0);
    assert_int_equal(controls.primary & (VMX_PRIMARY_CR3_LOAD | VMX_PRIMARY_CR3_STORE | VMX_PRIMARY_INVLPG),
                     0);
    assert_int_equal(controls.primary & (VMX_PRIMARY_MSR_BITMAP | VMX_PRIMARY_HLT | VMX_PRIMARY_PORTS),
                     VMX_PRIMARY_MSR_BITMAP | VMX_PRIMARY_HLT | VMX_PRIMARY_PORTS);
    assert_int_equal(controls.secondary &
                         (VMX_SECONDARY_EPT | VMX_SECONDARY_UNRESTRICTED | VMX_SECONDARY_VPID),
                     VMX_SECONDARY_EPT | VMX_SECONDARY_UNRESTRICTED | VMX_SECONDARY_VPID);
    assert_int_equal(controls.entry & VMX_ENTRY_GUEST_64, 0);
}

static void refused(struct vmx_caps caps, const char *name) {
    struct vmx_controls controls;
    char why[160] = "", quoted[64];

    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), -ENOTSUP);
    snprintf(quoted, sizeof(quoted), "\"%s\"", name);
    assert_non_null(strstr(why, quoted));
}

static void test_missing_controls(void **unused) {
    (void)unused;
    struct vmx_caps caps = skylake();

    caps.secondary &= ~((uint64_t)VMX_SECONDARY_UNRESTRICTED << 32);
    refused(caps, "unrestricted guest");
    caps = skylake();
    caps.secondary &= ~((uint64_t)VMX_SECONDARY_EPT << 32);
    refused(caps, "EPT");
    caps = skylake();
    caps.pin &= ~((uint64_t)VMX_PIN_VIRTUAL_NMI << 32);
    refused(caps, "virtual NMIs");
    caps = skylake();
    caps.primary &= ~((uint64_t)VMX_PRIMARY_SECONDARY << 32);
    caps.secondary = 0;
    caps.ept_vpid = 0;
    refused(caps, "secondary controls");
    caps = skylake();
    caps.exit &= ~((uint64_t)VMX_EXIT_SAVE_EFER << 32);
    refused(caps, "save EFER");
    caps = skylake();
    caps.ept_vpid &= ~VMX_EPT_CAP_WRITE_BACK;
    refused(caps, "EPT tables in write-back memory");
    /* A CPU without the true capability MSRs exits on every MOV to CR3. */
    caps = skylake();
    caps.primary |= VMX_PRIMARY_CR3_LOAD;
    refused(caps, "CR3-load exiting");
}

static void test_optional_controls(void **unused) {
    (void)unused;
    struct vmx_caps caps = skylake();
    struct vmx_controls controls;
    char why[160] = "";

    /* A VPID that cannot be flushed is not used. */
    caps.ept_vpid &= ~VMX_EPT_CAP_INVVPID;
    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), 0);
    assert_int_equal(controls.secondary & VMX_SECONDARY_VPID, 0);
    caps.secondary &= ~((uint64_t)VMX_SECONDARY_PAUSE_LOOP << 32);
    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), 0);
    assert_int_equal(controls.secondary & VMX_SECONDARY_PAUSE_LOOP, 0);
    assert_true(controls.x2apic && controls.xapic);
    caps.secondary &= ~((uint64_t)VMX_SECONDARY_APIC_REGISTERS << 32);
    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), 0);
    assert_true(controls.x2apic && !controls.xapic);
    caps.primary &= ~((uint64_t)VMX_PRIMARY_TPR_SHADOW << 32);
    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), 0);
    assert_false(controls.x2apic || controls.xapic);
    /* Off until somebody wants them. */
    caps.secondary |= (uint64_t)(VMX_SECONDARY_PAGE_LOG | VMX_SECONDARY_TSC_SCALING) << 32;
    caps.ept_vpid |= VMX_EPT_CAP_ACCESSED_DIRTY;
    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), 0);
    assert_true(controls.page_log && controls.tsc_scaling);
    assert_int_equal(controls.secondary & (VMX_SECONDARY_PAGE_LOG | VMX_SECONDARY_TSC_SCALING), 0);
    caps.secondary &= ~((uint64_t)VMX_SECONDARY_TSC_SCALING << 32);
    caps.ept_vpid &= ~VMX_EPT_CAP_ACCESSED_DIRTY; /* nothing to log without dirty bits */
    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), 0);
    assert_false(controls.page_log || controls.tsc_scaling);
    /* A CPU that fails on code in large pages. */
    assert_false(controls.small_code);
    caps.small_code = true;
    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), 0);
    assert_true(controls.small_code);
    /* The types of INVEPT. */
    caps.ept_vpid &= ~(VMX_EPT_CAP_INVEPT_SINGLE | VMX_EPT_CAP_INVEPT_ALL);
    assert_int_equal(vmx_caps_resolve(&caps, &controls, why, sizeof(why)), -ENOTSUP);
}

/* ---- segments */

static void test_rights(void **unused) {
    (void)unused;
    struct x86_segment code = {0x10, 0xa9b, 0xffffffff, 0};
    assert_int_equal(vmx_rights(&code, X86_CS, 0), 0xa09b);
    assert_int_equal(vmx_attributes(0xa09b), 0xa9b);
    /* A null selector. */
    struct x86_segment null = {0, 0, 0, 0};
    assert_int_equal(vmx_rights(&null, X86_DS, 3), VMX_RIGHTS_UNUSABLE);
    assert_int_equal(vmx_attributes(0x1c093), 0);
    /* SS's DPL is the CPL: SYSRET on AMD's CPUs leaves another one. */
    struct x86_segment stack = {0x2b, 0xc93, 0xffffffff, 0};
    assert_int_equal(vmx_rights(&stack, X86_SS, 3), 0xc0f3);
    assert_int_equal(vmx_rights(&null, X86_SS, 3), VMX_RIGHTS_UNUSABLE | 0x60);
    assert_int_equal(vmx_attributes(VMX_RIGHTS_UNUSABLE | 0x60), 0x60);
    /* TR is usable whatever it says; G follows the limit; what is in use was accessed. */
    assert_int_equal(vmx_rights(&null, X86_TR, 0) & VMX_RIGHTS_UNUSABLE, 0);
    struct x86_segment small = {0x18, 0xc92, 0xfffe, 0};
    assert_int_equal(vmx_rights(&small, X86_DS, 0), 0x4093);
    struct x86_segment large = {0x18, 0x493, 0xffffffff, 0};
    assert_int_equal(vmx_rights(&large, X86_DS, 0), 0xc093);
}

/* ---- states through VMCB and VMCS */

static struct {
    struct x86_vm vm;
    struct x86_vcpu vcpu;
    struct x86_vcpu_state state, wanted;
    struct svm_vcpu svm;
    struct vmx_vcpu vmx;
    struct vmcb vmcb __attribute__((aligned(4096)));
} f;

static void open_engines(void) {
    memset(&f, 0, sizeof(f));
    memset(&mock, 0, sizeof(mock));
    vmx_caps = skylake();
    f.vcpu.core.vm = &f.vm.core;
    f.vcpu.state = &f.state;
    f.svm.vmcb = &f.vmcb;
    f.vmx.cr4_owned = ~0x1707ffull | CR4_MCE;
    mock.field[VMCS_LINK] = ~0ull;
    mock.field[VMCS_GUEST_RFLAGS] = 2;
    memset(guest_pages, 0, sizeof(guest_pages));
    for (unsigned i = 0; i < 4; i++)
        guest_pages[0x460 + 8 * i] = 1;
}

static void through_svm(void) {
    f.vcpu.engine = &f.svm;
    svm_store(&f.vcpu, X86_STATE_ALL);
    memset(&f.state.system, 0xee, sizeof(f.state.system));
    f.state.system.reserved = 0;
    f.state.dr6 = f.state.dr7 = 0;
    svm_fetch(&f.vcpu, X86_STATE_ALL);
}

static void through_vmx(void) {
    f.vcpu.engine = &f.vmx;
    vmx_store(&f.vcpu, X86_STATE_ALL);
    memset(&f.state.system, 0xee, sizeof(f.state.system));
    f.state.dr6 = f.state.dr7 = 0;
    memset(&f.state.msrs.star, 0xee, 9 * sizeof(uint64_t));
    vmx_fetch(&f.vcpu, X86_STATE_ALL);
}

static void assert_same(const char *name) {
    const struct x86_system *a = &f.state.system, *b = &f.wanted.system;

    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        const struct x86_segment *got = &a->segment[i], *wanted = &b->segment[i];
        if (got->selector != wanted->selector || got->base != wanted->base || got->limit != wanted->limit ||
            got->attributes != wanted->attributes)
            fail_msg("%s: segment %u: %04x %03x %x %lx, not %04x %03x %x %lx", name, i, got->selector,
                     got->attributes, got->limit, got->base, wanted->selector, wanted->attributes,
                     wanted->limit, wanted->base);
    }
    assert_int_equal(a->gdtr.base, b->gdtr.base);
    assert_int_equal(a->gdtr.limit, b->gdtr.limit);
    assert_int_equal(a->idtr.base, b->idtr.base);
    assert_int_equal(a->idtr.limit, b->idtr.limit);
    assert_int_equal(a->cr0, b->cr0);
    assert_int_equal(a->cr2, b->cr2);
    assert_int_equal(a->cr3, b->cr3);
    assert_int_equal(a->cr4, b->cr4);
    assert_int_equal(a->efer, b->efer);
    assert_int_equal(a->cpl, b->cpl);
    assert_memory_equal(&f.state.msrs, &f.wanted.msrs, sizeof(f.state.msrs));
    assert_int_equal(f.state.dr6, f.wanted.dr6);
    assert_int_equal(f.state.dr7, f.wanted.dr7);
}

static void test_round_trip(void **unused) {
    (void)unused;
    for (unsigned which = 0; which < STATES; which++) {
        open_engines();
        state_make(&f.state, which);
        f.wanted = f.state;
        through_svm();
        assert_same(state_names[which]);
        through_vmx();
        assert_same(state_names[which]);
        through_svm();
        assert_same(state_names[which]);
        through_vmx();
        through_vmx();
        assert_same(state_names[which]);
    }
}

/* Every state passes the checks of VM entry, as the VMCS has it. */
static void test_states_enter(void **unused) {
    (void)unused;
    for (unsigned which = 0; which < STATES; which++) {
        open_engines();
        state_make(&f.state, which);
        f.vcpu.engine = &f.vmx;
        vmx_store(&f.vcpu, X86_STATE_ALL);
        vmcs_write(VMCS_GUEST_RIP, f.state.registers.rip);
        vmcs_write(VMCS_GUEST_RFLAGS, f.state.registers.rflags);
        const char *error = vmx_state_error(0);
        if (error)
            fail_msg("%s: %s", state_names[which], error);
    }
}

static void test_owned_bits(void **unused) {
    (void)unused;
    open_engines();
    state_make(&f.state, STATE_RESET);
    f.vcpu.engine = &f.vmx;
    vmx_store(&f.vcpu, X86_STATE_ALL);
    /* The guest's caches stay on, whatever it says; NE and VMXE are set. */
    assert_int_equal(vmcs_read(VMCS_GUEST_CR0) & (CR0_CD | CR0_NW | CR0_NE), CR0_NE);
    assert_int_equal(vmcs_read(VMCS_GUEST_CR4), CR4_VMXE | CR4_MCE);
    /* What the guest changes without an exit is seen. */
    vmcs_write(VMCS_GUEST_CR0, vmcs_read(VMCS_GUEST_CR0) | CR0_PE | CR0_WP);
    vmx_fetch(&f.vcpu, X86_STATE_CONTROL);
    assert_int_equal(f.state.system.cr0, CR0_ET | CR0_CD | CR0_NW | CR0_PE | CR0_WP);
    assert_int_equal(f.state.system.cr4, 0);
}

/* What the last state still had to deliver does not reach the next one. */
static void test_forgotten_events(void **unused) {
    (void)unused;
    open_engines();
    state_make(&f.state, STATE_RESET);
    f.vcpu.engine = &f.vmx;
    vmcs_write(VMCS_ENTRY_EVENT, 0x80000b0e); /* of an entry that was refused */
    vmcs_write(VMCS_GUEST_PENDING_DEBUG,
               0x1001); /* of a MOV SS with a breakpoint, in front of the OUT that resets */
    vmx_store(&f.vcpu, X86_STATE_ALL & ~X86_STATE_DEBUG);
    assert_int_equal(vmcs_read(VMCS_ENTRY_EVENT), 0x80000b0e);
    vmx_store(&f.vcpu, X86_STATE_ALL);
    assert_int_equal(vmcs_read(VMCS_ENTRY_EVENT), 0);
    assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG), 0);
    f.state.interrupt_shadow = 1;
    f.state.registers.rflags |= RFLAGS_TF;
    vmx_store(&f.vcpu, X86_STATE_ALL);
    assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG), VMX_PENDING_DEBUG_BS);
}

/* A guest that steps over STI, or into a MOV SS's shadow: the #DB that exited is injected with the shadow
 * that it came in, and the entry wants a single-step trap to be pending there. */
static void test_step_in_shadow(void **unused) {
    static const uint32_t shadows[] = {VMX_BLOCKED_STI, VMX_BLOCKED_MOV_SS};
    (void)unused;
    for (unsigned i = 0; i < array_count(shadows); i++) {
        open_engines();
        state_make(&f.state, STATE_KERNEL);
        f.vcpu.engine = &f.vmx;
        vmx_store(&f.vcpu, X86_STATE_ALL);
        vmcs_write(VMCS_GUEST_RIP, f.state.registers.rip);
        f.state.registers.rflags |= RFLAGS_TF;
        vmcs_write(VMCS_GUEST_RFLAGS, f.state.registers.rflags);
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, shadows[i]);
        f.state.interrupt_shadow = 1;
        f.state.pending = (struct x86_event){.valid = 1, .type = X86_EVENT_EXCEPTION, .vector = VECTOR_DB};
        vmx_inject(&f.state);
        assert_int_equal(vmcs_read(VMCS_ENTRY_EVENT), 0x80000301);
        assert_null(vmx_state_error(0));
        assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG), VMX_PENDING_DEBUG_BS);
    }
    /* Without a shadow nothing is pending, and the exits of other exceptions leave it to the CPU. */
    open_engines();
    f.state.registers.rflags = 0x302;
    f.state.pending = (struct x86_event){.valid = 1, .type = X86_EVENT_EXCEPTION, .vector = VECTOR_DB};
    vmx_inject(&f.state);
    assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG), 0);
    f.state.interrupt_shadow = 1;
    f.state.pending = (struct x86_event){
        .valid = 1, .type = X86_EVENT_EXCEPTION, .vector = VECTOR_GP, .has_error = 1, .error = 0x18};
    vmx_inject(&f.state);
    assert_int_equal(vmcs_read(VMCS_ENTRY_EVENT), 0x80000b0d);
    assert_int_equal(vmcs_read(VMCS_ENTRY_ERROR_CODE), 0x18);
    assert_int_equal(vmcs_read(VMCS_GUEST_PENDING_DEBUG), 0);
}

static void test_pdptes(void **unused) {
    (void)unused;
    open_engines();
    state_make(&f.state, STATE_PAE);
    guest_pages[0x468] = 0x21;
    f.vcpu.engine = &f.vmx;
    vmx_store(&f.vcpu, X86_STATE_ALL);
    assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE), 1);
    assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE + 2), 0x21);
    /* They are registers: memory that changes later does not count, until CR3 is loaded. */
    guest_pages[0x468] = 0x41;
    f.state.system.cr2 = 0x5000;
    vmx_store(&f.vcpu, X86_STATE_CONTROL);
    assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE + 2), 0x21);
    f.state.system.cr3 = 0x123440;
    vmx_store(&f.vcpu, X86_STATE_CONTROL);
    assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE), 0);
}

/* ---- refused states, in words */

static void broken(uint32_t field, uint64_t value, const char *words) {
    uint64_t saved = mock.field[field];

    mock.field[field] = value;
    const char *error = vmx_state_error(0);
    assert_non_null(error);
    if (!strstr(error, words))
        fail_msg("field 0x%x = 0x%lx: \"%s\", not \"%s\"", field, value, error, words);
    mock.field[field] = saved;
    assert_null(vmx_state_error(0));
}

static void test_words(void **unused) {
    (void)unused;
    open_engines();
    state_make(&f.state, STATE_KERNEL);
    f.vcpu.engine = &f.vmx;
    vmx_store(&f.vcpu, X86_STATE_ALL);
    vmcs_write(VMCS_GUEST_RIP, f.state.registers.rip);
    vmcs_write(VMCS_GUEST_RFLAGS, f.state.registers.rflags);
    assert_null(vmx_state_error(0));

    broken(VMCS_GUEST_CR0, CR0_PG | CR0_NE, "CR0.PG without CR0.PE");
    broken(VMCS_GUEST_CR0, CR0_PE | CR0_PG, "CR0 has bits");
    broken(VMCS_GUEST_CR4, CR4_VMXE, "long mode without");
    broken(VMCS_GUEST_CR4, CR4_PAE, "CR4 has bits");
    broken(VMCS_GUEST_CR3, 1ull << 52, "CR3");
    broken(VMCS_GUEST_EFER, EFER_LME, "LMA");
    broken(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | 1ull << 12, "reserved bits in IA32_EFER");
    broken(VMCS_GUEST_PAT, 2, "IA32_PAT");
    broken(VMCS_GUEST_DR7, 1ull << 32, "DR7");
    broken(VMCS_GUEST_SYSENTER_EIP, 1ull << 63, "SYSENTER");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_CS, 0xe09b, "both L and D");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_CS, 0xa093 | 0x60, "DPL above 0");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_CS, 0xa09b | 0x60, "CS's DPL");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_CS, 0xa01b, "CS is not present");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_SS, 0xc09b, "SS has a type");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_TR, 0x83, "16-bit task");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_TR, VMX_RIGHTS_UNUSABLE, "TR is unusable");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_TR, 0x9b, "TR has the wrong S bit");
    broken(VMCS_GUEST_RIGHTS + 2 * X86_TR, 0x808b, "TR has G set");
    broken(VMCS_GUEST_LIMIT + 2 * X86_TR, 0x1fffff, "TR has G clear");
    broken(VMCS_GUEST_BASE + 2 * X86_GS, 1ull << 60, "GS has a base");
    broken(VMCS_GUEST_BASE + 2 * X86_CS, 1ull << 32, "CS has a base");
    broken(VMCS_GUEST_GDTR_BASE, 1ull << 55, "GDTR");
    broken(VMCS_GUEST_IDTR_LIMIT, 0x10000, "limit above 64 KiB");
    broken(VMCS_GUEST_RIP, 1ull << 48, "RIP");
    broken(VMCS_GUEST_RFLAGS, 0x200, "RFLAGS");
    broken(VMCS_GUEST_RFLAGS, 0x20202, "RFLAGS.VM");
    broken(VMCS_GUEST_INTERRUPTIBILITY, 3, "at once");
    broken(VMCS_GUEST_ACTIVITY, 1, "activity");
    mock.field[VMCS_GUEST_RFLAGS] = 2;
    broken(VMCS_ENTRY_EVENT, VMX_EVENT_VALID | 0x30, "interrupt is to be injected");
    broken(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_STI, "blocking by STI");
    mock.field[VMCS_GUEST_RFLAGS] = 0x102;
    broken(VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCKED_MOV_SS, "single-step");
    mock.field[VMCS_GUEST_INTERRUPTIBILITY] = VMX_BLOCKED_NMI;
    broken(VMCS_ENTRY_EVENT, VMX_EVENT_VALID | VMX_EVENT_TYPE_NMI | 2, "NMIs are blocked");
    /* What the CPU itself tells. */
    assert_non_null(strstr(vmx_state_error(4), "link pointer"));
    assert_non_null(strstr(vmx_state_error(2), "page-directory"));
}

static void test_words_in_other_modes(void **unused) {
    (void)unused;
    open_engines();
    state_make(&f.state, STATE_PAE);
    f.vcpu.engine = &f.vmx;
    vmx_store(&f.vcpu, X86_STATE_ALL);
    vmcs_write(VMCS_GUEST_RFLAGS, 0x202);
    broken(VMCS_GUEST_PDPTE + 4, 0x3, "page-directory pointer");
    broken(VMCS_GUEST_RIP, 1ull << 32, "RIP");
    open_engines();
    state_make(&f.state, STATE_V86);
    f.vcpu.engine = &f.vmx;
    vmx_store(&f.vcpu, X86_STATE_ALL);
    vmcs_write(VMCS_GUEST_RFLAGS, f.state.registers.rflags);
    broken(VMCS_GUEST_BASE + 2 * X86_DS, 0x20000, "DS is not as virtual-8086");
    open_engines();
    state_make(&f.state, STATE_REAL);
    f.vcpu.engine = &f.vmx;
    vmx_store(&f.vcpu, X86_STATE_ALL);
    broken(VMCS_GUEST_RIGHTS + 2 * X86_SS, 0x93 | 0x20, "SS's DPL");
}

static void test_instruction_errors(void **unused) {
    (void)unused;
    assert_string_equal(vmx_instruction_error(7), "the VMCS has bad controls");
    assert_string_equal(vmx_instruction_error(14), "an unknown reason");
    assert_string_equal(vmx_instruction_error(1000), "an unknown reason");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_controls),
        cmocka_unit_test(test_missing_controls),
        cmocka_unit_test(test_optional_controls),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_states_enter),
        cmocka_unit_test(test_owned_bits),
        cmocka_unit_test(test_forgotten_events),
        cmocka_unit_test(test_step_in_shadow),
        cmocka_unit_test(test_pdptes),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_words_in_other_modes),
        cmocka_unit_test(test_instruction_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
