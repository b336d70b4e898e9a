// SPDX-License-Identifier: Apache-2.0
// Unit tests of the paravirtual interface: CPUID, kvmclock, steal time, PV EOI, hypercalls.
// unit-sources: arch/x86/guest/lapic.c arch/x86/guest/lapic_registers.c arch/x86/guest/lapic_message.c arch/x86/guest/lapic_timer.c arch/x86/guest/lapic_page.c arch/x86/guest/lapic_state.c arch/x86/guest/ioapic.c arch/x86/guest/pic.c arch/x86/guest/pv.c arch/x86/guest/pv_clock.c core/bus.c lib/state.c
#include "tests/unit/irq_fixture.h"

#define MSR_WALL_CLOCK  0x4b564d00u
#define MSR_SYSTEM_TIME 0x4b564d01u
#define MSR_STEAL_TIME  0x4b564d03u
#define MSR_EOI         0x4b564d04u

#define CLOCK_GPA       (RAM_BASE + 0x100)
#define WALL_GPA        (RAM_BASE + 0x200)
#define STEAL_GPA       (RAM_BASE + 0x240)
#define EOI_GPA         (RAM_BASE + 0x1ffc)

static int pv_wr(unsigned index, uint32_t number, uint64_t value) {
    return pv_msr_write(&machine.vcpu[index], number, value);
}

static uint64_t pv_rd(unsigned index, uint32_t number) {
    uint64_t value = ~0ull;
    assert_int_equal(pv_msr_read(&machine.vcpu[index], number, &value), 0);
    return value;
}

static uint64_t guest_tsc(unsigned index) {
    return test_time + machine.vcpu[index].tsc_offset;
}

/* Reads a clock page as a guest does; *flags gets its flags. */
static uint64_t guest_clock(unsigned index, uint64_t gpa, uint8_t *flags) {
    uint32_t version = (uint32_t)guest_word(gpa, 4);
    assert_int_equal(version & 1, 0);
    assert_int_not_equal(version, 0);
    uint64_t delta = guest_tsc(index) - guest_word(gpa + 8, 8);
    int8_t shift = (int8_t)guest_word(gpa + 28, 1);
    uint32_t multiplier = (uint32_t)guest_word(gpa + 24, 4);
    delta = shift < 0 ? delta >> -shift : delta << shift;
    *flags = (uint8_t)guest_word(gpa + 29, 1);
    return guest_word(gpa + 16, 8) + (uint64_t)((unsigned __int128)delta * multiplier >> 32);
}

static void test_cpuid(void **state) {
    (void)state;
    uint32_t out[4];
    char name[13] = {0};
    pv_cpuid(&machine.vcpu[0], 0x40000000, 0, out);
    memcpy(name, out + 1, 12);
    assert_string_equal(name, "KVMKVMKVM");
    assert_int_equal(out[0], 0x40000010);
    pv_cpuid(&machine.vcpu[0], 0x40000001, 0, out);
    assert_int_equal(out[0], 0x010008eb);
    assert_int_equal(out[1] | out[2] | out[3], 0);
    machine.state[0].tsc_frequency = 2600000000;
    pv_cpuid(&machine.vcpu[0], 0x40000010, 0, out);
    assert_int_equal(out[0], 2600000);
    assert_int_equal(out[1], 1000000);
    for (uint32_t leaf = 0x40000002; leaf < 0x40000100; leaf++) {
        pv_cpuid(&machine.vcpu[0], leaf, 7, out);
        if (leaf != 0x40000010)
            assert_int_equal(out[0] | out[1] | out[2] | out[3], 0);
    }
}

