// SPDX-License-Identifier: Apache-2.0
// Between the registers of an AHCI controller (virtio/ahci.c) and its commands (virtio/ahci_command.c).
#ifndef SAGUARO_VIRTIO_AHCI_INTERNAL_H
#define SAGUARO_VIRTIO_AHCI_INTERNAL_H

#include "virtio/ahci.h"

#define AHCI_SLOTS   32u

/* PxIS and PxIE (AHCI 3.3.5) */
#define PORT_IS_DHRS 0x00000001u /* a device-to-host register FIS */
#define PORT_IS_PSS  0x00000002u /* a PIO Setup FIS */
#define PORT_IS_DPS  0x00000020u /* a PRDT entry that asked for it was done */
#define PORT_IS_OFS  0x01000000u /* more data than the PRDT has room for */
#define PORT_IS_IFS  0x08000000u /* the link's error: the disk took no FIS */
#define PORT_IS_HBFS 0x20000000u /* a bad address */
#define PORT_IS_TFES 0x40000000u /* PxTFD says what error */

/* PxCMD (3.3.7) */
#define PORT_CMD_ST  0x00000001u
#define PORT_CMD_FRE 0x00000010u

/* PxSERR (3.3.12) */
#define PORT_SERR_H  0x00400000u /* handshake: a FIS was refused */
#define PORT_SERR_X  0x04000000u /* a device was found */

/* Whether a disk is there and its link is up. */
bool ahci_link_up(const struct ahci_port *port);
/* Sets PxIS bits. */
void ahci_port_event(struct ahci_port *port, uint32_t bits);
/* A FIS of ATA_FIS_SIZE bytes at `offset` of the area for received ones, if the guest takes any. False: the
 * area is not in RAM. */
bool ahci_receive(struct ahci_port *port, unsigned offset, const uint8_t fis[ATA_FIS_SIZE]);
/* The register FIS that says what disk is there: now, or once the guest takes FISes. */
void ahci_greet(struct ahci_port *port);
/* The disk is done with a command that nobody wants to know of any more, or was when our program ended. */
void ahci_let_go(struct ahci_port *port);
#define RECEIVED_PIO_SETUP 0x20u /* offsets in that area (4.2.1) */
#define RECEIVED_REGISTER  0x40u
#define RECEIVED_SIZE      0x100u

/* The port's command, if there is one, is wanted no more. */
void ahci_command_drop(struct ahci_port *port);
/* Goes on at that port. Returns what it costs, in sectors; 0: there is nothing to do. */
uint32_t ahci_command_step(struct ahci_port *port);

#endif
