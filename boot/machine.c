// SPDX-License-Identifier: Apache-2.0
// What the firmware knows of the machine: CPUs, ACPI and SMBIOS tables, frame buffer, load options.
#include "boot/machine.h"

#include <cpuid.h>
#include <efiprot.h>
#include <string.h>

#include "boot/memory.h"
#include "boot/path.h"

#define CPUS_MAX         4096u
#define COMMAND_LINE_MAX 1024u

/* EFI_MP_SERVICES_PROTOCOL (PI 1.8, volume 2, section 13.3); GNU-EFI has no header for it. */
#define MP_SERVICES_GUID                                                                                     \
    {                                                                                                        \
        0x3fdda605, 0xa76e, 0x4f46, {                                                                        \
            0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08                                                   \
        }                                                                                                    \
    }
#define MP_CPU_IS_BSP     1u
#define MP_CPU_IS_ENABLED 2u

struct mp_processor_info {
    UINT64 processor_id; /* the local APIC ID */
    UINT32 status;
    UINT32 location[3];
    UINT32 extended[6];
};

struct mp_services {
    EFI_STATUS(EFIAPI *get_number_of_processors)
    (struct mp_services *self, UINTN *count, UINTN *enabled);
    EFI_STATUS(EFIAPI *get_processor_info)
    (struct mp_services *self, UINTN number, struct mp_processor_info *info);
};

const char *machine_cpu_fault(bool *large_1g) {
    unsigned int a, b, c, d;
    uint64_t cr4;

    *large_1g = false;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !(d & 1u << 20)) {
        return "The CPU does not offer no-execute pages. Look for \"NX\", \"XD\" or \"execute disable\" in "
               "the "
               "firmware's set-up and switch it on.";
    }
    *large_1g = (d & 1u << 26) != 0;
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    if (cr4 & 1u << 12) {
        return "The firmware runs with five-level paging (LA57), which this version does not start from. "
               "Switch it "
               "off in the firmware's set-up.";
    }
    return NULL;
}

EFI_STATUS machine_list_cpus(EFI_BOOT_SERVICES *boot, struct handover *handover) {
    static EFI_GUID mp_guid = MP_SERVICES_GUID;
    struct mp_services *mp;
    struct handover_cpu *cpus;
    UINTN count;
    UINTN enabled;

    if (boot->LocateProtocol(&mp_guid, NULL, (void **)&mp) != EFI_SUCCESS ||
        mp->get_number_of_processors(mp, &count, &enabled) != EFI_SUCCESS || count == 0 || count > CPUS_MAX) {
        return EFI_SUCCESS;
    }
    cpus = memory_keep(count * sizeof(*cpus));
    if (cpus == NULL) {
        return EFI_OUT_OF_RESOURCES;
    }
    handover->cpus = (uint64_t)(uintptr_t)cpus;
    for (UINTN i = 0; i < count; i++) {
        struct mp_processor_info info = {0};

        if (mp->get_processor_info(mp, i, &info) != EFI_SUCCESS) {
            continue;
        }
        cpus[handover->cpu_count++] = (struct handover_cpu){
            .id = (uint32_t)info.processor_id,
            .flags = (info.status & MP_CPU_IS_ENABLED ? HANDOVER_CPU_ENABLED : 0) |
                     (info.status & MP_CPU_IS_BSP ? HANDOVER_CPU_BOOT : 0),
        };
    }
    return EFI_SUCCESS;
}

void machine_find_tables(EFI_SYSTEM_TABLE *system, struct handover *handover) {
    static const struct {
        EFI_GUID guid;
        bool smbios;
        unsigned int rank;
    } known[4] = {
        {ACPI_20_TABLE_GUID, false, 2},
        {ACPI_TABLE_GUID, false, 1},
        {{0xf2fd1544, 0x9794, 0x4a2c, {0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94}},
         true,
         2}, /* SMBIOS 3 */
        {SMBIOS_TABLE_GUID, true, 1},
    };
    unsigned int acpi_rank = 0;
    unsigned int smbios_rank = 0;

    for (UINTN i = 0; i < system->NumberOfTableEntries; i++) {
        const EFI_CONFIGURATION_TABLE *entry = &system->ConfigurationTable[i];

        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            unsigned int *rank = known[k].smbios ? &smbios_rank : &acpi_rank;

            if (known[k].rank > *rank && memcmp(&entry->VendorGuid, &known[k].guid, sizeof(EFI_GUID)) == 0) {
                *rank = known[k].rank;
                *(known[k].smbios ? &handover->smbios : &handover->acpi_rsdp) =
                    (uint64_t)(uintptr_t)entry->VendorTable;
            }
        }
    }
}

