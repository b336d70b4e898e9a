// SPDX-License-Identifier: Apache-2.0
// Two disks behind a virtio-iommu (virtio 1.2, 5.13): confined to a few pages they work, and what else they
// are told to touch stays as it was, with a fault for each.
#include "tests/guests/virtio/virtio.h"

#define IOMMU_ALL     0x77ull /* its features */
#define CONFIG_BYPASS 36u
#define NO_DOMAIN     1u /* reasons of faults */
#define NO_MAPPING    2u

#define FAR           0x700000000000ull /* where a disk sees its page of requests */

/* What a disk works on: a page for its requests, one that is mapped read-only, one that is not mapped. */
static struct {
    struct blk_header header;
    volatile uint8_t status;
    uint8_t data[SECTOR] __attribute__((aligned(SECTOR)));
} page __attribute__((aligned(4096)));
static uint8_t constant[PAGE] __attribute__((aligned(4096)));
static uint8_t victim[PAGE] __attribute__((aligned(4096)));

static struct virtio *iommu;

/* ---- disks */

static bool disk_start(struct virtio *disk, struct ring *r) {
    return blk_start(disk, r, F_PLATFORM, 16, 0xffff);
}

/* A sector into what the disk calls `data`, or from there, with its page of requests at `base`. BLK_NONE: no
 * answer within a moment. */
static uint8_t transfer(struct ring *r, uint64_t base, uint32_t type, uint64_t sector, uint64_t data) {
    const uint64_t head = base, status = base + offsetof(typeof(page), status);
    const struct piece pieces[3] = {{(const void *)head, sizeof(page.header), false},
                                    {(const void *)data, SECTOR, type == BLK_IN},
                                    {(const void *)status, 1, true}};
    uint64_t end = now_us() + WAIT_MS * 1000ull;
    uint32_t written;
    unsigned id;
    page.header = (struct blk_header){type, 0, sector};
    page.status = BLK_NONE;
    ring_add(r, pieces, 3, false);
    ring_kick(r);
    while (!ring_used(r, &id, &written))
        if (now_us() > end || (status_read(r->v) & S_NEEDS_RESET))
            return BLK_NONE;
    return page.status;
}

static const uint64_t data_at = offsetof(typeof(page), data);

/* A sector is written and read back. */
static bool round_trip(struct ring *r, uint64_t base, uint8_t seed) {
    for (unsigned i = 0; i < SECTOR; i++)
        page.data[i] = (uint8_t)(seed + 3 * i);
    if (transfer(r, base, BLK_OUT, seed, base + data_at) != BLK_OK)
        return false;
    for (unsigned i = 0; i < SECTOR; i++)
        page.data[i] = 0;
    if (transfer(r, base, BLK_IN, seed, base + data_at) != BLK_OK)
        return false;
    for (unsigned i = 0; i < SECTOR; i++)
        if (page.data[i] != (uint8_t)(seed + 3 * i))
            return false;
    return true;
}

/* The disk's queue where it is, for it alone; its page of requests at FAR. */
static bool map_disk(uint32_t domain, struct ring *r) {
    return iommu_map(domain, (uint64_t)r->table, r->table, 3 * PAGE, IOMMU_READ | IOMMU_WRITE) == IOMMU_OK &&
           iommu_map(domain, FAR, &page, PAGE, IOMMU_READ | IOMMU_WRITE) == IOMMU_OK;
}

static bool untouched(const uint8_t *memory, uint8_t value) {
    for (unsigned i = 0; i < PAGE; i++)
        if (memory[i] != value)
            return false;
    return true;
}

static bool needs_reset(struct virtio *v) {
    return virtio_wait_status(v, S_NEEDS_RESET);
}

/* ---- checks */

static uint32_t read32(uint64_t address) {
    return *(const volatile uint32_t *)address;
}

/* The VIOT table says where the IOMMU is and that the disk is behind it. */
static void check_viot(unsigned devfn) {
    uint64_t rsdp = 0xe0000, viot = 0;
    while (rsdp < 0x100000 && (read32(rsdp) != 0x20445352 || read32(rsdp + 4) != 0x20525450))
        rsdp += 16;
    if (!check(rsdp < 0x100000, "there are ACPI tables"))
        return;
    uint64_t rsdt = read32(rsdp + 16);
    for (uint64_t at = rsdt + 36; at < rsdt + read32(rsdt + 4); at += 4)
        if (read32(read32(at)) == 0x544f4956)
            viot = read32(at);
    if (!check(viot != 0, "a VIOT table is among them"))
        return;
    bool itself = false, disk = false;
    uint64_t end = viot + read32(viot + 4);
    for (uint64_t at = viot + (read32(viot + 36) >> 16); at < end; at += read32(at) >> 16) {
        unsigned type = read32(at) & 0xff;
        if (!(read32(at) >> 16))
            break;
        itself = itself || (type == 3 && read32(at + 4) >> 16 == IOMMU_DEVFN);
        disk = disk || (type == 1 && (read32(at + 12) & 0xffff) <= devfn && read32(at + 12) >> 16 >= devfn &&
                        read32(at + 4) == (read32(at + 12) & 0xffff));
    }
    check(itself, "it names the IOMMU's function");
    check(disk, "and the disk as an endpoint, by its requester ID");
}

