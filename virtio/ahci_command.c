// SPDX-License-Identifier: Apache-2.0
// A port's commands (AHCI 1.3.1, 4.2 and 5): the list in the guest's memory, the way of the data, and the end
// that the guest is told. A port works on one command at a time. All that is read of the guest's memory is
// copied before it is looked at, or, of a PRDT, used as it was read.
#include "virtio/ahci_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "virtio/bytes.h"

#define HEADER_SIZE       32u   /* bytes, in the command list */
#define HEADER_LENGTH     0x1fu /* double words of the FIS */
#define HEADER_CLEAR_BUSY 0x400u
#define FIS_MAX_LENGTH    16u
#define TABLE_ALIGNMENT   128u
#define PRDT_OFFSET       0x80u /* in the command table */
#define PRDT_ENTRY        16u
#define ENTRY_SIZE        0x3fffffu   /* bytes less one */
#define ENTRY_ENDS        0x40000000u /* reserved there; ours: what was found ends the entry */
#define ENTRY_INTERRUPT   0x80000000u
#define PIO_BLOCK         512u /* bytes of the data behind the last PIO Setup FIS */

/* Fields of a host-to-device register FIS */
#define FIS_TYPE          0x27
#define FIS_COMMAND       2
#define FIS_CONTROL       15
#define FLAG_COMMAND      0x80 /* in byte 1: the command register was written, not the control register */
#define CONTROL_RESET     0x04

/* Data go to the disk in pieces of up to PIECE sectors, that end at multiples of it. A step costs its sectors
 * and EACH. */
#define PIECE             2048u
#define EACH              64u

static struct ahci_port *port_of(struct disk_request *request) {
    return (struct ahci_port *)((char *)request - offsetof(struct ahci_port, command.request));
}

static uint64_t header_address(const struct ahci_port *port) {
    return port->record->list + (uint64_t)port->record->slot * HEADER_SIZE;
}

/* The 1st, 2nd, 4th, ... is told. */
static void report(struct ahci_port *port, const char *what, int error) {
    struct ahci *ahci = port->ahci;
    const struct ahci_command *command = &port->command;
    char text[SERVICE_MAX_TEXT];

    ahci->errors++;
    port->counters.errors++;
    if (ahci->errors & (ahci->errors - 1))
        return;
    snprintf(text, sizeof(text), "%s: %s %d, command 0x%02x, sectors from %llu on (%llu so far)", port->name,
             what, error, command->fis[FIS_COMMAND], (unsigned long long)command->task.sector,
             (unsigned long long)ahci->errors);
    ahci->log(ahci, text);
}

/* ---- the data */

/* What is left of the PRDT's current entry: our address of its beginning, which lies together for *size
 * bytes. Of *flags ENTRY_INTERRUPT and ENTRY_ENDS count. NULL: it is none, command.faults says why. */
static uint8_t *entry_rest(struct ahci_port *port, uint64_t *gpa, uint32_t *size, uint32_t *flags) {
    struct ahci_command *command = &port->command;
    struct virtio_memory *memory = port->ahci->memory;
    uint64_t contiguous = 0;

    if (command->entry >= command->entries) {
        command->faults = PORT_IS_OFS;
        return NULL;
    }
    const uint8_t *entry = virtio_map(
        memory, command->table + PRDT_OFFSET + (uint64_t)command->entry * PRDT_ENTRY, PRDT_ENTRY, PRDT_ENTRY);
    if (!entry) {
        command->faults = PORT_IS_HBFS;
        return NULL;
    }
    uint8_t copy[PRDT_ENTRY];
    memcpy(copy, entry, sizeof(copy));
    *flags = bytes_get32(copy + 12) & ~ENTRY_ENDS;
    uint32_t length = (*flags & ENTRY_SIZE) + 1;
    /* It may have become shorter since we were there. */
    *gpa = (bytes_get64(copy) & ~1ull) + command->at;
    uint8_t *data = command->at < length ? memory->map(memory, *gpa, &contiguous) : NULL;
    if (!data) {
        command->faults = PORT_IS_HBFS;
        return NULL;
    }
    *size = length - command->at;
    if (contiguous < *size)
        *size = (uint32_t)contiguous;
    else
        *flags |= ENTRY_ENDS;
    return data;
}

