// SPDX-License-Identifier: Apache-2.0
// A function of the machine that a guest has to itself: which ones can be, and what the machine's side of it
// is in the course of the guest's runs.
#include "devices/passed_host.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/main.h"
#include "core/vm.h"
#include "devices/host_pci.h"
#include "drivers/iommu/iommu.h"
#include "lib/config.h"

#define CLASS_DISPLAY  0x03u
#define CLASS_USB      0x0c03u

#define EXPRESS_ERRORS 0x000fu /* of device control: reporting of each kind */
#define NO_INTERRUPT   (-1)
#define PATIENCE       1000000000ull /* ns that it may take from its reset on (PCI Express Base 3.0, 6.6.1) ... */
#define LOOK_AGAIN     20000000ull /* ... looked at so often */
#define PAGE_DOWN(at)  ((at) & ~(PAGE_SIZE - 1))
#define PAGE_UP(at)    (((at) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1))

static_assert(PASSED_BARS == PCI_BARS, "all BARs");

/* A message of the machine's, kept for good once it was handed out. What the function writes for it is for
 * one run of the guest. */
struct message {
    struct passed_host *host;
    uint64_t plain_address, address;
    uint32_t plain_data, data;
    int interrupt; /* the IOMMU's entry; NO_INTERRUPT */
    bool made;
};

struct passed_host {
    struct host_pci *pci;
    struct vm *vm;
    char name[HOST_PCI_NAME];
    struct passed_info info;
    struct iommu_device device;
    bool runs;                           /* from a start to its end */
    struct iommu_domain *domain;         /* that it is in; NULL: it does not run, or there is no IOMMU */
    bool outside;                        /* it runs, and yet it is not in that domain any more */
    bool stopped;                        /* no DMA until the next start */
    bool closed;                         /* the machine ends */
    uint64_t rest_end;                   /* time_now() when it may be looked at ... */
    uint64_t late;                       /* ... and when it has to be there again */
    volatile uint8_t *trap[PASSED_BARS]; /* where trap_begin is mapped */
    void (*came)(void *context, unsigned vector);
    void *context;
    struct message message[PASSED_VECTORS];
};

/* ---- whether a guest may have it */

/* Whether one that it cannot be kept apart from is, or will be, somebody else's. The bridges that lead to it
 * do no DMA of their own. */
static bool has_company(const struct passed_host *host) {
    for (unsigned i = 0; i < host_pci_count(); i++) {
        const struct host_pci *other = host_pci_get(i);
        struct iommu_device device;
        if (other == host->pci || other->segment != host->pci->segment ||
            pci_space_layout(other->config) == 1 ||
            (host_pci_dma(other, &device) && device.group != host->device.group))
            continue;
        if (host_pci_is_ours(other) || other->claimed || (other->guest && other->guest != host->vm->name))
            return true;
    }
    return false;
}

/* Without remapping, DMA to where messages go would be any interrupt of the machine's. */
static bool remaps(const struct passed_host *host) {
    int interrupt = iommu_interrupt_allocate(&host->device);

    if (interrupt >= 0)
        iommu_interrupt_free(interrupt);
    return interrupt >= 0;
}

static bool pages_are_its_own(const struct host_pci *pci) {
    for (unsigned i = 0; i < PCI_BARS; i++) {
        const struct pci_range *range = &pci->range[i];
        uint64_t base = PAGE_DOWN(range->address), end = PAGE_UP(range->address + range->size);
        if (range->kind == PCI_RANGE_MEMORY &&
            (!range->address || host_pci_sharer(pci, base, end) || !arch_host_pci_memory(base, end - base)))
            return false;
    }
    return true;
}

/* What the firmware sets aside for a function may be anything: a guest that names the addresses of its DMA
 * must not reach it, and the function may not work without. That of a USB controller is for the keyboard
 * while the firmware runs, and needed no more. */
static bool firmware_uses_it(const struct passed_host *host) {
    return host_pci_class(host->pci) >> 8 != CLASS_USB && iommu_wants_memory(&host->device);
}

/* Whether the IOMMU that is in use keeps it within the guest's memory. NULL, or why not. */
static const char *is_unbound(struct passed_host *host) {
    if (!host_pci_dma(host->pci, &host->device))
        return "it is behind too many bridges";
    if (!iommu_covers(&host->device))
        return "no IOMMU translates its DMA";
    if (!remaps(host))
        return "the IOMMU does not remap its interrupts, or has no room for more";
    if (firmware_uses_it(host))
        return "the firmware goes on to use it, with memory of its own (RMRR, IVMD)";
    if (has_company(host))
        return "a function that it cannot be kept apart from is somebody else's (`devices` shows the groups)";
    return NULL;
}

