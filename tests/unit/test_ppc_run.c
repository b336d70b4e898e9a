// SPDX-License-Identifier: Apache-2.0
// The run loop of a Book E vCPU: what each exit leads to, hypercalls and the magic page, requests, waiting,
// start of a second vCPU; calls of the service VM, and accesses that it answers. ppc_enter() is the test's:
// it makes the exits, and finds in the real TLB what a guest would.
// unit-sources: arch/ppc/guest/run.c arch/ppc/guest/hypercall.c arch/ppc/guest/mmio.c arch/ppc/guest/emulate.c
// unit-sources: arch/ppc/guest/spr.c arch/ppc/guest/vcpu.c arch/ppc/guest/tlb.c arch/ppc/guest/shadow.c
// unit-sources: arch/ppc/guest/shadow_cpu.c arch/ppc/guest/interrupt.c arch/ppc/guest/clock.c arch/ppc/guest/magic.c
// unit-sources: arch/ppc/guest/translate.c core/bus.c
#include "ppc_cpu_fixture.h"
#include "arch/ppc/guest/vcpu.h"
#include "arch/ppc/clock.h"
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/decode.h"
#include "arch/ppc/guest/shadow.h"
#include "arch/ppc/window.h"
#include "core/service.h"

#define CODE 0x00004000u
#define DATA 0x00006000u

uint32_t clock_timebase_frequency(void) {
    return 400000000;
}
void log_line(enum log_level level, const char *format, ...) {
    (void)level;
    (void)format;
}

static unsigned polls, forgotten;
void arch_interrupts_poll(void) {
    polls++;
}
void window_forget(void) {
    forgotten++;
}

/* ---- the service VM */

static struct {
    bool waits; /* what a vCPU is held for is not there yet */
    bool hold;  /* the next call holds its vCPU */
    uint32_t call[5];
    int32_t result;
    unsigned calls;
} service;

bool vcpu_held(const struct vcpu *which) {
    return which->hold && service.waits;
}
int32_t service_call(struct vcpu *which, uint32_t number, const uint32_t arguments[4]) {
    assert_true(which->vm->service);
    service.calls++;
    service.call[0] = number;
    memcpy(&service.call[1], arguments, 4 * sizeof(arguments[0]));
    if (service.hold)
        which->hold = VCPU_HOLD_EVENT;
    return service.result;
}

static struct ppc_vcpu *vcpu;
static struct ppc_vcpu_state *state;

/* The exits to come. The last one ends the run: the CPU is wanted by somebody else. */
static struct exit {
    uint32_t vector, esr, dear;
    void (*check)(void); /* before it: in the guest */
} script[16];
static unsigned script_count, entered;

void ppc_enter(struct ppc_vcpu *which) {
    assert_ptr_equal(which, vcpu);
    assert_int_equal(vcpu->core.in_guest, 1);
    assert_true(vcpu->host_pid0 && vcpu->host_pid1);
    assert_true(entered < script_count);
    const struct exit *exit = &script[entered++];
    if (exit->check)
        exit->check();
    vcpu->vector = exit->vector;
    vcpu->exit_esr = exit->esr;
    vcpu->exit_dear = exit->dear;
    if (entered == script_count)
        test_cpu->reschedule = 1;
}

static int start(void **context) {
    (void)context;
    fixture_init();
    memset(script, 0, sizeof(script));
    memset(&service, 0, sizeof(service));
    script_count = entered = polls = forgotten = 0;
    assert_int_equal(bus_init(&vm()->bus[BUS_MEMORY]), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        vm()->vcpu[i] = arch_vcpu_create(vm(), i);
        assert_non_null(vm()->vcpu[i]);
        vm()->vcpu[i]->cpu = test_cpu;
        vcpu_power_on(ppc_vcpu(vm()->vcpu[i]));
    }
    vcpu = ppc_vcpu(vm()->vcpu[0]);
    state = vcpu->state;
    state->ivpr = 0xc0000000;
    for (unsigned i = 0; i < PPC_IVOR_COUNT; i++)
        state->ivor[i] = i << 4;
    state->registers.pc = CODE;
    map1(state, 1, CODE, CODE, TSIZE_4K, MAS3_SX | MAS3_SR, 0);
    map1(state, 2, DATA, DATA, TSIZE_4K, MAS3_SR | MAS3_SW | MAS3_UR, 0);
    return 0;
}

