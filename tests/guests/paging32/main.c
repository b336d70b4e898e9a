// SPDX-License-Identifier: Apache-2.0
// 32-bit code without paging, with two-level tables (4 KiB and 4 MiB pages) and with PAE: RAM, page faults,
// and memory-mapped devices under each; 16-bit protected mode.
#include "tests/guests/runtime/guest.h"

#define LAPIC 0xfee00000u
#define FAR   0x40000000u /* mapped to something else in each mode */

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));
static uint64_t pdpt[4] __attribute__((aligned(4096)));
static uint64_t pae[4][512] __attribute__((aligned(4096)));
static uint64_t pae_table[512] __attribute__((aligned(4096)));
static uint32_t page[1024] __attribute__((aligned(4096)));

static void read_at(void *address) {
    (void)*(volatile uint32_t *)address;
}
static void write_at(void *address) {
    *(volatile uint32_t *)address = 0x12345678;
}

static void check_devices(uint32_t lapic) {
    check_equal(*mmio32(lapic + APIC_VERSION) & 0xff, 0x14, "a read of the local APIC");
    *mmio32(lapic + APIC_TPR) = 0x42;
    check_equal(*mmio32(lapic + APIC_TPR), 0x42, "a write");
    uint32_t value = 0x20;
    __asm__ volatile("addl %0, (%1)" ::"r"(value), "r"(lapic + APIC_TPR) : "memory", "cc");
    check_equal(*mmio32(lapic + APIC_TPR), 0x62, "ADD to memory");
    __asm__ volatile("xchgl %0, (%1)" : "+r"(value) : "r"(lapic + APIC_TPR) : "memory");
    check_equal(value, 0x62, "XCHG");
    uint32_t from = 0xb0000000, to = (uint32_t)page, count = 4;
    __asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    check_equal(page[0], 0x29c08086, "REP MOVS from ECAM");
    __asm__ volatile("pushl (%1); popl %0" : "=r"(value) : "r"(0xb0000000) : "memory");
    check_equal(value, 0x29c08086, "PUSH from memory");
    *mmio32(lapic + APIC_TPR) = 0;
    uint32_t before = irq_count[0x40];
    lapic_ipi(0, 0x4040);
    __asm__ volatile("sti; nop; nop; cli" ::: "memory");
    check_equal(irq_count[0x40], before + 1, "an interrupt");
}

static void check_faults(void) {
    check_equal(guest_try(read_at, (void *)(FAR + 0x1000)), VECTOR_PF, "#PF where nothing is mapped");
    check_equal(fault.cr2, FAR + 0x1000, "CR2");
    check_equal(fault.error, 0, "error code: read");
    check_equal(guest_try(write_at, (void *)(FAR + 0x2000)), VECTOR_PF,
                "#PF for a write to a read-only page");
    check_equal(fault.error, 3, "error code: write, present");
    check_equal(guest_try(write_at, (void *)(FAR + 0x1ffe)), VECTOR_PF, "#PF for a write across pages");
    check_equal(fault.cr2, FAR + 0x1ffe, "CR2 is the first page that fails");
    check_equal(guest_try(read_at, (void *)(FAR + 0xffe)), VECTOR_PF, "#PF for a read across pages");
    check_equal(fault.cr2, FAR + 0x1000, "CR2 is the second page");
}

/* FAR: page 0 is `page`, 1 nothing, 2 `page` read-only, 3 the local APIC, 4 ECAM. */
static void check_two_level(void) {
    print("--- two levels\n");
    for (uint32_t i = 0; i < 1024; i++)
        directory[i] = i << 22 | 0x83;
    directory[FAR >> 22] = (uint32_t)table | 3;
    table[0] = (uint32_t)page | 3;
    table[2] = (uint32_t)page | 1;
    table[3] = LAPIC | 3;
    WRITE_CR(4, READ_CR(4) | 0x10);
    WRITE_CR(3, directory);
    WRITE_CR(0, READ_CR(0) | 0x80010000);
    *(volatile uint32_t *)FAR = 0xcafe;
    check_equal(page[0], 0xcafe, "4 KiB pages");
    check_equal(table[0] & 0x60, 0x60, "accessed and dirty bits");
    check_equal(directory[(uint32_t)page >> 22] & 0x20, 0x20, "accessed bit of a 4 MiB page");
    check_faults();
    check_devices(LAPIC);
    check_devices(FAR + 0x3000);
    /* A 4 MiB page above 4 GiB is not for this guest; without PSE the bit means nothing. */
    WRITE_CR(0, READ_CR(0) & ~0x80010000u);
    WRITE_CR(4, READ_CR(4) & ~0x10u);
}

static void check_pae(void) {
    print("--- PAE\n");
    for (uint64_t gib = 0; gib < 4; gib++) {
        pdpt[gib] = (uint32_t)pae[gib] | 1;
        for (uint64_t i = 0; i < 512; i++)
            pae[gib][i] = gib << 30 | i << 21 | 0x83;
    }
    pae[1][0] = (uint32_t)pae_table | 3;
    pae_table[0] = (uint32_t)page | 3;
    pae_table[2] = (uint32_t)page | 1;
    pae_table[3] = LAPIC | 3;
    WRITE_CR(4, READ_CR(4) | 0x20);
    WRITE_CR(3, pdpt);
    WRITE_CR(0, READ_CR(0) | 0x80010000);
    *(volatile uint32_t *)FAR = 0xbeef;
    check_equal(page[0], 0xbeef, "4 KiB pages");
    check_equal(pae_table[0] & 0x60, 0x60, "accessed and dirty bits");
    check_faults();
    check_devices(LAPIC);
    check_devices(FAR + 0x3000);
    WRITE_CR(0, READ_CR(0) & ~0x80010000u);
    WRITE_CR(4, READ_CR(4) & ~0x20u);
}

/* 16-bit code and data segments at the page that holds the code; 32-bit addresses by prefix. */
static void check_16bit(void) {
    print("--- 16-bit segments\n");
    uint32_t version = 0, ports = 0;
    __asm__ volatile("ljmpl $0x48, $1f - 0x100000\n"
                     ".code16\n"
                     "1: movl $0xfee00030, %%ebx\n"
                     "addr32 movl (%%ebx), %%eax\n"
                     "movw $0xcfc, %%dx\n"
                     "movl %%eax, %%ecx\n"
                     "inw %%dx, %%ax\n"
                     "movzwl %%ax, %%eax\n"
                     "ljmpl $0x08, $2f\n"
                     ".code32\n"
                     "2:"
                     : "=c"(version), "=a"(ports)::"ebx", "edx", "memory");
    check_equal(version & 0xff, 0x14, "a read of the local APIC");
    check_equal(ports, 0x8086, "IN");
}

void guest_main(void) {
    extern uint64_t gdt[];

    lapic_enable();
    out32(0xcf8, 0x80000000);
    print("--- no paging\n");
    check_devices(LAPIC);
    check_two_level();
    check_pae();
    gdt[9] |= 0x100000ull << 16; /* the 16-bit code segment's base */
    check_16bit();
}
