// SPDX-License-Identifier: Apache-2.0
// Unit tests of the guest's local APIC: modes, registers, priorities, messages, saved state.
// unit-sources: arch/x86/guest/lapic.c arch/x86/guest/lapic_registers.c arch/x86/guest/lapic_message.c arch/x86/guest/lapic_timer.c arch/x86/guest/lapic_page.c arch/x86/guest/lapic_state.c arch/x86/guest/ioapic.c arch/x86/guest/pic.c arch/x86/guest/pv.c arch/x86/guest/pv_clock.c core/bus.c lib/state.c
#include "tests/unit/irq_fixture.h"

/* ---- modes */

static void test_reset_values(void **state) {
    (void)state;
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(msr(i, 0x1b), 0xfee00800 | (i == 0 ? 0x100 : 0));
        assert_int_equal(lapic_mmio_base(apic(i)), 0xfee00000);
        assert_int_equal(xread(i, 0x20), i << 24);
        assert_int_equal(lapic_id(apic(i)), i);
    }
    assert_int_equal(xread(0, 0x30), 0x01050014);
    assert_int_equal(xread(0, 0x80), 0);
    assert_int_equal(xread(0, 0xa0), 0);
    assert_int_equal(xread(0, 0xd0), 0);
    assert_int_equal(xread(0, 0xe0), 0xffffffff);
    assert_int_equal(xread(0, 0xf0), 0xff);
    for (uint32_t offset = 0x320; offset <= 0x370; offset += 0x10)
        assert_int_equal(xread(0, offset), 0x10000);
    for (uint32_t offset = 0x100; offset < 0x280; offset += 0x10)
        assert_int_equal(xread(0, offset), 0);
    assert_int_equal(xread(0, 0x280), 0);
    assert_int_equal(xread(0, 0x300), 0);
    assert_int_equal(xread(0, 0x380), 0);
    assert_int_equal(xread(0, 0x390), 0);
    assert_int_equal(xread(0, 0x3e0), 0);
    assert_false(lapic_accepts_pic(apic(0)));
}

static void test_mode_transitions(void **state) {
    (void)state;
    /* Invalid state, reserved bits. */
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00400), -EINVAL);
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00801), -EINVAL);
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00a00), -EINVAL);
    assert_int_equal(wrmsr(1, 0x1b, 1ull << 52 | 0xfee00800), -EINVAL);
    assert_int_equal(msr(1, 0x1b), 0xfee00800);
    uint64_t value;
    assert_int_equal(lapic_msr_read(apic(1), 0x802, &value), -EINVAL); /* not in x2APIC mode */
    assert_int_equal(wrmsr(1, 0x80b, 0), -EINVAL);

    xwrite(1, 0x80, 0x30);
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00c00), 0); /* xAPIC to x2APIC keeps registers */
    assert_int_equal(msr(1, 0x808), 0x30);
    assert_int_equal(lapic_mmio_base(apic(1)), 0);
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00800), -EINVAL); /* not back */
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00000), 0);       /* off: all is forgotten */
    assert_false(lapic_enabled(apic(1)));
    assert_true(lapic_accepts_pic(apic(1)));
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00c00), -EINVAL); /* not at once */
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00800), 0);
    assert_int_equal(xread(1, 0x80), 0);
    assert_true(lapic_enabled(apic(1)));

    /* Relocation; the bootstrap flag stays as it is. */
    assert_int_equal(wrmsr(1, 0x1b, 0x12345000 | 0x900), 0);
    assert_int_equal(lapic_mmio_base(apic(1)), 0x12345000);
    assert_int_equal(msr(1, 0x1b), 0x12345800);
}

