// SPDX-License-Identifier: Apache-2.0
// CPU models: what each shows of a host's features, every leaf that a guest can ask for, topology for 1 to 16
// vCPUs; held to the tables of docs/cpu-policy.md.
// unit-sources: arch/x86/guest/cpu_model.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "cpu_fixture.h"
#include "arch/x86/guest/cpu_model.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pv.h"
#include "lib/config.h"

struct cpu *test_cpu;
uint64_t test_time;

static struct x86_vm vm;
static struct x86_vcpu vcpu;
static struct x86_vcpu_state state;
static unsigned id;
static char why[160];

void *heap_allocate(size_t size, struct memory_account *account) {
    (void)account;
    return calloc(1, size);
}
void heap_free(void *object, size_t size, struct memory_account *account) {
    (void)size;
    (void)account;
    free(object);
}
static bool apic_on;
uint32_t lapic_id(const struct lapic *lapic) {
    (void)lapic;
    return id;
}
bool lapic_enabled(const struct lapic *lapic) {
    (void)lapic;
    return apic_on;
}
void pv_cpuid(struct x86_vcpu *which, uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    assert_ptr_equal(which, &vcpu);
    for (unsigned i = 0; i < 4; i++)
        out[i] = leaf + subleaf + i;
}

static const struct x86_cpu_model *model(void) {
    return vm.model;
}

static int make(unsigned kind, unsigned vcpus) {
    if (vm.model)
        cpu_model_destroy((struct x86_cpu_model *)vm.model, NULL);
    vm.model = NULL;
    why[0] = 0;
    return cpu_model_create(kind, vcpus, NULL, (struct x86_cpu_model **)&vm.model, why, sizeof(why));
}

static struct cpuid_leaf ask(uint32_t leaf, uint32_t subleaf) {
    struct cpuid_leaf out = {1, 2, 3, 4};
    const struct cpuid_leaf *fixed = cpu_model_fixed_leaf(model(), leaf);
    cpu_model_cpuid(&vcpu, leaf, subleaf, &out);
    if (fixed) /* the short way says the same */
        assert_memory_equal(fixed, &out, sizeof(out));
    return out;
}

static bool is_zero(struct cpuid_leaf leaf) {
    return !(leaf.eax | leaf.ebx | leaf.ecx | leaf.edx);
}

static int setup(void **unused) {
    (void)unused;
    memset(&vcpu, 0, sizeof(vcpu));
    memset(&state, 0, sizeof(state));
    vcpu.core.vm = &vm.core;
    vcpu.state = &state;
    state.xcr0 = 1;
    id = 0;
    apic_on = true;
    host_cpu_reset();
    return 0;
}

static int teardown(void **unused) {
    (void)unused;
    if (vm.model)
        cpu_model_destroy((struct x86_cpu_model *)vm.model, NULL);
    vm.model = NULL;
    return 0;
}

/* ---- features */

/* A host with everything there is. */
static void host_with_all(void) {
    host_cpu_avx512();
    host_leaf_1.ecx = host_leaf_1.edx = 0xffffffff;
    host_leaf_7.ebx = host_leaf_7.ecx = host_leaf_7.edx = 0xffffffff;
    host_xsave[1].eax = 0xffffffff;
    host_extended_1.ecx = host_extended_1.edx = 0xffffffff;
    host_extended_8.ebx = 0xffffffff;
}

static const char *const model_names[] = {"x86-64-v1", "x86-64-v2", "x86-64-v3", "host"};

/* docs/cpu-policy.md's table of models, row by row. */
static void test_policy_table(void **unused) {
    char line[512];
    unsigned found = 0;
    (void)unused;
    FILE *file = fopen("docs/cpu-policy.md", "r");
    assert_non_null(file);
    host_with_all();
    while (fgets(line, sizeof(line), file)) {
        for (unsigned kind = 0; kind < 4; kind++) {
            char start[32];
            snprintf(start, sizeof(start), "| `%s` |", model_names[kind]);
            if (strncmp(line, start, strlen(start)) != 0)
                continue;
            uint32_t words[CPU_WORDS];
            char *at = line + strlen(start);
            for (unsigned i = 0; i < CPU_WORDS; i++) {
                char *end;
                words[i] = (uint32_t)strtoul(at, &end, 16);
                assert_ptr_not_equal(end, at);
                at = strchr(end, '|');
                assert_non_null(at);
                at++;
            }
            assert_int_equal(make(kind, 1), 0);
            for (unsigned i = 0; i < CPU_WORDS; i++)
                if (model()->features[i] != words[i])
                    fail_msg("%s: word %u is 0x%08x, the page says 0x%08x", model_names[kind], i,
                             model()->features[i], words[i]);
            found++;
        }
    }
    fclose(file);
    assert_int_equal(found, 4);
}

