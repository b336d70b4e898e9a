// SPDX-License-Identifier: Apache-2.0
// The SVM engine around a VMRUN that the test answers: address-space identifiers, clean bits, what is
// injected and injected again, interrupt windows, NMIs and the IRET that opens them, #DB, permission maps.
// unit-sources: arch/x86/engine/svm/svm.c arch/x86/engine/svm/svm_exit.c arch/x86/engine/svm/svm_state.c
// unit-sources: arch/x86/engine/svm/svm_length.c arch/x86/engine/direct_msrs.c core/timer.c
#include "tests/unit/host/privileged.h" /* first: it asks for names of registers */
#include "tests/unit/host/svm_surroundings.h"

/* ---- identifiers and clean bits */

static void test_asids(void **unused) {
    (void)unused;
    /* Identifiers 1 to 3 of four; 0 is the host's. */
    for (unsigned i = 0; i < 3; i++) {
        run(i);
        assert_int_equal(entered.asid, i + 1);
        assert_int_equal(entered.tlb_control, SVM_TLB_KEEP);
    }
    run(0);
    assert_int_equal(entered.asid, 1); /* keeps it */
    assert_int_equal(entered.clean, SVM_CLEAN_ALL);
    /* Without flush by ASID a new one is as good; when they are used up, everything is flushed once. */
    svm_engine.tlb_flush(&vcpus[0]);
    run(0);
    assert_int_equal(entered.asid, 1);
    assert_int_equal(entered.tlb_control, SVM_TLB_FLUSH_ALL);
    assert_int_equal(entered.clean & SVM_CLEAN_ASID, 0);
    run(0);
    assert_int_equal(entered.tlb_control, SVM_TLB_KEEP);
    /* The others' are of the old generation. */
    run(1);
    assert_int_equal(entered.asid, 2);
    assert_int_equal(entered.tlb_control, SVM_TLB_KEEP);
    run(2);
    assert_int_equal(entered.asid, 3);
    /* Another CPU: an identifier of that one, and nothing of the VMCB is cached there. */
    on_cpu(0, 1);
    run(0);
    assert_int_equal(entered.asid, 1);
    assert_int_equal(entered.clean, 0);
    on_cpu(0, 0);
    run(0);
    assert_int_equal(entered.clean, 0);
    assert_int_equal(entered.tlb_control, SVM_TLB_FLUSH_ALL);
    /* Back without having been away. */
    on_cpu(0, 0);
    run(0);
    assert_int_equal(entered.clean, SVM_CLEAN_ALL);
}

static void test_flush_by_asid(void **unused) {
    (void)unused;
    svm_features |= SVM_FEATURE_FLUSH_ASID;
    run(0);
    svm_engine.tlb_flush(&vcpus[0]);
    run(0);
    assert_int_equal(entered.asid, 1);
    assert_int_equal(entered.tlb_control, SVM_TLB_FLUSH_ASID);
    run(0);
    assert_int_equal(entered.tlb_control, SVM_TLB_KEEP);
}

static void guest_changes(struct vmcb *vmcb) {
    vmcb->cr3 = 0x5000;
    vmcb->dr6 = 0xffff0ff1;
    vmcb->lstar = 0x7000;
    vmcb->fs.base = 0x9000;
    vmcb->cpl = 3;
    vmcb->rax = 0x11;
    vmcb->rsp = 0x22;
    vmcb->rip = 0x33;
    vmcb->rflags = 0x46;
    vmcb->interrupt_shadow = 3; /* bit 1 is the guest's IF */
    vmcb->efer = 0x1d01;
}