/* Collects the segments of the next `wanted` bytes and passes them. Returns how many bytes they have: less if
 * there is a fault, or no room for more. */
static uint32_t gather(struct ahci_port *port, uint32_t wanted) {
    struct ahci_command *command = &port->command;
    uint32_t got = 0;

    command->segments = 0;
    while (got < wanted && command->segments < AHCI_SEGMENTS) {
        struct virtq_segment *segment = &command->segment[command->segments];
        uint32_t flags = 0;
        segment->data = entry_rest(port, &segment->gpa, &segment->size, &flags);
        if (!segment->data)
            break;
        if (segment->size > wanted - got) {
            segment->size = wanted - got;
            flags &= ~ENTRY_ENDS;
        }
        command->at += segment->size;
        if (flags & ENTRY_ENDS) {
            command->entry++;
            command->at = 0;
            if (flags & ENTRY_INTERRUPT)
                command->events |= PORT_IS_DPS;
        }
        got += segment->size;
        command->segments++;
    }
    return got;
}

/* As gather(), in whole blocks of the disk: at least one, or there is a fault. */
static uint32_t gather_blocks(struct ahci_port *port, uint32_t wanted) {
    struct ahci_command *command = &port->command;
    uint32_t entry = command->entry, at = command->at;
    uint32_t got = gather(port, wanted);

    if (got == wanted || command->faults)
        return got;
    uint32_t whole = got & ~(port->ata.disk->block - 1);
    command->entry = entry;
    command->at = at;
    /* A block in more pieces than that is nothing that a driver makes. */
    if (!whole || gather(port, whole) != whole)
        command->faults = PORT_IS_HBFS;
    return whole;
}

static void mark_dirty(struct ahci_port *port) {
    const struct ahci_command *command = &port->command;
    struct virtio_memory *memory = port->ahci->memory;

    for (unsigned i = 0; i < command->segments; i++)
        memory->dirty(memory, command->segment[i].gpa, command->segment[i].size);
}

/* Moves `size` bytes between the command's buffer and the guest. False: there is a fault. */
static bool move_buffer(struct ahci_port *port, bool to_guest, uint32_t size) {
    struct ahci_command *command = &port->command;
    struct disk_request data = {.segment = command->segment};
    struct disk_cursor cursor;

    uint32_t got = gather(port, size);
    if (got != size) {
        command->faults = command->faults ? command->faults : PORT_IS_HBFS;
        return false;
    }
    data.segments = command->segments;
    disk_cursor_init(&cursor, &data);
    if (to_guest) {
        disk_cursor_write(&cursor, command->buffer, size);
        mark_dirty(port);
    } else {
        disk_cursor_read(&cursor, command->buffer, size);
    }
    command->segments = 0;
    command->moved += size;
    return true;
}

/* ---- the end of a command */

/* The FIS that tells it, or two; *bits: the PxIS bits that go with them. False: there is no place for them.
 */
static bool send_answer(struct ahci_port *port, uint32_t *bits) {
    struct ahci_command *command = &port->command;
    struct ahci_port_record *record = port->record;
    const struct ata_task *task = &command->task;
    bool to_host = task->work == ATA_READ || task->work == ATA_IDENTIFY;
    uint8_t fis[ATA_FIS_SIZE];

    *bits = 0;
    if (task->pio && !task->error) {
        ata_pio_setup(command->fis, to_host, PIO_BLOCK, fis);
        if (!ahci_receive(port, RECEIVED_PIO_SETUP, fis))
            return false;
        *bits |= PORT_IS_PSS;
        if (to_host) {
            record->tfd = ATA_STATUS_READY;
            return true;
        }
    }
    if (task->work == ATA_DIAGNOSTIC) {
        ata_signature(fis);
        record->sig = ATA_SIGNATURE;
    } else {
        ata_answer(command->fis, task, fis);
    }
    record->tfd = (uint32_t)fis[3] << 8 | fis[FIS_COMMAND];
    *bits |= PORT_IS_DHRS;
    return ahci_receive(port, RECEIVED_REGISTER, fis);
}

