// SPDX-License-Identifier: Apache-2.0
// The record "ppc.cpu": every field comes back, what no guest could have reached is refused, cut records too.
// unit-sources: arch/ppc/guest/vcpu_state.c arch/ppc/guest/vcpu.c arch/ppc/guest/spr.c arch/ppc/guest/tlb.c
// unit-sources: arch/ppc/guest/shadow.c arch/ppc/guest/shadow_cpu.c arch/ppc/guest/interrupt.c arch/ppc/guest/clock.c
// unit-sources: arch/ppc/guest/magic.c arch/ppc/guest/translate.c lib/state.c
#include "ppc_cpu_fixture.h"
#include "arch/ppc/clock.h"
#include "arch/ppc/guest/clock.h"
#include "arch/ppc/guest/magic.h"
#include "arch/ppc/guest/shadow.h"
#include "arch/ppc/guest/vcpu_state.h"
#include "lib/state.h"

static uint32_t frequency = 400000000;
static struct ppc_vcpu *vcpu;
static char logged[8192];

uint32_t clock_timebase_frequency(void) {
    return frequency;
}
void log_line(enum log_level level, const char *format, ...) {
    size_t used = strlen(logged);
    va_list arguments;
    (void)level;
    va_start(arguments, format);
    vsnprintf(logged + used, sizeof(logged) - used, format, arguments);
    va_end(arguments);
    strncat(logged, "\n", sizeof(logged) - strlen(logged) - 1);
}

static int start(void **context) {
    (void)context;
    fixture_init();
    logged[0] = 0;
    for (unsigned i = 0; i < VCPUS; i++) {
        vm()->vcpu[i] = arch_vcpu_create(vm(), i);
        assert_non_null(vm()->vcpu[i]);
        vcpu_power_on(ppc_vcpu(vm()->vcpu[i]));
    }
    vcpu = ppc_vcpu(vm()->vcpu[1]);
    return 0;
}

static int stop(void **context) {
    (void)context;
    for (unsigned i = 0; i < VCPUS; i++)
        arch_vcpu_destroy(vm()->vcpu[i]);
    assert_int_equal(fixture.heap, 0);
    assert_null(fixture.heap_page);
    return 0;
}

static uint8_t saved[32768] __attribute__((aligned(8)));
static size_t saved_size;

static void save(void) {
    struct state_writer writer;
    state_writer_init(&writer, saved, sizeof(saved));
    state_begin(&writer, ppc_cpu_part.name, 1, ppc_cpu_part.version);
    ppc_cpu_part.save(vm(), 1, &writer);
    state_end(&writer);
    int64_t used = state_finish(&writer);
    assert_true(used > 0);
    saved_size = (size_t)used;
}

static int load(void) {
    struct state_reader reader;
    assert_int_equal(state_reader_init(&reader, saved, saved_size), 0);
    assert_true(state_next(&reader));
    return ppc_cpu_part.load(vm(), 1, &reader, ppc_cpu_part.version);
}

