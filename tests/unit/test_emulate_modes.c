// SPDX-License-Identifier: Apache-2.0
// The emulator's modes: real, virtual-8086, 16- and 32-bit protected, compatibility, 64-bit; segments,
// stacks, fetches, lengths.
// unit-sources: arch/x86/emulate/*.c
#include "tests/unit/emulate_mock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct mock mock;
static uint64_t *const gpr = mock.registers.gpr;

static void expect_fault(enum emulate_result result, unsigned vector, uint32_t error) {
    assert_int_equal(result, EMULATE_FAULT);
    assert_int_equal(mock.emulate.fault.vector, vector);
    assert_int_equal(mock.emulate.fault.error, error);
}
static struct x86_segment *segment(unsigned name) {
    return &mock.system.segment[name];
}

static void real_mode(void **unused) {
    (void)unused;
    mock_reset(&mock, 16);
    segment(X86_DS)->base = 0x20000;
    segment(X86_SS)->base = 0x30000;
    segment(X86_ES)->base = 0x40000;
    segment(X86_CS)->base = 0x10000;
    gpr[X86_RAX] = 0xaaaaaaaa11112222ull;
    gpr[X86_RBX] = 0xffff0010, gpr[X86_RSI] = 0x123, gpr[X86_RBP] = 0x200;
    assert_int_equal(RUN(&mock, "\x89\x40\xf0"), EMULATE_OK); /* mov [bx+si-16], ax */
    assert_int_equal(mock_load(&mock, 0x20123, 4), 0x2222);
    assert_int_equal(RUN(&mock, "\x66\x89\x46\x04"), EMULATE_OK); /* mov [bp+4], eax: by SS */
    assert_int_equal(mock_load(&mock, 0x30204, 4), 0x11112222);
    assert_int_equal(RUN(&mock, "\x26\x88\x26\x34\x12"), EMULATE_OK); /* mov es:[0x1234], ah */
    assert_int_equal(mock_load(&mock, 0x41234, 1), 0x22);
    gpr[X86_RBX] = 0x20;
    assert_int_equal(RUN(&mock, "\x67\x66\x89\x03"), EMULATE_OK); /* mov [ebx], eax */
    assert_int_equal(mock_load(&mock, 0x20020, 4), 0x11112222);
    assert_int_equal(RUN(&mock, "\xa3\x00\x50"), EMULATE_OK); /* mov [0x5000], ax */
    assert_int_equal(mock_load(&mock, 0x25000, 2), 0x2222);
    /* The offset wraps at 64 KB; an operand must not reach over it, and faults push no error code. */
    gpr[X86_RBX] = 0xfff0, gpr[X86_RSI] = 0x20;
    assert_int_equal(RUN(&mock, "\x89\x00"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x20010, 2), 0x2222);
    gpr[X86_RSI] = 0xf;
    expect_fault(RUN(&mock, "\x89\x00"), 13, 0);
    assert_false(mock.emulate.fault.has_error);
    gpr[X86_RBP] = 0xffff;
    expect_fault(RUN(&mock, "\x89\x46\x00"), 12, 0);
    gpr[X86_RBX] = 0x10000;
    expect_fault(RUN(&mock, "\x67\x89\x03"), 13, 0);
    segment(X86_DS)->limit = 0xffffffff; /* unreal mode */
    assert_int_equal(RUN(&mock, "\x67\x89\x03"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x30000, 2), 0x2222);
    /* Code segments are writable here. */
    assert_int_equal(RUN(&mock, "\x2e\xc6\x06\x00\x90\x5a"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x19000, 1), 0x5a);
    /* String instructions use SI, DI and CX and keep the upper halves. */
    gpr[X86_RSI] = 0xbbbb0000, gpr[X86_RDI] = 0xcccc0010, gpr[X86_RCX] = 0xdddd0003;
    mock_store(&mock, 0x20000, 0x030201, 3);
    assert_int_equal(RUN(&mock, "\xf3\xa4"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x40010, 4), 0x030201);
    assert_int_equal(gpr[X86_RSI], 0xbbbb0003);
    assert_int_equal(gpr[X86_RCX], 0xdddd0000);
    /* Segment registers load their base and nothing else. */
    gpr[X86_RAX] = 0x1234;
    assert_int_equal(RUN(&mock, "\x8e\xd8"), EMULATE_OK); /* mov ds, ax */
    assert_int_equal(segment(X86_DS)->base, 0x12340);
    assert_int_equal(segment(X86_DS)->limit, 0xffffffff);
    assert_false(mock.emulate.interrupt_shadow);
    assert_int_equal(RUN(&mock, "\x8e\xd0"), EMULATE_OK); /* mov ss, ax */
    assert_true(mock.emulate.interrupt_shadow);
    assert_int_equal(RUN(&mock, "\x8c\xd3"), EMULATE_OK);
    assert_false(mock.emulate.interrupt_shadow);
    assert_int_equal(gpr[X86_RBX] & 0xffff, 0x1234);
    expect_fault(RUN(&mock, "\x8e\xc8"), 6, 0); /* mov cs, ax */
    expect_fault(RUN(&mock, "\x8c\xf0"), 6, 0);
    /* Code ends where CS does. */
    mock.registers.rip = 0xfffe;
    expect_fault(RUN(&mock, "\xa3\x00\x50"), 13, 0);
    mock.registers.rip = 0xfffd;
    assert_int_equal(RUN(&mock, "\xa3\x00\x50"), EMULATE_OK);
    assert_int_equal(mock.registers.rip, 0x10000);
    expect_fault(emulate_one(&mock.emulate), 13, 0);
}

