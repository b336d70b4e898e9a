// SPDX-License-Identifier: Apache-2.0
// Loads and stores to device memory: each form, byte order, update, refusals, and accesses to RAM by hand.
// unit-sources: arch/ppc/guest/mmio.c arch/ppc/guest/translate.c arch/ppc/guest/tlb.c arch/ppc/guest/interrupt.c
// unit-sources: arch/ppc/guest/clock.c arch/ppc/guest/magic.c arch/ppc/guest/shadow.c arch/ppc/guest/shadow_cpu.c
// unit-sources: core/bus.c
#include "ppc_cpu_fixture.h"
#include "arch/ppc/guest/decode.h"
#include "arch/ppc/guest/mmio.h"
#include "arch/ppc/guest/shadow.h"

#define CODE   0x00004000u /* of the guest, at guest-physical 0x8000 */
#define DEVICE 0xe0000000u
#define RAM    0x00100000u

static struct {
    uint64_t offset, value;
    unsigned size, reads, writes;
    int result;
} device;

static int device_read(void *context, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t *value) {
    assert_ptr_equal(context, &device);
    assert_ptr_equal(vcpu, &vcpu0()->core);
    device.offset = offset;
    device.size = size;
    device.reads++;
    *value = device.value;
    return device.result;
}
static int device_write(void *context, struct vcpu *vcpu, uint64_t offset, unsigned size, uint64_t value) {
    (void)context;
    (void)vcpu;
    device.offset = offset;
    device.size = size;
    device.value = value;
    device.writes++;
    return device.result;
}
static const struct bus_ops ops = {device_read, device_write};

static uint32_t *gpr(void) {
    return state0()->registers.gpr;
}

static int start(void **context) {
    (void)context;
    fixture_init();
    memset(&device, 0, sizeof(device));
    assert_int_equal(bus_init(&vm()->bus[BUS_MEMORY]), 0);
    assert_int_equal(bus_add(&vm()->bus[BUS_MEMORY], DEVICE_BASE, 0x1000, &ops, &device, "device"), 0);
    assert_int_equal(shadow_create(vcpu0()), 0);
    map1(state0(), 0, CODE, 0x8000, TSIZE_4K, MAS3_SX, 0);
    map1(state0(), 1, DEVICE, DEVICE_BASE, TSIZE_1M, MAS3_SR | MAS3_SW, 0);
    map1(state0(), 2, RAM, RAM, TSIZE_1M, MAS3_SR | MAS3_SW, 0);
    state0()->ivpr = 0xc0000000;
    for (unsigned i = 0; i < PPC_IVOR_COUNT; i++)
        state0()->ivor[i] = i << 4;
    state0()->registers.pc = CODE;
    return 0;
}

static int stop(void **context) {
    (void)context;
    shadow_destroy(vcpu0());
    bus_destroy(&vm()->bus[BUS_MEMORY]);
    assert_int_equal(fixture.heap, 0);
    return 0;
}

static uint32_t with_offset(unsigned primary, unsigned rt, unsigned ra, int16_t offset) {
    return primary << 26 | rt << 21 | ra << 16 | (uint16_t)offset;
}
static uint32_t indexed(unsigned extended, unsigned rt, unsigned ra, unsigned rb) {
    return 31u << 26 | rt << 21 | ra << 16 | rb << 11 | extended << 1;
}

/* Executes a word at CODE; it must be done. */
static void execute(uint32_t word) {
    put_word(0x8000, word);
    state0()->registers.pc = CODE;
    assert_true(mmio_execute(vcpu0()));
    assert_int_equal(state0()->registers.pc, CODE + 4);
}
/* It must end in this interrupt instead. */
static void refused(uint32_t word, unsigned ivor) {
    unsigned accesses = device.reads + device.writes;
    put_word(0x8000, word);
    state0()->registers.pc = CODE;
    assert_true(mmio_execute(vcpu0()));
    assert_int_equal(state0()->registers.pc, 0xc0000000 + (ivor << 4));
    assert_int_equal(ivor == IVOR_MACHINE_CHECK ? state0()->mcsrr0 : state0()->srr0, CODE);
    assert_int_equal(device.reads + device.writes, accesses);
}

static void test_loads(void **context) {
    (void)context;
    static const struct {
        unsigned displaced, indexed;
        unsigned size;
        uint32_t result; /* of 0x8182c3f4 */
    } each[] = {
        {OP_LWZ, OP31_LWZX, 4, 0x8182c3f4}, {OP_LHZ, OP31_LHZX, 2, 0xc3f4}, {OP_LBZ, OP31_LBZX, 1, 0xf4},
        {OP_LHA, OP31_LHAX, 2, 0xffffc3f4}, {0, OP31_LWBRX, 4, 0xf4c38281}, {0, OP31_LHBRX, 2, 0xf4c3},
    };
    gpr()[3] = DEVICE + 0x20;
    gpr()[4] = 0xfffffff0;
    for (unsigned i = 0; i < array_count(each); i++) {
        device.value = 0x8182c3f4;
        if (each[i].displaced) {
            execute(with_offset(each[i].displaced, 9, 3, -0x10));
            assert_int_equal(gpr()[9], each[i].result);
            assert_int_equal(device.offset, 0x10);
        }
        execute(indexed(each[i].indexed, 10, 3, 4));
        assert_int_equal(gpr()[10], each[i].result);
        assert_int_equal(device.size, each[i].size);
        assert_int_equal(device.offset, 0x10);
    }
    /* RA = 0: the number 0. */
    gpr()[0] = 0x12345678;
    gpr()[5] = DEVICE + 8;
    execute(indexed(OP31_LWZX, 10, 0, 5));
    assert_int_equal(device.offset, 8);
}

