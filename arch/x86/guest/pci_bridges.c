// SPDX-License-Identifier: Apache-2.0
// The host bridge 8086:29c0 (Intel 3 Series chipset data sheet, chapter 5) and the LPC bridge 8086:2918 (ICH9
// data sheet, chapter 13) of a guest's PC: the registers that firmware and kernels set, with their effects.
#include <string.h>

#include "arch/x86/guest/pci_internal.h"
#include "arch/x86/guest/pc.h"
#include "arch/x86/guest/pm.h"
#include "arch/x86/vm.h"
#include "core/log.h"
#include "lib/config.h"

/* Host bridge */
#define PCIEXBAR        0x60
#define PAM0            0x90
#define PAM_COUNT       7
#define SMRAM           0x9d
#define SMRAM_OPEN      0x40u
#define SMRAM_LOCK      0x10u
#define SMRAM_ENABLE    0x08u
#define ESMRAMC         0x9e
#define TOM             0xa0
#define TOLUD           0xb0
#define PCIEXBAR_ENABLE 0x01u

/* LPC bridge */
#define PMBASE          0x40
#define ACPI_CNTL       0x44
#define ACPI_ENABLE     0x80u
#define GPIOBASE        0x48
#define GPIO_CNTL       0x4c
#define PIRQA_ROUT      0x60
#define SERIRQ_CNTL     0x64
#define PIRQE_ROUT      0x68
#define LPC_DECODE      0x80 /* LPC_I/O_DEC, LPC_EN, GEN1_DEC-GEN4_DEC: 0x80-0x93 */
#define GEN_PMCON       0xa0 /* GEN_PMCON_1-3 and what stands between: 0xa0-0xa5 */
#define FWH_SELECT      0xd0 /* FWH_SEL1, FWH_SEL2, FWH_DEC_EN1: 0xd0-0xd9 */
#define BIOS_CNTL       0xdc
#define RCBA            0xf0

static struct pci_host *host_of(struct vm *vm) {
    return x86_vm(vm)->pc.pci;
}

static uint32_t get32(const struct pci_function *f, unsigned offset) {
    return pci_config_read(f, offset, 4);
}

/* What firmware would have set is set at reset for guests that start without one. */
static bool has_firmware(const struct pci_host *host) {
    return x86_vm(host->vm)->pc.firmware_size != 0;
}

/* PCIEXBAR: bits 35:26 base (as far as the length leaves them), 2:1 length, 0 enable. */
static void apply_ecam(struct pci_host *host) {
    uint64_t bar = get32(&host->bridge, PCIEXBAR) | (uint64_t)get32(&host->bridge, PCIEXBAR + 4) << 32;
    unsigned length = bar >> 1 & 3;
    uint64_t size = bar & PCIEXBAR_ENABLE && length < 3 ? PC_ECAM_SIZE >> length : 0;
    pci_place_ecam(host, size ? bar & ~(size - 1) & 0xfffffffffull : 0, size);
}

/* PAM0 has 0xF0000 in its upper half; PAM1-6 hold two 16 KiB segments each, the lower address below. */
static uint8_t pam_bits(const struct pci_host *host, unsigned segment) {
    const uint8_t *pam = &host->bridge.config[PAM0];
    if (segment == PCI_PAM_COUNT - 1)
        return pam[0] >> 4 & 3;
    return pam[1 + segment / 2] >> (segment & 1 ? 4 : 0) & 3;
}

/* No memory, or too many regions (functions of the machine take some): a guest can have that as often as it
 * likes. */
static void say_failed(const struct pci_host *host, const char *what, int error) {
    static struct log_limit limit = {.burst = 4};

    if (log_allowed(&limit))
        log_error("%s: no memory for the map that %s asks for (%d)", host->vm->name, what, error);
}

/* `initial`: at reset, whatever is shown now. `copy`: a segment that firmware makes writable to copy its ROM
 * into gets the ROM's contents (see pc_memory_shadow()); not when a saved state, RAM included, is loaded. */