static int stop(void **context) {
    (void)context;
    for (unsigned i = 0; i < VCPUS; i++)
        arch_vcpu_destroy(vm()->vcpu[i]);
    bus_destroy(&vm()->bus[BUS_MEMORY]);
    return 0;
}

static void then(uint32_t vector, uint32_t esr, uint32_t dear, void (*check)(void)) {
    script[script_count++] = (struct exit){vector, esr, dear, check};
}

static enum vcpu_run_result run(void) {
    test_cpu->reschedule = 0;
    enum vcpu_run_result result = arch_vcpu_run(&vcpu->core);
    assert_int_equal(entered, script_count);
    assert_int_equal(vcpu->core.in_guest, 0);
    return result;
}

/* One exit, then the next, which does nothing, so that its check sees what the first led to. */
static void one(uint32_t vector, uint32_t esr, uint32_t dear) {
    script_count = entered = 0;
    then(vector, esr, dear, NULL);
    assert_int_equal(run(), VCPU_RUN_RESCHEDULE);
}

static void expect_vector(unsigned ivor) {
    assert_int_equal(state->registers.pc, 0xc0000000 + ((ivor < 16 ? ivor : ivor - 16) << 4));
}

static void test_memory_access(void **context) {
    (void)context;
    one(IVOR_INST_TLB, 0, 0);
    assert_non_null(real_find(vcpu, CODE));
    one(IVOR_DATA_TLB, ESR_ST, DATA + 8);
    assert_non_null(real_find(vcpu, DATA));
    assert_int_equal(vcpu->exits[PPC_EXIT_TLB_FILL], 2);
    assert_int_equal(state->registers.pc, CODE);
    /* The guest's own misses and refusals. */
    one(IVOR_DATA_TLB, ESR_ST, 0x70000000);
    expect_vector(IVOR_DATA_TLB);
    assert_int_equal(state->esr, ESR_ST);
    state->registers.pc = CODE;
    state->msr = MSR_PR;
    one(IVOR_DATA_STORAGE, ESR_ST, DATA);
    expect_vector(IVOR_DATA_STORAGE);
    assert_int_equal(state->dear, DATA);
    state->registers.pc = CODE;
    state->msr = MSR_PR;
    one(IVOR_INST_STORAGE, 0, 0);
    expect_vector(IVOR_INST_STORAGE);
    assert_int_equal(state->srr1, MSR_PR);
    state->registers.pc = 0x00abc000;
    one(IVOR_INST_TLB, 0, 0);
    expect_vector(IVOR_INST_TLB);
    /* A real entry forbids what the guest's own allows since: no interrupt of the guest's. */
    state->registers.pc = CODE;
    state->tlb1[1].mas3 |= MAS3_SW;
    one(IVOR_DATA_STORAGE, ESR_ST, CODE + 4);
    assert_int_equal(state->registers.pc, CODE);
    assert_true(real_find(vcpu, CODE)->mas3 & MAS3_UW);
    /* Fetching from a device. */
    map1(state, 3, 0xe0000000, DEVICE_BASE, TSIZE_4K, MAS3_SX, 0);
    state->registers.pc = 0xe0000000;
    state->msr = MSR_ME;
    one(IVOR_INST_TLB, 0, 0);
    expect_vector(IVOR_MACHINE_CHECK);
}

static void test_device(void **context) {
    (void)context;
    map1(state, 3, 0xe0000000, DEVICE_BASE, TSIZE_4K, MAS3_SR | MAS3_SW, 0);
    put_word(CODE, (uint32_t)OP_LWZ << 26 | 9u << 21 | 3u << 16);
    state->registers.gpr[3] = 0xe0000010;
    one(IVOR_DATA_TLB, 0, 0xe0000010);
    assert_int_equal(state->registers.gpr[9], 0xffffffff);
    assert_int_equal(state->registers.pc, CODE + 4);
    assert_int_equal(vcpu->exits[PPC_EXIT_MMIO], 1);
    assert_null(real_find(vcpu, 0xe0000010));
}