/* PRDBC, in the command's header. */
static bool put_moved(struct ahci_port *port) {
    struct virtio_memory *memory = port->ahci->memory;
    uint64_t gpa = header_address(port) + 4;
    uint8_t *moved = virtio_map(memory, gpa, 4, 4);

    if (!moved)
        return false;
    bytes_put32(moved, port->command.moved);
    memory->dirty(memory, gpa, 4);
    return true;
}

/* A command that is done, as far as the disk was asked for it. */
static void count(struct ahci_port *port) {
    static const enum disk_operation operations[] = {[ATA_READ] = DISK_READ,
                                                     [ATA_WRITE] = DISK_WRITE,
                                                     [ATA_VERIFY] = DISK_READ,
                                                     [ATA_FLUSH] = DISK_FLUSH,
                                                     [ATA_TRIM] = DISK_DISCARD};
    enum ata_work work = port->command.task.work;

    if (!port->command.task.error && work >= ATA_READ && work <= ATA_TRIM)
        disk_count(&port->counters, operations[work], port->command.moved);
}

/* Tells the guest. A command that has failed stays in PxCI, and stops the port (6.2.2.1). */
static void finish(struct ahci_port *port) {
    struct ahci_command *command = &port->command;
    struct ahci_port_record *record = port->record;
    uint32_t bits = 0, faults = command->faults;

    if (!put_moved(port) || !send_answer(port, &bits))
        faults |= PORT_IS_HBFS;
    bits |= command->events | faults | (command->task.error ? PORT_IS_TFES : 0);
    if (!faults)
        count(port);
    command->busy = false;
    /* If our program ends in between, the command is done once more: not one without its interrupt. */
    record->is |= bits;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (faults || command->task.error)
        record->stopped = 1;
    else
        record->ci &= ~(1u << record->slot);
    record->active = 0;
    record->next = (uint8_t)((record->slot + 1) % AHCI_SLOTS);
    ahci_port_event(port, bits);
}

static void fail(struct ahci_port *port, uint8_t error) {
    port->command.task.error = error;
    finish(port);
}

/* The guest's own lists lead nowhere. */
static void fail_fault(struct ahci_port *port) {
    report(port,
           port->command.faults == PORT_IS_OFS ? "the PRDT is too short: slot"
                                               : "the PRDT is not sound: slot",
           port->record->slot);
    fail(port, ATA_ERROR_ABORTED);
}

void ahci_command_drop(struct ahci_port *port) {
    port->command.stale = true;
    port->record->active = 0;
}

/* ---- through the disk */

static void disk_done(struct disk_request *request, int error) {
    struct ahci_port *port = port_of(request);

    port->command.error = error;
    port->command.ready = true;
    if (!port->ahci->running)
        port->ahci->again(port->ahci);
}

/* Hands the command's request to the disk. Returns what it costs. */
static uint32_t submit(struct ahci_port *port, const struct disk_request *what) {
    struct ahci_command *command = &port->command;
    uint32_t count = (uint32_t)what->count;

    command->request = *what;
    command->request.done = disk_done;
    command->ready = false;
    disk_submit(port->ata.disk, &command->request);
    return count + EACH;
}