static void check_configuration(void) {
    check_equal(config_read(iommu, 0, 4), 0xfffff000, "pages of 4 KiB and more");
    check(config_read(iommu, 8, 4) == 0 && config_read(iommu, 16, 4) == UINT32_MAX &&
              config_read(iommu, 20, 4) == 0xffff,
          "addresses of 48 bits");
    check(config_read(iommu, 24, 4) == 0 && config_read(iommu, 28, 4) == 0xffff, "domains 0 to 65535");
    check_equal(config_read(iommu, 32, 4), 64, "bytes of properties");
    check_equal(config_read(iommu, CONFIG_BYPASS, 1), 1, "bypass at first");
    check_equal(features_read(iommu) & 0xff, IOMMU_ALL, "its features");
}

static void check_requests(struct virtio *disk) {
    uint8_t reply[64];
    check_equal(iommu_probe(disk->devfn, reply), IOMMU_OK, "PROBE");
    check(reply[0] == 1 && reply[2] == 20 && reply[4] == 1 && reply[10] == 0xe0 && reply[11] == 0xfe &&
              reply[18] == 0xef,
          "the place of messages is reserved");
    check_equal(iommu_attach(1, IOMMU_DEVFN), IOMMU_NOENT, "the IOMMU itself is no endpoint");
    check_equal(iommu_map(1, 0, &page, PAGE, IOMMU_READ), IOMMU_NOENT, "no domain without an endpoint");
    check_equal(iommu_attach(1, disk->devfn), IOMMU_OK, "ATTACH");
    check_equal(iommu_map(1, 0x800, &page, PAGE, IOMMU_READ), IOMMU_RANGE, "whole pages alone");
    check_equal(iommu_map(1, 0xfee00000, &page, PAGE, IOMMU_READ), IOMMU_INVAL, "nothing where messages go");
    check_equal(iommu_map(1, 0, &page, 2 * PAGE, IOMMU_READ), IOMMU_OK, "MAP");
    check_equal(iommu_map(1, PAGE, &page, PAGE, IOMMU_READ), IOMMU_INVAL, "no place twice");
    check_equal(iommu_unmap(1, 0, PAGE), IOMMU_RANGE, "no part of a mapping is unmapped");
    check_equal(iommu_unmap(1, 0, 1ull << 48), IOMMU_OK, "UNMAP");
    check_equal(iommu_detach(2, disk->devfn), IOMMU_INVAL, "it is in no other domain");
    check_equal(iommu_detach(1, disk->devfn), IOMMU_OK, "DETACH");
}

/* One disk, confined to its queue and a page. */
static void check_confined(struct virtio *disk, struct ring *r) {
    check_equal(iommu_attach(1, disk->devfn), IOMMU_OK, "the disk is in a domain");
    check(map_disk(1, r) && iommu_map(1, FAR + PAGE, constant, PAGE, IOMMU_READ) == IOMMU_OK,
          "which maps four pages and one read-only");
    check(disk_start(disk, r), "it starts");
    check(round_trip(r, FAR, 1), "and works, by addresses of its domain");
    check_equal(transfer(r, FAR, BLK_OUT, 2, FAR + PAGE), BLK_OK, "it may read what is read-only");
    check_equal(transfer(r, FAR, BLK_IN, 1, FAR + PAGE), BLK_NONE, "but not write it");
    check(needs_reset(disk), "it needs a reset then");
    check(iommu_faulted(NO_MAPPING, IOMMU_WRITE, disk->devfn, FAR + PAGE), "with a fault");
    check(untouched(constant, 0x5a), "nothing was written");
    check(virtio_reset(disk) && disk_start(disk, r), "after a reset");
    check(round_trip(r, FAR, 3), "it works again");
    check_equal(transfer(r, FAR, BLK_IN, 1, (uint64_t)victim), BLK_NONE,
                "memory by its guest-physical address");
    check(iommu_faulted(NO_MAPPING, IOMMU_WRITE, disk->devfn, (uint64_t)victim), "is a fault");
    check(untouched(victim, 0xa5), "and stays as it was");
    check(virtio_reset(disk) && disk_start(disk, r) && round_trip(r, FAR, 4), "and again");
    check_equal(iommu_unmap(1, FAR, PAGE), IOMMU_OK, "its page is unmapped");
    check_equal(transfer(r, FAR, BLK_OUT, 1, FAR + data_at), BLK_NONE, "it does not reach that any more");
    check(iommu_faulted(NO_MAPPING, IOMMU_READ, disk->devfn, FAR), "a fault");
    check(iommu_map(1, FAR, &page, PAGE, IOMMU_READ | IOMMU_WRITE) == IOMMU_OK && virtio_reset(disk) &&
              disk_start(disk, r) && round_trip(r, FAR, 5),
          "mapped again it works");
    check_equal(iommu_unmap(1, (uint64_t)r->table, 3 * PAGE), IOMMU_OK, "its queue is unmapped");
    check(needs_reset(disk), "it needs a reset at once");
    check(iommu_faulted(NO_MAPPING, IOMMU_READ, disk->devfn, (uint64_t)r->table), "a fault");
    check(virtio_reset(disk) && !disk_start(disk, r), "and cannot start");
    check(iommu_faulted(NO_MAPPING, IOMMU_READ, disk->devfn, (uint64_t)r->table), "a fault");
    virtio_reset(disk);
}