static void test_msr_validation(void **state) {
    (void)state;
    uint64_t value;
    assert_int_equal(pv_msr_read(&machine.vcpu[0], 0x4b564d02, &value), -ENOENT);
    assert_int_equal(pv_wr(0, 0x4b564d05, 0), -ENOENT);
    assert_int_equal(pv_wr(0, 0x10, 0), -ENOENT);
    static const struct {
        uint32_t number;
        uint64_t value;
    } bad[] = {
        {MSR_SYSTEM_TIME, CLOCK_GPA | 3}, /* not aligned */
        {MSR_SYSTEM_TIME, 0x8000001},     /* no RAM */
        {MSR_SYSTEM_TIME, ~0ull},
        {MSR_SYSTEM_TIME, RAM_BASE | 0xff1},          /* crosses a page */
        {MSR_SYSTEM_TIME, (RAM_BASE + RAM_SIZE) | 1}, /* ROM */
        {MSR_WALL_CLOCK, WALL_GPA | 1},
        {MSR_WALL_CLOCK, 0x8000000},
        {MSR_WALL_CLOCK, RAM_BASE + 0xff8},
        {MSR_STEAL_TIME, STEAL_GPA | 3},        /* reserved bit */
        {MSR_STEAL_TIME, (STEAL_GPA + 32) | 1}, /* 64-byte alignment */
        {MSR_STEAL_TIME, 2},                    /* reserved bit while off */
        {MSR_STEAL_TIME, 0x8000001},
        {MSR_EOI, EOI_GPA | 3},
        {MSR_EOI, 2},
        {MSR_EOI, 0x8000001},
        {MSR_EOI, (RAM_BASE + RAM_SIZE) | 1},
    };
    for (unsigned i = 0; i < array_count(bad); i++) {
        assert_int_equal(pv_wr(0, bad[i].number, bad[i].value), -EINVAL);
        assert_int_equal(pv_rd(0, bad[i].number), 0);
    }
    for (unsigned i = 0; i < RAM_SIZE; i++)
        assert_int_equal(guest_ram[i], 0);
}

static void test_clock(void **state) {
    (void)state;
    static const uint64_t frequencies[] = {1000000000, 999999999,  2600000001, 3700000000, 5999999999,
                                           123456789,  1999999999, 2000000000, 8000000000, 12345678901};
    uint8_t flags;
    for (unsigned f = 0; f < array_count(frequencies); f++) {
        machine.state[0].tsc_frequency = frequencies[f];
        assert_int_equal(pv_wr(0, MSR_SYSTEM_TIME, CLOCK_GPA | 1), 0);
        assert_int_equal(pv_rd(0, MSR_SYSTEM_TIME), CLOCK_GPA | 1);
        assert_int_equal(pv_rd(0, 0x12), CLOCK_GPA | 1);
        assert_true(guest_word(CLOCK_GPA + 24, 4) >= 1u << 31); /* as precise as it can be */
        /* An hour of TSC is an hour, to a microsecond, and the first moment is 0. */
        machine.vcpu[0].tsc_offset = 3600 * frequencies[f] - test_time;
        uint64_t clock = guest_clock(0, CLOCK_GPA, &flags);
        assert_in_range(clock, 3600000000000ull - 2000, 3600000000000ull);
        assert_int_equal(flags, 1);
        machine.vcpu[0].tsc_offset = 0 - test_time;
        assert_int_equal(guest_clock(0, CLOCK_GPA, &flags), 0);
    }
    /* Off: the page is left alone. */
    assert_int_equal(pv_wr(0, MSR_SYSTEM_TIME, CLOCK_GPA), 0);
    memset(guest_ram, 0xaa, RAM_SIZE);
    pv_refresh(&machine.vcpu[0], true);
    assert_int_equal(guest_word(CLOCK_GPA, 8), 0xaaaaaaaaaaaaaaaaull);
    /* The old number does the same. */
    assert_int_equal(pv_wr(0, 0x12, CLOCK_GPA | 1), 0);
    assert_int_equal(guest_word(CLOCK_GPA, 4) & 1, 0);
}

static void test_clock_version(void **state) {
    (void)state;
    pv_wr(0, MSR_SYSTEM_TIME, CLOCK_GPA | 1);
    uint32_t before = (uint32_t)guest_word(CLOCK_GPA, 4);
    pv_refresh(&machine.vcpu[0], true);
    assert_int_equal(guest_word(CLOCK_GPA, 4), before + 2);
    assert_int_equal(guest_word(CLOCK_GPA + 29, 1), 3); /* stopped, stable */
    pv_refresh(&machine.vcpu[0], false);
    assert_int_equal(guest_word(CLOCK_GPA + 29, 1), 1);
}

