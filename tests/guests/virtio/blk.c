// SPDX-License-Identifier: Apache-2.0
// Disks from the driver's side (virtio 1.2, 5.2): requests of each type, errors, odd framing, both kinds of
// rings.
#include "tests/guests/virtio/virtio.h"

#define SECTORS 2048u /* of the test's disk */
#define LARGE   (64 * SECTOR)

static struct blk_header header;
static volatile uint8_t status;
static uint8_t out[LARGE], in[LARGE];

bool blk_start(struct virtio *v, struct ring *r, uint64_t features, unsigned size, uint16_t vector) {
    if (!virtio_negotiate(v, features) || !ring_enable(r, v, 0, size, vector))
        return false;
    status_write(v, S_ALL | S_DRIVER_OK);
    return status_read(v) == (S_ALL | S_DRIVER_OK);
}

/* Puts the request into the ring: header, data and status, each a piece. */
static void submit(struct ring *r, uint32_t type, uint64_t sector, void *data, uint32_t size, bool indirect) {
    struct piece pieces[3] = {{&header, sizeof(header), false}};
    unsigned count = 1;
    header = (struct blk_header){type, 0, sector};
    status = BLK_NONE;
    if (size)
        pieces[count++] = (struct piece){data, size, type == BLK_IN || type == BLK_GET_ID};
    pieces[count++] = (struct piece){(const void *)&status, 1, true};
    ring_add(r, pieces, count, indirect);
}

uint8_t blk_request(struct ring *r, uint32_t type, uint64_t sector, void *data, uint32_t size,
                    uint32_t *written) {
    unsigned id;
    submit(r, type, sector, data, size, false);
    ring_kick(r);
    return ring_wait(r, &id, written) ? status : BLK_NONE;
}

static void fill(uint32_t size, uint32_t seed) {
    for (uint32_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(i * 7 + (i >> 9) + seed);
        in[i] = 0;
    }
}

static bool same(uint32_t size) {
    for (uint32_t i = 0; i < size; i++)
        if (in[i] != out[i])
            return false;
    return true;
}

static bool round_trip(struct ring *r, uint64_t sector, uint32_t size, uint32_t seed) {
    uint32_t written = 0;
    fill(size, seed);
    return blk_request(r, BLK_OUT, sector, out, size, &written) == BLK_OK && written == 1 &&
           blk_request(r, BLK_IN, sector, in, size, &written) == BLK_OK && written == size + 1 && same(size);
}

bool blk_works(struct virtio *v, struct ring *r) {
    static uint32_t seed;
    seed++;
    bool good =
        virtio_reset(v) && blk_start(v, r, 0, 16, 0xffff) && round_trip(r, seed % SECTORS, SECTOR, seed);
    virtio_reset(v);
    return good;
}

/* ---- checks */

