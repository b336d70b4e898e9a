// SPDX-License-Identifier: Apache-2.0
// The machine's PCI functions in the service VM's hands: what it is offered, claims, DMA, interrupts, and
// that all of it ends with each run of the service VM.
#include <errno.h>
#include <string.h>

#include "core/atomic.h"
#include "core/log.h"
#include "core/service_internal.h"
#include "devices/host_pci.h"
#include "devices/service_dma.h"
#include "lib/config.h"

#define CLASS_STORAGE 0x01u
#define CLASS_NETWORK 0x02u

#define NO_LINE       (-1)
#define UNCLAIMED     4096u          /* interrupts of a line in a row for which nobody on it had a reason */
#define CLAIMED       16u            /* of these one that somebody had a reason for outweighs so many */
#define LOOKS         16u            /* the last of them: who holds the line is looked at */
#define PIECES        (PCI_BARS + 1) /* of its BARs, without the pages of the MSI-X table */

#define PAGE_DOWN(at) ((at) & ~(PAGE_SIZE - 1))
#define PAGE_UP(at)   (((at) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1))

struct claim;

/* A message of the machine's, kept for good once it was handed out. What the function writes for it, and the
 * IOMMU's entry behind that, is for one run of the service VM. */
struct message {
    struct claim *claim;
    uint64_t plain_address, address;
    uint32_t plain_data, data;
    int interrupt; /* SERVICE_DMA_NONE: address and data are the plain ones */
    bool made;
};

struct piece {
    uint64_t base, end; /* whole pages */
};

struct claim {
    struct host_pci *pci;
    unsigned number;          /* in the board */
    volatile uint32_t *table; /* of MSI-X; NULL: not mapped yet */
    unsigned pieces;
    struct piece piece[PIECES]; /* shown to the service VM */
    int line;                   /* arch_host_pin()'s; NO_LINE: not known, or not asked for yet */
    bool master, intx;          /* as in the command register */
    bool polled_said;
    bool stuck;         /* no interrupt by its line in this run of the service VM any more */
    unsigned unclaimed; /* of its line, as UNCLAIMED */
    unsigned held;      /* at so many of the last of these the function held it */
    unsigned vectors;   /* that come now */
    struct message message[SERVICE_PCI_VECTORS];
};

static struct claim *claims[SERVICE_MAX_PCI];
static unsigned claim_count;
static struct spinlock lock; /* guards what changes of all claims */
static bool closed;          /* the machine ends */
static uint64_t rest_end;    /* time_now() when all that were reset are there again */

/* ---- what is offered */

void service_host_offer(const struct config *config) {
    if (service_dma_create())
        return;
    for (unsigned i = 0; i < host_pci_count(); i++) {
        struct host_pci *pci = host_pci_get(i);
        uint32_t class = host_pci_class(pci) >> 16;
        if (pci_space_layout(pci->config) != 0 || (class != CLASS_STORAGE && class != CLASS_NETWORK) ||
            config_passed_to(config, &(struct config_pci){pci->segment, pci->bus, pci->devfn}))
            continue;
        struct claim *claim =
            claim_count < SERVICE_MAX_PCI ? heap_allocate(sizeof(*claim), &service.vm->memory.account) : NULL;
        if (!claim) {
            log_warning("the service VM is not offered all network cards and disk controllers");
            return;
        }
        claim->pci = pci;
        claim->number = claim_count;
        claim->line = NO_LINE;
        for (unsigned j = 0; j < SERVICE_PCI_VECTORS; j++) {
            claim->message[j].claim = claim;
            claim->message[j].interrupt = SERVICE_DMA_NONE;
        }
        claims[claim_count++] = claim;
        /* The firmware may have left it at work. */
        host_pci_write(pci, PCI_COMMAND, 2,
                       (pci_space16(pci->config, PCI_COMMAND) & ~PCI_COMMAND_MASTER) | PCI_COMMAND_NO_INTX);
    }
}