/* The next sectors of a READ, WRITE or VERIFY. */
static uint32_t next_piece(struct ahci_port *port) {
    struct ahci_command *command = &port->command;
    struct ata_task *task = &command->task;
    uint64_t piece = PIECE - task->sector % PIECE;
    uint32_t sectors = (uint32_t)(task->sectors < piece ? task->sectors : piece);
    struct disk_request request = {.operation = task->work == ATA_WRITE ? DISK_WRITE : DISK_READ,
                                   .sector = task->sector};

    if (task->work == ATA_VERIFY) {
        /* Read to where nobody looks, as much as there is room. */
        uint32_t room = (uint32_t)sizeof(command->buffer) / DISK_SECTOR;
        sectors = sectors < room ? sectors : room;
        command->segments = 0;
        command->segment[0] = (struct virtq_segment){.data = command->buffer, .size = sectors * DISK_SECTOR};
        request.segments = 1;
    } else {
        sectors = gather_blocks(port, sectors * DISK_SECTOR) / DISK_SECTOR;
        if (command->faults) {
            command->segments = 0;
            fail_fault(port);
            return EACH;
        }
        request.segments = command->segments;
        command->moved += sectors * DISK_SECTOR;
    }
    request.segment = command->segment;
    request.count = sectors;
    command->piece = sectors;
    return submit(port, &request);
}

/* The ranges have come: whether all of them are on the disk. */
static bool ranges_good(const struct ahci_port *port, unsigned ranges) {
    uint64_t sector, sectors;

    for (unsigned i = 0; i < ranges; i++)
        if (ata_trim_range(&port->ata, port->command.buffer, i, &sector, &sectors) < 0)
            return false;
    return true;
}

/* The next range of a TRIM; 0: there is none. */
static uint32_t next_range(struct ahci_port *port) {
    struct ahci_command *command = &port->command;
    uint32_t size = command->task.blocks * ATA_BLOCK;
    unsigned ranges = size / ATA_TRIM_RANGE;
    struct disk_request request = {.operation = DISK_DISCARD};

    if (!command->moved) {
        if (!move_buffer(port, false, size)) {
            fail_fault(port);
            return EACH;
        }
        if (!ranges_good(port, ranges)) {
            fail(port, ATA_ERROR_NOT_FOUND);
            return EACH;
        }
    }
    while (command->range < ranges)
        if (ata_trim_range(&port->ata, command->buffer, command->range++, &request.sector, &request.count) >
            0) {
            command->task.sector = request.sector;
            return submit(port, &request);
        }
    return 0;
}

/* Does the next part of the command, or ends it. Returns what it costs, more than 0. */
static uint32_t next_part(struct ahci_port *port) {
    struct ahci_command *command = &port->command;
    struct ata_task *task = &command->task;
    uint32_t cost = 0;

    if (task->error) {
        finish(port);
        return EACH;
    }
    if (task->sectors)
        return next_piece(port);
    if (task->work == ATA_TRIM) {
        cost = next_range(port);
    } else if (task->work == ATA_IDENTIFY) {
        ata_identify(&port->ata, command->buffer);
        if (!move_buffer(port, true, ATA_BLOCK)) {
            fail_fault(port);
            return EACH;
        }
    }
    if (cost)
        return cost;
    if (task->flush) {
        task->flush = false;
        return submit(port, &(struct disk_request){.operation = DISK_FLUSH});
    }
    finish(port);
    return EACH;
}

/* The disk is done with what it had. */
static uint32_t go_on(struct ahci_port *port) {
    struct ahci_command *command = &port->command;

    if (command->task.work == ATA_READ)
        mark_dirty(port);
    command->segments = 0;
    if (command->stale) {
        ahci_let_go(port);
        return EACH;
    }
    if (command->error) {
        report(port, "I/O error", command->error);
        fail(port, ata_disk_error(command->task.work, command->error));
        return EACH;
    }
    command->task.sector += command->piece;
    command->task.sectors -= command->piece;
    command->piece = 0;
    return next_part(port);
}

/* ---- the beginning */

