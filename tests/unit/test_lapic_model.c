// SPDX-License-Identifier: Apache-2.0
// The local APIC against a plain model of the priority rules under random operations, and against other CPUs
// that deliver while it takes interrupts: none is lost.
// unit-sources: arch/x86/guest/lapic.c arch/x86/guest/lapic_registers.c arch/x86/guest/lapic_message.c arch/x86/guest/lapic_timer.c arch/x86/guest/lapic_page.c arch/x86/guest/lapic_state.c arch/x86/guest/ioapic.c arch/x86/guest/pic.c arch/x86/guest/pv.c arch/x86/guest/pv_clock.c core/bus.c lib/state.c
#include <pthread.h>
#include "tests/unit/irq_fixture.h"

/* The rules as the manual words them, without any cleverness (SDM vol. 3, 11.8.3). */
static struct {
    bool irr[256], isr[256];
    unsigned tpr;
    bool enabled;
} model;

static int highest(const bool bits[256]) {
    for (int vector = 255; vector >= 0; vector--)
        if (bits[vector])
            return vector;
    return -1;
}

static unsigned model_ppr(void) {
    int serviced = highest(model.isr);
    if (serviced >> 4 > (int)model.tpr >> 4)
        return (unsigned)serviced & 0xf0;
    return model.tpr;
}

static int model_pending(void) {
    int vector = highest(model.irr);
    return model.enabled && vector >> 4 > (int)model_ppr() >> 4 ? vector : -1;
}

static uint32_t next_random(void) {
    static uint32_t seed = 12345;
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static void compare(void) {
    assert_int_equal(msr(0, 0x80a), model_ppr());
    assert_int_equal(lapic_pending(apic(0)), model_pending());
    assert_int_equal(lapic_has_work(apic(0)), model_pending() >= 0);
    for (unsigned n = 0; n < 8; n++) {
        uint32_t irr = 0, isr = 0;
        for (unsigned bit = 0; bit < 32; bit++) {
            irr |= (uint32_t)model.irr[n * 32 + bit] << bit;
            isr |= (uint32_t)model.isr[n * 32 + bit] << bit;
        }
        assert_int_equal(msr(0, 0x820 + n), irr);
        assert_int_equal(msr(0, 0x810 + n), isr);
    }
}

static void test_model(void **state) {
    (void)state;
    enable_all(true);
    memset(&model, 0, sizeof(model));
    model.enabled = true;
    unsigned taken = 0;
    for (unsigned step = 0; step < 40000; step++) {
        uint32_t random = next_random();
        uint8_t vector = (uint8_t)(random >> 8);
        switch (random % 16) {
        case 0 ... 4: {
            struct lapic_message message = {.destination = 0, .vector = vector};
            unsigned took = lapic_deliver(&machine.vm.core, NULL, 0, &message);
            assert_int_equal(took, model.enabled && vector >= 16);
            if (took)
                model.irr[vector] = true;
            break;
        }
        case 5 ... 9: {
            /* A change that makes something deliverable always asks for a look. */
            int expected = model_pending();
            if (expected >= 0)
                assert_true(machine.vcpu[0].core.requests & X86_REQUEST_EVENT);
            assert_int_equal(take_interrupt(0), expected);
            if (expected >= 0) {
                model.irr[expected] = false;
                model.isr[expected] = true;
                taken++;
            }
            break;
        }
        case 10 ... 13: {
            int serviced = highest(model.isr);
            assert_int_equal(wrmsr(0, 0x80b, 0), 0);
            if (serviced >= 0)
                model.isr[serviced] = false;
            break;
        }
        case 14:
            model.tpr = random >> 16 & 1 ? vector : 0;
            assert_int_equal(wrmsr(0, 0x808, model.tpr), 0);
            break;
        default:
            model.enabled = (random >> 16 & 7) != 0;
            assert_int_equal(wrmsr(0, 0x80f, model.enabled ? 0x1ff : 0xff), 0);
            break;
        }
        compare();
    }
    assert_true(taken > 3000);
}

#define ROUNDS 20000

/* Delivers its vector again each time that it has been taken. */
struct sender {
    pthread_t thread;
    uint8_t vector;
    uint32_t taken; /* by the vCPU; atomic */
};

static uint32_t senders_left;

static void *send(void *argument) {
    struct sender *sender = argument;
    struct lapic_message message = {.destination = 0, .vector = sender->vector};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        lapic_deliver(&machine.vm.core, NULL, 0, &message);
        while (__atomic_load_n(&sender->taken, __ATOMIC_ACQUIRE) <= round)
            sched_yield();
    }
    __atomic_fetch_sub(&senders_left, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Should one be lost, its sender waits for ever, and the test's time limit ends it. */
static void test_other_cpus(void **state) {
    (void)state;
    enable_all(true);
    struct sender sender[] = {{.vector = 0x41}, {.vector = 0x42}, {.vector = 0x91}};
    senders_left = array_count(sender);
    for (unsigned i = 0; i < array_count(sender); i++)
        assert_int_equal(pthread_create(&sender[i].thread, NULL, send, &sender[i]), 0);
    while (__atomic_load_n(&senders_left, __ATOMIC_ACQUIRE)) {
        uint32_t requests = __atomic_exchange_n(&machine.vcpu[0].core.requests, 0, __ATOMIC_ACQ_REL);
        int vector = requests & X86_REQUEST_EVENT ? lapic_pending(apic(0)) : -1;
        if (vector < 0) {
            sched_yield();
            continue;
        }
        lapic_accept(apic(0), (uint8_t)vector);
        for (unsigned i = 0; i < array_count(sender); i++)
            if (sender[i].vector == vector)
                __atomic_fetch_add(&sender[i].taken, 1, __ATOMIC_RELEASE);
        lapic_eoi(apic(0));
    }
    for (unsigned i = 0; i < array_count(sender); i++) {
        pthread_join(sender[i].thread, NULL);
        assert_int_equal(sender[i].taken, ROUNDS);
    }
    assert_int_equal(lapic_pending(apic(0)), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_open, machine_close)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(test_model), TEST(test_other_cpus)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
