// SPDX-License-Identifier: Apache-2.0
// The MSRs of a guest: every row of the table in docs/cpu-policy.md, everything that is in none, and the
// values that give #GP.
// unit-sources: arch/x86/guest/msr.c arch/x86/guest/cpu_model.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "cpu_fixture.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/msr.h"
#include "arch/x86/guest/pv.h"
#include "lib/config.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct x86_vm vm;
static struct x86_vcpu vcpu;
static struct x86_vcpu_state state;
static unsigned lapic_calls, pv_calls;
static uint64_t moved;

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    return calloc(1, size);
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    free(object);
}
uint32_t lapic_id(const struct lapic *lapic) {
    (void)lapic;
    return 0;
}
bool lapic_enabled(const struct lapic *lapic) {
    (void)lapic;
    return true;
}
void pv_cpuid(struct x86_vcpu *which, uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    (void)which;
    (void)leaf;
    (void)subleaf;
    (void)out;
}
int lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value) {
    (void)lapic;
    lapic_calls++;
    *value = msr;
    return 0;
}
int lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value) {
    (void)lapic;
    (void)msr;
    lapic_calls++;
    return value == 0xbad ? -EINVAL : 0;
}
int pv_msr_read(struct x86_vcpu *which, uint32_t msr, uint64_t *value) {
    (void)which;
    if (msr != 0x4b564d00)
        return -ENOENT;
    pv_calls++;
    *value = 77;
    return 0;
}
int pv_msr_write(struct x86_vcpu *which, uint32_t msr, uint64_t value) {
    (void)which;
    if (msr != 0x4b564d00)
        return -ENOENT;
    pv_calls++;
    return value == 0xbad ? -EINVAL : 0;
}
void pv_tsc_moved(struct x86_vcpu *which, uint64_t distance) {
    assert_ptr_equal(which, &vcpu);
    moved = distance;
}

static int make(unsigned kind) {
    char why[160];
    if (vm.model)
        cpu_model_destroy((struct x86_cpu_model *)vm.model, NULL);
    return cpu_model_create(kind, 1, NULL, (struct x86_cpu_model **)&vm.model, why, sizeof(why));
}

static int setup(void **unused) {
    (void)unused;
    memset(&vcpu, 0, sizeof(vcpu));
    memset(&state, 0, sizeof(state));
    memset(&engine_calls, 0, sizeof(engine_calls));
    host_cpu_reset();
    vcpu.core.vm = &vm.core;
    vcpu.state = &state;
    test_time = 1000000;
    lapic_calls = pv_calls = 0;
    assert_int_equal(make(CONFIG_CPU_HOST), 0);
    msr_guest_reset(&vcpu);
    return 0;
}

static int teardown(void **unused) {
    (void)unused;
    cpu_model_destroy((struct x86_cpu_model *)vm.model, NULL);
    vm.model = NULL;
    return 0;
}

static uint64_t read_msr(uint32_t msr) {
    uint64_t value = 0xdead;
    assert_int_equal(msr_guest_read(&vcpu, msr, &value), 0);
    return value;
}

/* A value that this register takes and that it does not have now. */
static uint64_t sample(uint32_t msr) {
    if (msr == 0xc0000080)
        return 0x801;
    if (msr == 0xc0000103)
        return 0x12345678;
    if (msr >= 0x250 && msr < 0x270)
        return 0x0605040100060504;
    if (msr == 0x277)
        return 0x0706050401000706;
    if (msr == 0x2ff)
        return 0xc06;
    if (msr >= 0x200 && msr < 0x210)
        return msr & 1 ? 0xfffffff00800 : 0x123456789006;
    return 0x7ffffffff000;
}

struct row {
    uint32_t first, last;
    bool readable, kept, ignored;
};

static unsigned read_rows(struct row *rows, unsigned size) {
    char line[512];
    unsigned count = 0;
    FILE *file = fopen("docs/cpu-policy.md", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "| `", 3) != 0 || strchr("0123456789abcdef", line[3]) == NULL || line[3 + 8] == '|')
            continue;
        char *at;
        struct row row = {.first = (uint32_t)strtoul(line + 3, &at, 16)};
        if (at != line + 11)
            continue;
        row.last = *at == '-' ? (uint32_t)strtoul(at + 1, &at, 16) : row.first;
        assert_int_equal(*at, '`');
        char *columns[4]; /* name, RDMSR, WRMSR, remark */
        at = strchr(at, '|') + 2;
        for (unsigned i = 0; i < 4; i++) {
            columns[i] = at;
            at = strchr(at, '|');
            assert_non_null(at);
            *at = 0;
            at += 2;
        }
        row.readable = strcmp(columns[1], "yes ") == 0;
        row.kept = strcmp(columns[2], "kept ") == 0;
        row.ignored = strcmp(columns[2], "ignored ") == 0;
        assert_true(row.readable || strcmp(columns[1], "#GP ") == 0);
        assert_true(row.kept || row.ignored || strcmp(columns[2], "#GP ") == 0);
        assert_true(count < size);
        rows[count++] = row;
    }
    fclose(file);
    return count;
}