static void test_mmio_access_rules(void **state) {
    (void)state;
    uint64_t value;
    xwrite(0, 0xf0, 0x1ff);
    lapic_mmio_read(apic(0), 0x30, 1, &value);
    assert_int_equal(value, 0x14);
    lapic_mmio_read(apic(0), 0x32, 2, &value);
    assert_int_equal(value, 0x0105);
    lapic_mmio_read(apic(0), 0x32, 4, &value); /* crosses the register */
    assert_int_equal(value, 0);
    lapic_mmio_read(apic(0), 0x34, 4, &value); /* beside it */
    assert_int_equal(value, 0);
    lapic_mmio_read(apic(0), 0x30, 8, &value);
    assert_int_equal(value, 0);
    lapic_mmio_write(apic(0), 0x80, 1, 0x50); /* only whole registers are written */
    lapic_mmio_write(apic(0), 0x80, 8, 0x50);
    lapic_mmio_write(apic(0), 0x82, 4, 0x50);
    assert_int_equal(xread(0, 0x80), 0);
    xwrite(0, 0x20, 0x55000000); /* read-only */
    xwrite(0, 0x30, 0);
    xwrite(0, 0x90, 1);
    xwrite(0, 0xc0, 1);
    xwrite(0, 0x100, 1);
    xwrite(0, 0x390, 1);
    assert_int_equal(xread(0, 0x20), 0);
    xwrite(0, 0x280, 0);
    assert_int_equal(xread(0, 0x280), 0); /* none of these was an error */

    xread(0, 0x3f0); /* not in xAPIC mode */
    xwrite(0, 0x280, 0);
    assert_int_equal(xread(0, 0x280), 0x80);
    xwrite(0, 0x2f0, 0);                     /* no CMCI entry */
    assert_int_equal(xread(0, 0x280), 0x80); /* the register shows what the last write latched */
    xwrite(0, 0x280, 0);
    assert_int_equal(xread(0, 0x280), 0x80);
    xwrite(0, 0x280, 0);
    assert_int_equal(xread(0, 0x280), 0);
    /* Nothing out of range, whatever is asked. */
    for (uint32_t offset = 0; offset < 0x1000; offset += 4) {
        lapic_mmio_read(apic(0), offset, 4, &value);
        lapic_mmio_write(apic(0), offset, 4, 0xffffffff);
    }
}

static void test_x2apic_registers(void **state) {
    (void)state;
    enable_all(true);
    uint64_t value;
    assert_int_equal(msr(3, 0x802), 3);
    assert_int_equal(msr(3, 0x80d), 1u << 3);
    assert_int_equal(msr(3, 0x803), 0x01050014);
    static const uint16_t no_read[] = {0x800, 0x801, 0x804, 0x807, 0x809, 0x80b, 0x80c, 0x80e,
                                       0x829, 0x82f, 0x831, 0x83a, 0x83d, 0x83f, 0x840, 0x8ff};
    for (unsigned i = 0; i < array_count(no_read); i++)
        assert_int_equal(lapic_msr_read(apic(3), no_read[i], &value), -EINVAL);
    static const uint16_t no_write[] = {0x800, 0x802, 0x803, 0x809, 0x80a, 0x80c, 0x80d, 0x80e,
                                        0x810, 0x818, 0x820, 0x82f, 0x831, 0x839, 0x840, 0x8ff};
    for (unsigned i = 0; i < array_count(no_write); i++)
        assert_int_equal(wrmsr(3, no_write[i], 0), -EINVAL);
    assert_int_equal(lapic_msr_read(apic(3), 0x900, &value), -EINVAL);
    /* Reserved bits. */
    assert_int_equal(wrmsr(3, 0x808, 0x100), -EINVAL);
    assert_int_equal(wrmsr(3, 0x808, 1ull << 32), -EINVAL);
    assert_int_equal(wrmsr(3, 0x80b, 1), -EINVAL);
    assert_int_equal(wrmsr(3, 0x828, 1), -EINVAL);
    assert_int_equal(wrmsr(3, 0x828, 0), 0);
    assert_int_equal(wrmsr(3, 0x80f, 0x400), -EINVAL);
    assert_int_equal(wrmsr(3, 0x830, 0x2000 | 0x40), -EINVAL);
    assert_int_equal(wrmsr(3, 0x830, 0x100040), -EINVAL);
    assert_int_equal(wrmsr(3, 0x832, 0x100020), -EINVAL);
    assert_int_equal(wrmsr(3, 0x832, 0x120), -EINVAL); /* the timer has no delivery mode */
    assert_int_equal(wrmsr(3, 0x835, 0x1a7f0), 0);
    assert_int_equal(msr(3, 0x835), 0x1a7f0);
    assert_int_equal(wrmsr(3, 0x838, 1ull << 32), -EINVAL);
    assert_int_equal(wrmsr(3, 0x83e, 4), -EINVAL);
    assert_int_equal(wrmsr(3, 0x83e, 0xb), 0);
    assert_int_equal(wrmsr(3, 0x83f, 0x1000), -EINVAL);
    for (uint32_t number = 0x800; number < 0x900; number++) {
        lapic_msr_read(apic(3), number, &value);
        wrmsr(3, number, 0xffffffff);
        wrmsr(3, number, ~0ull);
    }
}

