// SPDX-License-Identifier: Apache-2.0
// The hypervisor's start-up on the boot CPU, from start.S to the scheduler.
#include <stddef.h>
#include <stdint.h>
#include <libfdt.h>
#include "arch/ppc/clock.h"
#include "arch/ppc/host_map.h"
#include "arch/ppc/host_mpic.h"
#include "arch/ppc/host_pci.h"
#include "arch/ppc/host_uart.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/interrupts.h"
#include "arch/ppc/platform.h"
#include "arch/ppc/power.h"
#include "arch/ppc/ppc_cpu.h"
#include "arch/ppc/report.h"
#include "arch/ppc/selftest.h"
#include "arch/ppc/smp.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/timer.h"
#include "devices/host_pci.h"
#include "drivers/serial/ns16550.h"

#define WHY_SIZE 160

extern const char boot_stack[], boot_stack_end[];
static char boot_trap_stacks[TRAP_STACKS_SIZE] __attribute__((aligned(16)));

_Noreturn void start_c(uint32_t tree);

/* Something is wrong so early that nothing can be done about it but say so. */
#define start_fail(...)                                                                                      \
    do {                                                                                                     \
        log_error(__VA_ARGS__);                                                                              \
        panic("start-up failed");                                                                            \
    } while (0)

static void start_boot_cpu(void) {
    boot_cpu.core.id = spr_read(SPR_PIR);
    boot_cpu.main_stack.low = (uint32_t)boot_stack;
    boot_cpu.main_stack.high = (uint32_t)boot_stack_end;
    ppc_cpu_init(&boot_cpu, boot_trap_stacks);
    ppc_cpu_enable();
    cpu_register(&boot_cpu.core);
    timer_cpu_init(&boot_cpu.core);
    boot_cpu.started = 1;
}

/* The config may take the serial port away. (core/ reads all of it later, and checks it.) */
static bool wants_serial(void) {
    const struct boot_info *boot = platform_boot_info();
    if (fdt_check_full(boot->config, boot->config_size) != 0)
        return true;
    int host = fdt_path_offset(boot->config, "/host");
    return host < 0 || fdt_stringlist_search(boot->config, host, "console", "none") != 0;
}

static void start_memory(void) {
    struct memory_statistics statistics;
    char why[WHY_SIZE] = "";

    if (platform_start_memory() != 0)
        start_fail("not enough memory");
    memory_statistics(&statistics);
    log_info("%u MiB of memory, %u MiB free", (unsigned)(statistics.total >> 20),
             (unsigned)(statistics.free >> 20));
    if (platform_read_bundle(why, sizeof(why)) < 0)
        start_fail("the bundle %s", why);
}

static void stop_self(void *context) {
    (void)context;
    machine_stop_self();
}

static void start_interrupts(const struct machine *machine, bool uart) {
    if (host_mpic_init(machine->mpic) != 0)
        start_fail("the interrupt controller does not answer");
    host_mpic_enable();
    interrupt_install(VECTOR_STOP, stop_self, NULL);
    if (!uart)
        return;
    bool routed = host_mpic_route(machine->uart_source, VECTOR_UART, 0);
    if (!routed)
        log_warning("the serial port has no interrupt here: it is looked at by a timer");
    host_uart_start(routed);
}

_Noreturn void start_c(uint32_t tree) {
    const struct machine *machine = platform_machine();

    start_boot_cpu();
    const char *error = platform_read_tree(tree);
    bool uart = false;
    if (machine->ccsr != 0)
        host_map_ccsr(machine->ccsr);
    if (machine->uart != 0)
        uart = host_uart_init(machine->uart, machine->uart_clock);
    if (clock_start(machine->timebase) != 0 && error == NULL)
        error = "tells a time base too slow to be used";
    log_info("Saguaro hypervisor");
    if (error != NULL)
        start_fail("the device tree %s", error);
    if ((spr_read(SPR_PVR) & PVR_CORE_MASK) != (PVR_E500V2 & PVR_CORE_MASK))
        start_fail("this CPU is no e500v2 (PVR 0x%08x)", (unsigned)spr_read(SPR_PVR));
    log_info("time base: %u kHz", (unsigned)(clock_timebase_frequency() / 1000));
    power_init(machine->gpio, machine->gpio_pin, machine->guts);
    start_memory();
    if (uart && !wants_serial())
        ns16550_disable();
    start_interrupts(machine, uart);
    smp_start();
    host_pci_bridge_init(machine);
    host_pci_init();
    selftest_run();
    core_start(platform_boot_info());
    sched_loop();
}