static void test_program(void **context) {
    (void)context;
    put_word(CODE, 31u << 26 | 5u << 21 | OP31_MFMSR << 1);
    state->msr = MSR_ME;
    one(IVOR_PROGRAM, ESR_PPR, 0);
    assert_int_equal(state->registers.gpr[5], MSR_ME);
    assert_int_equal(state->registers.pc, CODE + 4);
    /* What the CPU calls illegal may be the kernel's: rfmci, wait, mfpmr. */
    state->registers.pc = CODE;
    state->mcsrr0 = DATA;
    put_word(CODE, 19u << 26 | OP19_RFMCI << 1);
    one(IVOR_PROGRAM, ESR_PIL, 0);
    assert_int_equal(state->registers.pc, DATA);
    /* Really illegal, also where the CPU says privileged. */
    state->registers.pc = CODE;
    put_word(CODE, 31u << 26 | 18u << 1); /* tlbilx */
    one(IVOR_PROGRAM, ESR_PPR, 0);
    expect_vector(IVOR_PROGRAM);
    assert_int_equal(state->esr, ESR_PIL);
    /* Traps, and all of user mode, are the guest's. */
    state->registers.pc = CODE;
    one(IVOR_PROGRAM, ESR_PTR, 0);
    expect_vector(IVOR_PROGRAM);
    assert_int_equal(state->esr, ESR_PTR);
    state->registers.pc = CODE;
    state->msr = MSR_PR;
    put_word(CODE, 31u << 26 | 5u << 21 | OP31_MFMSR << 1);
    one(IVOR_PROGRAM, ESR_PPR, 0);
    assert_int_equal(state->esr, ESR_PPR);
    assert_int_equal(state->srr1, MSR_PR);
    assert_int_equal(state->srr0, CODE);
}

static void test_others(void **context) {
    (void)context;
    one(IVOR_EXTERNAL, 0, 0);
    one(IVOR_DECREMENTER, 0, 0);
    assert_int_equal(polls, 2);
    assert_int_equal(vcpu->exits[PPC_EXIT_TIMER], 1);
    assert_int_equal(state->registers.pc, CODE);
    static const unsigned own[] = {IVOR_SPE_UNAVAILABLE, IVOR_SPE_FP_DATA, IVOR_FP_UNAVAILABLE};
    for (unsigned i = 0; i < array_count(own); i++) {
        state->registers.pc = CODE;
        one(own[i], ESR_SPE, 0);
        expect_vector(own[i]);
        assert_int_equal(state->esr, ESR_SPE);
    }
    state->registers.pc = CODE;
    one(IVOR_ALIGNMENT, ESR_ST, 0x1235);
    expect_vector(IVOR_ALIGNMENT);
    assert_int_equal(state->dear, 0x1235);
    /* Locking a cache line: for a kernel it locks nothing, for user mode it needs MSR[UCLE]. */
    put_word(CODE, 31u << 26 | OP31_DCBTLS << 1);
    state->registers.pc = CODE;
    one(IVOR_DATA_STORAGE, ESR_DLK, DATA);
    assert_int_equal(state->registers.pc, CODE + 4);
    assert_int_equal(state->l1csr0, 0x400);
    state->registers.pc = CODE;
    state->msr = MSR_PR;
    one(IVOR_DATA_STORAGE, ESR_DLK, DATA);
    expect_vector(IVOR_DATA_STORAGE);
    assert_int_equal(state->esr, ESR_DLK);
    /* What the hypervisor never switches on. */
    assert_false(fixture.crashed);
    one(IVOR_PERFORMANCE, 0, 0);
    assert_true(fixture.crashed);
    fixture.crashed = false;
    one(1000, 0, 0);
    assert_true(fixture.crashed);
}

