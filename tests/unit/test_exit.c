// SPDX-License-Identifier: Apache-2.0
// Exits by meaning and the loop that runs a vCPU, over an engine of the test's own: what follows an
// instruction, exceptions upon exceptions, XSETBV, ports, hypercalls, second-level faults; interrupts, NMIs,
// INIT and SIPI, sleeping, and requests that come at any moment.
// unit-sources: arch/x86/engine/exit.c arch/x86/engine/run.c core/bus.c
#include "exit_fixture.h"

/* ---- behind an instruction */

static void test_skip(void **unused) {
    (void)unused;
    state.interrupt_shadow = 1;
    x86_skip(&vcpu, 2);
    assert_int_equal(state.registers.rip, 0x1002);
    assert_int_equal(state.interrupt_shadow, 0);
    assert_int_equal(state.pending.valid, 0);

    state.registers.rflags |= 0x10000; /* RF ends with the instruction */
    x86_skip(&vcpu, 1);
    assert_int_equal(state.registers.rip, 0x1003);
    assert_int_equal(state.registers.rflags, 0x202);

    state.registers.rip = 0xffffffff; /* 64-bit code goes on */
    x86_skip(&vcpu, 2);
    assert_int_equal(state.registers.rip, 0x100000001);
    state.registers.rip = 0xffffffffffffffff;
    x86_skip(&vcpu, 2);
    assert_int_equal(state.registers.rip, 1);
    mode_32();
    state.registers.rip = 0xffffffff; /* other code wraps */
    x86_skip(&vcpu, 2);
    assert_int_equal(state.registers.rip, 1);

    state.registers.rflags |= 0x100;
    state.dr6 = 0xffff0ff0;
    x86_skip(&vcpu, 2);
    assert_int_equal(state.registers.rip, 3);
    assert_int_equal(state.dr6, 0xffff4ff0);
    assert_int_equal(vcpu.changed & X86_STATE_DEBUG, X86_STATE_DEBUG);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_DB, -1);
}

/* ---- exceptions */

enum outcome { SECOND, DOUBLE, SHUTDOWN };

/* AMD APM vol. 2, tables 8-3 and 8-4. */
static enum outcome expected(unsigned first, unsigned second) {
    bool contributory_1 = first == 0 || (first >= 10 && first <= 13);
    bool contributory_2 = second == 0 || (second >= 10 && second <= 13);
    if (first == 8)
        return contributory_2 || second == 14 ? SHUTDOWN : SECOND;
    if (contributory_1 && contributory_2)
        return DOUBLE;
    if (first == 14 && (contributory_2 || second == 14))
        return DOUBLE;
    return SECOND;
}

static void test_double_faults(void **unused) {
    (void)unused;
    for (unsigned first = 0; first < 32; first++) {
        for (unsigned second = 0; second < 32; second++) {
            if (first == 2 || second == 2)
                continue;
            memset(&state.pending, 0, sizeof(state.pending));
            vcpu.core.requests = 0;
            mock.crash[0] = 0;
            state.activity = X86_ACTIVE;
            x86_inject_exception(&vcpu, (uint8_t)first, -1);
            is_pending(X86_EVENT_EXCEPTION, first, -1);
            x86_inject_exception(&vcpu, (uint8_t)second, second == 13 ? 5 : -1);
            switch (expected(first, second)) {
            case SECOND:
                is_pending(X86_EVENT_EXCEPTION, second, second == 13 ? 5 : -1);
                break;
            case DOUBLE:
                is_pending(X86_EVENT_EXCEPTION, VECTOR_DF, 0);
                break;
            case SHUTDOWN:
                assert_int_equal(state.pending.valid, 0);
                assert_int_equal(state.activity, X86_SHUTDOWN);
                assert_string_equal(mock.crash, "triple fault on vCPU 0");
            }
            assert_int_equal(vcpu.postponed.valid, 0);
        }
    }
}

static void test_real_mode_errors(void **unused) {
    (void)unused;
    state.system.cr0 = 0;
    x86_inject_exception(&vcpu, VECTOR_GP, 0);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_GP, -1);
    x86_inject_exception(&vcpu, VECTOR_GP, 0);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_DF, -1);
    state.pending.valid = 0;
    state.system.cr0 = CR0_PE;
    x86_inject_exception(&vcpu, VECTOR_GP, 0x12);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_GP, 0x12);
}

static void test_page_fault(void **unused) {
    (void)unused;
    vcpu.present = 0;
    x86_inject_page_fault(&vcpu, 0xdead000, 7);
    assert_int_equal(state.system.cr2, 0xdead000);
    assert_int_equal(engine_calls.fetched & X86_STATE_CONTROL, X86_STATE_CONTROL);
    assert_int_equal(vcpu.changed, X86_STATE_CONTROL);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_PF, 7);
}

