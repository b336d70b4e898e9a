// SPDX-License-Identifier: Apache-2.0
// Expansion ROMs of passed-through functions, from the firmware's PCI I/O protocol (UEFI 2.10, section 14.4:
// RomImage, RomSize).
#include "boot/roms.h"

#include <assert.h>
#include <stdbool.h>

#include "boot/console.h"
#include "boot/memory.h"
#include "boot/rom_image.h"

static_assert(HANDOVER_MAX_ROMS == CONFIG_MAX_GUESTS * CONFIG_MAX_PASSTHROUGH, "all that a config can name");

/* Where the function is; false: the firmware does not say, or says what cannot be. */
static bool locate(EFI_PCI_IO_PROTOCOL *pci, struct config_pci *at) {
    UINTN segment, bus, device, function;

    if (pci->GetLocation(pci, &segment, &bus, &device, &function) != EFI_SUCCESS || segment > UINT16_MAX ||
        bus > UINT8_MAX || device > 31 || function > 7) {
        return false;
    }
    *at = (struct config_pci){
        .segment = (uint16_t)segment, .bus = (uint8_t)bus, .devfn = (uint8_t)(device << 3 | function)};
    return true;
}

static bool is_listed(const struct handover *handover, const struct config_pci *at) {
    const struct handover_rom *roms = (const struct handover_rom *)(uintptr_t)handover->roms;

    for (uint32_t i = 0; i < handover->rom_count; i++) {
        if (roms[i].segment == at->segment && roms[i].bus == at->bus && roms[i].devfn == at->devfn) {
            return true;
        }
    }
    return false;
}

static void keep(const EFI_PCI_IO_PROTOCOL *pci, const struct config_pci *at, struct handover *handover) {
    struct handover_rom *roms = (struct handover_rom *)(uintptr_t)handover->roms;
    const char *why = rom_image_fault(pci->RomImage, pci->RomSize);
    void *copy = NULL;
    uint64_t room = 0;

    if (why == NULL) {
        room = rom_image_room(pci->RomSize);
        copy = memory_take(room, HANDOVER_MEMORY_FILE, MEMORY_PAGE, 0);
        why = copy == NULL ? "there is no memory for a copy" : NULL;
    }
    if (why != NULL) {
        console_print("warning: PCI %04x:%02x:%02x.%x: its guest does not see its expansion ROM: %s\n",
                      at->segment, at->bus, at->devfn >> 3, at->devfn & 7, why);
        return;
    }
    rom_image_copy(copy, pci->RomImage, pci->RomSize);
    roms[handover->rom_count++] = (struct handover_rom){
        .address = (uint64_t)(uintptr_t)copy,
        .size = room,
        .segment = at->segment,
        .bus = at->bus,
        .devfn = at->devfn,
    };
}

EFI_STATUS roms_keep(EFI_BOOT_SERVICES *boot, const struct config *config, struct handover *handover) {
    static EFI_GUID guid = EFI_PCI_IO_PROTOCOL_GUID;
    EFI_HANDLE *handles = NULL;
    UINTN count = 0;
    struct handover_rom *roms = memory_keep(HANDOVER_MAX_ROMS * sizeof(*roms));

    if (roms == NULL) {
        return EFI_OUT_OF_RESOURCES;
    }
    handover->roms = (uint64_t)(uintptr_t)roms;
    if (boot->LocateHandleBuffer(ByProtocol, &guid, NULL, &count, &handles) != EFI_SUCCESS) {
        return EFI_SUCCESS; /* a firmware without PCI */
    }
    for (UINTN i = 0; i < count && handover->rom_count < HANDOVER_MAX_ROMS; i++) {
        EFI_PCI_IO_PROTOCOL *pci;
        struct config_pci at;

        if (boot->HandleProtocol(handles[i], &guid, (void **)&pci) == EFI_SUCCESS &&
            (pci->RomImage != NULL || pci->RomSize != 0) && locate(pci, &at) &&
            config_passed_to(config, &at) != NULL && !is_listed(handover, &at)) {
            keep(pci, &at, handover);
        }
    }
    boot->FreePool(handles);
    return EFI_SUCCESS;
}
