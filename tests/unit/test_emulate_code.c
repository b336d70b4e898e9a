// SPDX-License-Identifier: Apache-2.0
// What the emulator remembers of a guest's code, and that none of it outlives a change: tables, rights,
// modes, bytes, host addresses. And its short way to a device, which must do what the long way does.
// unit-sources: arch/x86/emulate/*.c
#include "tests/unit/emulate_mock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct mock mock, other;
static uint64_t *const gpr = mock.registers.gpr;

#define LEAF(page) (0x103000ull + 8 * (page))

/* 4-level tables at 0x100000: linear 0-2 MB to RAM 0-2 MB by 4-KB pages, all accessed, writable and the
 * user's. */
static void paging(void) {
    mock_reset(&mock, 64);
    mock_store(&mock, 0x100000, 0x101027, 8);
    mock_store(&mock, 0x101000, 0x102027, 8);
    mock_store(&mock, 0x102000, 0x103027, 8);
    for (unsigned i = 0; i < 512; i++)
        mock_store(&mock, LEAF(i), i << 12 | 0x67, 8);
    mock.system.cr3 = 0x100000;
    mock.system.cr4 |= 0x20;
    mock.system.cr0 |= 0x80010000u;
    mock.system.efer |= 0x800;
}

/* mov eax, imm8 at a place: tells which code ran. */
static void code(uint64_t gpa, uint8_t tag) {
    mock_store(&mock, gpa, 0xb8 | (uint64_t)tag << 8, 8);
}
static enum emulate_result run_at(uint64_t rip) {
    mock.registers.rip = rip;
    mock.read_calls = 0;
    return emulate_one(&mock.emulate);
}
static void ran(uint64_t rip, uint8_t tag) {
    gpr[X86_RAX] = 0;
    assert_int_equal(run_at(rip), EMULATE_OK);
    assert_int_equal(gpr[X86_RAX], tag);
    assert_int_equal(mock.registers.rip, rip + 5);
}
static void faulted(uint64_t rip, uint32_t error) {
    assert_int_equal(run_at(rip), EMULATE_FAULT);
    assert_int_equal(mock.emulate.fault.vector, 14);
    assert_int_equal(mock.emulate.fault.error, error);
    assert_int_equal(mock.emulate.fault.cr2, rip);
}

static void remembered(void **unused) {
    (void)unused;
    paging();
    code(0x1000, 1);
    code(0x1100, 2);
    ran(0x1000, 1);
    assert_int_equal(mock.read_calls, 5);
    ran(0x1000, 1); /* neither tables nor code are read through the slow way again */
    assert_int_equal(mock.read_calls, 0);
    ran(0x1100, 2); /* nor for anything else in the page */
    assert_int_equal(mock.read_calls, 0);
    unsigned pages = mock.page_calls;
    ran(0x1000, 1);
    assert_int_equal(mock.page_calls, pages);
    /* The host's addresses are asked for again when the caller says so. */
    mock.emulate.epoch++;
    ran(0x1000, 1);
    assert_int_equal(mock.page_calls, pages + 5);
    assert_int_equal(mock.read_calls, 0);
    mock.emulate.epoch++;
    mock.no_pages = true;
    ran(0x1000, 1);
    assert_int_equal(mock.read_calls, 5);
    mock.no_pages = false;
    /* Code that may go on in the next page is fetched. */
    code(0x1ff0, 3);
    ran(0x1000, 1);
    ran(0x1ff0, 3);
    assert_int_equal(mock.read_calls, 0);
    mock_store(&mock, 0x1ff8, 0, 8);
    code(0x1ff1, 4);
    ran(0x1ff1, 4);
    assert_int_equal(mock.read_calls, 5);
    mock_store(&mock, LEAF(2), 0, 8);
    code(0x1ffd, 5);
    assert_int_equal(run_at(0x1ffd), EMULATE_FAULT);
    assert_int_equal(mock.emulate.fault.cr2, 0x2000);
}