/* A state with something in every field, each as a guest could have it. */
static void fill(void) {
    struct ppc_vcpu_state *state = vcpu->state;
    uint32_t next = 0x01234567;
    uint32_t *word = (uint32_t *)(void *)state;

    for (size_t i = 0; i < offsetof(struct ppc_vcpu_state, magic_page) / 4; i++)
        word[i] = next += 0x11111111;
    state->registers.pc &= ~3u;
    state->msr &= GUEST_MSR_BITS;
    state->srr0 &= ~3u;
    state->csrr0 &= ~3u;
    state->mcsrr0 &= ~3u;
    state->esr &= GUEST_ESR_BITS;
    for (unsigned i = 0; i < 3; i++)
        state->pid[i] &= 0xff;
    state->sprg[8] = state->sprg[9] = state->mas[5] = 0;
    state->ivpr &= 0xffff0000;
    for (unsigned i = 0; i < PPC_IVOR_COUNT; i++)
        state->ivor[i] &= 0xfff0;
    state->mas[0] &= GUEST_MAS0_BITS;
    state->mas[1] &= GUEST_MAS1_BITS;
    state->mas[2] &= GUEST_MAS2_BITS;
    state->mas[3] &= GUEST_MAS3_BITS;
    state->mas[4] &= GUEST_MAS4_BITS;
    state->mas[6] &= GUEST_MAS6_BITS;
    state->mas[7] &= MAS7_RPN_MASK;
    state->tcr = TCR_DIE | TCR_WIE;
    state->tsr = TSR_DIS;
    state->hid0 = HID0_TBEN;
    state->hid1 = 0x1000;
    state->l1csr0 = state->l1csr1 = 1;
    state->bucsr = 1;
    state->dbcr0 = DBCR0_IDM;
    state->pir = 1;
    state->activity = PPC_WAITING;
    state->magic_page = state->magic_physical = 0;
    state->timebase_frequency = frequency;
    for (unsigned i = 0; i < 32; i++)
        state->gpr_high[i] = 0x80000000 + i;
    state->acc = 0x123456789abcdef0;
    for (unsigned set = 0; set < PPC_TLB0_SETS; set++) {
        state->tlb0_next[set] = set & 3;
        for (unsigned way = 0; way < PPC_TLB0_WAYS; way++)
            map0(state, way, set << 12 | way << 20, way << 20, MAS3_SR | way, MAS1_TID(set));
    }
    for (unsigned i = 0; i < PPC_TLB1_ENTRIES; i++)
        map1(state, i, i << 28, (uint64_t)i << 32, i, RIGHTS_ALL, MAS1_IPROT | MAS1_TS);
    state->mcar = 0xabcdef01;
    clock_dec_write(vcpu, 0x7654321);
    state->tsr = TSR_DIS;
}

static void test_round_trip(void **context) {
    (void)context;
    static struct ppc_vcpu_state before;
    static uint8_t first[sizeof(saved)];
    fill();
    vcpu->release_pc = 0x1234;
    vcpu->release_r3 = 0x5678;
    vcpu->core.requests = PPC_REQUEST_START | PPC_REQUEST_TLB;
    save();
    before = *vcpu->state;
    size_t size = saved_size;
    memcpy(first, saved, size);
    ppc_cpu_part.reset(vm(), 1);
    assert_memory_not_equal(vcpu->state, &before, sizeof(before));
    vcpu->core.requests = VCPU_REQUEST_PARK | PPC_REQUEST_RESET;
    vcpu->release_pc = vcpu->release_r3 = 0;
    assert_int_equal(load(), 0);
    assert_memory_equal(vcpu->state, &before, sizeof(before));
    assert_int_equal(vcpu->core.requests, VCPU_REQUEST_PARK | PPC_REQUEST_START | PPC_REQUEST_EVENT);
    assert_int_equal(vcpu->release_pc, 0x1234);
    assert_int_equal(vcpu->release_r3, 0x5678);
    assert_int_equal(clock_dec_read(vcpu), 0x7654321);
    vcpu->core.requests = PPC_REQUEST_START;
    save();
    assert_int_equal(saved_size, size);
    assert_memory_equal(saved, first, size);
}

/* A tlbivax that has been asked for counts as done: the guest's tlbsync does not wait for a vCPU that is not
 * in the guest. */
static void test_invalidated(void **context) {
    (void)context;
    fill();
    shadow_broadcast(ppc_vcpu(vm()->vcpu[0]), 5u << 12);
    save();
    ppc_cpu_part.reset(vm(), 1);
    assert_int_equal(load(), 0);
    assert_false(vcpu->state->tlb0[5][0].mas1 & MAS1_V);
    assert_true(vcpu->state->tlb0[5][1].mas1 & MAS1_V);
}

