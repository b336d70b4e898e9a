// SPDX-License-Identifier: Apache-2.0
// An ATA disk (ATA8-ACS) as its host sees it: what a command asks for, IDENTIFY DEVICE, settings. How
// commands and data get there and back is the controller's part (virtio/ahci.h).
#ifndef SAGUARO_VIRTIO_ATA_H
#define SAGUARO_VIRTIO_ATA_H

#include "virtio/disk.h"

#define ATA_FIS_SIZE          20u  /* bytes of a register FIS, either way */
#define ATA_BLOCK             512u /* bytes of IDENTIFY DEVICE's data and of a block of TRIM ranges */
#define ATA_TRIM_BLOCKS       8u   /* of one DATA SET MANAGEMENT */
#define ATA_TRIM_RANGE        8u   /* bytes */
#define ATA_SERIAL_SIZE       20u

#define ATA_STATUS_ERROR      0x01u
#define ATA_STATUS_READY      0x50u /* ready, seek complete: after each command */
#define ATA_STATUS_DATA       0x08u
#define ATA_STATUS_BUSY       0x80u

#define ATA_ERROR_ABORTED     0x04u
#define ATA_ERROR_NOT_FOUND   0x10u /* there is no such address */
#define ATA_ERROR_UNREADABLE  0x40u

#define ATA_DIAGNOSTIC_PASSED 0x01u /* in the error register after a reset */
#define ATA_SIGNATURE         0x00000101u

/* What is kept of a disk over a restart of our program, and over resets but for power-on. */
struct ata_record {
    uint8_t write_through; /* 1: what is written is safe when the command is done */
    uint8_t standby;       /* 1: until the medium is needed */
    uint8_t transfer_mode; /* as SET FEATURES gave it; 0: not given */
    uint8_t multiple;      /* sectors of a block of READ and WRITE MULTIPLE; 0: not set */
};

struct ata_disk {
    struct disk *disk;
    struct ata_record *record;
    bool read_only;
    char serial[ATA_SERIAL_SIZE]; /* padded with blanks */
};

/* What is to be done for a command. */
enum ata_work {
    ATA_NOTHING,    /* it is done already, or `error` says why not */
    ATA_IDENTIFY,   /* ATA_BLOCK bytes of ata_identify() go to the host */
    ATA_READ,       /* sectors go to the host */
    ATA_WRITE,      /* sectors come from the host */
    ATA_VERIFY,     /* the sectors are read, and go nowhere */
    ATA_FLUSH,      /* what was written becomes safe */
    ATA_TRIM,       /* `blocks` blocks of ranges come from the host */
    ATA_DIAGNOSTIC, /* the disk is as after a reset, and says so */
};

struct ata_task {
    enum ata_work work;
    bool pio;        /* the data are moved by PIO, not DMA */
    bool flush;      /* a flush of the disk follows */
    uint8_t error;   /* ATA_ERROR_*; 0: none */
    uint8_t count;   /* what a command answers in the count register */
    uint32_t blocks; /* ATA_TRIM */
    uint64_t sector; /* READ, WRITE, VERIFY: DISK_SECTOR bytes each, and they are there */
    uint64_t sectors;
};

/* Makes an ATA disk of `disk`; `serial` may be longer or shorter than ATA_SERIAL_SIZE. The caller sets
 * `record` before the first command. */
void ata_init(struct ata_disk *ata, struct disk *disk, const char *serial, bool read_only);
/* What the command in a host-to-device register FIS asks for; settings are changed at once. */
void ata_begin(struct ata_disk *ata, const uint8_t fis[ATA_FIS_SIZE], struct ata_task *task);
void ata_identify(const struct ata_disk *ata, uint8_t data[ATA_BLOCK]);
/* The error register for a disk request's error, a negative errno, of a command that does `work`. */
uint8_t ata_disk_error(enum ata_work work, int error);
/* The TRIM range number `index` of `data`, in sectors of DISK_SECTOR bytes: 1: it is there; 0: it is empty;
 * -EINVAL: it is not on the disk. */
int ata_trim_range(const struct ata_disk *ata, const uint8_t *data, unsigned index, uint64_t *sector,
                   uint64_t *sectors);
/* The device-to-host register FIS that ends the command of `fis`, with the status in it. */
void ata_answer(const uint8_t fis[ATA_FIS_SIZE], const struct ata_task *task, uint8_t out[ATA_FIS_SIZE]);
/* The one that a disk sends after a reset. */
void ata_signature(uint8_t out[ATA_FIS_SIZE]);
/* The PIO Setup FIS for that command's data, `size` bytes to the host or from it; as its last one is. */
void ata_pio_setup(const uint8_t fis[ATA_FIS_SIZE], bool to_host, uint32_t size, uint8_t out[ATA_FIS_SIZE]);

#endif