static void check_requests(struct ring *r, uint64_t offered) {
    uint32_t written;
    check(round_trip(r, 5, 3 * SECTOR, 1), "three sectors are written and read back");
    check(round_trip(r, 0, SECTOR, 2) && round_trip(r, SECTORS - 1, SECTOR, 3), "the first and the last one");
    check(round_trip(r, 100, LARGE, 4), "64 sectors at once");
    check_equal(blk_request(r, BLK_FLUSH, 0, NULL, 0, &written), BLK_OK, "flush");
    fill(2 * SECTOR, 5);
    static const uint64_t beyond[] = {SECTORS, SECTORS - 1, 1ull << 55, UINT64_MAX, UINT64_MAX - 1};
    bool refused = true, untouched = true;
    for (unsigned i = 0; i < array_count(beyond); i++) {
        refused = refused && blk_request(r, BLK_OUT, beyond[i], out, 2 * SECTOR, &written) == BLK_IOERR;
        refused = refused && blk_request(r, BLK_IN, beyond[i], in, 2 * SECTOR, &written) == BLK_IOERR;
    }
    for (unsigned i = 0; i < 2 * SECTOR; i++)
        untouched = untouched && !in[i];
    check(refused, "IOERR beyond the disk's end");
    check(untouched, "with nothing read");
    check_equal(blk_request(r, BLK_OUT, 0, out, SECTOR - 1, &written), BLK_IOERR, "IOERR for half a sector");
    check_equal(blk_request(r, 0x99, 0, out, SECTOR, &written), BLK_UNSUPP, "UNSUPP for an unknown type");
    check_equal(blk_request(r, BLK_IN, SECTORS, in, SECTOR, &written), BLK_IOERR, "IOERR behind unread data");
    check_equal(written, 0, "and nothing is reported as written before that gap");
    fill(32, 0);
    check_equal(blk_request(r, BLK_GET_ID, 0, in, 20, &written), BLK_OK, "the serial number");
    check(memcmp(in, "scratch-1\0\0\0\0\0\0\0\0\0\0\0", 20) == 0 && written == 21,
          "is as the config says, padded");
    if (offered & BLK_F_ZEROES) {
        static uint32_t range[4] = {6, 0, 1, 0};
        check(round_trip(r, 5, 3 * SECTOR, 6), "three sectors");
        check_equal(blk_request(r, BLK_ZEROES, 0, range, sizeof(range), &written), BLK_OK, "zeroes on one");
        for (unsigned i = SECTOR; i < 2 * SECTOR; i++)
            out[i] = 0;
        check(blk_request(r, BLK_IN, 5, in, 3 * SECTOR, &written) == BLK_OK && same(3 * SECTOR),
              "and on no other");
        range[0] = SECTORS;
        check_equal(blk_request(r, BLK_ZEROES, 0, range, sizeof(range), &written), BLK_IOERR,
                    "zeroes beyond the end");
    }
}

/* The header over three pieces, the data over two odd ones, the status in one with data. */
static bool odd_framing(struct ring *r, bool indirect) {
    static uint8_t tail[SECTOR - 100 + 1];
    const uint8_t *head = (const uint8_t *)&header;
    uint32_t written = 0;
    unsigned id;
    fill(SECTOR, 7);
    header = (struct blk_header){BLK_OUT, 0, 33};
    status = BLK_NONE;
    const struct piece write[] = {{head, 1, false},
                                  {head + 1, 7, false},
                                  {head + 8, 8, false},
                                  {out, 100, false},
                                  {out + 100, SECTOR - 101, false},
                                  {out + SECTOR - 1, 1, false},
                                  {(const void *)&status, 1, true}};
    ring_add(r, write, array_count(write), indirect);
    ring_kick(r);
    if (!ring_wait(r, &id, &written) || status != BLK_OK || written != 1)
        return false;
    /* Header and data in one piece are as good. */
    static struct {
        struct blk_header header;
        uint8_t data[SECTOR];
    } both;
    both.header = (struct blk_header){BLK_OUT, 0, 34};
    memcpy(both.data, out, SECTOR);
    status = BLK_NONE;
    const struct piece joined[] = {{&both, sizeof(both), false}, {(const void *)&status, 1, true}};
    ring_add(r, joined, array_count(joined), indirect);
    ring_kick(r);
    if (!ring_wait(r, &id, &written) || status != BLK_OK)
        return false;
    for (unsigned sector = 33; sector < 35; sector++) {
        header = (struct blk_header){BLK_IN, 0, sector};
        tail[sizeof(tail) - 1] = BLK_NONE;
        const struct piece read[] = {
            {head, 9, false}, {head + 9, 7, false}, {in, 100, true}, {tail, sizeof(tail), true}};
        ring_add(r, read, array_count(read), indirect);
        ring_kick(r);
        if (!ring_wait(r, &id, &written) || tail[sizeof(tail) - 1] != BLK_OK || written != SECTOR + 1)
            return false;
        memcpy(in + 100, tail, SECTOR - 100);
        if (!same(SECTOR))
            return false;
    }
    return true;
}

