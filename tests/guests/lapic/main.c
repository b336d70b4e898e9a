// SPDX-License-Identifier: Apache-2.0
// The local APIC, in xAPIC and x2APIC mode: registers, timer, self-IPIs, priorities, EOI, errors (Intel SDM
// vol. 3, ch. 11).
#include "tests/guests/runtime/guest.h"

#define TIMER 0x60

static volatile uint32_t order[8], order_count;

static void note(struct frame *frame) {
    if (order_count < array_count(order))
        order[order_count++] = (uint32_t)frame->vector;
    lapic_write(APIC_EOI, 0);
}

static void no_eoi(struct frame *frame) {
    (void)frame;
}

/* Interrupts on for so long that whatever is deliverable was delivered. */
static void open_briefly(void) {
    __asm__ volatile("sti; nop; nop; cli" ::: "memory");
}

static void self(unsigned vector) {
    lapic_ipi(lapic_x2 ? lapic_read(APIC_ID) : lapic_read(APIC_ID) >> 24, 0x4000 | vector);
}

static void check_registers(void) {
    check_equal(lapic_read(APIC_VERSION) & 0xff00ff, 0x050014, "version 0x14, six LVT entries");
    check_equal(lapic_read(APIC_ID), 0, "ID");
    check_equal(lapic_read(APIC_LVT_TIMER) & APIC_MASKED, APIC_MASKED, "LVT timer is masked");
    lapic_write(APIC_SVR, 0x1ff);
    check_equal(lapic_read(APIC_SVR) & 0x1ff, 0x1ff, "SVR");
    lapic_write(APIC_TPR, 0x5a);
    check_equal(lapic_read(APIC_TPR), 0x5a, "TPR");
    check_equal(lapic_read(APIC_PPR), 0x5a, "PPR follows TPR");
    check_equal(READ_CR(8), 5, "CR8 is TPR's upper half");
    WRITE_CR(8, 3);
    check_equal(lapic_read(APIC_TPR), 0x30, "TPR follows CR8");
    WRITE_CR(8, 0);
    if (!lapic_x2) {
        lapic_write(APIC_LDR, 0x42ffffff);
        check_equal(lapic_read(APIC_LDR), 0x42000000, "LDR has eight bits");
        lapic_write(APIC_DFR, 0x0fffffff);
        check_equal(lapic_read(APIC_DFR), 0x0fffffff, "DFR");
        lapic_write(APIC_DFR, 0xffffffff);
    } else {
        check_equal(lapic_read(APIC_LDR), 1, "x2APIC's LDR follows from the ID");
    }
}

static void check_priorities(void) {
    irq_handler(0x61, note);
    irq_handler(0x72, note);
    irq_handler(0x73, note);
    irq_handler(0x85, note);
    self(0x61);
    self(0x73);
    self(0x72);
    check(lapic_bit(APIC_IRR, 0x61) && lapic_bit(APIC_IRR, 0x72) && lapic_bit(APIC_IRR, 0x73),
          "IRR has what is pending");
    check_equal(order_count, 0, "nothing is delivered with interrupts off");
    open_briefly();
    check(order_count == 3 && order[0] == 0x73 && order[1] == 0x72 && order[2] == 0x61,
          "highest vector first");
    check(!lapic_bit(APIC_IRR, 0x61) && !lapic_bit(APIC_ISR, 0x61), "IRR and ISR are clear afterwards");

    order_count = 0;
    lapic_write(APIC_TPR, 0x70);
    self(0x73);
    open_briefly();
    check_equal(order_count, 0, "TPR holds back its class");
    self(0x85);
    open_briefly();
    check(order_count == 1 && order[0] == 0x85, "a higher class passes");
    interrupts_on();
    WRITE_CR(8, 6);
    __asm__ volatile("nop");
    interrupts_off();
    check(order_count == 2 && order[1] == 0x73, "lowering CR8 delivers it");
    lapic_write(APIC_TPR, 0);

    /* Without an EOI: lower ones wait, the next class interrupts. */
    order_count = 0;
    irq_handler(0x75, no_eoi);
    self(0x75);
    open_briefly();
    check(lapic_bit(APIC_ISR, 0x75), "in service until the EOI");
    check_equal(lapic_read(APIC_PPR), 0x70, "PPR is the class in service");
    self(0x72);
    self(0x85);
    open_briefly();
    check(order_count == 1 && order[0] == 0x85, "only a higher class interrupts a handler");
    check(lapic_bit(APIC_IRR, 0x72), "the lower one waits");
    lapic_write(APIC_EOI, 0);
    open_briefly();
    check(order_count == 2 && order[1] == 0x72, "the EOI lets it through");
    lapic_write(APIC_EOI, 0);
    check_equal(lapic_read(APIC_PPR), 0, "PPR is 0 again");
}