static void apply_memory(struct pci_host *host, bool initial, bool copy) {
    if (!has_firmware(host))
        return; /* no ROM below 1 MiB: it is RAM and stays so */
    for (unsigned i = 0; i < PCI_PAM_COUNT; i++) {
        uint8_t bits = pam_bits(host, i);
        if (bits == host->pam[i] && !initial)
            continue;
        bool last = i == PCI_PAM_COUNT - 1;
        int error = pc_memory_shadow(host->vm, last ? 0xf0000 : 0xc0000 + i * 0x4000u,
                                     last ? 0x10000 : 0x4000, bits & 1, bits & 2, copy && host->pam[i] == 0);
        if (error)
            say_failed(host, "PAM", error);
        host->pam[i] = bits;
    }
}

static void apply_smram(struct pci_host *host) {
    uint8_t smram = host->bridge.config[SMRAM];
    bool open = (smram & (SMRAM_OPEN | SMRAM_ENABLE)) == (SMRAM_OPEN | SMRAM_ENABLE);
    if (open == host->smram_open)
        return;
    int error = pc_memory_smram(host->vm, open);
    if (error)
        say_failed(host, "SMRAM", error);
    host->smram_open = open;
}

static void apply_lpc(struct pci_host *host) {
    uint16_t base = (uint16_t)(get32(&host->lpc, PMBASE) & 0xff80);
    pm_place(host->vm, base, host->lpc.config[ACPI_CNTL] & ACPI_ENABLE);
    pci_set_routes(host, &host->lpc.config[PIRQA_ROUT]);
}

void pci_bridges_apply(struct pci_host *host) {
    apply_ecam(host);
    apply_memory(host, false, false);
    apply_smram(host);
    apply_lpc(host);
}

/* D_LCK freezes SMRAM and ESMRAMC, closes the window, and stays until reset (5.1.29). */
static void write_smram(struct pci_function *f, uint8_t before) {
    uint8_t *smram = &f->config[SMRAM];
    if (before & SMRAM_LOCK)
        *smram = before;
    else if (*smram & SMRAM_LOCK)
        *smram &= (uint8_t)~SMRAM_OPEN;
}

static void bridge_write(struct vm *vm, struct pci_function *f, unsigned offset, unsigned size,
                         uint32_t value) {
    struct pci_host *host = host_of(vm);
    uint8_t smram = f->config[SMRAM];
    uint8_t esmramc = f->config[ESMRAMC];
    pci_config_write(f, offset, size, value);
    write_smram(f, smram);
    if (smram & SMRAM_LOCK)
        f->config[ESMRAMC] = esmramc;
    apply_ecam(host);
    apply_memory(host, false, true);
    apply_smram(host);
}

static void lpc_write(struct vm *vm, struct pci_function *f, unsigned offset, unsigned size, uint32_t value) {
    pci_config_write(f, offset, size, value);
    apply_lpc(host_of(vm));
}

static const struct pci_ops bridge_ops = {.write = bridge_write};
static const struct pci_ops lpc_ops = {.write = lpc_write};

static void set_id(struct pci_function *f, uint16_t device, uint16_t class, uint8_t revision) {
    pci_config_set16(f, 0x00, 0x8086);
    pci_config_set16(f, 0x02, device);
    f->config[0x08] = revision;
    pci_config_set16(f, 0x0a, class);
}

static void bridge_defaults(struct pci_host *host, struct pci_function *f) {
    memset(f->config, 0, sizeof(f->config));
    set_id(f, 0x29c0, 0x0600, 2);
    pci_config_set16(f, 0x04, 0x0006); /* memory, bus master: both fixed */
    pci_config_set16(f, 0x06, 0x0080);
    bool set = !has_firmware(host);
    pci_config_set32(f, PCIEXBAR, (uint32_t)PC_ECAM_BASE | (set ? PCIEXBAR_ENABLE : 0));
    if (set) {
        f->config[PAM0] = 0x30;
        memset(&f->config[PAM0 + 1], 0x33, PAM_COUNT - 1);
    }
    f->config[SMRAM] = 0x02;
    f->config[ESMRAMC] = 0x38;
    struct memory_range ram[PC_RAM_PIECES];
    uint64_t low = pc_ram_low(host->vm); /* the end of RAM below 4 GiB */
    for (unsigned i = 0, count = pc_ram(host->vm, ram); i < count; i++)
        if (ram[i].base < PC_RAM_LOW_MAX && ram[i].base + ram[i].size > low)
            low = ram[i].base + ram[i].size;
    pci_config_set16(f, TOM, (uint16_t)(host->vm->config->memory >> 26)); /* in 64 MiB */
    pci_config_set16(f, TOLUD, (uint16_t)(low >> 20 << 4));
}

