// SPDX-License-Identifier: Apache-2.0
// PCI configuration space by 0xCF8/0xCFC and by ECAM: the two agree, the host bridge and the LPC bridge are
// there, nothing else.
#include "tests/guests/runtime/guest.h"

#define ECAM 0xb0000000u

static uint32_t address(unsigned bus, unsigned device, unsigned function, unsigned reg) {
    return 0x80000000u | bus << 16 | device << 11 | function << 8 | (reg & 0xfc);
}
static uint32_t port_read(unsigned bus, unsigned device, unsigned function, unsigned reg) {
    out32(0xcf8, address(bus, device, function, reg));
    return in32(0xcfc);
}
static uint64_t ecam(unsigned bus, unsigned device, unsigned function, unsigned reg) {
    return ECAM + (bus << 20 | device << 15 | function << 12 | reg);
}

void guest_main(void) {
    check_equal(port_read(0, 0, 0, 0), 0x29c08086, "host bridge 8086:29c0");
    check_equal(port_read(0, 0, 0, 8) >> 16, 0x0600, "class host bridge");
    check_equal(port_read(0, 31, 0, 0), 0x29188086, "LPC bridge 8086:2918");
    check_equal(port_read(0, 31, 0, 8) >> 16, 0x0601, "class ISA bridge");
    check_equal(port_read(0, 0, 0, 0x60), ECAM | 1, "PCIEXBAR");
    check_equal(port_read(0, 31, 0, 0x40) & 0xff80, 0x600, "PMBASE");

    unsigned differences = 0, present = 0;
    for (unsigned device = 0; device < 32; device++)
        for (unsigned function = 0; function < 8; function++) {
            uint32_t id = port_read(0, device, function, 0);
            if (id != 0xffffffff)
                present++;
            for (unsigned reg = 0; reg < 256; reg += id == 0xffffffff ? 64 : 4)
                if (port_read(0, device, function, reg) != *mmio32(ecam(0, device, function, reg)))
                    differences++;
        }
    check_equal(differences, 0, "ports and ECAM agree on bus 0");
    check(present >= 2, "two functions at least");
    bool ones = true;
    for (unsigned bus = 1; bus < 256; bus += 37)
        for (unsigned device = 0; device < 32; device += 5)
            ones = ones && port_read(bus, device, 0, 0) == 0xffffffff &&
                   *mmio32(ecam(bus, device, 0, 0x40)) == 0xffffffff;
    check(ones, "absent devices read all ones");
    check_equal(*mmio32(ecam(0, 0, 0, 0x100)), 0xffffffff, "the host bridge has no extended space");
    *mmio32(ecam(3, 4, 5, 0x10)) = 0x12345678;
    out32(0xcf8, address(3, 4, 5, 0x10));
    out32(0xcfc, 0x12345678);
    check_equal(in32(0xcfc), 0xffffffff, "writes to absent devices go nowhere");

    /* Bytes and words of the data port, and the enable bit. */
    out32(0xcf8, address(0, 0, 0, 0));
    check_equal(in8(0xcfc), 0x86, "byte 0 of the data port");
    check_equal(in8(0xcff), 0x29, "byte 3");
    check_equal(in16(0xcfe), 0x29c0, "word 2");
    check_equal(in32(0xcf8), 0x80000000, "the address reads back");
    out8(0xcf8, 0x55);
    check_equal(in32(0xcf8), 0x80000000, "a byte written to 0xCF8 is no address");
    out32(0xcf8, 0);
    check_equal(in32(0xcfc), 0xffffffff, "without the enable bit: all ones");
    check_equal(*(volatile uint8_t *)(word)ecam(0, 0, 0, 3), 0x29, "bytes of ECAM");
    check_equal(*(volatile uint16_t *)(word)ecam(0, 0, 0, 2), 0x29c0, "words of ECAM");
    *mmio32(ecam(0, 0, 0, 0)) = 0;
    check_equal(port_read(0, 0, 0, 0), 0x29c08086, "the identity cannot be written");

    /* ECAM moves, and back. */
    uint32_t other = 0xe0000000;
    out32(0xcf8, address(0, 0, 0, 0x60));
    out32(0xcfc, other | 1);
    check_equal(*mmio32(other), 0x29c08086, "ECAM at its new place");
    check_equal(*mmio32(ECAM), 0xffffffff, "and no longer at the old one");
    *mmio32(other + 0x60) = ECAM | 1;
    check_equal(*mmio32(ECAM), 0x29c08086, "and back, through itself");
}
