// SPDX-License-Identifier: Apache-2.0
// Partition tables: GPT (UEFI 2.10, 5.3) with checksums and the backup header, and the table of the master
// boot record with extended partitions. What lies on the disk is not trusted: all is checked, loops end.
#include "virtio/partition.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "lib/crc32.h"
#include "virtio/bytes.h"

#define POLLS          10000000u /* looks at a disk that owes one answer before it is given up ... */
#define SEARCH_POLLS   40000000u /* ... and in a whole search, however many answers that takes */

#define MBR_TABLE      446u
#define MBR_ENTRY      16u
#define MBR_MAGIC      510u
#define TYPE_NONE      0x00u
#define TYPE_EXTENDED  0x05u
#define TYPE_LBA       0x0fu /* extended, too */
#define TYPE_LINUX     0x85u /* extended, too */
#define TYPE_GPT       0xeeu

#define GPT_MIN_HEADER 92u
#define GPT_ENTRY      128u      /* bytes, the least */
#define GPT_MAX_TABLE  0x100000u /* bytes of the table of entries */

static_assert(PARTITION_PIECE % DISK_MAX_BLOCK == 0, "pieces are whole blocks, and hold whole entries");

/* All positions below are in logical blocks. */
static uint64_t blocks_of(const struct partition_search *search) {
    return search->disk->sectors >> __builtin_ctz(search->disk->block / DISK_SECTOR);
}

static int refuse(struct partition_search *search, int error, const char *why) {
    search->why = why;
    return error;
}

static void read_done(struct disk_request *request, int error) {
    struct partition_search *search =
        (struct partition_search *)((char *)request - offsetof(struct partition_search, request));
    search->error = error;
    search->done = true;
}

/* Reads `count` blocks from `number` on into `to`. */
static int read_blocks(struct partition_search *search, uint64_t number, uint32_t count, uint8_t *to) {
    struct disk *disk = search->disk;
    const uint32_t sectors = disk->block / DISK_SECTOR;

    if (!disk_holds(blocks_of(search), number, count))
        return refuse(search, -EINVAL, "the partition table points beyond the disk's end");
    search->segment = (struct virtq_segment){.data = to, .size = count * disk->block};
    search->request = (struct disk_request){.operation = DISK_READ,
                                            .sector = number * sectors,
                                            .count = (uint64_t)count * sectors,
                                            .segment = &search->segment,
                                            .segments = 1,
                                            .done = read_done};
    search->done = false;
    disk_submit(disk, &search->request);
    for (unsigned i = 0; !search->done && disk->operations->poll && i < POLLS && search->polls; i++) {
        search->polls--;
        disk->operations->poll(disk);
    }
    if (!search->done)
        return refuse(search, -ETIMEDOUT,
                      search->polls ? "the disk does not answer" : "the disk answers too slowly");
    return search->error ? refuse(search, -EIO, "the disk's partition table cannot be read") : 0;
}

static int read_block(struct partition_search *search, uint64_t number, uint8_t *to) {
    return read_blocks(search, number, 1, to);
}

/* A partition of `count` blocks from `first` on is the result, if it lies on the disk. */
static int found(struct partition_search *search, uint64_t first, uint64_t count) {
    const uint32_t sectors = search->disk->block / DISK_SECTOR;
    if (!disk_holds(blocks_of(search), first, count))
        return refuse(search, -EINVAL, "it does not lie on the disk");
    search->first = first * sectors;
    search->sectors = count * sectors;
    return 0;
}

/* ---- master boot record */

struct mbr_entry {
    uint8_t type;
    uint32_t first, count; /* blocks */
};

static struct mbr_entry mbr_entry(const uint8_t *block, unsigned index) {
    const uint8_t *bytes = block + MBR_TABLE + index * MBR_ENTRY;
    return (struct mbr_entry){bytes[4], bytes_get32(bytes + 8), bytes_get32(bytes + 12)};
}

static bool is_extended(uint8_t type) {
    return type == TYPE_EXTENDED || type == TYPE_LBA || type == TYPE_LINUX;
}

/* Whether it is a table: the boot code of a file system has the same end, but not these flags. */
static bool mbr_is_table(const uint8_t *block) {
    if (block[MBR_MAGIC] != 0x55 || block[MBR_MAGIC + 1] != 0xaa)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (block[MBR_TABLE + i * MBR_ENTRY] & 0x7f)
            return false;
    return true;
}