/* State comes out of the VMCB when somebody needs it, and goes back when it was changed. */
static void test_state(void **unused) {
    struct x86_vcpu *vcpu = &vcpus[0];
    struct x86_vcpu_state *state = vcpu->state;
    (void)unused;
    on_run = guest_changes;
    run(0);
    assert_int_equal(vcpu->present, 0);
    assert_int_equal(state->registers.gpr[X86_RAX], 0x11);
    assert_int_equal(state->registers.gpr[X86_RSP], 0x22);
    assert_int_equal(state->registers.rip, 0x33);
    assert_int_equal(state->registers.rflags, 0x46);
    assert_int_equal(state->interrupt_shadow, 1);
    assert_int_equal(state->system.cr3, 0);
    x86_need(vcpu, X86_STATE_CONTROL);
    assert_int_equal(state->system.cr3, 0x5000);
    assert_int_equal(state->system.efer, 0xd01); /* SVME is ours */
    svm_engine.vcpu_put(vcpu);
    assert_int_equal(vcpu->present, X86_STATE_ALL);
    assert_int_equal(state->dr6, 0xffff0ff1);
    assert_int_equal(state->msrs.lstar, 0x7000);
    assert_int_equal(state->system.segment[X86_FS].base, 0x9000);
    assert_int_equal(state->system.cpl, 3);

    static const struct {
        uint32_t group, dirty;
    } groups[] = {{X86_STATE_SEGMENTS, SVM_CLEAN_SEG | SVM_CLEAN_DT},
                  {X86_STATE_CONTROL, SVM_CLEAN_CR | SVM_CLEAN_CR2},
                  {X86_STATE_DEBUG, SVM_CLEAN_DR},
                  {X86_STATE_MSRS, SVM_CLEAN_NP}};
    on_run = NULL;
    for (unsigned i = 0; i < array_count(groups); i++) {
        x86_need(vcpu, X86_STATE_ALL);
        state->system.cr3 += 0x1000;
        x86_changed(vcpu, groups[i].group);
        run(0);
        assert_int_equal(entered.clean, SVM_CLEAN_ALL & ~groups[i].dirty);
        assert_int_equal(vcpu->changed, 0);
    }
    assert_int_equal(entered.cr3, 0x6000); /* what was not told was not taken */
    assert_int_equal(entered.efer, 0x1d01);
    vcpu->tsc_offset = 0x77;
    svm_engine.tsc_offset(vcpu);
    run(0);
    assert_int_equal(entered.tsc_offset, 0x77);
    assert_int_equal(entered.clean & SVM_CLEAN_INTERCEPTS, 0);
}

/* ---- events */

static void guest_interrupted(struct vmcb *vmcb) {
    vmcb->exit_interrupt_info = 0x0000000680000b0e;
}

static void test_injection(void **unused) {
    (void)unused;
    states[0].pending =
        (struct x86_event){.valid = 1, .type = 3, .vector = 14, .has_error = 1, .error = 0x10};
    run(0);
    assert_int_equal(entered.event_injection, 0x0000001080000b0e);
    assert_int_equal(states[0].pending.valid, 0);
    run(0);
    assert_int_equal(entered.event_injection, 0);
    on_run = guest_interrupted;
    run(0);
    assert_int_equal(interrupted_info, 0x80000b0e);
    assert_int_equal(interrupted_error, 6);
}

static void guest_window(struct vmcb *vmcb) {
    vmcb->exit_code = SVM_EXIT_VINTR;
}

static void test_window(void **unused) {
    struct x86_vcpu *vcpu = &vcpus[0];
    (void)unused;
    states[0].registers.rflags = 0x202;
    assert_true(svm_engine.interruptible(vcpu));
    states[0].interrupt_shadow = 1;
    assert_false(svm_engine.interruptible(vcpu));
    svm_emulated = true;
    svm_engine.interrupt_window(vcpu);
    run(0);
    assert_true(entered.intercept3 & SVM_INTERCEPT_VINTR);
    assert_int_equal(entered.v_interrupt, SVM_V_INTR_MASKING | SVM_V_IRQ | SVM_V_IGNORE_TPR | 0xfull << 16);
    assert_int_equal(entered.interrupt_shadow, 1);
    assert_int_equal(rechecks, 1); /* for an interrupt that QEMU may have lost */
    on_run = guest_window;
    run(0);
    assert_int_equal(rechecks, 2);
    on_run = NULL;
    run(0); /* without V_IRQ */
    assert_int_equal(rechecks, 2);
    svm_engine.vcpu_put(vcpu);
    assert_int_equal(rechecks, 3);
    assert_int_equal(gif_set, 1); /* a CPU without it that goes to sleep wakes no more */
    svm_emulated = false;
    svm_engine.interrupt_window(vcpu);
    on_run = guest_window;
    run(0);
    svm_engine.vcpu_put(vcpu);
    assert_int_equal(rechecks, 3); /* a CPU loses nothing */
    assert_int_equal(gif_set, 1);
    assert_int_equal(vcpu->core.requests, X86_REQUEST_EVENT);
    assert_false(vmcb_of(0)->intercept3 & SVM_INTERCEPT_VINTR);
    assert_int_equal(vmcb_of(0)->v_interrupt & SVM_V_IRQ, 0);
    states[0].interrupt_shadow = 0;
    states[0].registers.rflags = 2;
    assert_false(svm_engine.interruptible(vcpu));
}

static void guest_took(struct vmcb *vmcb) {
    vmcb->v_interrupt &= ~SVM_V_IRQ;
}

