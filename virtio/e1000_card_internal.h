// SPDX-License-Identifier: Apache-2.0
// What the files of the emulated 82540EM share: its registers, their bits, and its rings.
#ifndef SAGUARO_VIRTIO_E1000_CARD_INTERNAL_H
#define SAGUARO_VIRTIO_E1000_CARD_INTERNAL_H

#include "virtio/e1000_card.h"

#define E1000_VENDOR    0x8086u
#define E1000_DEVICE    0x100eu
#define E1000_SUBSYSTEM 0x001eu /* PRO/1000 MT Desktop */

/* Registers that are kept, by their place in the record; e1000_card.c has where each one is. */
enum e1000_register {
    E1000_CTRL,
    E1000_EECD,
    E1000_EERD,
    E1000_CTRL_EXT,
    E1000_MDIC,
    E1000_FCAL,
    E1000_FCAH,
    E1000_FCT,
    E1000_VET,
    E1000_ICR,
    E1000_ITR,
    E1000_IMS,
    E1000_RCTL,
    E1000_FCTTV,
    E1000_TXCW,
    E1000_TCTL,
    E1000_TIPG,
    E1000_AIT,
    E1000_LEDCTL,
    E1000_PBA,
    E1000_FCRTL,
    E1000_FCRTH,
    E1000_RDBAL, /* a ring's five registers stand together, see struct e1000_ring */
    E1000_RDBAH,
    E1000_RDLEN,
    E1000_RDH,
    E1000_RDT,
    E1000_RDTR,
    E1000_RXDCTL,
    E1000_RADV,
    E1000_TDBAL,
    E1000_TDBAH,
    E1000_TDLEN,
    E1000_TDH,
    E1000_TDT,
    E1000_TIDV,
    E1000_TXDCTL,
    E1000_TADV,
    E1000_TSPMT,
    E1000_RXCSUM,
    E1000_WUC,
    E1000_WUFC,
    E1000_IPAV,
    E1000_MANC,
    E1000_REGISTERS
};
_Static_assert(E1000_REGISTERS <= E1000_REGISTERS_MAX, "the record has room for all");

#define E1000_CTRL_RST     0x04000000u
#define E1000_CTRL_VME     0x40000000u /* VLAN tags are taken off and put on */
#define E1000_CTRL_PHY_RST 0x80000000u

#define E1000_ICR_TXDW     0x00000001u /* a descriptor was written back */
#define E1000_ICR_TXQE     0x00000002u /* nothing is left to send */
#define E1000_ICR_RXDMT0   0x00000010u /* few receive descriptors are left */
#define E1000_ICR_RXO      0x00000040u /* a frame was lost for want of one */
#define E1000_ICR_RXT0     0x00000080u /* frames were received */
#define E1000_ICR_MDAC     0x00000200u /* an access to the PHY is done */
#define E1000_ICR_ALL      0x0001ffffu

#define E1000_RCTL_EN      0x00000002u
#define E1000_RCTL_UPE     0x00000008u /* all unicast addresses */
#define E1000_RCTL_MPE     0x00000010u /* all multicast addresses */
#define E1000_RCTL_LPE     0x00000020u /* long packets */
#define E1000_RCTL_RDMTS   8           /* which part of the ring is few: half, quarter, eighth */
#define E1000_RCTL_MO      12          /* which bits of an address are its hash */
#define E1000_RCTL_BAM     0x00008000u /* broadcasts */
#define E1000_RCTL_BSIZE   16
#define E1000_RCTL_VFE     0x00040000u /* filter of VLANs */
#define E1000_RCTL_BSEX    0x02000000u /* buffers are 16 times as large */
#define E1000_RCTL_SECRC   0x04000000u /* without the CRC */

#define E1000_TCTL_EN      0x00000002u