/* Logical partition `number`, from 5 on: each has a table of its own, whose first entry is the partition,
 * counted from the table, and whose second one is the next table, counted from the extended partition. */
static int find_logical(struct partition_search *search, const struct mbr_entry *extended, unsigned number) {
    uint64_t at = extended->first;

    for (unsigned i = 5; i <= number; i++) {
        int error = read_block(search, at, search->block);
        if (error)
            return error;
        if (!mbr_is_table(search->block))
            return refuse(search, -EINVAL, "the table of a logical partition is damaged");
        const struct mbr_entry logical = mbr_entry(search->block, 0), next = mbr_entry(search->block, 1);
        const uint64_t offset = at - extended->first;
        if (i == number) {
            if (logical.type == TYPE_NONE || logical.count == 0)
                break;
            if (logical.first == 0)
                return refuse(search, -EINVAL, "the disk's partition table lies in it");
            if (logical.first > extended->count - offset ||
                logical.count > extended->count - offset - logical.first)
                return refuse(search, -EINVAL, "it does not lie in the extended partition");
            return found(search, at + logical.first, logical.count);
        }
        if (!is_extended(next.type) || next.first == 0)
            break;
        if (next.first >= extended->count)
            return refuse(search, -EINVAL, "the chain of logical partitions leaves the extended one");
        at = extended->first + (uint64_t)next.first;
    }
    return refuse(search, -ENOENT, "the disk has no such partition");
}

static int find_in_mbr(struct partition_search *search, unsigned number) {
    if (number <= 4) {
        const struct mbr_entry entry = mbr_entry(search->block, number - 1);
        if (entry.type == TYPE_NONE || entry.count == 0)
            return refuse(search, -ENOENT, "the disk has no such partition");
        if (is_extended(entry.type))
            return refuse(search, -EINVAL, "it is the extended partition that holds those from 5 on");
        if (entry.first == 0) /* as on a stick with the image of a CD */
            return refuse(search, -EINVAL, "the disk's partition table lies in it");
        return found(search, entry.first, entry.count);
    }
    for (unsigned i = 0; i < 4; i++) {
        const struct mbr_entry entry = mbr_entry(search->block, i);
        if (is_extended(entry.type) && entry.count != 0)
            return find_logical(search, &entry, number);
    }
    return refuse(search, -ENOENT, "the disk has no such partition");
}

/* ---- GPT */

struct gpt {
    uint64_t alternate, first_usable, last_usable, table;
    uint32_t entries, entry_size, table_crc;
    bool header_valid, valid; /* header and table */
};

/* Whether a partition might lie in one of `count` blocks from `first` on: with what is there, whoever has it
 * could choose where the others lie. */
static bool can_use(const struct gpt *gpt, uint64_t first, uint64_t count) {
    return first <= gpt->last_usable && (first >= gpt->first_usable || count > gpt->first_usable - first);
}

/* Reads the header at block `at`. 0; -EINVAL: it is none, or damaged. */
static int read_header(struct partition_search *search, uint64_t at, struct gpt *gpt) {
    uint8_t *head = search->head;
    int error = read_block(search, at, head);
    if (error)
        return error;
    const uint32_t size = bytes_get32(head + 12), sum = bytes_get32(head + 16);
    if (memcmp(head, "EFI PART", 8) != 0 || bytes_get32(head + 8) < 0x10000 || size < GPT_MIN_HEADER ||
        size > search->disk->block)
        return refuse(search, -EINVAL, "the disk's GPT header is damaged");
    bytes_put32(head + 16, 0);
    if (~crc32_update(UINT32_MAX, head, size) != sum || bytes_get64(head + 24) != at)
        return refuse(search, -EINVAL, "the disk's GPT header has a wrong checksum or place");
    *gpt = (struct gpt){.alternate = bytes_get64(head + 32),
                        .first_usable = bytes_get64(head + 40),
                        .last_usable = bytes_get64(head + 48),
                        .table = bytes_get64(head + 72),
                        .entries = bytes_get32(head + 80),
                        .entry_size = bytes_get32(head + 84),
                        .table_crc = bytes_get32(head + 88)};
    if (gpt->first_usable > gpt->last_usable || gpt->last_usable >= blocks_of(search) ||
        gpt->entry_size < GPT_ENTRY || gpt->entry_size & (gpt->entry_size - 1) || gpt->entries == 0 ||
        gpt->entries > GPT_MAX_TABLE / gpt->entry_size)
        return refuse(search, -EINVAL, "the disk's GPT header has numbers that cannot be");
    const uint64_t blocks = (gpt->entries * gpt->entry_size - 1) / search->disk->block + 1;
    if (can_use(gpt, at, 1) || can_use(gpt, gpt->alternate, 1) || can_use(gpt, gpt->table, blocks))
        return refuse(search, -EINVAL, "the disk's GPT lies where partitions may be");
    return 0;
}