/* NULL, or why not. */
static const char *refuses(struct passed_host *host) {
    const struct host_pci *pci = host->pci;

    if (pci_space_layout(pci->config) != 0 || host_pci_is_ours(pci))
        return "it is a bridge, or a part of the machine that the hypervisor needs";
    if (host_pci_class(pci) >> 16 == CLASS_DISPLAY)
        return "displays cannot be passed through in this version";
    if (pci->claimed || pci->guest)
        return "it is somebody else's";
    if (!iommu_present() && !host->vm->config->identity_memory)
        return "no IOMMU is in use: switch it on (VT-d) in the machine's firmware, or leave passthrough away";
    const char *why = iommu_present() ? is_unbound(host) : NULL;
    if (why)
        return why;
    if (!host_pci_can_reset(pci))
        return "it cannot be reset by itself: it has no FLR, and is not alone behind a port of PCI Express";
    if (!pci->msix.count && !pci->msi.count)
        return "it has neither MSI nor MSI-X";
    if (!pages_are_its_own(pci))
        return "its registers have no place, or share a page with something else";
    return NULL;
}

/* ---- making one */

/* The parts of BARs that are trapped, mapped for us; false: there is no room for them. */
static bool map_traps(struct passed_host *host) {
    const struct pci_msix *msix = &host->pci->msix;

    for (unsigned i = 0; i < PCI_BARS; i++) {
        struct passed_bar *bar = &host->info.bar[i];
        if (!bar->size)
            continue;
        if (bar->size < PAGE_SIZE) {
            bar->trap_end = bar->size;
        } else if (msix->count && msix->bar == i) {
            bar->trap_begin = PAGE_DOWN((uint64_t)msix->table);
            bar->trap_end = PAGE_UP((uint64_t)msix->table + (uint64_t)msix->count * PCI_MSIX_ENTRY);
        }
        if (bar->trap_begin == bar->trap_end)
            continue;
        host->trap[i] = arch_device_map(bar->physical + bar->trap_begin, bar->trap_end - bar->trap_begin);
        if (!host->trap[i])
            return false;
    }
    return true;
}

/* The machine's vectors are few, and kept once they were asked for: each function has its share, so that no
 * guest can leave the others, or the service VM, without. */
static unsigned vectors_of(const struct host_pci *pci) {
    unsigned functions = boot_passed_count();
    unsigned most = functions * PASSED_VECTORS > PASSED_SHARED ? PASSED_SHARED / functions : PASSED_VECTORS;

    most = most ? most : 1;
    return pci->msix.count < most ? pci->msix.count : most;
}

static void describe(struct passed_host *host) {
    const struct host_pci *pci = host->pci;
    struct passed_info *info = &host->info;

    info->config = pci->config;
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (pci->range[i].kind == PCI_RANGE_MEMORY)
            info->bar[i] = (struct passed_bar){
                .physical = pci->range[i].address, .size = pci->range[i].size, .wide = pci->range[i].wide};
    const struct boot_rom *rom = boot_rom_find(pci->segment, pci->bus, pci->devfn);
    if (rom)
        info->rom = (struct passed_bar){.physical = rom->address, .size = rom->size};
    if (pci->msix.count) {
        info->msix = pci->msix.offset;
        info->vectors = vectors_of(pci);
        info->table_bar = pci->msix.bar;
        info->table_begin = pci->msix.table;
        info->table_end = info->table_begin + (uint64_t)pci->msix.count * PCI_MSIX_ENTRY;
    }
    if (pci->msi.count) {
        info->msi = pci->msi.offset;
        info->msi_wide = pci->msi.wide;
    }
}

static struct host_pci *find(const char *address) {
    struct config_pci at;

    if (config_parse_pci(address, &at))
        return NULL;
    for (unsigned i = 0; i < host_pci_count(); i++) {
        struct host_pci *pci = host_pci_get(i);
        if (pci->segment == at.segment && pci->bus == at.bus && pci->devfn == at.devfn)
            return pci;
    }
    return NULL;
}

static void reset(struct passed_host *host) {
    host_pci_reset(host->pci);
    host->rest_end = time_now() + HOST_PCI_RESET_TIME;
    host->late = time_now() + PATIENCE;
}