/* The hand-over knows linear frame buffers of 32-bit pixels; others (block transfer alone) are of no use to
 * it. */
static bool framebuffer_from_gop(const EFI_GRAPHICS_OUTPUT_PROTOCOL *gop, struct handover_framebuffer *fb) {
    const EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE *mode = gop->Mode;
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *info = mode != NULL ? mode->Info : NULL;
    uint64_t stride;
    uint64_t bytes;

    if (info == NULL || mode->FrameBufferBase == 0 || info->HorizontalResolution == 0 ||
        info->VerticalResolution == 0 || info->PixelsPerScanLine < info->HorizontalResolution) {
        return false;
    }
    stride = (uint64_t)info->PixelsPerScanLine * 4;
    bytes = stride * info->VerticalResolution;
    if (stride > UINT32_MAX || mode->FrameBufferBase + bytes < bytes ||
        (mode->FrameBufferSize != 0 && mode->FrameBufferSize < bytes)) {
        return false;
    }
    *fb = (struct handover_framebuffer){
        .address = mode->FrameBufferBase,
        .size = mode->FrameBufferSize != 0 ? mode->FrameBufferSize : bytes,
        .width = info->HorizontalResolution,
        .height = info->VerticalResolution,
        .stride = (uint32_t)stride,
        .red_mask = 0x0000ff,
        .green_mask = 0x00ff00,
        .blue_mask = 0xff0000,
    };
    switch (info->PixelFormat) {
    case PixelRedGreenBlueReserved8BitPerColor:
        return true;
    case PixelBlueGreenRedReserved8BitPerColor:
        fb->red_mask = 0xff0000;
        fb->blue_mask = 0x0000ff;
        return true;
    case PixelBitMask:
        fb->red_mask = info->PixelInformation.RedMask;
        fb->green_mask = info->PixelInformation.GreenMask;
        fb->blue_mask = info->PixelInformation.BlueMask;
        /* Masks all within the low three bytes could mean pixels of 24 bits: only a set top byte proves 32.
         */
        return (info->PixelInformation.RedMask | info->PixelInformation.GreenMask |
                info->PixelInformation.BlueMask | info->PixelInformation.ReservedMask) >>
                   24 !=
               0;
    default:
        *fb = (struct handover_framebuffer){0};
        return false;
    }
}

void machine_find_framebuffer(EFI_SYSTEM_TABLE *system, struct handover_framebuffer *framebuffer) {
    static EFI_GUID gop_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    EFI_BOOT_SERVICES *boot = system->BootServices;
    EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
    EFI_HANDLE *handles = NULL;
    UINTN count = 0;
    bool found = false;

    if (system->ConsoleOutHandle != NULL &&
        boot->HandleProtocol(system->ConsoleOutHandle, &gop_guid, (void **)&gop) == EFI_SUCCESS) {
        found = framebuffer_from_gop(gop, framebuffer);
    }
    if (!found && boot->LocateHandleBuffer(ByProtocol, &gop_guid, NULL, &count, &handles) == EFI_SUCCESS) {
        for (UINTN i = 0; i < count && !found; i++) {
            if (boot->HandleProtocol(handles[i], &gop_guid, (void **)&gop) == EFI_SUCCESS) {
                found = framebuffer_from_gop(gop, framebuffer);
            }
        }
        boot->FreePool(handles);
    }
    if (!found) {
        *framebuffer = (struct handover_framebuffer){0};
    }
}

EFI_STATUS machine_command_line(EFI_BOOT_SERVICES *boot, EFI_HANDLE image, struct handover *handover) {
    static EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
    EFI_LOADED_IMAGE *loaded;
    char *text = memory_keep(COMMAND_LINE_MAX);

    if (text == NULL) {
        return EFI_OUT_OF_RESOURCES;
    }
    handover->command_line = (uint64_t)(uintptr_t)text;
    /* Boot managers put all sorts of bytes there (OVMF: a GUID); what is no text is nobody's command line. */
    if (boot->HandleProtocol(image, &loaded_image_guid, (void **)&loaded) == EFI_SUCCESS &&
        loaded->LoadOptions != NULL &&
        path_ascii_from_ucs2(loaded->LoadOptions, loaded->LoadOptionsSize / 2, text, COMMAND_LINE_MAX) != 0) {
        text[0] = '\0';
    }
    return EFI_SUCCESS;
}