static const struct row *row_of(const struct row *rows, unsigned count, uint32_t msr) {
    for (unsigned i = 0; i < count; i++)
        if (msr >= rows[i].first && msr <= rows[i].last)
            return &rows[i];
    return NULL;
}

static void check_msr(const struct row *row, uint32_t msr) {
    uint64_t before = 0, after = 0, value = sample(msr);

    if (!row) {
        if (msr_guest_read(&vcpu, msr, &before) != -EINVAL || msr_guest_write(&vcpu, msr, 0) != -EINVAL ||
            msr_guest_write(&vcpu, msr, value) != -EINVAL)
            fail_msg("MSR 0x%x answers, but docs/cpu-policy.md does not know it", msr);
        return;
    }
    if (msr_guest_read(&vcpu, msr, &before) != (row->readable ? 0 : -EINVAL))
        fail_msg("reading MSR 0x%x is not as docs/cpu-policy.md says", msr);
    if (msr_guest_write(&vcpu, msr, value) != (row->kept || row->ignored ? 0 : -EINVAL))
        fail_msg("writing MSR 0x%x is not as docs/cpu-policy.md says", msr);
    if (!row->readable)
        return;
    assert_int_equal(msr_guest_read(&vcpu, msr, &after), 0);
    if (after != (row->kept ? value : before))
        fail_msg("MSR 0x%x was 0x%llx, was written 0x%llx and is 0x%llx", msr, (unsigned long long)before,
                 (unsigned long long)value, (unsigned long long)after);
}

static void test_policy_table(void **unused) {
    static struct row rows[64];
    static const uint32_t starts[] = {0, 0x40000000, 0x4b564000, 0xc0000000, 0xc0010000, 0xffffe000};
    unsigned count = read_rows(rows, array_count(rows));
    (void)unused;
    assert_in_range(count, 25, 64);
    for (unsigned i = 0; i < array_count(starts); i++) {
        for (uint32_t offset = 0; offset < 0x2000; offset++) {
            uint32_t msr = starts[i] + offset;
            if (msr == 0x1b || msr == 0x6e0 || (msr >= 0x800 && msr < 0x900) || msr == 0x4b564d00)
                continue; /* others answer for these */
            check_msr(row_of(rows, count, msr), msr);
        }
    }
    assert_int_equal(lapic_calls + pv_calls, 0);
}

static void test_others(void **unused) {
    (void)unused;
    assert_int_equal(read_msr(0x1b), 0x1b);
    assert_int_equal(read_msr(0x6e0), 0x6e0);
    assert_int_equal(read_msr(0x800), 0x800);
    assert_int_equal(read_msr(0x8ff), 0x8ff);
    assert_int_equal(msr_guest_write(&vcpu, 0x80b, 0), 0);
    assert_int_equal(msr_guest_write(&vcpu, 0x80b, 0xbad), -EINVAL);
    assert_int_equal(lapic_calls, 6);
    assert_int_equal(read_msr(0x4b564d00), 77);
    assert_int_equal(msr_guest_write(&vcpu, 0x4b564d00, 0xbad), -EINVAL);
    assert_int_equal(pv_calls, 2);
}

/* Values that a CPU refuses. None of them changes anything. */
static void test_refused(void **unused) {
    static const struct {
        uint32_t msr;
        uint64_t value;
    } rows[] = {
        {0x175, 0x800000000000},
        {0x176, 0xffff7fffffffffff},
        {0xc0000082, 0x800000000000},
        {0xc0000083, 0x8000000000000000},
        {0xc0000100, 0x800000000000},
        {0xc0000101, 0xfffe800000000000},
        {0xc0000102, 0x1000000000000},
        {0xc0000103, 0x100000000},
        {0x277, 0x0007040600070402},
        {0x277, 0x0307040600070406},
        {0x277, 0x08},
        {0x200, 0x1000000000006},
        {0x200, 0x1003},
        {0x200, 0x1106},
        {0x201, 0x400},
        {0x20f, 0x1000000000800},
        {0x250, 0x0606060606060607},
        {0x26f, 0x0206060606060606},
        {0x2ff, 0xd06},
        {0x2ff, 0xc02},
        {0x2ff, 0x1000000c06},
        {0xc0000080, 0x1000},
        {0xc0000080, 0x2000},
        {0xc0000080, 0x8000},
        {0xc0000080, 0x2},
        {0xc0000080, 0x100000000},
    };
    (void)unused;
    for (unsigned i = 0; i < array_count(rows); i++) {
        uint64_t before = read_msr(rows[i].msr);
        if (msr_guest_write(&vcpu, rows[i].msr, rows[i].value) != -EINVAL)
            fail_msg("MSR 0x%x took 0x%llx", rows[i].msr, (unsigned long long)rows[i].value);
        assert_int_equal(read_msr(rows[i].msr), before);
    }
    assert_int_equal(vcpu.changed, 0);
}