static void check_shadow(void) {
    uint32_t before = irq_count[0x62];
    uint64_t count;
    self(0x62);
    __asm__ volatile(
        "movl irq_count + 4 * 0x62, %%eax; sti; movl irq_count + 4 * 0x62, %%ecx; nop; cli; sub %%eax, %%ecx"
        : "=c"(count)::"rax", "memory", "cc");
    check_equal((uint32_t)count, 0, "no interrupt in the instruction behind STI");
    check_equal(irq_count[0x62], before + 1, "but behind that");
}

static void check_halt(void) {
    uint32_t before = irq_count[TIMER];
    lapic_write(APIC_DIVIDE, 0xb);
    lapic_write(APIC_LVT_TIMER, TIMER);
    for (unsigned i = 0; i < 20; i++) {
        lapic_write(APIC_COUNT, 200000);
        while (irq_count[TIMER] == before + i)
            __asm__ volatile("sti; hlt; cli" ::: "memory");
    }
    check_equal(irq_count[TIMER], before + 20, "20 halts ended by the timer");
}

static void check_timer(void) {
    static const uint8_t divide[] = {0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa};
    lapic_write(APIC_LVT_TIMER, TIMER);
    for (unsigned i = 0; i < array_count(divide); i++) {
        /* The bus runs at 1 GHz: 10 ms by each divisor. */
        uint32_t before = irq_count[TIMER];
        lapic_write(APIC_DIVIDE, divide[i]);
        uint64_t start = now_us();
        lapic_write(APIC_COUNT, 10000000u >> i);
        bool came = wait_count(&irq_count[TIMER], before + 1, 3000);
        uint64_t time = now_us() - start;
        if (!came || time < 9990 || i == 0)
            check(came && time >= 9990, "one-shot timer, divisors 1 to 128");
    }
    check_equal(lapic_read(APIC_CURRENT), 0, "the count stays at 0");
    uint32_t before = irq_count[TIMER];
    delay_us(30000);
    open_briefly();
    check_equal(irq_count[TIMER], before, "a one-shot timer does not come twice");

    lapic_write(APIC_DIVIDE, 0xb);
    lapic_write(APIC_COUNT, 4000000000u);
    uint32_t first = lapic_read(APIC_CURRENT);
    delay_us(1000);
    uint32_t second = lapic_read(APIC_CURRENT);
    check(first > second && first - second >= 999000, "the count goes down at 1 GHz");
    lapic_write(APIC_COUNT, 0);
    check_equal(lapic_read(APIC_CURRENT), 0, "an initial count of 0 stops it");

    lapic_write(APIC_LVT_TIMER, 0x20000 | TIMER);
    before = irq_count[TIMER];
    uint64_t start = now_us();
    lapic_write(APIC_COUNT, 5000000);
    bool came = wait_count(&irq_count[TIMER], before + 10, 5000);
    check(came && now_us() - start >= 49900, "periodic timer");
    lapic_write(APIC_LVT_TIMER, 0x20000 | APIC_MASKED | TIMER);
    open_briefly();
    before = irq_count[TIMER];
    delay_us(20000);
    open_briefly();
    check_equal(irq_count[TIMER], before, "a masked timer is silent");
    lapic_write(APIC_COUNT, 0);

    check(cpuid(1, 0).ecx >> 24 & 1, "CPUID offers the TSC deadline");
    lapic_write(APIC_LVT_TIMER, 0x40000 | TIMER);
    __asm__ volatile("mfence" ::: "memory");
    before = irq_count[TIMER];
    uint64_t deadline = rdtsc() + 100 * tsc_khz();
    wrmsr(MSR_TSC_DEADLINE, deadline);
    uint64_t armed = rdmsr(MSR_TSC_DEADLINE);
    check(armed == deadline || rdtsc() >= deadline, "the deadline reads back while it is armed");
    came = wait_count(&irq_count[TIMER], before + 1, 3000);
    check(came && rdtsc() >= deadline, "TSC deadline, not too early");
    check_equal(rdmsr(MSR_TSC_DEADLINE), 0, "the deadline reads 0 once it has passed");
    wrmsr(MSR_TSC_DEADLINE, 1);
    check(wait_count(&irq_count[TIMER], before + 2, 1000), "a deadline in the past comes at once");
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + 500 * tsc_khz());
    wrmsr(MSR_TSC_DEADLINE, 0);
    delay_us(600000);
    open_briefly();
    check_equal(irq_count[TIMER], before + 2, "writing 0 disarms it");
    lapic_write(APIC_LVT_TIMER, APIC_MASKED | TIMER);
}