/* What the CPU was delivering when it exited. */
static void test_interrupted(void **unused) {
    (void)unused;
    x86_interrupted(&vcpu, 0x80000031, 0);
    is_pending(X86_EVENT_INTERRUPT, 0x31, -1);
    assert_int_equal(x86_event_info(&state.pending), 0x80000031);
    x86_interrupted(&vcpu, 0x80000b0e, 6);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_PF, 6);
    assert_int_equal(x86_event_info(&state.pending), 0x80000b0e);
    x86_interrupted(&vcpu, 0x80000202, 0);
    is_pending(X86_EVENT_NMI, 2, -1);
    /* Instructions are executed again. */
    state.pending.valid = 0;
    x86_interrupted(&vcpu, 0x80000480, 0);
    x86_interrupted(&vcpu, 0x80000303, 0);
    x86_interrupted(&vcpu, 0x80000304, 0);
    assert_int_equal(state.pending.valid, 0);
}

/* ---- instructions */

static void test_cpuid_exit(void **unused) {
    uint64_t *gpr = state.registers.gpr;
    (void)unused;
    model.basic[0] = (struct cpuid_leaf){0xd, 2, 3, 4};
    memset(gpr, 0xff, sizeof(state.registers.gpr));
    gpr[X86_RAX] = 0xffffffff00000000;
    exit_cpuid(&vcpu, 2);
    assert_int_equal(gpr[X86_RAX], 0xd); /* upper halves are cleared */
    assert_int_equal(gpr[X86_RBX], 2);
    assert_int_equal(gpr[X86_RCX], 3);
    assert_int_equal(gpr[X86_RDX], 4);
    gpr[X86_RAX] = 0x4000000b;
    gpr[X86_RCX] = 0x700000009;
    exit_cpuid(&vcpu, 3);
    assert_int_equal(gpr[X86_RAX], 0x4000000c);
    assert_int_equal(gpr[X86_RBX], 9);
    assert_int_equal(state.registers.rip, 0x1005);
}

static void test_msr(void **unused) {
    uint64_t *gpr = state.registers.gpr;
    (void)unused;
    gpr[X86_RCX] = 0xabcd00000010;
    gpr[X86_RAX] = gpr[X86_RDX] = UINT64_MAX;
    exit_msr_read(&vcpu, 2);
    assert_int_equal(gpr[X86_RAX], 0x9abcdef0);
    assert_int_equal(gpr[X86_RDX], 0x12345678);
    gpr[X86_RAX] = 0xffffffff11111111;
    gpr[X86_RDX] = 0xffffffff22222222;
    exit_msr_write(&vcpu, 2);
    assert_int_equal(msr_written, 0x2222222211111111);
    assert_int_equal(state.registers.rip, 0x1004);
    gpr[X86_RCX] = 0x80b;
    exit_msr_write(&vcpu, 2);
    assert_int_equal(vcpu.exits[EXIT_EOI], 1);
    gpr[X86_RCX] = 0x11;
    exit_msr_read(&vcpu, 2);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_GP, 0);
    assert_int_equal(state.registers.rip, 0x1006); /* a fault: at the instruction */
    assert_int_equal(gpr[X86_RAX], 0xffffffff11111111);
    state.pending.valid = 0;
    exit_msr_write(&vcpu, 2);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_GP, 0);
}

static void test_hypercall(void **unused) {
    uint64_t *gpr = state.registers.gpr;
    static const uint64_t wide[5] = {0xa00000001, 0xb00000002, 0xc00000003, 0xd00000004, 0xe00000005};
    static const unsigned order[5] = {X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI};
    (void)unused;
    for (unsigned i = 0; i < 5; i++)
        gpr[order[i]] = wide[i];
    exit_hypercall(&vcpu, 3);
    assert_memory_equal(mock.hypercall, wide, sizeof(wide));
    assert_int_equal(gpr[X86_RAX], 0xfffffffffffffc18);
    assert_int_equal(state.registers.rip, 0x1003);
    mode_32();
    for (unsigned i = 0; i < 5; i++)
        gpr[order[i]] = wide[i];
    exit_hypercall(&vcpu, 3);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(mock.hypercall[i], i + 1);
    assert_int_equal(gpr[X86_RAX], 0xfffffc18);
}

