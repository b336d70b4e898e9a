// SPDX-License-Identifier: Apache-2.0
// An AHCI controller: its registers, resets, interrupts, and whose turn it is. All that a guest can see lies
// in the record. A command stays in PxCI until it is done, and one that was begun is known by `slot` and
// `active`: so a program that starts anew does it once more, which comes to the same, for the guest has not
// been told of it and leaves its memory to us.
#include "virtio/ahci_internal.h"

#include <errno.h>
#include <string.h>
#include "virtio/bytes.h"

_Static_assert(sizeof(struct ahci_record) <= SERVICE_RECORD_SIZE, "the board has room for a record");

/* The controller's registers (AHCI 3.1) */
enum { CAP = 0x00, GHC = 0x04, IS = 0x08, PI = 0x0c, VS = 0x10, PORTS = 0x100, PORT_SIZE = 0x80 };
#define CAP_64_BIT     0x80000000u /* addresses */
#define CAP_CLO        0x01000000u
#define CAP_GENERATION 0x00200000u /* 3 Gbit/s */
#define CAP_AHCI_ONLY  0x00040000u
#define CAP_MULTI_DRQ  0x00008000u /* PIO commands with more than one block */
#define CAP_SLOTS      ((AHCI_SLOTS - 1) << 8)
#define GHC_RESET      0x00000001u
#define GHC_INTERRUPTS 0x00000002u
#define GHC_AHCI       0x80000000u
#define VERSION        0x00010301u

/* A port's (3.3) */
enum {
    PORT_CLB = 0x00,
    PORT_CLBU = 0x04,
    PORT_FB = 0x08,
    PORT_FBU = 0x0c,
    PORT_IS = 0x10,
    PORT_IE = 0x14,
    PORT_CMD = 0x18,
    PORT_TFD = 0x20,
    PORT_SIG = 0x24,
    PORT_SSTS = 0x28,
    PORT_SCTL = 0x2c,
    PORT_SERR = 0x30,
    PORT_CI = 0x38,
};
#define LIST_UNUSED        0x3ffu /* bits of addresses */
#define RECEIVED_UNUSED    0xffu
#define PORT_IS_PCS        0x00000040u /* mirrors PxSERR.DIAG.X */
#define PORT_IE_MASK       0xfdc000ffu
#define PORT_CMD_SUD       0x00000002u
#define PORT_CMD_POD       0x00000004u
#define PORT_CMD_CLO       0x00000008u
#define PORT_CMD_FR        0x00004000u
#define PORT_CMD_CR        0x00008000u
#define PORT_CMD_KEPT      0x03000011u /* ST, FRE, ATAPI and its light */
#define PORT_TFD_RESET     0x7fu       /* until the disk has said more */
#define PORT_SIG_NONE      0xffffffffu
#define PORT_SCTL_MASK     0xfffu
#define PORT_SCTL_DETECT   0x00fu
#define DETECT_RESET       1u
#define DETECT_OFF         4u

/* The function's configuration space; IDs are those of an Intel ICH9's. */
#define PCI_VENDOR         0x00
#define PCI_DEVICE         0x02
#define PCI_REVISION       0x08
#define PCI_CLASS          0x09 /* three bytes */
#define PCI_CACHE_LINE     0x0c
#define PCI_SUBSYSTEM      0x2c
#define PCI_INTERRUPT_LINE 0x3c
#define PCI_INTERRUPT_PIN  0x3d
#define PCI_PORTS          0x92 /* ICH9's: which ports are enabled, and which have a disk */
#define AHCI_VENDOR        0x8086
#define AHCI_DEVICE        0x2922
#define AHCI_CLASS         0x010601

/* A run does as many sectors as this, about. */
#define BUDGET             16384u