int passed_host_create(struct vm *vm, const char *address, void (*came)(void *context, unsigned vector),
                       void *context, struct passed_host **out) {
    struct passed_host *host = heap_allocate(sizeof(*host), &vm->memory.account);

    if (!host)
        return -ENOMEM;
    host->vm = vm;
    host->came = came;
    host->context = context;
    host->pci = find(address);
    for (unsigned i = 0; i < PASSED_VECTORS; i++) {
        host->message[i].host = host;
        host->message[i].interrupt = NO_INTERRUPT;
    }
    const char *why = host->pci ? refuses(host) : "this machine has no such function";
    if (!why) {
        describe(host);
        if (!map_traps(host))
            why = "its registers cannot be mapped";
    }
    if (why) {
        log_error("guest %s: PCI %s cannot be passed through: %s", vm->name, address, why);
        heap_free(host, sizeof(*host), &vm->memory.account);
        return -ENODEV;
    }
    host_pci_name(host->pci, host->name);
    host->pci->guest = vm->name;
    host->stopped = true;
    /* The firmware may have left it at work. */
    host_pci_write(host->pci, PCI_COMMAND, 2, PCI_COMMAND_NO_INTX);
    host_pci_read(host->pci, PCI_COMMAND, 2);
    host_pci_interrupts_off(host->pci);
    reset(host);
    *out = host;
    return 0;
}

void passed_host_destroy(struct passed_host *host) {
    host->pci->guest = NULL;
    heap_free(host, sizeof(*host), &host->vm->memory.account);
}

const struct passed_info *passed_host_info(const struct passed_host *host) {
    return &host->info;
}

/* ---- runs of the guest */

static void write_command(const struct passed_host *host, bool master) {
    host_pci_write(host->pci, PCI_COMMAND, 2,
                   PCI_COMMAND_MEMORY | PCI_COMMAND_NO_INTX | (master ? PCI_COMMAND_MASTER : 0));
}

const char *passed_host_start(struct passed_host *host, struct iommu_domain *domain) {
    if (host->closed || passed_host_rest(host) || host->runs || !host_pci_restore(host->pci))
        return "it does not answer as it did when the machine started";
    host_pci_interrupts_off(host->pci);
    /* Its errors, which a guest can make, are not reported to the machine. */
    if (host->pci->express) {
        unsigned control = host->pci->express + PCI_EXPRESS_CONTROL;
        host_pci_write(host->pci, control, 2, host_pci_read(host->pci, control, 2) & ~EXPRESS_ERRORS);
    }
    const char *why = domain ? iommu_attach(domain, &host->device) : NULL;
    if (why)
        return why;
    host->domain = domain;
    host->runs = true;
    host->stopped = host->outside = false;
    write_command(host, false);
    return NULL;
}

int passed_host_move(struct passed_host *host, struct iommu_domain *domain) {
    if (!host->domain || host->stopped)
        return -ESTALE;
    /* Also into the one that it is in: that one may have been suspended. */
    iommu_detach(host->domain, &host->device);
    if (!iommu_attach(domain, &host->device)) {
        host->domain = domain;
        return 0;
    }
    const char *why = iommu_attach(host->domain, &host->device);
    if (!why)
        return -EBUSY;
    log_warning("PCI %s (guest %s): no DMA until the guest starts anew: %s", host->name, host->vm->name, why);
    host->outside = true;
    passed_host_stop(host, false);
    return -EIO;
}

void passed_host_stop(struct passed_host *host, bool last) {
    host->stopped = true;
    host->closed = host->closed || last;
    if (!host->runs)
        return;
    write_command(host, false);
    host_pci_read(host->pci, PCI_COMMAND, 2); /* once it is answered, what was written before is in memory */
}

void passed_host_end(struct passed_host *host, bool last) {
    if (!host->runs)
        return;
    host_pci_interrupts_off(host->pci);
    host_pci_write(host->pci, PCI_COMMAND, 2, PCI_COMMAND_NO_INTX);
    for (unsigned i = 0; i < PASSED_VECTORS; i++) {
        struct message *message = &host->message[i];
        if (message->interrupt != NO_INTERRUPT)
            iommu_interrupt_free(message->interrupt);
        message->interrupt = NO_INTERRUPT;
    }
    if (host->domain && !host->outside)
        iommu_detach(host->domain, &host->device);
    host->domain = NULL;
    host->runs = false;
    if (!last)
        reset(host);
}