static void test_calls(void **context) {
    (void)context;
    uint32_t *gpr = state->registers.gpr;
    /* sc of the guest's own. */
    put_word(CODE, 0x44000002);
    state->registers.pc = CODE + 4;
    gpr[11] = 42u << 16 | 3;
    one(IVOR_SYSTEM_CALL, 0, 0);
    expect_vector(IVOR_SYSTEM_CALL);
    assert_int_equal(state->srr0, CODE + 4);
    /* KVM's way; sc 1. */
    for (unsigned i = 0; i < 2; i++) {
        state->registers.pc = CODE + 4;
        put_word(CODE, i ? 0x44000022 : 0x44000002);
        gpr[0] = i ? 0 : 0x4b564d21;
        gpr[3] = gpr[4] = 99;
        one(IVOR_SYSTEM_CALL, 0, 0);
        assert_int_equal(state->registers.pc, CODE + 4);
        assert_int_equal(gpr[3], 0);
        assert_int_equal(gpr[4], 2);
    }
    gpr[11] = 1u << 16 | 99;
    one(IVOR_SYSTEM_CALL, 0, 0);
    assert_int_equal(gpr[3], 12);
    assert_int_equal(vcpu->exits[PPC_EXIT_HYPERCALL], 3);
    /* From user mode both are system calls. */
    state->msr = MSR_PR;
    gpr[0] = 0x4b564d21;
    one(IVOR_SYSTEM_CALL, 0, 0);
    expect_vector(IVOR_SYSTEM_CALL);
}

static void change_magic(void) {
    const struct real_entry *found = real_find(vcpu, 0xfffff010);
    assert_non_null(found);
    assert_true(real_physical(found, 0xfffff010) == HEAP_HOST + 0x10);
    assert_int_equal(found->mas3 & 0x3e, MAS3_UR | MAS3_UW);
    assert_int_equal(fixture.heap_page[39], 0x55); /* sprg0 */
    fixture.heap_page[39] = 0x66;
    fixture.heap_page[94] = 0x80; /* MSR[EE] */
}

static void test_magic(void **context) {
    (void)context;
    uint32_t *gpr = state->registers.gpr;
    gpr[0] = 0x4b564d21;
    gpr[11] = 42u << 16 | 4;
    gpr[3] = 0xfffff000;
    gpr[4] = 0xfffff001;
    one(IVOR_SYSTEM_CALL, 0, 0);
    assert_int_equal(gpr[3], 0);
    assert_int_equal(gpr[4], 2);
    assert_int_equal(vcpu->slow, 0); /* until the guest looks at it */
    state->sprg[0] = 0x55;
    script_count = entered = 0;
    then(IVOR_DATA_TLB, ESR_ST, 0xfffff010, NULL);
    then(IVOR_EXTERNAL, 0, 0, change_magic);
    vcpu->external = 1;
    then(IVOR_EXTERNAL, 0, 0, NULL);
    run();
    assert_int_equal(vcpu->slow & PPC_SLOW_MAGIC, PPC_SLOW_MAGIC);
    assert_int_equal(state->sprg[0], 0x66);
    /* The interrupt came as soon as EE was seen on the page. */
    assert_int_equal(state->srr1 & MSR_EE, MSR_EE);
    expect_vector(IVOR_EXTERNAL);
    /* No code there, and nothing of it for user mode. */
    state->registers.pc = 0xfffff000;
    state->tlb1[0].mas1 = 0; /* the reset page */
    one(IVOR_INST_TLB, 0, 0);
    expect_vector(IVOR_INST_STORAGE);
    state->msr = MSR_PR;
    one(IVOR_DATA_TLB, 0, 0xfffff010);
    expect_vector(IVOR_DATA_TLB);
}

static void test_waiting(void **context) {
    (void)context;
    uint32_t *gpr = state->registers.gpr;
    gpr[0] = 0x4b564d21;
    gpr[11] = 1u << 16 | 16; /* EV_IDLE */
    state->registers.pc = CODE + 4;
    then(IVOR_SYSTEM_CALL, 0, 0, NULL);
    assert_int_equal(run(), VCPU_RUN_BLOCK);
    assert_int_equal(state->activity, PPC_WAITING);
    assert_true(state->msr & MSR_EE);
    assert_false(arch_vcpu_pending(&vcpu->core));
    assert_int_equal(arch_vcpu_run(&vcpu->core), VCPU_RUN_BLOCK); /* still */
    vcpu_set_external(vcpu, true);
    assert_true(arch_vcpu_pending(&vcpu->core));
    script_count = entered = 0;
    then(IVOR_EXTERNAL, 0, 0, NULL);
    assert_int_equal(run(), VCPU_RUN_RESCHEDULE);
    expect_vector(IVOR_EXTERNAL);
    assert_int_equal(state->srr0, CODE + 4);
    assert_int_equal(gpr[3], 0);
}