void ahci_describe(const struct ahci *ahci, struct service_device *out) {
    uint8_t *config = out->config;

    memset(out, 0, sizeof(*out));
    bytes_put16(config + PCI_VENDOR, AHCI_VENDOR);
    bytes_put16(config + PCI_DEVICE, AHCI_DEVICE);
    config[PCI_REVISION] = 2;
    bytes_put(config + PCI_CLASS, 3, AHCI_CLASS);
    bytes_put16(config + PCI_SUBSYSTEM, AHCI_VENDOR);
    bytes_put16(config + PCI_SUBSYSTEM + 2, AHCI_DEVICE);
    config[PCI_INTERRUPT_PIN] = 1;
    for (unsigned i = 0; i < ahci->ports; i++) {
        config[PCI_PORTS] |= (uint8_t)(1u << i);
        config[PCI_PORTS + 1] |= (uint8_t)((ahci->port[i].ata.disk ? 1u : 0) << i);
    }
    out->writable[PCI_CACHE_LINE] = 0xff;
    out->writable[PCI_INTERRUPT_LINE] = 0xff;
    out->bar_size[AHCI_BAR] = 4096;
    out->region[0] = (struct service_region){
        .bar = AHCI_BAR, .size = PORTS + ahci->ports * PORT_SIZE, .kind = SERVICE_REGION_REQUEST};
}

/* ---- interrupts */

/* PxIS with the bits that mirror PxSERR. */
static uint32_t port_is(const struct ahci_port *port) {
    return port->record->is | (port->record->serr & PORT_SERR_X ? PORT_IS_PCS : 0);
}

/* IS latches what ports have to say (3.1.3); the line follows it. */
static void update_line(struct ahci *ahci) {
    struct ahci_record *record = ahci->record;

    for (unsigned i = 0; i < ahci->ports; i++)
        if (port_is(&ahci->port[i]) & record->port[i].ie)
            record->is |= 1u << i;
    bool level = record->is && record->ghc & GHC_INTERRUPTS;
    if (ahci->raised != level) {
        ahci->raised = level;
        ahci->line(ahci, level);
    }
}

void ahci_port_event(struct ahci_port *port, uint32_t bits) {
    port->record->is |= bits;
    update_line(port->ahci);
}

/* ---- the link and what comes over it */

static bool link_allowed(const struct ahci_port *port, uint32_t sctl) {
    unsigned detect = sctl & PORT_SCTL_DETECT;
    return port->ata.disk && detect != DETECT_RESET && detect != DETECT_OFF;
}

bool ahci_link_up(const struct ahci_port *port) {
    return link_allowed(port, port->record->sctl);
}

