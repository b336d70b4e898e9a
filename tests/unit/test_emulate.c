// SPDX-License-Identifier: Apache-2.0
// The emulator at devices: accesses made, answers that come later, locked operations, strings, ports,
// page-crossing operands, faults without side effects. (test_emulate_native.c has the arithmetic,
// test_emulate_modes.c the modes and segments.)
// unit-sources: arch/x86/emulate/*.c
#include "tests/unit/emulate_mock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct mock mock;
static uint64_t *const gpr = mock.registers.gpr;

static void expect_log(unsigned index, char kind, uint64_t address, unsigned size, uint64_t value) {
    assert_true(index < mock.log_count);
    assert_int_equal(mock.log[index].kind, kind);
    assert_int_equal(mock.log[index].address, address);
    assert_int_equal(mock.log[index].size, size);
    assert_int_equal(mock.log[index].value & (~0ull >> (64 - 8 * size)), value);
}
static void expect_fault(enum emulate_result result, unsigned vector, uint32_t error) {
    assert_int_equal(result, EMULATE_FAULT);
    assert_int_equal(mock.emulate.fault.vector, vector);
    assert_int_equal(mock.emulate.fault.error, error);
}

/* 4-level tables at 0x100000: linear 0-2 MB to RAM 0-2 MB by 4-KB pages, 1 GB at 0xc0000000 to the device
 * region, all writable. */
static void paging(void) {
    mock_store(&mock, 0x100000, 0x101007, 8);
    mock_store(&mock, 0x101000, 0x102007, 8);
    mock_store(&mock, 0x101018, 0xc0000087, 8);
    mock_store(&mock, 0x102000, 0x103007, 8);
    for (unsigned i = 0; i < 512; i++)
        mock_store(&mock, 0x103000 + 8 * i, i << 12 | 7, 8);
    mock.system.cr3 = 0x100000;
    mock.system.cr4 |= 0x20;
    mock.system.cr0 |= 0x80010000u;
    mock.system.efer |= 0x800;
}
static void page_flags(unsigned page, uint64_t set, uint64_t clear) {
    mock_store(&mock, 0x103000 + 8 * page, (mock_load(&mock, 0x103000 + 8 * page, 8) & ~clear) | set, 8);
}

static void reset(void) {
    mock_reset(&mock, 64);
    gpr[X86_RBX] = MOCK_DEVICE + 0x300;
}

static void loads_and_stores(void **unused) {
    (void)unused;
    reset();
    gpr[X86_RAX] = 0x1122334455667788ull;
    mock.device_value = 0xf0f1f2f3f4f5f6f7ull;
    assert_int_equal(RUN(&mock, "\x89\x03"), EMULATE_OK); /* mov [rbx], eax */
    expect_log(0, 'w', MOCK_DEVICE + 0x300, 4, 0x55667788);
    assert_int_equal(mock.registers.rip, 0x1002);
    assert_int_equal(RUN(&mock, "\x48\x89\x43\x10"), EMULATE_OK); /* mov [rbx+16], rax */
    expect_log(1, 'w', MOCK_DEVICE + 0x310, 8, 0x1122334455667788ull);
    assert_int_equal(RUN(&mock, "\x88\x63\x01"), EMULATE_OK); /* mov [rbx+1], ah */
    expect_log(2, 'w', MOCK_DEVICE + 0x301, 1, 0x77);
    assert_int_equal(RUN(&mock, "\xc7\x03\xef\xbe\xad\xde"), EMULATE_OK); /* mov dword [rbx], 0xdeadbeef */
    expect_log(3, 'w', MOCK_DEVICE + 0x300, 4, 0xdeadbeef);
    assert_int_equal(RUN(&mock, "\x8b\x03"), EMULATE_OK); /* mov eax, [rbx] */
    expect_log(4, 'r', MOCK_DEVICE + 0x300, 4, 0xf4f5f6f7);
    assert_int_equal(gpr[X86_RAX], 0xf4f5f6f7);
    assert_int_equal(RUN(&mock, "\x0f\xbe\x13"), EMULATE_OK); /* movsx edx, byte [rbx] */
    assert_int_equal(gpr[X86_RDX], 0xfffffff7);
    assert_int_equal(RUN(&mock, "\xa1\x80\x00\xb0\xfe\x00\x00\x00\x00"),
                     EMULATE_OK); /* mov eax, [abs 0xfeb00080] */
    expect_log(6, 'r', 0xfeb00080, 4, 0xf4f5f6f7);
    assert_int_equal(RUN(&mock, "\x48\xa3\x88\x00\xb0\xfe\x00\x00\x00\x00"), EMULATE_OK);
    expect_log(7, 'w', 0xfeb00088, 8, 0xf4f5f6f7);
    assert_int_equal(mock.log_count, 8);
    /* Flags, and RF in particular. */
    mock.registers.rflags = 0x10ad7;
    assert_int_equal(RUN(&mock, "\x8b\x03"), EMULATE_OK);
    assert_int_equal(mock.registers.rflags, 0xad7);
    /* Left over: prefetched bytes instead of a fetch. */
    memcpy(mock.emulate.bytes, "\x89\x4b\x04", 3);
    mock.emulate.bytes_count = 3;
    mock.registers.rip = 0xffffffff80001000ull; /* no RAM there */
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
    expect_log(9, 'w', MOCK_DEVICE + 0x304, 4, gpr[X86_RCX]);
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_UNHANDLED);
}