static bool answers(const struct passed_host *host) {
    return host_pci_read(host->pci, PCI_VENDOR, 4) == pci_space32(host->info.config, PCI_VENDOR);
}

uint64_t passed_host_rest(const struct passed_host *host) {
    uint64_t now = time_now();

    if (host->rest_end > now)
        return host->rest_end - now;
    return now < host->late && !host->runs && !answers(host) ? LOOK_AGAIN : 0;
}

void passed_host_master(struct passed_host *host, bool on) {
    if (!host->runs || host->stopped)
        return;
    write_command(host, on);
    if (!on)
        host_pci_read(host->pci, PCI_COMMAND, 2);
}

/* ---- messages */

static void message_came(void *context) {
    const struct message *message = context;

    message->host->came(message->host->context, (unsigned)(message - message->host->message));
}

/* What the function has to write for a message of the machine's: without an IOMMU, the message itself. 0, or
 * a negative errno. */
static int remap(struct passed_host *host, struct message *message) {
    message->address = message->plain_address;
    message->data = message->plain_data;
    if (!host->domain)
        return 0;
    int interrupt = iommu_interrupt_remap(&host->device, &message->address, &message->data);
    if (interrupt < 0)
        return interrupt;
    message->interrupt = interrupt;
    return 0;
}

/* Whether there is a message of that number that the function can send. */
static bool make(struct passed_host *host, unsigned number) {
    static struct log_limit limit = {.burst = 4};
    struct message *message = &host->message[number];
    int error = 0;

    if (message->interrupt != NO_INTERRUPT)
        return true;
    if (!message->made)
        error = arch_host_message(message_came, message, &message->plain_address, &message->plain_data);
    message->made = message->made || !error;
    if (!error)
        error = remap(host, message);
    if (error && log_allowed(&limit))
        log_warning("PCI %s (guest %s): the machine has no interrupt left for vector %u (%d)", host->name,
                    host->vm->name, number, error);
    return !error;
}

bool passed_host_msi(struct passed_host *host, bool on) {
    const struct host_pci *pci = host->pci;

    if (!host->runs || !pci->msi.count)
        return false;
    host_pci_write(pci, pci->msi.offset + PCI_MSI_CONTROL, 2, 0);
    return !on || (make(host, 0) && host_pci_msi_on(pci, host->message[0].address, host->message[0].data));
}

void passed_host_msix(struct passed_host *host, bool on, bool masked) {
    const struct pci_msix *msix = &host->pci->msix;

    if (host->runs && msix->count)
        host_pci_write(host->pci, msix->offset + PCI_MSIX_CONTROL, 2,
                       (on ? PCI_MSIX_ENABLE : 0) | (masked || !on ? PCI_MSIX_MASK_ALL : 0));
}

bool passed_host_vector(struct passed_host *host, unsigned vector, bool masked) {
    const struct passed_info *info = &host->info;

    if (!host->runs || vector >= info->vectors)
        return false;
    volatile uint32_t *entry =
        (volatile uint32_t *)(host->trap[info->table_bar] +
                              (info->table_begin - info->bar[info->table_bar].trap_begin)) +
        PCI_MSIX_ENTRY / 4 * vector;
    entry[3] = PCI_MSIX_ENTRY_MASKED;
    if (masked)
        return true;
    if (!make(host, vector))
        return false;
    entry[0] = (uint32_t)host->message[vector].address;
    entry[1] = (uint32_t)(host->message[vector].address >> 32);
    entry[2] = host->message[vector].data;
    entry[3] = 0;
    return true;
}

/* ---- registers that are trapped */

uint64_t passed_host_read(const struct passed_host *host, unsigned bar, uint64_t offset, unsigned size) {
    volatile const uint8_t *at = host->trap[bar] + (offset - host->info.bar[bar].trap_begin);

    switch (size) {
    case 1:
        return *at;
    case 2:
        return *(volatile const uint16_t *)at;
    case 4:
        return *(volatile const uint32_t *)at;
    default:
        return *(volatile const uint64_t *)at;
    }
}

void passed_host_write(const struct passed_host *host, unsigned bar, uint64_t offset, unsigned size,
                       uint64_t value) {
    volatile uint8_t *at = host->trap[bar] + (offset - host->info.bar[bar].trap_begin);

    switch (size) {
    case 1:
        *at = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)at = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)at = value;
        break;
    }
}