/* What no guest may see, whatever the host has: instructions and MSRs that are not virtualised. */
static void test_hidden(void **unused) {
    (void)unused;
    host_with_all();
    for (unsigned kind = 0; kind < 4; kind++) {
        assert_int_equal(make(kind, 4), 0);
        struct cpuid_leaf leaf = ask(1, 0);
        assert_int_equal(leaf.ecx & (1u << 2 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 15),
                         0);
        assert_int_equal(leaf.ecx & 1u << 27, 0);              /* OSXSAVE follows CR4 */
        assert_int_equal(leaf.ecx & 0x81200000u, 0x81200000u); /* hypervisor, TSC deadline, x2APIC: ours */
        assert_int_equal(leaf.edx & (1u << 21 | 1u << 22 | 1u << 29), 0);
        leaf = ask(7, 0);
        assert_int_equal(leaf.eax, 0);
        /* TSC_ADJUST, SGX, HLE, RTM, RDT, MPX, PT */
        assert_int_equal(leaf.ebx & (1u << 1 | 1u << 2 | 1u << 4 | 1u << 11 | 1u << 12 | 1u << 14 | 1u << 25),
                         0);
        /* PKU, OSPKE, CET, LA57, RDPID */
        assert_int_equal(leaf.ecx & (1u << 3 | 1u << 4 | 1u << 7 | 1u << 16 | 1u << 22), 0);
        assert_int_equal(leaf.edx & 0xfc000000u, 0); /* speculation control, arch capabilities */
        assert_true(is_zero(ask(7, 1)));
        assert_int_equal(ask(0xd, 1).eax & ~1u, 0); /* XSAVEC, XSAVES */
        leaf = ask(0x80000001, 0);
        /* SVM, OSVW, IBS, SKINIT, WDT, LWP, topology extensions, perf counters, MWAITX */
        assert_int_equal(leaf.ecx & (1u << 2 | 1u << 9 | 1u << 10 | 1u << 12 | 1u << 13 | 1u << 15 |
                                     1u << 22 | 1u << 23 | 1u << 24 | 1u << 29),
                         0);
        assert_true(is_zero(ask(0x80000007, 0))); /* invariant TSC */
        assert_true(is_zero(ask(0x8000000a, 0))); /* SVM */
        assert_int_equal(ask(0x80000008, 0).ebx & ~0x205u, 0);
    }
}

static void test_missing(void **unused) {
    (void)unused;
    host_leaf_7.ebx &= ~(1u << 5);
    assert_int_equal(make(CONFIG_CPU_X86_64_V3, 1), -ENOTSUP);
    assert_string_equal(why, "cpu-model \"x86-64-v3\" needs AVX2, which this machine's CPU does not have");
    assert_int_equal(make(CONFIG_CPU_X86_64_V2, 1), 0);
    host_leaf_1.ecx &= ~(1u << 20);
    assert_int_equal(make(CONFIG_CPU_X86_64_V2, 1), -ENOTSUP);
    assert_non_null(strstr(why, "SSE4.2"));
    /* A named model is the same everywhere: also in what has no name here. */
    host_leaf_1.edx &= ~(1u << 19);
    assert_int_equal(make(CONFIG_CPU_X86_64_V1, 1), -ENOTSUP);
    assert_string_equal(
        why, "cpu-model \"x86-64-v1\" needs CPUID 1 EDX bit 19, which this machine's CPU does not have");
    /* "host" takes what there is. */
    assert_int_equal(make(CONFIG_CPU_HOST, 1), 0);
    assert_false(cpu_model_has(model(), WORD_7_EBX, 5));
    assert_int_equal(make(4, 1), -EINVAL);
    host_leaf_0.eax = 1; /* a CPU without leaf 7 */
    assert_int_equal(make(CONFIG_CPU_X86_64_V3, 1), -ENOTSUP);
    host_extended_0.eax = 0x80000000;
    assert_int_equal(make(CONFIG_CPU_HOST, 1), 0);
    assert_int_equal(model()->physical_bits, 36);
    assert_int_equal(model()->features[WORD_80000001_EDX], 0);
    assert_int_equal(cpu_model_efer_allowed(model()) & 1u << 14, 0);
}

/* ---- leaves */