static void test_clock_after_tsc_write(void **state) {
    (void)state;
    uint8_t flags;
    for (unsigned i = 0; i < VCPUS; i++)
        pv_wr(i, MSR_SYSTEM_TIME, (CLOCK_GPA + i * 0x400) | 1);
    test_time += 123456;
    uint64_t before = guest_clock(0, CLOCK_GPA, &flags);
    for (unsigned i = 0; i < VCPUS; i++)
        assert_int_equal(guest_clock(i, CLOCK_GPA + i * 0x400, &flags), before);
    /* One vCPU sets its TSC back: its own clock goes on, and none is called stable any more. */
    machine.vcpu[2].tsc_offset -= 4000;
    pv_tsc_moved(&machine.vcpu[2], (uint64_t)-4000);
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(guest_clock(i, CLOCK_GPA + i * 0x400, &flags), before);
        assert_int_equal(flags, 0);
    }
    machine.vcpu[2].tsc_offset += 4000;
    pv_tsc_moved(&machine.vcpu[2], 4000);
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(guest_clock(i, CLOCK_GPA + i * 0x400, &flags), before);
        assert_int_equal(flags, 1);
    }
    /* An armed deadline moves along. */
    enable_all(true);
    wrmsr(1, 0x832, 0x400ec);
    wrmsr(1, 0x6e0, guest_tsc(1) + 1000);
    machine.vcpu[1].tsc_offset -= 300;
    pv_tsc_moved(&machine.vcpu[1], (uint64_t)-300);
    assert_int_equal(next_deadline(), test_time + 1301);
}

static void test_wall_clock(void **state) {
    (void)state;
    uint8_t flags;
    machine.wall = 1700000000123456789ull;
    pv_wr(0, MSR_SYSTEM_TIME, CLOCK_GPA | 1);
    assert_int_equal(pv_wr(0, MSR_WALL_CLOCK, WALL_GPA), 0);
    assert_int_equal(pv_rd(0, MSR_WALL_CLOCK), WALL_GPA);
    assert_int_equal(guest_word(WALL_GPA, 4), 2);
    uint64_t start = guest_word(WALL_GPA + 4, 4) * 1000000000 + guest_word(WALL_GPA + 8, 4);
    assert_int_equal(start + guest_clock(0, CLOCK_GPA, &flags), machine.wall);
    /* A host without a clock. */
    machine.wall = 0;
    assert_int_equal(pv_wr(0, 0x11, WALL_GPA), 0);
    assert_int_equal(guest_word(WALL_GPA + 4, 8), 0);
    assert_int_equal(pv_wr(0, MSR_WALL_CLOCK, 0), 0);
    assert_int_equal(pv_rd(0, 0x11), 0);
}

static void test_steal_time(void **state) {
    (void)state;
    pv_preempted(&machine.vcpu[0]); /* not enabled: nothing happens */
    test_time += 1000;
    pv_scheduled(&machine.vcpu[0]);
    assert_int_equal(pv_wr(0, MSR_STEAL_TIME, STEAL_GPA | 1), 0);
    assert_int_equal(guest_word(STEAL_GPA, 8), 0);
    assert_int_equal(guest_word(STEAL_GPA + 8, 4), 2);
    pv_preempted(&machine.vcpu[0]);
    assert_int_equal(guest_word(STEAL_GPA + 16, 1), 1);
    test_time += 5000;
    pv_preempted(&machine.vcpu[0]); /* told twice */
    test_time += 5000;
    pv_scheduled(&machine.vcpu[0]);
    pv_scheduled(&machine.vcpu[0]);
    assert_int_equal(guest_word(STEAL_GPA, 8), 10000);
    assert_int_equal(guest_word(STEAL_GPA + 8, 4) & 1, 0);
    assert_int_equal(guest_word(STEAL_GPA + 16, 1), 0);
    /* Switched off while preempted. */
    pv_preempted(&machine.vcpu[0]);
    pv_init_reset(&machine.vcpu[0]);
    memset(guest_ram, 0x55, RAM_SIZE);
    test_time += 5000;
    pv_scheduled(&machine.vcpu[0]);
    assert_int_equal(guest_word(STEAL_GPA, 8), 0x5555555555555555ull);
}

/* ---- PV EOI */

static bool offered(void) {
    return guest_word(EOI_GPA, 1) & 1;
}

/* The run loop injects what is pending, and the offer is made. */
static int inject(unsigned index) {
    int vector = take_interrupt(index);
    if (vector >= 0)
        pv_eoi_offer(&machine.vcpu[index], (uint8_t)vector);
    return vector;
}