static void read_modify_write(void **unused) {
    (void)unused;
    reset();
    mock.device_value = 0x0f;
    gpr[X86_RCX] = 0xf0;
    assert_int_equal(RUN(&mock, "\x09\x0b"), EMULATE_OK); /* or [rbx], ecx */
    expect_log(0, 'r', MOCK_DEVICE + 0x300, 4, 0x0f);
    expect_log(1, 'w', MOCK_DEVICE + 0x300, 4, 0xff);
    assert_int_equal(RUN(&mock, "\xf0\x83\x23\xfe"), EMULATE_OK); /* lock and dword [rbx], -2 */
    expect_log(3, 'w', MOCK_DEVICE + 0x300, 4, 0x0e);
    assert_int_equal(RUN(&mock, "\x87\x0b"), EMULATE_OK); /* xchg [rbx], ecx */
    expect_log(4, 'r', MOCK_DEVICE + 0x300, 4, 0x0f);
    expect_log(5, 'w', MOCK_DEVICE + 0x300, 4, 0xf0);
    assert_int_equal(gpr[X86_RCX], 0x0f);
    assert_int_equal(RUN(&mock, "\x0f\xba\x2b\x04"), EMULATE_OK); /* bts dword [rbx], 4 */
    expect_log(7, 'w', MOCK_DEVICE + 0x300, 4, 0x1f);
    assert_int_equal(RUN(&mock, "\xf7\x03\x01\x00\x00\x00"), EMULATE_OK); /* test: reads only */
    expect_log(8, 'r', MOCK_DEVICE + 0x300, 4, 0x0f);
    assert_int_equal(RUN(&mock, "\x3b\x0b"), EMULATE_OK); /* cmp: reads only */
    assert_int_equal(mock.log_count, 10);
    gpr[X86_RAX] = 1; /* cmpxchg that fails writes back what it read */
    assert_int_equal(RUN(&mock, "\xf0\x0f\xb1\x0b"), EMULATE_OK);
    expect_log(11, 'w', MOCK_DEVICE + 0x300, 4, 0x0f);
    assert_int_equal(gpr[X86_RAX], 0x0f);
    gpr[X86_RDX] = 0;
    assert_int_equal(RUN(&mock, "\xf0\x0f\xc7\x0b"), EMULATE_OK); /* cmpxchg8b, equal: writes ECX:EBX */
    expect_log(12, 'r', MOCK_DEVICE + 0x300, 8, 0x0f);
    expect_log(13, 'w', MOCK_DEVICE + 0x300, 8, (gpr[X86_RCX] << 32) | (uint32_t)gpr[X86_RBX]);
    assert_true(mock.registers.rflags & 0x40);
}