static void changes(void **unused) {
    (void)unused;
    paging();
    code(0x1000, 1);
    code(0x8000, 8);
    ran(0x1000, 1);
    ran(0x1000, 1);
    code(0x1000, 7); /* the bytes */
    ran(0x1000, 7);
    code(0x1000, 1);
    ran(0x1000, 1);
    /* The entry of each level: gone, then somewhere else. */
    static const uint64_t entries[] = {0x100000, 0x101000, 0x102000, LEAF(1)};
    for (unsigned i = 0; i < 4; i++) {
        uint64_t entry = mock_load(&mock, entries[i], 8);
        mock_store(&mock, entries[i], 0, 8);
        faulted(0x1000, 0x10);
        mock_store(&mock, entries[i], entry, 8);
        ran(0x1000, 1);
        ran(0x1000, 1);
        mock_store(&mock, entries[i], entry | 1ull << 63, 8); /* not executable */
        faulted(0x1000, 0x11);
        mock_store(&mock, entries[i], entry & ~0x20ull, 8); /* the accessed bit comes back */
        ran(0x1000, 1);
        assert_int_equal(mock_load(&mock, entries[i], 8), entry);
        mock_store(&mock, entries[i], entry & ~4ull, 8); /* the supervisor's: for CPL 3 alone a fault */
        ran(0x1000, 1);
        mock.system.cpl = 3;
        faulted(0x1000, 0x15);
        mock_store(&mock, entries[i], entry, 8);
        ran(0x1000, 1);
        ran(0x1000, 1);
        mock.system.cpl = 0;
        ran(0x1000, 1);
    }
    mock_store(&mock, LEAF(1), 0x8067, 8);
    ran(0x1000, 8);
    mock_store(&mock, LEAF(1), 0x1067, 8);
    ran(0x1000, 1);
    /* Other tables. */
    mock_store(&mock, 0x104000, 0x105027, 8);
    mock_store(&mock, 0x105000, 0x106027, 8);
    mock_store(&mock, 0x106000, 0x107027, 8);
    mock_store(&mock, 0x107008, 0x8067, 8);
    ran(0x1000, 1);
    mock.system.cr3 = 0x104000;
    ran(0x1000, 8);
    ran(0x1000, 8);
    mock.system.cr3 = 0x100000;
    ran(0x1000, 1);
    /* SMEP; a mode without paging; without NXE the bit is reserved. */
    ran(0x1000, 1);
    mock.system.cr4 |= 0x100000;
    faulted(0x1000, 0x11);
    mock.system.cr4 &= ~0x100000ull;
    ran(0x1000, 1);
    mock_store(&mock, LEAF(1), 0x8067, 8);
    mock.system.cr0 &= ~0x80000000ull;
    mock.system.efer &= ~0x400ull;
    mock.system.segment[X86_CS].attributes = 0xc9b;
    ran(0x1000, 1);
    ran(0x1000, 1);
    assert_int_equal(mock.read_calls, 0);
    mock.system.segment[X86_CS].limit = 0xfff;
    assert_int_equal(run_at(0x1000), EMULATE_FAULT);
    assert_int_equal(mock.emulate.fault.vector, 13);
    mock.system.segment[X86_CS].limit = 0xffffffff;
    mock.system.segment[X86_CS].base = 0x7000;
    gpr[X86_RAX] = 0;
    ran(0x1000, 8);
}

/* The same bytes mean something else in another mode; other bytes at the same place are decoded anew. */
static void decoded(void **unused) {
    (void)unused;
    mock_reset(&mock, 64);
    memcpy(mock.ram + 0x1000, "\x48\xb8\x11\x22\x33\x44\x55\x66\x77\x88\x90\x90\x90\x90\x90", 15);
    for (unsigned i = 0; i < 3; i++) {
        gpr[X86_RAX] = 5;
        assert_int_equal(run_at(0x1000), EMULATE_OK); /* mov rax, 0x8877665544332211 */
        assert_int_equal(gpr[X86_RAX], 0x8877665544332211ull);
        assert_int_equal(mock.emulate.instruction.length, 10);
    }
    mock.ram[0x1009] = 0x99; /* its last byte */
    assert_int_equal(run_at(0x1000), EMULATE_OK);
    assert_int_equal(gpr[X86_RAX], 0x9977665544332211ull);
    mock.ram[0x100a] = 0x55; /* the byte after it changes nothing */
    assert_int_equal(run_at(0x1000), EMULATE_OK);
    assert_int_equal(mock.emulate.instruction.length, 10);
    mock.system.efer = 0;
    mock.system.segment[X86_CS].attributes = 0xc9b;
    gpr[X86_RAX] = 5;
    assert_int_equal(run_at(0x1000), EMULATE_OK); /* dec eax */
    assert_int_equal(gpr[X86_RAX], 4);
    assert_int_equal(mock.emulate.instruction.length, 1);
    mock.system.segment[X86_CS].attributes = 0x9b;
    gpr[X86_RAX] = 0x10000;
    assert_int_equal(run_at(0x1000), EMULATE_OK); /* dec ax */
    assert_int_equal(gpr[X86_RAX], 0x1ffff);
    /* The longest there is. */
    mock_reset(&mock, 64);
    memcpy(mock.ram + 0x1000, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xb0\x01\xff", 16);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(run_at(0x1000), EMULATE_OK);
        assert_int_equal(mock.emulate.instruction.length, 15);
    }
    mock.ram[0x100e] = 2;
    assert_int_equal(run_at(0x1000), EMULATE_OK);
    assert_int_equal(gpr[X86_RAX], 2);
    mock.ram[0x100d] = 0x66; /* one prefix too many */
    mock.ram[0x100e] = 0x66;
    assert_int_equal(run_at(0x1000), EMULATE_FAULT);
    assert_int_equal(mock.emulate.fault.vector, 13);
}