static void test_stores(void **context) {
    (void)context;
    static const struct {
        unsigned displaced, indexed;
        unsigned size;
        uint32_t value; /* of 0x8182c3f4 */
    } each[] = {
        {OP_STW, OP31_STWX, 4, 0x8182c3f4}, {OP_STH, OP31_STHX, 2, 0xc3f4}, {OP_STB, OP31_STBX, 1, 0xf4},
        {0, OP31_STWBRX, 4, 0xf4c38281},    {0, OP31_STHBRX, 2, 0xf4c3},
    };
    gpr()[3] = DEVICE;
    gpr()[4] = 0x40;
    gpr()[9] = 0x8182c3f4;
    for (unsigned i = 0; i < array_count(each); i++) {
        if (each[i].displaced) {
            execute(with_offset(each[i].displaced, 9, 3, 0x7c));
            assert_int_equal(device.value, each[i].value);
            assert_int_equal(device.offset, 0x7c);
        }
        execute(indexed(each[i].indexed, 9, 3, 4));
        assert_int_equal(device.value, each[i].value);
        assert_int_equal(device.size, each[i].size);
        assert_int_equal(device.offset, 0x40);
        assert_int_equal(gpr()[9], 0x8182c3f4);
    }
}

static void test_update(void **context) {
    (void)context;
    static const unsigned displaced[] = {OP_LWZU, OP_LBZU, OP_LHZU, OP_LHAU, OP_STWU, OP_STBU, OP_STHU};
    static const unsigned with_index[] = {OP31_LWZUX, OP31_LBZUX, OP31_LHZUX, OP31_LHAUX,
                                          OP31_STWUX, OP31_STBUX, OP31_STHUX};
    gpr()[4] = 8;
    for (unsigned i = 0; i < 7; i++) {
        gpr()[3] = DEVICE;
        execute(with_offset(displaced[i], 9, 3, 4));
        assert_int_equal(gpr()[3], DEVICE + 4);
        gpr()[3] = DEVICE;
        execute(indexed(with_index[i], 9, 3, 4));
        assert_int_equal(gpr()[3], DEVICE + 8);
        gpr()[0] = DEVICE;
        refused(with_offset(displaced[i], 9, 0, 4), IVOR_PROGRAM);
        assert_int_equal(state0()->esr, ESR_PIL);
    }
    gpr()[3] = DEVICE;
    refused(with_offset(OP_LWZU, 3, 3, 4), IVOR_PROGRAM);
    execute(with_offset(OP_STWU, 3, 3, 4)); /* a store may */
    assert_int_equal(device.value, DEVICE);
}

static void test_byte_order(void **context) {
    (void)context;
    /* A little-endian page: the bytes are the other way round, and lwbrx turns them back. */
    state0()->tlb1[1].mas2 |= MAS2_E;
    gpr()[3] = DEVICE;
    device.value = 0x11223344;
    execute(with_offset(OP_LWZ, 9, 3, 0));
    assert_int_equal(gpr()[9], 0x44332211);
    execute(indexed(OP31_LWBRX, 9, 0, 3));
    assert_int_equal(gpr()[9], 0x11223344);
    /* Code in a little-endian page. */
    state0()->tlb1[0].mas2 |= MAS2_E;
    execute(__builtin_bswap32(with_offset(OP_LHZ, 9, 3, 2)));
    assert_int_equal(gpr()[9], 0x4433);
}

static void test_nobody(void **context) {
    (void)context;
    gpr()[3] = DEVICE + 0x8000;
    execute(with_offset(OP_LWZ, 9, 3, 0));
    assert_int_equal(gpr()[9], 0xffffffff);
    execute(with_offset(OP_LBZ, 9, 3, 0));
    assert_int_equal(gpr()[9], 0xff);
    execute(with_offset(OP_STW, 9, 3, 0));
    assert_int_equal(device.reads + device.writes, 0);
}

static void test_later(void **context) {
    (void)context;
    device.result = -EAGAIN;
    gpr()[3] = DEVICE;
    gpr()[9] = 77;
    for (unsigned i = 0; i < 2; i++) {
        put_word(0x8000, i ? with_offset(OP_STWU, 9, 3, 4) : with_offset(OP_LWZU, 9, 3, 4));
        state0()->registers.pc = CODE;
        assert_false(mmio_execute(vcpu0()));
        assert_int_equal(state0()->registers.pc, CODE);
        assert_int_equal(gpr()[9], 77);
        assert_int_equal(gpr()[3], DEVICE);
    }
}