bool service_host_overlap(uint64_t base, uint64_t size, uint64_t *end) {
    for (unsigned i = 0; i < claim_count; i++)
        for (unsigned bar = 0; bar < PCI_BARS; bar++) {
            const struct pci_range *range = &claims[i]->pci->range[bar];
            if (range->kind != PCI_RANGE_MEMORY || base >= PAGE_UP(range->address + range->size) ||
                PAGE_DOWN(range->address) >= base + size)
                continue;
            *end = PAGE_UP(range->address + range->size);
            return true;
        }
    return false;
}

void service_host_show(void) {
    struct service_board *board = service.board;

    board->pci_count = claim_count;
    memset(board->pci_interrupts, 0, sizeof(board->pci_interrupts));
    memset(board->pci_vectors, 0, sizeof(board->pci_vectors));
    for (unsigned i = 0; i < claim_count; i++) {
        const struct host_pci *pci = claims[i]->pci;
        struct service_pci *entry = &board->pci[i];
        memset(entry, 0, sizeof(*entry));
        entry->segment = pci->segment;
        entry->bus = pci->bus;
        entry->devfn = pci->devfn;
        memcpy(entry->config, pci->config, sizeof(entry->config));
        for (unsigned bar = 0; bar < PCI_BARS; bar++) {
            if (pci->range[bar].kind != PCI_RANGE_MEMORY)
                continue;
            entry->bar[bar].address = pci->range[bar].address;
            entry->bar[bar].size = pci->range[bar].size;
        }
    }
}

/* ---- registers; with the lock */

static void write_command(const struct claim *claim) {
    host_pci_write(claim->pci, PCI_COMMAND, 2,
                   PCI_COMMAND_MEMORY | (claim->master ? PCI_COMMAND_MASTER : 0) |
                       (claim->intx ? 0 : PCI_COMMAND_NO_INTX));
}

static void interrupts_off(struct claim *claim) {
    host_pci_interrupts_off(claim->pci);
    claim->intx = false;
    claim->vectors = 0;
}

/* ---- claims */

/* Its BARs in whole pages, each page once. */
static void find_pages(struct claim *claim) {
    const struct host_pci *pci = claim->pci;

    claim->pieces = 0;
    for (unsigned bar = 0; bar < PCI_BARS; bar++) {
        const struct pci_range *range = &pci->range[bar];
        if (range->kind != PCI_RANGE_MEMORY)
            continue;
        struct piece piece = {PAGE_DOWN(range->address), PAGE_UP(range->address + range->size)};
        for (unsigned i = 0; i < claim->pieces;) {
            const struct piece *other = &claim->piece[i];
            if (other->end <= piece.base || piece.end <= other->base) {
                i++;
                continue;
            }
            piece.base = other->base < piece.base ? other->base : piece.base;
            piece.end = other->end > piece.end ? other->end : piece.end;
            claim->piece[i] = claim->piece[--claim->pieces];
            i = 0;
        }
        claim->piece[claim->pieces++] = piece;
    }
}

/* The pages of the MSI-X table are the hypervisor's. */
static void leave_out_table(struct claim *claim) {
    const struct pci_msix *msix = &claim->pci->msix;
    unsigned count = claim->pieces;

    if (!msix->count)
        return;
    uint64_t table = claim->pci->range[msix->bar].address + msix->table;
    uint64_t base = PAGE_DOWN(table), end = PAGE_UP(table + msix->count * PCI_MSIX_ENTRY);
    claim->pieces = 0;
    struct piece old[PIECES];
    memcpy(old, claim->piece, sizeof(old));
    for (unsigned i = 0; i < count; i++) {
        struct piece below = {old[i].base, old[i].end < base ? old[i].end : base};
        struct piece above = {old[i].base > end ? old[i].base : end, old[i].end};
        /* One piece alone has the table in it: it may become two. */
        if (below.base < below.end)
            claim->piece[claim->pieces++] = below;
        if (above.base < above.end)
            claim->piece[claim->pieces++] = above;
    }
}

static void hide(struct claim *claim, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        guest_memory_hide(service.vm, claim->piece[i].base);
    claim->pieces = 0;
}