/* ---- the short way */

static bool device(uint64_t gpa, bool write, enum emulate_result *result) {
    mock.emulate.gpa = gpa;
    mock.emulate.gpa_write = write;
    mock.emulate.gpa_valid = true;
    return emulate_device(&mock.emulate, result);
}

struct form {
    const char *code;
    uint8_t length;
    bool write;
};

/* Every form that it takes, against the long way. */
static void same_as_the_long_way(void **unused) {
    static const struct form forms[] = {
        {"\x8b\x43\x10", 3, false},                    /* mov eax, [rbx + 16] */
        {"\x48\x8b\x43\x10", 4, false},                /* mov rax, ... */
        {"\x66\x8b\x43\x10", 4, false},                /* mov ax, ... */
        {"\x8a\x63\x10", 3, false},                    /* mov ah, ... */
        {"\x40\x8a\x63\x10", 4, false},                /* mov spl, ... */
        {"\x89\x43\x10", 3, true},                     /* mov [rbx + 16], eax */
        {"\x48\x89\x4b\x10", 4, true},                 /* rcx */
        {"\x66\x89\x4b\x10", 4, true},                 /* cx */
        {"\x88\x6b\x10", 3, true},                     /* ch */
        {"\x44\x88\x43\x10", 4, true},                 /* r8b */
        {"\xc7\x43\x10\x44\x33\x22\x91", 7, true},     /* mov dword [rbx + 16], 0x91223344 */
        {"\x48\xc7\x43\x10\x44\x33\x22\x91", 8, true}, /* sign-extended */
        {"\xc6\x43\x10\xfe", 4, true},                 /* byte */
        {"\x66\xc7\x43\x10\x34\x92", 6, true},         /* word */
        {"\x0f\xb6\x43\x10", 4, false},                /* movzx eax, byte */
        {"\x48\x0f\xb7\x43\x10", 5, false},            /* movzx rax, word */
        {"\x0f\xbe\x43\x10", 4, false},                /* movsx eax, byte */
        {"\x66\x0f\xbe\x43\x10", 5, false},            /* movsx ax, byte */
        {"\x48\x0f\xbf\x43\x10", 5, false},            /* movsx rax, word */
        {"\x8b\x44\x8b\x04", 4, false},                /* mov eax, [rbx + 4 * rcx + 4] */
        {"\x67\x8b\x43\x10", 4, false},                /* 32-bit address */
        {"\x65\x8b\x43\x10", 4, false},                /* GS: the long way */
    };
    (void)unused;
    for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        for (unsigned j = 0; j < 2; j++) {
            paging();
            mock_store(&mock, LEAF(0x30), 0xfeb00067, 8);
            gpr[X86_RBX] = 0x30300, gpr[X86_RCX] = 3, gpr[X86_RAX] = 0x1122334455667788ull;
            gpr[X86_R8] = 0xa5, gpr[X86_RSP] = 0x8877665544332211ull;
            memcpy(mock.ram + 0x1000, forms[i].code, forms[i].length);
            mock.device_value = 0x8182838485868788ull;
            assert_int_equal(run_at(0x1000), EMULATE_OK);
            if (j == 0)
                other = mock;
            gpr[X86_RAX] = 0x1122334455667788ull, gpr[X86_RSP] = 0x8877665544332211ull;
            mock.registers.rip = 0x1000;
            mock.log_count = 0;
        }
        enum emulate_result result = EMULATE_UNHANDLED;
        /* The first walk set no accessed bits, so what it remembered serves now. */
        bool gs = forms[i].code[0] == '\x65';
        assert_int_equal(device(0xfeb00310, forms[i].write, &result), !gs);
        if (gs) {
            assert_true(mock.emulate.gpa_valid);
            assert_int_equal(emulate_one(&mock.emulate), EMULATE_OK);
        } else {
            assert_int_equal(result, EMULATE_OK);
        }
        assert_memory_equal(&mock.registers, &other.registers, sizeof(mock.registers));
        assert_int_equal(mock.log_count, 1);
        assert_int_equal(mock.log[0].kind, other.log[0].kind);
        assert_int_equal(mock.log[0].address, other.log[0].address);
        assert_int_equal(mock.log[0].size, other.log[0].size);
        assert_int_equal(mock.log[0].value, other.log[0].value);
        assert_false(mock.emulate.gpa_valid);
    }
}