/* Places in the array of statistics (13.7): the register's offset from 0x4000, by 4. */
enum {
    E1000_MPC = 0x10 / 4,  /* missed: no descriptor */
    E1000_GPRC = 0x74 / 4, /* good packets received */
    E1000_BPRC = 0x78 / 4, /* of them broadcasts */
    E1000_MPRC = 0x7c / 4, /* and multicasts */
    E1000_GPTC = 0x80 / 4, /* transmitted */
    E1000_GORC = 0x88 / 4, /* bytes received, 64 bits */
    E1000_GOTC = 0x90 / 4, /* bytes transmitted, 64 bits */
    E1000_RNBC = 0xa0 / 4, /* no buffer */
    E1000_ROC = 0xac / 4,  /* too long */
    E1000_TOR = 0xc0 / 4,  /* all bytes, 64 bits each */
    E1000_TOT = 0xc8 / 4,
    E1000_TPR = 0xd0 / 4, /* all packets */
    E1000_TPT = 0xd4 / 4,
    E1000_MPTC = 0xf0 / 4, /* multicasts and broadcasts transmitted */
    E1000_BPTC = 0xf4 / 4,
    E1000_TSCTC = 0xf8 / 4, /* packets that were cut into segments */
};

#define E1000_HANDING         0x10000u /* in the record's handing_sent and handing_received */
#define E1000_CRC             4u
#define E1000_DESCRIPTOR_SIZE 16u
#define E1000_DD              0x01u /* in either kind's status: done */

static inline uint32_t e1000_get(const struct e1000_card *card, enum e1000_register which) {
    return card->record->registers[which];
}
static inline void e1000_set(struct e1000_card *card, enum e1000_register which, uint32_t value) {
    card->record->registers[which] = value;
}

/* A ring as its registers say. */
struct e1000_ring {
    uint64_t base;
    uint32_t count;      /* descriptors */
    uint32_t head, tail; /* below `count` */
};

/* ---- e1000_card.c */
/* The ring whose base's lower half is in register `first`. False: the registers do not make one. */
bool e1000_ring_of(const struct e1000_card *card, enum e1000_register first, struct e1000_ring *ring);
/* The descriptor of that number, NULL: it is not in RAM; *gpa: where it is. */
uint8_t *e1000_descriptor(struct e1000_card *card, const struct e1000_ring *ring, uint32_t index,
                          uint64_t *gpa);
/* Sets causes (E1000_ICR_*), and the line accordingly. */
void e1000_interrupt(struct e1000_card *card, uint32_t causes);
/* Sets them alone: e1000_interrupt() follows, if our program does not end before. */
static inline void e1000_note(struct e1000_card *card, uint32_t causes) {
    e1000_set(card, E1000_ICR, e1000_get(card, E1000_ICR) | causes);
}
/* What the record has while `count` descriptors, fewer than the ring has, are handed back. */
static inline uint32_t e1000_hand(const struct e1000_ring *ring, uint32_t count) {
    uint32_t end = ring->head + count;
    return E1000_HANDING | (end < ring->count ? end : end - ring->count);
}
/* How many these were, when our program ended. */
uint32_t e1000_handing(const struct e1000_ring *ring, uint32_t handing);
/* Adds to a counter of 32 bits, which stays at its largest value, or to one of 64 bits. */
void e1000_count(struct e1000_card *card, unsigned counter, uint32_t more);
void e1000_count_bytes(struct e1000_card *card, unsigned counter, uint32_t more);
/* Says once what is wrong with the driver's ring. */
void e1000_complain(struct e1000_card *card, const char *what);

/* ---- e1000_card_phy.c: what stands behind the card, the EEPROM and the PHY */
void e1000_phy_reset(struct e1000_card *card);
/* A write to MDIC, and what it reads as afterwards. */
uint32_t e1000_phy_access(struct e1000_card *card, uint32_t command);
/* The same for EERD. */
uint32_t e1000_eeprom_read(const struct e1000_card *card, uint32_t command);
/* A write to EECD, whose pins are those of the EEPROM. */
void e1000_eeprom_pins(struct e1000_card *card, uint32_t value);

/* ---- e1000_card_receive.c, e1000_card_transmit.c */
extern const struct switch_port_class e1000_port_class;
/* After a restart: completes what was being handed back. */
void e1000_receive_resume(struct e1000_card *card);
void e1000_transmit_resume(struct e1000_card *card);

#endif