static void lpc_defaults(struct pci_host *host, struct pci_function *f) {
    memset(f->config, 0, sizeof(f->config));
    set_id(f, 0x2918, 0x0601, 2);
    pci_config_set16(f, 0x04, 0x0007); /* I/O, memory, bus master: fixed */
    pci_config_set16(f, 0x06, 0x0200);
    bool set = !has_firmware(host);
    pci_config_set32(f, PMBASE, (set ? PC_PMBASE : 0) | 1);
    f->config[ACPI_CNTL] = set ? ACPI_ENABLE : 0;
    pci_config_set32(f, GPIOBASE, 1);
    memset(&f->config[PIRQA_ROUT], PCI_PIRQ_UNUSED, 4);
    memset(&f->config[PIRQE_ROUT], PCI_PIRQ_UNUSED, 4);
    f->config[SERIRQ_CNTL] = 0x10;
}

static void set_mask(struct pci_function *f, unsigned offset, unsigned size, uint8_t mask) {
    memset(&f->writable[offset], mask, size);
}

void pci_bridges_init(struct pci_host *host) {
    struct pci_function *f = &host->bridge;
    f->devfn = PCI_DEVFN(0, 0);
    f->ops = &bridge_ops;
    set_mask(f, PCIEXBAR, 1, 0x07);
    set_mask(f, PCIEXBAR + 3, 1, 0xfc);
    set_mask(f, PCIEXBAR + 4, 1, 0x0f);
    set_mask(f, PAM0, 1, 0x30);
    set_mask(f, PAM0 + 1, PAM_COUNT - 1, 0x33);
    set_mask(f, SMRAM, 1, SMRAM_OPEN | 0x20 | SMRAM_LOCK | SMRAM_ENABLE);
    set_mask(f, ESMRAMC, 1, 0x87);
    host->function[f->devfn] = f;

    f = &host->lpc;
    f->devfn = PCI_DEVFN(31, 0);
    f->ops = &lpc_ops;
    set_mask(f, PMBASE, 1, 0x80);
    set_mask(f, PMBASE + 1, 1, 0xff);
    set_mask(f, ACPI_CNTL, 1, ACPI_ENABLE); /* the SCI is IRQ 9 */
    set_mask(f, GPIOBASE, 1, 0xc0);
    set_mask(f, GPIOBASE + 1, 1, 0xff);
    set_mask(f, GPIO_CNTL, 1, 0x10);
    set_mask(f, PIRQA_ROUT, 4, 0x8f);
    set_mask(f, PIRQE_ROUT, 4, 0x8f);
    set_mask(f, SERIRQ_CNTL, 1, 0xc3);
    set_mask(f, LPC_DECODE, 0x14, 0xff);
    set_mask(f, GEN_PMCON, 6, 0xff);
    set_mask(f, FWH_SELECT, 10, 0xff);
    set_mask(f, BIOS_CNTL, 1, 0x1f);
    set_mask(f, RCBA, 1, 0x01);
    set_mask(f, RCBA + 1, 1, 0xc0);
    set_mask(f, RCBA + 2, 2, 0xff);
    host->function[f->devfn] = f;
}

void pci_bridges_reset(struct pci_host *host) {
    bridge_defaults(host, &host->bridge);
    lpc_defaults(host, &host->lpc);
    apply_ecam(host);
    apply_memory(host, true, false);
    apply_smram(host);
    apply_lpc(host);
}

/* Bits that cannot be written must hold what they hold here. */
static bool same_fixed(const struct pci_function *f, const uint8_t config[PCI_CONFIG_SIZE]) {
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        if ((config[i] ^ f->config[i]) & ~f->writable[i])
            return false;
    return true;
}

bool pci_bridges_load(struct pci_host *host, const uint8_t bridge[PCI_CONFIG_SIZE],
                      const uint8_t lpc[PCI_CONFIG_SIZE]) {
    if (!same_fixed(&host->bridge, bridge) || !same_fixed(&host->lpc, lpc))
        return false;
    if ((bridge[SMRAM] & (SMRAM_LOCK | SMRAM_OPEN)) == (SMRAM_LOCK | SMRAM_OPEN))
        return false;
    memcpy(host->bridge.config, bridge, PCI_CONFIG_SIZE);
    memcpy(host->lpc.config, lpc, PCI_CONFIG_SIZE);
    return true;
}