static void test_eoi(void **state) {
    (void)state;
    enable_all(true);
    wrmsr(0, 0x83f, 0x40);
    assert_int_equal(inject(0), 0x40); /* not enabled */
    assert_false(offered());
    lapic_eoi(apic(0));

    assert_int_equal(pv_wr(0, MSR_EOI, EOI_GPA | 1), 0);
    guest_ram[EOI_GPA - RAM_BASE] = 0xf0; /* the other bits are the guest's */
    wrmsr(0, 0x83f, 0x41);
    assert_int_equal(inject(0), 0x41);
    assert_int_equal(guest_word(EOI_GPA, 1), 0xf1);
    guest_ram[EOI_GPA - RAM_BASE] = 0xf0; /* the guest ends it, without an exit */
    wrmsr(0, 0x83f, 0x42);                /* (settled by this or by what follows) */
    assert_int_equal(inject(0), 0x42);
    assert_int_equal(msr(0, 0x810 + 2), 1u << 2); /* 0x41 is over */
    assert_false(offered());                      /* the look has withdrawn the offer */
    wrmsr(0, 0x80b, 0);
    assert_int_equal(msr(0, 0x810 + 2), 0);
    assert_int_equal(machine.dirtied, 0);
}

static void test_eoi_withdrawn(void **state) {
    (void)state;
    enable_all(true);
    pv_wr(0, MSR_EOI, EOI_GPA | 1);
    wrmsr(0, 0x83f, 0x41);
    inject(0);
    assert_true(offered());
    /* While the handler runs something of the same class comes: the guest must exit at its EOI. */
    struct lapic_message message = {.destination = 0, .vector = 0x42};
    lapic_deliver(&machine.vm.core, NULL, 0, &message);
    assert_int_equal(inject(0), -1);
    assert_false(offered());
    wrmsr(0, 0x80b, 0);
    assert_int_equal(inject(0), 0x42);
    assert_true(offered());
    /* Something above: nested, and no offer for either. */
    message.vector = 0x90;
    lapic_deliver(&machine.vm.core, NULL, 0, &message);
    assert_int_equal(inject(0), 0x90);
    assert_false(offered());
    wrmsr(0, 0x80b, 0);
    assert_int_equal(msr(0, 0x810 + 2), 1u << 2);
    wrmsr(0, 0x80b, 0);
    assert_int_equal(msr(0, 0x810 + 2), 0);
}

static void test_eoi_not_offered(void **state) {
    (void)state;
    enable_all(true);
    pv_wr(0, MSR_EOI, EOI_GPA | 1);
    /* A level needs its broadcast. */
    struct lapic_message message = {.destination = 0, .vector = 0x50, .level = true};
    lapic_deliver(&machine.vm.core, NULL, 0, &message);
    assert_int_equal(inject(0), 0x50);
    assert_false(offered());
    lapic_eoi(apic(0));
    /* Another one waits behind it. */
    wrmsr(0, 0x83f, 0x41);
    wrmsr(0, 0x83f, 0x61);
    assert_int_equal(inject(0), 0x61);
    assert_false(offered());
}

static void test_eoi_before_halt(void **state) {
    (void)state;
    enable_all(true);
    pv_wr(0, MSR_EOI, EOI_GPA | 1);
    wrmsr(0, 0x83f, 0x41);
    inject(0);
    guest_ram[EOI_GPA - RAM_BASE] = 0; /* ended; then HLT */
    pv_eoi_sync(&machine.vcpu[0].core);
    struct lapic_message message = {.destination = 0, .vector = 0x41};
    lapic_deliver(&machine.vm.core, NULL, 0, &message);
    assert_true(lapic_has_work(apic(0)));
    /* Nothing open: nothing touched. */
    guest_ram[EOI_GPA - RAM_BASE] = 1;
    pv_eoi_sync(&machine.vcpu[0].core);
    assert_true(offered());
}