static void test_undefined(void **unused) {
    static const uint8_t calls[][3] = {{0x0f, 0x01, 0xc1}, {0x0f, 0x01, 0xd9}};
    (void)unused;
    mock.peek_count = 3;
    for (unsigned i = 0; i < 2; i++) {
        memcpy(mock.peek, calls[i], 3);
        exit_undefined(&vcpu);
        assert_int_equal(state.registers.rip, 0x1003 + 3 * i);
        assert_int_equal(state.pending.valid, 0);
    }
    assert_int_equal(vcpu.exits[EXIT_HYPERCALL], 2);
    mock.peek_count = 2; /* the third byte is not there */
    exit_undefined(&vcpu);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_UD, -1);
    mock.peek_count = 3;
    mock.peek[2] = 0xc2;
    state.pending.valid = 0;
    exit_undefined(&vcpu);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_UD, -1);
    assert_int_equal(state.registers.rip, 0x1006);
}

static void test_xsetbv(void **unused) {
    static const struct {
        uint64_t value;
        bool good;
    } rows[] = {
        {1, true},
        {3, true},
        {7, true},
        {0xe7, true},
        {0, false},
        {2, false},
        {5, false},
        {6, false},
        {0x23, false},
        {0xe3, false},
        {0x67, false},
        {0xc7, false},
        {0x1f, false},
        {0x207, false},
        {0x100000001, false},
        {0x8000000000000003, false},
    };
    uint64_t *gpr = state.registers.gpr;
    (void)unused;
    model.xcr0_allowed = 0xe7;
    exit_xsetbv(&vcpu, 3); /* no OSXSAVE */
    is_pending(X86_EVENT_EXCEPTION, VECTOR_UD, -1);
    state.system.cr4 = CR4_OSXSAVE;
    state.pending.valid = 0;
    exit_xsetbv(&vcpu, 3); /* a model without */
    is_pending(X86_EVENT_EXCEPTION, VECTOR_UD, -1);
    model.features[WORD_1_ECX] = 1u << 26;
    for (unsigned i = 0; i < array_count(rows); i++) {
        for (unsigned cpl = 0; cpl < 4; cpl += 3) {
            for (unsigned index = 0; index < 2; index++) {
                bool good = rows[i].good && !cpl && !index;
                state.pending.valid = 0;
                state.xcr0 = 1;
                state.registers.rip = 0x2000;
                state.system.cpl = cpl;
                gpr[X86_RAX] = (uint32_t)rows[i].value | 0xabcd00000000; /* upper halves do not count */
                gpr[X86_RDX] = rows[i].value >> 32 | 0xabcd00000000;
                gpr[X86_RCX] = index | 0xabcd00000000;
                unsigned before = mock.xcr0_changes;
                exit_xsetbv(&vcpu, 3);
                assert_int_equal(state.xcr0, good ? rows[i].value : 1);
                assert_int_equal(mock.xcr0_changes - before, good);
                assert_int_equal(state.registers.rip, good ? 0x2003 : 0x2000);
                if (!good)
                    is_pending(X86_EVENT_EXCEPTION, VECTOR_GP, 0);
            }
        }
    }
}

static uint64_t port_value;
static unsigned port_size;
static int port_result;

static int port_read(void *device, struct vcpu *who, uint64_t offset, unsigned size, uint64_t *value) {
    (void)device;
    (void)offset;
    assert_ptr_equal(who, &vcpu.core);
    port_size = size;
    *value = port_value;
    return port_result;
}
static int port_write(void *device, struct vcpu *who, uint64_t offset, unsigned size, uint64_t value) {
    (void)device;
    (void)offset;
    assert_ptr_equal(who, &vcpu.core);
    port_size = size;
    port_value = value;
    return port_result;
}

static void test_ports(void **unused) {
    static const struct bus_ops ops = {.read = port_read, .write = port_write};
    uint64_t *rax = &state.registers.gpr[X86_RAX];
    (void)unused;
    assert_int_equal(bus_add(&vm.core.bus[BUS_PORT], 0x100, 16, &ops, NULL, "test"), 0);
    port_result = 0;
    for (unsigned size = 1; size <= 4; size *= 2) {
        *rax = 0x1122334455667788;
        port_value = 0xaabbccdd;
        assert_int_equal(exit_port(&vcpu, 0x100, size, true, 1), ENGINE_AGAIN);
        assert_int_equal(*rax, size == 1   ? 0x11223344556677dd
                               : size == 2 ? 0x112233445566ccdd
                                           : 0xaabbccdd); /* a double word clears the upper half */
        assert_int_equal(port_size, size);
        *rax = 0x1122334455667788;
        assert_int_equal(exit_port(&vcpu, 0x100, size, false, 1), ENGINE_AGAIN);
        assert_int_equal(port_value, size == 1 ? 0x88 : size == 2 ? 0x7788 : 0x55667788);
    }
    assert_int_equal(state.registers.rip, 0x1006);
    /* Nobody there: all ones, and it goes on. */
    *rax = 0;
    assert_int_equal(exit_port(&vcpu, 0x200, 2, true, 2), ENGINE_AGAIN);
    assert_int_equal(*rax, 0xffff);
    assert_int_equal(exit_port(&vcpu, 0xffff, 4, false, 2), ENGINE_AGAIN);
    assert_int_equal(state.registers.rip, 0x100a);
    /* The answer comes later: at the instruction, with nothing changed. */
    port_result = -EAGAIN;
    *rax = 5;
    assert_int_equal(exit_port(&vcpu, 0x100, 1, true, 1), ENGINE_BLOCK);
    assert_int_equal(exit_port(&vcpu, 0x100, 1, false, 1), ENGINE_BLOCK);
    assert_int_equal(*rax, 5);
    assert_int_equal(state.registers.rip, 0x100a);
}

