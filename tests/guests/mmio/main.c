// SPDX-License-Identifier: Apache-2.0
// Instructions of all kinds on memory that is no RAM: ECAM for reads, the local APIC's TPR and the I/O APIC's
// index for writes; across pages, strings, SSE, stack.
#include "tests/guests/runtime/guest.h"

#define ECAM 0xb0000000ull
#define TPR  0xfee00080ull
#define ID   0x29c08086ull /* of the host bridge */
#define HOLE 0xd0000000ull

static uint64_t buffer[16] __attribute__((aligned(16)));

uint64_t buffer_word;

static uint32_t tpr(void) {
    return lapic_read(APIC_TPR);
}
static void set_tpr(uint32_t value) {
    lapic_write(APIC_TPR, value);
}

#define LOAD(instruction, type)                                                                              \
    ({                                                                                                       \
        type value_ = 0;                                                                                     \
        __asm__ volatile(instruction : "+r"(value_) : "r"(ECAM) : "memory", "cc");                           \
        (uint64_t) value_;                                                                                   \
    })

static void check_loads(void) {
    check_equal(LOAD("movb (%1), %b0", uint32_t), 0x86, "MOV 8");
    check_equal(LOAD("movw (%1), %w0", uint32_t), 0x8086, "MOV 16");
    check_equal(LOAD("movl (%1), %k0", uint64_t), ID, "MOV 32");
    /* ECAM answers up to 32 bits; wider accesses read all ones. */
    check_equal(LOAD("movq (%1), %0", uint64_t), UINT64_MAX, "MOV 64");
    check_equal(LOAD("movzbl (%1), %k0", uint64_t), 0x86, "MOVZX 8");
    check_equal(LOAD("movzwl (%1), %k0", uint64_t), 0x8086, "MOVZX 16");
    check_equal(LOAD("movsbl (%1), %k0", uint32_t), 0xffffff86, "MOVSX 8 to 32");
    check_equal(LOAD("movsbq (%1), %0", uint64_t), 0xffffffffffffff86, "MOVSX 8 to 64");
    check_equal(LOAD("movswq (%1), %0", uint64_t), 0xffffffffffff8086, "MOVSX 16 to 64");
    check_equal(LOAD("movslq (%1), %0", uint64_t), ID, "MOVSXD");
    check_equal(LOAD("addl (%1), %k0", uint64_t), ID, "ADD from memory");
    check_equal(LOAD("orl (%1), %k0", uint64_t), ID, "OR from memory");
    check_equal(LOAD("notl %k0; andl (%1), %k0", uint64_t), ID, "AND from memory");
    check_equal(LOAD("subl (%1), %k0", uint32_t), (uint32_t)-ID, "SUB from memory");
    check_equal(LOAD("movl $3, %k0; imull (%1), %k0", uint64_t), (uint32_t)(3 * ID), "IMUL from memory");
    check_equal(LOAD("imull $5, (%1), %k0", uint64_t), (uint32_t)(5 * ID), "IMUL with an immediate");
    check_equal(LOAD("popcnt (%1), %k0", uint64_t), (unsigned)__builtin_popcount(ID), "POPCNT");
    check_equal(LOAD("bsfl (%1), %k0", uint64_t), 1, "BSF");
    check_equal(LOAD("bsrl (%1), %k0", uint64_t), 29, "BSR");
    check_equal(LOAD("btl $15, (%1); setc %b0", uint32_t), 1, "BT with an immediate");
    check_equal(LOAD("movl $39, %k0; btl %k0, -4(%1); setc %b0; movzbl %b0, %k0", uint32_t), 1,
                "BT beyond the operand");
    check_equal(LOAD("cmpl $0x29c08086, (%1); sete %b0", uint32_t), 1, "CMP");
    check_equal(LOAD("testl $0x20000000, (%1); setnz %b0", uint32_t), 1, "TEST");
    check_equal(LOAD("movl $7, %k0; cmp %1, %1; cmovel (%1), %k0", uint64_t), ID, "CMOV taken");
    check_equal(LOAD("movl $7, %k0; cmp %1, %1; cmovnel (%1), %k0", uint64_t), 7, "CMOV not taken");
    check_equal(LOAD("pushw (%1); popw %w0", uint32_t), 0x8086, "PUSH from memory");
    uint64_t value;
    __asm__ volatile("movabsl 0xb0000000, %%eax" : "=a"(value)::"memory");
    check_equal(value & 0xffffffff, ID, "MOV from an absolute address");
    uint32_t low = ID & 0xffff, high;
    __asm__ volatile("mulw (%2)" : "+a"(low), "=d"(high) : "r"(ECAM) : "memory", "cc");
    check_equal((high << 16 | (low & 0xffff)) & 0xffffffff, 0x8086u * 0x8086u, "MUL");
    uint32_t dividend = 0x1234567, rest = 0;
    __asm__ volatile("divl (%2)" : "+a"(dividend), "+d"(rest) : "r"(ECAM) : "memory", "cc");
    check(dividend == 0x1234567 / ID && rest == 0x1234567 % ID, "DIV");
}