static void test_requests(void **context) {
    (void)context;
    vcpu->core.requests = VCPU_REQUEST_PARK;
    assert_int_equal(run(), VCPU_RUN_PARK);
    assert_true(vcpu->core.requests & VCPU_REQUEST_PARK);
    vcpu->core.requests = PPC_REQUEST_FLUSH;
    one(IVOR_INST_TLB, 0, 0);
    assert_non_null(real_find(vcpu, CODE));
    vcpu->core.requests = PPC_REQUEST_FLUSH;
    script_count = entered = 0;
    one(IVOR_EXTERNAL, 0, 0);
    assert_null(real_find(vcpu, CODE));
    /* An instruction cache that may have something old is emptied once, in each life and on each CPU. */
    unsigned before = test_code_forgotten;
    one(IVOR_EXTERNAL, 0, 0);
    assert_int_equal(test_code_forgotten, before);
    vcpu_replaced(vcpu);
    one(IVOR_EXTERNAL, 0, 0);
    one(IVOR_EXTERNAL, 0, 0);
    assert_int_equal(test_code_forgotten, before + 1);
    vcpu->code_seen = NULL; /* of another CPU */
    one(IVOR_EXTERNAL, 0, 0);
    assert_int_equal(test_code_forgotten, before + 2);
    /* Another VM's windows and branches go. */
    assert_int_equal(forgotten, 1);
    assert_int_equal(fixture.spr[SPR_BUCSR], BUCSR_BBFI);
    test_cpu->window_vm = NULL;
    fixture.spr[SPR_BBEAR] = fixture.spr[SPR_BBTAR] = 0x1234; /* as its user mode left them */
    one(IVOR_EXTERNAL, 0, 0);
    assert_int_equal(forgotten, 2);
    assert_int_equal(fixture.spr[SPR_BBEAR] | fixture.spr[SPR_BBTAR], 0);
    vcpu->core.requests = PPC_REQUEST_RESET;
    one(IVOR_EXTERNAL, 0, 0);
    assert_int_equal(state->registers.pc, 0xfffffffc);
    assert_int_equal(state->ivpr, 0);
}

static void test_secondary(void **context) {
    (void)context;
    vcpu = ppc_vcpu(vm()->vcpu[1]);
    state = vcpu->state;
    assert_int_equal(run(), VCPU_RUN_BLOCK);
    assert_false(arch_vcpu_pending(&vcpu->core));
    vcpu_set_external(vcpu, true); /* nothing to it */
    assert_int_equal(run(), VCPU_RUN_BLOCK);
    vcpu_set_external(vcpu, false);
    vcpu_release(vcpu, 0x04001236, 0x777);
    then(IVOR_INST_TLB, 0, 0, NULL);
    assert_int_equal(run(), VCPU_RUN_RESCHEDULE);
    assert_int_equal(state->registers.pc, 0x1234);
    assert_int_equal(state->registers.gpr[3], 0x777);
    assert_int_equal(state->registers.gpr[7], 0x04000000);
    const struct ppc_tlb_entry *entry = guest_tlb_lookup(state, 0x1234, 0);
    assert_non_null(entry);
    assert_true(guest_tlb_physical(entry, 0x1234) == 0x04001234);
    /* A second release of one that runs is nothing. */
    vcpu_release(vcpu, 0x5000, 1);
    one(IVOR_EXTERNAL, 0, 0);
    assert_int_equal(state->registers.pc, 0x1234);
}

/* ---- the service VM's calls, and what it answers */