/* The other disk has a domain of its own; then none. */
static void check_apart(struct virtio *disk, struct virtio *other, struct ring *r) {
    check_equal(iommu_attach(2, other->devfn), IOMMU_OK, "another disk, another domain");
    check(iommu_map(2, (uint64_t)r->table, r->table, 3 * PAGE, IOMMU_READ | IOMMU_WRITE) == IOMMU_OK,
          "with its queue");
    check(disk_start(other, r), "it starts");
    check_equal(transfer(r, FAR, BLK_OUT, 1, FAR + data_at), BLK_NONE, "what the first domain maps");
    check(iommu_faulted(NO_MAPPING, IOMMU_READ, other->devfn, FAR), "it does not reach");
    virtio_reset(other);
    check_equal(iommu_attach(1, other->devfn), IOMMU_OK, "both in one domain");
    check(iommu_map(1, (uint64_t)r->table, r->table, 3 * PAGE, IOMMU_READ | IOMMU_WRITE) == IOMMU_OK &&
              disk_start(other, r) && round_trip(r, FAR, 6),
          "reach the same");
    virtio_reset(other);
    config_write(iommu, CONFIG_BYPASS, 1, 0);
    check_equal(iommu_detach(1, other->devfn), IOMMU_OK, "out of it, and no bypass");
    check(!disk_start(other, r), "it reaches nothing");
    check(iommu_faulted(NO_DOMAIN, IOMMU_READ, other->devfn, (uint64_t)r->table), "being in no domain");
    virtio_reset(other);
    check(disk_start(disk, r) && round_trip(r, FAR, 7), "the first one goes on");
    virtio_reset(disk);
}

/* As many mappings as there may be, and what is left of them after a reset of the IOMMU. */
static void check_many(struct virtio *disk, struct ring *r) {
    bool good = true;
    for (unsigned i = 0; i < 500; i++)
        good = good && iommu_map(1, FAR + (16ull + 2 * (i * 7 % 500)) * PAGE, &page, PAGE,
                                 IOMMU_READ | IOMMU_WRITE) == IOMMU_OK;
    check(good, "500 mappings");
    check(disk_start(disk, r) && round_trip(r, FAR + (16ull + 2 * 333) * PAGE, 8),
          "by one of which the disk works");
    check(iommu_start(iommu), "the IOMMU starts anew");
    check(needs_reset(disk), "the disk is in no domain then");
    check_equal(config_read(iommu, CONFIG_BYPASS, 1), 0, "and there is no bypass still");
    check_equal(iommu_unmap(1, 0, 1ull << 48), IOMMU_NOENT, "domains are gone");
    config_write(iommu, CONFIG_BYPASS, 1, 1);
    check(virtio_reset(disk) && disk_start(disk, r) && round_trip(r, (uint64_t)&page, 9),
          "with it the disk works as at first");
    virtio_reset(disk);
    virtio_reset(iommu);
}

void check_iommu(struct virtio *list, unsigned count, struct ring *r) {
    struct virtio *disk = &list[0], *other = &list[1];
    iommu = &list[2];
    if (!check(count == 3 && disk->id == 2 && other->id == 2 && iommu->id == 23 &&
                   iommu->devfn == IOMMU_DEVFN,
               "two disks and an IOMMU in slot 23"))
        return;
    for (unsigned i = 0; i < PAGE; i++) {
        constant[i] = 0x5a;
        victim[i] = 0xa5;
    }
    check_viot(disk->devfn);
    check_pci(iommu);
    check_configuration();
    check(!blk_start(disk, r, 0, 16, 0xffff), "a disk wants VIRTIO_F_ACCESS_PLATFORM");
    check(disk_start(disk, r) && round_trip(r, (uint64_t)&page, 0),
          "and works as long as nobody uses the IOMMU");
    virtio_reset(disk);
    check(iommu_start(iommu), "the IOMMU starts");
    check_requests(disk);
    check_confined(disk, r);
    check_apart(disk, other, r);
    check_many(disk, r);
}
