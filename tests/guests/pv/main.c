// SPDX-License-Identifier: Apache-2.0
// The paravirtual interface (docs/guest-pv.md): kvmclock on two CPUs, wall clock, PV EOI, steal time,
// hypercalls.
#include "tests/guests/runtime/guest.h"

#define MSR_WALL_CLOCK  0x4b564d00u
#define MSR_SYSTEM_TIME 0x4b564d01u
#define MSR_STEAL_TIME  0x4b564d03u
#define MSR_EOI         0x4b564d04u

struct clock_page {
    volatile uint32_t version, pad;
    volatile uint64_t tsc, system;
    volatile uint32_t multiplier;
    volatile int8_t shift;
    volatile uint8_t flags, pad2[2];
};

static struct clock_page pages[2] __attribute__((aligned(64)));
static struct { volatile uint32_t version, seconds, nanoseconds; } wall __attribute__((aligned(16)));
static struct {
    volatile uint64_t steal;
    volatile uint32_t version, flags;
    volatile uint8_t preempted, pad[47];
} steal __attribute__((aligned(64)));
static volatile uint32_t eoi_word __attribute__((aligned(64)));

static uint64_t clock_read(const struct clock_page *page) {
    for (;;) {
        uint32_t version = page->version;
        if (version & 1)
            continue;
        uint64_t delta = rdtsc() - page->tsc;
        delta = page->shift >= 0 ? delta << page->shift : delta >> -page->shift;
        uint64_t time = page->system + (uint64_t)(((unsigned __int128)delta * page->multiplier) >> 32);
        if (page->version == version)
            return time;
    }
}

static void use_clock(void *page) {
    wrmsr(MSR_SYSTEM_TIME, (uint64_t)page | 1);
}

static volatile uint64_t told;
static void tell_clock(void *page) {
    told = clock_read(page);
}

static void check_clock(void) {
    use_clock(&pages[0]);
    cpu_run(1, use_clock, &pages[1]);
    check(cpu_wait(1, 5000), "the other CPU has its clock page");
    check(!(pages[0].version & 1) && pages[0].multiplier != 0, "clock page is filled in");
    check_equal(pages[0].flags & 1, 1, "stable");
    check_equal(rdmsr(MSR_SYSTEM_TIME), (uint64_t)&pages[0] | 1, "the MSR reads back");
    uint64_t before = now_us(), first = clock_read(&pages[0]), after = now_us();
    delay_us(50000);
    uint64_t shortest = now_us() - after, second = clock_read(&pages[0]), longest = now_us() - before;
    check_range((second - first) / 1000, shortest - 100, longest + 100, "nanoseconds by the TSC");
    bool up = true;
    for (unsigned i = 0; i < 200; i++) {
        before = clock_read(&pages[0]);
        cpu_run(1, tell_clock, &pages[1]);
        up = cpu_wait(1, 5000) && up;
        after = clock_read(&pages[0]);
        up = up && told + 1000000 >= before && told <= after + 1000000;
    }
    check(up, "both CPUs' clocks tell the same time");
    uint64_t last = 0;
    up = true;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now = clock_read(&pages[0]);
        up = up && now >= last;
        last = now;
    }
    check(up, "it does not go back");
    wrmsr(MSR_WALL_CLOCK, (uint64_t)&wall);
    check(!(wall.version & 1) && wall.seconds > 1600000000 && wall.nanoseconds < 1000000000, "wall clock");
    check_equal(try_wrmsr(MSR_SYSTEM_TIME, 0xd0000001), VECTOR_GP, "a clock page outside RAM is refused");
    check_equal(try_wrmsr(MSR_SYSTEM_TIME, 0x100ff1), VECTOR_GP, "one across pages too");
    check_equal(rdmsr(MSR_SYSTEM_TIME), (uint64_t)&pages[0] | 1, "and the old one stays");
    wrmsr(MSR_STEAL_TIME, (uint64_t)&steal | 1);
    check(!(steal.version & 1) && steal.flags == 0, "steal time");
    check_equal(try_wrmsr(MSR_STEAL_TIME, (uint64_t)&steal | 3), VECTOR_GP, "steal time: reserved bits");
    wrmsr(MSR_STEAL_TIME, 0);
}