/* Whether its BARs can be anybody's: no RAM and no other function in their pages. */
static bool pages_are_free(const struct claim *claim, const char *name) {
    for (unsigned i = 0; i < claim->pieces; i++) {
        const struct piece *piece = &claim->piece[i];
        const struct host_pci *other = host_pci_sharer(claim->pci, piece->base, piece->end);
        if (other) {
            char other_name[HOST_PCI_NAME];
            host_pci_name(other, other_name);
            log_warning("PCI %s: registers at 0x%llx share a page with those of %s: it cannot be used", name,
                        (unsigned long long)piece->base, other_name);
            return false;
        }
        if (!arch_host_pci_memory(piece->base, piece->end - piece->base)) {
            log_warning(
                "PCI %s: registers at 0x%llx are where the machine has something else: it cannot be used",
                name, (unsigned long long)piece->base);
            return false;
        }
    }
    return true;
}

static int show_pages(struct claim *claim, const char *name) {
    find_pages(claim);
    if (!pages_are_free(claim, name))
        return -EINVAL;
    leave_out_table(claim);
    for (unsigned i = 0; i < claim->pieces; i++) {
        const struct piece *piece = &claim->piece[i];
        const struct guest_foreign foreign = {.base = piece->base,
                                              .size = piece->end - piece->base,
                                              .physical = piece->base,
                                              .writable = true,
                                              .device = true};
        int error = guest_memory_show(service.vm, &foreign);
        if (error) {
            log_warning("PCI %s: registers at 0x%llx cannot be shown to the service VM (%d)", name,
                        (unsigned long long)piece->base, error);
            hide(claim, i);
            return -EINVAL;
        }
    }
    return 0;
}

static int claim_it(struct claim *claim) {
    char name[HOST_PCI_NAME];

    host_pci_name(claim->pci, name);
    if (time_now() < rest_end || !host_pci_restore(claim->pci)) {
        log_warning("PCI %s: does not answer as it did when the machine started", name);
        return -EINVAL;
    }
    int error = show_pages(claim, name);
    if (error) {
        claim->pieces = 0;
        return error;
    }
    if (!service_dma_attach(claim->pci, name)) {
        hide(claim, claim->pieces);
        return -EINVAL;
    }
    claim->master = false;
    interrupts_off(claim);
    write_command(claim);
    claim->pci->claimed = true;
    return 0;
}

/* With the lock, which the caller gives back; NULL: there is none of that number, or it was not claimed. */
static struct claim *claimed(uint32_t number) {
    return number < claim_count && claims[number]->pci->claimed ? claims[number] : NULL;
}

int32_t service_host_claim(uint32_t number) {
    int error = 0;

    if (number >= claim_count)
        return -ENOENT;
    spin_lock(&lock);
    if (closed)
        error = -EBUSY;
    else if (!claims[number]->pci->claimed)
        error = claim_it(claims[number]);
    spin_unlock(&lock);
    return error;
}

int32_t service_host_master(uint32_t number, uint32_t on) {
    if (on > 1)
        return -EINVAL;
    spin_lock(&lock);
    struct claim *claim = claimed(number);
    if (claim) {
        claim->master = on;
        write_command(claim);
        if (!on) /* once this read is answered, what it wrote before is in memory */
            host_pci_read(claim->pci, PCI_COMMAND, 2);
    }
    spin_unlock(&lock);
    return claim ? 0 : -ENOENT;
}

/* ---- interrupts */

/* With the lock. True: the service VM is to be told. */
static bool note(const struct claim *claim, unsigned vector) {
    struct service_board *board = service.board;

    if (!claim->pci->claimed || vector >= claim->vectors)
        return false;
    __atomic_fetch_or(&board->pci_vectors[claim->number], 1u << vector, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&board->pci_interrupts[claim->number / 32], 1u << claim->number % 32, __ATOMIC_SEQ_CST);
    return true;
}

static void message_came(void *context) {
    const struct message *message = context;
    const struct claim *claim = message->claim;

    spin_lock(&lock);
    bool tell = note(claim, (unsigned)(message - claim->message));
    spin_unlock(&lock);
    if (tell)
        service_event(SERVICE_EVENT_PCI);
}

static void line_off(struct claim *claim) {
    char name[HOST_PCI_NAME];

    claim->intx = false;
    claim->vectors = 0;
    claim->stuck = true;
    write_command(claim);
    host_pci_name(claim->pci, name);
    log_warning("PCI %s: it is polled until the service VM starts anew", name);
}

