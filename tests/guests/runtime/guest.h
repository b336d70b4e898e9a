// SPDX-License-Identifier: Apache-2.0
// The runtime of the bare test guests: checks, output, exceptions that can be caught, interrupts, time, local
// and I/O APIC, other CPUs. A guest defines guest_main().
#ifndef SAGUARO_TESTS_GUESTS_RUNTIME_GUEST_H
#define SAGUARO_TESTS_GUESTS_RUNTIME_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __x86_64__
typedef uint64_t word;
#else
typedef uint32_t word;
#endif

#define array_count(array) (sizeof(array) / sizeof((array)[0]))

/* Selectors of the runtime's GDT. */
#define SEL_CODE32         0x08
#define SEL_DATA           0x10
#define SEL_CODE64         0x18
#define SEL_USER_DATA      0x23
#define SEL_USER_CODE64    0x2b
#define SEL_USER_CODE32    0x33
#define SEL_TSS            0x38

/* The guest itself, with interrupts off and both PICs masked at vectors 0x20-0x2f. Returns when all is
 * checked. */
void guest_main(void);

/* --- checks: each has a name and prints one line --- */

bool check(bool ok, const char *name);
bool check_equal(uint64_t got, uint64_t expected, const char *name);
/* got in [low, high] */
bool check_range(uint64_t got, uint64_t low, uint64_t high, const char *name);
/* Ends the guest with the number of the first check that failed, or 0. */
void guest_finish(void) __attribute__((noreturn));
void guest_exit(uint32_t code) __attribute__((noreturn));
/* %s %c %u %x (64 bits) %% only. */
void print(const char *format, ...);

/* --- how it was started --- */

extern uint32_t boot_magic; /* EAX and EBX of the entry */
extern uint32_t boot_info;
extern bool boot_pvh;
const char *guest_cmdline(void);
/* Whether the command line has this word. */
bool guest_option(const char *option);

/* --- ports, MSRs, CPUID --- */

static inline void out8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}
static inline void out16(uint16_t port, uint16_t value) {
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}
static inline void out32(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}
static inline uint8_t in8(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint16_t in16(uint16_t port) {
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint32_t in32(uint16_t port) {
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint64_t rdmsr(uint32_t msr) {
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (uint64_t)high << 32;
}
static inline void wrmsr(uint32_t msr, uint64_t value) {
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}
struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf) {
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}
static inline uint64_t rdtsc(void) {
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return low | (uint64_t)high << 32;
}
#define READ_CR(number)                                                                                      \
    ({                                                                                                       \
        word value_;                                                                                         \
        __asm__ volatile("mov %%cr" #number ", %0" : "=r"(value_)::"memory");                                \
        value_;                                                                                              \
    })
#define WRITE_CR(number, value) __asm__ volatile("mov %0, %%cr" #number ::"r"((word)(value)) : "memory")

static inline volatile uint32_t *mmio32(uint64_t address) {
    return (volatile uint32_t *)(word)address;
}
static inline void interrupts_on(void) {
    __asm__ volatile("sti" ::: "memory");
}
static inline void interrupts_off(void) {
    __asm__ volatile("cli" ::: "memory");
}
static inline void pause_cpu(void) {
    __asm__ volatile("pause" ::: "memory");
}

/* --- exceptions and interrupts --- */

enum {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_BR = 5,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_TS = 10,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_AC = 17,
};

struct frame {
#ifdef __x86_64__
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
#else
    uint32_t rdi, rsi, rbp, esp_unused, rbx, rdx, rcx, rax;
    uint32_t vector, error, rip, cs, rflags;
#endif
};

struct fault {
    unsigned vector;
    uint64_t error, rip, cr2;
};
/* Calls function(argument) on CPU 0. -1: no exception; else its vector, and more in `fault`. */
int guest_try(void (*function)(void *), void *argument);
extern struct fault fault;
int try_rdmsr(uint32_t msr, uint64_t *value); /* as guest_try() */
int try_wrmsr(uint32_t msr, uint64_t value);

/* Counts per vector, of all CPUs. Vectors from 0x30 on get an EOI at the local APIC, 0x20-0x2f one at the
 * PICs, unless a handler is set, which then does what is needed. A handler of an exception may change the
 * frame and return. */
extern volatile uint32_t irq_count[256];
void irq_handler(unsigned vector, void (*handler)(struct frame *frame));
/* Exceptions come back to the code after guest_try(): for handlers that give up what they interrupted. */
void guest_abandon(unsigned vector) __attribute__((noreturn));
/* Stack 1-7 of the interrupt-stack table for a vector, 0: none; 1-3 exist (64-bit guests). */
void idt_stack(unsigned vector, unsigned stack);
void idt_user(unsigned vector); /* INT from ring 3 is allowed */

/* --- time --- */

uint64_t tsc_khz(void);
uint64_t now_us(void); /* from the TSC */
void delay_us(uint64_t us);
/* With interrupts on: waits until *counter >= value, at most `ms`. Whether it came. */
bool wait_count(volatile uint32_t *counter, uint32_t value, unsigned ms);

/* --- local APIC, by MMIO or MSR as it is set --- */

#define APIC_ID          0x20
#define APIC_VERSION     0x30
#define APIC_TPR         0x80
#define APIC_PPR         0xa0
#define APIC_EOI         0xb0
#define APIC_LDR         0xd0
#define APIC_DFR         0xe0
#define APIC_SVR         0xf0
#define APIC_ISR         0x100
#define APIC_TMR         0x180
#define APIC_IRR         0x200
#define APIC_ESR         0x280
#define APIC_ICR         0x300
#define APIC_ICR_HIGH    0x310
#define APIC_LVT_TIMER   0x320
#define APIC_LVT_LINT0   0x350
#define APIC_LVT_LINT1   0x360
#define APIC_LVT_ERROR   0x370
#define APIC_COUNT       0x380
#define APIC_CURRENT     0x390
#define APIC_DIVIDE      0x3e0
#define APIC_MASKED      0x10000u
#define MSR_APIC_BASE    0x1bu
#define MSR_TSC_DEADLINE 0x6e0u

extern bool lapic_x2;
uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t value);
void lapic_enable(void); /* SVR 0x1ff, TPR 0 */
void lapic_ipi(uint32_t destination, uint32_t low);
bool lapic_bit(unsigned group, unsigned vector); /* in APIC_ISR, APIC_TMR or APIC_IRR */

uint32_t ioapic_read(unsigned reg);
void ioapic_write(unsigned reg, uint32_t value);
void ioapic_set(unsigned pin, uint64_t entry);
#define IOAPIC_LEVEL  0x8000u
#define IOAPIC_MASKED 0x10000u

void pic_mask(uint8_t first, uint8_t second); /* bits that are set: masked */
void pit_program(unsigned channel, unsigned mode, uint16_t count);

/* --- other CPUs (64-bit guests) --- */

#define MAX_CPUS 16
/* Starts CPUs 1 to count-1 by INIT and SIPI and waits for them. Whether all came. */
bool smp_start(unsigned count);
extern volatile uint32_t cpus_up;
unsigned cpu_id(void);
/* Gives a CPU that idles something to do; cpu_wait(): until it is done. */
void cpu_run(unsigned cpu, void (*function)(void *), void *argument);
bool cpu_wait(unsigned cpu, unsigned ms);

/* --- paging of 64-bit guests: the first 4 GiB 1:1 by 2 MiB pages --- */

extern uint64_t boot_pd[4 * 512];
extern uint64_t boot_pml4[512], boot_pdpt[512];

/* A repeatable generator (xorshift). */
uint64_t random_next(uint64_t *state);

#endif