static void test_refusals(void **context) {
    (void)context;
    state0()->msr = MSR_ME;
    gpr()[3] = DEVICE;
    refused(with_offset(OP_LWZ, 9, 3, 2), IVOR_ALIGNMENT);
    assert_int_equal(state0()->dear, DEVICE + 2);
    assert_int_equal(state0()->esr, 0);
    state0()->msr = MSR_ME;
    refused(with_offset(OP_STH, 9, 3, 1), IVOR_ALIGNMENT);
    assert_int_equal(state0()->esr, ESR_ST);
    /* dcbz needs a cache; lmw, lwarx, lswi and the rest are a bus error. */
    vcpu0()->exit_dear = DEVICE + 0x44;
    refused(indexed(OP31_DCBZ, 0, 0, 3), IVOR_ALIGNMENT);
    assert_int_equal(state0()->dear, DEVICE + 0x44);
    static const uint32_t words[] = {46u << 26 | 3u << 16,  47u << 26 | 3u << 16,  31u << 26 | 20u << 1,
                                     31u << 26 | 150u << 1, 31u << 26 | 597u << 1, 0};
    for (unsigned i = 0; i < array_count(words); i++) {
        state0()->msr = MSR_ME;
        vcpu0()->exit_esr = i & 1 ? ESR_ST : 0;
        refused(words[i], IVOR_MACHINE_CHECK);
        assert_int_equal(state0()->mcsr, i & 1 ? MCSR_BUS_WAERR : MCSR_BUS_RAERR);
        assert_int_equal(state0()->mcar, DEVICE + 0x44);
    }
    /* Cache operations and hints are nothing there. */
    static const unsigned harmless[] = {OP31_DCBF, OP31_DCBST, OP31_DCBT, OP31_DCBTST, OP31_DCBA, OP31_ICBI};
    for (unsigned i = 0; i < array_count(harmless); i++)
        execute(indexed(harmless[i], 0, 0, 3));
    assert_int_equal(device.reads + device.writes, 0);
}

static void test_faults(void **context) {
    (void)context;
    /* The address that counts is what the instruction says. */
    gpr()[3] = 0x70000000;
    refused(with_offset(OP_LWZ, 9, 3, 4), IVOR_DATA_TLB);
    assert_int_equal(state0()->dear, 0x70000004);
    assert_int_equal(state0()->esr, 0);
    refused(with_offset(OP_STW, 9, 3, 4), IVOR_DATA_TLB);
    assert_int_equal(state0()->esr, ESR_ST);
    state0()->tlb1[1].mas3 &= ~(uint32_t)MAS3_SW;
    gpr()[3] = DEVICE;
    refused(with_offset(OP_STW, 9, 3, 4), IVOR_DATA_STORAGE);
    assert_int_equal(state0()->dear, DEVICE + 4);
    /* The code itself is gone, forbidden, or no memory. */
    state0()->msr = MSR_PR;
    refused(with_offset(OP_LWZ, 9, 3, 4), IVOR_INST_STORAGE);
    state0()->msr = MSR_ME;
    state0()->tlb1[0].mas3 = (uint32_t)DEVICE_BASE | MAS3_SX;
    state0()->tlb1[0].mas7 = DEVICE_BASE >> 32;
    refused(with_offset(OP_LWZ, 9, 3, 4), IVOR_MACHINE_CHECK);
    assert_int_equal(state0()->mcsr, MCSR_BUS_IAERR);
    state0()->tlb1[0].mas1 = 0;
    refused(with_offset(OP_LWZ, 9, 3, 4), IVOR_INST_TLB);
}

static void test_memory(void **context) {
    (void)context;
    /* RAM by hand, in the guest's byte order. */
    put_word(RAM + 0x40, 0x11223344);
    gpr()[3] = RAM;
    execute(with_offset(OP_LWZ, 9, 3, 0x40));
    assert_int_equal(gpr()[9], 0x11223344);
    execute(with_offset(OP_LHZ, 9, 3, 0x42));
    assert_int_equal(gpr()[9], 0x3344);
    gpr()[9] = 0xaabbccdd;
    execute(with_offset(OP_STH, 9, 3, 0x40));
    assert_int_equal(get_word(RAM + 0x40), 0xccdd3344);
    gpr()[4] = RAM + 0x40;
    execute(indexed(OP31_STWBRX, 9, 0, 4));
    assert_int_equal(get_word(RAM + 0x40), 0xddccbbaa);
    /* ROM takes no writes. */
    map1(state0(), 3, 0xf0000000, ROM_BASE, TSIZE_4K, MAS3_SR | MAS3_SW, 0);
    put_word(ROM_BASE, 0x55555555);
    gpr()[3] = 0xf0000000;
    execute(with_offset(OP_STW, 9, 3, 0));
    assert_int_equal(get_word(ROM_BASE), 0x55555555);
    assert_int_equal(device.reads + device.writes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_loads), TEST(test_stores),   TEST(test_update), TEST(test_byte_order), TEST(test_nobody),
        TEST(test_later), TEST(test_refusals), TEST(test_faults), TEST(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