/* ---- priorities */

static void self_ipi(unsigned index, uint8_t vector) {
    assert_int_equal(wrmsr(index, 0x83f, vector), 0);
}

static void test_priorities(void **state) {
    (void)state;
    enable_all(true);
    self_ipi(0, 0x45);
    assert_true(lapic_has_work(apic(0)));
    assert_int_equal(msr(0, 0x820 + 2), 1u << 5);
    assert_int_equal(take_interrupt(0), 0x45);
    assert_int_equal(msr(0, 0x820 + 2), 0);
    assert_int_equal(msr(0, 0x810 + 2), 1u << 5);
    assert_int_equal(msr(0, 0x80a), 0x40);
    assert_false(lapic_has_work(apic(0)));

    self_ipi(0, 0x4f); /* of the same class: waits */
    assert_int_equal(take_interrupt(0), -1);
    assert_false(lapic_has_work(apic(0)));
    self_ipi(0, 0x50); /* above */
    assert_true(lapic_has_work(apic(0)));
    assert_int_equal(take_interrupt(0), 0x50);
    assert_int_equal(wrmsr(0, 0x80b, 0), 0);
    assert_int_equal(take_requests(0) & X86_REQUEST_EVENT, 0); /* 0x45 still holds 0x4f back */
    assert_int_equal(msr(0, 0x80a), 0x40);
    lapic_eoi(apic(0));
    assert_int_equal(take_interrupt(0), 0x4f);
    lapic_eoi(apic(0));
    lapic_eoi(apic(0)); /* one too many does nothing */
    assert_int_equal(msr(0, 0x80a), 0);

    /* Word borders, highest first. */
    static const uint8_t vectors[] = {0x10, 0x1f, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    assert_int_equal(wrmsr(0, 0x808, 0xff), 0);
    for (unsigned i = 0; i < array_count(vectors); i++)
        self_ipi(0, vectors[i]);
    take_requests(0);
    assert_int_equal(lapic_pending(apic(0)), -1); /* the task priority holds all back */
    assert_int_equal(wrmsr(0, 0x808, 0), 0);
    for (unsigned i = array_count(vectors); i-- > 0;) {
        assert_int_equal(take_interrupt(0), vectors[i]);
        lapic_eoi(apic(0));
    }
    assert_int_equal(take_interrupt(0), -1);
}

static void test_task_priority(void **state) {
    (void)state;
    enable_all(true);
    lapic_set_cr8(apic(0), 0x5);
    assert_int_equal(msr(0, 0x808), 0x50);
    assert_int_equal(lapic_cr8(apic(0)), 5);
    self_ipi(0, 0x5f);
    assert_int_equal(take_interrupt(0), -1);
    assert_int_equal(wrmsr(0, 0x808, 0x4f), 0);
    assert_int_equal(msr(0, 0x80a), 0x4f);
    assert_int_equal(take_interrupt(0), 0x5f);
    assert_int_equal(msr(0, 0x80a), 0x50);
    assert_int_equal(wrmsr(0, 0x808, 0x57), 0); /* of the same class as the one in service: TPR is PPR */
    assert_int_equal(msr(0, 0x80a), 0x57);
    lapic_set_cr8(apic(0), 0xff);
    assert_int_equal(msr(0, 0x808), 0xf0);
}

static void test_one_request_per_bit(void **state) {
    (void)state;
    enable_all(true);
    machine.requests = 0;
    self_ipi(1, 0x60);
    self_ipi(1, 0x60);
    assert_int_equal(machine.requests, 1);
    assert_int_equal(take_interrupt(1), 0x60);
    self_ipi(1, 0x60); /* one more may be pending while one is in service */
    assert_int_equal(machine.requests, 2);
    assert_int_equal(take_interrupt(1), -1);
    lapic_eoi(apic(1));
    assert_int_equal(take_interrupt(1), 0x60);
}

static void test_software_enable(void **state) {
    (void)state;
    xwrite(0, 0x320, 0x20); /* stays masked while the APIC is off */
    assert_int_equal(xread(0, 0x320), 0x10020);
    xwrite(0, 0xf0, 0x1ff);
    xwrite(0, 0x320, 0x20);
    xwrite(0, 0x350, 0x700);
    assert_int_equal(xread(0, 0x320), 0x20);
    assert_true(take_requests(0) & X86_REQUEST_EVENT); /* the PIC may have waited */
    assert_true(lapic_accepts_pic(apic(0)));
    xwrite(0, 0x300, 0x40040 | 0x4000); /* to self */
    take_requests(0);
    xwrite(0, 0xf0, 0xff);
    assert_int_equal(xread(0, 0x320), 0x10020);
    assert_int_equal(xread(0, 0x350), 0x10700);
    assert_false(lapic_accepts_pic(apic(0)));
    assert_int_equal(lapic_pending(apic(0)), -1); /* held */
    assert_false(lapic_has_work(apic(0)));
    struct lapic_message message = {.destination = 0, .vector = 0x41, .delivery = LAPIC_FIXED};
    assert_int_equal(lapic_deliver(&machine.vm.core, NULL, 0, &message), 0);
    message.delivery = LAPIC_NMI;
    assert_int_equal(lapic_deliver(&machine.vm.core, NULL, 0, &message), 1);
    assert_true(take_requests(0) & X86_REQUEST_NMI);
    xwrite(0, 0xf0, 0x1ff);
    assert_int_equal(take_interrupt(0), 0x40);
}

static void test_init_reset(void **state) {
    (void)state;
    enable_all(true);
    self_ipi(2, 0x70);
    take_interrupt(2);
    self_ipi(2, 0x80);
    wrmsr(2, 0x808, 0x20);
    wrmsr(2, 0x832, 0x30);
    wrmsr(2, 0x838, 1000);
    lapic_init_reset(apic(2));
    assert_int_equal(msr(2, 0x1b), 0xfee00c00); /* the mode stays, and the ID */
    assert_int_equal(msr(2, 0x802), 2);
    assert_int_equal(msr(2, 0x808), 0);
    assert_int_equal(msr(2, 0x80f), 0xff);
    assert_int_equal(msr(2, 0x832), 0x10000);
    assert_int_equal(msr(2, 0x838), 0);
    assert_int_equal(msr(2, 0x810 + 3), 0);
    assert_int_equal(msr(2, 0x820 + 4), 0);
    assert_true(list_empty(&machine.timers));
    wrmsr(2, 0x80f, 0x1ff);
    assert_int_equal(lapic_pending(apic(2)), -1);
}

static void test_virtual_wire(void **state) {
    (void)state;
    lapic_virtual_wire(apic(0));
    assert_int_equal(xread(0, 0xf0), 0x1ff);
    assert_int_equal(xread(0, 0x350), 0x700);
    assert_int_equal(xread(0, 0x360), 0x400);
    assert_true(lapic_accepts_pic(apic(0)));
}

/* ---- messages */

/* Which vCPUs have `vector` pending now, as a bitmap; takes them. */
static unsigned who_has(uint8_t vector) {
    unsigned map = 0;
    for (unsigned i = 0; i < VCPUS; i++)
        if (take_interrupt(i) == vector) {
            map |= 1u << i;
            lapic_eoi(apic(i));
        }
    return map;
}

static unsigned xsend(unsigned from, uint8_t destination, uint32_t icr) {
    xwrite(from, 0x310, (uint32_t)destination << 24);
    xwrite(from, 0x300, icr);
    return who_has((uint8_t)icr);
}

static void test_xapic_destinations(void **state) {
    (void)state;
    enable_all(false);
    assert_int_equal(xsend(0, 2, 0x4040), 1u << 2);
    assert_int_equal(xread(0, 0x300), 0x4040);
    assert_int_equal(xread(0, 0x310), 0x02000000);
    assert_int_equal(xsend(0, 9, 0x4040), 0);
    assert_int_equal(xsend(1, 0xff, 0x4040), 0xf);
    assert_int_equal(xsend(1, 0, 0x44040), 1u << 1); /* self */
    assert_int_equal(xsend(1, 0, 0x84040), 0xf);     /* all */
    assert_int_equal(xsend(1, 0, 0xc4040), 0xd);     /* all but self */

    for (unsigned i = 0; i < VCPUS; i++) {
        xwrite(i, 0xd0, 0x01000000u << i);
        assert_int_equal(xread(i, 0xd0), 0x01000000u << i);
    }
    assert_int_equal(xsend(0, 0x0a, 0x4840), 0xa); /* flat */
    assert_int_equal(xsend(0, 0xff, 0x4840), 0xf);
    assert_int_equal(xsend(0, 0x10, 0x4840), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        xwrite(i, 0xe0, 0x00000000);
        assert_int_equal(xread(i, 0xe0), 0x0fffffff);
        xwrite(i, 0xd0, ((i / 2) << 4 | 1u << (i % 2)) << 24); /* two clusters of two */
    }
    assert_int_equal(xsend(0, 0x03, 0x4840), 0x3);
    assert_int_equal(xsend(0, 0x12, 0x4840), 0x8);
    assert_int_equal(xsend(0, 0x13, 0x4840), 0xc);
    assert_int_equal(xsend(0, 0x23, 0x4840), 0);
    assert_int_equal(xsend(0, 0xff, 0x4840), 0xf);
}

static unsigned xsend2(unsigned from, uint32_t destination, uint32_t icr) {
    assert_int_equal(wrmsr(from, 0x830, (uint64_t)destination << 32 | icr), 0);
    return who_has((uint8_t)icr);
}

static void test_x2apic_destinations(void **state) {
    (void)state;
    enable_all(true);
    assert_int_equal(xsend2(0, 3, 0x40), 1u << 3);
    assert_int_equal(msr(0, 0x830), 0x300000040ull);
    assert_int_equal(xsend2(0, 0xff, 0x40), 0); /* no broadcast here */
    assert_int_equal(xsend2(0, 0xffffffff, 0x40), 0xf);
    assert_int_equal(xsend2(0, 0x00000006, 0x840), 0x6);
    assert_int_equal(xsend2(0, 0x00010006, 0x840), 0); /* another cluster */
    assert_int_equal(xsend2(0, 0xffffffff, 0x840), 0xf);
    assert_int_equal(xsend2(2, 0, 0xc0040), 0xb);
    assert_int_equal(xsend2(2, 0, 0x41040), 1u << 2); /* bit 12 is accepted and gone */
    assert_int_equal(msr(2, 0x830), 0x40040);
    /* A device's 8-bit destination. */
    struct lapic_message message = {.destination = 0xff, .vector = 0x44};
    assert_int_equal(lapic_deliver(&machine.vm.core, NULL, 0, &message), VCPUS);
    assert_int_equal(who_has(0x44), 0xf);
    message = (struct lapic_message){.destination = 5, .logical = true, .vector = 0x44};
    assert_int_equal(lapic_deliver(&machine.vm.core, NULL, 0, &message), 2);
    assert_int_equal(who_has(0x44), 0x5);
    /* One that is switched off hears nothing. */
    assert_int_equal(wrmsr(1, 0x1b, 0xfee00000), 0);
    assert_int_equal(xsend2(0, 0xffffffff, 0x40), 0xd);
}

static void test_lowest_priority(void **state) {
    (void)state;
    enable_all(true);
    /* Equals take turns. */
    unsigned seen = 0;
    for (unsigned i = 0; i < VCPUS; i++) {
        unsigned one = xsend2(0, 0xf, 0x940);
        assert_int_equal(one & (one - 1), 0);
        seen |= one;
    }
    assert_int_equal(seen, 0xf);
    /* The least busy one wins. */
    for (unsigned i = 0; i < VCPUS; i++)
        wrmsr(i, 0x808, i == 2 ? 0x10 : 0x20);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(xsend2(0, 0xf, 0x940), 1u << 2);
    wrmsr(2, 0x80f, 0xff); /* not one that does not listen */
    assert_int_equal(xsend2(0, 0x4, 0x940), 0);
    assert_int_equal(xsend2(0, 0xc, 0x940), 1u << 3);
    assert_int_equal(xsend2(3, 0, 0xc0140) & 1u << 3, 0);
}

static void test_special_messages(void **state) {
    (void)state;
    enable_all(false);
    xwrite(0, 0x310, 1u << 24);
    xwrite(0, 0x300, 0xc500); /* INIT, asserted level */
    assert_int_equal(take_requests(1), X86_REQUEST_INIT);
    xwrite(0, 0x300, 0x8500); /* its de-assert */
    assert_int_equal(take_requests(1), 0);
    xwrite(0, 0x300, 0x4500); /* INIT by edge */
    assert_int_equal(take_requests(1), X86_REQUEST_INIT);
    xwrite(0, 0x300, 0x4699);
    assert_int_equal(take_requests(1), X86_REQUEST_SIPI);
    assert_int_equal(machine.vcpu[1].sipi_vector, 0x99);
    xwrite(0, 0x300, 0x4400);
    assert_int_equal(take_requests(1), X86_REQUEST_NMI);
    xwrite(0, 0x300, 0x4200); /* SMI */
    assert_int_equal(take_requests(1), 0);
    xwrite(0, 0x300, 0x4720); /* ExtINT and reserved modes are not sent */
    xwrite(0, 0x300, 0x4320);
    assert_int_equal(take_requests(1), 0);
    xwrite(0, 0x300, 0x84500); /* nobody resets itself */
    xwrite(0, 0x300, 0x44500);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(take_requests(i), 0);
    xwrite(0, 0x300, 0xc4500);
    assert_int_equal(take_requests(0), 0);
    for (unsigned i = 1; i < VCPUS; i++)
        assert_int_equal(take_requests(i), X86_REQUEST_INIT);
}

static void test_errors(void **state) {
    (void)state;
    enable_all(true);
    wrmsr(0, 0x837, 0xfe);
    wrmsr(0, 0x830, 0x10000000full); /* illegal vector sent */
    assert_int_equal(msr(0, 0x828), 0);
    assert_int_equal(take_interrupt(0), 0xfe);
    lapic_eoi(apic(0));
    wrmsr(0, 0x830, 0x100000005ull); /* the same again raises nothing */
    assert_int_equal(take_interrupt(0), -1);
    wrmsr(0, 0x828, 0);
    assert_int_equal(msr(0, 0x828), 0x20);
    struct lapic_message message = {.destination = 0, .vector = 3};
    assert_int_equal(lapic_deliver(&machine.vm.core, NULL, 0, &message), 0);
    assert_int_equal(take_interrupt(0), 0xfe);
    lapic_eoi(apic(0));
    assert_int_equal(msr(0, 0x828), 0x20);
    wrmsr(0, 0x828, 0);
    assert_int_equal(msr(0, 0x828), 0x40);
    self_ipi(0, 1);
    assert_int_equal(take_interrupt(0), 0xfe);
    /* An error whose own vector is illegal. */
    wrmsr(0, 0x837, 0x3);
    wrmsr(0, 0x828, 0);
    wrmsr(0, 0x830, 0x100000005ull);
    wrmsr(0, 0x828, 0);
    assert_int_equal(msr(0, 0x828), 0x60);
}

/* ---- LINT0 */

static void test_pic_output(void **state) {
    (void)state;
    enable_all(false);
    lapic_pic_output(&machine.vm.core);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(take_requests(i), 0); /* all masked */
    xwrite(0, 0x350, 0x700);
    xwrite(1, 0x350, 0x400);
    xwrite(2, 0x350, 0x66);
    xwrite(3, 0x350, 0x10700);
    for (unsigned i = 0; i < VCPUS; i++)
        take_requests(i);
    lapic_pic_output(&machine.vm.core);
    assert_int_equal(take_requests(0), X86_REQUEST_EVENT);
    assert_int_equal(lapic_pending(apic(0)), -1);
    assert_int_equal(take_requests(1), X86_REQUEST_NMI);
    assert_int_equal(take_interrupt(2), 0x66);
    assert_int_equal(take_requests(3), 0);
}

#define TIMER_VECTOR 0xec

/* ---- saved state */

static void test_state(void **state) {
    (void)state;
    uint8_t record[2048];
    enable_all(true);
    for (unsigned i = 0; i < VCPUS; i++)
        round_trip(&lapic_part, i, record, sizeof(record));
    enable_all(false); /* (they are in x2APIC mode: the page does not matter) */

    self_ipi(1, 0x45);
    take_interrupt(1);
    self_ipi(1, 0xa5);
    take_interrupt(1);
    self_ipi(1, 0x33);
    wrmsr(1, 0x808, 0x30);
    wrmsr(1, 0x83e, 0xb);
    wrmsr(1, 0x835, 0x8700);
    wrmsr(1, 0x832, 0x20000 | TIMER_VECTOR);
    wrmsr(1, 0x838, 100000);
    wrmsr(1, 0x830, 0x200000040ull);
    wrmsr(1, 0x83f, 2);
    test_time += 30000;
    size_t used = round_trip(&lapic_part, 1, record, sizeof(record));
    assert_int_equal(next_deadline(), test_time + 70000);
    assert_true(take_requests(1) & X86_REQUEST_EVENT);
    assert_int_equal(msr(1, 0x80a), 0xa0);
    assert_int_equal(lapic_pending(apic(1)), -1);
    lapic_eoi(apic(1));
    lapic_eoi(apic(1));
    assert_int_equal(msr(1, 0x80a), 0x30);
    wrmsr(1, 0x808, 0);
    assert_int_equal(take_interrupt(1), 0x33);
    advance_to(test_time + 70000);
    assert_int_equal(take_interrupt(1), TIMER_VECTOR);
    lapic_part.reset(&machine.vm.core, 1);

    /* Offsets as lapic_save() writes. */
    enum { BASE = 0, IRR = 8, ISR = 40, TMR = 72, LEFT = 104, DEADLINE = 112, SVR = 120, LDR = 124 };
    enum { DFR = 128, ESR = 132, ICR = 140, LVT = 148, INITIAL = 172, DIVIDE = 176 };
    refuse_short(&lapic_part, 1, record, used);
    refuse_change(&lapic_part, 1, record, used, BASE, 8, 0xfee00d00); /* a second bootstrap processor */
    refuse_change(&lapic_part, 1, record, used, BASE, 8, 0xfee00400);
    refuse_change(&lapic_part, 1, record, used, BASE, 8, 0xfee00c01);
    refuse_change(&lapic_part, 1, record, used, IRR, 8, 0x8000);
    refuse_change(&lapic_part, 1, record, used, ISR, 8, 0x8000);
    refuse_change(&lapic_part, 1, record, used, ISR, 8, 0x30000); /* two of one class */
    refuse_change(&lapic_part, 1, record, used, TMR, 8, 1);
    refuse_change(&lapic_part, 1, record, used, LEFT, 8, 0);
    refuse_change(&lapic_part, 1, record, used, LEFT, 8, 100001);
    refuse_change(&lapic_part, 1, record, used, DEADLINE, 8, 5);
    refuse_change(&lapic_part, 1, record, used, SVR, 4, 0x21ff);
    refuse_change(&lapic_part, 1, record, used, SVR, 4, 0xff); /* entries are open */
    refuse_change(&lapic_part, 1, record, used, LDR, 4, 1);
    refuse_change(&lapic_part, 1, record, used, DFR, 4, 0xf0000000);
    refuse_change(&lapic_part, 1, record, used, ESR, 4, 1);
    refuse_change(&lapic_part, 1, record, used, ICR, 4, 0x1000);
    refuse_change(&lapic_part, 1, record, used, LVT, 4, 0x100);
    refuse_change(&lapic_part, 1, record, used, LVT, 4, 0x60000); /* the timer runs in no such mode */
    refuse_change(&lapic_part, 1, record, used, INITIAL, 4, 0);
    refuse_change(&lapic_part, 1, record, used, DIVIDE, 4, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_open, machine_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_reset_values),
        TEST(test_mode_transitions),
        TEST(test_mmio_access_rules),
        TEST(test_x2apic_registers),
        TEST(test_priorities),
        TEST(test_task_priority),
        TEST(test_software_enable),
        TEST(test_one_request_per_bit),
        TEST(test_init_reset),
        TEST(test_virtual_wire),
        TEST(test_xapic_destinations),
        TEST(test_x2apic_destinations),
        TEST(test_lowest_priority),
        TEST(test_special_messages),
        TEST(test_errors),
        TEST(test_pic_output),
        TEST(test_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