static void test_eoi_switched_off(void **state) {
    (void)state;
    uint8_t record[2048];
    uint64_t dirty = 0;
    machine.vm.core.memory.dirty = &dirty;
    machine.vm.core.memory.logging = true;
    enable_all(true);
    pv_wr(0, MSR_EOI, EOI_GPA | 1);
    wrmsr(0, 0x83f, 0x41);
    inject(0);
    assert_int_equal(machine.dirtied, 1); /* the guest's memory was written */
    pv_wr(0, MSR_EOI, 0);                 /* settles first */
    assert_false(offered());
    assert_int_equal(msr(0, 0x810 + 2), 2);
    lapic_eoi(apic(0));
    /* Saving settles too: the record knows no offers. */
    pv_wr(0, MSR_EOI, EOI_GPA | 1);
    wrmsr(0, 0x83f, 0x41);
    inject(0);
    guest_ram[EOI_GPA - RAM_BASE] = 0;
    size_t used = save_part(&lapic_part, 0, record, sizeof(record));
    lapic_part.reset(&machine.vm.core, 0);
    assert_int_equal(load_part(&lapic_part, 0, record, used), 0);
    assert_int_equal(msr(0, 0x810 + 2), 0);
    /* INIT: the word is not touched any more. */
    wrmsr(0, 0x83f, 0x43);
    assert_int_equal(inject(0), 0x43);
    lapic_init_reset(apic(0));
    assert_int_equal(pv_rd(0, MSR_EOI), 0);
    assert_false(offered());
}

/* ---- hypercalls */

static uint64_t call(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3) {
    return pv_hypercall(&machine.vcpu[0], number, a0, a1, a2, a3);
}

static void test_hypercalls(void **state) {
    (void)state;
    assert_int_equal(call(1, 0, 0, 0, 0), 0);
    static const uint64_t unknown[] = {0, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 1ull << 32 | 5, ~0ull};
    for (unsigned i = 0; i < array_count(unknown); i++)
        assert_int_equal(call(unknown[i], 0, 0, 0, 0), (uint64_t)-1000);
    machine.state[0].system.cpl = 3;
    assert_int_equal(call(1, 0, 0, 0, 0), (uint64_t)-1);
    assert_int_equal(call(99, 0, 0, 0, 0), (uint64_t)-1);
}

static void test_kick(void **state) {
    (void)state;
    assert_false(pv_take_kick(&machine.vcpu[2]));
    assert_int_equal(call(5, 0, 2, 0, 0), 0);
    assert_int_equal(call(5, 0, 2, 0, 0), 0);
    assert_int_equal(machine.kicks, 1);
    assert_true(pv_kicked(&machine.vcpu[2]));
    assert_true(pv_take_kick(&machine.vcpu[2]));
    assert_false(pv_take_kick(&machine.vcpu[2]));
    assert_false(pv_kicked(&machine.vcpu[2]));
    assert_int_equal(call(5, 0, VCPUS, 0, 0), (uint64_t)-22);
    assert_int_equal(call(5, 0, ~0ull, 0, 0), (uint64_t)-22);
}

static unsigned who_has(uint8_t vector) {
    unsigned map = 0;
    for (unsigned i = 0; i < VCPUS; i++)
        if (take_interrupt(i) == vector) {
            map |= 1u << i;
            lapic_eoi(apic(i));
        }
    return map;
}

static void test_send_ipi(void **state) {
    (void)state;
    enable_all(true);
    struct x86_system *system = &machine.state[0].system;
    system->efer = 0x400;
    system->segment[X86_CS].attributes = X86_SEG_L;
    assert_int_equal(call(10, 0xa, 0, 0, 0x40), 2);
    assert_int_equal(who_has(0x40), 0xa);
    assert_int_equal(call(10, 0x3, 0, 2, 0x4040), 2); /* from ID 2 on */
    assert_int_equal(who_has(0x40), 0xc);
    assert_int_equal(call(10, ~0ull, ~0ull, 0, 0x40), VCPUS);
    assert_int_equal(who_has(0x40), 0xf);
    assert_int_equal(call(10, ~0ull, ~0ull, 3, 0x40), 1);
    assert_int_equal(who_has(0x40), 0x8);
    assert_int_equal(call(10, ~0ull, ~0ull, ~0ull, 0x40), 0);
    assert_int_equal(call(10, ~0ull, ~0ull, 0xfffffffffffffff0ull, 0x40), 0);
    assert_int_equal(who_has(0x40), 0);
    assert_int_equal(call(10, 0x6, 0, 0, 0x400), 2);
    assert_int_equal(take_requests(1), X86_REQUEST_NMI);
    assert_int_equal(take_requests(2), X86_REQUEST_NMI);
    static const uint64_t bad[] = {0x0f,  0x100040, 0x40040,          0x840, 0x140, 0x500,
                                   0x699, 0x740,    1ull << 32 | 0x40};
    for (unsigned i = 0; i < array_count(bad); i++)
        assert_int_equal(call(10, 0xf, 0, 0, bad[i]), (uint64_t)-22);
    /* 32-bit callers: 32 IDs in each word. */
    system->segment[X86_CS].attributes = X86_SEG_DB;
    assert_int_equal(call(10, 0xffffffff00000001ull, 0xffffffff00000000ull, 1, 0x41), 1);
    assert_int_equal(who_has(0x41), 0x2);
}

