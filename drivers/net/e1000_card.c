// SPDX-License-Identifier: Apache-2.0
// Intel 82540EM and 82574L: which cards they are, their reset, EEPROM, and the setting of all registers.
#include "drivers/net/e1000_internal.h"

#include <errno.h>
#include <string.h>

#define INTEL           0x8086u
#define MICROSECOND     1000ull /* ns */
#define MILLISECOND     (1000 * MICROSECOND)

#define MASTER_LIMIT    (80 * MILLISECOND)
#define FRAME_ENDS      (2 * MILLISECOND) /* a frame at 10 Mbit/s takes 1.2 */
#define RESET_TAKES     (5 * MILLISECOND) /* until registers may be read; the EEPROM is read meanwhile */
#define RESET_LIMIT     (100 * MILLISECOND)
#define EERD_LIMIT      (10 * MILLISECOND)

#define EEPROM_WORDS    64u /* that the checksum is over */
#define EEPROM_CHECKSUM 0xbabau
#define ITR_INTERVAL    200u /* in 256 ns: at most one interrupt in 51 us */

const struct e1000_model *e1000_model_of(const struct pci_device *pci) {
    static const struct e1000_model models[] = {
        {.id = 0x100e, .eerd_shift = 8, .eerd_done = 1u << 4},                  /* 82540EM */
        {.id = 0x10d3, .express = true, .eerd_shift = 2, .eerd_done = 1u << 1}, /* 82574L */
    };

    if (pci_vendor(pci) != INTEL)
        return NULL;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (models[i].id == pci_id(pci))
            return &models[i];
    }
    return NULL;
}

static void delay(const struct e1000 *e1000, uint64_t ns) {
    const struct pci_host *host = e1000->nic.pci->host;
    uint64_t start = host->now();

    while (host->now() - start < ns)
        ;
}

/* Until the bits `mask` of a register are `wanted`, for `limit` ns at most. False: they are not. */
static bool wait_for(const struct e1000 *e1000, uint32_t offset, uint32_t mask, uint32_t wanted,
                     uint64_t limit) {
    const struct pci_host *host = e1000->nic.pci->host;
    uint64_t start = host->now();

    for (;;) {
        bool late = host->now() - start >= limit;
        uint32_t value = e1000_read(e1000, offset);
        if (value == E1000_GONE)
            return false;
        if ((value & mask) == wanted)
            return true;
        if (late)
            return false;
    }
}

static int fail(struct e1000 *e1000, int error, const char *why) {
    e1000->nic.why = why;
    return error;
}

int e1000_reset(struct e1000 *e1000) {
    e1000_write(e1000, E1000_IMC, 0xffffffff);
    e1000_write(e1000, E1000_RCTL, 0);
    e1000_write(e1000, E1000_TCTL, e1000_read(e1000, E1000_TCTL) & ~TCTL_EN);
    if (e1000_read(e1000, E1000_STATUS) == E1000_GONE)
        return fail(e1000, -EIO, "the card is gone");
    delay(e1000, FRAME_ENDS);
    uint32_t ctrl = e1000_read(e1000, E1000_CTRL) & ~CTRL_PHY_RST;
    if (e1000->model->express) {
        /* Requests that have not ended then are ended by the reset. */
        ctrl |= CTRL_GIO_MASTER_DISABLE;
        e1000_write(e1000, E1000_CTRL, ctrl);
        (void)wait_for(e1000, E1000_STATUS, STATUS_GIO_MASTER_ENABLE, 0, MASTER_LIMIT);
    }

    /* QEMU 7.2's e1000 and e1000e and Bochs 2.7's e1000 keep all registers (but the e1000e's MAC) through
     * this: what a register has to be is written in e1000_set_up(), whatever a reset makes of it. */
    e1000_write(e1000, E1000_CTRL, ctrl | CTRL_RST);
    delay(e1000, RESET_TAKES);
    if (!wait_for(e1000, E1000_CTRL, CTRL_RST, 0, RESET_LIMIT))
        return fail(e1000, -ETIMEDOUT, "the card does not come out of its reset");
    if (e1000->model->express && !wait_for(e1000, E1000_EECD, EECD_AUTO_RD, EECD_AUTO_RD, RESET_LIMIT))
        return fail(e1000, -ETIMEDOUT, "the card does not finish reading its NVM");
    e1000_write(e1000, E1000_IMC, 0xffffffff);
    (void)e1000_read(e1000, E1000_ICR);
    return 0;
}

/* Through the EEPROM Read register: the card itself sees to it that nobody else reads meanwhile. */
static bool read_eeprom(const struct e1000 *e1000, uint32_t word, uint16_t *value) {
    const struct e1000_model *model = e1000->model;

    e1000_write(e1000, E1000_EERD, word << model->eerd_shift | EERD_START);
    if (!wait_for(e1000, E1000_EERD, model->eerd_done, model->eerd_done, EERD_LIMIT))
        return false;
    *value = (uint16_t)(e1000_read(e1000, E1000_EERD) >> 16);
    return true;
}

/* The MAC is in the first three words, which a checksum covers with the others. */
static bool mac_of_eeprom(const struct e1000 *e1000, uint8_t *mac) {
    uint16_t sum = 0;

    for (uint32_t i = 0; i < EEPROM_WORDS; i++) {
        uint16_t word;
        if (!read_eeprom(e1000, i, &word))
            return false;
        sum = (uint16_t)(sum + word);
        if (i < 3) {
            mac[i * 2] = (uint8_t)word;
            mac[i * 2 + 1] = (uint8_t)(word >> 8);
        }
    }
    return sum == EEPROM_CHECKSUM;
}

