// SPDX-License-Identifier: Apache-2.0
// Guests that mean no good: every port, MSR, address and hypercall, random instructions, loops that never let
// go. The command line says which. What comes back does not matter; that the guest gets to its end, or dies
// alone, does.
#include "tests/guests/runtime/guest.h"

#define USER 0x800000ull /* 2 MiB for code that is made up */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void) {
    return random_next(&seed);
}

/* --- ports --- */

/* What ends or resets the machine by a write, or takes the line that this guest reports by; they have tests
 * of their own. */
static bool spared(unsigned port, unsigned size, uint32_t value) {
    if (port + size > 0xf4 && port < 0xf8) /* exit */
        return true;
    if (port + size > 0x3f8 && port < 0x400) /* COM1 */
        return true;
    if (port + size > 0xcf9 && port <= 0xcf9) /* reset */
        return true;
    if (port + size > 0x64 && port <= 0x64) /* keyboard controller: reset */
        return true;
    if (port + size > 0x92 && port <= 0x92) /* fast reset */
        return true;
    if (port + size > 0x604 && port < 0x606) /* PM1 control: sleep */
        return true;
    return port + size > 0xcfc && port < 0xd00 &&
           (value & 1); /* configuration data: PMBASE and PCIEXBAR stay near */
}

static void write_ports(unsigned end, uint32_t value) {
    for (unsigned port = 0; port < end; port++) {
        if (!spared(port, 1, value))
            out8((uint16_t)port, (uint8_t)value);
        if (!spared(port, 2, value))
            out16((uint16_t)port, (uint16_t)value);
        if (!spared(port, 4, value))
            out32((uint16_t)port, value);
    }
}

static void ports(void) {
    for (unsigned port = 0; port < 0x10000; port++) {
        (void)in8((uint16_t)port);
        (void)in16((uint16_t)port);
        (void)in32((uint16_t)port);
    }
    check(true, "reads of all ports");
    write_ports(0x10000, (uint32_t)next());
    static const uint32_t values[] = {0, 0xffffffff, 0x55555555, 0x80000000};
    for (unsigned i = 0; i < array_count(values); i++)
        write_ports(0x1000, values[i]); /* where the devices are */
    check(true, "writes of all ports");
    for (unsigned i = 0; i < 5000; i++) {
        uint64_t random = next();
        unsigned port = random & 0xffff;
        uint32_t value = (uint32_t)(random >> 16);
        if (random >> 63) { /* devices are near the bottom */
            port &= 0xfff;
        }
        if (!spared(port, 4, value) && !spared(port, 1, value) && !spared(port, 2, value)) {
            out32((uint16_t)port, value);
            out8((uint16_t)port, (uint8_t)value);
            (void)in16((uint16_t)port);
        }
    }
    check(true, "random accesses of ports");
    /* Strings that leave RAM in their middle, and wrap. */
    uint64_t to = (16 << 20) - 8, count = 100;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x61) : "memory");
    uint64_t from = (16 << 20) - 8;
    count = 100;
    __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(0x80) : "memory");
    check(true, "string I/O across the end of RAM");
}

/* --- MSRs --- */

static void msr(uint32_t number, uint64_t value) {
    uint64_t before;
    int read = try_rdmsr(number, &before);
    /* What would take this guest's ground away: its page tables' and code's attributes, the local APIC's
     * place. */
    if (number == 0xc0000080 || number == MSR_APIC_BASE)
        return;
    (void)try_wrmsr(number, value);
    if (read < 0)
        (void)try_wrmsr(number, before);
}

static void msrs(void) {
    static const uint32_t bases[] = {0, 0x40000000, 0x4b564d00, 0xc0000000, 0xc0010000, 0xc0011000};
    for (unsigned i = 0; i < array_count(bases); i++)
        for (uint32_t number = 0; number < (i == 0 ? 0x2000 : 0x400); number++) {
            if (bases[i] == 0 && number >= 0x800 && number < 0x840)
                continue; /* x2APIC is off */
            msr(bases[i] + number, number & 1 ? next() : 0);
        }
    check(true, "MSRs in order");
    for (unsigned i = 0; i < 5000; i++)
        msr((uint32_t)next(), next());
    check(true, "random MSRs");
}

/* --- memory without RAM --- */