static void check_sse(void) {
    buffer[0] = buffer[1] = 0;
    __asm__ volatile("movups (%0), %%xmm1; movups %%xmm1, (%1)" ::"r"(ECAM), "r"(buffer) : "memory");
    check(buffer[0] == UINT64_MAX && buffer[1] == UINT64_MAX, "MOVUPS");
    buffer[0] = buffer[1] = 0;
    __asm__ volatile("movdqa (%0), %%xmm2; movdqa %%xmm2, (%1)" ::"r"(HOLE), "r"(buffer) : "memory");
    check(buffer[0] == UINT64_MAX && buffer[1] == UINT64_MAX, "MOVDQA");
    __asm__ volatile("movdqa %%xmm2, (%0); movntdq %%xmm2, (%0)" ::"r"(HOLE) : "memory");
    __asm__ volatile("movd (%1), %%xmm0; movd %%xmm0, %k0" : "=r"(buffer[0]) : "r"(ECAM) : "memory");
    check_equal((uint32_t)buffer[0], ID, "MOVD");
    __asm__ volatile("movq (%1), %%xmm0; movups %%xmm0, %0"
                     : "=m"(*(struct { uint64_t q[2]; } *)buffer)
                     : "r"(HOLE));
    check(buffer[0] == UINT64_MAX && buffer[1] == 0, "MOVQ clears the upper half");
    set_tpr(0);
    buffer[0] = 0x50;
    __asm__ volatile("movd (%0), %%xmm0; movd %%xmm0, (%1)" ::"r"(buffer), "r"(TPR) : "memory");
    check_equal(tpr(), 0x50, "MOVD to memory");
}

#define MODIFY(start, instruction, expected, name)                                                           \
    do {                                                                                                     \
        set_tpr(start);                                                                                      \
        __asm__ volatile(instruction ::"r"(TPR) : "memory", "cc", "rax", "rcx");                             \
        check_equal(tpr(), expected, name);                                                                  \
    } while (0)

static void check_modifies(void) {
    MODIFY(0x10, "movl $0x20, (%0)", 0x20, "MOV immediate");
    MODIFY(0x10, "addl $0x21, (%0)", 0x31, "ADD");
    MODIFY(0x30, "subl $0x10, (%0)", 0x20, "SUB");
    MODIFY(0x33, "andl $0xf0, (%0)", 0x30, "AND");
    MODIFY(0x30, "orl $5, (%0)", 0x35, "OR");
    MODIFY(0x30, "xorl $0xff, (%0)", 0xcf, "XOR");
    MODIFY(0x30, "incl (%0)", 0x31, "INC");
    MODIFY(0x30, "decl (%0)", 0x2f, "DEC");
    MODIFY(0x0f, "notl (%0)", 0xf0, "NOT");
    MODIFY(0x01, "negl (%0)", 0xff, "NEG");
    MODIFY(0x11, "shll $2, (%0)", 0x44, "SHL");
    MODIFY(0x44, "shrl $2, (%0)", 0x11, "SHR");
    MODIFY(0x11, "rorl $28, (%0)", 0x10, "ROR");
    MODIFY(0x10, "stc; adcl $2, (%0)", 0x13, "ADC");
    MODIFY(0x10, "stc; sbbl $2, (%0)", 0x0d, "SBB");
    MODIFY(0x10, "btsl $0, (%0)", 0x11, "BTS");
    MODIFY(0x11, "btrl $4, (%0)", 0x01, "BTR");
    MODIFY(0x11, "btcl $5, (%0)", 0x31, "BTC");
    MODIFY(0x10, "lock orl $3, (%0)", 0x13, "LOCK OR");
    MODIFY(0x10, "movl $0x77, %%eax; xchgl %%eax, (%0); movl %%eax, (%0)", 0x10, "XCHG, twice");
    MODIFY(0x10, "movl $0x07, %%eax; lock xaddl %%eax, (%0); addl $1, %%eax; addl %%eax, (%0)", 0x28, "XADD");
    MODIFY(0x10, "movl $0x10, %%eax; movl $0x44, %%ecx; lock cmpxchgl %%ecx, (%0)", 0x44, "CMPXCHG, equal");
    MODIFY(0x10, "movl $0x11, %%eax; movl $0x44, %%ecx; lock cmpxchgl %%ecx, (%0); addl %%eax, (%0)", 0x20,
           "CMPXCHG, not equal");
    MODIFY(0x10, "stc; sbbl %%eax, %%eax; andl $0x66, %%eax; movl %%eax, (%0)", 0x66, "MOV from a register");
    MODIFY(0x10, "movl $0x29, %%eax; .byte 0xa3; .quad 0xfee00080", 0x29, "MOV to an absolute address");
    MODIFY(0x10, "pushq $0x3b; popq buffer_word; movl buffer_word, %%eax; movl %%eax, (%0)", 0x3b,
           "by way of the stack");
    set_tpr(0);
}