static void test_magic(void **context) {
    (void)context;
    fill();
    assert_int_equal(magic_map(vcpu, 0xfffff000, 0xfffff000), 0);
    for (unsigned i = 0; i < 4096; i++)
        fixture.heap_page[i] = (uint8_t)(i * 7);
    vcpu->state->msr = MSR_EE;
    vcpu->state->registers.gpr[1] = 0xc4cbd2d9; /* as the mark on the page: the guest wants no interrupt */
    save();
    ppc_cpu_part.reset(vm(), 1);
    memset(fixture.heap_page, 0, 4096);
    assert_int_equal(vcpu->slow, 0);
    assert_int_equal(load(), 0);
    assert_int_equal(vcpu->slow, PPC_SLOW_MAGIC);
    assert_true(magic_critical(vcpu));
    assert_int_equal(vcpu->state->magic_page, 0xfffff000);
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(fixture.heap_page[i], (uint8_t)(i * 7));
    /* The page is a part of the record. */
    save();
    struct state_record *record = (struct state_record *)(void *)saved;
    record->length -= 8;
    saved_size -= 8;
    assert_int_equal(load(), -EINVAL);
    assert_int_equal(vcpu->state->magic_page, 0);
    /* One that the guest has never looked at. */
    ppc_cpu_part.reset(vm(), 1);
    assert_int_equal(magic_map(vcpu, 0xfffff000, 0xfffff000), 0);
    save();
    assert_int_equal(load(), 0);
    assert_int_equal(vcpu->slow, 0);
}

static void test_cut(void **context) {
    (void)context;
    fill();
    save();
    struct state_record *record = (struct state_record *)(void *)saved;
    uint64_t length = record->length;
    for (uint64_t cut = 0; cut < length; cut += cut < 600 ? 8 : 264) {
        record->length = cut;
        saved_size = sizeof(*record) + ((cut + 7) & ~7ull);
        assert_int_equal(load(), -EINVAL);
    }
}

/* Each of these is put into a good state, which is then saved and has to be refused. */
static void test_refused(void **context) {
    (void)context;
    static const struct {
        size_t offset;
        uint32_t value;
    } bad[] = {
#define BAD(field, value) {offsetof(struct ppc_vcpu_state, field), value}
        BAD(registers.pc, 2),
        BAD(msr, MSR_FP),
        BAD(srr0, 1),
        BAD(csrr0, 3),
        BAD(mcsrr0, 2),
        BAD(esr, 1),
        BAD(pid[0], 256),
        BAD(pid[2], 0x80000000),
        BAD(sprg[8], 1),
        BAD(ivpr, 0x1000),
        BAD(ivor[0], 8),
        BAD(ivor[19], 0x10000),
        BAD(mas[0], 4),
        BAD(mas[5], 1),
        BAD(mas[7], 16),
        BAD(tcr, 1),
        BAD(tsr, 1),
        BAD(hid0, 0x100),
        BAD(l1csr0, 2),
        BAD(bucsr, 0x200),
        BAD(dbcr0, 0x10000000),
        BAD(pir, 0),
        BAD(activity, 3),
        BAD(magic_page, 0x1001),
        BAD(magic_physical, 0x1000),
        BAD(tlb0[5][1].mas1, MAS1_V | MAS1_IPROT | MAS1_TSIZE(1)),
        BAD(tlb0[5][1].mas1, MAS1_V | MAS1_TSIZE(2)),
        BAD(tlb0[127][3].mas2, 0x80),
        BAD(tlb0[0][0].mas3, 0x400),
        BAD(tlb1[15].mas7, 16),
        BAD(tlb1[15].mas1, MAS1_V | 1),
        BAD(tlb0_next[0], 0x04040404),
        BAD(timebase_frequency, 1),
    };
    for (unsigned i = 0; i < array_count(bad); i++) {
        ppc_cpu_part.reset(vm(), 1);
        fill();
        save();
        assert_int_equal(load(), 0);
        uint32_t *at = (uint32_t *)(void *)((char *)vcpu->state + bad[i].offset);
        bool page = vcpu->state->magic_page != 0;
        *at = bad[i].value;
        /* A record with a magic page has the page behind it. */
        if (vcpu->state->magic_page && !page && !vcpu->magic)
            assert_int_equal(magic_map(vcpu, bad[i].value, 0), 0);
        save();
        ppc_cpu_part.reset(vm(), 1);
        if (load() != -EINVAL)
            fail_msg("number %u was accepted", i);
        assert_int_equal(vcpu->state->activity, PPC_HELD); /* as it was reset */
    }
    /* Another clock. */
    fill();
    save();
    vcpu->state->timebase_frequency = frequency + 1;
    assert_int_equal(load(), -EINVAL);
}