/* With the lock. Who has its pin up each time, for no reason that its driver finds, is told not to; if that
 * is nobody, or it does not help, the line stays masked for all. Those that lose their interrupts hear of it
 * when they have been looked at once more. */
static void line_stuck(int line) {
    char name[HOST_PCI_NAME];
    bool found = false;

    for (unsigned i = 0; i < claim_count; i++)
        found = found || (claims[i]->intx && claims[i]->line == line && claims[i]->held == LOOKS);
    for (unsigned i = 0; i < claim_count; i++) {
        struct claim *claim = claims[i];
        if (!claim->intx || claim->line != line)
            continue;
        claim->unclaimed = 0;
        if (found && claim->held < LOOKS)
            continue;
        host_pci_name(claim->pci, name);
        if (found)
            log_warning(
                "PCI %s: holds its interrupt line without a reason: is the device broken? Its interrupt "
                "is off",
                name);
        else
            log_warning("PCI %s: something holds its interrupt line without a reason, perhaps a device that "
                        "nobody uses: switch that off in the firmware, or move it. The line is off",
                        name);
        line_off(claim);
    }
}

/* With the lock: another interrupt of the line. */
static void line_count(struct claim *claim) {
    claim->unclaimed++;
    if (claim->unclaimed <= UNCLAIMED - LOOKS)
        claim->held = 0;
    else if (host_pci_read(claim->pci, PCI_STATUS, 2) & PCI_STATUS_INTX)
        claim->held++;
}

/* `context` is the first claim that asked for the line; others may share it. */
static void line_came(void *context) {
    const struct claim *first = context;
    bool tell = false, stuck = false;

    spin_lock(&lock);
    for (unsigned i = 0; i < claim_count; i++)
        if (claims[i]->intx && claims[i]->line == first->line) {
            tell = note(claims[i], 0) || tell;
            line_count(claims[i]);
            stuck = stuck || claims[i]->unclaimed >= UNCLAIMED;
        }
    if (stuck)
        line_stuck(first->line);
    spin_unlock(&lock);
    if (tell)
        service_event(SERVICE_EVENT_PCI);
}

/* How many of the first `wanted` messages there are. */
static unsigned messages(struct claim *claim, unsigned wanted) {
    unsigned count = 0;

    while (count < wanted) {
        struct message *message = &claim->message[count];
        if (!message->made &&
            arch_host_message(message_came, message, &message->plain_address, &message->plain_data))
            break;
        message->made = true;
        if (message->interrupt == SERVICE_DMA_NONE) {
            message->address = message->plain_address;
            message->data = message->plain_data;
            if (service_dma_message(claim->pci, &message->address, &message->data, &message->interrupt))
                break;
        }
        count++;
    }
    return count;
}

static unsigned msix_on(struct claim *claim, unsigned wanted) {
    const struct pci_msix *msix = &claim->pci->msix;

    if (!claim->table)
        claim->table =
            arch_device_map(claim->pci->range[msix->bar].address + msix->table, msix->count * PCI_MSIX_ENTRY);
    if (!claim->table)
        return 0;
    unsigned count = messages(claim, wanted < msix->count ? wanted : msix->count);
    if (!count)
        return 0;
    for (unsigned i = 0; i < msix->count; i++) {
        volatile uint32_t *entry = claim->table + PCI_MSIX_ENTRY / 4 * i;
        entry[3] = PCI_MSIX_ENTRY_MASKED;
        if (i >= count)
            continue;
        entry[0] = (uint32_t)claim->message[i].address;
        entry[1] = (uint32_t)(claim->message[i].address >> 32);
        entry[2] = claim->message[i].data;
        entry[3] = 0;
    }
    claim->vectors = count;
    host_pci_write(claim->pci, msix->offset + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE);
    return count;
}

static unsigned msi_on(struct claim *claim) {
    if (!messages(claim, 1) ||
        !host_pci_msi_on(claim->pci, claim->message[0].address, claim->message[0].data))
        return 0;
    claim->vectors = 1;
    return 1;
}

