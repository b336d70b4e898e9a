// SPDX-License-Identifier: Apache-2.0
// Reports of traps and panics: registers, meaning, backtrace, guest, last log lines. One CPU reports, the
// others are stopped; a fault inside the report gets one line and ends it.
#include "arch/ppc/report.h"

#include <stdarg.h>
#include <stdio.h>
#include "arch/ppc/fixup.h"
#include "arch/ppc/host_mpic.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/ppc_cpu.h"
#include "arch/ppc/report_text.h"
#include "core/console.h"
#include "core/log.h"
#include "core/vm.h"
#include "drivers/serial/ns16550.h"
#include "lib/symbols.h"

#define LOG_LINES  20
#define MAX_FRAMES 32
#define NOBODY     UINT32_MAX

static uint32_t reporter = NOBODY; /* number of the CPU that reports */
static uint32_t reporter_faults;   /* traps inside its report */

void machine_stop_others(void) {
    host_mpic_send_stop_others();
}

void machine_stop_self(void) {
    ppc_cpu_halt();
}

/* A line on all consoles, past the log. */
__attribute__((format(printf, 1, 2))) static void out(const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text) - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t size = (size_t)length < sizeof(text) - 2 ? (size_t)length : sizeof(text) - 2;
    text[size++] = '\n';
    console_write(text, size);
}

static void out_line(const char *line) {
    out("  %s", line);
}

static void print_address(const char *what, uint32_t address) {
    uint64_t offset = 0;
    const char *name = symbol_lookup(address, &offset);

    if (name != NULL)
        out("%s0x%08x %s+0x%x", what, (unsigned)address, name, (unsigned)offset);
    else
        out("%s0x%08x", what, (unsigned)address);
}

/* Follows the back chain while it stays on this CPU's stacks and goes up. A function's return address lies in
 * the frame above its own (System V ABI, PowerPC supplement). */
static void print_backtrace(uint32_t pc, uint32_t lr, uint32_t sp) {
    const struct ppc_cpu *cpu = ppc_cpu_this();
    uint32_t previous = pc;
    unsigned repeated = 0;

    out("backtrace:");
    if (pc != 0)
        print_address("  ", pc);
    if (lr != 0 && symbol_lookup(lr, NULL) != NULL)
        print_address("  (lr) ", lr);
    for (unsigned i = 0; i < MAX_FRAMES;) {
        uint32_t next, address;
        if (sp % 4 != 0 || !ppc_cpu_on_stack(cpu, sp) || read32_safe(sp, &next) != 0)
            break;
        if (next <= sp || next % 4 != 0 || !ppc_cpu_on_stack(cpu, next) ||
            read32_safe(next + 4, &address) != 0 || address == 0)
            break;
        if (address == previous) {
            repeated++; /* recursion */
        } else {
            if (repeated != 0)
                out("  (the same %u times more)", repeated);
            repeated = 0;
            print_address("  ", address);
            i++;
        }
        previous = address;
        sp = next;
    }
    if (repeated != 0)
        out("  (the same %u times more)", repeated);
}

static void print_registers(const struct trap_frame *frame) {
    print_address("pc  ", frame->pc);
    print_address("lr  ", frame->lr);
    out("msr %08x  esr %08x  dear %08x", (unsigned)frame->msr, (unsigned)frame->esr, (unsigned)frame->dear);
    out("cr  %08x  ctr %08x  xer  %08x", (unsigned)frame->cr, (unsigned)frame->ctr, (unsigned)frame->xer);
    for (unsigned i = 0; i < 32; i += 4)
        out("r%-2u %08x %08x %08x %08x", i, (unsigned)frame->gpr[i], (unsigned)frame->gpr[i + 1],
            (unsigned)frame->gpr[i + 2], (unsigned)frame->gpr[i + 3]);
}

static bool is_readable(const void *object) {
    uint32_t word;
    return read32_safe((uint32_t)object, &word) == 0;
}

static void print_guest(void) {
    const struct vcpu *vcpu = cpu_this()->current;

    if (vcpu != NULL && is_readable(vcpu) && is_readable(vcpu->vm))
        out("guest: %.32s, vCPU %u", vcpu->vm->name, vcpu->index);
    else
        out("guest: none");
}

/* The check in a function's head: twllt r1, rX (see -fstack-limit-register in mk/ppc.mk). */
static bool is_stack_check(const struct trap_frame *frame) {
    uint32_t instruction;

    return frame->vector == IVOR_PROGRAM && (frame->esr & ESR_PTR) != 0 &&
           read32_safe(frame->pc, &instruction) == 0 && (instruction & 0xffff07ffu) == 0x7c410008u;
}

/* The first CPU that has something to report gets true and has stopped the others. One that comes later
 * halts; the reporter itself gets false when its report has failed once, and halts when it has failed again.
 */
static bool report_begin(void) {
    uint32_t self = cpu_this()->number;
    uint32_t expected = NOBODY;

    (void)interrupts_save();
    if (__atomic_compare_exchange_n(&reporter, &expected, self, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        console_panic();
        machine_stop_others();
        return true;
    }
    if (expected != self || reporter_faults++ != 0)
        ppc_cpu_halt();
    return false;
}

__attribute__((noreturn)) static void report_end(void) {
    out("last log lines:");
    log_replay(LOG_LINES, out_line);
    out("The machine has stopped.");
    console_flush();
    ppc_cpu_halt();
}

/* What can still be said when the report itself fails: to the serial port, without anything that may fail. */
__attribute__((noreturn)) static void report_last_words(const char *what, uint32_t pc, uint32_t address) {
    char text[160];
    int length = snprintf(text, sizeof(text), "\r\n%s while reporting: pc %08x dear %08x. Stopped.\r\n", what,
                          (unsigned)pc, (unsigned)address);
    if (length > 0)
        ns16550_emergency(text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
    ppc_cpu_halt();
}

void report_exception(const struct trap_frame *frame) {
    char text[160];

    if (!report_begin())
        report_last_words(trap_name(frame->vector), frame->pc, frame->dear);
    out(" ");
    out("*** CPU %u: %s (IVOR%u)%s", cpu_this()->number, trap_name(frame->vector), (unsigned)frame->vector,
        (frame->msr & MSR_PR) != 0 ? " in a guest" : "");
    if (is_stack_check(frame)) {
        out("stack overflow on CPU %u", cpu_this()->number);
    } else {
        trap_explain(text, sizeof(text), frame->vector, frame->esr, frame->dear, frame->pc);
        if (text[0] != '\0')
            out("%s", text);
    }
    if (frame->vector == IVOR_MACHINE_CHECK)
        out("mcsr %08x  mcar %08x", (unsigned)spr_read(SPR_MCSR), (unsigned)spr_read(SPR_MCAR));
    print_registers(frame);
    print_guest();
    if ((frame->msr & MSR_PR) == 0)
        print_backtrace(frame->pc, frame->lr, frame->gpr[1]);
    report_end();
}

void arch_panic_stop(void) {
    if (!report_begin())
        report_last_words("panic", (uint32_t)__builtin_return_address(0), 0);
    out("CPU %u", cpu_this()->number);
    print_guest();
    print_backtrace(0, 0, (uint32_t)__builtin_frame_address(0));
    report_end();
}
