// SPDX-License-Identifier: Apache-2.0
// Registers behind BARs, and nothing else, so that a unit test can link registers of its own instead. Each
// access is ordered with all memory accesses before and after it: what a device is told about is in memory by
// then, and what it says is there is read afterwards.
#include "drivers/pci/pci.h"

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LITTLE(bits, value) __builtin_bswap##bits(value)
#else
#define LITTLE(bits, value) (value)
#endif

static void order(void) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

uint8_t pci_read8(const volatile void *at) {
    uint8_t value = *(const volatile uint8_t *)at;

    order();
    return value;
}

uint16_t pci_read16(const volatile void *at) {
    uint16_t value = *(const volatile uint16_t *)at;

    order();
    return LITTLE(16, value);
}

uint32_t pci_read32(const volatile void *at) {
    uint32_t value = *(const volatile uint32_t *)at;

    order();
    return LITTLE(32, value);
}

uint64_t pci_read64(const volatile void *at) {
    uint64_t low = pci_read32(at);

    return low | (uint64_t)pci_read32((const volatile uint8_t *)at + 4) << 32;
}

void pci_write8(volatile void *at, uint8_t value) {
    order();
    *(volatile uint8_t *)at = value;
}

void pci_write16(volatile void *at, uint16_t value) {
    order();
    *(volatile uint16_t *)at = LITTLE(16, value);
}

void pci_write32(volatile void *at, uint32_t value) {
    order();
    *(volatile uint32_t *)at = LITTLE(32, value);
}

void pci_write64(volatile void *at, uint64_t value) {
    pci_write32(at, (uint32_t)value);
    pci_write32((volatile uint8_t *)at + 4, (uint32_t)(value >> 32));
}
