// SPDX-License-Identifier: Apache-2.0
// Power-off by a GPIO pin, reset by the global utilities' reset control register (MPC8544E reference
// manual, 18.4).
#include "arch/ppc/power.h"

#include "arch/ppc/clock.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/layout.h"
#include "arch/ppc/ppc_cpu.h"
#include "arch/ppc/report.h"
#include "core/console.h"
#include "core/log.h"

#define GPIO_DIRECTION 0x00u /* 1: output */
#define GPIO_DATA      0x08u
#define GUTS_RSTCR     0xb0u
#define RSTCR_RESET    0x00000002u

#define PATIENCE       1000000000ull /* ns, until the power is gone */

static uint32_t gpio_offset, gpio_bit, guts_offset;

void power_init(uint32_t gpio, uint32_t pin, uint32_t guts) {
    gpio_offset = gpio;
    gpio_bit = 0x80000000u >> (pin & 31);
    guts_offset = guts;
}

static void set_bit(uint32_t offset, uint32_t bit) {
    volatile uint32_t *at = (volatile uint32_t *)(CCSR_BASE + offset);
    *at |= bit;
    io_sync();
}

/* The machine ends: everything shown, the other CPUs stopped, no lock needed any more. */
static void end(void) {
    (void)interrupts_save();
    console_flush();
    machine_stop_others();
    console_panic();
    console_flush();
}

void arch_power_off(void) {
    log_info("powering off");
    end();
    if (gpio_offset != 0) {
        set_bit(gpio_offset + GPIO_DIRECTION, gpio_bit);
        set_bit(gpio_offset + GPIO_DATA, gpio_bit);
        clock_delay(PATIENCE);
    }
    log_error("this machine cannot switch itself off: it has halted, switch it off by hand");
    console_flush();
    ppc_cpu_halt();
}

void arch_reboot(void) {
    log_info("rebooting");
    end();
    if (guts_offset != 0) {
        set_bit(guts_offset + GUTS_RSTCR, RSTCR_RESET);
        clock_delay(PATIENCE);
    }
    /* The debug facility resets the core itself (e500 core manual, 2.13.1). */
    spr_write(SPR_DBCR0, DBCR0_RST_MASK);
    clock_delay(PATIENCE);
    log_error("this machine cannot reset itself: it has halted");
    console_flush();
    ppc_cpu_halt();
}