static void test_basic(void **unused) {
    (void)unused;
    assert_int_equal(make(CONFIG_CPU_X86_64_V2, 3), 0);
    struct cpuid_leaf leaf = ask(0, 0);
    assert_int_equal(leaf.eax, 0xd);
    assert_int_equal(leaf.ebx, 0x68747541);
    assert_int_equal(leaf.ecx, 0x444d4163);
    leaf = ask(1, 0);
    assert_int_equal(leaf.eax, 0x00800f12);
    assert_int_equal(leaf.ebx, 0x00030800); /* the host's own APIC ID is not shown */
    id = 2;
    assert_int_equal(ask(1, 0).ebx, 0x02030800);
    assert_int_equal(leaf.edx & 1u << 28, 1u << 28);
    assert_int_equal(leaf.edx & 1u << 9, 1u << 9);
    apic_on = false;
    assert_int_equal(ask(1, 0).edx & 1u << 9, 0); /* a guest that has switched its APIC off */
    assert_int_equal(ask(6, 0).eax, 4);
    for (uint32_t number = 2; number < 0x10; number++)
        if (number != 4 && number != 6 && number != 7 && number != 0xb && number != 0xd)
            assert_true(is_zero(ask(number, 0)));
    static const uint32_t none[] = {0x10,       0x14,       0x1f,       0x20,       0x3fffffff, 0x40000100,
                                    0x7fffffff, 0x80000020, 0x8fffffff, 0xc0000000, 0xffffffff};
    for (unsigned i = 0; i < array_count(none); i++)
        assert_true(is_zero(ask(none[i], 0)));
    assert_int_equal(ask(0x40000001, 5).ebx, 0x40000007); /* pv_cpuid() answers */
    assert_int_equal(ask(0x400000ff, 0).eax, 0x400000ff);
}

static void test_extended(void **unused) {
    char text[49] = "";
    (void)unused;
    assert_int_equal(make(CONFIG_CPU_X86_64_V3, 5), 0);
    assert_int_equal(ask(0x80000000, 0).eax, 0x8000001e);
    for (unsigned i = 0; i < 3; i++) {
        struct cpuid_leaf leaf = ask(0x80000002 + i, 0);
        memcpy(text + 16 * i, &leaf, 16);
    }
    assert_string_equal(text, "Saguaro virtual CPU x86-64-v3");
    struct cpuid_leaf leaf = ask(0x80000008, 0);
    assert_int_equal(leaf.eax, 0x3030);
    assert_int_equal(leaf.ecx, 4 | 3 << 12); /* five cores, three bits of ID */
    assert_int_equal(ask(0x80000001, 0).ecx & 2, 2);
    assert_int_equal(ask(0x80000005, 0).eax, 0x80000005);
    id = 3;
    leaf = ask(0x8000001e, 0);
    assert_int_equal(leaf.eax, 3);
    assert_int_equal(leaf.ebx, 3);
    assert_true(is_zero(ask(0x8000001d, 0)));

    /* Intel's CPUs have fewer. */
    host_leaf_0 = host_extended_0 = (struct cpuid_registers){0x16, 0x756e6547, 0x6c65746e, 0x49656e69};
    host_extended_0.eax = 0x80000008;
    host_cache[0] = (struct cpuid_registers){0x1c004121, 0x01c0003f, 0x3f, 0};
    host_cache[3] = (struct cpuid_registers){0x1c03c163, 0x03c0003f, 0x1fff, 6};
    assert_int_equal(make(CONFIG_CPU_X86_64_V2, 3), 0);
    assert_int_equal(ask(0x80000000, 0).eax, 0x80000008);
    assert_true(is_zero(ask(0x8000001e, 0)));
    assert_int_equal(ask(0x80000001, 0).eax, 0);
    assert_int_equal(ask(0x80000001, 0).edx & 0x183f3ff, 0);
    assert_true(is_zero(ask(0x80000005, 0)));
    /* Caches: the host's, shared as the guest's CPUs are. */
    assert_int_equal(ask(4, 0).eax, 0x121 | 3u << 26);
    assert_int_equal(ask(4, 3).eax, 0x163 | 3u << 14 | 3u << 26);
    assert_int_equal(ask(4, 3).ecx, 0x1fff);
    assert_true(is_zero(ask(4, 1)));
    assert_true(is_zero(ask(4, 8)));
    assert_true(is_zero(ask(4, 0xffffffff)));
    /* More physical address bits than four levels of tables reach. */
    host_extended_8.eax = 0x3934;
    assert_int_equal(make(CONFIG_CPU_X86_64_V2, 1), 0);
    assert_int_equal(ask(0x80000008, 0).eax, 0x3030);
}