static void check_errors(void) {
    lapic_write(APIC_ESR, 0);
    lapic_write(APIC_ESR, 0);
    check_equal(lapic_read(APIC_ESR), 0, "ESR is clear");
    lapic_write(APIC_LVT_ERROR, 0x63);
    uint32_t before = irq_count[0x63];
    self(5);
    open_briefly();
    lapic_write(APIC_ESR, 0);
    check_equal(lapic_read(APIC_ESR) & 0x20, 0x20, "ESR: illegal vector sent");
    check_equal(irq_count[0x63], before + 1, "the error interrupt came");
    if (!lapic_x2) {
        (void)lapic_read(0x40);
        lapic_write(APIC_ESR, 0);
        check_equal(lapic_read(APIC_ESR), 0x80, "ESR: illegal register");
    }
    lapic_write(APIC_ESR, 0);
    lapic_write(APIC_LVT_ERROR, APIC_MASKED);
    open_briefly();
}

static void check_spurious_and_disable(void) {
    lapic_write(APIC_LVT_TIMER, TIMER);
    lapic_write(APIC_SVR, 0xff);
    check_equal(lapic_read(APIC_LVT_TIMER), APIC_MASKED | TIMER, "a disabled APIC masks its LVT");
    lapic_write(APIC_LVT_TIMER, TIMER);
    check_equal(lapic_read(APIC_LVT_TIMER), APIC_MASKED | TIMER, "and keeps it masked");
    lapic_write(APIC_SVR, 0x1ff);
    check_equal(lapic_read(APIC_LVT_TIMER), APIC_MASKED | TIMER, "also when it is enabled again");
}

static void write_msr_reserved(void *argument) {
    (void)argument;
    wrmsr(0x80b, 1);
}

static void check_x2apic_rules(void) {
    uint64_t value;
    check_equal(try_rdmsr(0x80e, &value), VECTOR_GP, "x2APIC has no DFR");
    check_equal(try_rdmsr(0x831, &value), VECTOR_GP, "x2APIC has no ICR high");
    check_equal(try_wrmsr(0x802, 1), VECTOR_GP, "the ID cannot be written");
    check_equal(try_wrmsr(0x803, 1), VECTOR_GP, "nor the version");
    check_equal(try_rdmsr(0x80b, &value), VECTOR_GP, "EOI cannot be read");
    check_equal(guest_try(write_msr_reserved, NULL), VECTOR_GP, "EOI takes 0 only");
    check_equal(try_wrmsr(0x808, 0x100), VECTOR_GP, "TPR has eight bits");
    check_equal(try_wrmsr(0x828, 1), VECTOR_GP, "ESR takes 0 only");
    check_equal(try_rdmsr(0x83f, &value), VECTOR_GP, "self-IPI cannot be read");
    uint32_t before = irq_count[0x64];
    wrmsr(0x83f, 0x64);
    open_briefly();
    check_equal(irq_count[0x64], before + 1, "self-IPI register");
    check_equal(try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~0x800ull), VECTOR_GP,
                "x2APIC mode without enable is refused");
    check_equal(try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~0x400ull), VECTOR_GP,
                "no way from x2APIC back to xAPIC");
}

static void check_mode(const char *name) {
    print("--- %s\n", name);
    order_count = 0;
    check_registers();
    check_priorities();
    check_shadow();
    check_timer();
    check_halt();
    check_errors();
    check_spurious_and_disable();
}

void guest_main(void) {
    uint64_t value;

    check(cpuid(1, 0).edx >> 9 & 1, "CPUID has an APIC");
    check(cpuid(1, 0).ecx >> 21 & 1, "CPUID has x2APIC");
    check_equal(try_rdmsr(0x802, &value), VECTOR_GP, "no x2APIC registers in xAPIC mode");
    check_mode("xAPIC");
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0x400);
    lapic_x2 = true;
    check_mode("x2APIC");
    check_x2apic_rules();
    /* Disabled as a whole, then xAPIC mode again, from reset. */
    wrmsr(MSR_APIC_BASE, 0xfee00100);
    check(!(cpuid(1, 0).edx >> 9 & 1), "CPUID shows the APIC disabled");
    wrmsr(MSR_APIC_BASE, 0xfee00900);
    lapic_x2 = false;
    check_equal(lapic_read(APIC_SVR), 0xff, "SVR after a disable and enable");
    check_equal(try_wrmsr(MSR_APIC_BASE, 1ull << 52 | 0xfee00900), VECTOR_GP,
                "APIC base beyond the physical addresses");
}
