// SPDX-License-Identifier: Apache-2.0
// An ATA disk (ATA8-ACS): commands, settings, and the FISes that tell what became of a command (Serial ATA
// 2.6, 10.3). The features that it has are those that IDENTIFY DEVICE announces, no more.
#include "virtio/ata.h"

#include <errno.h>
#include <string.h>
#include "virtio/bytes.h"

/* Fields of a register FIS (Serial ATA 10.3.4, 10.3.5). */
enum {
    FIS_TYPE = 0,
    FIS_FLAGS = 1,
    FIS_COMMAND = 2,  /* from the device: status */
    FIS_FEATURES = 3, /* error */
    FIS_LBA = 4,
    FIS_DEVICE = 7,
    FIS_LBA_HIGH = 8,
    FIS_FEATURES_HIGH = 11,
    FIS_COUNT = 12,
    FIS_COUNT_HIGH = 13,
    FIS_END_STATUS = 15, /* PIO Setup */
    FIS_TRANSFER = 16,   /* PIO Setup: bytes */
};
#define TYPE_REGISTER   0x34
#define TYPE_PIO_SETUP  0x5f
#define FLAG_INTERRUPT  0x40
#define FLAG_TO_HOST    0x20
#define DEVICE_LBA      0x40

#define STATUS_TRANSFER (ATA_STATUS_READY | ATA_STATUS_DATA)

#define SECTORS_28      0x10000000ull /* what 28 bits can address */
#define SECTORS_48      0x1000000000000ull
#define MAX_MULTIPLE    16u
#define POWER_STANDBY   0x00
#define POWER_ACTIVE    0xff

/* What a command is, by its code. */
enum action {
    MOVE, /* READ, WRITE, VERIFY */
    FLUSH,
    TRIM,
    IDENTIFY,
    FEATURES,
    MULTIPLE,
    STANDBY,
    IDLE,
    POWER_MODE,
    DIAGNOSTIC,
};
#define WIDE     0x01u /* addresses of 48 bits */
#define PIO      0x02u
#define TO_DISK  0x04u
#define NOWHERE  0x08u /* verify */
#define SAFE     0x10u /* FUA */
#define IN_MULTI 0x20u /* in blocks that SET MULTIPLE MODE has to have set */