/* A reset sets it from the EEPROM, or from what firmware found elsewhere. */
static bool mac_of_filter(const struct e1000 *e1000, uint8_t *mac) {
    uint32_t low = e1000_read(e1000, E1000_RAL0), high = e1000_read(e1000, E1000_RAH0);

    for (unsigned i = 0; i < 4; i++)
        mac[i] = (uint8_t)(low >> i * 8);
    mac[4] = (uint8_t)high;
    mac[5] = (uint8_t)(high >> 8);
    return (high & RAH_AV) && high != E1000_GONE;
}

static bool is_unicast(const uint8_t *mac) {
    static const uint8_t none[6];

    return !(mac[0] & 1) && memcmp(mac, none, sizeof(none)) != 0;
}

int e1000_read_mac(struct e1000 *e1000) {
    uint8_t mac[6];

    /* The EEPROM first: Bochs 2.7 leaves RAL0 and RAH0 at 0, QEMU 7.2's e1000 at what its last user wrote. */
    if (!(mac_of_eeprom(e1000, mac) && is_unicast(mac)) && !(mac_of_filter(e1000, mac) && is_unicast(mac)))
        return fail(e1000, -EIO, "the card has no valid MAC address");
    memcpy(e1000->nic.mac, mac, sizeof(mac));
    return 0;
}

static void set_up_receiver(const struct e1000 *e1000) {
    const uint8_t *mac = e1000->nic.mac;

    e1000_write(e1000, E1000_RAL0,
                mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24);
    e1000_write(e1000, E1000_RAH0, mac[4] | (uint32_t)mac[5] << 8 | RAH_AV);
    e1000_write(e1000, E1000_RXCSUM, 0);
    if (e1000->model->express) {
        e1000_write(e1000, E1000_RFCTL, 0); /* legacy descriptors */
        e1000_write(e1000, E1000_MRQC, 0);  /* one queue */
    } else {
        e1000_write(e1000, E1000_MANC, e1000_read(e1000, E1000_MANC) & ~MANC_ARP_EN);
    }
    e1000_write(e1000, E1000_RDBAL, (uint32_t)e1000->receive.descriptor_dma);
    e1000_write(e1000, E1000_RDBAH, (uint32_t)(e1000->receive.descriptor_dma >> 32));
    e1000_write(e1000, E1000_RDLEN, E1000_RING * (uint32_t)sizeof(struct e1000_descriptor));
    e1000_write(e1000, E1000_RDH, 0);
    e1000_write(e1000, E1000_RDT, 0);
    e1000_write(e1000, E1000_RDTR, 0);
    e1000_write(e1000, E1000_RADV, 0);
    e1000_write(e1000, E1000_RXDCTL, XDCTL_EACH);
}

static void set_up_transmitter(const struct e1000 *e1000) {
    e1000_write(e1000, E1000_TDBAL, (uint32_t)e1000->send.descriptor_dma);
    e1000_write(e1000, E1000_TDBAH, (uint32_t)(e1000->send.descriptor_dma >> 32));
    e1000_write(e1000, E1000_TDLEN, E1000_RING * (uint32_t)sizeof(struct e1000_descriptor));
    e1000_write(e1000, E1000_TDH, 0);
    e1000_write(e1000, E1000_TDT, 0);
    e1000_write(e1000, E1000_TIDV, 0);
    e1000_write(e1000, E1000_TADV, 0);
    e1000_write(e1000, E1000_TXDCTL, XDCTL_EACH | (e1000->model->express ? TXDCTL_COUNT_DESC : 0));
    e1000_write(e1000, E1000_TIPG, TIPG_COPPER);
}

/* One vector for all, masked by us alone. */
static void set_up_interrupts(const struct e1000 *e1000) {
    e1000_write(e1000, E1000_ITR, ITR_INTERVAL);
    if (!e1000->model->express)
        return;
    uint32_t extended = e1000_read(e1000, E1000_CTRL_EXT) & ~(CTRL_EXT_EIAME | CTRL_EXT_IAME);
    e1000_write(e1000, E1000_CTRL_EXT, extended | CTRL_EXT_DRV_LOAD);
    e1000_write(e1000, E1000_EIAC, 0);
    e1000_write(e1000, E1000_IAM, 0);
    e1000_write(e1000, E1000_IVAR, IVAR_ALL_TO_0);
    e1000_write(e1000, E1000_EITR0, ITR_INTERVAL);
}

void e1000_set_up(struct e1000 *e1000) {
    /* No flow control: a peer that says "pause" could stop us for as long as it likes. */
    e1000_write(e1000, E1000_FCAL, 0);
    e1000_write(e1000, E1000_FCAH, 0);
    e1000_write(e1000, E1000_FCT, 0);
    e1000_write(e1000, E1000_FCTTV, 0);
    uint32_t ctrl = e1000_read(e1000, E1000_CTRL);
    ctrl &= ~(CTRL_GIO_MASTER_DISABLE | CTRL_FRCSPD | CTRL_FRCDPLX | CTRL_RST | CTRL_RFCE | CTRL_TFCE |
              CTRL_VME | CTRL_PHY_RST);
    if (!e1000->model->express)
        ctrl &= ~CTRL_ILOS;
    e1000_write(e1000, E1000_CTRL, ctrl | CTRL_SLU);

    set_up_interrupts(e1000);
    set_up_transmitter(e1000);
    uint32_t kept = e1000->model->express ? e1000_read(e1000, E1000_TCTL) & TCTL_KEEP : 0;
    e1000_write(e1000, E1000_TCTL, kept | TCTL_COLD | TCTL_CT | TCTL_PSP | TCTL_EN);
    set_up_receiver(e1000);
    /* All frames: the card is a port of a switch. Longer ones than 1522 bytes are not received (LPE is 0). */
    e1000_write(e1000, E1000_RCTL, RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
    e1000_write(e1000, E1000_RDT, E1000_RING - 1);
}