static void test_cr8(void **unused) {
    (void)unused;
    mock.cr8 = 9;
    exit_cr8(&vcpu, false, X86_R9, 4);
    assert_int_equal(state.registers.gpr[X86_R9], 9);
    state.registers.gpr[X86_RBX] = 0xf;
    exit_cr8(&vcpu, true, X86_RBX, 4);
    assert_int_equal(mock.cr8, 0xf);
    assert_int_equal(state.registers.rip, 0x1008);
    state.registers.gpr[X86_RBX] = 0x10;
    exit_cr8(&vcpu, true, X86_RBX, 4);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_GP, 0);
    assert_int_equal(mock.cr8, 0xf);
}

static void test_instruction_length(void **unused) {
    static const uint8_t cpuid[] = {0x0f, 0xa2}, vmmcall[] = {0x0f, 0x01, 0xd9}, hlt[] = {0xf4};
    uint64_t page;
    (void)unused;
    emulate.instruction.opcode = EMULATE_OPCODE(1, 0xa2);
    emulate.instruction.length = 4; /* with prefixes */
    assert_int_equal(x86_instruction_length(&vcpu, cpuid, 2, &page), 4);
    assert_int_equal(page, 0x101000);
    assert_int_equal(x86_instruction_length(&vcpu, hlt, 1, NULL), 0); /* changed meanwhile */
    emulate.instruction.opcode = EMULATE_OPCODE(1, 0x01);
    emulate.instruction.modrm = 0xd9;
    assert_int_equal(x86_instruction_length(&vcpu, vmmcall, 3, NULL), 4);
    emulate.instruction.modrm = 0xc1;
    assert_int_equal(x86_instruction_length(&vcpu, vmmcall, 3, NULL), 0);
    emulate.instruction.opcode = EMULATE_OPCODE(0, 0xf4);
    assert_int_equal(x86_instruction_length(&vcpu, hlt, 1, NULL), 4);
    mock.translate = -EFAULT;
    x86_instruction_length(&vcpu, hlt, 1, &page);
    assert_int_equal(page, UINT64_MAX);
    assert_int_equal(state.pending.valid, 0);
    mock.result = EMULATE_FAULT;
    emulate.fault =
        (struct emulate_fault){.vector = VECTOR_PF, .error = 0x14, .has_error = true, .cr2 = 0x1000};
    assert_int_equal(x86_instruction_length(&vcpu, hlt, 1, &page), 0);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_PF, 0x14);
    assert_int_equal(state.system.cr2, 0x1000);
    state.pending.valid = 0;
    mock.result = EMULATE_RETRY;
    assert_int_equal(x86_instruction_length(&vcpu, hlt, 1, &page), 0);
    assert_int_equal(state.pending.valid, 0);
    mock.result = EMULATE_UNHANDLED;
    assert_int_equal(x86_instruction_length(&vcpu, hlt, 1, &page), 0);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_UD, -1);
}

/* ---- emulation and second-level faults */