/* Each device access can be the one whose answer is outstanding; none may be made twice. */
static void answers_later(void **unused) {
    (void)unused;
    static const struct {
        const char *code;
        unsigned length, accesses;
    } cases[] = {
        {"\x8b\x03", 2, 1},         /* mov eax, [rbx] */
        {"\x89\x03", 2, 1},         /* mov [rbx], eax */
        {"\x01\x03", 2, 2},         /* add [rbx], eax */
        {"\x87\x03", 2, 2},         /* xchg */
        {"\xa4", 1, 2},             /* movsb from device to device */
        {"\xa7", 1, 2},             /* cmpsd */
        {"\xf3\x0f\x6f\x03", 4, 2}, /* movdqu xmm0, [rbx]: twice 8 bytes */
        {"\xc5\xfe\x7f\x03", 4, 4}, /* vmovdqu [rbx], ymm0: four times 8 */
        {"\xff\x33", 2, 1},         /* push qword [rbx] */
        {"\x8f\x03", 2, 1},         /* pop qword [rbx] */
        {"\x48\x0f\xc7\x0b", 4, 4}, /* cmpxchg16b: two reads, two writes */
        {"\xed", 1, 1},             /* in eax, dx */
        {"\x6d", 1, 2},             /* insd to the device */
        {"\xf3\xa4", 2, 4},         /* rep movsb, 2 bytes */
        {"\xf3\x6e", 2, 4},         /* rep outsb, 2 bytes */
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct mock reference;
        for (unsigned good = 0; good <= cases[i].accesses; good++) {
            reset();
            mock.device_value = 0x1111111111111111ull;
            mock.device_step = 0x0101010101010101ull;
            gpr[X86_RSI] = MOCK_DEVICE + 0x100;
            gpr[X86_RDI] = MOCK_DEVICE + 0x200;
            gpr[X86_RCX] = 2;
            gpr[X86_RAX] = 0x1234;
            gpr[X86_RSP] = 0x8000;
            enum emulate_result result;
            if (good ==
                cases[i].accesses) { /* the run without waiting, to compare the last waiting one with */
                result = mock_run(&mock, cases[i].code, cases[i].length);
                assert_int_equal(result, EMULATE_OK);
                assert_int_equal(mock.log_count, cases[i].accesses);
                break;
            }
            mock.device_error = -EAGAIN;
            mock.device_good = good;
            struct x86_registers before = mock.registers;
            result = mock_run(&mock, cases[i].code, cases[i].length);
            assert_int_equal(result, EMULATE_RETRY);
            assert_int_equal(mock.log_count, good);
            assert_int_equal(mock.registers.rip, 0x1000);
            if ((uint8_t)cases[i].code[0] != 0xf3)
                assert_memory_equal(&before, &mock.registers, sizeof(before));
            assert_int_equal(emulate_one(&mock.emulate), EMULATE_RETRY); /* still outstanding: nothing new */
            assert_int_equal(mock.log_count, good);
            mock.device_error = 0;
            assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
            assert_int_equal(mock.log_count, cases[i].accesses);
            assert_int_equal(mock.registers.rip, 0x1000 + cases[i].length);
            if (good == 0)
                reference = mock;
            assert_memory_equal(reference.registers.gpr, mock.registers.gpr, sizeof(mock.registers.gpr));
            assert_memory_equal(reference.log, mock.log, sizeof(mock.log));
            assert_memory_equal(reference.vector, mock.vector, sizeof(mock.vector));
        }
        assert_memory_equal(reference.registers.gpr, mock.registers.gpr, sizeof(mock.registers.gpr));
        assert_memory_equal(reference.ram, mock.ram, sizeof(mock.ram));
    }
    /* Another instruction meanwhile (an interrupt handler's, say) does not take the answers of this one. */
    reset();
    mock.device_error = -EAGAIN;
    mock.device_good = 1;
    mock.device_value = 5;
    assert_int_equal(RUN(&mock, "\x01\x03"), EMULATE_RETRY);
    mock.device_error = 0;
    mock.registers.rip = 0x2000;
    mock.device_value = 7;
    assert_int_equal(RUN(&mock, "\x8b\x03"), EMULATE_OK);
    assert_int_equal(gpr[X86_RAX], 7);
    /* The same place with other operands: asked anew as well. */
    reset();
    mock.device_error = -EAGAIN;
    mock.device_good = 1;
    mock.device_value = 5;
    assert_int_equal(RUN(&mock, "\x01\x03"), EMULATE_RETRY);
    mock.device_error = 0;
    gpr[X86_RBX] += 4;
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
    assert_int_equal(mock.log_count, 3);
    expect_log(1, 'r', MOCK_DEVICE + 0x304, 4, 5);
    /* Any other error is the caller's to deal with. */
    mock.device_error = -EINVAL;
    assert_int_equal(RUN(&mock, "\x8b\x03"), EMULATE_UNHANDLED);
    /* Cancelled: asked anew. */
    reset();
    mock.device_error = -EAGAIN;
    mock.device_good = 1;
    mock.device_value = 5;
    assert_int_equal(RUN(&mock, "\x01\x03"), EMULATE_RETRY);
    emulate_cancel(&mock.emulate);
    mock.device_error = 0;
    assert_int_equal(RUN(&mock, "\x01\x03"), EMULATE_OK);
    assert_int_equal(mock.log_count, 3);
}

