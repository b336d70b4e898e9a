// SPDX-License-Identifier: Apache-2.0
// Power-off and reset of the host: each way in turn, the one that asks least of the firmware first.
#include "arch/x86/power.h"

#include <string.h>
#include "arch/x86/clock.h"
#include "arch/x86/efi_reset.h"
#include "arch/x86/host_acpi.h"
#include "arch/x86/host_map.h"
#include "arch/x86/platform.h"
#include "arch/x86/registers.h"
#include "arch/x86/report.h"
#include "core/console.h"
#include "core/log.h"

#define SCI_ENABLED     0x0001u
#define SLEEP_TYPE(t)   ((uint16_t)((t) << 10))
#define SLEEP_MASK      SLEEP_TYPE(7)
#define SLEEP_ENABLE    0x2000u
#define REDUCED_TYPE(t) ((uint8_t)((t) << 2))
#define REDUCED_ENABLE  0x20u

#define PORT_KEYBOARD   0x64u
#define KEYBOARD_BUSY   0x02u
#define KEYBOARD_RESET  0xfeu
#define PORT_RESET      0xcf9u
#define PORT_PCI_INDEX  0xcf8u
#define PORT_PCI_DATA   0xcfcu

#define ACPI_PATIENCE   300000000ull  /* ns, until the firmware has handed over to ACPI */
#define POWER_PATIENCE  1000000000ull /* ns, until the power is gone */
#define RESET_PATIENCE  100000000ull

/* The machine ends: everything shown, the other CPUs stopped, no lock needed any more. */
static void end(void) {
    __asm__ volatile("cli" ::: "memory");
    console_flush();
    machine_stop_others();
    console_panic();
    console_flush();
}

/* A register of the firmware's tables, made reachable beforehand. */
struct firmware_register {
    struct acpi_address where; /* address 0: none */
    volatile void *mapped;     /* for ACPI_SPACE_MEMORY */
};

static struct firmware_register pm1a, pm1b, sleep_control, reset_control;
static bool have_s5;
static uint8_t s5_a, s5_b;

static void prepare(struct firmware_register *r, const struct acpi_address *where, unsigned bytes) {
    r->where = *where;
    if (!where->address)
        return;
    if (where->space == ACPI_SPACE_MEMORY) {
        r->mapped = map_device(where->address, bytes);
        if (!r->mapped)
            r->where.address = 0;
    } else if (where->space == ACPI_SPACE_PORT ? where->address > 0xffff : where->space != ACPI_SPACE_PCI) {
        r->where.address = 0;
    }
}

void power_init(void) {
    const struct acpi_fadt *fadt = host_acpi_fadt();

    if (fadt) {
        have_s5 = !acpi_find_s5(host_acpi_root(), fadt, &s5_a, &s5_b);
        if (!have_s5)
            log_warning("no \\_S5 in the ACPI tables: power-off by EFI");
        prepare(&pm1a, &fadt->pm1a_control, 2);
        prepare(&pm1b, &fadt->pm1b_control, 2);
        prepare(&sleep_control, &fadt->sleep_control, 1);
        prepare(&reset_control, &fadt->reset, 1);
    }
    efi_reset_prepare();
}

static bool read16(const struct firmware_register *r, uint16_t *value) {
    if (!r->where.address || r->where.space == ACPI_SPACE_PCI)
        return false;
    *value = r->mapped ? *(volatile uint16_t *)r->mapped : port_read16((uint16_t)r->where.address);
    return true;
}

static void write16(const struct firmware_register *r, uint16_t value) {
    if (r->mapped)
        *(volatile uint16_t *)r->mapped = value;
    else
        port_write16((uint16_t)r->where.address, value);
}

