// SPDX-License-Identifier: Apache-2.0
// Reports of exceptions, NMIs and panics: registers, meaning, backtrace, guest, last log lines. One CPU
// reports, the others are stopped by NMI; a fault inside the report gets one line and ends it.
#include "arch/x86/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "arch/x86/fixup.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/host_map.h"
#include "arch/x86/registers.h"
#include "arch/x86/report_text.h"
#include "core/console.h"
#include "core/log.h"
#include "core/vm.h"
#include "drivers/serial/ns16550.h"
#include "lib/symbols.h"

#define LOG_LINES      20
#define MAX_FRAMES     32
#define PORT_NMI       0x61u /* status and control B: who raised the NMI */
#define NMI_SERR       0x80u
#define NMI_IOCHK      0x40u
#define NOBODY         UINT32_MAX
#define MC_STATUS_VAL  (1ull << 63)
#define MC_STATUS_ADDR (1ull << 58)

static uint32_t reporter = NOBODY; /* number of the CPU that reports */
static uint32_t reporter_faults;   /* exceptions inside its report */
static uint32_t stopper = NOBODY;  /* the CPU that stops the others; of several the last one */

/* Whether another CPU wants this one to stop. */
static bool is_to_stop(void) {
    uint32_t by = __atomic_load_n(&stopper, __ATOMIC_SEQ_CST);
    return by != NOBODY && by != cpu_this()->number;
}

