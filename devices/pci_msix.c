// SPDX-License-Identifier: Apache-2.0
// The MSI-X table and pending bits of a guest's PCI function.
#include "devices/pci_msix.h"

#include <string.h>
#include "lib/state.h"

#define ENTRY_WORDS  (PCI_MSIX_ENTRY_SIZE / 4)
#define ADDRESS_BITS (~UINT64_C(3)) /* messages are whole, aligned words */
#define ENTRY_MASKED 0x1u           /* of the vector control; its other bits are reserved */

/* Ones for the vectors that there are. */
static uint64_t vectors(const struct pci_msix *msix) {
    return msix->count ? UINT64_MAX >> (PCI_MSIX_MAX - msix->count) : 0;
}

void pci_msix_reset(struct pci_msix *msix) {
    msix->enabled = false;
    msix->held = false;
    msix->masked = vectors(msix);
    msix->pending = 0;
    memset(msix->message, 0, sizeof(msix->message));
}

void pci_msix_set(struct pci_msix *msix, bool enabled, bool held) {
    msix->enabled = enabled;
    msix->held = held;
    if (!enabled)
        msix->pending = 0;
}

static bool is_access(uint64_t offset, unsigned size) {
    return (size == 4 || size == 8) && offset % size == 0;
}

static uint32_t word_read(const struct pci_msix *msix, uint64_t word) {
    uint64_t vector = word / ENTRY_WORDS;
    if (vector >= msix->count)
        return 0;
    const struct pci_msix_message *message = &msix->message[vector];
    switch (word % ENTRY_WORDS) {
    case 0:
        return (uint32_t)message->address;
    case 1:
        return (uint32_t)(message->address >> 32);
    case 2:
        return message->data;
    default:
        return msix->masked >> vector & 1 ? ENTRY_MASKED : 0;
    }
}

static void word_write(struct pci_msix *msix, uint64_t word, uint32_t value) {
    uint64_t vector = word / ENTRY_WORDS;
    if (vector >= msix->count)
        return;
    struct pci_msix_message *message = &msix->message[vector];
    uint64_t bit = UINT64_C(1) << vector;
    switch (word % ENTRY_WORDS) {
    case 0:
        message->address = ((message->address & ~(uint64_t)UINT32_MAX) | value) & ADDRESS_BITS;
        break;
    case 1:
        message->address = (message->address & UINT32_MAX) | (uint64_t)value << 32;
        break;
    case 2:
        message->data = value;
        break;
    default:
        msix->masked = value & ENTRY_MASKED ? msix->masked | bit : msix->masked & ~bit;
        break;
    }
}

uint64_t pci_msix_table_read(const struct pci_msix *msix, uint64_t offset, unsigned size) {
    if (!is_access(offset, size))
        return 0;
    uint64_t value = word_read(msix, offset / 4);
    return size == 8 ? value | (uint64_t)word_read(msix, offset / 4 + 1) << 32 : value;
}

void pci_msix_table_write(struct pci_msix *msix, uint64_t offset, unsigned size, uint64_t value) {
    if (!is_access(offset, size))
        return;
    word_write(msix, offset / 4, (uint32_t)value);
    if (size == 8)
        word_write(msix, offset / 4 + 1, (uint32_t)(value >> 32));
}

uint64_t pci_msix_pending_read(const struct pci_msix *msix, uint64_t offset, unsigned size) {
    if (!is_access(offset, size) || offset >= sizeof(msix->pending))
        return 0;
    uint64_t value = msix->pending >> 8 * offset;
    return size == 8 ? value : (uint32_t)value;
}

void pci_msix_raise(struct pci_msix *msix, unsigned vector) {
    msix->pending |= UINT64_C(1) << vector;
}

bool pci_msix_take(struct pci_msix *msix, struct pci_msix_message *message) {
    uint64_t ready = msix->enabled && !msix->held ? msix->pending & ~msix->masked : 0;
    if (!ready)
        return false;
    msix->pending &= ~(ready & -ready);
    *message = msix->message[__builtin_ctzll(ready)];
    return true;
}

void pci_msix_save(const struct pci_msix *msix, struct state_writer *writer) {
    state_put_u16(writer, (uint16_t)msix->count);
    state_put_u64(writer, msix->masked);
    state_put_u64(writer, msix->pending);
    for (unsigned i = 0; i < msix->count; i++) {
        state_put_u64(writer, msix->message[i].address);
        state_put_u32(writer, msix->message[i].data);
    }
}

bool pci_msix_load(struct pci_msix *msix, struct state_reader *reader) {
    if (state_get_u16(reader) != msix->count)
        return false;
    msix->masked = state_get_u64(reader);
    msix->pending = state_get_u64(reader);
    bool good = !((msix->masked | msix->pending) & ~vectors(msix));
    for (unsigned i = 0; i < msix->count; i++) {
        msix->message[i].address = state_get_u64(reader);
        msix->message[i].data = state_get_u32(reader);
        good &= !(msix->message[i].address & ~ADDRESS_BITS);
    }
    return good;
}