static void ready(const char *bytes, unsigned length) {
    paging();
    mock_store(&mock, LEAF(0x30), 0xfeb00067, 8);
    gpr[X86_RBX] = 0x30300;
    memcpy(mock.ram + 0x1000, bytes, length);
    assert_int_equal(run_at(0x1000), EMULATE_OK);
    mock.registers.rip = 0x1000;
    mock.log_count = 0;
}

static void left_to_the_long_way(void **unused) {
    enum emulate_result result;
    (void)unused;
    ready("\x8b\x43\x10", 3);
    assert_false(device(0xfeb00310, true, &result));  /* the CPU saw another direction */
    assert_false(device(0xfeb00314, false, &result)); /* and another address */
    mock.registers.rflags |= 0x100;                   /* a trap follows */
    assert_false(device(0xfeb00310, false, &result));
    mock.registers.rflags &= ~0x100ull;
    mock.ram[0x1002] = 0x20; /* what was decoded is not what is there now */
    assert_false(device(0xfeb00310, false, &result));
    mock.ram[0x1002] = 0x10;
    mock_store(&mock, LEAF(1), 0, 8); /* nor is the page */
    assert_false(device(0xfeb00310, false, &result));
    mock_store(&mock, LEAF(1), 0x1067, 8);
    mock.system.segment[X86_CS].attributes = 0xc9b;
    assert_false(device(0xfeb00310, false, &result));
    mock.system.segment[X86_CS].attributes = 0xa9b;
    assert_int_equal(mock.log_count, 0);
    assert_true(mock.emulate.gpa_valid);
    assert_true(device(0xfeb00310, false, &result));

    ready("\x01\x43\x10", 3); /* an access of two */
    assert_false(device(0xfeb00310, true, &result));
    ready("\x8b\xc3", 2); /* a register */
    assert_false(device(0xfeb00310, false, &result));
    ready("\x8b\x83\xfe\x0c\x00\x00", 6); /* two pages */
    assert_false(device(0xfeb00ffe, false, &result));

    /* An answer that comes later; one that never does. */
    ready("\x8b\x43\x10", 3);
    struct x86_registers before = mock.registers;
    mock.device_error = -EAGAIN;
    assert_true(device(0xfeb00310, false, &result));
    assert_int_equal(result, EMULATE_RETRY);
    assert_memory_equal(&mock.registers, &before, sizeof(before));
    mock.device_error = -EIO;
    assert_true(device(0xfeb00310, false, &result));
    assert_int_equal(result, EMULATE_UNHANDLED);
    assert_memory_equal(&mock.registers, &before, sizeof(before));
    mock.device_error = 0;
    mock.device_value = 77;
    assert_true(device(0xfeb00310, false, &result));
    assert_int_equal(result, EMULATE_OK);
    assert_int_equal(gpr[X86_RAX], 77);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembered),
        cmocka_unit_test(changes),
        cmocka_unit_test(decoded),
        cmocka_unit_test(same_as_the_long_way),
        cmocka_unit_test(left_to_the_long_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
