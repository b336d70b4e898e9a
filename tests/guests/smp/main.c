// SPDX-License-Identifier: Apache-2.0
// Four CPUs: start-up, IPIs of all kinds, TLB shootdown, atomic operations, halts and wake-ups.
#include "tests/guests/runtime/guest.h"

#define CPUS 4

static volatile uint32_t per_cpu[CPUS][256], nmis[CPUS];
static volatile uint32_t counter, flag, done;
static volatile uint32_t seen[CPUS];

static void note(struct frame *frame) {
    per_cpu[cpu_id()][frame->vector]++;
    lapic_write(APIC_EOI, 0);
}

static void note_nmi(struct frame *frame) {
    (void)frame;
    __atomic_add_fetch(&nmis[cpu_id()], 1, __ATOMIC_SEQ_CST);
}

static bool arrives(unsigned cpu, unsigned vector, uint32_t count) {
    return wait_count(&per_cpu[cpu][vector], count, 5000);
}

static void check_ipis(void) {
    for (unsigned vector = 0x60; vector < 0x70; vector++)
        irq_handler(vector, note);
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        lapic_ipi(cpu, 0x4060);
    bool came = true;
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        came = came && arrives(cpu, 0x60, 1);
    check(came, "fixed IPIs by physical destination, to halted CPUs");
    check_equal(per_cpu[0][0x60], 0, "and not to others");

    lapic_ipi(0, 0xc4061); /* all but self */
    came = true;
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        came = came && arrives(cpu, 0x61, 1);
    check(came && per_cpu[0][0x61] == 0, "all but self");
    lapic_ipi(0, 0x84062);
    came = true;
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        came = came && arrives(cpu, 0x62, 1);
    check(came, "all including self");
    lapic_ipi(0, 0x44063);
    check(arrives(0, 0x63, 1) && per_cpu[1][0x63] == 0, "self");
    lapic_ipi(lapic_x2 ? 0xffffffff : 0xff, 0x4064);
    came = true;
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        came = came && arrives(cpu, 0x64, 1);
    check(came, "broadcast by destination");
    lapic_ipi(7, 0x4065);
    delay_us(10000);
    came = false;
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        came = came || per_cpu[cpu][0x65];
    check(!came, "to nobody");
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        lapic_ipi(cpu, 0x4400);
    came = true;
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        came = came && wait_count(&nmis[cpu], 1, 5000);
    check(came, "NMIs to halted CPUs");
}

static void set_logical(void *argument) {
    (void)argument;
    lapic_write(APIC_LDR, 0x01000000u << cpu_id());
}

static void check_logical(void) {
    set_logical(NULL);
    for (unsigned cpu = 1; cpu < CPUS; cpu++) {
        cpu_run(cpu, set_logical, NULL);
        cpu_wait(cpu, 5000);
    }
    lapic_ipi(0x0a, 0x4866); /* CPUs 1 and 3 */
    check(arrives(1, 0x66, 1) && arrives(3, 0x66, 1), "logical destination, flat");
    check(per_cpu[0][0x66] == 0 && per_cpu[2][0x66] == 0, "and only there");
    lapic_ipi(0x0e, 0x4967); /* lowest priority */
    uint64_t start = now_us();
    uint32_t sum = 0;
    while (sum == 0 && now_us() - start < 5000000)
        sum = per_cpu[1][0x67] + per_cpu[2][0x67] + per_cpu[3][0x67];
    delay_us(10000);
    check_equal(per_cpu[1][0x67] + per_cpu[2][0x67] + per_cpu[3][0x67], 1, "lowest priority reaches one CPU");
}

static void add_many(void *argument) {
    (void)argument;
    for (unsigned i = 0; i < 100000; i++)
        __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
}

static void check_atomics(void) {
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        cpu_run(cpu, add_many, NULL);
    add_many(NULL);
    bool finished = true;
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        finished = finished && cpu_wait(cpu, 20000);
    check(finished && counter == 100000 * CPUS, "locked additions from all CPUs");
}

/* The others read through a mapping that CPU 0 changes; an IPI tells them to forget it. */
#define WINDOW 0x40000000ull
static volatile uint32_t flushes[CPUS];

static void flush(struct frame *frame) {
    (void)frame;
    __asm__ volatile("invlpg (%0)" ::"r"(WINDOW) : "memory");
    flushes[cpu_id()]++;
    lapic_write(APIC_EOI, 0);
}

static void read_window(void *argument) {
    (void)argument;
    unsigned id = cpu_id();
    interrupts_on();
    while (!done)
        seen[id] = *(volatile uint32_t *)WINDOW;
    interrupts_off();
}