static void check_strings(void) {
    uint64_t from = ECAM, to = (uint64_t)buffer, count = 4;
    const uint32_t *words = (const uint32_t *)buffer;
    __asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    bool same = true;
    for (unsigned i = 0; i < 4; i++)
        same = same && words[i] == *mmio32(ECAM + 4 * i);
    check(same && from == ECAM + 16 && to == (uint64_t)buffer + 16 && count == 0, "REP MOVS from ECAM");
    from = ECAM + 3, to = (uint64_t)buffer + 3, count = 4;
    __asm__ volatile("std; rep movsb; cld" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    check(words[0] == ID && from == ECAM - 1 && count == 0, "REP MOVS backwards");
    to = HOLE, count = 100;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0x5555555555555555) : "memory");
    check(to == HOLE + 800 && count == 0, "REP STOS to where nothing is");
    to = TPR, count = 1;
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0x40) : "memory");
    check_equal(tpr(), 0x40, "STOS");
    buffer[0] = 0x60;
    from = (uint64_t)buffer, to = TPR, count = 1;
    __asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    check_equal(tpr(), 0x60, "MOVS to the local APIC");
    set_tpr(0);
    uint64_t value = 0;
    from = ECAM;
    __asm__ volatile("lodsl" : "+S"(from), "+a"(value)::"memory");
    check(value == ID && from == ECAM + 4, "LODS");
    for (unsigned i = 0; i < 4; i++)
        ((uint32_t *)buffer)[i] = *mmio32(ECAM + 4 * i);
    ((uint8_t *)buffer)[9] ^= 1;
    from = ECAM, to = (uint64_t)buffer, count = 16;
    __asm__ volatile("repe cmpsb" : "+S"(from), "+D"(to), "+c"(count)::"memory", "cc");
    check_equal(count, 6, "REPE CMPS stops where they differ");
    to = ECAM, count = 16;
    __asm__ volatile("repne scasb" : "+D"(to), "+c"(count) : "a"(0x29) : "memory", "cc");
    check(to == ECAM + 4 && count == 12, "REPNE SCAS finds a byte");
    from = ECAM, to = (uint64_t)buffer, count = 0;
    buffer[0] = 0x77;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    check(buffer[0] == 0x77 && from == ECAM, "REP with a count of 0");
    /* I/O strings. */
    to = (uint64_t)buffer, count = 8;
    out32(0xcf8, 0x80000000);
    __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(0xcfc) : "memory");
    check(words[0] == ID && words[7] == ID && count == 0, "REP INS");
    from = (uint64_t) "ok REP OUTS\r\n", count = 13;
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0x3f8) : "memory");
    check_equal(count, 0, "REP OUTS, and its line above");
}

static void check_crossing(void) {
    uint64_t ram_end = 16 << 20;
    *(volatile uint32_t *)(ram_end - 4) = 0x11223344;
    check_equal(*(volatile uint64_t *)(ram_end - 4), 0xffffffff11223344, "a read from RAM into nothing");
    *(volatile uint64_t *)(ram_end - 4) = 0x5555555566778899;
    check_equal(*(volatile uint32_t *)(ram_end - 4), 0x66778899, "a write from RAM into nothing");
    check_equal(*(volatile uint64_t *)(ram_end - 3), 0xffffffffff667788, "and misaligned");
    check_equal(*(volatile uint32_t *)(ECAM + 0xffe), 0xffff0000 | *(volatile uint16_t *)(ECAM + 0xffe),
                "from one function's page into an absent one's");
    uint64_t from = ram_end - 8, to = (uint64_t)buffer, count = 16;
    *(volatile uint32_t *)(ram_end - 8) = 0xaabbccdd;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    check(buffer[0] == 0x66778899aabbccdd && buffer[1] == UINT64_MAX, "REP MOVS from RAM into nothing");
    __asm__ volatile("movups -8(%0), %%xmm0; movups %%xmm0, (%1)" ::"r"(ram_end), "r"(buffer) : "memory");
    check(buffer[0] == 0x66778899aabbccdd && buffer[1] == UINT64_MAX, "MOVUPS across the end of RAM");
    check_equal(*mmio32(0xc0000), 0, "0xC0000 is RAM without firmware");
    check_equal(*mmio32(0xa0000), 0xffffffff, "0xA0000 is nothing");
    *mmio32(0xa0000) = 0;
    check_equal(*mmio32(0xa0000), 0xffffffff, "and keeps nothing");
}

static void fetch(void *address) {
    __asm__ volatile("call *%0" ::"r"(address));
}

void guest_main(void) {
    lapic_enable();
    check_loads();
    check_sse();
    check_modifies();
    check_strings();
    check_crossing();
    if (guest_option("fetch")) /* ends the guest */
        guest_try(fetch, (void *)HOLE);
}
