// SPDX-License-Identifier: Apache-2.0
// For unit tests of the guest's MPIC: its registers by name, and a guest that uses them. Included by one file
// of a test program.
#ifndef SAGUARO_TESTS_PPC_MPIC_FIXTURE_H
#define SAGUARO_TESTS_PPC_MPIC_FIXTURE_H

#include "ppc_fixture.h"
#include "arch/ppc/guest/mpic.h"

#define BASE      (BOARD_CCSR + BOARD_MPIC)
#define SPURIOUS  0xffffu

#define CTPR      0x80u
#define WHOAMI    0x90u
#define IACK      0xa0u
#define EOI       0xb0u
#define FRR       0x1000u
#define GCR       0x1020u
#define PIR       0x1090u
#define SVR       0x10e0u
#define MSIR(n)   (0x1600u + 0x10 * (n))
#define MSISR     0x1720u
#define MSIIR     0x1740u
#define VPR(n)    (0x10000u + 0x20 * (n))
#define DR(n)     (0x10010u + 0x20 * (n))
#define IPIVPR(n) (0x10a0u + 0x10 * (n))
#define IPIDR(n)  (0x40u + 0x10 * (n))
#define CPU(n)    (0x20000u + 0x1000 * (n))
#define GTCCR(n)  (0x1100u + 0x1000 * ((n) / 4) + 0x40 * ((n) % 4))
#define GTBCR(n)  (GTCCR(n) + 0x10)
#define GTVPR(n)  (GTCCR(n) + 0x20)
#define GTDR(n)   (GTCCR(n) + 0x30)
#define TFRR(n)   (0x10f0u + 0x1000 * (n))
#define TCR(n)    (0x1300u + 0x1000 * (n))

#define MASKED    0x80000000u
#define ACTIVE    0x40000000u
#define POLARITY  0x00800000u
#define LEVEL     0x00400000u
#define MIXED     0x20000000u
#define PROXY     0x60000000u
#define INHIBIT   0x80000000u
#define TOGGLE    0x80000000u

/* Of the parts that are not linked here. */
static unsigned vcpu_resets[VCPUS];

const struct platform board_platform;

void board_reset_vcpu(struct vm *which, unsigned index) {
    assert_ptr_equal(which, vm());
    assert_int_equal(fixture.board.mpic != NULL, 1);
    vcpu_resets[index]++;
}

static inline uint32_t get_by(unsigned index, unsigned offset) {
    int error;
    uint64_t value = peek(index, BASE + offset, 4, &error);
    assert_int_equal(error, 0);
    assert_true(value <= UINT32_MAX);
    return (uint32_t)value;
}

static inline void set_by(unsigned index, unsigned offset, uint32_t value) {
    assert_int_equal(poke(index, BASE + offset, 4, value), 0);
}

static inline uint32_t get(unsigned offset) {
    return get_by(0, offset);
}

static inline void set(unsigned offset, uint32_t value) {
    set_by(0, offset, value);
}

static inline void line(unsigned source, bool asserted) {
    mpic_set_line(vm(), source, asserted);
}

static inline uint32_t vpr(unsigned priority, unsigned vector) {
    return priority << 16 | vector;
}

static inline int start(void **state) {
    (void)state;
    fixture_init();
    memset(vcpu_resets, 0, sizeof(vcpu_resets));
    assert_int_equal(mpic_part.create(vm(), 0), 0);
    mpic_part.reset(vm(), 0);
    return 0;
}

/* As a kernel leaves it: mixed mode, vCPUs take everything. */
static inline int start_open(void **state) {
    start(state);
    set(GCR, MIXED);
    for (unsigned i = 0; i < VCPUS; i++)
        set(CPU(i) + CTPR, 0);
    return 0;
}

static inline int stop(void **state) {
    (void)state;
    mpic_part.destroy(vm(), 0);
    fixture_done();
    return 0;
}

#endif