static void test_emulate(void **unused) {
    (void)unused;
    mock.result = EMULATE_OK;
    emulate.interrupt_shadow = true;
    emulate.instruction.opcode = EMULATE_OPCODE(0, 0x8e);
    assert_int_equal(exit_emulate(&vcpu), ENGINE_AGAIN);
    assert_false(emulate.gpa_valid);
    assert_int_equal(state.interrupt_shadow, 1);
    assert_int_equal(vcpu.changed, X86_STATE_SEGMENTS);
    emulate.interrupt_shadow = false;
    emulate.debug_trap = true;
    emulate.instruction.opcode = EMULATE_OPCODE(0, 0x89);
    vcpu.changed = 0;
    exit_emulate(&vcpu);
    assert_int_equal(state.interrupt_shadow, 0);
    assert_int_equal(vcpu.changed, X86_STATE_DEBUG);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_DB, -1);
    state.pending.valid = 0;
    mock.result = EMULATE_FAULT;
    emulate.fault = (struct emulate_fault){.vector = VECTOR_GP, .error = 0x18, .has_error = true};
    exit_emulate(&vcpu);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_GP, 0x18);
    state.pending.valid = 0;
    emulate.fault = (struct emulate_fault){.vector = VECTOR_PF, .error = 2, .has_error = true, .cr2 = 0x77};
    exit_emulate(&vcpu);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_PF, 2);
    assert_int_equal(state.system.cr2, 0x77);
    state.pending.valid = 0;
    mock.result = EMULATE_RETRY;
    exit_emulate(&vcpu);
    assert_int_equal(state.pending.valid, 0);
    mock.result = EMULATE_UNHANDLED;
    state.system.cpl = 3;
    exit_emulate(&vcpu);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_UD, -1);
    assert_string_equal(mock.crash, "");
    state.pending.valid = 0;
    state.system.cpl = 0;
    emulate.fetched = 15;
    memset(emulate.bytes, 0xab, 15);
    mock.translate = -EFAULT;
    exit_nested_fault(&vcpu, 0x1234, true, false);
    assert_string_equal(mock.crash,
                        "cannot emulate the instruction ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab "
                        "(address 0x1234)");
}

static void test_nested_faults(void **unused) {
    (void)unused;
    /* RAM: it was only late. */
    mock.kind = GUEST_RAM;
    exit_nested_fault(&vcpu, 0x5000, true, false);
    assert_int_equal(engine_calls.tlb_flushes, 1);
    mock.kind = GUEST_ROM;
    exit_nested_fault(&vcpu, 0x5000, false, true);
    assert_int_equal(engine_calls.tlb_flushes, 2);
    assert_int_equal(mock.emulations, 0);
    /* A write to ROM, and a device. */
    exit_nested_fault(&vcpu, 0x5000, true, false);
    assert_int_equal(mock.emulations, 1);
    mock.translate = -EFAULT;
    exit_nested_fault(&vcpu, 0xfec00000, false, false);
    assert_int_equal(mock.emulations, 2);
    assert_int_equal(emulate.gpa, 0xfec00000);
    assert_true(emulate.gpa_valid);
    assert_false(emulate.gpa_write);
    exit_nested_fault(&vcpu, 0xfec00000, true, false);
    assert_true(emulate.gpa_write);
    assert_int_equal(mock.emulations, 3);
    /* A plain move: the long way is not gone. */
    mock.device = true;
    state.interrupt_shadow = 1;
    exit_nested_fault(&vcpu, 0xfec00010, false, false);
    assert_int_equal(mock.emulations, 3);
    assert_int_equal(mock.device_moves, 1);
    assert_int_equal(state.interrupt_shadow, 0);
    mock.result = EMULATE_RETRY; /* the answer comes later */
    state.interrupt_shadow = 1;
    exit_nested_fault(&vcpu, 0xfec00010, false, false);
    assert_int_equal(state.interrupt_shadow, 1);
    mock.result = EMULATE_OK;
    state.interrupt_shadow = 0;
    mock.device = false;
    mock.emulations = 2;
    /* The APIC's page lies over RAM. */
    mock.translate = 0;
    mock.kind = GUEST_RAM;
    mock.mmio_base = 0x5000;
    exit_nested_fault(&vcpu, 0x5ff0, false, false);
    assert_int_equal(mock.emulations, 3);
    exit_nested_fault(&vcpu, 0x6000, false, false);
    assert_int_equal(engine_calls.tlb_flushes, 3);
    exit_nested_fault(&vcpu, 0x6000, false, true);
    assert_int_equal(engine_calls.tlb_flushes, 4);
    assert_int_equal(mock.crash[0], 0);
    /* A CPU that must have code in small pages. */
    assert_int_equal(mock.executed, 0);
    vm.nested.small_code = true;
    exit_nested_fault(&vcpu, 0x6000, true, false);
    assert_int_equal(mock.executed, 0);
    exit_nested_fault(&vcpu, 0x7123, false, true);
    assert_int_equal(mock.executed, 0x7123);
    assert_int_equal(engine_calls.tlb_flushes, 6);
    assert_int_equal(mock.crash[0], 0);
    mock.execute = -ENOMEM;
    exit_nested_fault(&vcpu, 0x8000, false, true);
    assert_string_equal(mock.crash, "runs code at 0x8000: no memory for small pages there");
    mock.crash[0] = 0;
    mock.executed = 0;
    /* Code where there is none. */
    mock.kind = GUEST_SHOWN_DEVICE;
    exit_nested_fault(&vcpu, 0xd0000000, false, true);
    assert_string_equal(mock.crash, "runs code at 0xd0000000, where a device has its registers or its ROM");
    assert_int_equal(mock.executed, 0);
    mock.kind = GUEST_SHOWN_READ;
    mock.crash[0] = 0;
    exit_nested_fault(&vcpu, 0xd0010000, false, true);
    assert_string_equal(mock.crash, "runs code at 0xd0010000, where a device has its registers or its ROM");
    mock.kind = GUEST_RAM;
    mock.translate = -EFAULT;
    exit_nested_fault(&vcpu, 0xc0000000, false, true);
    assert_string_equal(mock.crash, "runs code at 0xc0000000, where there is no memory");
    /* An event's delivery through a device. */
    x86_interrupted(&vcpu, 0x80000031, 0);
    exit_nested_fault(&vcpu, 0xc0000000, true, false);
    assert_string_equal(mock.crash,
                        "delivers vector 49 through tables or a stack at 0xc0000000, where there is no "
                        "memory");
    assert_int_equal(mock.emulations, 3);
    exit_nested_table_fault(&vcpu, 0xd0000000);
    assert_string_equal(mock.crash, "has page tables at 0xd0000000, where there is no RAM");
    mock.crash[0] = 0;
    mock.translate = 0;
    exit_nested_table_fault(&vcpu, 0x5000);
    assert_int_equal(engine_calls.tlb_flushes, 7);
    assert_int_equal(mock.crash[0], 0);
}