static void test_starts(void **context) {
    (void)context;
    struct ppc_vcpu *first = ppc_vcpu(vm()->vcpu[0]);
    /* Power-on: the first runs, the others are held. */
    assert_int_equal(first->state->activity, PPC_RUNNING);
    assert_int_equal(vcpu->state->activity, PPC_HELD);
    assert_int_equal(vcpu->state->pir, 1);
    assert_int_equal(first->state->registers.pc, 0xfffffffc);
    assert_non_null(guest_tlb_lookup(first->state, 0xfffffffc, 0));
    assert_null(guest_tlb_lookup(first->state, 0, 0));
    /* ePAPR: the first with a device tree. */
    vcpu_boot(first, 0x100, 0x02000000, 0x04000000);
    assert_int_equal(first->state->registers.pc, 0x100);
    assert_int_equal(first->state->registers.gpr[3], 0x02000000);
    assert_int_equal(first->state->registers.gpr[6], 0x45504150);
    assert_int_equal(first->state->registers.gpr[7], 0x04000000);
    const struct ppc_tlb_entry *entry = guest_tlb_lookup(first->state, 0x03ffffff, 0);
    assert_non_null(entry);
    assert_int_equal(guest_tlb_shift(entry), 26);
    assert_true(guest_tlb_physical(entry, 0x03ffffff) == 0x03ffffff);
    assert_null(guest_tlb_lookup(first->state, 0x04000000, 0));
    assert_null(guest_tlb_lookup(first->state, 0xfffffffc, 0));
    vcpu_boot(first, 0x100, 0, 0x05ffffff); /* as much of it as one entry maps */
    assert_int_equal(guest_tlb_shift(&first->state->tlb1[0]), 26);
    vcpu_boot(first, 0x100, 0, 0);
    assert_int_equal(guest_tlb_shift(&first->state->tlb1[0]), 12);
    vcpu_boot(first, 0x100, 0, 0xffffffff);
    assert_int_equal(guest_tlb_shift(&first->state->tlb1[0]), 30);
    /* What another vCPU's tlbivax wanted of the TLB of the life before is nothing to this one's. */
    shadow_broadcast(vcpu, TLBIVAX_TLB1 | TLBIVAX_ALL);
    vcpu_power_on(first);
    vcpu_boot(first, 0x100, 0x02000000, 0x04000000);
    shadow_broadcast(vcpu, 0x10005000);
    shadow_take_broadcast(first);
    assert_non_null(guest_tlb_lookup(first->state, 0x100, 0));
}

static void test_report(void **context) {
    (void)context;
    map0(vcpu->state, 0, 0xc0002000, 0x3000, MAS3_SR, 0);
    vcpu->state->registers.gpr[1] = 0xc0002100;
    put_word(0x3100, 0xc0002200);
    put_word(0x3200, 0xc0002300);
    put_word(0x3204, 0xc0123456);
    put_word(0x3300, 0xc0002200); /* a loop */
    put_word(0x3304, 0xc0654321);
    vcpu->record_next = 0xfffffff8;
    arch_vcpu_report(&vcpu->core);
    assert_non_null(strstr(logged, "guest test, vCPU 1 (held)"));
    assert_non_null(strstr(logged, "c0123456"));
    assert_non_null(strstr(logged, "c0654321"));
    assert_non_null(strstr(logged, "TLB0: 1 entries"));
}

static void test_no_memory(void **context) {
    (void)context;
    for (unsigned left = 0; left < 3; left++) {
        fixture.heap_left = left;
        size_t heap = fixture.heap;
        assert_null(arch_vcpu_create(vm(), 0));
        assert_int_equal(fixture.heap, heap);
    }
    fixture.heap_left = 0;
    save();
    assert_int_equal(load(), -ENOMEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip), TEST(test_invalidated), TEST(test_magic),  TEST(test_cut),
        TEST(test_refused),    TEST(test_starts),      TEST(test_report), TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