static void access(void *argument) {
    volatile uint8_t *at = argument;
    uint64_t value = next();
    switch (value >> 60) {
    case 0:
        (void)*at;
        break;
    case 1:
        *at = (uint8_t)value;
        break;
    case 2:
        (void)*(volatile uint16_t *)at;
        break;
    case 3:
        *(volatile uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        (void)*(volatile uint32_t *)at;
        break;
    case 5:
        *(volatile uint32_t *)at = (uint32_t)value;
        break;
    case 6:
        (void)*(volatile uint64_t *)at;
        break;
    case 7:
        *(volatile uint64_t *)at = value;
        break;
    case 8:
        __asm__ volatile("movups (%0), %%xmm0" ::"r"(at) : "memory");
        break;
    case 9:
        __asm__ volatile("movups %%xmm0, (%0)" ::"r"(at) : "memory");
        break;
    case 10:
        __asm__ volatile("lock xaddl %%eax, (%0)" ::"r"(at), "a"(value) : "memory");
        break;
    case 11:
        __asm__ volatile("lock cmpxchg8b (%0)" ::"r"(at), "a"(0), "b"(1), "c"(2), "d"(3) : "memory");
        break;
    case 12:
        __asm__ volatile("rep stosb" ::"D"(at), "c"(value & 63), "a"(value >> 8) : "memory");
        break;
    case 13:
        __asm__ volatile("btsl %0, (%1)" ::"r"((uint32_t)(value & 0xffff)), "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("pushq (%0); popq (%0)" ::"r"(at) : "memory");
    }
}

static void memory(void) {
    /* Every megabyte above RAM, at its start and across its end. */
    for (uint64_t at = 16 << 20; at < 1ull << 32; at += 1 << 20)
        for (unsigned i = 0; i < 2; i++) {
            guest_try(access, (void *)at);
            guest_try(access, (void *)(at + (1 << 20) - 1 - i * 3));
        }
    check(true, "every megabyte");
    for (unsigned i = 0; i < 10000; i++)
        guest_try(access, (void *)((16ull << 20) + next() % ((1ull << 32) - (17ull << 20))));
    check(true, "random addresses");
    /* The interrupt controllers and ECAM, where there is something to break. */
    static const uint64_t devices[] = {0xfee00000, 0xfec00000, 0xb0000000, 0xb00f8000, 0xa0000};
    for (unsigned i = 0; i < 10000; i++)
        guest_try(access, (void *)(devices[i % array_count(devices)] + (next() & 0xfff)));
    check(true, "random accesses of devices");
}

/* --- hypercalls --- */

static void hypercall(uint64_t number, bool amd) {
    uint64_t a = next(), b = next(), c = next(), d = next();
    if (amd)
        __asm__ volatile("vmmcall" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    else
        __asm__ volatile("vmcall" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
}

static void hypercalls(void) {
    for (uint64_t number = 0; number < 0x1000; number++)
        hypercall(number, number & 1);
    for (unsigned i = 0; i < 5000; i++)
        hypercall(next() >> (next() & 63), i & 1);
    check(true, "hypercalls");
}

/* --- instructions that nobody wrote --- */

static void fill_code(bool plausible) {
    uint8_t *code = (uint8_t *)USER + 0x1000;
    for (unsigned i = 0; i < 64; i++)
        code[i] = (uint8_t)(next() >> 33);
    if (plausible) { /* often one that touches memory or a system register */
        static const uint8_t two[] = {0x00, 0x01, 0x20, 0x22, 0x21, 0x23, 0x30, 0x32, 0x06, 0x08,
                                      0x09, 0xa2, 0xab, 0xae, 0xba, 0xc7, 0x10, 0x11, 0x6f, 0x7f,
                                      0xb0, 0xb1, 0xc0, 0xc1, 0xc3, 0xe7, 0x78, 0x34, 0x35, 0x07};
        unsigned at = 0;
        if (next() & 1)
            code[at++] = (uint8_t)(0x40 | (next() & 15));
        if (next() & 3)
            code[at++] = 0x0f;
        code[at] = two[next() % array_count(two)];
    }
    for (unsigned i = 64; i < 80; i++)
        code[i] = 0xcc;
}

static void enter_user(void *unused) {
    (void)unused;
    __asm__ volatile(
        "pushq %0; pushq %1; pushq $0x202; pushq %2; pushq %3;"
        "movq %4, %%rax; movq %%rax, %%rbx; movq %%rax, %%rcx; movq %%rax, %%rdx; movq %%rax, %%rsi;"
        "movq %%rax, %%rdi; movq %%rax, %%rbp; iretq" ::"i"(SEL_USER_DATA),
        "r"(USER + 0x100000), "i"(SEL_USER_CODE64), "r"(USER + 0x1000), "m"(seed)
        : "memory");
}

static void jump_kernel(void *unused) {
    (void)unused;
    __asm__ volatile(
        "movq %0, %%rax; movq %%rax, %%rcx; movq %%rax, %%rdx; movq %%rax, %%rsi; movq %%rax, %%rdi;"
        "jmp *%1" ::"r"(USER + 0x80000 + (next() & 0xffff)),
        "r"(USER + 0x1000)
        : "rax", "rcx", "rdx", "rsi", "rdi", "memory");
}

/* A loop is ended by the timer; a halt too. */
static void watchdog(struct frame *frame) {
    lapic_write(APIC_EOI, 0);
    (void)frame;
    if (*(volatile uint32_t *)(USER + 0x1ffffc)) { /* something runs */
        *(volatile uint32_t *)(USER + 0x1ffffc) = 0;
        guest_abandon(0x60);
    }
}

static void watchdog_nmi(struct frame *frame) {
    watchdog(frame);
}

static void instructions_user(void) {
    boot_pd[USER >> 21] |= 4;
    WRITE_CR(3, READ_CR(3));
    lapic_enable();
    irq_handler(0x60, watchdog);
    lapic_write(APIC_DIVIDE, 0xb);
    for (unsigned i = 0; i < 10000; i++) {
        fill_code(i & 1);
        *(volatile uint32_t *)(USER + 0x1ffffc) = 1;
        lapic_write(APIC_LVT_TIMER, 0x60);
        lapic_write(APIC_COUNT, 2000000);
        guest_try(enter_user, NULL);
        *(volatile uint32_t *)(USER + 0x1ffffc) = 0;
    }
    check(true, "random instructions in ring 3");
}

static void instructions_kernel(void) {
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idt, gdtr;
    lapic_enable();
    irq_handler(VECTOR_NMI, watchdog_nmi);
    for (unsigned vector = 0; vector < 32; vector++)
        idt_stack(vector, vector == VECTOR_NMI ? 2 : 1);
    lapic_write(APIC_LVT_LINT0, 0x400);
    pic_mask(0xfe, 0xff);
    __asm__ volatile("sidt %0; sgdt %1" : "=m"(idt), "=m"(gdtr));
    for (unsigned i = 0; i < 4000; i++) {
        fill_code(i & 1);
        *(volatile uint32_t *)(USER + 0x1ffffc) = 1;
        pit_program(0, 0, 2400);
        guest_try(jump_kernel, NULL);
        *(volatile uint32_t *)(USER + 0x1ffffc) = 0;
        __asm__ volatile("lidt %0; lgdt %1; clts; mov %2, %%db7" ::"m"(idt), "m"(gdtr), "r"(0x400ull));
    }
    check(true, "random instructions in ring 0");
}

static void triple_fault(void) {
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};
    __asm__ volatile("lidt %0; int3" ::"m"(none));
}

void guest_main(void) {
    if (guest_option("ports"))
        ports();
    else if (guest_option("msrs"))
        msrs();
    else if (guest_option("memory"))
        memory();
    else if (guest_option("hypercalls"))
        hypercalls();
    else if (guest_option("user"))
        instructions_user();
    else if (guest_option("kernel"))
        instructions_kernel();
    else if (guest_option("triple-fault"))
        triple_fault();
    else if (guest_option("spin")) {
        check(true, "about to spin with interrupts off");
        for (;;)
            __asm__ volatile("cli" ::: "memory");
    } else if (guest_option("unknown")) {
        check(true, "about to do what nobody emulates");
        __asm__ volatile("fildl (%0)" ::"r"(0xd0000000ull) : "memory");
    } else if (guest_option("halt")) {
        check(true, "about to halt for good");
        for (;;)
            __asm__ volatile("cli; hlt" ::: "memory");
    }
}
