// SPDX-License-Identifier: Apache-2.0
// Power management of a guest's PC as ICH9 has it: PM1 event and control registers, PM timer, GPE0, reset
// control.
#ifndef SAGUARO_ARCH_X86_GUEST_PM_H
#define SAGUARO_ARCH_X86_GUEST_PM_H

#include <stdbool.h>
#include <stdint.h>
#include "core/part.h"

/* Offsets from PMBASE, which the FADT repeats; the block has 128 ports. */
#define PM_PORTS       0x80
#define PM_EVENT       0x00 /* PM1_STS, PM1_EN: 16 bits each */
#define PM_CONTROL     0x04 /* PM1_CNT: 16 bits */
#define PM_TIMER       0x08 /* 32 bits at 3.579545 MHz */
#define PM_GPE0        0x20 /* GPE0_STS, GPE0_EN: 64 bits each */
#define PM_GPE0_LENGTH 0x10
#define PM_SCI         9 /* GSI, level-triggered, active high */
#define PM_RESET_PORT  0xcf9
#define PM_RESET_VALUE 0x06
#define PM_SLEEP_S5    5 /* SLP_TYP that the DSDT gives for \_S5 */
#define PM_TIMER_HZ    3579545u

/*
 * ACPI mode is always on: SCI_EN reads 1 and there is no SMI command port. Besides PM_SLEEP_S5 two more
 * values of SLP_TYP switch the machine off, because firmware knows them without the DSDT: 7 (ICH9's S5) and 0
 * (what OVMF writes on a q35). Others are logged and have no effect.
 */
extern const struct part pm_part; /* "x86.pm" */

/* The user pressed the power button: PWRBTN_STS, and an SCI if the guest enabled it. */
void pm_power_button(struct vm *vm);

/* The LPC bridge's PMBASE and ACPI_CNTL changed: the block answers at `base` if `enabled`. Does nothing where
 * another device's ports are in the way. */
void pm_place(struct vm *vm, uint16_t base, bool enabled);

/* RST_CNT, port 0xCF9; it lies inside the PCI host's CONFIG_ADDRESS, which forwards byte accesses. */
uint8_t pm_reset_read(struct vm *vm);
void pm_reset_write(struct vm *vm, uint8_t value);

#endif