static void stacks(void **unused) {
    (void)unused;
    mock_reset(&mock, 16);
    segment(X86_SS)->base = 0x30000;
    gpr[X86_RSP] = 0xaaaa0000;
    assert_int_equal(RUN(&mock, "\x68\x34\x12"),
                     EMULATE_OK); /* push 0x1234: SP wraps, the upper half stays */
    assert_int_equal(gpr[X86_RSP], 0xaaaafffe);
    assert_int_equal(mock_load(&mock, 0x3fffe, 2), 0x1234);
    assert_int_equal(RUN(&mock, "\x66\x6a\xff"), EMULATE_OK); /* push dword -1 */
    assert_int_equal(gpr[X86_RSP], 0xaaaafffa);
    assert_int_equal(mock_load(&mock, 0x3fffa, 4), 0xffffffff);
    assert_int_equal(RUN(&mock, "\x66\x5b"), EMULATE_OK); /* pop ebx */
    assert_int_equal(gpr[X86_RBX], 0xffffffff);
    assert_int_equal(RUN(&mock, "\x59"), EMULATE_OK);
    assert_int_equal(gpr[X86_RCX], 0x1234);
    assert_int_equal(gpr[X86_RSP], 0xaaaa0000);
    gpr[X86_RSP] = 1;
    expect_fault(RUN(&mock, "\x50"), 12, 0); /* two bytes at 0xffff */
    mock_reset(&mock, 32);
    segment(X86_SS)->attributes = 0x93; /* 32-bit code on a 16-bit stack */
    segment(X86_SS)->limit = 0xffff;
    gpr[X86_RSP] = 0xbbbb8000, gpr[X86_RAX] = 0x11223344;
    assert_int_equal(RUN(&mock, "\x50"), EMULATE_OK);
    assert_int_equal(gpr[X86_RSP], 0xbbbb7ffc);
    assert_int_equal(mock_load(&mock, 0x7ffc, 4), 0x11223344);
    /* CALL and JMP by memory. */
    mock_reset(&mock, 32);
    mock_store(&mock, 0x5000, 0x2000, 4);
    gpr[X86_RBX] = 0x5000;
    assert_int_equal(RUN(&mock, "\xff\x13"), EMULATE_OK); /* call [ebx] */
    assert_int_equal(mock.registers.rip, 0x2000);
    assert_int_equal(mock_load(&mock, 0x7ffc, 4), 0x1002);
    segment(X86_CS)->limit = 0x2fff;
    mock_store(&mock, 0x5000, 0x3000, 4);
    expect_fault(RUN(&mock, "\xff\x13"), 13, 0);
    assert_int_equal(gpr[X86_RSP], 0x7ffc);
    assert_int_equal(mock.registers.rip, 0x2000);
    mock_store(&mock, 0x5000, 0xaaaa2ffe, 4);
    assert_int_equal(RUN(&mock, "\x66\xff\x23"), EMULATE_OK); /* jmp word [ebx] */
    assert_int_equal(mock.registers.rip, 0x2ffe);
    mock_reset(&mock, 64);
    mock_store(&mock, 0x5000, 1ull << 47, 8);
    gpr[X86_RBX] = 0x5000;
    expect_fault(RUN(&mock, "\xff\x23"), 13, 0); /* not canonical */
    mock_store(&mock, 0x5000, 0xffff800000000000ull, 8);
    mock.registers.rflags = 0x10002;
    assert_int_equal(RUN(&mock, "\xff\x23"), EMULATE_OK);
    assert_int_equal(mock.registers.rip, 0xffff800000000000ull);
    assert_int_equal(mock.registers.rflags, 2);
    assert_false(mock.emulate.debug_trap);
    mock.registers.rip = 0x1000;
    mock.registers.rflags = 0x102;
    assert_int_equal(RUN(&mock, "\xff\x23"), EMULATE_OK);
    assert_true(mock.emulate.debug_trap);
    mock_reset(&mock, 64);
    expect_fault(RUN(&mock, "\xfe\xd0"), 6, 0);
    expect_fault(RUN(&mock, "\xff\xf8"), 6, 0);
    assert_int_equal(RUN(&mock, "\xff\x1b"), EMULATE_UNHANDLED); /* far call */
}