static void locked_memory(void **unused) {
    (void)unused;
    static const struct {
        const char *code;
        unsigned length;
        uint64_t start, end;
    } cases[] = {
        /* another CPU flips bit 8 between the read and the exchange */
        {"\xf0\x01\x0f", 3, 5, 0x105 + 3},    /* lock add [rdi], ecx */
        {"\xf0\xff\x0f", 3, 5, 0x104},        /* lock dec */
        {"\xf0\xf7\x17", 3, 5, 0xfffffefa},   /* lock not */
        {"\xf0\x0f\xab\x0f", 4, 5, 0x10d},    /* lock bts [rdi], ecx */
        {"\xf0\x0f\xc1\x0f", 4, 5, 0x108},    /* lock xadd */
        {"\x87\x0f", 2, 5, 3},                /* xchg */
        {"\xf0\x0f\xb1\x0f", 4, 0x42, 0x142}, /* lock cmpxchg: no longer equal */
        {"\xf0\x0f\xb1\x0f", 4, 0x142, 3},    /* lock cmpxchg: equal now */
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        reset();
        gpr[X86_RDI] = 0x5000;
        gpr[X86_RCX] = 3;
        gpr[X86_RAX] = 0x42;
        mock_store(&mock, 0x5000, cases[i].start, 8);
        mock.cmpxchg_spoil = 1;
        mock.spoil_xor = 0x100;
        assert_int_equal(mock_run(&mock, cases[i].code, cases[i].length), EMULATE_OK);
        assert_int_equal(mock_load(&mock, 0x5000, 8), cases[i].end);
        assert_int_equal(mock.log_count, 0);
    }
    reset(); /* bounded */
    gpr[X86_RDI] = 0x5000;
    mock.cmpxchg_spoil = ~0u;
    mock.spoil_xor = 0x100;
    assert_int_equal(RUN(&mock, "\xf0\xff\x07"), EMULATE_RETRY);
    assert_in_range(mock.cmpxchg_calls, 2, 1000);
    assert_int_equal(mock.registers.rip, 0x1000);
    assert_int_equal(mock.registers.rflags, 2);
    static const char *const others[] = {"\xf0\x01\x0f", "\xf0\xf7\x1f", "\xf0\x0f\xab\x0f",
                                         "\xf0\x0f\xc1\x0f", "\x48\x87\x0f"};
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        mock.cmpxchg_spoil = ~0u;
        assert_int_equal(mock_run(&mock, others[i], 4), EMULATE_RETRY);
        assert_int_equal(gpr[X86_RCX], 0);
        assert_int_equal(mock.registers.rflags, 2);
    }
    /* Across two pages of RAM it cannot be atomic, so it is refused; without LOCK it is done. */
    reset();
    gpr[X86_RDI] = 0x5ffe;
    mock_store(&mock, 0x5ffe, 0xffffffff, 4);
    assert_int_equal(RUN(&mock, "\xf0\xff\x07"), EMULATE_UNHANDLED);
    assert_int_equal(mock_load(&mock, 0x5ffe, 4), 0xffffffff);
    mock.cmpxchg_calls = 0;
    assert_int_equal(RUN(&mock, "\xff\x07"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x5ffe, 4), 0);
    gpr[X86_RDI] = 0x5000;
    assert_int_equal(RUN(&mock, "\xff\x07"), EMULATE_OK);
    assert_int_equal(mock.cmpxchg_calls, 0);
    /* cmpxchg16b, locked, on RAM. */
    reset();
    gpr[X86_RDI] = 0x5010;
    mock_store(&mock, 0x5010, 11, 8);
    mock_store(&mock, 0x5018, 12, 8);
    gpr[X86_RAX] = 11, gpr[X86_RDX] = 12, gpr[X86_RBX] = 21, gpr[X86_RCX] = 22;
    assert_int_equal(RUN(&mock, "\xf0\x48\x0f\xc7\x0f"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x5018, 8), 22);
    assert_int_equal(RUN(&mock, "\xf0\x48\x0f\xc7\x0f"), EMULATE_OK);
    assert_int_equal(gpr[X86_RAX], 21);
    assert_int_equal(gpr[X86_RDX], 22);
    assert_false(mock.registers.rflags & 0x40);
    gpr[X86_RDI] = 0x5018;
    expect_fault(RUN(&mock, "\xf0\x48\x0f\xc7\x0f"), 13, 0);
    /* ROM: read from memory, the write goes to its owner. */
    reset();
    gpr[X86_RDI] = MOCK_RAM + 0x10;
    assert_int_equal(RUN(&mock, "\xf0\xff\x07"), EMULATE_OK);
    assert_int_equal(mock.log_count, 1);
    expect_log(0, 'w', MOCK_RAM + 0x10, 4, 1);
}

