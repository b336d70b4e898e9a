// SPDX-License-Identifier: Apache-2.0
// What stands behind the 82540EM: a Microwire EEPROM of 64 words, by register or bit by bit, and the Marvell
// PHY with a link of 1000 Mb/s that is always up.
#include <string.h>
#include "virtio/e1000_card_internal.h"

/* ---- EEPROM (5.6) */

#define EEPROM_WORDS    64u
#define EEPROM_SUM      0xbabau /* of all words */
#define WORD_CONTROL_1  0x0au
#define WORD_SUBSYSTEM  0x0bu
#define WORD_SUBVENDOR  0x0cu
#define WORD_DEVICE     0x0du
#define WORD_VENDOR     0x0eu
#define WORD_CHECKSUM   0x3fu
#define CONTROL_1_SOUND 0x4003u /* the signature; IDs are loaded from here */

#define EERD_START      0x00000001u
#define EERD_DONE       0x00000010u
#define EERD_ADDRESS    8

#define EECD_SK         0x01u
#define EECD_CS         0x02u
#define EECD_DI         0x04u
#define EECD_DO         0x08u
#define EECD_REQUEST    0x40u
#define EECD_GRANT      0x80u
#define EECD_PRESENT    0x100u
#define EECD_WRITABLE   0x77u /* with the two bits of the flash */

#define COMMAND_BITS    9u /* start, two of the operation, six of the address */
#define COMMAND_KIND    0x1c0u
#define COMMAND_READ    0x180u
#define COMMAND_ADDRESS 0x3fu

static uint16_t plain_word(const struct e1000_card *card, unsigned address) {
    const uint8_t *mac = card->port.mac;

    switch (address) {
    case 0:
    case 1:
    case 2:
        return (uint16_t)(mac[2 * address] | mac[2 * address + 1] << 8);
    case WORD_CONTROL_1:
        return CONTROL_1_SOUND;
    case WORD_SUBSYSTEM:
        return E1000_SUBSYSTEM;
    case WORD_SUBVENDOR:
    case WORD_VENDOR:
        return E1000_VENDOR;
    case WORD_DEVICE:
        return E1000_DEVICE;
    default:
        return 0;
    }
}

static uint16_t eeprom_word(const struct e1000_card *card, unsigned address) {
    unsigned sum = EEPROM_SUM;

    if (address != WORD_CHECKSUM)
        return plain_word(card, address);
    for (unsigned i = 0; i < WORD_CHECKSUM; i++)
        sum -= plain_word(card, i);
    return (uint16_t)sum;
}

uint32_t e1000_eeprom_read(const struct e1000_card *card, uint32_t command) {
    unsigned address = command >> EERD_ADDRESS & 0xff;

    command &= 0xffu << EERD_ADDRESS;
    return command | EERD_DONE | (uint32_t)eeprom_word(card, address % EEPROM_WORDS) << 16;
}

/* The clock rises while the EEPROM is selected. A command comes in, its highest bit first, after any number
 * of zeros; the words from its address on go out, until it is no longer selected. It cannot be written. */
static void clock_rises(struct e1000_card *card, bool in) {
    struct e1000_record *record = card->record;

    if (record->eeprom_count < COMMAND_BITS) {
        record->eeprom_in = record->eeprom_in << 1 | in;
        if (record->eeprom_count || in)
            record->eeprom_count++;
        record->eeprom_left = 0;
        record->eeprom_out = 0; /* before a word goes out there is a 0 */
        return;
    }
    if ((record->eeprom_in & COMMAND_KIND) != COMMAND_READ)
        return;
    if (record->eeprom_left == 0) {
        record->eeprom_out = eeprom_word(card, record->eeprom_in & COMMAND_ADDRESS);
        record->eeprom_in = COMMAND_READ | ((record->eeprom_in + 1) & COMMAND_ADDRESS);
        record->eeprom_left = 16;
    }
    record->eeprom_left--;
}