static void virtual_8086(void **unused) {
    (void)unused;
    mock_reset(&mock, 86);
    segment(X86_DS)->base = 0x20000;
    gpr[X86_RAX] = 0x2222;
    assert_int_equal(RUN(&mock, "\xa3\x00\x50"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x25000, 2), 0x2222);
    gpr[X86_RBX] = 0xffff;
    expect_fault(RUN(&mock, "\x89\x07"), 13, 0);
    assert_true(mock.emulate.fault.has_error); /* its handler runs in protected mode */
    assert_int_equal(RUN(&mock, "\x8e\xd8"), EMULATE_OK);
    assert_int_equal(segment(X86_DS)->base, 0x22220);
    assert_int_equal(RUN(&mock, "\xc5\xc1\x00"), EMULATE_FAULT); /* LDS by register: no VEX here */
    assert_int_equal(mock.emulate.fault.vector, 6);
}

static void segments(void **unused) {
    (void)unused;
    mock_reset(&mock, 32);
    segment(X86_DS)->base = 0xfffff000u; /* linear addresses wrap at 4 GB */
    gpr[X86_RBX] = 0x6004, gpr[X86_RAX] = 0x11223344;
    assert_int_equal(RUN(&mock, "\x89\x03"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x5004, 4), 0x11223344);
    segment(X86_DS)->limit = 0xffff; /* also within an operand */
    gpr[X86_RBX] = 0xffe;
    assert_int_equal(RUN(&mock, "\x89\x03"), EMULATE_OK);
    assert_int_equal(mock.log[0].address, 0xfffffffe);
    assert_int_equal(mock.log[0].value, 0x3344);
    assert_int_equal(mock_load(&mock, 0, 4), 0x1122);
    gpr[X86_RBX] = 0x6004;
    segment(X86_DS)->limit = 0x6006;
    expect_fault(RUN(&mock, "\x89\x03"), 13, 0);
    assert_true(mock.emulate.fault.has_error);
    assert_int_equal(RUN(&mock, "\x66\x89\x03"), EMULATE_OK);
    segment(X86_DS)->attributes = 0xc91; /* read-only */
    expect_fault(RUN(&mock, "\x66\x89\x03"), 13, 0);
    assert_int_equal(RUN(&mock, "\x66\x8b\x03"), EMULATE_OK);
    segment(X86_DS)->attributes = 0xc9b; /* readable code */
    assert_int_equal(RUN(&mock, "\x66\x8b\x03"), EMULATE_OK);
    expect_fault(RUN(&mock, "\x66\x89\x03"), 13, 0);
    segment(X86_DS)->attributes = 0xc99; /* execute-only */
    expect_fault(RUN(&mock, "\x66\x8b\x03"), 13, 0);
    segment(X86_DS)->attributes = 0; /* null selector */
    expect_fault(RUN(&mock, "\x66\x8b\x03"), 13, 0);
    /* Expand-down: offsets above the limit, up to 64 KB or 4 GB. */
    segment(X86_ES)->attributes = 0x97;
    segment(X86_ES)->limit = 0x5fff;
    gpr[X86_RBX] = 0x5fff;
    expect_fault(RUN(&mock, "\x26\x8a\x03"), 13, 0);
    gpr[X86_RBX] = 0x6000;
    assert_int_equal(RUN(&mock, "\x26\x8b\x03"), EMULATE_OK);
    gpr[X86_RBX] = 0xfffd;
    expect_fault(RUN(&mock, "\x26\x8b\x03"), 13, 0);
    segment(X86_ES)->attributes |= X86_SEG_DB;
    assert_int_equal(RUN(&mock, "\x26\x8b\x03"), EMULATE_OK);
    /* EBP and ESP go by SS, and fault as SS. */
    segment(X86_SS)->limit = 0x7fff;
    gpr[X86_RBP] = 0x8000;
    expect_fault(RUN(&mock, "\x8b\x45\x00"), 12, 0);
    gpr[X86_RSP] = 0x8000;
    expect_fault(RUN(&mock, "\x8b\x04\x24"), 12, 0);
    expect_fault(RUN(&mock, "\x58"), 12, 0);
    /* 64-bit mode: bases of FS and GS alone, no limits, canonical addresses. */
    mock_reset(&mock, 64);
    for (unsigned i = 0; i < X86_GS; i++)
        segment(i)->base = 0x10000, segment(i)->limit = i == X86_CS ? 0 : 1;
    segment(X86_GS)->base = 0x20000;
    segment(X86_CS)->base = 0;
    gpr[X86_RBX] = 0x6000, gpr[X86_RAX] = 1;
    assert_int_equal(RUN(&mock, "\x3e\x89\x03"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x6000, 4), 1);
    assert_int_equal(RUN(&mock, "\x65\x89\x03"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x26000, 4), 1);
    gpr[X86_RBX] = 0x7ffffffffffcull;
    assert_int_equal(RUN(&mock, "\x89\x03"), EMULATE_OK);
    gpr[X86_RBX] = 0x7ffffffffffdull; /* the last byte is beyond */
    expect_fault(RUN(&mock, "\x89\x03"), 13, 0);
    gpr[X86_RBP] = 0x800000000000ull;
    expect_fault(RUN(&mock, "\x89\x45\x00"), 12, 0);
    mock.system.cr4 |= 0x1000; /* with 57-bit addresses it is fine */
    assert_int_equal(RUN(&mock, "\x89\x45\x00"), EMULATE_OK);
    expect_fault(RUN(&mock, "\x65\xa3\x00\x00\x00\x00\x00\x00\x00\x01"), 13, 0);
    /* RIP-relative, with and without a 67 prefix. */
    mock_reset(&mock, 64);
    mock_store(&mock, 0x5000, 0x77, 4);
    assert_int_equal(RUN(&mock, "\x8b\x05\xfa\x3f\x00\x00"), EMULATE_OK);
    assert_int_equal(gpr[X86_RAX], 0x77);
    mock_store(&mock, 0x1234, 0, 4);
    assert_int_equal(RUN(&mock, "\xc7\x05\xf0\x3f\x00\x00\x34\x12\x00\x00"),
                     EMULATE_OK); /* the immediate counts as well */
    assert_int_equal(mock_load(&mock, 0x5000, 4), 0x1234);
    /* Compatibility mode: 32-bit code in long mode. */
    mock_reset(&mock, 48);
    gpr[X86_RBX] = 0xffffffff00006000ull;
    assert_int_equal(RUN(&mock, "\x48"), EMULATE_OK); /* dec eax */
    assert_int_equal(gpr[X86_RAX], 0xffffffff);
    assert_int_equal(mock.registers.rflags, 0x96); /* PF, AF, SF */
    gpr[X86_RAX] = 0xffff;
    mock.registers.rflags = 0x803;                        /* OF, CF */
    assert_int_equal(RUN(&mock, "\x66\x40"), EMULATE_OK); /* inc ax leaves CF */
    assert_int_equal(gpr[X86_RAX], 0);
    assert_int_equal(mock.registers.rflags, 0x57);
    gpr[X86_RAX] = 0xffffffff;
    assert_int_equal(RUN(&mock, "\x89\x03"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x6000, 4), 0xffffffff);
    mock.registers.rip = 0xfffffff0u; /* EIP stays 32 bits wide */
    memcpy(mock.emulate.bytes, "\xc7\x03\x01\x02\x03\x04\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x90", 15);
    mock.emulate.bytes_count = 15;
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
    emulate_skip(&mock.emulate, 12);
    assert_int_equal(mock.registers.rip, 2);
}