static void check_shootdown(void) {
    uint64_t *entry = &boot_pd[WINDOW >> 21], kept = *entry;
    irq_handler(0x68, flush);
    for (unsigned page = 0; page < 2; page++)
        *(volatile uint32_t *)(0x800000ull + page * 0x200000) = 0x1111 * (page + 1);
    *entry = 0x800000 | 0x83;
    __asm__ volatile("invlpg (%0)" ::"r"(WINDOW) : "memory");
    done = 0;
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        cpu_run(cpu, read_window, NULL);
    bool right = true;
    for (unsigned round = 0; round < 20 && right; round++) {
        uint64_t page = 0x800000ull + (round & 1) * 0x200000;
        uint32_t before[CPUS];
        *(volatile uint64_t *)entry = page | 0x83;
        for (unsigned cpu = 1; cpu < CPUS; cpu++)
            before[cpu] = flushes[cpu];
        lapic_ipi(0, 0xc4068);
        for (unsigned cpu = 1; cpu < CPUS; cpu++)
            right = right && wait_count(&flushes[cpu], before[cpu] + 1, 5000);
        for (unsigned cpu = 1; cpu < CPUS; cpu++) {
            uint64_t start = now_us();
            while (seen[cpu] != 0x1111 * ((round & 1) + 1) && now_us() - start < 5000000)
                pause_cpu();
            right = right && seen[cpu] == 0x1111 * ((round & 1) + 1);
        }
    }
    done = 1;
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        right = cpu_wait(cpu, 5000) && right;
    check(right, "TLB shootdown, 20 rounds");
    *entry = kept;
}

static void answer(void *argument) {
    (void)argument;
    interrupts_on();
    while (!done) {
        __asm__ volatile("cli");
        if (flag == 1)
            flag = 2;
        __asm__ volatile("sti; hlt" ::: "memory");
    }
    interrupts_off();
}

static void check_ping(void) {
    bool right = true;
    done = 0;
    cpu_run(2, answer, NULL);
    for (unsigned i = 0; i < 200 && right; i++) {
        flag = 1;
        lapic_ipi(2, 0x4069);
        right = wait_count(&flag, 2, 5000);
    }
    done = 1;
    lapic_ipi(2, 0x4069);
    check(cpu_wait(2, 5000) && right, "200 wake-ups out of HLT by IPI");
}

/* Nearly equal: the host's own TSCs may be a few ticks apart. */
static volatile uint64_t other_tsc;

static void tell_tsc(void *argument) {
    (void)argument;
    other_tsc = rdtsc();
}

static void check_tsc(void) {
    bool right = true;
    for (unsigned cpu = 1; cpu < CPUS; cpu++) {
        uint64_t before = rdtsc();
        cpu_run(cpu, tell_tsc, NULL);
        right = cpu_wait(cpu, 5000) && right;
        uint64_t after = rdtsc(), slack = tsc_khz();
        right = right && other_tsc + slack >= before && other_tsc <= after + slack;
    }
    check(right, "TSCs agree within a millisecond");
}

static void spin(void *argument) {
    (void)argument;
    while (!done)
        pause_cpu();
}

static void check_init(void) {
    /* INIT takes a CPU out of whatever it does, even with interrupts off; it starts again like new. */
    done = 0;
    cpu_run(3, spin, NULL);
    delay_us(2000);
    uint32_t before = cpus_up;
    lapic_ipi(3, 0x4500);
    delay_us(2000);
    check(!cpu_wait(3, 10), "INIT stops a CPU in the middle of its work");
    done = 1;
    lapic_ipi(3, 0x4608);
    check(wait_count(&cpus_up, before + 1, 5000), "SIPI starts it again");
    check(cpu_wait(3, 5000), "and it works");
    before = cpus_up;
    lapic_ipi(3, 0x4608);
    delay_us(20000);
    check_equal(cpus_up, before, "a SIPI to a running CPU is nothing");
}

void guest_main(void) {
    irq_handler(VECTOR_NMI, note_nmi);
    irq_handler(0x69, note);
    lapic_enable();
    if (guest_option("x2apic")) {
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0x400);
        lapic_x2 = true;
    }
    check_equal(cpuid(1, 0).ebx >> 16 & 0xff, CPUS, "CPUID: logical processors");
    if (!check(smp_start(CPUS), "four CPUs run"))
        return;
    check_ipis();
    if (!lapic_x2)
        check_logical();
    check_atomics();
    check_shootdown();
    check_ping();
    check_tsc();
    check_init();
}