static unsigned line_on(struct claim *claim) {
    const struct host_pci *root;
    unsigned pin = host_pci_pin(claim->pci, &root);

    if (claim->stuck)
        return 0;
    if (claim->line == NO_LINE && pin)
        claim->line = arch_host_pin(root->segment, root->bus, root->devfn, pin, line_came, claim);
    if (claim->line < 0) {
        claim->line = NO_LINE;
        return 0;
    }
    claim->vectors = 1;
    claim->intx = true;
    for (unsigned i = 0; i < claim_count; i++)
        if (claims[i]->line == claim->line)
            claims[i]->unclaimed = 0; /* all of a line count together */
    write_command(claim);
    arch_host_pin_unmask(claim->line);
    return 1;
}

int32_t service_host_vectors(uint32_t number, uint32_t wanted) {
    unsigned count = 0;
    bool say = false;

    if (wanted < 1 || wanted > SERVICE_PCI_VECTORS)
        return -EINVAL;
    spin_lock(&lock);
    struct claim *claim = claimed(number);
    if (claim) {
        interrupts_off(claim);
        write_command(claim);
        if (claim->pci->msix.count)
            count = msix_on(claim, wanted);
        if (!count && claim->pci->msi.count)
            count = msi_on(claim);
        if (!count)
            count = line_on(claim);
        say = !count && !claim->polled_said;
        claim->polled_said = claim->polled_said || say;
    }
    spin_unlock(&lock);
    if (!claim)
        return -ENOENT;
    if (say) {
        char name[HOST_PCI_NAME];
        host_pci_name(claim->pci, name);
        log_info("PCI %s: no interrupt of it can be used here: it is polled", name);
    }
    return (int32_t)count;
}

int32_t service_host_unmask(uint32_t number, uint32_t mine) {
    int32_t result = 0;

    if (mine > 1)
        return -EINVAL;
    spin_lock(&lock);
    const struct claim *claim = claimed(number);
    for (unsigned i = 0; claim && claim->intx && mine && i < claim_count; i++)
        if (claims[i]->intx && claims[i]->line == claim->line)
            claims[i]->unclaimed = claims[i]->unclaimed > CLAIMED ? claims[i]->unclaimed - CLAIMED : 0;
    if (!claim)
        result = -ENOENT;
    else if (claim->intx)
        arch_host_pin_unmask(claim->line);
    else if (claim->stuck)
        result = -ENXIO;
    spin_unlock(&lock);
    return result;
}

/* ---- the end of a run */

void service_host_release(bool last) {
    bool waits = false;

    spin_lock(&lock);
    closed = closed || last;
    /* First of all, and of all of them: no more DMA. The read waits for what is under way. */
    for (unsigned i = 0; i < claim_count; i++) {
        struct claim *claim = claims[i];
        if (!claim->pci->claimed)
            continue;
        claim->master = false;
        write_command(claim);
        host_pci_read(claim->pci, PCI_COMMAND, 2);
    }
    for (unsigned i = 0; i < claim_count; i++) {
        struct claim *claim = claims[i];
        const struct host_pci *pci = claim->pci;
        if (!pci->claimed)
            continue;
        interrupts_off(claim);
        claim->stuck = false;
        host_pci_write(pci, PCI_COMMAND, 2, PCI_COMMAND_NO_INTX);
        for (unsigned j = 0; j < SERVICE_PCI_VECTORS; j++)
            service_dma_forget(&claim->message[j].interrupt);
        service_dma_detach(pci);
        /* A machine that ends resets it anyway, and its CPUs may still be in what is shown. */
        if (!last) {
            if (pci->reset) {
                host_pci_reset(pci);
                waits = true;
            }
            hide(claim, claim->pieces);
        }
        claim->pci->claimed = false;
        service.board->pci_vectors[i] = 0;
        __atomic_fetch_and(&service.board->pci_interrupts[i / 32], ~(1u << i % 32), __ATOMIC_SEQ_CST);
    }
    if (waits)
        rest_end = time_now() + HOST_PCI_RESET_TIME;
    spin_unlock(&lock);
}

uint64_t service_host_rest(void) {
    spin_lock(&lock);
    uint64_t now = time_now(), rest = rest_end > now ? rest_end - now : 0;
    spin_unlock(&lock);
    return rest;
}