static void test_service_call(void **context) {
    (void)context;
    uint32_t *gpr = state->registers.gpr;
    vm()->service = true;
    gpr[0] = 0x4b564d21; /* nothing to it */
    gpr[11] = 0x53470008;
    for (unsigned i = 0; i < 5; i++)
        gpr[3 + i] = 0xa0000000 + i;
    service.result = -22;
    state->registers.pc = CODE + 4;
    one(IVOR_SYSTEM_CALL, 0, 0);
    assert_int_equal(service.call[0], 0x53470008);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(service.call[1 + i], 0xa0000000 + i);
    assert_int_equal(gpr[3], (uint32_t)-22);
    assert_int_equal(gpr[4], 0xa0000001);
    assert_int_equal(state->registers.pc, CODE + 4);
    assert_int_equal(vcpu->exits[PPC_EXIT_HYPERCALL], 1);
    /* From user mode it is its own. */
    state->msr = MSR_PR;
    one(IVOR_SYSTEM_CALL, 0, 0);
    expect_vector(IVOR_SYSTEM_CALL);
    assert_int_equal(service.calls, 1);
    /* It sleeps behind the call, whatever else has come, until there is what it waits for. */
    state->registers.pc = CODE + 4;
    state->msr = 0;
    service.hold = service.waits = true;
    script_count = entered = 0;
    then(IVOR_SYSTEM_CALL, 0, 0, NULL);
    assert_int_equal(run(), VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->core.hold, VCPU_HOLD_EVENT);
    vcpu->core.requests = PPC_REQUEST_FLUSH;
    assert_int_equal(arch_vcpu_run(&vcpu->core), VCPU_RUN_BLOCK);
    assert_int_equal(vcpu->core.requests, PPC_REQUEST_FLUSH);
    assert_int_equal(entered, 1);
    service.waits = false;
    put_word(CODE + 4, (uint32_t)OP_LWZ << 26 | 9u << 21 | 3u << 16); /* is not executed here */
    gpr[9] = 0x99;
    one(IVOR_EXTERNAL, 0, 0);
    assert_int_equal(vcpu->core.hold, VCPU_HOLD_NONE);
    assert_int_equal(state->registers.pc, CODE + 4);
    assert_int_equal(gpr[9], 0x99);
}

static unsigned asks, accesses;
static void (*with_question)(void);

static int served_read(void *context, struct vcpu *who, uint64_t offset, unsigned size, uint64_t *value) {
    (void)context;
    assert_ptr_equal(who, &vcpu->core);
    assert_true(offset == 0x10 && size == 4);
    accesses++;
    if (asks) {
        asks--;
        who->hold = VCPU_HOLD_ANSWER;
        if (with_question)
            with_question();
        return -EAGAIN;
    }
    *value = 0x11223344;
    return 0;
}
static int served_write(void *context, struct vcpu *who, uint64_t offset, unsigned size, uint64_t value) {
    uint64_t answer;
    assert_int_equal(value, 0x44332211);
    return served_read(context, who, offset, size, &answer);
}
static void request_comes(void) {
    vcpu->core.requests |= PPC_REQUEST_FLUSH;
}