static void alignment(void **unused) {
    (void)unused;
    mock_reset(&mock, 64);
    gpr[X86_RBX] = 0x6002;
    mock.system.cr0 |= 0x40000;
    mock.registers.rflags |= 0x40000;
    assert_int_equal(RUN(&mock, "\x89\x03"), EMULATE_OK); /* CPL 0 */
    mock.system.cpl = 3;
    expect_fault(RUN(&mock, "\x89\x03"), 17, 0);
    assert_true(mock.emulate.fault.has_error);
    assert_int_equal(RUN(&mock, "\x66\x89\x03"), EMULATE_OK);
    expect_fault(RUN(&mock, "\x48\x89\x03"), 17, 0);
    assert_int_equal(RUN(&mock, "\x88\x03"), EMULATE_OK);
    assert_int_equal(RUN(&mock, "\x8d\x03"), EMULATE_OK); /* LEA makes no access */
    mock.registers.rflags &= ~0x40000ull;
    assert_int_equal(RUN(&mock, "\x89\x03"), EMULATE_OK);
}

static void decode(const char *code, unsigned length) {
    memcpy(mock.ram + mock.registers.rip, code, length);
    assert_int_equal(emulate_decode(&mock.emulate), EMULATE_OK);
}
#define DECODE(code) decode(code, sizeof(code) - 1)