/* Reads all entries for their checksum and keeps that of partition `number`; all zeroes if there is none. */
static int read_entry(struct partition_search *search, const struct gpt *gpt, unsigned number,
                      uint8_t entry[GPT_ENTRY]) {
    const uint32_t size = gpt->entries * gpt->entry_size, block = search->disk->block;
    const uint32_t at = (number - 1) * gpt->entry_size; /* at most PARTITION_MAX * GPT_MAX_TABLE */
    uint32_t crc = UINT32_MAX;

    memset(entry, 0, GPT_ENTRY);
    for (uint32_t done = 0; done < size; done += PARTITION_PIECE) {
        const uint32_t piece = size - done < PARTITION_PIECE ? size - done : PARTITION_PIECE;
        if (gpt->table >= blocks_of(search))
            return refuse(search, -EINVAL, "the partition table points beyond the disk's end");
        int error =
            read_blocks(search, gpt->table + done / block, (piece + block - 1) / block, search->block);
        if (error)
            return error;
        crc = crc32_update(crc, search->block, piece);
        /* An entry's size and place are powers of two and multiples of GPT_ENTRY: it lies in one piece. */
        if (number <= gpt->entries && at / PARTITION_PIECE == done / PARTITION_PIECE)
            memcpy(entry, search->block + at % PARTITION_PIECE, GPT_ENTRY);
    }
    return ~crc == gpt->table_crc ? 0 : refuse(search, -EINVAL, "the disk's GPT has a wrong checksum");
}

/* Looks into the GPT whose header is at block `at`; fills *gpt in. */
static int find_in_gpt(struct partition_search *search, uint64_t at, unsigned number, struct gpt *gpt) {
    static const uint8_t no_type[16];
    uint8_t entry[GPT_ENTRY];

    *gpt = (struct gpt){0};
    int error = read_header(search, at, gpt);
    if (error)
        return error;
    gpt->header_valid = true;
    error = read_entry(search, gpt, number, entry);
    if (error)
        return error;
    gpt->valid = true;
    if (memcmp(entry, no_type, sizeof(no_type)) == 0)
        return refuse(search, -ENOENT, "the disk has no such partition");
    const uint64_t first = bytes_get64(entry + 32), last = bytes_get64(entry + 40);
    if (first > last || first < gpt->first_usable || last > gpt->last_usable)
        return refuse(search, -EINVAL, "it does not lie where the disk's GPT allows");
    return found(search, first, last - first + 1);
}

/* The primary GPT; if it is damaged the backup, which is where the primary header says or at the disk's end.
 */
static int find_in_gpts(struct partition_search *search, unsigned number) {
    const uint64_t last = blocks_of(search) - 1;
    struct gpt primary, backup;
    int error = find_in_gpt(search, 1, number, &primary);
    if (error != -EINVAL || primary.valid)
        return error;
    if (primary.header_valid && primary.alternate != last) {
        error = find_in_gpt(search, primary.alternate, number, &backup);
        if (error != -EINVAL || backup.valid)
            return error;
    }
    return find_in_gpt(search, last, number, &backup);
}

int partition_find(struct partition_search *search, struct disk *disk, unsigned number) {
    search->disk = disk;
    search->first = search->sectors = 0;
    search->why = "";
    search->polls = SEARCH_POLLS;
    if (number < 1 || number > PARTITION_MAX)
        return refuse(search, -ENOENT, "there is no partition of this number");
    int error = read_block(search, 0, search->block);
    if (error)
        return error;
    if (!mbr_is_table(search->block))
        return refuse(search, -ENOENT, "the disk has no partition table");
    for (unsigned i = 0; i < 4; i++)
        if (mbr_entry(search->block, i).type == TYPE_GPT)
            return find_in_gpts(search, number);
    return find_in_mbr(search, number);
}
