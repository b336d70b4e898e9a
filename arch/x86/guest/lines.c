// SPDX-License-Identifier: Apache-2.0
// How interrupt lines and messages of a guest's devices reach its interrupt controllers; where devices that
// are on no bus have their places.
#include <errno.h>
#include "arch/x86/guest/ioapic.h"
#include "arch/x86/guest/lapic.h"
#include "arch/x86/guest/pic.h"
#include "arch/x86/vm.h"

#define ISA_CASCADE 2 /* the second 8259's input to the first: no device's line */

void pc_line_set(struct vm *vm, unsigned gsi, bool level) {
    struct pc *pc = &x86_vm(vm)->pc;

    if (gsi >= PC_GSI_COUNT || gsi == ISA_CASCADE)
        return;
    if (gsi < PC_ISA_LINES && pc->pic)
        pic_set_line(pc->pic, gsi, level);
    /* The timer's line arrives at pin 2 (the MADT says so); pin 0 is not connected. */
    if (pc->ioapic)
        ioapic_set_line(pc->ioapic, gsi == 0 ? 2 : gsi, level);
}

void pc_line_pulse(struct vm *vm, unsigned gsi) {
    pc_line_set(vm, gsi, true);
    pc_line_set(vm, gsi, false);
}

/* Bits of the places that have this line. */
static uint32_t places_of(unsigned gsi) {
    uint32_t places = 0;

    for (unsigned place = gsi - PC_MMIO_GSI; place < SERVICE_MMIO_PLACES; place += PC_MMIO_GSIS)
        places |= 1u << place;
    return places;
}

uint64_t arch_mmio_place(unsigned place) {
    return pc_mmio_place(place);
}

void arch_mmio_line(struct vm *vm, unsigned place, bool level) {
    struct pc *pc = &x86_vm(vm)->pc;
    unsigned gsi = pc_mmio_gsi(place);
    uint32_t sharing = places_of(gsi), bit = 1u << place;

    spin_lock(&pc->mmio.lock);
    bool before = pc->mmio.up & sharing;
    pc->mmio.up = level ? pc->mmio.up | bit : pc->mmio.up & ~bit;
    bool now = pc->mmio.up & sharing;
    if (now != before)
        pc_line_set(vm, gsi, now);
    spin_unlock(&pc->mmio.lock);
}

int pc_msi(struct vm *vm, uint64_t address, uint32_t data) {
    if (address >> 20 != PC_LAPIC_BASE >> 20)
        return -EINVAL;
    struct lapic_message message = {
        .destination = (uint32_t)(address >> 12) & 0xff,
        .logical = (address & 0x4) != 0,
        .level = (data & 0x8000) != 0,
        .assert = (data & 0x4000) != 0,
        .delivery = data >> 8 & 7,
        .vector = (uint8_t)data,
    };
    /* With the redirection hint any one of the destinations is enough. */
    if (address & 0x8 && message.delivery == LAPIC_FIXED)
        message.delivery = LAPIC_LOWEST;
    /* The end of a level says nothing to a local APIC; start-up is not a message of devices. */
    if ((message.level && !message.assert) || message.delivery == LAPIC_SIPI)
        return 0;
    if (message.delivery > LAPIC_LOWEST)
        message.level = false;
    lapic_deliver(vm, NULL, 0, &message);
    return 0;
}

int arch_msi(struct vm *vm, uint64_t address, uint32_t data) {
    return pc_msi(vm, address, data);
}