/* The host's interrupt came, and the virtual one is gone without having been taken. */
static void guest_lost(struct vmcb *vmcb) {
    vmcb->v_interrupt &= ~SVM_V_IRQ;
    vmcb->exit_code = SVM_EXIT_INTR;
}
static void guest_in_handler(struct vmcb *vmcb) {
    guest_lost(vmcb);
    vmcb->rip += 0x1000;
    vmcb->rsp -= 40;
    vmcb->rflags &= ~RFLAGS_IF;
}

/* On QEMU an interrupt is injected as a virtual one. */
static void test_virtual(void **unused) {
    struct x86_vcpu *vcpu = &vcpus[0];
    const struct x86_event event = {.valid = 1, .type = X86_EVENT_INTERRUPT, .vector = 0x91};
    (void)unused;
    svm_emulated = svm_virtual_injection = true;
    rechecks = 0;
    states[0].registers.rflags = 0x202;
    states[0].pending = event;
    interrupted_info = 0;
    on_run = guest_took;
    run(0);
    assert_int_equal(entered.event_injection, 0);
    assert_int_equal(entered.v_interrupt,
                     SVM_V_INTR_MASKING | SVM_V_IRQ | SVM_V_IGNORE_TPR | 0xfull << 16 | 0x91ull << 32);
    assert_false(entered.intercept3 & SVM_INTERCEPT_VINTR);
    assert_int_equal(interrupted_info, 0);
    assert_int_equal(rechecks, 1);
    assert_false(states[0].pending.valid);
    assert_false(vmcb_of(0)->v_interrupt & SVM_V_IRQ);
    run(0);
    assert_false(entered.v_interrupt & SVM_V_IRQ);
    /* The window that is waited for besides comes behind it; one that was not taken is there again. */
    states[0].pending = event;
    svm_engine.interrupt_window(vcpu);
    on_run = NULL;
    run(0);
    assert_false(entered.intercept3 & SVM_INTERCEPT_VINTR);
    assert_int_equal(interrupted_info, 0x91 | 1u << 31);
    assert_true(vmcb_of(0)->intercept3 & SVM_INTERCEPT_VINTR);
    assert_true(vmcb_of(0)->v_interrupt & SVM_V_IRQ);
    privileged_pass();
    /* So is one that QEMU has lost. Where ends of interrupts do not exit, the guest may have been in its
     * handler and come back meanwhile. */
    for (unsigned i = 0; i < 3; i++) {
        states[0].registers.rflags = 0x202;
        states[0].registers.rip = 0x1000;
        states[0].pending = event;
        interrupted_info = 0;
        x86_eoi_exits = i != 1;
        on_run = i == 2 ? guest_in_handler : guest_lost;
        run(0);
        assert_int_equal(interrupted_info, i == 0 ? 0x91 | 1u << 31 : 0);
    }
    privileged_trap();
    x86_eoi_exits = false;
    on_run = NULL;
    /* Exceptions, and interrupts on a real CPU, are not. */
    svm_emulated = svm_virtual_injection = false;
    states[0].pending = event;
    run(0);
    assert_int_equal(entered.event_injection, 0x91 | 1u << 31);
}

/* ---- NMIs */

static void guest_iret(struct vmcb *vmcb) {
    vmcb->exit_code = SVM_EXIT_IRET;
    vmcb->rflags = 2;
}
static void guest_stepped(struct vmcb *vmcb) {
    vmcb->exit_code = SVM_EXIT_EXCEPTION + VECTOR_DB;
    vmcb->rflags = 0x302; /* the guest's own flags, with a TF of its own */
    vmcb->dr6 |= 1u << 14;
}
static void guest_breakpoint(struct vmcb *vmcb) {
    guest_stepped(vmcb);
    vmcb->dr6 |= 2;
}

static void nmi(void) {
    struct x86_vcpu *vcpu = &vcpus[0];
    assert_true(svm_engine.nmi_open(vcpu));
    states[0].nmi_blocked = 1;
    states[0].pending = (struct x86_event){.valid = 1, .type = 2, .vector = 2};
    svm_engine.nmi_injected(vcpu);
    run(0);
    assert_int_equal(entered.event_injection, 0x80000202);
    assert_true(entered.intercept3 & SVM_INTERCEPT_IRET);
    assert_false(svm_engine.nmi_open(vcpu));
}