static const struct command {
    uint8_t code;
    uint8_t action;
    uint8_t flags;
} commands[] = {
    {0x06, TRIM, WIDE},
    {0x20, MOVE, PIO},
    {0x21, MOVE, PIO}, /* its former second code, and so below */
    {0x24, MOVE, WIDE | PIO},
    {0x25, MOVE, WIDE},
    {0x29, MOVE, WIDE | PIO | IN_MULTI},
    {0x30, MOVE, PIO | TO_DISK},
    {0x31, MOVE, PIO | TO_DISK},
    {0x34, MOVE, WIDE | PIO | TO_DISK},
    {0x35, MOVE, WIDE | TO_DISK},
    {0x39, MOVE, WIDE | PIO | TO_DISK | IN_MULTI},
    {0x3d, MOVE, WIDE | TO_DISK | SAFE},
    {0x40, MOVE, NOWHERE},
    {0x41, MOVE, NOWHERE},
    {0x42, MOVE, WIDE | NOWHERE},
    {0x90, DIAGNOSTIC, 0},
    {0xc4, MOVE, PIO | IN_MULTI},
    {0xc5, MOVE, PIO | TO_DISK | IN_MULTI},
    {0xc6, MULTIPLE, 0},
    {0xc8, MOVE, 0},
    {0xc9, MOVE, 0},
    {0xca, MOVE, TO_DISK},
    {0xcb, MOVE, TO_DISK},
    {0xce, MOVE, WIDE | PIO | TO_DISK | IN_MULTI | SAFE},
    {0xe0, STANDBY, 0}, /* immediately */
    {0xe1, IDLE, 0},
    {0xe2, STANDBY, 0}, /* by a timer, which here has always just expired */
    {0xe3, IDLE, 0},
    {0xe5, POWER_MODE, 0},
    {0xe6, STANDBY, 0}, /* SLEEP */
    {0xe7, FLUSH, 0},
    {0xea, FLUSH, WIDE},
    {0xec, IDENTIFY, PIO},
    {0xef, FEATURES, 0},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* DISK_SECTORs of a logical sector, as a power of two. */
static unsigned block_shift(const struct ata_disk *ata) {
    return (unsigned)__builtin_ctz(ata->disk->block / DISK_SECTOR);
}

static uint64_t logical_sectors(const struct ata_disk *ata) {
    uint64_t sectors = ata->disk->sectors >> block_shift(ata);
    return sectors < SECTORS_48 ? sectors : SECTORS_48 - 1;
}

void ata_init(struct ata_disk *ata, struct disk *disk, const char *serial, bool read_only) {
    ata->disk = disk;
    ata->read_only = read_only || disk->read_only;
    memset(ata->serial, ' ', sizeof(ata->serial));
    memcpy(ata->serial, serial, strnlen(serial, sizeof(ata->serial)));
}

/* ---- IDENTIFY DEVICE (ATA8-ACS 7.16) */

static void put_word(uint8_t *data, unsigned word, unsigned value) {
    bytes_put16(data + 2 * word, (uint16_t)value);
}

/* Two characters in a word, the first one in its upper half. */
static void put_text(uint8_t *data, unsigned word, const char *text, unsigned words) {
    for (unsigned i = 0; i < words; i++, text += 2)
        put_word(data, word + i, (unsigned)(uint8_t)text[0] << 8 | (uint8_t)text[1]);
}

/* The bit of the mode in the words that say which one is set; 0 if it is of another kind. */
static unsigned mode_bit(const struct ata_disk *ata, unsigned kind, unsigned otherwise) {
    unsigned mode = ata->record->transfer_mode ? ata->record->transfer_mode : otherwise;
    return (mode & ~7u) == kind ? 0x100u << (mode & 7) : 0;
}
#define MODE_PIO       0x08u
#define MODE_MULTIWORD 0x20u
#define MODE_ULTRA     0x40u
#define MODE_AT_FIRST  (MODE_ULTRA | 5u)

/* Cylinders, heads and sectors, which nobody should need. */
static void put_geometry(uint8_t *data, uint64_t sectors) {
    uint64_t cylinders = sectors < 16383ull * 16 * 63 ? (uint32_t)sectors / (16 * 63) : 16383;

    put_word(data, 1, (unsigned)cylinders);
    put_word(data, 3, 16);
    put_word(data, 6, 63);
    put_word(data, 54, (unsigned)cylinders);
    put_word(data, 55, 16);
    put_word(data, 56, 63);
    bytes_put32(data + 2 * 57, (uint32_t)cylinders * 16 * 63);
}

static void put_sizes(const struct ata_disk *ata, uint8_t *data) {
    const struct disk *disk = ata->disk;
    uint64_t sectors = logical_sectors(ata);
    unsigned per_physical = (unsigned)__builtin_ctz(disk->physical / disk->block);

    put_geometry(data, sectors);
    bytes_put32(data + 2 * 60, (uint32_t)(sectors < SECTORS_28 ? sectors : SECTORS_28 - 1));
    bytes_put64(data + 2 * 100, sectors);
    put_word(data, 106,
             0x4000 | (per_physical ? 0x2000 : 0) | (disk->block != DISK_SECTOR ? 0x1000 : 0) | per_physical);
    if (disk->block != DISK_SECTOR)
        bytes_put32(data + 2 * 117, disk->block / 2);
    put_word(data, 209, 0x4000); /* a physical sector begins at the first logical one */
}

void ata_identify(const struct ata_disk *ata, uint8_t data[ATA_BLOCK]) {
    const struct ata_record *record = ata->record;
    unsigned sum = 0;

    memset(data, 0, ATA_BLOCK);
    put_word(data, 0, 0x0040); /* a fixed ATA device */
    put_text(data, 10, ata->serial, 10);
    put_text(data, 23, "1       ", 4);
    put_text(data, 27, "Saguaro disk                            ", 20);
    put_word(data, 47, 0x8000 | MAX_MULTIPLE);
    put_word(data, 49, 0x2f00); /* DMA, LBA, IORDY that can be switched off, standard standby timer */
    put_word(data, 50, 0x4000);
    put_word(data, 53, 0x0007); /* words 54 to 58, 64 to 70 and 88 are valid */
    put_word(data, 59, record->multiple ? 0x0100 | record->multiple : 0);
    put_sizes(ata, data);
    put_word(data, 63, 0x0007 | mode_bit(ata, MODE_MULTIWORD, MODE_AT_FIRST));
    put_word(data, 64, 0x0003); /* PIO modes 3 and 4 */
    for (unsigned word = 65; word <= 68; word++)
        put_word(data, word, 120); /* ns of a cycle */
    put_word(data, 76, 0x0006);    /* Serial ATA, 1.5 and 3 Gbit/s, no queue */
    put_word(data, 78, 0x0040);    /* settings outlive a reset of the link */
    put_word(data, 79, 0x0040);
    put_word(data, 80, 0x01f0); /* ATA/ATAPI-4 to ATA8-ACS */
    put_word(data, 82, 0x0028); /* write cache, power management */
    put_word(data, 83, 0x7400); /* FLUSH CACHE, FLUSH CACHE EXT, 48 bits */
    put_word(data, 84, 0x4040); /* WRITE DMA FUA EXT */
    put_word(data, 85, 0x0008 | (record->write_through ? 0 : 0x0020));
    put_word(data, 86, 0xb400); /* as 83; words 119 and 120 are valid */
    put_word(data, 87, 0x4040);
    put_word(data, 88, 0x007f | mode_bit(ata, MODE_ULTRA, MODE_AT_FIRST));
    put_word(data, 119, 0x4000);
    put_word(data, 120, 0x4000);
    if (ata->disk->discards && !ata->read_only) {
        put_word(data, 105, ATA_TRIM_BLOCKS);
        put_word(data, 169, 0x0001);
    }
    put_word(data, 217, 0x0001); /* nothing turns */
    put_word(data, 222, 0x101f); /* Serial ATA up to 2.6 */
    data[510] = 0xa5;
    for (unsigned i = 0; i < ATA_BLOCK - 1; i++)
        sum += data[i];
    data[511] = (uint8_t)-sum;
}

/* ---- commands */

/* Where, and how much. An error register. */
static uint8_t read_extent(const struct ata_disk *ata, const struct command *command, const uint8_t *fis,
                           struct ata_task *task) {
    uint64_t sector = bytes_get32(fis + FIS_LBA) & 0xffffff;
    uint64_t sectors = fis[FIS_COUNT];

    if (command->flags & WIDE) {
        sector |= (uint64_t)(bytes_get32(fis + FIS_LBA_HIGH) & 0xffffff) << 24;
        sectors |= (uint64_t)fis[FIS_COUNT_HIGH] << 8;
        sectors = sectors ? sectors : 0x10000;
    } else {
        if (!(fis[FIS_DEVICE] & DEVICE_LBA))
            return ATA_ERROR_ABORTED; /* by cylinder, head and sector */
        sector |= (uint64_t)(fis[FIS_DEVICE] & 15) << 24;
        sectors = sectors ? sectors : 0x100;
    }
    if (!disk_holds(logical_sectors(ata), sector, sectors))
        return ATA_ERROR_NOT_FOUND;
    task->sector = sector << block_shift(ata);
    task->sectors = sectors << block_shift(ata);
    return 0;
}

static uint8_t begin_move(const struct ata_disk *ata, const struct command *command, const uint8_t *fis,
                          struct ata_task *task) {
    struct ata_record *record = ata->record;

    if ((command->flags & TO_DISK && ata->read_only) || (command->flags & IN_MULTI && !record->multiple))
        return ATA_ERROR_ABORTED;
    uint8_t error = read_extent(ata, command, fis, task);
    if (error)
        return error;
    record->standby = 0;
    if (command->flags & NOWHERE)
        task->work = ATA_VERIFY;
    else
        task->work = command->flags & TO_DISK ? ATA_WRITE : ATA_READ;
    task->flush = command->flags & TO_DISK && (command->flags & SAFE || record->write_through);
    return 0;
}

static uint8_t begin_trim(const struct ata_disk *ata, const uint8_t *fis, struct ata_task *task) {
    unsigned blocks = fis[FIS_COUNT] | (unsigned)fis[FIS_COUNT_HIGH] << 8;

    if (!ata->disk->discards || ata->read_only || fis[FIS_FEATURES] != 1 || blocks == 0 ||
        blocks > ATA_TRIM_BLOCKS)
        return ATA_ERROR_ABORTED;
    ata->record->standby = 0;
    task->work = ATA_TRIM;
    task->blocks = blocks;
    return 0;
}

static uint8_t set_transfer_mode(struct ata_record *record, uint8_t mode) {
    static const struct {
        uint8_t kind, last;
    } kinds[] = {{MODE_PIO, 4}, {MODE_MULTIWORD, 2}, {MODE_ULTRA, 6}};

    if (mode <= 1) /* PIO, the default; with or without IORDY */
        return 0;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if ((mode & ~7) == kinds[i].kind && (mode & 7) <= kinds[i].last) {
            if (kinds[i].kind != MODE_PIO)
                record->transfer_mode = mode;
            return 0;
        }
    return ATA_ERROR_ABORTED;
}

static uint8_t set_features(struct ata_record *record, const uint8_t *fis, struct ata_task *task) {
    switch (fis[FIS_FEATURES]) {
    case 0x02:
        record->write_through = 0;
        return 0;
    case 0x82: /* what was written before becomes safe, too */
        record->write_through = 1;
        task->work = ATA_FLUSH;
        return 0;
    case 0x03:
        return set_transfer_mode(record, fis[FIS_COUNT]);
    case 0x66: /* settings outlive a soft reset, which they do anyway */
        return 0;
    default:
        return ATA_ERROR_ABORTED;
    }
}

static uint8_t set_multiple(struct ata_record *record, uint8_t sectors) {
    if (sectors > MAX_MULTIPLE || sectors & (sectors - 1))
        return ATA_ERROR_ABORTED;
    record->multiple = sectors;
    return 0;
}

static uint8_t begin(struct ata_disk *ata, const struct command *command, const uint8_t *fis,
                     struct ata_task *task) {
    struct ata_record *record = ata->record;

    switch (command->action) {
    case MOVE:
        return begin_move(ata, command, fis, task);
    case TRIM:
        return begin_trim(ata, fis, task);
    case FEATURES:
        return set_features(record, fis, task);
    case MULTIPLE:
        return set_multiple(record, fis[FIS_COUNT]);
    case IDENTIFY:
        task->work = ATA_IDENTIFY;
        return 0;
    case DIAGNOSTIC:
        task->work = ATA_DIAGNOSTIC;
        return 0;
    case POWER_MODE:
        task->count = record->standby ? POWER_STANDBY : POWER_ACTIVE;
        return 0;
    case IDLE:
        record->standby = 0;
        return 0;
    case STANDBY:
        record->standby = 1;
        task->work = ATA_FLUSH;
        return 0;
    default:
        task->work = ATA_FLUSH;
        return 0;
    }
}

void ata_begin(struct ata_disk *ata, const uint8_t fis[ATA_FIS_SIZE], struct ata_task *task) {
    const struct command *command = NULL;

    for (unsigned i = 0; i < COMMANDS && !command; i++)
        if (commands[i].code == fis[FIS_COMMAND])
            command = &commands[i];
    *task = (struct ata_task){.work = ATA_NOTHING, .count = fis[FIS_COUNT]};
    if (!command) {
        task->error = ATA_ERROR_ABORTED;
        return;
    }
    task->pio = (command->flags & PIO) != 0;
    task->error = begin(ata, command, fis, task);
    if (task->work == ATA_FLUSH)
        task->flush = true;
}

uint8_t ata_disk_error(enum ata_work work, int error) {
    if (work != ATA_READ && work != ATA_VERIFY)
        return ATA_ERROR_ABORTED;
    return error == -EINVAL || error == -EOPNOTSUPP ? ATA_ERROR_ABORTED : ATA_ERROR_UNREADABLE;
}

int ata_trim_range(const struct ata_disk *ata, const uint8_t *data, unsigned index, uint64_t *sector,
                   uint64_t *sectors) {
    uint64_t range = bytes_get64(data + (size_t)index * ATA_TRIM_RANGE);
    uint64_t first = range & (SECTORS_48 - 1), count = range >> 48;

    if (!count)
        return 0;
    if (!disk_holds(logical_sectors(ata), first, count))
        return -EINVAL;
    *sector = first << block_shift(ata);
    *sectors = count << block_shift(ata);
    return 1;
}

/* ---- FISes to the host */

void ata_answer(const uint8_t fis[ATA_FIS_SIZE], const struct ata_task *task, uint8_t out[ATA_FIS_SIZE]) {
    memset(out, 0, ATA_FIS_SIZE);
    out[FIS_TYPE] = TYPE_REGISTER;
    out[FIS_FLAGS] = FLAG_INTERRUPT;
    out[FIS_COMMAND] = (uint8_t)(ATA_STATUS_READY | (task->error ? ATA_STATUS_ERROR : 0));
    out[FIS_FEATURES] = task->error;
    memcpy(out + FIS_LBA, fis + FIS_LBA, 4); /* with the device register */
    memcpy(out + FIS_LBA_HIGH, fis + FIS_LBA_HIGH, 3);
    out[FIS_COUNT] = task->count;
    out[FIS_COUNT_HIGH] = fis[FIS_COUNT_HIGH];
}

void ata_signature(uint8_t out[ATA_FIS_SIZE]) {
    memset(out, 0, ATA_FIS_SIZE);
    out[FIS_TYPE] = TYPE_REGISTER;
    out[FIS_COMMAND] = ATA_STATUS_READY;
    out[FIS_FEATURES] = ATA_DIAGNOSTIC_PASSED;
    out[FIS_LBA] = 1;
    out[FIS_COUNT] = 1;
}

void ata_pio_setup(const uint8_t fis[ATA_FIS_SIZE], bool to_host, uint32_t size, uint8_t out[ATA_FIS_SIZE]) {
    memset(out, 0, ATA_FIS_SIZE);
    out[FIS_TYPE] = TYPE_PIO_SETUP;
    out[FIS_FLAGS] = FLAG_INTERRUPT | (to_host ? FLAG_TO_HOST : 0);
    out[FIS_COMMAND] = STATUS_TRANSFER;
    memcpy(out + FIS_LBA, fis + FIS_LBA, 4);
    memcpy(out + FIS_LBA_HIGH, fis + FIS_LBA_HIGH, 3);
    out[FIS_COUNT] = fis[FIS_COUNT];
    out[FIS_COUNT_HIGH] = fis[FIS_COUNT_HIGH];
    /* After data for the host comes no other FIS: this one says how it ended. */
    out[FIS_END_STATUS] = to_host ? ATA_STATUS_READY : ATA_STATUS_BUSY;
    bytes_put16(out + FIS_TRANSFER, (uint16_t)size);
}