static void fetches(void **unused) {
    (void)unused;
    /* Over a page end, to a page that is elsewhere, absent, not executable. */
    mock_reset(&mock, 64);
    mock.system.cr0 |= 0x80010000u;
    mock.system.cr4 |= 0x20;
    mock.system.efer |= 0x800;
    mock.system.cr3 = 0x10000;
    mock_store(&mock, 0x10000, 0x11007, 8);
    mock_store(&mock, 0x11000, 0x12007, 8);
    mock_store(&mock, 0x12000, 0x13007, 8);
    mock_store(&mock, 0x13000 + 8 * 0x40, 0x20007, 8);
    mock_store(&mock, 0x13000 + 8 * 0x41, 0x30007, 8);
    memcpy(mock.ram + 0x20ffd, "\xb8\x01\x02", 3);
    memcpy(mock.ram + 0x30000, "\x03\x04", 2);
    mock.registers.rip = 0x40ffd;
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
    assert_int_equal(gpr[X86_RAX], 0x04030201);
    mock_store(&mock, 0x13000 + 8 * 0x41, 0x30007 | 1ull << 63, 8);
    mock.registers.rip = 0x40ffd;
    expect_fault(emulate_one(&mock.emulate), 14, 0x11);
    assert_int_equal(mock.emulate.fault.cr2, 0x41000);
    mock_store(&mock, 0x13000 + 8 * 0x41, 0, 8);
    expect_fault(emulate_one(&mock.emulate), 14, 0x10);
    uint8_t peeked[8];
    assert_int_equal(emulate_peek(&mock.emulate, peeked, 8), 3);
    assert_memory_equal(peeked, "\xb8\x01\x02", 3);
    memcpy(mock.ram + 0x20ffd, "\xc5\xf8\x77", 3); /* nothing beyond the last byte is asked for */
    assert_int_equal(emulate_decode(&mock.emulate), EMULATE_OK);
    assert_int_equal(mock.emulate.instruction.length, 3);
    memcpy(mock.ram + 0x20ffd, "\x0f\x1f\x03", 3);
    assert_int_equal(emulate_decode(&mock.emulate), EMULATE_OK);
    memset(peeked, 0xaa, sizeof(peeked));
    mock.registers.rip = 0x40f00;
    assert_int_equal(emulate_peek(&mock.emulate, peeked, 4), 4);
    assert_int_equal(peeked[4], 0xaa);
    mock.registers.rip = 0x41000;
    assert_int_equal(emulate_peek(&mock.emulate, peeked, 8), 0);
    mock_store(&mock, 0x20ffd, 0xf4, 1); /* a short one at the very end needs no second page */
    mock.registers.rip = 0x40ffd;
    assert_int_equal(emulate_decode(&mock.emulate), EMULATE_OK);
    assert_int_equal(mock.emulate.instruction.length, 1);
    mock_store(&mock, 0x13000 + 8 * 0x40, 0xfeb00007, 8);
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_UNHANDLED); /* code in a device */
    mock.registers.rip = 1ull << 50;
    expect_fault(emulate_one(&mock.emulate), 13, 0);

    mock_reset(&mock, 32); /* fifteen bytes are legal, sixteen are not */
    assert_int_equal(RUN(&mock, "\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x89\xd8"), EMULATE_OK);
    assert_int_equal(mock.registers.rip, 0x100f);
    expect_fault(RUN(&mock, "\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x89\xd8"), 13, 0);
    segment(X86_CS)->base = 0x3ff0; /* peeking: by CS, on over a page end */
    mock.registers.rip = 0xc;
    mock_store(&mock, 0x3ffc, 0x8877665544332211ull, 8);
    mock_store(&mock, 0x4004, 0xaa99, 2);
    memset(peeked, 0, sizeof(peeked));
    assert_int_equal(emulate_peek(&mock.emulate, peeked, 6), 6);
    assert_memory_equal(peeked, "\x11\x22\x33\x44\x55\x66\0\0", 8);
    segment(X86_CS)->base = 0;
    segment(X86_CS)->limit = 0x1011;
    mock.registers.rip = 0x1010;
    expect_fault(RUN(&mock, "\xb8\x01\x02\x03\x04"), 13, 0);
    assert_int_equal(RUN(&mock, "\xb0\x01"), EMULATE_OK);
    segment(X86_CS)->limit = 0xffffffff;
    mock.registers.rip = 0x1000;

    /* LOCK where it does not belong. */
    static const char illegal[][8] = {"\xf0\x01\xc0", "\xf0\x89\x03",     "\xf0\x03\x03",
                                      "\xf0\x39\x03", "\xf0\x83\x3b\x01", "\xf0\xf6\x03\x01",
                                      "\xf0\xff\x33", "\xf0\x0f\xa3\x03", "\xf0\x0f\xba\x23\x01",
                                      "\xf0\x90",     "\xf0\xd1\x23",     "\xf0\x0f\xc1\xc0",
                                      "\xf0\xa4"};
    for (unsigned i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++)
        expect_fault(mock_run(&mock, illegal[i], 6), 6, 0);
    assert_int_equal(RUN(&mock, "\xf0\x0f\x20\xc3"), EMULATE_UNHANDLED); /* AMD: MOV from CR8 */
    assert_int_equal(mock.emulate.instruction.reg, 8);

    /* What an engine without a saved next RIP asks for. */
    DECODE("\x0f\x22\xdb");
    assert_int_equal(mock.emulate.instruction.opcode, EMULATE_OPCODE(1, 0x22));
    assert_int_equal(mock.emulate.instruction.reg, 3);
    assert_int_equal(mock.emulate.instruction.rm, X86_RBX);
    assert_int_equal(mock.emulate.instruction.length, 3);
    DECODE("\x26\x0f\x01\x38");
    assert_int_equal(mock.emulate.instruction.length, 4);
    assert_int_equal(mock.emulate.instruction.segment, X86_ES);
    DECODE("\xea\x78\x56\x34\x12\x08\x00");
    assert_int_equal(mock.emulate.instruction.immediate, 0x12345678);
    assert_int_equal(mock.emulate.instruction.second_immediate, 8);
    assert_int_equal(RUN(&mock, "\x0f\xff"), EMULATE_UNHANDLED);
    mock_reset(&mock, 64);
    expect_fault(RUN(&mock, "\x06"), 6, 0); /* push es */
    mock.registers.rflags |= 0x10100;
    emulate_skip(&mock.emulate, 2);
    assert_int_equal(mock.registers.rip, 0x1002);
    assert_int_equal(mock.registers.rflags, 0x102);
    assert_true(mock.emulate.debug_trap);
}

