// SPDX-License-Identifier: Apache-2.0
// The board that a guest sees, like QEMU's ppce500, for which stock kernels know "fsl,qemu-e500": where its
// parts are, and what they are to each other.
#ifndef SAGUARO_ARCH_PPC_GUEST_BOARD_H
#define SAGUARO_ARCH_PPC_GUEST_BOARD_H

#include "core/vm.h"

/* Guest-physical addresses. RAM begins at 0. */
#define BOARD_RAM_MAX         0xc00000000ull /* bytes: RAM ends where PCI's memory window begins */
#define BOARD_PCI_MEMORY      0xc00000000ull /* appears on the PCI bus at BOARD_PCI_MEMORY_BUS */
#define BOARD_PCI_MEMORY_SIZE 0x20000000u
#define BOARD_PCI_MEMORY_BUS  0xe0000000u
#define BOARD_CCSR            0xfe0000000ull
#define BOARD_CCSR_SIZE       0x100000u
#define BOARD_PCI_IO          0xfe1000000ull
#define BOARD_PCI_IO_SIZE     0x10000u
#define BOARD_MMIO            0xfe2000000ull /* places of devices that are on no bus (SERVICE_MMIO_*) */
#define BOARD_SPIN            0xfef000000ull /* a page with 32 bytes for each vCPU */
#define BOARD_SPIN_SIZE       0x1000u

/* In CCSR. */
#define BOARD_UART            0x04500u
#define BOARD_PCI             0x08000u
#define BOARD_PCI_SIZE        0x01000u
#define BOARD_MPIC            0x40000u
#define BOARD_MSI             0x41600u
#define BOARD_GUTS            0xe0000u
#define BOARD_GUTS_SIZE       0x01000u
#define BOARD_GPIO            0xff000u
#define BOARD_GPIO_SIZE       0x01000u

/* MPIC sources. */
#define BOARD_PCI_PINS        1u  /* external pin of INTA#, and those of INTB# to INTD# behind it */
#define BOARD_PCI_IRQ         24u /* the bridge's own: errors */
#define BOARD_UART_IRQ        42u
#define BOARD_GPIO_IRQ        47u
#define BOARD_MMIO_IRQ        64u /* of the first place; those of the others behind it */

#define BOARD_CLOCK           400000000u  /* Hz, of the platform: serial port, MPIC timers */
#define BOARD_PIN_OFF         0u          /* GPIO pin that switches the machine off when it goes high */
#define BOARD_MAPPED_SIZE     (64u << 20) /* bytes mapped at a kernel's entry (ePAPR 5.4) */

struct mpic;
struct uart16550;
struct pci_bridge;
struct gpio;
struct spin_table;

/* One of each per VM; a part's create() fills its pointer in. */
struct board {
    struct mpic *mpic;
    struct uart16550 *uart;
    struct pci_bridge *pci;
    struct gpio *gpio;
    struct spin_table *spin;
};

/* The table of parts, in order of creation. */
extern const struct platform board_platform;

/* Resets one vCPU, which the MPIC was asked for: it waits in the spin table again. vCPU 0 resets the board,
 * since there is no boot ROM for it to start from. No lock of a part is held. */
void board_reset_vcpu(struct vm *vm, unsigned index);

#endif
