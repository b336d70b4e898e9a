// SPDX-License-Identifier: Apache-2.0
// Intel's gigabit cards 82540EM and 82574L: registers (8254x Software Developer's Manual 317453, chapter 13;
// 82574 Datasheet, chapter 10), descriptors, and what the two files of the driver share.
#ifndef SAGUARO_DRIVERS_NET_E1000_INTERNAL_H
#define SAGUARO_DRIVERS_NET_E1000_INTERNAL_H

#include "drivers/net/nic.h"

#define E1000_REGISTERS          0x6000u /* bytes of BAR 0 that are in use */

/* Registers, bytes from the start of BAR 0. Those marked (E) exist on the 82574 alone. */
#define E1000_CTRL               0x0000u
#define E1000_STATUS             0x0008u
#define E1000_EECD               0x0010u
#define E1000_EERD               0x0014u
#define E1000_CTRL_EXT           0x0018u
#define E1000_FCAL               0x0028u
#define E1000_FCAH               0x002cu
#define E1000_FCT                0x0030u
#define E1000_ICR                0x00c0u
#define E1000_ITR                0x00c4u
#define E1000_IMS                0x00d0u
#define E1000_IMC                0x00d8u
#define E1000_EIAC               0x00dcu /* (E) */
#define E1000_IAM                0x00e0u /* (E) */
#define E1000_IVAR               0x00e4u /* (E) */
#define E1000_EITR0              0x00e8u /* (E) */
#define E1000_RCTL               0x0100u
#define E1000_FCTTV              0x0170u
#define E1000_TCTL               0x0400u
#define E1000_TIPG               0x0410u
#define E1000_RDBAL              0x2800u
#define E1000_RDBAH              0x2804u
#define E1000_RDLEN              0x2808u
#define E1000_RDH                0x2810u
#define E1000_RDT                0x2818u
#define E1000_RDTR               0x2820u
#define E1000_RXDCTL             0x2828u
#define E1000_RADV               0x282cu
#define E1000_TDBAL              0x3800u
#define E1000_TDBAH              0x3804u
#define E1000_TDLEN              0x3808u
#define E1000_TDH                0x3810u
#define E1000_TDT                0x3818u
#define E1000_TIDV               0x3820u
#define E1000_TXDCTL             0x3828u
#define E1000_TADV               0x382cu
#define E1000_RXCSUM             0x5000u
#define E1000_RFCTL              0x5008u /* (E) */
#define E1000_RAL0               0x5400u
#define E1000_RAH0               0x5404u
#define E1000_MRQC               0x5818u /* (E) */
#define E1000_MANC               0x5820u

#define E1000_GONE               0xffffffffu /* what a register reads of a card that is not there any more */

#define CTRL_GIO_MASTER_DISABLE  (1u << 2) /* (E) */
#define CTRL_SLU                 (1u << 6) /* set link up: the MAC follows the PHY */
#define CTRL_ILOS                (1u << 7) /* 82540EM: takes the link signal inverted */
#define CTRL_FRCSPD              (1u << 11)
#define CTRL_FRCDPLX             (1u << 12)
#define CTRL_RST                 (1u << 26)
#define CTRL_RFCE                (1u << 27)
#define CTRL_TFCE                (1u << 28)
#define CTRL_VME                 (1u << 30) /* takes VLAN tags out of frames */
#define CTRL_PHY_RST             (1u << 31)
#define STATUS_LU                (1u << 1)
#define STATUS_GIO_MASTER_ENABLE (1u << 19) /* (E) */
#define EECD_AUTO_RD             (1u << 9)  /* (E) what the NVM sets is set */
#define EERD_START               1u
#define CTRL_EXT_EIAME           (1u << 24)  /* (E) */
#define CTRL_EXT_IAME            (1u << 27)  /* (E) */
#define CTRL_EXT_DRV_LOAD        (1u << 28)  /* (E) tells the manageability firmware of a driver */
#define INTERRUPT_LSC            (1u << 2)   /* ICR, IMS, IMC: the link has changed */
#define INTERRUPT_RXDMT0         (1u << 4)   /* half of the receive ring is used up */
#define INTERRUPT_RXO            (1u << 6)   /* frames were lost */
#define INTERRUPT_RXT0           (1u << 7)   /* a frame was received */
#define INTERRUPT_RXQ0           (1u << 20)  /* (E) and this is how MSI-X counts them: the receive queue, */
#define INTERRUPT_OTHER          (1u << 24)  /* (E) and what is not of a queue */
#define IVAR_ALL_TO_0            0x00088888u /* all five causes to MSI-X vector 0, each with its valid bit */
#define RCTL_EN                  (1u << 1)
#define RCTL_UPE                 (1u << 3)  /* all unicast, */
#define RCTL_MPE                 (1u << 4)  /* all multicast, */
#define RCTL_BAM                 (1u << 15) /* all broadcast frames */
#define RCTL_SECRC               (1u << 26) /* without their CRC. BSIZE, 17:16, 0: buffers of 2048 bytes */
#define TCTL_EN                  (1u << 1)
#define TCTL_PSP                 (1u << 3)
#define TCTL_CT                  (0x0fu << 4)
#define TCTL_COLD                (0x40u << 12)
#define TCTL_KEEP                0x70000000u /* (E) MULR and RRTHRESH, to be left as a reset sets them */
#define TIPG_COPPER              0x00602008u /* IPGT 8, IPGR1 8, IPGR2 6 */
#define XDCTL_EACH               0x01010000u /* GRAN 1, WTHRESH 1: each descriptor is written back at once */
#define TXDCTL_COUNT_DESC        (1u << 22)  /* (E) always 1 */
#define RAH_AV                   (1u << 31)
#define MANC_ARP_EN              (1u << 13) /* 82540EM: takes ARP requests for itself */