/* ---- the loop */

static enum engine_next step_nothing(void) {
    return ENGINE_AGAIN;
}
static enum engine_next step_halt(void) {
    return exit_halt(&vcpu, 1);
}
static enum engine_next step_park(void) {
    vcpu.core.requests |= VCPU_REQUEST_PARK;
    return ENGINE_AGAIN;
}
static enum engine_next step_event(void) {
    vcpu.core.requests |= X86_REQUEST_EVENT;
    return ENGINE_AGAIN;
}
static enum engine_next step_nmi(void) {
    vcpu.core.requests |= X86_REQUEST_NMI;
    return ENGINE_AGAIN;
}
static enum engine_next step_nmi_and_interrupt(void) {
    mock.lapic_vector = 0x41;
    vcpu.core.requests |= X86_REQUEST_NMI | X86_REQUEST_EVENT;
    return ENGINE_AGAIN;
}
static enum engine_next step_iret(void) {
    state.nmi_blocked = 0;
    return ENGINE_AGAIN;
}

static void test_loop(void **unused) {
    (void)unused;
    assert_int_equal(run(3, step_nothing, step_nothing, step_reschedule), VCPU_RUN_RESCHEDULE);
    assert_int_equal(mock.preempted, 1);
    assert_ptr_equal(cpu.window_vm, &vm.core);
    assert_int_equal(run(2, step_nothing, step_park), VCPU_RUN_PARK);
    assert_int_equal(run(0), VCPU_RUN_PARK); /* nothing is entered with that request */
    vcpu.core.requests = 0;
    assert_int_equal(run(1, step_halt), VCPU_RUN_BLOCK);
    assert_int_equal(state.activity, X86_HALTED);
    assert_int_equal(mock.preempted, 1);      /* asleep is not preempted */
    assert_int_equal(run(0), VCPU_RUN_BLOCK); /* woken for nothing */
    vcpu.core.requests = VCPU_REQUEST_RESUMED;
    assert_int_equal(run(0), VCPU_RUN_BLOCK);
    assert_int_equal(mock.refreshes, 1);
    assert_int_equal(vcpu.core.requests, 0);
    vcpu.core.requests = X86_REQUEST_TLB;
    run(0);
    assert_int_equal(engine_calls.tlb_flushes, 1);
}