static void test_efer(void **unused) {
    (void)unused;
    assert_int_equal(msr_guest_write(&vcpu, MSR_EFER, EFER_LME | 1), 0);
    assert_int_equal(vcpu.changed, X86_STATE_CONTROL);
    state.system.cr0 = CR0_PG | CR0_PE;
    state.system.efer |= EFER_LMA; /* by the CPU, when paging went on */
    /* LME stays while paging is on; LMA is not the guest's to write. */
    assert_int_equal(msr_guest_write(&vcpu, MSR_EFER, 1), -EINVAL);
    assert_int_equal(msr_guest_write(&vcpu, MSR_EFER, EFER_LME | EFER_NXE), 0);
    assert_int_equal(read_msr(MSR_EFER), EFER_LME | EFER_LMA | EFER_NXE);
    state.system.cr0 = CR0_PE;
    state.system.efer &= ~EFER_LMA;
    assert_int_equal(msr_guest_write(&vcpu, MSR_EFER, EFER_LMA), 0);
    assert_int_equal(read_msr(MSR_EFER), 0);
    assert_int_equal(msr_guest_write(&vcpu, MSR_EFER, 1u << 14), 0); /* FFXSR, which "host" shows */
    assert_int_equal(make(CONFIG_CPU_X86_64_V2), 0);
    assert_int_equal(msr_guest_write(&vcpu, MSR_EFER, 1u << 14), -EINVAL);
}

static void test_tsc(void **unused) {
    (void)unused;
    vcpu.tsc_offset = 500;
    assert_int_equal(read_msr(0x10), test_time + 500);
    assert_int_equal(msr_guest_write(&vcpu, 0x10, 7), 0);
    assert_int_equal(read_msr(0x10), 7);
    test_time += 100;
    assert_int_equal(read_msr(0x10), 107);
    assert_int_equal(engine_calls.tsc_offsets, 1);
    assert_int_equal(moved, 7 - 1000000 - 500ull);
}

static void test_tsc_aux(void **unused) {
    uint64_t value;
    (void)unused;
    assert_int_equal(msr_guest_write(&vcpu, 0xc0000103, 9), 0);
    assert_int_equal(host_msr_written, 0xc0000103); /* the guest's RDTSCP reads it from the CPU */
    assert_int_equal(host_msr_value, 9);
    assert_int_equal(make(CONFIG_CPU_X86_64_V1), 0);
    assert_int_equal(msr_guest_read(&vcpu, 0xc0000103, &value), -EINVAL);
    assert_int_equal(msr_guest_write(&vcpu, 0xc0000103, 9), -EINVAL);
}

/* Each register is fetched before it is read or changed, and told to the engine after. */
static void test_groups(void **unused) {
    static const struct {
        uint32_t msr, group;
    } rows[] = {
        {0xc0000080, X86_STATE_CONTROL}, {0xc0000100, X86_STATE_SEGMENTS}, {0xc0000101, X86_STATE_SEGMENTS},
        {0xc0000102, X86_STATE_MSRS},    {0xc0000081, X86_STATE_MSRS},     {0xc0000082, X86_STATE_MSRS},
        {0xc0000083, X86_STATE_MSRS},    {0xc0000084, X86_STATE_MSRS},     {0x174, X86_STATE_MSRS},
        {0x175, X86_STATE_MSRS},         {0x176, X86_STATE_MSRS},          {0x277, X86_STATE_MSRS}};
    (void)unused;
    for (unsigned i = 0; i < array_count(rows); i++) {
        vcpu.present = vcpu.changed = engine_calls.fetched = 0;
        read_msr(rows[i].msr);
        assert_int_equal(engine_calls.fetched, rows[i].group);
        assert_int_equal(vcpu.changed, 0);
        vcpu.present = engine_calls.fetched = 0;
        assert_int_equal(msr_guest_write(&vcpu, rows[i].msr, sample(rows[i].msr)), 0);
        assert_int_equal(engine_calls.fetched, rows[i].group);
        assert_int_equal(vcpu.changed, rows[i].group);
    }
}

static void test_reset(void **unused) {
    (void)unused;
    for (unsigned msr = 0x200; msr < 0x210; msr++)
        assert_int_equal(msr_guest_write(&vcpu, msr, sample(msr)), 0);
    assert_int_equal(msr_guest_write(&vcpu, 0x277, sample(0x277)), 0);
    msr_guest_reset(&vcpu);
    assert_int_equal(read_msr(0x277), 0x0007040600070406);
    assert_int_equal(read_msr(0x1a0), 1);
    assert_int_equal(read_msr(0x200), 0);
    assert_int_equal(read_msr(0x2ff), 0);
    assert_int_equal(read_msr(0xfe), 0x508);
    assert_int_equal(read_msr(0xc0010114), 0x10);
    assert_int_equal(read_msr(0xc0011029), 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_policy_table), TEST(test_others),  TEST(test_refused), TEST(test_efer),
        TEST(test_tsc),          TEST(test_tsc_aux), TEST(test_groups),  TEST(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