/* Legacy descriptors, and for checksums context and data descriptors (8254x chapter 3; 82574 chapter 7), in
 * words of 32 bits, little-endian. */
struct e1000_descriptor {
    uint32_t address_low, address_high; /* a context: nothing, and TUCSS, TUCSO, TUCSE */
    uint32_t length;                    /* 15:0; sending: command in 31:24; receiving: checksum in 31:16 */
    uint32_t status;                    /* 7:0; receiving: errors, sending data: what to insert, in 15:8 */
};
#define DESCRIPTOR_DD    1u          /* status: the card is done with it */
#define RECEIVE_EOP      2u          /* status: the frame's last one */
#define RECEIVE_ERRORS   0x9700u     /* RXE, CXE, SEQ, SE, CE: the frame is damaged */
#define SEND_COMMAND     0x0b000000u /* EOP, IFCS, RS: a whole frame, with a CRC; DD is wanted */
#define SEND_DATA        0x20100000u /* DEXT, DTYP 1: it uses the last context before it */
#define SEND_TXSM        0x0200u     /* status: with that context's checksum */
#define SEND_CONTEXT     0x20000000u /* DEXT, DTYP 0 */
#define SEND_CONTEXT_TCP 0x01000000u /* TCP; 0: UDP */

#define E1000_RING       256u
#define E1000_BUFFER     2048u
#define E1000_MTU        1500u
#define E1000_MAX_FRAME  (FRAME_HEADER + 4u * FRAME_MAX_TAGS + E1000_MTU)

/* Where the cards differ. */
struct e1000_model {
    uint16_t id;
    bool express;       /* PCI Express, MSI and MSI-X: an 82574 */
    uint8_t eerd_shift; /* of EERD's address */
    uint32_t eerd_done; /* its bit "done" */
};

struct e1000_ring {
    struct e1000_descriptor *descriptor; /* E1000_RING; NULL: no memory yet */
    uint8_t *buffer;                     /* E1000_RING times E1000_BUFFER */
    uint64_t descriptor_dma, buffer_dma;
};

struct e1000 {
    struct nic nic;
    const struct e1000_model *model;
    volatile uint8_t *registers;
    bool running;
    struct e1000_ring receive, send;
    uint32_t received;             /* the descriptor that is looked at next */
    bool in_pieces;                /* it is in the middle of a frame that is being dropped */
    uint32_t filled, told, oldest; /* the next to fill; up to which the card was told; the oldest in use */
    uint8_t parts[E1000_RING];     /* descriptors of the frame that begins here: 1, or 2 with a context */
    uint32_t context;              /* where the card puts checksums: TUCSS, TUCSO << 8; 0: none was said */
    uint64_t progress;             /* when the card last sent something, or had nothing to send; ns */
    uint8_t frame[E1000_BUFFER];   /* the received frame, out of the card's reach */
};

static inline struct e1000 *e1000_of(struct nic *nic) {
    return (struct e1000 *)(void *)nic;
}

static inline uint32_t e1000_read(const struct e1000 *e1000, uint32_t offset) {
    return pci_read32(e1000->registers + offset);
}
static inline void e1000_write(const struct e1000 *e1000, uint32_t offset, uint32_t value) {
    pci_write32(e1000->registers + offset, value);
}

/* The model of a function; NULL: it is not the driver's. */
const struct e1000_model *e1000_model_of(const struct pci_device *pci);
/* Stops the card and resets it; interrupts are masked and receiver and transmitter off afterwards. 0;
 * -ETIMEDOUT; -EIO: it is gone. nic.why says it. At most about 300 ms. */
int e1000_reset(struct e1000 *e1000);
/* The MAC into nic.mac, after a reset. 0, or -EIO: it has no valid one. */
int e1000_read_mac(struct e1000 *e1000);
/* All registers that matter, for the rings, which are filled: receiving, sending and the PHY go on. */
void e1000_set_up(struct e1000 *e1000);

#endif