static void test_state(void **state) {
    (void)state;
    uint8_t record[512], flags;
    round_trip(&pv_part, 1, record, sizeof(record));
    pv_wr(0, MSR_SYSTEM_TIME, CLOCK_GPA | 1);
    pv_wr(0, MSR_WALL_CLOCK, WALL_GPA);
    pv_wr(0, MSR_STEAL_TIME, STEAL_GPA | 1);
    pv_wr(0, MSR_EOI, EOI_GPA | 1);
    pv_preempted(&machine.vcpu[0]);
    test_time += 777;
    pv_scheduled(&machine.vcpu[0]);
    machine.vcpu[0].tsc_offset += 5000;
    pv_tsc_moved(&machine.vcpu[0], 5000);
    call(5, 0, 0, 0, 0);
    uint64_t before = guest_clock(0, CLOCK_GPA, &flags);
    uint64_t tsc = guest_tsc(0);
    size_t used = round_trip(&pv_part, 0, record, sizeof(record));
    /* On a host whose TSC says something else the guest's clock goes on where it was. */
    test_time += 1234567890;
    machine.vcpu[0].tsc_offset = tsc - test_time;
    uint32_t version = (uint32_t)guest_word(CLOCK_GPA, 4);
    pv_refresh(&machine.vcpu[0], true);
    assert_int_equal(guest_word(CLOCK_GPA, 4), version + 2);
    assert_int_equal(guest_clock(0, CLOCK_GPA, &flags), before);
    assert_int_equal(flags, 2);
    assert_true(pv_take_kick(&machine.vcpu[0]));
    pv_preempted(&machine.vcpu[0]);
    test_time += 3;
    pv_scheduled(&machine.vcpu[0]);
    assert_int_equal(guest_word(STEAL_GPA, 8), 780);
    enable_all(true);
    wrmsr(0, 0x83f, 0x40);
    inject(0);
    assert_true(offered());
    lapic_eoi(apic(0));

    enum { CLOCK = 0, WALL = 8, START = 16, STEAL = 24, EOI = 40, CLOCK_VERSION = 48, STEAL_VERSION = 52 };
    enum { KICKED = 56 };
    refuse_short(&pv_part, 0, record, used);
    refuse_change(&pv_part, 0, record, used, CLOCK, 8, 0x8000001);
    refuse_change(&pv_part, 0, record, used, WALL, 8, WALL_GPA | 2);
    refuse_change(&pv_part, 0, record, used, STEAL, 8, STEAL_GPA | 5);
    refuse_change(&pv_part, 0, record, used, EOI, 8, 0x8000001);
    refuse_change(&pv_part, 0, record, used, CLOCK_VERSION, 4, 3);
    refuse_change(&pv_part, 0, record, used, STEAL_VERSION, 4, 3);
    refuse_change(&pv_part, 0, record, used, KICKED, 1, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_open, machine_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_cpuid),
        TEST(test_msr_validation),
        TEST(test_clock),
        TEST(test_clock_version),
        TEST(test_clock_after_tsc_write),
        TEST(test_wall_clock),
        TEST(test_steal_time),
        TEST(test_eoi),
        TEST(test_eoi_withdrawn),
        TEST(test_eoi_not_offered),
        TEST(test_eoi_before_halt),
        TEST(test_eoi_switched_off),
        TEST(test_hypercalls),
        TEST(test_kick),
        TEST(test_send_ipi),
        TEST(test_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