static void test_topology(void **unused) {
    (void)unused;
    for (unsigned count = 1; count <= 16; count++) {
        unsigned shift = count == 1 ? 0 : 32 - (unsigned)__builtin_clz(count - 1);
        assert_int_equal(make(CONFIG_CPU_X86_64_V2, count), 0);
        for (id = 0; id < count; id++) {
            struct cpuid_leaf leaf = ask(0xb, 0);
            assert_int_equal(leaf.eax, 0); /* a thread a core */
            assert_int_equal(leaf.ebx, 1);
            assert_int_equal(leaf.ecx, 0x100);
            assert_int_equal(leaf.edx, id);
            leaf = ask(0xb, 1);
            assert_int_equal(leaf.eax, shift);
            assert_int_equal(leaf.ebx, count);
            assert_int_equal(leaf.ecx, 0x201);
            assert_int_equal(leaf.edx, id);
            assert_int_equal(id >> shift, 0); /* all in one package */
            leaf = ask(0xb, 2);
            assert_int_equal(leaf.eax | leaf.ebx, 0);
            assert_int_equal(leaf.ecx, 2);
            leaf = ask(1, 0);
            assert_int_equal(leaf.ebx >> 24, id);
            assert_int_equal(leaf.ebx >> 16 & 0xff, count);
            assert_int_equal(leaf.edx >> 28 & 1, count > 1);
            assert_int_equal(ask(0x80000008, 0).ecx, (count - 1) | shift << 12);
            assert_int_equal(ask(0x80000001, 0).ecx >> 1 & 1, count > 1);
        }
    }
}

/* ---- XSAVE */

static void test_xsave(void **unused) {
    (void)unused;
    assert_int_equal(make(CONFIG_CPU_X86_64_V2, 1), 0); /* it has none */
    assert_true(is_zero(ask(0xd, 0)));
    assert_true(is_zero(ask(0xd, 1)));
    assert_int_equal(model()->xcr0_allowed, 1);
    state.system.cr4 = CR4_OSXSAVE;
    vcpu.present = X86_STATE_CONTROL;
    assert_int_equal(ask(1, 0).ecx & 1u << 27, 0);

    host_cpu_avx512();
    assert_int_equal(make(CONFIG_CPU_X86_64_V3, 1), 0);
    assert_int_equal(ask(1, 0).ecx & 1u << 27, 1u << 27);
    state.system.cr4 = 0;
    assert_int_equal(ask(1, 0).ecx & 1u << 27, 0);
    assert_int_equal(model()->xcr0_allowed, 7);
    struct cpuid_leaf leaf = ask(0xd, 0);
    assert_int_equal(leaf.eax, 7);
    assert_int_equal(leaf.ebx, 576); /* for what XCR0 has now */
    assert_int_equal(leaf.ecx, 832);
    assert_int_equal(leaf.edx, 0);
    state.xcr0 = 7;
    assert_int_equal(ask(0xd, 0).ebx, 832);
    leaf = ask(0xd, 2);
    assert_int_equal(leaf.eax, 256);
    assert_int_equal(leaf.ebx, 576);
    for (unsigned i = 3; i < 70; i++)
        assert_true(is_zero(ask(0xd, i)));
    assert_true(is_zero(ask(0xd, 0xffffffff)));

    assert_int_equal(make(CONFIG_CPU_HOST, 1), 0);
    assert_int_equal(model()->xcr0_allowed, 0xe7); /* not PKRU */
    assert_int_equal(ask(0xd, 0).ecx, 2688);
    assert_int_equal(ask(0xd, 7).ebx, 1664);
    assert_true(is_zero(ask(0xd, 9)));
    assert_true(cpu_model_has(model(), WORD_7_EBX, 16));
    /* Where the area that we keep cannot hold it, it is not shown at all. */
    host_xsave[7].ebx = 3500;
    assert_int_equal(make(CONFIG_CPU_HOST, 1), 0);
    assert_int_equal(model()->xcr0_allowed, 7);
    assert_int_equal(model()->features[WORD_7_EBX] & 0xd0230000u, 0);
    assert_true(cpu_model_has(model(), WORD_7_EBX, 5));
    host_xsave[0].eax = 3;
    assert_int_equal(make(CONFIG_CPU_HOST, 1), 0);
    assert_int_equal(model()->xcr0_allowed, 3);
    assert_false(cpu_model_has(model(), WORD_1_ECX, 28) || cpu_model_has(model(), WORD_7_EBX, 5));
}

static void test_emulated(void **unused) {
    (void)unused;
    assert_false(cpu_model_emulated());
    host_hypervisor =
        (struct cpuid_registers){0x40000001, 0x54474354, 0x43544743, 0x47435447}; /* TCGTCGTCGTCG */
    assert_false(cpu_model_emulated()); /* the leaf means nothing without the bit */
    host_leaf_1.ecx |= 1u << 31;
    assert_true(cpu_model_emulated());
    host_hypervisor.ebx = 0x4b4d564b;
    assert_false(cpu_model_emulated());
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_policy_table), TEST(test_hidden),   TEST(test_missing), TEST(test_basic),
        TEST(test_extended),     TEST(test_topology), TEST(test_xsave),   TEST(test_emulated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
