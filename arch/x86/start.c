// SPDX-License-Identifier: Apache-2.0
// The hypervisor's start-up on the boot CPU, from the loader's jump to hypervisor_main().
#include "arch/x86/start.h"

#include <libfdt.h>
#include "arch/x86/clock.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/features.h"
#include "arch/x86/host_acpi.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/host_ioapic.h"
#include "arch/x86/host_iommu.h"
#include "arch/x86/host_map.h"
#include "arch/x86/host_screen.h"
#include "arch/x86/host_timer.h"
#include "arch/x86/host_uart.h"
#include "arch/x86/interrupts.h"
#include "arch/x86/platform.h"
#include "arch/x86/power.h"
#include "arch/x86/registers.h"
#include "arch/x86/selftest.h"
#include "arch/x86/smp.h"
#include "core/console.h"
#include "core/log.h"
#include "core/timer.h"
#include "devices/host_pci.h"
#include "drivers/serial/ns16550.h"

#define MAX_RANGES 64
#define COM1_IRQ   4

extern const char boot_stack[], boot_stack_end[];

/* For the boot CPU's double faults, NMIs and machine checks until it has stacks with guard pages. */
static char early_stack[8192] __attribute__((aligned(16)));

_Noreturn void start_c(uint64_t handover);

/* Something is wrong so early that nothing can be done about it but say so. */
#define start_fail(...)                                                                                      \
    do {                                                                                                     \
        log_error(__VA_ARGS__);                                                                              \
        panic("start-up failed");                                                                            \
    } while (0)

static void start_boot_cpu(void) {
    boot_cpu.core.id = host_apic_id();
    boot_cpu.stack[STACK_MAIN] = (struct x86_stack){(uint64_t)boot_stack, (uint64_t)boot_stack_end};
    x86_cpu_bind(&boot_cpu);
    cpu_register(&boot_cpu.core);
    timer_cpu_init(&boot_cpu.core);
    boot_cpu.started = 1;
    for (unsigned ist = IST_DOUBLE_FAULT; ist <= IST_MACHINE_CHECK; ist++)
        segments_set_ist(&boot_cpu.segments, ist, (uint64_t)early_stack + sizeof(early_stack));
    segments_load(&boot_cpu.segments);
    traps_init();
    traps_load();
}

/* Memory: the heap on the loader's tables, then our own tables, then nothing of the loader's any more. */
static void start_memory(void) {
    struct memory_range ranges[MAX_RANGES];
    uint64_t reserve;
    unsigned count = platform_usable(ranges, MAX_RANGES, &reserve);

    if (!reserve)
        start_fail("no free 2 MiB block of memory");
    host_map_early(reserve);
    if (memory_init(ranges, count) || platform_copy())
        start_fail("not enough memory");
    if (host_map_build(platform_info()->handover.hypervisor_base) || x86_cpu_stacks(&boot_cpu) ||
        window_init(&boot_cpu))
        start_fail("not enough memory for page tables");
    host_map_load();
    host_screen_remap();

    struct memory_statistics statistics;
    memory_statistics(&statistics);
    log_info("%lu MiB of memory, %lu MiB free", (unsigned long)(statistics.total >> 20),
             (unsigned long)(statistics.free >> 20));
}

/* The config may take the serial port or the screen away. (core/ reads all of it later, and checks it.) */
static void start_consoles(void) {
    const void *config = platform_info()->boot.config;
    if (fdt_check_full(config, platform_info()->boot.config_size))
        return;
    int host = fdt_path_offset(config, "/host");
    if (host < 0)
        return;
    if (fdt_stringlist_search(config, host, "console", "none") == 0)
        ns16550_disable();
    if (fdt_stringlist_search(config, host, "frame-buffer", "off") == 0)
        host_screen_disable();
}

static void start_clock(void) {
    const struct acpi_fadt *fadt = host_acpi_fadt();

    if (clock_calibrate(fadt ? fadt->pm_timer : 0, fadt && fadt->pm_timer_wide))
        start_fail("no clock to measure the TSC against: neither CPUID nor PM timer nor 8254");
    log_info("TSC: %lu kHz, by %s%s", (unsigned long)(clock_tsc_frequency() / 1000), clock_source(),
             cpu_has_invariant_tsc() ? "" : "; not said to be invariant");
    wallclock_init(fadt ? fadt->century : 0);
}

static void kicked(void) {
    /* The interrupt itself is all: HLT or the guest has ended. */
}

static void start_interrupts(bool uart) {
    const struct acpi_madt *madt = host_acpi_madt();

    pic_disable();
    if (host_apic_init(madt ? madt->apic_address : 0, host_iommu_wants_xapic()))
        start_fail("no local APIC");
    host_apic_enable();
    smp_nmi_pins();
    interrupt_install(VECTOR_KICK, kicked);
    if (host_timer_init())
        start_fail("the local APIC's timer does not count");
    host_timer_enable();
    host_iommu_start();
    host_ioapic_init();
    host_screen_start();
    if (uart) {
        bool routed = !host_ioapic_route_isa(COM1_IRQ, VECTOR_UART);
        if (!routed)
            log_warning("COM1 has no interrupt here: it is looked at by a timer");
        host_uart_start(routed);
    }
}

_Noreturn void start_c(uint64_t handover) {
    clock_start(tsc_read());
    start_boot_cpu();
    bool uart = host_uart_init();
    const char *error = platform_open(handover);
    if (!error)
        host_screen_init(&((const struct handover *)handover)->framebuffer);
    log_info("Saguaro hypervisor");
    if (error)
        start_fail("the loader left %s: loader and hypervisor do not fit together", error);
    error = cpu_features_missing();
    if (error)
        start_fail("this CPU lacks %s", error);
    cpu_features_enable();
    start_memory();
    start_consoles();
    if (!uart)
        log_info("no serial port at 0x3f8: messages on the screen only");
    host_acpi_init();
    power_init();
    start_clock();
    host_iommu_init();
    start_interrupts(uart);
    boot_cpu.engine_status = arch_engine_select();
    if (!boot_cpu.engine_status)
        boot_cpu.engine_status = arch_engine_cpu_init();
    smp_start();
    host_pci_init();
    selftest_run();
    hypervisor_main();
}