/* Nothing that a disk could be asked to do: the port stops, and only the guest's reset helps. */
static uint32_t stop(struct ahci_port *port, uint32_t bits, const char *why) {
    port->record->is |= bits; /* first, as in finish() */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    port->record->stopped = 1;
    port->record->active = 0;
    port->command.task.sector = 0;
    memset(port->command.fis, 0, ATA_FIS_SIZE);
    report(port, why, (int)port->record->slot);
    ahci_port_event(port, bits);
    return EACH;
}

/* The control register was written: the first FIS of a soft reset, or the second (11.4 of ATA8-AAM). */
static uint32_t control(struct ahci_port *port, uint32_t flags) {
    struct ahci_port_record *record = port->record;

    record->ci &= ~(1u << record->slot);
    record->active = 0;
    record->next = (uint8_t)((record->slot + 1) % AHCI_SLOTS);
    if (port->command.fis[FIS_CONTROL] & CONTROL_RESET) {
        record->soft_reset = 1;
        record->tfd = flags & HEADER_CLEAR_BUSY ? ATA_STATUS_READY : ATA_STATUS_BUSY;
    } else if (record->soft_reset) {
        record->soft_reset = 0;
        ahci_greet(port);
    }
    return EACH;
}

/* Begins with the command in record->slot. */
static uint32_t begin(struct ahci_port *port) {
    struct ahci_port_record *record = port->record;
    struct ahci_command *command = &port->command;
    struct virtio_memory *memory = port->ahci->memory;
    uint8_t header[HEADER_SIZE];

    const uint8_t *listed = virtio_map(memory, header_address(port), HEADER_SIZE, HEADER_SIZE);
    if (!listed)
        return stop(port, PORT_IS_HBFS, "the command list is not in RAM: slot");
    memcpy(header, listed, sizeof(header));
    uint32_t flags = bytes_get32(header), length = flags & HEADER_LENGTH;
    command->table = bytes_get64(header + 8) & ~(uint64_t)(TABLE_ALIGNMENT - 1);
    const uint8_t *fis = virtio_map(memory, command->table, ATA_FIS_SIZE, TABLE_ALIGNMENT);
    if (!fis)
        return stop(port, PORT_IS_HBFS, "the command table is not in RAM: slot");
    memcpy(command->fis, fis, ATA_FIS_SIZE);
    if (length < ATA_FIS_SIZE / 4 || length > FIS_MAX_LENGTH || command->fis[0] != FIS_TYPE) {
        record->serr |= PORT_SERR_H;
        return stop(port, PORT_IS_IFS, "no FIS for a disk: slot");
    }
    if (!(command->fis[1] & FLAG_COMMAND))
        return control(port, flags);

    command->busy = true;
    command->stale = false;
    command->error = 0;
    command->entries = flags >> 16;
    command->entry = command->at = command->moved = command->faults = command->events = 0;
    command->range = command->segments = command->piece = 0;
    record->active = 1;
    record->tfd = ATA_STATUS_BUSY;
    if (record->soft_reset)
        command->task = (struct ata_task){.error = ATA_ERROR_ABORTED};
    else
        ata_begin(&port->ata, command->fis, &command->task);
    return next_part(port);
}

/* Whether a command can begin; then it is in record->slot. One that was begun before a restart is the first;
 * else they take turns (5.3.2, pIssueSlot). */
static bool choose(struct ahci_port *port) {
    struct ahci_port_record *record = port->record;

    if (!(record->cmd & PORT_CMD_ST) || record->stopped || !record->ci || !ahci_link_up(port))
        return false;
    if (record->active && record->ci >> record->slot & 1)
        return true;
    if (record->tfd & (ATA_STATUS_BUSY | ATA_STATUS_DATA))
        return false;
    uint32_t later = record->ci >> record->next << record->next;
    record->slot = (uint8_t)__builtin_ctz(later ? later : record->ci);
    return true;
}

uint32_t ahci_command_step(struct ahci_port *port) {
    if (port->command.busy)
        return port->command.ready ? go_on(port) : 0;
    return choose(port) ? begin(port) : 0;
}