/* False: there is no such register. */
static bool write8(const struct firmware_register *r, uint8_t value) {
    uint64_t address = r->where.address;

    if (!address)
        return false;
    if (r->mapped) {
        *(volatile uint8_t *)r->mapped = value;
    } else if (r->where.space == ACPI_SPACE_PORT) {
        port_write8((uint16_t)address, value);
    } else {
        /* Bus 0: device in bits 32-47, function in 16-31, offset in 0-15. */
        uint32_t device = (uint32_t)(address >> 32 & 0x1f);
        uint32_t function = (uint32_t)(address >> 16 & 7);
        uint32_t offset = (uint32_t)address & 0xff;
        port_write32(PORT_PCI_INDEX, 0x80000000u | device << 11 | function << 8 | (offset & 0xfc));
        port_write8((uint16_t)(PORT_PCI_DATA + (offset & 3)), value);
    }
    return true;
}

static void enable_acpi(const struct acpi_fadt *fadt) {
    uint16_t control;

    if (!fadt->smi_command || !fadt->acpi_enable || !read16(&pm1a, &control) || (control & SCI_ENABLED))
        return;
    port_write8(fadt->smi_command, fadt->acpi_enable);
    uint64_t deadline = time_now() + ACPI_PATIENCE;
    while (read16(&pm1a, &control) && !(control & SCI_ENABLED) && time_now() < deadline)
        cpu_relax();
}

/* Writes SLP_TYP, then the same with SLP_EN. */
static void sleep_register(const struct firmware_register *r, uint8_t type) {
    uint16_t control;

    if (!read16(r, &control))
        return;
    control = (uint16_t)((control & ~(SLEEP_MASK | SLEEP_ENABLE)) | SLEEP_TYPE(type));
    write16(r, control);
    write16(r, control | SLEEP_ENABLE);
}

static void power_off_acpi(void) {
    const struct acpi_fadt *fadt = host_acpi_fadt();

    if (!have_s5)
        return;
    if (fadt->hardware_reduced) {
        write8(&sleep_control, REDUCED_TYPE(s5_a) | REDUCED_ENABLE);
    } else {
        enable_acpi(fadt);
        sleep_register(&pm1a, s5_a);
        sleep_register(&pm1b, s5_b);
    }
    clock_delay(POWER_PATIENCE);
}

void arch_power_off(void) {
    char how[8] = "";

    log_info("powering off");
    end();
    /* power=efi on the loader's command line: for firmware whose ACPI way misbehaves. */
    platform_option("power", how, sizeof(how));
    if (strcmp(how, "efi") != 0)
        power_off_acpi();
    efi_reset(true);
    clock_delay(POWER_PATIENCE);
    log_error("this machine cannot be switched off by ACPI or EFI: it has halted, switch it off by hand");
    console_flush();
    cpu_halt_forever();
}

static void reset_keyboard(void) {
    for (unsigned i = 0; i < 100000 && (port_read8(PORT_KEYBOARD) & KEYBOARD_BUSY); i++)
        cpu_relax();
    port_write8(PORT_KEYBOARD, KEYBOARD_RESET);
    clock_delay(RESET_PATIENCE);
}

static void reset_port(void) {
    port_write8(PORT_RESET, 0x02); /* a full reset, when bit 2 rises */
    port_write8(PORT_RESET, 0x06);
    clock_delay(RESET_PATIENCE);
}

/* An exception that cannot be delivered, nor its double fault: the CPU shuts down, and the chipset resets it.
 */
static void reset_triple_fault(void) {
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none = {0, 0};
    __asm__ volatile("lidt %0; ud2" ::"m"(none));
}

void arch_reboot(void) {
    const struct acpi_fadt *fadt = host_acpi_fadt();
    char how[8] = "";

    log_info("rebooting");
    end();
    platform_option("power", how, sizeof(how));
    if (strcmp(how, "efi") == 0)
        efi_reset(false);
    if (fadt && fadt->reset_supported && write8(&reset_control, fadt->reset_value))
        clock_delay(RESET_PATIENCE);
    reset_port();
    reset_keyboard();
    efi_reset(false);
    reset_triple_fault();
    cpu_halt_forever();
}