void machine_stop_others(void) {
    __atomic_store_n(&stopper, cpu_this()->number, __ATOMIC_SEQ_CST);
    host_apic_nmi_others();
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

/* The same as a line of the log: for an NMI after which the machine goes on. */
__attribute__((format(printf, 1, 2))) static void out_log(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line_v(LOG_WARNING, format, arguments);
    va_end(arguments);
}

static void out_line(const char *line) {
    out("  %s", line);
}

static void print_address(void (*print)(const char *format, ...), const char *what, uint64_t address) {
    uint64_t offset = 0;
    const char *name = symbol_lookup(address, &offset);

    if (name)
        print("%s0x%016lx %s+0x%lx", what, (unsigned long)address, name, (unsigned long)offset);
    else
        print("%s0x%016lx", what, (unsigned long)address);
}

/* Walks the frame pointers while they stay on one of this CPU's stacks and go up. */
static void print_backtrace(void (*print)(const char *format, ...), uint64_t rip, uint64_t rsp,
                            uint64_t rbp) {
    struct x86_cpu *cpu = x86_cpu_this();

    print("backtrace:");
    if (rip)
        print_address(print, "  ", rip);
    /* A jump to nowhere has made no frame yet: its caller is still on top of the stack. */
    if (rip && !symbol_lookup(rip, NULL) && !(rsp % 8) && x86_cpu_find_stack(cpu, rsp, false) >= 0)
        print_address(print, "  ", *(const uint64_t *)rsp);
    uint64_t previous = rip;
    unsigned repeated = 0;
    for (unsigned i = 0; i < MAX_FRAMES;) {
        int stack = x86_cpu_find_stack(cpu, rbp, false);
        if (rbp % 8 || stack < 0 || rbp + 16 > cpu->stack[stack].high)
            break;
        uint64_t next = ((const uint64_t *)rbp)[0];
        uint64_t address = ((const uint64_t *)rbp)[1];
        if (!address)
            break;
        if (address == previous) {
            repeated++; /* recursion */
        } else {
            if (repeated)
                print("  (the same %u times more)", repeated);
            repeated = 0;
            print_address(print, "  ", address);
            i++;
        }
        previous = address;
        if (next <= rbp)
            break;
        rbp = next;
    }
    if (repeated)
        print("  (the same %u times more)", repeated);
}

static void print_registers(void (*print)(const char *format, ...), const struct trap_frame *f) {
#define U(value) ((unsigned long)(value))
    print_address(print, "rip ", f->rip);
    print("cs  %04lx  rflags %08lx  ss %04lx", U(f->cs), U(f->rflags), U(f->ss));
    print("rax %016lx rbx %016lx rcx %016lx rdx %016lx", U(f->rax), U(f->rbx), U(f->rcx), U(f->rdx));
    print("rsi %016lx rdi %016lx rbp %016lx rsp %016lx", U(f->rsi), U(f->rdi), U(f->rbp), U(f->rsp));
    print("r8  %016lx r9  %016lx r10 %016lx r11 %016lx", U(f->r8), U(f->r9), U(f->r10), U(f->r11));
    print("r12 %016lx r13 %016lx r14 %016lx r15 %016lx", U(f->r12), U(f->r13), U(f->r14), U(f->r15));
    print("cr0 %08lx cr2 %016lx cr3 %016lx cr4 %08lx", U(cr0_read()), U(cr2_read()), U(cr3_read()),
          U(cr4_read()));
#undef U
}

static void print_guest(void (*print)(const char *format, ...)) {
    const struct cpu *cpu = cpu_this();
    const struct vcpu *vcpu = cpu->current;

    if (vcpu && host_map_readable((uint64_t)vcpu) && vcpu->vm && host_map_readable((uint64_t)vcpu->vm))
        print("guest: %.32s, vCPU %u", vcpu->vm->name, vcpu->index);
    else
        print("guest: none");
}

/* Which stack of which CPU has overflowed into the page below it, if one has. */
static bool print_stack_overflow(uint64_t rsp) {
    static const char *const names[STACK_COUNT] = {"main", "double-fault", "NMI", "machine-check"};
    uint64_t fault = cr2_read();

    for (unsigned i = 0; i < cpu_count(); i++) {
        struct x86_cpu *cpu = x86_cpu_of(cpu_get(i));
        int stack = x86_cpu_find_stack(cpu, fault, true);
        if (stack < 0)
            continue;
        /* A stray pointer into the guard page is no overflow. */
        if (rsp > cpu->stack[stack].low + 512)
            continue;
        out("stack overflow on CPU %u (its %s stack)", cpu->core.number, names[stack]);
        return true;
    }
    return false;
}

static void print_machine_check(void) {
    uint64_t capabilities, status;

    if (rdmsr_safe(MSR_MCG_CAP, &capabilities) || rdmsr_safe(MSR_MCG_STATUS, &status))
        return;
    out("machine check: MCG_STATUS %lx", (unsigned long)status);
    for (uint32_t bank = 0; bank < (capabilities & 0xff) && bank < 64; bank++) {
        uint64_t address = 0;
        if (rdmsr_safe(MSR_MC0_STATUS + 4 * bank, &status) || !(status & MC_STATUS_VAL))
            continue;
        if (status & MC_STATUS_ADDR)
            rdmsr_safe(MSR_MC0_ADDR + 4 * bank, &address);
        out("  bank %u: status %016lx address %016lx", bank, (unsigned long)status, (unsigned long)address);
    }
}

/* The first CPU that has something to report gets true and has stopped the others. One that comes later
 * halts; the reporter itself gets false when its report has failed once, and halts when it has failed again.
 */
static bool report_begin(void) {
    uint32_t self = cpu_this()->number;
    uint32_t expected = NOBODY;

    __asm__ volatile("cli" ::: "memory");
    if (__atomic_compare_exchange_n(&reporter, &expected, self, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        console_panic();
        machine_stop_others();
        return true;
    }
    if (expected != self || reporter_faults++)
        cpu_halt_forever();
    return false;
}

__attribute__((noreturn)) static void report_end(void) {
    out("last log lines:");
    log_replay(LOG_LINES, out_line);
    out("The machine has stopped.");
    console_flush();
    cpu_halt_forever();
}

/* What can still be said when the report itself fails: to the serial port, without anything that may fail. */
__attribute__((noreturn)) static void report_last_words(const char *what, uint64_t rip, uint64_t address) {
    char text[160];
    int length = snprintf(text, sizeof(text), "\r\n%s while reporting: rip %016lx cr2 %016lx. Stopped.\r\n",
                          what, (unsigned long)rip, (unsigned long)address);
    if (length > 0)
        ns16550_emergency(text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
    cpu_halt_forever();
}

void report_exception(struct trap_frame *frame) {
    unsigned vector = (unsigned)frame->vector;
    uint64_t address = cr2_read();
    char text[160];

    if (!report_begin())
        report_last_words(trap_name(vector), frame->rip, address);
    out(" ");
    out("*** CPU %u: %s (vector %u, error code 0x%lx)", cpu_this()->number, trap_name(vector), vector,
        (unsigned long)frame->error);
    if (vector == TRAP_DOUBLE_FAULT || vector == TRAP_PAGE_FAULT || vector == TRAP_STACK)
        print_stack_overflow(frame->rsp);
    trap_explain(text, sizeof(text), vector, frame->error, address);
    if (text[0])
        out("%s", text);
    if (vector == TRAP_MACHINE_CHECK)
        print_machine_check();
    print_registers(out, frame);
    print_guest(out);
    print_backtrace(out, frame->rip, frame->rsp, frame->rbp);
    report_end();
}

void report_nmi(struct trap_frame *frame) {
    static struct log_limit limit = {.burst = 4};

    if (is_to_stop())
        cpu_halt_forever();
    if (__atomic_load_n(&stopper, __ATOMIC_SEQ_CST) != NOBODY)
        return; /* the machine ends by this CPU, which has to get there */
    uint8_t reason = port_read8(PORT_NMI);
    /* All ones: no such port on this machine. */
    if (reason != 0xff && (reason & (NMI_SERR | NMI_IOCHK)) && cpu_this()->number == 0) {
        if (!report_begin())
            report_last_words("NMI", frame->rip, 0);
        out(" ");
        out("*** CPU 0: NMI: the hardware reports %s (port 0x61: 0x%02x)",
            reason & NMI_SERR ? "a system error (memory or PCI SERR#)" : "an I/O channel check", reason);
        print_registers(out, frame);
        print_guest(out);
        print_backtrace(out, frame->rip, frame->rsp, frame->rbp);
        report_end();
    }
    if (!log_allowed(&limit))
        return;
    out_log("NMI of unknown origin on CPU %u; going on", cpu_this()->number);
    print_registers(out_log, frame);
    print_guest(out_log);
    print_backtrace(out_log, frame->rip, frame->rsp, frame->rbp);
}

void arch_panic_stop(void) {
    if (!report_begin())
        report_last_words("panic", (uint64_t)__builtin_return_address(0), cr2_read());
    out("CPU %u", cpu_this()->number);
    print_guest(out);
    print_backtrace(out, 0, 0, (uint64_t)__builtin_frame_address(0));
    report_end();
}