static void strings(void **unused) {
    (void)unused;
    reset();
    gpr[X86_RCX] = 4, gpr[X86_RSI] = 0x5000, gpr[X86_RDI] = MOCK_DEVICE;
    mock_store(&mock, 0x5000, 0x0807060504030201ull, 8);
    assert_int_equal(RUN(&mock, "\xf3\x66\xa5"), EMULATE_OK); /* rep movsw */
    assert_int_equal(mock.log_count, 4);
    for (unsigned i = 0; i < 4; i++)
        expect_log(i, 'w', MOCK_DEVICE + 2 * i, 2, (2 * i + 1) | (2 * i + 2) << 8);
    assert_int_equal(gpr[X86_RCX], 0);
    assert_int_equal(gpr[X86_RSI], 0x5008);
    assert_int_equal(gpr[X86_RDI], MOCK_DEVICE + 8);
    /* A long one pauses, with consistent registers, and RF set as for an interrupt between iterations. */
    reset();
    gpr[X86_RCX] = EMULATE_REP_LIMIT + 10, gpr[X86_RDI] = 0x5000, gpr[X86_RAX] = 0x5a;
    assert_int_equal(RUN(&mock, "\xf3\xaa"), EMULATE_RETRY);
    assert_int_equal(gpr[X86_RCX], 10);
    assert_int_equal(gpr[X86_RDI], 0x5000 + EMULATE_REP_LIMIT);
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
    assert_int_equal(mock.log_count, 0);
    /* Sooner where each iteration is a device's: what one does there with interrupts off is not the guest's
     * to multiply. */
    reset();
    gpr[X86_RCX] = EMULATE_DEVICE_LIMIT + 3, gpr[X86_RDI] = MOCK_DEVICE, gpr[X86_RAX] = 0x5a;
    assert_int_equal(RUN(&mock, "\xf3\xaa"), EMULATE_RETRY);
    assert_int_equal(mock.log_count, EMULATE_DEVICE_LIMIT);
    assert_int_equal(gpr[X86_RCX], 3);
    assert_int_equal(gpr[X86_RDI], MOCK_DEVICE + EMULATE_DEVICE_LIMIT);
    assert_int_equal(mock.registers.rip, 0x1000);
    assert_true(mock.registers.rflags & 0x10000);
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
    assert_int_equal(mock.log_count, EMULATE_DEVICE_LIMIT + 3);
    assert_int_equal(mock.registers.rip, 0x1002);
    assert_false(mock.registers.rflags & 0x10000);
    /* Nothing to do: nothing is touched, not even an address that would fault. */
    gpr[X86_RCX] = 0, gpr[X86_RDI] = 1ull << 60;
    assert_int_equal(RUN(&mock, "\xf3\xaa"), EMULATE_OK);
    /* A 67 prefix counts in ECX and moves EDI. */
    reset();
    gpr[X86_RCX] = 0xffffffff00000002ull, gpr[X86_RDI] = 0xaaaaaaaafeb00000ull;
    assert_int_equal(RUN(&mock, "\xf3\x67\xab"), EMULATE_OK);
    assert_int_equal(mock.log_count, 2);
    assert_int_equal(gpr[X86_RCX], 0);
    assert_int_equal(gpr[X86_RDI], 0xfeb00008);
    /* Downwards, over a page boundary, with a segment override. */
    reset();
    mock.system.segment[X86_FS].base = 0x10000;
    gpr[X86_RCX] = 3, gpr[X86_RSI] = 0x1004, gpr[X86_RDI] = 0x6004;
    mock.registers.rflags |= 0x400;
    for (unsigned i = 0; i < 4; i++)
        mock_store(&mock, 0x10ffc + 4 * i, 0x100 + i, 4);
    assert_int_equal(RUN(&mock, "\xf3\x64\xa5"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x5ffc, 8), 0x10100000000ull | 0x100);
    assert_int_equal(mock_load(&mock, 0x6004, 4), 0x102);
    assert_int_equal(gpr[X86_RSI], 0xff8);
    /* A fault in the third iteration keeps the two before it. */
    reset();
    paging();
    page_flags(0x11, 0, 1);
    gpr[X86_RCX] = 5, gpr[X86_RDI] = 0x10ff8, gpr[X86_RAX] = 7;
    expect_fault(RUN(&mock, "\xf3\xab"), 14, 2);
    assert_int_equal(mock.emulate.fault.cr2, 0x11000);
    assert_int_equal(gpr[X86_RCX], 3);
    assert_int_equal(gpr[X86_RDI], 0x11000);
    assert_int_equal(mock.registers.rip, 0x1000);
    /* Single step: a #DB after every iteration. */
    reset();
    gpr[X86_RCX] = 2, gpr[X86_RDI] = 0x5000;
    mock.registers.rflags |= 0x100;
    assert_int_equal(RUN(&mock, "\xf3\xaa"), EMULATE_OK);
    assert_true(mock.emulate.debug_trap);
    assert_int_equal(mock.registers.rip, 0x1000);
    assert_int_equal(gpr[X86_RCX], 1);
    assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
    assert_true(mock.emulate.debug_trap);
    assert_int_equal(mock.registers.rip, 0x1002);
    assert_int_equal(RUN(&mock, "\x90"), EMULATE_OK);
    assert_true(mock.emulate.debug_trap);
    mock.registers.rflags = 2;
    assert_int_equal(RUN(&mock, "\x90"), EMULATE_OK);
    assert_false(mock.emulate.debug_trap);
}