bool ahci_receive(struct ahci_port *port, unsigned offset, const uint8_t fis[ATA_FIS_SIZE]) {
    struct virtio_memory *memory = port->ahci->memory;

    if (!(port->record->cmd & PORT_CMD_FRE))
        return true;
    uint8_t *area = virtio_map(memory, port->record->received, RECEIVED_SIZE, RECEIVED_SIZE);
    if (!area)
        return false;
    /* A guest may look here for the end of a command, instead of at our registers. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(area + offset, fis, ATA_FIS_SIZE);
    memory->dirty(memory, port->record->received + offset, ATA_FIS_SIZE);
    return true;
}

/* While the disk is still at work on a command from before, in the guest's memory, it is busy: the guest
 * would take that memory for its own again. */
void ahci_greet(struct ahci_port *port) {
    struct ahci_port_record *record = port->record;
    uint8_t fis[ATA_FIS_SIZE];

    if (port->command.busy || !(record->cmd & PORT_CMD_FRE)) {
        record->greeting = 1;
        if (port->command.busy)
            record->tfd = ATA_STATUS_BUSY;
        return;
    }
    record->greeting = 0;
    record->tfd = ATA_DIAGNOSTIC_PASSED << 8 | ATA_STATUS_READY;
    record->sig = ATA_SIGNATURE;
    ata_signature(fis);
    if (!ahci_receive(port, RECEIVED_REGISTER, fis))
        ahci_port_event(port, PORT_IS_HBFS);
}

void ahci_let_go(struct ahci_port *port) {
    struct ahci_port_record *record = port->record;

    port->command.busy = false;
    if (record->greeting) {
        record->tfd = PORT_TFD_RESET;
        ahci_greet(port);
    } else if (record->tfd & ATA_STATUS_BUSY && !record->soft_reset) {
        record->tfd = ATA_STATUS_READY;
    }
}

/* The link goes down (COMRESET, or switched off): what the disk was told is forgotten. */
static void link_down(struct ahci_port *port) {
    struct ahci_port_record *record = port->record;

    ahci_command_drop(port);
    record->tfd = PORT_TFD_RESET;
    record->sig = PORT_SIG_NONE;
    record->ci = 0;
    record->greeting = 0;
    record->soft_reset = 0;
}

/* It comes up again, with a disk that was reset. */
static void link_restored(struct ahci_port *port) {
    if (!port->ata.disk)
        return;
    port->record->serr |= PORT_SERR_X;
    ahci_greet(port);
    update_line(port->ahci);
}

/* ---- resets */

/* Of the controller (10.4.3): the guest's addresses stay; of a disk's settings all do. */
static void reset_port(struct ahci_port *port) {
    struct ahci_port_record *record = port->record;

    link_down(port);
    *record = (struct ahci_port_record){.list = record->list,
                                        .received = record->received,
                                        .tfd = record->tfd,
                                        .sig = record->sig,
                                        .ata = record->ata};
    link_restored(port);
}

static void reset_controller(struct ahci *ahci) {
    ahci->record->ghc = GHC_AHCI;
    ahci->record->is = 0;
    for (unsigned i = 0; i < ahci->ports; i++)
        reset_port(&ahci->port[i]);
    update_line(ahci);
}

void ahci_reset(struct ahci *ahci) {
    for (unsigned i = 0; i < ahci->ports; i++)
        ahci_command_drop(&ahci->port[i]);
    memset(ahci->record, 0, sizeof(*ahci->record));
    ahci->record->magic = AHCI_RECORD_MAGIC;
    ahci->record->version = AHCI_RECORD_VERSION;
    ahci->record->ports = ahci->ports;
    reset_controller(ahci);
}

/* ---- a port's registers */

static uint32_t read_status(const struct ahci_port *port) {
    uint32_t limit = port->record->sctl >> 4 & 15;

    if (!ahci_link_up(port))
        return (port->record->sctl & PORT_SCTL_DETECT) == DETECT_OFF ? 4 : 0;
    /* Active, of the speed that the guest allows, device and link there (3.3.10). */
    return limit == 1 ? 0x113 : 0x123;
}

static uint32_t read_command(const struct ahci_port *port) {
    const struct ahci_port_record *record = port->record;
    uint32_t cmd = record->cmd | PORT_CMD_SUD | PORT_CMD_POD | (uint32_t)record->slot << 8;

    /* The engine runs until the disk has let go of the guest's memory (3.3.7). */
    return cmd | (cmd & PORT_CMD_ST || port->command.busy ? PORT_CMD_CR : 0) |
           (cmd & PORT_CMD_FRE ? PORT_CMD_FR : 0);
}

static uint32_t read_port(const struct ahci_port *port, unsigned offset) {
    const struct ahci_port_record *record = port->record;

    switch (offset) {
    case PORT_CLB:
        return (uint32_t)record->list;
    case PORT_CLBU:
        return (uint32_t)(record->list >> 32);
    case PORT_FB:
        return (uint32_t)record->received;
    case PORT_FBU:
        return (uint32_t)(record->received >> 32);
    case PORT_IS:
        return port_is(port);
    case PORT_IE:
        return record->ie;
    case PORT_CMD:
        return read_command(port);
    case PORT_TFD:
        return record->tfd;
    case PORT_SIG:
        return record->sig;
    case PORT_SSTS:
        return read_status(port);
    case PORT_SCTL:
        return record->sctl;
    case PORT_SERR:
        return record->serr;
    case PORT_CI:
        return record->ci;
    default:
        return 0;
    }
}

/* What follows from a change comes before the register itself: if our program ends in between, the write is
 * done once more, and has to find the change again. */
static void write_command(struct ahci_port *port, uint32_t value) {
    struct ahci_port_record *record = port->record;
    uint32_t before = record->cmd;

    if (value & PORT_CMD_CLO && !(before & PORT_CMD_ST))
        record->tfd &= ~(ATA_STATUS_BUSY | ATA_STATUS_DATA);
    if (before & ~value & PORT_CMD_ST) {
        ahci_command_drop(port);
        record->ci = 0;
        record->slot = record->next = 0;
        record->stopped = 0;
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    record->cmd = value & PORT_CMD_KEPT;
    if (record->greeting && record->cmd & PORT_CMD_FRE)
        ahci_greet(port);
}

static void write_control(struct ahci_port *port, uint32_t value) {
    bool was_up = ahci_link_up(port), up = link_allowed(port, value);

    if (was_up && !up)
        link_down(port);
    else if (!was_up && up)
        link_restored(port);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    port->record->sctl = value & PORT_SCTL_MASK;
}

static void put_low(uint64_t *address, uint32_t value, uint32_t unused) {
    *address = (*address & ~(uint64_t)UINT32_MAX) | (value & ~unused);
}

static void put_high(uint64_t *address, uint32_t value) {
    *address = (*address & UINT32_MAX) | (uint64_t)value << 32;
}

/* `value` has, in bits that are not in `mask`, what the register held; where writing ones does something, no
 * others count. */
static void write_port(struct ahci_port *port, unsigned offset, uint32_t value, uint32_t mask) {
    struct ahci_port_record *record = port->record;

    switch (offset) {
    case PORT_CLB:
        put_low(&record->list, value, LIST_UNUSED);
        break;
    case PORT_CLBU:
        put_high(&record->list, value);
        break;
    case PORT_FB:
        put_low(&record->received, value, RECEIVED_UNUSED);
        break;
    case PORT_FBU:
        put_high(&record->received, value);
        break;
    case PORT_IS:
        record->is &= ~(value & mask);
        break;
    case PORT_IE:
        record->ie = value & PORT_IE_MASK;
        break;
    case PORT_CMD:
        write_command(port, value);
        break;
    case PORT_SCTL:
        write_control(port, value);
        break;
    case PORT_SERR:
        record->serr &= ~(value & mask);
        break;
    case PORT_CI:
        if (record->cmd & PORT_CMD_ST)
            record->ci |= value & mask;
        break;
    default:
        break;
    }
}

/* ---- all registers */

static uint32_t read_register(const struct ahci *ahci, uint32_t offset) {
    if (offset >= PORTS) {
        unsigned port = (offset - PORTS) / PORT_SIZE;
        return port < ahci->ports ? read_port(&ahci->port[port], offset % PORT_SIZE) : 0;
    }
    switch (offset) {
    case CAP:
        return CAP_64_BIT | CAP_CLO | CAP_GENERATION | CAP_AHCI_ONLY | CAP_MULTI_DRQ | CAP_SLOTS |
               (ahci->ports - 1);
    case GHC:
        return ahci->record->ghc;
    case IS:
        return ahci->record->is;
    case PI:
        return (1u << ahci->ports) - 1;
    case VS:
        return VERSION;
    default:
        return 0;
    }
}

static void write_register(struct ahci *ahci, uint32_t offset, uint32_t value, uint32_t mask) {
    if (offset >= PORTS) {
        unsigned port = (offset - PORTS) / PORT_SIZE;
        if (port < ahci->ports)
            write_port(&ahci->port[port], offset % PORT_SIZE, value, mask);
    } else if (offset == GHC) {
        if (value & GHC_RESET)
            reset_controller(ahci);
        else
            ahci->record->ghc = GHC_AHCI | (value & GHC_INTERRUPTS);
    } else if (offset == IS) {
        ahci->record->is &= ~(value & mask);
    }
    update_line(ahci);
}

uint64_t ahci_read(const struct ahci *ahci, unsigned bar, uint32_t offset, unsigned size) {
    uint64_t value = 0;

    if (bar != AHCI_BAR)
        return 0;
    for (unsigned i = 0; i < size; i++) {
        uint32_t at = offset + i;
        value |= (uint64_t)(read_register(ahci, at & ~3u) >> 8 * (at & 3) & 0xff) << 8 * i;
    }
    return value;
}

void ahci_write(struct ahci *ahci, unsigned bar, uint32_t offset, unsigned size, uint64_t value) {
    unsigned done = 0;

    if (bar != AHCI_BAR)
        return;
    while (done < size) { /* as many registers as it touches */
        uint32_t start = (offset + done) & ~3u, bits = 0, mask = 0;
        for (; done < size && ((offset + done) & ~3u) == start; done++) {
            unsigned shift = 8 * ((offset + done) & 3);
            bits |= (uint32_t)(value >> 8 * done & 0xff) << shift;
            mask |= 0xffu << shift;
        }
        write_register(ahci, start, bits | (read_register(ahci, start) & ~mask), mask);
    }
    /* The guest's CPU waits for us: what the write has begun has time until it goes on. */
    for (unsigned i = 0; i < ahci->ports; i++)
        if (ahci->port[i].record->ci && !ahci->port[i].command.busy) {
            ahci->again(ahci);
            break;
        }
}

/* ---- work */

void ahci_run(struct ahci *ahci) {
    uint32_t cost = 0;
    unsigned nothing = 0;

    if (ahci->running)
        return;
    ahci->running = true;
    while (cost < BUDGET && nothing < ahci->ports) {
        uint32_t spent = ahci_command_step(&ahci->port[ahci->next_port]);
        ahci->next_port = (ahci->next_port + 1) % ahci->ports;
        nothing = spent ? 0 : nothing + 1;
        cost += spent;
    }
    ahci->running = false;
    if (cost >= BUDGET)
        ahci->again(ahci);
}

bool ahci_idle(const struct ahci *ahci) {
    for (unsigned i = 0; i < ahci->ports; i++)
        if (ahci->port[i].command.busy)
            return false;
    return true;
}

/* ---- making one */

void ahci_add_port(struct ahci *ahci, struct disk *disk, const char *name, const char *serial,
                   bool read_only) {
    struct ahci_port *port = &ahci->port[ahci->ports++];

    port->ahci = ahci;
    port->name = name;
    if (disk)
        ata_init(&port->ata, disk, serial, read_only);
}

/* What we ourselves have written, unless something went wrong. */
static bool sound(const struct ahci *ahci) {
    const struct ahci_record *record = ahci->record;

    if (record->magic != AHCI_RECORD_MAGIC || record->version != AHCI_RECORD_VERSION ||
        record->ports != ahci->ports)
        return false;
    for (unsigned i = 0; i < ahci->ports; i++)
        if (record->port[i].slot >= AHCI_SLOTS || record->port[i].next >= AHCI_SLOTS ||
            record->port[i].list & LIST_UNUSED || record->port[i].received & RECEIVED_UNUSED)
            return false;
    return true;
}

int ahci_init(struct ahci *ahci, struct ahci_record *record) {
    ahci->record = record;
    for (unsigned i = 0; i < ahci->ports; i++) {
        ahci->port[i].record = &record->port[i];
        ahci->port[i].ata.record = &record->port[i].ata;
    }
    bool fresh = record->magic == 0, good = sound(ahci);

    /* The line may be at either level, if our program ended while it changed it. */
    ahci->raised = false;
    ahci->line(ahci, false);
    if (!good) {
        ahci_reset(ahci);
        return fresh ? 0 : -EINVAL;
    }
    for (unsigned i = 0; i < ahci->ports; i++) {
        /* The disk was at work on a command that nobody wanted to know of any more. */
        if (!ahci->port[i].record->active)
            ahci_let_go(&ahci->port[i]);
    }
    update_line(ahci);
    ahci->again(ahci);
    return 0;
}