static void test_interrupt(void **unused) {
    (void)unused;
    mock.lapic_vector = 0x31;
    run(1, step_reschedule);
    assert_int_equal(guest.entered[0].vector, 0x31);
    assert_int_equal(guest.entered[0].type, X86_EVENT_INTERRUPT);
    assert_int_equal(mock.accepted, 0x31);
    assert_int_equal(mock.offers, 1);
    /* Held off: not taken from the APIC, and an exit is asked for. */
    mock.lapic_vector = 0x32;
    state.registers.rflags = 2;
    run(1, step_reschedule);
    assert_int_equal(guest.entered[0].valid, 0);
    assert_int_equal(mock.accepted, 0x31);
    assert_int_equal(engine_calls.windows, 1);
    state.registers.rflags = 0x202;
    state.interrupt_shadow = 1;
    run(1, step_reschedule);
    assert_int_equal(guest.entered[0].valid, 0);
    assert_int_equal(engine_calls.windows, 2);
    state.interrupt_shadow = 0;
    run(2, step_event, step_reschedule);
    assert_int_equal(mock.accepted, 0x32);
    assert_int_equal(mock.offers, 2);
    /* Where its end has to exit nothing else is offered. */
    x86_eoi_exits = true;
    mock.lapic_vector = 0x33;
    run(1, step_reschedule);
    x86_eoi_exits = false;
    assert_int_equal(mock.accepted, 0x33);
    assert_int_equal(mock.offers, 2);
    /* The PIC, where the APIC has nothing and lets it through. */
    mock.pic = true;
    mock.acknowledged = 0x08;
    run(1, step_reschedule);
    assert_int_equal(guest.entered[0].valid, 0);
    mock.pic_accepted = true;
    run(1, step_reschedule);
    assert_int_equal(guest.entered[0].vector, 0x08);
    assert_false(mock.pic);
    /* Both ask at once: the APIC's goes first, and an exit is asked for, or nothing would look at the PIC
     * again. */
    unsigned windows = engine_calls.windows;
    mock.lapic_vector = 0x34;
    mock.pic = true;
    run(2, step_nothing, step_reschedule);
    assert_int_equal(guest.entered[0].vector, 0x34);
    assert_true(mock.pic);
    assert_int_equal(engine_calls.windows, windows + 1);
    run(1, step_reschedule);
    assert_int_equal(guest.entered[0].vector, 0x08);
    assert_false(mock.pic);
}

/* An interrupt whose delivery an exception cut short comes after it, before anything else. */
static void test_postponed(void **unused) {
    (void)unused;
    x86_interrupted(&vcpu, 0x80000031, 0);
    x86_inject_exception(&vcpu, VECTOR_AC, 0);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_AC, 0);
    assert_int_equal(vcpu.postponed.vector, 0x31);
    mock.lapic_vector = 0x99;
    run(3, step_event, step_event, step_reschedule);
    assert_int_equal(guest.entered[0].vector, VECTOR_AC);
    assert_int_equal(guest.entered[1].vector, 0x31);
    assert_int_equal(guest.entered[2].vector, 0x99);
    assert_int_equal(vcpu.postponed.valid, 0);
}

static void test_nmi(void **unused) {
    (void)unused;
    run(2, step_nmi, step_reschedule);
    assert_int_equal(guest.entered[1].type, X86_EVENT_NMI);
    assert_int_equal(guest.entered[1].vector, 2);
    assert_int_equal(state.nmi_blocked, 1);
    assert_int_equal(mock.nmis, 1);
    /* One more waits, a third is lost: an NMI is an edge. */
    run(3, step_nmi, step_nmi, step_reschedule);
    assert_int_equal(mock.nmis, 1);
    assert_int_equal(state.nmi_pending, 1);
    run(2, step_iret, step_reschedule);
    assert_int_equal(guest.entered[1].type, X86_EVENT_NMI);
    assert_int_equal(state.nmi_pending, 0);
    state.nmi_blocked = 0;
    /* Before an interrupt, which is not lost. */
    run(3, step_nmi_and_interrupt, step_iret, step_reschedule);
    assert_int_equal(guest.entered[1].type, X86_EVENT_NMI);
    assert_int_equal(mock.accepted, -1);
    assert_int_equal(engine_calls.windows > 0, 1);
    run(1, step_reschedule);
    assert_int_equal(guest.entered[0].vector, 0x41);
    assert_int_equal(guest.entered[0].type, X86_EVENT_INTERRUPT);
}