/* Every page is translated before anything is read or written. */
static void faults_first(void **unused) {
    (void)unused;
    const uint64_t device = 0xfeb00000ull; /* by the 1-GB page */
    static const struct {
        const char *code;
        unsigned length;
    } cases[] = {
        {"\x89\x07", 2},     /* mov [rdi], eax */
        {"\x01\x07", 2},     /* add [rdi], eax */
        {"\xf0\xff\x07", 3}, /* lock inc */
        {"\x87\x07", 2},     /* xchg */
        {"\x0f\xc7\x0f", 3}, /* cmpxchg8b */
        {"\xa5", 1},         /* movsd from a device */
        {"\x6d", 1},         /* insd */
        {"\x8f\x07", 2},     /* pop [rdi] */
        {"\x0f\x11\x07", 3}, /* movups [rdi], xmm0 */
        {"\x0f\xb1\x07", 3}, /* cmpxchg */
        {"\xd1\x27", 2},     /* shl [rdi] */
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        reset();
        paging();
        gpr[X86_RSI] = device;
        gpr[X86_RDI] = 0x20ffd; /* into page 0x21, which is read-only */
        gpr[X86_RDX] = 0x80;
        page_flags(0x21, 0, 2);
        mock_store(&mock, 0x20ff0, 0x1122334455667788ull, 8);
        memcpy(mock.ram + 0x1000, cases[i].code, cases[i].length);
        static struct mock before;
        before = mock;
        expect_fault(emulate_one(&mock.emulate), 14, 3);
        assert_int_equal(mock.emulate.fault.cr2, 0x21000);
        assert_int_equal(mock.log_count, 0);
        assert_memory_equal(&before.registers, &mock.registers, sizeof(mock.registers));
        assert_memory_equal(before.ram + 0x20000, mock.ram + 0x20000, 0x2000);
    }
    /* PUSH of a device register onto a stack that faults does not read the device. */
    reset();
    paging();
    gpr[X86_RSP] = 0x22000;
    page_flags(0x21, 0, 1);
    gpr[X86_RDI] = device;
    expect_fault(RUN(&mock, "\xff\x37"), 14, 2);
    assert_int_equal(mock.log_count, 0);
    assert_int_equal(gpr[X86_RSP], 0x22000);
    /* POP to memory that faults leaves RSP. */
    page_flags(0x21, 1, 0);
    page_flags(0x30, 0, 1);
    gpr[X86_RSP] = 0x21000, gpr[X86_RDI] = 0x30000;
    expect_fault(RUN(&mock, "\x8f\x07"), 14, 2);
    assert_int_equal(gpr[X86_RSP], 0x21000);
    /* An operand over two pages that lie apart, and one whose second half is a device. */
    page_flags(0x31, 0, ~0ull);
    page_flags(0x31, 0x50007, 0);
    page_flags(0x30, 1, 0);
    gpr[X86_RAX] = 0x44332211, gpr[X86_RDI] = 0x30ffd;
    assert_int_equal(RUN(&mock, "\x89\x07"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x30ffd, 3), 0x332211);
    assert_int_equal(mock_load(&mock, 0x50000, 1), 0x44);
    page_flags(0x31, 0, ~0ull);
    page_flags(0x31, 0xfeb00007, 0);
    mock_store(&mock, 0x30ff9, 0, 8);
    gpr[X86_RAX] = 0x8877665544332211ull, gpr[X86_RDI] = 0x30ff9;
    assert_int_equal(RUN(&mock, "\x48\x89\x07"), EMULATE_OK);
    assert_int_equal(mock_load(&mock, 0x30ff9, 7), 0x77665544332211ull);
    expect_log(0, 'w', 0xfeb00000, 1, 0x88);
    /* Pieces at a page end come in falling powers of two. */
    page_flags(0x30, 0, ~0ull);
    page_flags(0x30, 0xfeb10007, 0);
    assert_int_equal(RUN(&mock, "\x48\x89\x07"), EMULATE_OK);
    expect_log(1, 'w', 0xfeb10ff9, 4, 0x44332211);
    expect_log(2, 'w', 0xfeb10ffd, 2, 0x6655);
    expect_log(3, 'w', 0xfeb10fff, 1, 0x77);
    expect_log(4, 'w', 0xfeb00000, 1, 0x88);
}