static volatile uint32_t offered, hardware;

static void pv_eoi(struct frame *frame) {
    (void)frame;
    uint8_t was;
    __asm__ volatile("btrl $0, %1; setc %0" : "=r"(was), "+m"(eoi_word)::"cc", "memory");
    if (was) {
        offered++;
    } else {
        hardware++;
        lapic_write(APIC_EOI, 0);
    }
}

static void check_eoi(void) {
    wrmsr(MSR_EOI, (uint64_t)&eoi_word | 1);
    irq_handler(0x70, pv_eoi);
    irq_handler(0x80, pv_eoi);
    for (unsigned i = 0; i < 20; i++) {
        lapic_ipi(0, 0x4070);
        __asm__ volatile("sti; nop; nop; cli" ::: "memory");
    }
    check_equal(offered + hardware, 20, "each interrupt came");
    /* Not where the CPU ends interrupts without an exit, nor where each end has to be one. */
    if (!guest_option("no-pv-eoi"))
        check(offered > 0, "PV EOI was offered");
    check(!lapic_bit(APIC_ISR, 0x70), "nothing stays in service");
    offered = hardware = 0;
    lapic_ipi(0, 0x4070);
    lapic_ipi(0, 0x4080);
    __asm__ volatile("sti; nop; nop; nop; cli" ::: "memory");
    check_equal(offered + hardware, 2, "two at a time");
    check(!lapic_bit(APIC_ISR, 0x70) && !lapic_bit(APIC_ISR, 0x80), "nothing stays in service");
    wrmsr(MSR_EOI, 0);
}

static int64_t call(bool amd, uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    int64_t result;
    if (amd)
        __asm__ volatile("vmmcall" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    else
        __asm__ volatile("vmcall" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return result;
}

static volatile uint32_t halted;
static void halt_dead(void *unused) {
    (void)unused;
    halted = 1;
    __asm__ volatile("cli; hlt");
    halted = 2;
}

static void check_hypercalls(void) {
    for (unsigned amd = 0; amd < 2; amd++) {
        print("--- %s\n", amd ? "VMMCALL" : "VMCALL");
        check_equal((uint64_t)call(amd, 1, 0, 0, 0, 0), 0, "VAPIC_POLL_IRQ");
        check_equal((uint64_t)call(amd, 0, 0, 0, 0, 0), (uint64_t)-1000, "unknown hypercall 0");
        check_equal((uint64_t)call(amd, 0x123456789, 0, 0, 0, 0), (uint64_t)-1000, "unknown hypercall");
        uint32_t before = irq_count[0x71];
        check_equal((uint64_t)call(amd, 10, 1, 0, 0, 0x71), 1, "SEND_IPI to oneself");
        __asm__ volatile("sti; nop; nop; cli" ::: "memory");
        check_equal(irq_count[0x71], before + 1, "and it came");
        before = irq_count[0x72];
        call(amd, 10, 3, 0, 0, 0x72);
        check(wait_count(&irq_count[0x72], before + 2, 5000), "SEND_IPI to both");
        check_equal((uint64_t)call(amd, 10, 1, 0, 0, 5), (uint64_t)-22, "SEND_IPI: vector 5");
        check_equal((uint64_t)call(amd, 5, 0, 99, 0, 0), (uint64_t)-22, "KICK_CPU: no such CPU");
        halted = 0;
        cpu_run(1, halt_dead, NULL);
        wait_count(&halted, 1, 5000);
        delay_us(5000);
        check_equal(halted, 1, "a CPU halts with interrupts off");
        check_equal((uint64_t)call(amd, 5, 0, 1, 0, 0), 0, "KICK_CPU");
        check(wait_count(&halted, 2, 5000), "and it goes on");
        cpu_wait(1, 5000);
    }
}

void guest_main(void) {
    uint32_t features = cpuid(0x40000001, 0).eax;
    check_equal(features & 0x010008eb, 0x010008eb, "features");
    lapic_enable();
    if (!check(smp_start(2), "two CPUs"))
        return;
    check_clock();
    check_eoi();
    check_hypercalls();
}