static void test_halt(void **unused) {
    (void)unused;
    /* Something is there already: the HLT is over at once. */
    mock.lapic_work = true;
    mock.lapic_vector = 0x51;
    state.registers.rflags = 2;
    vcpu.core.requests = 0;
    assert_int_equal(exit_halt(&vcpu, 1), ENGINE_BLOCK); /* not with interrupts off */
    assert_int_equal(state.registers.rip, 0x1001);
    state.activity = X86_ACTIVE;
    state.registers.rflags = 0x202;
    assert_int_equal(exit_halt(&vcpu, 1), ENGINE_AGAIN);
    assert_int_equal(state.activity, X86_ACTIVE);
    assert_true(vcpu.core.requests & X86_REQUEST_EVENT);
    mock.lapic_work = false;
    /* A kick ends it with interrupts off too, once. */
    state.registers.rflags = 2;
    mock.kicked = true;
    assert_int_equal(exit_halt(&vcpu, 1), ENGINE_AGAIN);
    assert_false(mock.kicked);
    assert_int_equal(exit_halt(&vcpu, 1), ENGINE_BLOCK);
    /* An NMI wakes, but not inside its own handler. */
    assert_false(arch_vcpu_pending(&vcpu.core));
    vcpu.core.requests = X86_REQUEST_NMI;
    assert_true(arch_vcpu_pending(&vcpu.core));
    state.nmi_blocked = 1;
    assert_false(arch_vcpu_pending(&vcpu.core));
    assert_int_equal(run(0), VCPU_RUN_BLOCK);
    assert_int_equal(state.nmi_pending, 1);
    state.nmi_blocked = 0;
    assert_true(arch_vcpu_pending(&vcpu.core));
    /* A trap behind the HLT comes first. */
    state.activity = X86_ACTIVE;
    state.nmi_pending = 0;
    state.registers.rflags = 0x102;
    assert_int_equal(exit_halt(&vcpu, 1), ENGINE_AGAIN);
    is_pending(X86_EVENT_EXCEPTION, VECTOR_DB, -1);
    assert_int_equal(state.activity, X86_ACTIVE);
}

static void test_wake(void **unused) {
    (void)unused;
    assert_int_equal(run(1, step_halt), VCPU_RUN_BLOCK);
    mock.lapic_work = true;
    mock.lapic_vector = 0x61;
    vcpu.core.requests = X86_REQUEST_EVENT;
    assert_true(arch_vcpu_pending(&vcpu.core));
    assert_int_equal(run(1, step_reschedule), VCPU_RUN_RESCHEDULE);
    assert_int_equal(guest.entered[0].vector, 0x61);
    assert_int_equal(state.activity, X86_ACTIVE);
    /* The PIC wakes as well. */
    assert_int_equal(run(1, step_halt), VCPU_RUN_BLOCK);
    mock.pic = true;
    assert_false(arch_vcpu_pending(&vcpu.core));
    mock.pic_accepted = true;
    assert_true(arch_vcpu_pending(&vcpu.core));
}

static void test_start_up(void **unused) {
    (void)unused;
    vcpu.core.index = 1;
    state.activity = X86_WAIT_FOR_SIPI;
    /* Nothing else gets through. */
    vcpu.core.requests = X86_REQUEST_NMI | X86_REQUEST_EVENT;
    mock.lapic_work = mock.kicked = true;
    assert_false(arch_vcpu_pending(&vcpu.core));
    assert_int_equal(run(0), VCPU_RUN_BLOCK);
    assert_int_equal(state.nmi_pending, 0);
    mock.lapic_work = mock.kicked = false;
    vcpu.sipi_vector = 0x9a;
    vcpu.core.requests = X86_REQUEST_SIPI;
    assert_true(arch_vcpu_pending(&vcpu.core));
    assert_int_equal(run(1, step_reschedule), VCPU_RUN_RESCHEDULE);
    assert_int_equal(mock.sipi, 0x9a);
    /* A SIPI means nothing to one that runs; INIT stops it, with SIPI it starts again. */
    mock.sipi = -1;
    vcpu.core.requests = X86_REQUEST_SIPI;
    run(1, step_reschedule);
    assert_int_equal(mock.sipi, -1);
    vcpu.core.requests = X86_REQUEST_INIT;
    state.dr[0] = 0x1234;
    assert_int_equal(run(0), VCPU_RUN_BLOCK);
    assert_int_equal(mock.init_resets, 1);
    assert_int_equal(state.dr[0], 0); /* also of the breakpoints that the CPU had */
    vcpu.core.requests = X86_REQUEST_INIT | X86_REQUEST_SIPI;
    run(1, step_reschedule);
    assert_int_equal(mock.init_resets, 2);
    assert_int_equal(mock.sipi, 0x9a);
    /* Shut down: it waits for its VM's end. */
    state.activity = X86_SHUTDOWN;
    assert_false(arch_vcpu_pending(&vcpu.core));
    assert_int_equal(run(0), VCPU_RUN_BLOCK);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_skip),
        TEST(test_double_faults),
        TEST(test_real_mode_errors),
        TEST(test_page_fault),
        TEST(test_interrupted),
        TEST(test_cpuid_exit),
        TEST(test_msr),
        TEST(test_hypercall),
        TEST(test_undefined),
        TEST(test_xsetbv),
        TEST(test_ports),
        TEST(test_cr8),
        TEST(test_instruction_length),
        TEST(test_emulate),
        TEST(test_nested_faults),
        TEST(test_loop),
        TEST(test_interrupt),
        TEST(test_postponed),
        TEST(test_nmi),
        TEST(test_halt),
        TEST(test_wake),
        TEST(test_start_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