void e1000_eeprom_pins(struct e1000_card *card, uint32_t value) {
    struct e1000_record *record = card->record;
    uint32_t before = e1000_get(card, E1000_EECD);

    value &= EECD_WRITABLE;
    if (!(value & EECD_CS)) {
        record->eeprom_count = record->eeprom_left = 0;
        record->eeprom_in = record->eeprom_out = 0;
    } else if ((before & EECD_CS) && (value & ~before & EECD_SK)) {
        clock_rises(card, value & EECD_DI);
    }
    if (record->eeprom_out >> record->eeprom_left & 1)
        value |= EECD_DO;
    if (value & EECD_REQUEST)
        value |= EECD_GRANT;
    e1000_set(card, E1000_EECD, value | EECD_PRESENT);
}

/* ---- PHY (IEEE 802.3, 22.2.4; from 16 on Marvell's own) */

#define PHY_ADDRESS     1u
#define PHY_CONTROL     0u
#define CONTROL_RESET   0x8000u
#define CONTROL_RESTART 0x0200u

#define MDIC_REGISTER   16
#define MDIC_PHY        21
#define MDIC_WRITE      0x04000000u
#define MDIC_READ       0x08000000u
#define MDIC_READY      0x10000000u
#define MDIC_INTERRUPT  0x20000000u
#define MDIC_ERROR      0x40000000u

static const struct {
    uint16_t initial, writable;
} phy_registers[E1000_PHY_REGISTERS] = {
    [PHY_CONTROL] = {0x1140, 0x7fc0}, /* negotiates by itself; 1000 Mb/s, both ways at once */
    [1] = {0x796d, 0},                /* status: link, negotiated; all modes of 10 and 100 Mb/s */
    [2] = {0x0141, 0},                /* ID: Marvell 88E1011 */
    [3] = {0x0c20, 0},
    [4] = {0x01e1, 0xffff},  /* what we say of ourselves */
    [5] = {0x41e1, 0},       /* what the other side says: all modes, no pauses */
    [6] = {0x0005, 0},       /* and that it negotiates */
    [9] = {0x0300, 0xff00},  /* 1000 Mb/s */
    [10] = {0x7c00, 0},      /* the other side, too; both receivers are well */
    [15] = {0x3000, 0},      /* 1000BASE-T */
    [16] = {0x0068, 0xffff}, /* specific control */
    [17] = {0xac08, 0},      /* specific status: 1000 Mb/s, both ways, resolved, link */
    [18] = {0x0000, 0xffff}, /* interrupts */
    [20] = {0x0c60, 0xffff}, /* more specific control */
    [24] = {0x4100, 0xffff}, /* LEDs */
    [29] = {0x0000, 0xffff}, /* page, and a register of that page that means nothing here */
    [30] = {0x0000, 0xffff},
};

void e1000_phy_reset(struct e1000_card *card) {
    for (unsigned i = 0; i < E1000_PHY_REGISTERS; i++)
        card->record->phy[i] = phy_registers[i].initial;
}

static void phy_write(struct e1000_card *card, unsigned number, uint16_t value) {
    uint16_t *phy = &card->record->phy[number];

    if (number == PHY_CONTROL && (value & CONTROL_RESET)) {
        e1000_phy_reset(card);
        return;
    }
    if (number == PHY_CONTROL)
        value &= (uint16_t)~CONTROL_RESTART; /* which is done at once */
    *phy = (uint16_t)((*phy & ~phy_registers[number].writable) | (value & phy_registers[number].writable));
}

uint32_t e1000_phy_access(struct e1000_card *card, uint32_t command) {
    unsigned number = command >> MDIC_REGISTER & 31, phy = command >> MDIC_PHY & 31;
    uint32_t kind = command & (MDIC_WRITE | MDIC_READ);

    command &= ~(MDIC_READY | MDIC_ERROR);
    if (phy != PHY_ADDRESS || (kind != MDIC_WRITE && kind != MDIC_READ))
        command |= MDIC_ERROR;
    else if (kind == MDIC_WRITE)
        phy_write(card, number, (uint16_t)command);
    else
        command = (command & ~0xffffu) | card->record->phy[number];
    if (command & MDIC_INTERRUPT)
        e1000_interrupt(card, E1000_ICR_MDAC);
    return command | MDIC_READY;
}
