// SPDX-License-Identifier: Apache-2.0
// The PC that a guest sees: its parts, its interrupt lines, and the map of its memory and ports.
#ifndef SAGUARO_ARCH_X86_GUEST_PC_H
#define SAGUARO_ARCH_X86_GUEST_PC_H

#include "abi/service.h"
#include "core/vm.h"

/* Where things are (a q35-like PC). */
#define PC_RAM_LOW_MAX   0xb0000000ull /* RAM below 4 GiB ends here at the latest; the rest starts at 4 GiB */
#define PC_ECAM_BASE     0xb0000000ull /* 256 buses; PCIEXBAR's reset value here, as OVMF sets it on q35 */
#define PC_ECAM_SIZE     0x10000000ull
#define PC_PCI_HOLE_BASE 0xc0000000ull
#define PC_PCI_HOLE_END  0xfec00000ull
#define PC_IOAPIC_BASE   0xfec00000ull
#define PC_LAPIC_BASE    0xfee00000ull
#define PC_MMIO_BASE     0xfef00000ull /* places of devices that are on no bus (SERVICE_MMIO_*) */
#define PC_FIRMWARE_END  0x100000000ull
#define PC_PMBASE        0x600
#define PC_EXIT_PORT     0xf4
#define PC_ISA_LINES     16
#define PC_GSI_COUNT     24
#define PC_MMIO_GSI      20 /* and those behind it: places share these lines, level-triggered, active high */
#define PC_MMIO_GSIS     4

struct pic;
struct ioapic;
struct lapic;
struct pit;
struct rtc;
struct pm;
struct uart16550;
struct pci_host;
struct fw_cfg;
struct keyboard;

/* One of each per VM; a part's create() fills its pointer in. The local APICs hang on their vCPUs
 * (x86_vcpu.lapic). */
struct pc {
    struct pic *pic;
    struct ioapic *ioapic;
    struct pit *pit;
    struct rtc *rtc;
    struct pm *pm;
    struct uart16550 *uart;
    struct pci_host *pci;
    struct fw_cfg *fw_cfg;
    struct keyboard *keyboard;
    struct {
        struct spinlock lock; /* held while a line is driven */
        uint32_t up;          /* bit n: place n holds its line up */
    } mmio;
    struct memory_range identity; /* RAM at the machine's own addresses; of no size: the guest has none */
    uint64_t apart;         /* bytes of other RAM that it has then, from 0 on, a multiple of 2 MiB; else 0 */
    uint64_t firmware_size; /* bytes of ROM that end at 4 GiB, a multiple of 4 KiB; 0: the guest has none */
};

/* The table of parts, in order of creation. */
extern const struct platform pc_platform;

/* Drives an interrupt line: GSI 0-15 reach the PIC and the I/O APIC (ISA line 0 arrives at I/O APIC pin 2),
 * 16-23 the I/O APIC alone. */
void pc_line_set(struct vm *vm, unsigned gsi, bool level);
/* A line that goes up and down: one edge. */
void pc_line_pulse(struct vm *vm, unsigned gsi);

/* The registers and the line of a place of a device that is on no bus. */
static inline uint64_t pc_mmio_place(unsigned place) {
    return PC_MMIO_BASE + (uint64_t)place * SERVICE_MMIO_SIZE;
}
static inline unsigned pc_mmio_gsi(unsigned place) {
    return PC_MMIO_GSI + place % PC_MMIO_GSIS;
}

/* Delivers a message-signalled interrupt (Intel SDM vol. 3, 11.11): 0, or -EINVAL when address is outside
 * FEEx_xxxx. */
int pc_msi(struct vm *vm, uint64_t address, uint32_t data);

/*
 * Guest memory. The backing holds RAM below 4 GiB, then RAM above, then (from a multiple of 2 MiB) the ROM.
 * RAM starts at 0 with a hole at 0xA0000-0xBFFFF. A guest without firmware has RAM at 0xC0000-0xFFFFF too;
 * one with firmware sees there what the host bridge's PAM registers say: RAM, or the last 128 KiB of the ROM.
 *
 * With identity-memory there is RAM from 0 on only as far as a PC and a multiboot image need it: nothing of
 * that is at the machine's own addresses, so that a guest must not give it to a device, and is told that it
 * is reserved. All the rest is one piece at the machine's addresses, below PC_RAM_LOW_MAX or above 4 GiB. The
 * backing holds it behind the first.
 */
/* Bytes of backing that a guest needs; `firmware_size` is its image's, at most CONFIG_MAX_FIRMWARE; 0: none.
 */
uint64_t pc_backing_size(const struct config_guest *config, uint64_t firmware_size);
/* guest_memory_create() for a guest with identity-memory, whose image, if it is bound to its addresses, ends
 * at `image_end`. 0, or a negative errno after a line in the log. */
int pc_identity_create(struct vm *vm, uint64_t image_end);
/* Places RAM and ROM after guest_memory_create() and before the platform is created; the image then goes to
 * 4 GiB - its size with guest_load(), at each reset. 0, or what guest_memory_place() says; -EINVAL: the image
 * is too large. */
int pc_memory_setup(struct vm *vm, uint64_t firmware_size);
/* For PAM: what [base, base + size) of 0xC0000-0xFFFFF shows. Where writes reach RAM but reads the ROM, both
 * reach RAM, which gets a copy of the ROM first if `was_rom`: a copy in place comes out the same. */
int pc_memory_shadow(struct vm *vm, uint64_t base, uint64_t size, bool reads_ram, bool writes_ram,
                     bool was_rom);
/* For SMRAM: RAM at 0xA0000-0xBFFFF, or nothing. */
int pc_memory_smram(struct vm *vm, bool open);

/* Bytes of RAM from 0 and from 4 GiB on, without identity-memory. */
uint64_t pc_ram_low(const struct vm *vm);
uint64_t pc_ram_high(const struct vm *vm);
/* All RAM that is not reserved, but for the holes of a PC below 1 MiB. Returns the number of pieces. */
#define PC_RAM_PIECES 2
unsigned pc_ram(const struct vm *vm, struct memory_range piece[PC_RAM_PIECES]);
/* The piece of RAM above 1 MiB for what a loader may put anywhere; it may be empty. Below 4 GiB, but for
 * identity-memory. */
struct memory_range pc_ram_free(const struct vm *vm);
/* Whether an image that is bound to its addresses may have [base, end). */
bool pc_ram_bound(const struct vm *vm, uint64_t base, uint64_t end);

/* The memory map as BIOS function E820 gives it; also used by the Linux loader and fw_cfg. */
struct pc_e820_entry {
    uint64_t base;
    uint64_t size;
    uint32_t type; /* 1 RAM, 2 reserved, 3 ACPI reclaimable, 4 ACPI NVS */
} __attribute__((packed));
#define PC_E820_MAX      16
#define PC_E820_RAM      1u
#define PC_E820_RESERVED 2u
/* The map for a guest that starts without firmware: reserves the ACPI tables and ECAM. */
unsigned pc_e820(const struct vm *vm, struct pc_e820_entry entries[PC_E820_MAX]);

/* Guest-physical addresses of the ACPI tables, written by pc_acpi_write() into guest RAM at reset (0xE0000..
 * and the RSDP in the BIOS area). A guest with firmware gets them through fw_cfg, and nothing is written. */
#define PC_ACPI_BASE 0xe0000ull
#define PC_ACPI_SIZE 0x10000ull
#define PC_RSDP      0xf0000ull
int pc_acpi_write(struct vm *vm);

#endif