static void test_answered(void **context) {
    (void)context;
    static const struct bus_ops ops = {served_read, served_write};
    uint32_t *gpr = state->registers.gpr;
    assert_int_equal(bus_add(&vm()->bus[BUS_MEMORY], DEVICE_BASE, 0x1000, &ops, NULL, "served"), 0);
    map1(state, 3, 0xe0000000, DEVICE_BASE, TSIZE_4K, MAS3_SR | MAS3_SW, 0);
    for (unsigned i = 0; i < 2; i++) {
        put_word(CODE, (uint32_t)(i ? OP_STW : OP_LWZ) << 26 | 9u << 21 | 3u << 16);
        state->registers.pc = CODE;
        gpr[3] = 0xe0000010;
        gpr[9] = 0x44332211;
        asks = 2;
        accesses = 0;
        service.waits = true;
        /* The question is asked: it sleeps at the instruction, also with something else to do. */
        with_question = i ? request_comes : NULL;
        script_count = entered = 0;
        then(IVOR_INST_TLB, 0, 0, NULL);
        then(IVOR_DATA_TLB, i ? ESR_ST : 0, 0xe0000010, NULL);
        assert_int_equal(run(), VCPU_RUN_BLOCK);
        with_question = NULL;
        assert_int_equal(state->registers.pc, CODE);
        assert_int_equal(gpr[9], 0x44332211);
        assert_int_equal(arch_vcpu_run(&vcpu->core), VCPU_RUN_BLOCK);
        assert_int_equal(accesses, 1);
        assert_int_equal(vcpu->core.hold, VCPU_HOLD_ANSWER);
        /* It is asked once more; then it is there. */
        service.waits = false;
        assert_int_equal(run(), VCPU_RUN_BLOCK);
        assert_int_equal(accesses, 2);
        /* It is on no CPU: what its guest loses now takes all real entries with it. */
        const struct tlb_lost lost = {.tlb0 = false};
        assert_non_null(real_find(vcpu, CODE));
        shadow_lose(vcpu, &lost);
        assert_int_equal(state->registers.pc, CODE);
        assert_int_equal(vcpu->core.hold, VCPU_HOLD_ANSWER);
        one(IVOR_EXTERNAL, 0, 0);
        assert_int_equal(accesses, 3);
        assert_null(real_find(vcpu, CODE));
        assert_int_equal(state->registers.pc, CODE + 4);
        assert_int_equal(vcpu->core.hold, VCPU_HOLD_NONE);
        assert_int_equal(gpr[9], i ? 0x44332211 : 0x11223344);
        one(IVOR_EXTERNAL, 0, 0);
        assert_int_equal(accesses, 3);
    }
}

/* The code's page goes while the vCPU is held: another vCPU's tlbivax and tlbsync are done, and something
 * else is where the code was. */
static void test_answered_without_code(void **context) {
    (void)context;
    static const struct bus_ops ops = {served_read, served_write};
    uint32_t *gpr = state->registers.gpr;
    assert_int_equal(bus_add(&vm()->bus[BUS_MEMORY], DEVICE_BASE, 0x1000, &ops, NULL, "served"), 0);
    map1(state, 3, 0xe0000000, DEVICE_BASE, TSIZE_4K, MAS3_SR | MAS3_SW, 0);
    put_word(CODE, (uint32_t)OP_LWZ << 26 | 9u << 21 | 3u << 16);
    gpr[3] = 0xe0000010;
    gpr[4] = DATA;
    gpr[9] = 0x55555555;
    asks = 1;
    accesses = 0;
    service.waits = true;
    then(IVOR_DATA_TLB, 0, 0xe0000010, NULL);
    assert_int_equal(run(), VCPU_RUN_BLOCK);
    shadow_broadcast(ppc_vcpu(vm()->vcpu[1]), CODE | TLBIVAX_TLB1);
    shadow_wait(ppc_vcpu(vm()->vcpu[1]));
    put_word(CODE, (uint32_t)OP_STW << 26 | 9u << 21 | 4u << 16);
    service.waits = false;
    one(IVOR_EXTERNAL, 0, 0);
    expect_vector(IVOR_INST_TLB);
    assert_int_equal(state->srr0, CODE);
    assert_int_equal(get_word(DATA), 0);
    assert_int_equal(vcpu->core.hold, VCPU_HOLD_NONE);
}

static void test_no_memory(void **context) {
    (void)context;
    struct cpu other = {.number = 63};
    struct cpu *old = test_cpu;
    fixture.heap_left = 0;
    test_cpu = &other;
    vcpu->core.cpu = &other;
    assert_int_equal(arch_vcpu_run(&vcpu->core), VCPU_RUN_RESCHEDULE);
    assert_true(fixture.crashed);
    test_cpu = old;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_memory_access),
        TEST(test_device),
        TEST(test_program),
        TEST(test_others),
        TEST(test_calls),
        TEST(test_magic),
        TEST(test_waiting),
        TEST(test_requests),
        TEST(test_secondary),
        TEST(test_no_memory),
        TEST(test_service_call),
        TEST(test_answered),
        TEST(test_answered_without_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