static void known_address(void **unused) {
    (void)unused;
    reset();
    paging();
    gpr[X86_RDI] = 0x30008;
    page_flags(0x30, 0, ~0ull); /* the CPU walked it before, so the walk is not repeated ... */
    mock.emulate.gpa = 0xfeb00008;
    mock.emulate.gpa_valid = true;
    mock.emulate.gpa_write = true;
    assert_int_equal(RUN(&mock, "\x89\x07"), EMULATE_OK);
    expect_log(0, 'w', 0xfeb00008, 4, 0);
    assert_false(mock.emulate.gpa_valid);
    expect_fault(RUN(&mock, "\x89\x07"), 14, 2); /* ... once */
    mock.emulate.gpa_valid = true;               /* not for an operand elsewhere in its page */
    mock.emulate.gpa = 0xfeb00004;
    expect_fault(RUN(&mock, "\x89\x07"), 14, 2);
    mock.emulate.gpa_valid = true; /* nor for a read when it was a write that trapped */
    mock.emulate.gpa = 0xfeb00008;
    expect_fault(RUN(&mock, "\x8b\x07"), 14, 0);
    mock.emulate.gpa_valid =
        true; /* nor for an instruction with two accesses, of which only one was reported */
    mock.emulate.gpa = 0xfeb00008;
    expect_fault(RUN(&mock, "\x01\x07"), 14, 2);
    assert_false(mock.emulate.gpa_valid);
}

static void ports(void **unused) {
    (void)unused;
    reset();
    mock.device_value = 0x8877665544332211ull;
    gpr[X86_RDX] = 0x10cf8, gpr[X86_RAX] = ~0ull;
    assert_int_equal(RUN(&mock, "\xec"), EMULATE_OK); /* in al, dx */
    expect_log(0, 'i', 0xcf8, 1, 0x11);
    assert_int_equal(gpr[X86_RAX], 0xffffffffffffff11ull);
    assert_int_equal(RUN(&mock, "\x66\xe5\x71"), EMULATE_OK); /* in ax, 0x71 */
    expect_log(1, 'i', 0x71, 2, 0x2211);
    assert_int_equal(gpr[X86_RAX], 0xffffffffffff2211ull);
    assert_int_equal(RUN(&mock, "\x48\xed"), EMULATE_OK); /* REX.W: still 32 bits, zero-extended */
    expect_log(2, 'i', 0xcf8, 4, 0x44332211);
    assert_int_equal(gpr[X86_RAX], 0x44332211);
    assert_int_equal(RUN(&mock, "\xe7\xf4"), EMULATE_OK); /* out 0xf4, eax */
    expect_log(3, 'o', 0xf4, 4, 0x44332211);
    gpr[X86_RCX] = 2, gpr[X86_RSI] = 0x5000;
    mock_store(&mock, 0x5000, 0x04030201, 4);
    assert_int_equal(RUN(&mock, "\xf3\x66\x6f"), EMULATE_OK); /* rep outsw */
    expect_log(4, 'o', 0xcf8, 2, 0x0201);
    expect_log(5, 'o', 0xcf8, 2, 0x0403);
    gpr[X86_RCX] = 2, gpr[X86_RDI] = 0x6000;
    assert_int_equal(RUN(&mock, "\xf3\x6c"), EMULATE_OK); /* rep insb */
    assert_int_equal(mock_load(&mock, 0x6000, 3), 0x1111);

    mock.log_count = 0;
    gpr[X86_RDI] = 0x6000;
    assert_int_equal(RUN(&mock, "\x48\x6d"), EMULATE_OK); /* REX.W insd: still 4 bytes */
    expect_log(0, 'i', 0xcf8, 4, 0x44332211);
    assert_int_equal(gpr[X86_RDI], 0x6004);
    struct emulate_ops none = mock_ops;
    none.io_read = NULL;
    none.io_write = NULL;
    mock.emulate.ops = &none;
    static const char *const port_code[] = {"\xec", "\xee", "\x6c", "\x6e"};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(mock_run(&mock, port_code[i], 1), EMULATE_UNHANDLED);
    assert_int_equal(mock.log_count, 1);

    /* CPL 3 and IOPL 0: the TSS decides. */
    for (unsigned v86 = 0; v86 < 2; v86++) {
        mock_reset(&mock, v86 ? 86 : 64);
        struct x86_segment *task = &mock.system.segment[X86_TR];
        mock.system.cpl = 3;
        task->attributes = 0x8b;
        task->base = 0x9000;
        task->limit = 0x67 + 0x80;
        mock_store(&mock, 0x9066, 0x68, 2);
        gpr[X86_RDX] = 0x7f;
        assert_int_equal(RUN(&mock, "\xec"), EMULATE_OK);
        mock_store(&mock, 0x9068 + 0xf, 0x80, 1); /* 0x7f */
        expect_fault(RUN(&mock, "\xec"), 13, 0);
        gpr[X86_RDX] = 0x7e;
        assert_int_equal(RUN(&mock, "\xec"), EMULATE_OK);
        expect_fault(RUN(&mock, "\x66\xed"), 13, 0); /* two ports */
        gpr[X86_RDX] = 0x7f;
        expect_fault(RUN(&mock, "\x6c"), 13, 0);
        mock.registers.rflags |= 0x3000; /* IOPL 3 opens them, except in virtual-8086 mode */
        if (v86)
            expect_fault(RUN(&mock, "\xec"), 13, 0);
        else
            assert_int_equal(RUN(&mock, "\xec"), EMULATE_OK);
        mock.registers.rflags &= ~0x3000ull;
        gpr[X86_RDX] = 8 * 0x7e; /* the last byte that has one after it */
        assert_int_equal(RUN(&mock, "\xec"), EMULATE_OK);
        gpr[X86_RDX] = 8 * 0x7f + 8; /* beyond the limit */
        expect_fault(RUN(&mock, "\xec"), 13, 0);
        gpr[X86_RDX] = 0x7e;
        task->attributes = 0x83; /* a 16-bit TSS has no bitmap */
        expect_fault(RUN(&mock, "\xec"), 13, 0);
    }
    mock_reset(&mock, 16);
    mock.system.cpl = 0;
    assert_int_equal(RUN(&mock, "\xec"), EMULATE_OK);
}