/* As many as fit, made available one by one and notified once; they come back in order. */
static void check_many(struct ring *r) {
    enum { EACH = 3, MOST = 16 };
    static struct blk_header headers[MOST];
    static volatile uint8_t answers[MOST];
    unsigned count = r->size / EACH < MOST ? r->size / EACH : MOST, ids[MOST], id;
    bool ordered = true, good = true;
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < count; i++) {
            headers[i] = (struct blk_header){round & 1 ? BLK_IN : BLK_OUT, 0, 200 + i};
            answers[i] = BLK_NONE;
            if (!(round & 1))
                out[i * SECTOR] = (uint8_t)(round + i);
            const struct piece pieces[] = {{&headers[i], sizeof(headers[i]), false},
                                           {(round & 1 ? in : out) + i * SECTOR, SECTOR, round & 1},
                                           {(const void *)&answers[i], 1, true}};
            ids[i] = ring_add(r, pieces, EACH, false);
        }
        ring_kick(r);
        for (unsigned i = 0; i < count; i++) {
            uint32_t written;
            if (!ring_wait(r, &id, &written)) {
                check(false, "many requests: not all are answered");
                return;
            }
            ordered = ordered && id == ids[i];
            good = good && answers[i] == BLK_OK;
        }
        good = good && (!(round & 1) || same(count * SECTOR));
    }
    check(good, "many requests at once");
    check(ordered, "are given back in order");
}

/* Rings of different kinds and sizes, all the way round several times. */
static void check_rings(struct virtio *v, struct ring *r) {
    static const struct {
        uint64_t features;
        unsigned size;
        const char *name;
    } kind[] = {
        {0, 8, "a split ring of 8"},
        {0, 256, "a split ring of 256"},
        {F_EVENT | F_INDIRECT, 64, "a split ring with event index"},
        {F_PACKED, 8, "a packed ring of 8"},
        {F_PACKED | F_INDIRECT, 11, "a packed ring of 11"},
        {F_PACKED | F_INDIRECT | F_EVENT, 256, "a packed ring with event index"},
        {F_PACKED | F_IN_ORDER, 7, "a packed ring of 7, in order"},
    };
    for (unsigned i = 0; i < array_count(kind); i++) {
        bool good = blk_start(v, r, kind[i].features | BLK_F_FLUSH, kind[i].size, 0xffff);
        check(good, kind[i].name);
        for (unsigned round = 0; good && round < 3 * 8; round++)
            good = round_trip(r, 300 + round, 2 * SECTOR, round);
        check(good, "goes round");
        check(odd_framing(r, false), "odd framing");
        if (kind[i].features & F_INDIRECT)
            check(odd_framing(r, true), "and in an indirect table");
        check_many(r);
        check_equal(status_read(v), S_ALL | S_DRIVER_OK, "the device is content");
    }
}

static void check_read_only(struct virtio *v, struct ring *r) {
    uint32_t written;
    check((features_read(v) & (BLK_F_RO | BLK_F_ZEROES)) == BLK_F_RO, "a read-only disk says so");
    check(blk_start(v, r, BLK_F_RO, 16, 0xffff), "it starts");
    fill(SECTOR, 9);
    check_equal(blk_request(r, BLK_OUT, 0, out, SECTOR, &written), BLK_IOERR, "and is not written");
    check_equal(blk_request(r, BLK_IN, 0, in, SECTOR, &written), BLK_OK, "but read");
    check(!same(SECTOR), "as it was");
    virtio_reset(v);
}

void check_blk(struct virtio *disk, struct virtio *read_only, struct ring *r) {
    check_equal(config_read(disk, 0, 4) | (uint64_t)config_read(disk, 4, 4) << 32, SECTORS, "capacity");
    check_equal(config_read(disk, 20, 4), SECTOR, "block size");
    uint64_t offered = features_read(disk);
    check(offered & BLK_F_FLUSH, "flush is offered");
    check(blk_start(disk, r, offered & (BLK_F_FLUSH | BLK_F_ZEROES), 32, 0xffff), "the disk starts");
    check_requests(r, offered);
    check_rings(disk, r);
    virtio_reset(disk);
    check(blk_works(disk, r), "after a reset it works again");
    if (read_only)
        check_read_only(read_only, r);
}