/* The IRET ends it; until that is done, none is injected. */
static void test_nmi_iret(void **unused) {
    (void)unused;
    nmi();
    on_run = guest_iret;
    run(0);
    assert_int_equal(states[0].nmi_blocked, 0);
    assert_int_equal(states[0].interrupt_shadow, 1);
    assert_int_equal(states[0].registers.rflags, 2);
    assert_false(svm_engine.nmi_open(&vcpus[0]));
    on_run = NULL;
    run(0);
    assert_false(entered.intercept3 & SVM_INTERCEPT_IRET);
    assert_int_equal(entered.interrupt_shadow, 1);
    vmcb_of(0)->interrupt_shadow = 0;
    states[0].interrupt_shadow = 0;
    assert_true(svm_engine.nmi_open(&vcpus[0]));
    test_time += 1000000;
    timer_interrupt();
}

/* One that waits makes the guest step over the IRET, and see nothing of it. */
static void test_nmi_waiting(void **unused) {
    (void)unused;
    nmi();
    vmcb_of(0)->dr6 = 0xffff0ff1; /* an old breakpoint that the guest has left there */
    states[0].nmi_pending = 1;
    on_run = guest_iret;
    run(0);
    assert_int_equal(states[0].nmi_blocked, 1);
    on_run = guest_stepped;
    run(0);
    assert_int_equal(entered.rflags, 0x102);
    assert_int_equal(injected.valid, 0);
    assert_int_equal(vmcb_of(0)->dr6, 0xffff0ff1);
    assert_int_equal(states[0].registers.rflags, 0x302);
    assert_true(svm_engine.nmi_open(&vcpus[0]));
    /* The next one is the guest's. */
    run(0);
    assert_int_equal(injected.vector, VECTOR_DB);
    assert_int_equal(vmcb_of(0)->dr6, 0xffff4ff1);
}

static void test_nmi_breakpoint(void **unused) {
    (void)unused;
    nmi();
    vmcb_of(0)->dr6 = 0xffff0ff0;
    vmcb_of(0)->dr7 = 0x2402; /* with GD */
    states[0].nmi_pending = 1;
    on_run = guest_iret;
    run(0);
    on_run = guest_breakpoint;
    run(0);
    assert_int_equal(injected.vector, VECTOR_DB);
    assert_int_equal(vmcb_of(0)->dr6, 0xffff0ff2);
    assert_int_equal(vmcb_of(0)->dr7, 0x402);
    assert_int_equal(vmcb_of(0)->clean & SVM_CLEAN_DR, 0);
    assert_int_equal(states[0].nmi_blocked, 0);
}

/* Behind an event or a shadow: the entry does not last. */
static void test_nmi_retry(void **unused) {
    (void)unused;
    states[0].pending = (struct x86_event){.valid = 1, .type = 0, .vector = 0x31};
    assert_false(svm_engine.nmi_open(&vcpus[0]));
    assert_false(svm_engine.nmi_open(&vcpus[0]));
    assert_false(list_empty(&cpus[0].core.timers));
    on_cpu(0, 1); /* where it runs, not where it was */
    assert_false(svm_engine.nmi_open(&vcpus[0]));
    assert_true(list_empty(&cpus[0].core.timers));
    test_time += 1000000;
    timer_interrupt();
    assert_true(list_empty(&cpus[1].core.timers));
    states[0].pending.valid = 0;
    assert_true(svm_engine.nmi_open(&vcpus[0]));
}

/* Power-on and INIT in the middle of all that. */
static void test_reset(void **unused) {
    (void)unused;
    nmi();
    states[0].nmi_pending = 1;
    on_run = guest_iret;
    run(0);
    svm_engine.interrupt_window(&vcpus[0]);
    states[0].nmi_blocked = states[0].nmi_pending = 0;
    states[0].interrupt_shadow = 0;
    svm_engine.reset(&vcpus[0]);
    assert_true(svm_engine.nmi_open(&vcpus[0]));
    on_run = NULL;
    run(0);
    assert_false(entered.intercept3 & (SVM_INTERCEPT_IRET | SVM_INTERCEPT_VINTR));
    assert_int_equal(entered.v_interrupt & SVM_V_IRQ, 0);
    /* A state that was loaded inside an NMI handler. */
    states[0].nmi_blocked = 1;
    svm_engine.reset(&vcpus[0]);
    run(0);
    assert_true(entered.intercept3 & SVM_INTERCEPT_IRET);
    assert_false(svm_engine.nmi_open(&vcpus[0]));
}

/* ---- exits */

static uint64_t code, info1, info2;

static void guest_exit(struct vmcb *vmcb) {
    vmcb->exit_code = code;
    vmcb->exit_info1 = info1;
    vmcb->exit_info2 = info2;
    vmcb->rip = 0x1000;
    vmcb->next_rip = 0x1002;
}