static void vectors(void **unused) {
    (void)unused;
    reset();
    mock.device_value = 0x1111111111111111ull, mock.device_step = 0x1111111111111111ull;
    memset(mock.vector, 0xee, sizeof(mock.vector));
    assert_int_equal(RUN(&mock, "\x66\x0f\x6f\x0b"), EMULATE_OK); /* movdqa xmm1, [rbx] */
    expect_log(0, 'r', MOCK_DEVICE + 0x300, 8, 0x1111111111111111ull);
    expect_log(1, 'r', MOCK_DEVICE + 0x308, 8, 0x2222222222222222ull);
    assert_int_equal(mock.vector[1][15], 0x22);
    assert_int_equal(mock.vector[1][16], 0xee);                   /* SSE keeps the upper half */
    assert_int_equal(RUN(&mock, "\xc5\xfa\x10\x13"), EMULATE_OK); /* vmovss xmm2, [rbx] */
    assert_int_equal(mock.vector[2][3], 0x33);
    for (unsigned i = 4; i < 32; i++)
        assert_int_equal(mock.vector[2][i], 0); /* AVX clears it */
    gpr[X86_RBX]++;
    expect_fault(RUN(&mock, "\x66\x0f\x6f\x0b"), 13, 0);
    assert_int_equal(mock.log_count, 3);
    gpr[X86_RBX]--;
    mock.system.cr0 |= 8; /* TS */
    expect_fault(RUN(&mock, "\x0f\x10\x03"), 7, 0);
    expect_fault(RUN(&mock, "\xc5\xf8\x10\x03"), 7, 0);
    assert_int_equal(RUN(&mock, "\x0f\xc3\x03"), EMULATE_OK); /* movnti moves a general register */
    mock.system.cr0 ^= 0xc;                                   /* EM: SSE is invalid, AVX does not care */
    expect_fault(RUN(&mock, "\x0f\x10\x03"), 6, 0);
    assert_int_equal(RUN(&mock, "\xc5\xf8\x10\x03"), EMULATE_OK);
    mock.system.cr0 &= ~4ull;
    mock.system.cr4 &= ~0x200ull;
    expect_fault(RUN(&mock, "\x0f\x10\x03"), 6, 0);
    mock.system.cr4 = 0x200;
    assert_int_equal(RUN(&mock, "\x0f\x10\x03"), EMULATE_OK);
    expect_fault(RUN(&mock, "\xc5\xf8\x10\x03"), 6, 0); /* no OSXSAVE */
    mock.system.cr4 = 0x40200;
    mock.emulate.xcr0 = 3;
    expect_fault(RUN(&mock, "\xc5\xf8\x10\x03"), 6, 0); /* AVX state not enabled */
    /* Vector forms that are not moves: decoded, not executed. */
    mock.emulate.xcr0 = 7;
    assert_int_equal(RUN(&mock, "\x66\x0f\xef\x03"), EMULATE_UNHANDLED);
    assert_int_equal(mock.emulate.instruction.length, 4);
    assert_int_equal(RUN(&mock, "\x0f\x6f\x03"), EMULATE_UNHANDLED);             /* MMX */
    assert_int_equal(RUN(&mock, "\x62\xf1\x7c\x48\x10\x03"), EMULATE_UNHANDLED); /* vmovups zmm0, [rbx] */
    assert_int_equal(mock.emulate.instruction.length, 6);
    assert_true(mock.emulate.instruction.evex);
    struct emulate_ops none = mock_ops;
    none.vector_read = NULL;
    mock.emulate.ops = &none;
    assert_int_equal(RUN(&mock, "\x0f\x10\x03"), EMULATE_UNHANDLED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_stores), cmocka_unit_test(read_modify_write),
        cmocka_unit_test(answers_later),    cmocka_unit_test(locked_memory),
        cmocka_unit_test(strings),          cmocka_unit_test(faults_first),
        cmocka_unit_test(known_address),    cmocka_unit_test(ports),
        cmocka_unit_test(vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