static void descriptor(unsigned index, uint32_t base, uint32_t limit, unsigned attributes) {
    uint64_t value = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
                     (uint64_t)(attributes & 0xff) << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
                     (uint64_t)(attributes >> 8 & 15) << 52 | (uint64_t)(base >> 24) << 56;
    mock_store(&mock, 0x9000 + 8 * index, value, 8);
}
static enum emulate_result load(const char *code, unsigned selector) {
    gpr[X86_RAX] = selector;
    return mock_run(&mock, code, 2);
}

static void segment_loads(void **unused) {
    (void)unused;
    static const char ds[] = "\x8e\xd8", ss[] = "\x8e\xd0";
    mock_reset(&mock, 32);
    mock.system.gdtr.base = 0x9000;
    mock.system.gdtr.limit = 8 * 8 - 1;
    descriptor(1, 0x12345678, 0xabcde, 0xc92); /* writable data */
    descriptor(2, 0, 0xfffff, 0xcf2);          /* DPL 3 */
    descriptor(3, 0, 0xfffff, 0xc98);          /* execute-only code */
    descriptor(4, 0, 0xfffff, 0x089);          /* TSS */
    descriptor(5, 0, 0xfffff, 0xc12);          /* not present */
    descriptor(6, 0, 0xfffff, 0xc9e);          /* conforming, readable code */
    assert_int_equal(load(ds, 0x08), EMULATE_OK);
    assert_int_equal(segment(X86_DS)->selector, 0x08);
    assert_int_equal(segment(X86_DS)->base, 0x12345678);
    assert_int_equal(segment(X86_DS)->limit, 0xabcdefff);
    assert_int_equal(segment(X86_DS)->attributes, 0xc93);
    assert_int_equal(mock_load(&mock, 0x9008 + 5, 1), 0x93); /* marked accessed */
    descriptor(1, 0, 0xabcde, 0xc92); /* another CPU marks it first, or makes something else of it */
    mock.cmpxchg_spoil = 1;
    mock.spoil_xor = 1;
    assert_int_equal(load(ds, 0x08), EMULATE_OK);
    descriptor(1, 0, 0xabcde, 0xc92);
    mock.cmpxchg_spoil = 1;
    mock.spoil_xor = 0x80;
    assert_int_equal(load(ds, 0x08), EMULATE_RETRY);
    expect_fault(emulate_one(&mock.emulate), 11, 0x08);
    descriptor(1, 0x12345678, 0xabcde, 0xc92);
    expect_fault(load(ds, 0x18), 13, 0x18);
    expect_fault(load(ds, 0x20), 13, 0x20);
    expect_fault(load(ds, 0x28), 11, 0x28);
    expect_fault(load(ss, 0x28), 12, 0x28);
    expect_fault(load(ds, 0x40), 13, 0x40); /* beyond the limit */
    expect_fault(load(ds, 0x0b), 13, 0x08); /* RPL 3 on DPL 0 */
    segment(X86_LDTR)->attributes = 0x02;   /* no LDT */
    segment(X86_LDTR)->base = 0x9000;
    expect_fault(load(ds, 0x0c), 13, 0x0c);
    mock.system.cpl = 3;
    assert_int_equal(load(ds, 0x13), EMULATE_OK);
    expect_fault(load(ds, 0x08), 13, 0x08);
    mock.system.cpl = 0;
    assert_int_equal(load(ds, 0x08), EMULATE_OK);
    assert_int_equal(segment(X86_DS)->selector, 0x08);
    assert_int_equal(load(ds, 0x33), EMULATE_OK); /* conforming */
    assert_int_equal(load(ds, 0), EMULATE_OK);
    assert_int_equal(segment(X86_DS)->attributes, 0);
    expect_fault(RUN(&mock, "\x8b\x03"), 13, 0);
    expect_fault(load(ss, 0), 13, 0);
    expect_fault(load(ss, 0x10), 13, 0x10);
    expect_fault(load(ss, 0x30), 13, 0x30);
    descriptor(7, 0, 0xfffff, 0xc91); /* read-only */
    expect_fault(load(ss, 0x38), 13, 0x38);
    descriptor(7, 0, 0xfffff, 0xc97); /* expand-down is not conforming */
    expect_fault(load(ds, 0x3b), 13, 0x38);
    mock.system.gdtr.base = 0xffffffff00009000ull; /* 32 bits of it count outside long mode */
    assert_int_equal(load(ss, 0x08), EMULATE_OK);
    mock.system.gdtr.base = 0x9000;
    assert_true(mock.emulate.interrupt_shadow);
    descriptor(5, 0, 0xfffff, 0xc12);
    segment(X86_LDTR)->attributes = 0x82;
    segment(X86_LDTR)->base = 0x9000;
    segment(X86_LDTR)->limit = 0xf;
    assert_int_equal(load(ds, 0x0c), EMULATE_OK);
    expect_fault(load(ds, 0x14), 13, 0x14);
    mock_reset(&mock, 64);
    mock.system.cpl = 3;
    expect_fault(load(ss, 0), 13, 0);
    mock.system.cpl = 0;
    assert_int_equal(load(ss, 0), EMULATE_OK);
    expect_fault(load(ss, 3), 13, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_mode),     cmocka_unit_test(stacks),    cmocka_unit_test(virtual_8086),
        cmocka_unit_test(segments),      cmocka_unit_test(alignment), cmocka_unit_test(fetches),
        cmocka_unit_test(segment_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
