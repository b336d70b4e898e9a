// SPDX-License-Identifier: Apache-2.0
// An emulated Intel 82540EM (PRO/1000 MT Desktop), a guest's port of a switch for systems that know no
// virtio. After Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual"
// (317453), whose names of registers and bits the files of this card use.
#ifndef SAGUARO_VIRTIO_E1000_CARD_H
#define SAGUARO_VIRTIO_E1000_CARD_H

#include "abi/service.h"
#include "virtio/memory.h"
#include "virtio/switch.h"

#define E1000_RECORD_MAGIC  0x65313031u
#define E1000_REGISTERS_MAX 48u
#define E1000_STATISTICS    64u
#define E1000_HASHES        128u /* words of the multicast table, and of that of VLANs */
#define E1000_ADDRESSES     16u
#define E1000_PHY_REGISTERS 32u

/* What a context descriptor has set (3.3.6): where checksums begin, are put and end, and how to segment. */
struct e1000_context {
    uint8_t ip_start, ip_place;
    uint16_t ip_end; /* the last byte; 0: the packet's end */
    uint8_t start, place;
    uint16_t end;
    uint16_t segment; /* MSS */
    uint8_t command;  /* TUCMD */
};

/* All that the card is, in numbers of the CPU's byte order: it goes on from here after our program was
 * started again. */
struct e1000_record {
    uint32_t magic;
    uint32_t registers[E1000_REGISTERS_MAX];
    uint32_t statistics[E1000_STATISTICS];
    uint32_t multicast[E1000_HASHES];
    uint32_t vlans[E1000_HASHES];
    uint32_t addresses[2 * E1000_ADDRESSES]; /* RAL, RAH */
    uint16_t phy[E1000_PHY_REGISTERS];
    /* While a packet's descriptors are handed back to the driver: the ring's head behind them, and
     * E1000_HANDING; else 0. So the next run goes on behind them, whatever the driver has seen. */
    uint32_t handing_sent, handing_received;
    struct e1000_context context;
    uint8_t skipping; /* 1: what is sent is dropped up to the packet's end */
    /* The serial EEPROM: bits that came in since its selection, how many; bits that are to go out. */
    uint8_t eeprom_count;
    uint8_t eeprom_left;
    uint32_t eeprom_in;
    uint32_t eeprom_out;
};

struct e1000_card {
    struct switch_port port;
    struct virtio_memory *memory;
    struct e1000_record *record;
    const char *name;
    bool raised;   /* INTA */
    bool received; /* frames that the driver was not told of */
    bool noted;    /* what was wrong with a ring was said, once until a reset */
    /* INTA's level. */
    void (*line)(struct e1000_card *card, bool level);
    /* There is something to send: e1000_card_run() is to be called, not from within this. */
    void (*again)(struct e1000_card *card);
    /* A line for the guest's log; it names the card. */
    void (*note)(struct e1000_card *card, const char *text);
};

struct e1000_setup {
    struct ether_switch *network;
    uint8_t mac[6];
    bool locked;   /* see virtio/switch.h */
    uint16_t mtu;  /* of what it receives */
    uint32_t rate; /* broadcasts each second; 0: no limit */
};

/* Puts the card on its network; name and functions are set, all else of *card is 0. Nothing comes before
 * e1000_card_start(). 0; -EINVAL: no such address; -ENOSPC: the network has no more ports. */
int e1000_card_init(struct e1000_card *card, const struct e1000_setup *setup);
/* Memory and record are set: goes on from the record, or, if that is none, as after power-on. */
void e1000_card_start(struct e1000_card *card);
/* As after power-on. */
void e1000_card_reset(struct e1000_card *card);
/* The function as the hypervisor shows it: the registers in BAR 0, INTA, no MSI. */
void e1000_card_describe(unsigned vm, unsigned devfn, uint32_t token, struct service_device *out);

/* The driver's accesses to its registers, which are 4 bytes wide; others read as 0 and change nothing. */
uint64_t e1000_card_read(struct e1000_card *card, unsigned bar, uint32_t offset, unsigned size);
void e1000_card_write(struct e1000_card *card, unsigned bar, uint32_t offset, unsigned size, uint64_t value);
/* Sends a bounded number of frames. True: there is more. */
bool e1000_card_run(struct e1000_card *card);

#endif
