// SPDX-License-Identifier: Apache-2.0
// What single exits cost, and a halt that a timer ends. For one CPU under an instruction-counting clock.
#include "tests/bench/guests/bench.h"

#define LAPIC       0xfee00000u
#define IOAPIC      0xfec00000u
#define WAKES       5000u
#define SLEEP       200000u /* ticks */

#define SHORT_SLEEP 20000u

static uint64_t wake[WAKES];

/* The local APIC in the mode that it starts in: by memory. */
static void measure_xapic(void) {
    lapic_enable();
    MEASURE("xapic-read", LAPIC + APIC_LVT_TIMER, "", "mov (%%rdi), %%eax");
    MEASURE("xapic-write", LAPIC + APIC_LVT_TIMER, "mov $0x10050, %%eax", "mov %%eax, (%%rdi)");
    MEASURE("xapic-eoi", LAPIC + APIC_EOI, "", "movl $0, (%%rdi)");
    ioapic_read(1);
    MEASURE("ioapic-read", IOAPIC + 0x10, "", "mov (%%rdi), %%eax");
}

static void measure_simple(void) {
    MEASURE("cpuid", 0, "xor %%eax, %%eax\n xor %%ecx, %%ecx", "cpuid");
    MEASURE("pic-read", 0, "", "in $0x21, %%al");
    MEASURE("pm-timer", 0, "mov $0x608, %%edx", "in %%dx, %%eax");
    MEASURE("port80-write", 0, "", "out %%al, $0x80");
    MEASURE("rdmsr", 0, "mov $0x2ff, %%ecx", "rdmsr");
    MEASURE("wrmsr", 0, "mov $0x2ff, %%ecx\n mov $6, %%eax\n xor %%edx, %%edx", "wrmsr");
    MEASURE("vmmcall", 0, "mov $1, %%eax", "vmmcall");
    MEASURE("vmcall", 0, "mov $1, %%eax", "vmcall");
}

/* An interrupt to oneself: from the WRMSR that sends it to its handler, and its EOI. */
static void measure_self_ipi(void) {
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        uint64_t delivery = 0, eoi = 0;
        for (unsigned i = 0; i < BATCH; i++) {
            uint64_t before = rdtsc();
            __asm__ volatile(
                "mov %0, %%ecx\n mov %1, %%eax\n xor %%edx, %%edx\n sti\n wrmsr\n nop\n cli" ::"i"(
                    MSR_X2APIC_SELF),
                "i"(VECTOR_BENCH)
                : "rax", "rcx", "rdx", "r8", "memory", "cc");
            delivery += bench_time - before;
            eoi += eoi_ticks - bench_eoi_empty();
        }
        bench_figure("self-ipi", delivery, BATCH);
        bench_figure("x2apic-eoi-in-service", eoi, BATCH);
    }
}

/* From the deadline to the handler, with the CPU idle in between; then the shortest way through: the deadline
 * comes ever closer to the HLT, as long as the CPU still gets to sleep, which shows in the time from deadline
 * to handler. */
static void measure_halt(void) {
    for (unsigned i = 0; i < WAKES; i++) {
        uint64_t deadline = rdtsc() + SLEEP;
        bench_deadline(deadline);
        bench_halt();
        wake[i] = tick_time - deadline;
    }
    bench_distribution("halt-wake", wake, WAKES);
    uint64_t usual = wake[WAKES / 2], cycle = 0;
    unsigned late = 0;
    for (uint64_t sleep = SHORT_SLEEP; sleep && late < 4; sleep -= 20) {
        uint64_t deadline = rdtsc() + sleep;
        bench_deadline(deadline);
        uint64_t before = bench_halt();
        if (tick_time - deadline > usual + usual / 10) {
            late++;
        } else {
            late = 0;
            cycle = tick_time - before;
        }
    }
    bench_figure("halt-cycle", cycle, 1);
}

void guest_main(void) {
    measure_simple();
    measure_xapic();
    bench_x2apic();
    MEASURE("x2apic-eoi", 0, "mov $0x80b, %%ecx\n xor %%eax, %%eax\n xor %%edx, %%edx", "wrmsr");
    MEASURE("deadline-write", 0, "mov $0x6e0, %%ecx\n mov $-1, %%eax\n mov $0xffff, %%edx", "wrmsr");
    bench_deadline(0);
    measure_self_ipi();
    bench_settle();
    measure_halt();
    print("BENCH done 1 1\n");
    guest_exit(0);
}