static void test_exits(void **unused) {
    (void)unused;
    on_run = guest_exit;
    code = SVM_EXIT_IOIO;
    info1 = 0x03f90011; /* IN AL from 0x3f9 */
    info2 = 0x1001;
    run(0);
    assert_true(port.in);
    assert_int_equal(port.port, 0x3f9);
    assert_int_equal(port.size, 1);
    assert_int_equal(port.length, 1);
    info1 = 0x0cf80040;
    run(0);
    assert_false(port.in);
    assert_int_equal(port.size, 4);
    info1 = 0x01f00024; /* a string */
    run(0);
    assert_int_equal(emulations, 1);
    code = SVM_EXIT_NPF;
    info1 = 0x100000006;
    info2 = 0xfee00300;
    run(0);
    assert_string_equal(fault, "fee00300 w-");
    info1 = 0x100000014;
    run(0);
    assert_string_equal(fault, "fee00300 -x");
    code = SVM_EXIT_HLT;
    assert_int_equal(run(0), ENGINE_BLOCK);
    code = SVM_EXIT_PAUSE;
    run(0);
    assert_int_equal(pauses, 1);
    assert_int_equal(crash[0], 0);
    code = SVM_EXIT_INVALID;
    run(0);
    assert_non_null(strstr(crash, "VMRUN refused"));
    /* Whatever else: this guest ends, with the number. */
    static const uint64_t strange[] = {0x000, 0x05f, 0x08f, 0x090, 0x401, 0x402, 0x7fffffff};
    for (unsigned i = 0; i < array_count(strange); i++) {
        char number[32];
        code = strange[i];
        crash[0] = 0;
        run(0);
        snprintf(number, sizeof(number), "exit 0x%llx ", (unsigned long long)code);
        assert_non_null(strstr(crash, number));
        assert_non_null(svm_exit_name(code));
    }
    assert_string_equal(svm_exit_name(SVM_EXIT_CPUID), "CPUID");
    assert_string_equal(svm_exit_name(UINT64_MAX - 5), "?");
}

/* ---- permission maps */

static bool msr_exits(uint32_t msr, bool write) {
    const uint8_t *map = ((struct svm_vm *)vm.engine)->msrpm;
    unsigned bit = msr < 0x2000                ? msr * 2
                   : msr - 0xc0000000 < 0x2000 ? 0x4000 + (msr - 0xc0000000) * 2
                                               : 0x8000 + (msr - 0xc0010000) * 2;
    bit += write;
    return map[bit / 8] >> bit % 8 & 1;
}

static void test_maps(void **unused) {
    static const uint32_t open[] = {0x174,      0x175,      0x176,      0xc0000081, 0xc0000082,
                                    0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102};
    static const uint32_t starts[] = {0, 0xc0000000, 0xc0010000};
    (void)unused;
    for (unsigned i = 0; i < 3; i++) {
        for (uint32_t msr = starts[i]; msr < starts[i] + 0x2000; msr++) {
            bool is_open = false;
            for (unsigned n = 0; n < array_count(open); n++)
                is_open |= msr == open[n];
            assert_int_equal(msr_exits(msr, false), !is_open);
            assert_int_equal(msr_exits(msr, true), !is_open);
        }
    }
    const uint8_t *ports = ((struct svm_vm *)vm.engine)->iopm;
    for (unsigned i = 0; i < 3 * PAGE_SIZE; i++)
        assert_int_equal(ports[i], 0xff);
    /* An emulator that does not check addresses: we do. */
    svm_vm_destroy(&vm);
    svm_emulated = true;
    assert_int_equal(svm_vm_create(&vm), 0);
    svm_emulated = false;
    assert_false(msr_exits(0xc0000082, false));
    assert_true(msr_exits(0xc0000082, true));
    assert_false(msr_exits(0xc0000081, true));
}

static void test_no_memory(void **unused) {
    struct x86_vm other = {.model = &model};
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        pages_left = i;
        assert_int_equal(svm_vm_create(&other), -ENOMEM);
        assert_null(other.engine);
    }
    struct x86_vcpu vcpu = {.core.vm = &vm.core};
    pages_left = 0;
    assert_int_equal(svm_vcpu_create(&vcpu), -ENOMEM);
    svm_vcpu_destroy(&vcpu);
    pages_left = UINT32_MAX;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_asids),          TEST(test_flush_by_asid), TEST(test_state),    TEST(test_injection),
        TEST(test_window),         TEST(test_virtual),       TEST(test_nmi_iret), TEST(test_nmi_waiting),
        TEST(test_nmi_breakpoint), TEST(test_nmi_retry),     TEST(test_reset),    TEST(test_exits),
        TEST(test_maps),           TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
