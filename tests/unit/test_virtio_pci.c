// SPDX-License-Identifier: Apache-2.0
// Virtio over PCI: the function's description as a driver walks it, each register, MSI-X and INTA, and a
// guest that writes anything anywhere.
// unit-sources: virtio/pci.c virtio/device.c
#include "virtio_device_fixture.h"
#include "virtio/pci.h"

static struct virtio_pci pci;
static bool msix_on, level;
static unsigned messages[SERVICE_MAX_VECTORS], vain, line_calls;

static int interrupt(struct virtio_pci *p, unsigned vector) {
    assert_ptr_equal(p, &pci);
    if (!msix_on)
        return -ENXIO;
    if (vector > FIX_QUEUES) {
        assert_int_equal(vector, VIRTIO_NO_VECTOR);
        vain++;
        return -EINVAL;
    }
    messages[vector]++;
    return 0;
}
static void line(struct virtio_pci *p, bool on) {
    assert_ptr_equal(p, &pci);
    level = on;
    line_calls++;
}

static int start(bool keep_record) {
    fix_prepare(keep_record);
    memset(&pci, 0, sizeof(pci));
    memset(messages, 0, sizeof(messages));
    vain = line_calls = 0;
    pci.interrupt = interrupt;
    pci.line = line;
    return virtio_pci_init(&pci, &fix_device);
}

static int setup(void **state) {
    (void)state;
    msix_on = false;
    level = true; /* whatever it was */
    return start(false);
}

static uint64_t rd(unsigned offset, unsigned size) {
    return virtio_pci_read(&fix_device, 0, offset, size);
}
static void wr(unsigned offset, unsigned size, uint64_t value) {
    virtio_pci_write(&fix_device, 0, offset, size, value);
}

/* A driver's start, with its queues' addresses in two halves. */
static void drive(unsigned queues) {
    wr(0x14, 1, 0);
    wr(0x14, 1, 1);
    wr(0x14, 1, 3);
    wr(0x08, 4, 1);
    wr(0x0c, 4, 1);
    wr(0x14, 1, 11);
    assert_int_equal(rd(0x14, 1), 11);
    for (unsigned i = 0; i < queues; i++) {
        wr(0x16, 2, i);
        wr(0x20, 4, 0x1000 * (i + 1));
        wr(0x24, 4, 0);
        wr(0x28, 4, 0x1000 * (i + 1) + 0x400);
        wr(0x30, 4, 0x1000 * (i + 1) + 0x800);
        wr(0x1c, 2, 1);
        assert_int_equal(rd(0x1c, 2), 1);
    }
    wr(0x14, 1, 15);
}

/* ---- the description */

static uint32_t get(const uint8_t *bytes, unsigned size) {
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)bytes[i] << 8 * i;
    return value;
}

/* A region holds [offset, offset + size) of a BAR. */
static const struct service_region *region_at(const struct service_device *d, unsigned bar, uint32_t offset,
                                              uint32_t size) {
    for (unsigned i = 0; i < SERVICE_DEVICE_REGIONS && d->region[i].kind; i++)
        if (d->region[i].bar == bar && d->region[i].offset <= offset &&
            offset + size <= d->region[i].offset + d->region[i].size)
            return &d->region[i];
    fail_msg("no region at BAR %u + %x", bar, offset);
    return NULL;
}

static void check_regions(const struct service_device *d) {
    for (unsigned i = 0; i < SERVICE_DEVICE_REGIONS && d->region[i].kind; i++) {
        const struct service_region *a = &d->region[i];
        assert_true(a->size > 0 && a->offset % 4 == 0 && a->size % 4 == 0);
        assert_true(a->offset + a->size <= d->bar_size[a->bar]);
        for (unsigned j = 0; j < i; j++) {
            const struct service_region *b = &d->region[j];
            assert_true(a->bar != b->bar || a->offset >= b->offset + b->size ||
                        b->offset >= a->offset + a->size);
        }
    }
    for (unsigned i = 0; i < 6; i++)
        assert_true(d->bar_size[i] == 0 ||
                    (d->bar_size[i] >= 4096 && !(d->bar_size[i] & (d->bar_size[i] - 1))));
}

/* Walks the capabilities as a driver does. Bit n of the result: structure n was found; bit 0: MSI-X. */
static unsigned walk(const struct service_device *d, unsigned queues, unsigned config_size) {
    static const uint8_t kind[] = {0, SERVICE_REGION_REQUEST, SERVICE_REGION_DOORBELL, SERVICE_REGION_REQUEST,
                                   SERVICE_REGION_REQUEST};
    unsigned found = 0, last = 0x40;
    assert_int_equal(get(&d->config[6], 2) & 0x10, 0x10);
    for (unsigned at = d->config[0x34]; at; at = d->config[at + 1]) {
        assert_true(at >= last && at % 4 == 0 && at < 0xf0);
        const uint8_t *cap = &d->config[at];
        if (cap[0] == 0x11) {
            assert_int_equal(at, d->msix);
            assert_int_equal(get(cap + 2, 2), queues);
            assert_int_equal(d->vectors, queues + 1);
            assert_int_equal(get(cap + 4, 4), 1);
            assert_int_equal(region_at(d, 1, 0, 16 * (queues + 1))->kind, SERVICE_REGION_MSIX);
            assert_int_equal(get(cap + 8, 4), 0x801);
            assert_int_equal(region_at(d, 1, 0x800, 8)->kind, SERVICE_REGION_PBA);
            assert_int_equal(get(&d->writable[at + 2], 2), 0xc000);
            found |= 1;
            last = at + 12;
            continue;
        }
        assert_int_equal(cap[0], 9);
        assert_in_range(cap[3], 1, 4);
        assert_false(found & 1u << cap[3]);
        found |= 1u << cap[3];
        assert_int_equal(cap[2], cap[3] == 2 ? 20 : 16);
        last = at + cap[2];
        uint32_t offset = get(cap + 8, 4), length = get(cap + 12, 4);
        assert_int_equal(cap[4], 0);
        assert_int_equal(offset % 4, 0);
        const struct service_region *region = region_at(d, 0, offset, length);
        assert_int_equal(region->kind, kind[cap[3]]);
        if (cap[3] == 1)
            assert_true(length >= 56);
        if (cap[3] == 2) {
            assert_int_equal(get(cap + 16, 4), 4);
            assert_int_equal(region->stride, 4);
            assert_true(length >= 4 * (queues - 1) + 2);
        }
        if (cap[3] == 4)
            assert_int_equal(length, config_size);
    }
    return found;
}

static void test_describe(void **state) {
    (void)state;
    static struct service_device d;
    memset(&d, 0xee, sizeof(d));
    virtio_pci_describe(&fix_device, 3, 0x28, 77, &d);
    assert_int_equal(d.token, 77);
    assert_int_equal(d.vm, 3);
    assert_int_equal(d.devfn, 0x28);
    assert_int_equal(get(&d.config[0], 2), 0x1af4);
    assert_int_equal(get(&d.config[2], 2), 0x1041);
    assert_int_equal(get(&d.config[4], 2), 0);
    assert_int_equal(d.config[8], 1);
    assert_int_equal(get(&d.config[9], 3), 0x020000);
    assert_int_equal(d.config[0xe], 0);
    assert_int_equal(get(&d.config[0x2c], 2), 0x1af4);
    assert_true(get(&d.config[0x2e], 2) >= 0x40);
    assert_int_equal(d.config[0x3d], 1);
    assert_int_equal(d.writable[0x3c], 0xff);
    for (unsigned i = 0; i < 256; i++)
        assert_true(!d.writable[i] || i == 0x0c || i == 0x3c || i == d.msix + 3u);
    check_regions(&d);
    assert_int_equal(walk(&d, FIX_QUEUES, FIX_CONFIG), 0x1f);
    assert_int_equal(d.bar_size[0], 0x4000);
    assert_int_equal(d.bar_size[1], 0x1000);
    /* The largest there may be, and one without a configuration of its own. */
    fix_device.queue_count = VIRTIO_MAX_QUEUES;
    fix_device.config_size = 0x1000;
    virtio_pci_describe(&fix_device, 0, 0, 1, &d);
    check_regions(&d);
    assert_int_equal(walk(&d, VIRTIO_MAX_QUEUES, 0x1000), 0x1f);
    struct virtio_class class = fix_class;
    class.id = VIRTIO_ID_ENTROPY;
    fix_device.class = &class;
    fix_device.queue_count = 1;
    fix_device.config_size = 0;
    virtio_pci_describe(&fix_device, 0, 0, 1, &d);
    check_regions(&d);
    assert_int_equal(walk(&d, 1, 0), 0x0f);
    assert_int_equal(get(&d.config[2], 2), 0x1044);
    assert_int_equal(get(&d.config[9], 3), 0xff0000);
    class.id = VIRTIO_ID_BLOCK;
    virtio_pci_describe(&fix_device, 0, 0, 1, &d);
    assert_int_equal(get(&d.config[9], 3), 0x018000);
    class.id = VIRTIO_ID_CONSOLE;
    virtio_pci_describe(&fix_device, 0, 0, 1, &d);
    assert_int_equal(get(&d.config[9], 3), 0x078000);
}

/* ---- registers */

static void test_features(void **state) {
    (void)state;
    assert_int_equal(rd(0x04, 4), (uint32_t)FIX_OFFERED);
    wr(0x00, 4, 1);
    assert_int_equal(rd(0x00, 4), 1);
    assert_int_equal(rd(0x04, 4), (uint32_t)(FIX_OFFERED >> 32));
    wr(0x00, 4, 2);
    assert_int_equal(rd(0x04, 4), 0);
    wr(0x00, 4, 0xffffffff);
    assert_int_equal(rd(0x04, 4), 0);
    wr(0x04, 4, 0x12345678); /* read-only */
    assert_int_equal(rd(0x0c, 4), 0);
    wr(0x0c, 4, 5);
    wr(0x08, 4, 1);
    wr(0x0c, 4, 1);
    assert_int_equal(rd(0x0c, 4), 1);
    wr(0x08, 4, 2);
    wr(0x0c, 4, 0xff);
    assert_int_equal(rd(0x0c, 4), 0);
    wr(0x08, 4, 0);
    assert_int_equal(rd(0x0c, 4), 5);
    assert_true(fix_record.features == 0x100000005ull);
    /* Refused. */
    wr(0x08, 4, 1);
    wr(0x0c, 4, 0);
    wr(0x14, 1, 11);
    assert_int_equal(rd(0x14, 1), 3);
    wr(0x0c, 4, 1);
    wr(0x14, 1, 11);
    assert_int_equal(rd(0x14, 1), 11);
    /* A reset is over when the device has let go of the driver's memory. */
    fix_held = true;
    assert_int_equal(rd(0x14, 1), 11);
    wr(0x14, 1, 0);
    assert_int_equal(rd(0x14, 1), 0x40);
    fix_held = false;
    assert_int_equal(rd(0x14, 1), 0);
    /* One that does not wait goes on all the same. */
    fix_held = true;
    wr(0x14, 1, rd(0x14, 1) | 1);
    assert_int_equal(rd(0x14, 1), 1);
    fix_held = false;
    wr(0x14, 1, 0);
    assert_int_equal(rd(0x14, 1), 0);
}

static void test_queue_fields(void **state) {
    (void)state;
    assert_int_equal(rd(0x12, 2), FIX_QUEUES);
    for (unsigned i = 0; i < FIX_QUEUES; i++) {
        wr(0x16, 2, i);
        assert_int_equal(rd(0x16, 2), i);
        assert_int_equal(rd(0x18, 2), fix_device.queue_size[i]);
        assert_int_equal(rd(0x1a, 2), 0xffff);
        assert_int_equal(rd(0x1c, 2), 0);
        assert_int_equal(rd(0x1e, 2), i);
    }
    /* Beyond the end: there is none. */
    static const uint16_t none[] = {FIX_QUEUES, 31, 0xffff};
    for (unsigned i = 0; i < 3; i++) {
        wr(0x16, 2, none[i]);
        assert_int_equal(rd(0x16, 2), none[i]);
        assert_int_equal(rd(0x18, 2), 0);
        assert_int_equal(rd(0x1a, 2), 0xffff);
        wr(0x18, 2, 16);
        wr(0x1a, 2, 1);
        wr(0x1c, 2, 1);
        wr(0x20, 8, 0x1234);
        assert_int_equal(rd(0x18, 2), 0);
        assert_int_equal(rd(0x1a, 2), 0xffff);
        assert_int_equal(rd(0x1c, 2), 0);
        assert_int_equal(rd(0x1e, 2), 0);
        assert_true(rd(0x20, 8) == 0);
    }
    /* Addresses: two halves in either order, or at once. */
    wr(0x16, 2, 1);
    wr(0x24, 4, 0x11223344);
    wr(0x20, 4, 0x55667788);
    wr(0x28, 8, 0x99aabbccddeeff00);
    wr(0x30, 4, 0x0badcafe);
    assert_true(fix_record.queue[1].descriptors == 0x1122334455667788);
    assert_true(fix_record.queue[1].driver == 0x99aabbccddeeff00);
    assert_true(rd(0x20, 8) == 0x1122334455667788);
    assert_true(rd(0x28, 4) == 0xddeeff00);
    assert_true(rd(0x2c, 4) == 0x99aabbcc);
    assert_true(rd(0x30, 8) == 0x0badcafe);
    /* Pieces of fields, and several at once. */
    assert_true(rd(0x22, 4) == 0x33445566);
    assert_true(rd(0x15, 1) == fix_record.generation);
    assert_true(rd(0x16, 4) == (64u << 16 | 1));
    wr(0x21, 1, 0xee);
    assert_true(rd(0x20, 4) == 0x5566ee88);
    wr(0x16, 4, 16u << 16 | 2); /* select, then the size of what was selected */
    assert_int_equal(fix_record.queue[2].size, 16);
    assert_int_equal(rd(0x16, 2), 2);
    /* Nothing beyond. */
    assert_true(rd(0x38, 8) == 0);
    assert_true(rd(0x34, 8) == 0);
    wr(0x36, 4, 0xffffffff);
    assert_true(rd(0x30, 8) == 0xffff000000000000);
    assert_true(rd(0xff8, 8) == 0);
    wr(0xfff, 8, 1);
}

static void test_drive(void **state) {
    (void)state;
    drive(2);
    assert_int_equal(rd(0x14, 1), 15);
    assert_int_equal(fix.starts, 1);
    assert_true(fix_device.queue[1].driver == 0x2400);
    /* While it is enabled all but the vector stands still. */
    wr(0x18, 2, 16);
    wr(0x20, 8, 0x9000);
    wr(0x1c, 2, 0);
    wr(0x1c, 2, 1);
    wr(0x1a, 2, 2);
    assert_int_equal(rd(0x18, 2), 64);
    assert_true(rd(0x20, 8) == 0x2000);
    assert_int_equal(rd(0x1c, 2), 1);
    assert_int_equal(rd(0x1a, 2), 2);
    assert_int_equal(fix.enables, 2);
    wr(0x16, 2, 2);
    wr(0x1c, 2, 2); /* only 1 enables */
    assert_int_equal(rd(0x1c, 2), 0);
    /* Rules that a driver breaks. */
    wr(0x18, 2, 5);
    assert_int_equal(rd(0x14, 1), 15 | 64);
    assert_int_equal(rd(0x18, 2), 16);
    assert_true(level);
    assert_int_equal(rd(0x1000, 1), 2);
    wr(0x14, 1, 0);
    assert_int_equal(rd(0x14, 1), 0);
    assert_int_equal(fix_device.queue[0].size + fix_device.queue[1].size, 0);
    wr(0x16, 2, 0);
    assert_int_equal(rd(0x1c, 2), 0);
    drive(3);
    assert_int_equal(rd(0x14, 1), 15);
    virtio_device_notify(&fix_device, 2);
    assert_int_equal(fix.notifies[2], 1);
}

static void test_config(void **state) {
    (void)state;
    assert_true(rd(0x2000, 4) == 0xa3a2a1a0);
    assert_true(rd(0x2002, 2) == 0xa3a2);
    assert_true(rd(0x2001, 8) == 0xa8a7a6a5a4a3a2a1);
    assert_true(rd(0x200a, 2) == 0);
    assert_true(rd(0x2ff8, 8) == 0);
    wr(0x2004, 4, 0x01020304);
    assert_int_equal(fix.config[4], 4);
    uint64_t before = rd(0x15, 1);
    virtio_device_config_changed(&fix_device);
    assert_true(rd(0x15, 1) != before);
    wr(0x15, 1, 7); /* read-only */
    assert_true(rd(0x15, 1) != 7);
    assert_false(level);
    /* Where nothing is. */
    wr(0x1000, 1, 3);
    wr(0x1800, 4, 1);
    wr(0x3000, 4, 1);
    wr(0x3ffc, 8, 1);
    assert_true(rd(0x1000, 1) == 0);
    assert_true(rd(0x1001, 1) == 0);
    assert_true(rd(0x3000, 4) == 0);
    assert_true(rd(0xffffffff, 8) == 0);
    assert_true(virtio_pci_read(&fix_device, 1, 0, 4) == 0);
    virtio_pci_write(&fix_device, 1, 0x14, 1, 1);
    assert_int_equal(rd(0x14, 1), 0);
}

/* ---- interrupts */

static void test_vectors(void **state) {
    (void)state;
    wr(0x10, 2, FIX_QUEUES);
    assert_int_equal(rd(0x10, 2), FIX_QUEUES);
    wr(0x10, 2, FIX_QUEUES + 1);
    assert_int_equal(rd(0x10, 2), 0xffff);
    wr(0x16, 2, 1);
    wr(0x1a, 2, 0);
    assert_int_equal(rd(0x1a, 2), 0);
    wr(0x1a, 2, 0x7ff);
    assert_int_equal(rd(0x1a, 2), 0xffff);
    wr(0x1a, 2, 3);
    wr(0x10, 2, 1);
    wr(0x14, 1, 0); /* unmapped upon reset (4.1.5.1.2.1) */
    wr(0x16, 2, 1);
    assert_int_equal(rd(0x1a, 2), 0xffff);
    assert_int_equal(rd(0x10, 2), 0xffff);
}

static void test_msix(void **state) {
    (void)state;
    msix_on = true;
    drive(2);
    wr(0x10, 2, 0);
    wr(0x16, 2, 0);
    wr(0x1a, 2, 3);
    fix.want_interrupt = true;
    virtio_device_flush(&fix_device, 0);
    assert_int_equal(messages[3], 1);
    assert_int_equal(fix_record.isr, 0); /* the queues' bit is not used with MSI-X */
    virtio_device_flush(&fix_device, 1); /* not mapped */
    assert_int_equal(vain, 1);
    virtio_device_config_changed(&fix_device);
    assert_int_equal(messages[0], 1);
    assert_int_equal(fix_record.isr, 2);
    assert_false(level);
    assert_int_equal(line_calls, 1); /* the one of the start */
    assert_int_equal(rd(0x1000, 1), 2);
    assert_int_equal(rd(0x1000, 1), 0);
    /* INTA is high when the driver turns MSI-X on. */
    msix_on = false;
    virtio_device_flush(&fix_device, 0);
    assert_true(level);
    msix_on = true;
    virtio_device_flush(&fix_device, 0);
    assert_false(level);
}

static void test_intx(void **state) {
    (void)state;
    assert_false(level); /* lowered at the start */
    drive(2);
    fix.want_interrupt = true;
    virtio_device_flush(&fix_device, 1);
    assert_true(level);
    assert_int_equal(fix_record.isr, 1);
    virtio_device_flush(&fix_device, 0);
    virtio_device_config_changed(&fix_device);
    assert_int_equal(line_calls, 2);
    assert_int_equal(rd(0x1000, 4), 3);
    assert_false(level);
    assert_int_equal(rd(0x1000, 1), 0);
    assert_int_equal(line_calls, 3);
    /* A reset lowers it. */
    virtio_device_flush(&fix_device, 0);
    assert_true(level);
    wr(0x14, 1, 0);
    assert_false(level);
    assert_int_equal(rd(0x1000, 1), 0);
    drive(1);
    virtio_device_flush(&fix_device, 0);
    virtio_pci_reset(&fix_device);
    assert_false(level);
    assert_int_equal(rd(0x14, 1), 0);
}

/* MSI-X was switched off behind a message that was taken: INTA, but not after a reset. */
static void test_refused(void **state) {
    (void)state;
    virtio_pci_refused(&fix_device);
    assert_false(level);
    drive(2);
    virtio_pci_refused(&fix_device);
    assert_true(level);
    assert_int_equal(rd(0x1000, 1), 1);
    assert_false(level);
    wr(0x14, 1, 0);
    virtio_pci_refused(&fix_device);
    assert_false(level);
    assert_int_equal(rd(0x1000, 1), 0);
}

static void test_restart(void **state) {
    (void)state;
    wr(0x14, 1, 11);
    wr(0x14, 1, 0);
    drive(0);
    virtio_device_config_changed(&fix_device);
    assert_true(level);
    /* Whatever became of the line: it is as the record says. */
    level = false;
    assert_int_equal(start(true), 0);
    assert_true(level);
    assert_int_equal(rd(0x1000, 1), 2);
    assert_false(level);
    /* The guest has not got that answer, and reads again. */
    assert_int_equal(start(true), 0);
    assert_true(level);
    assert_int_equal(rd(0x1000, 1), 2);
    rd(0x2000, 1);
    level = true;
    assert_int_equal(start(true), 0);
    assert_false(level);
    /* With MSI-X on the bit may be set, but not the line. */
    msix_on = true;
    virtio_device_config_changed(&fix_device);
    assert_int_equal(start(true), 0);
    assert_int_equal(fix_record.isr, 2);
    assert_false(level);
    /* An interrupt that may have got lost. */
    msix_on = false;
    drive(1);
    assert_int_equal(start(true), 0);
    assert_true(level);
    assert_int_equal(rd(0x1000, 1), 1);
    /* A record that cannot be kept. */
    virtio_device_config_changed(&fix_device);
    fix_record.queue[0].enabled = 9;
    assert_int_equal(start(true), -EINVAL);
    assert_false(level);
    assert_int_equal(rd(0x14, 1), 0);
}

/* ---- a guest that writes anything anywhere */

static uint32_t seed = 7;
static uint32_t next_random(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 4;
}

static void test_random(void **state) {
    (void)state;
    unsigned started = 0, broken = 0;
    for (unsigned i = 0; i < 200000; i++) {
        unsigned size = 1u << next_random() % 4, offset = next_random() % 0x40;
        uint64_t value =
            next_random() % 4 ? next_random() % 17 : (uint64_t)next_random() << 36 | next_random();
        if (next_random() % 32 == 0)
            offset += 0x1000 * (next_random() % 4);
        if (next_random() % 64 == 0) {
            fix.want_interrupt = next_random() & 1;
            virtio_device_notify(&fix_device, next_random() % 5);
            virtio_device_flush(&fix_device, next_random() % 5);
            virtio_device_config_changed(&fix_device);
            msix_on = next_random() % 4 == 0;
        }
        if (next_random() % 500 == 0)
            drive(next_random() % (FIX_QUEUES + 1));
        /* A reset now and then: else it would never come far. */
        if (next_random() % 3 && (offset > 0x14 || offset + size <= 0x14 || next_random() % 16 == 0))
            wr(offset, size, value);
        else
            rd(offset, size);
        started += virtio_running(&fix_device);
        bool dead = fix_record.status & VIRTIO_STATUS_NEEDS_RESET;
        broken += dead;
        for (unsigned q = 0; q < FIX_QUEUES; q++) {
            assert_true(fix_record.queue[q].size <= fix_device.queue_size[q]);
            /* A broken device's queues are not taken up again. */
            assert_true(fix_record.queue[q].enabled == (fix_device.queue[q].size != 0) || dead);
            assert_true(fix_record.queue[q].vector == 0xffff || fix_record.queue[q].vector <= FIX_QUEUES);
        }
        assert_true(!level || fix_record.isr);
        /* The record is good at any time. */
        if (i % 97 == 0)
            assert_int_equal(start(true), 0);
    }
    assert_true(started > 1000 && broken > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_describe, setup),     cmocka_unit_test_setup(test_features, setup),
        cmocka_unit_test_setup(test_queue_fields, setup), cmocka_unit_test_setup(test_drive, setup),
        cmocka_unit_test_setup(test_config, setup),       cmocka_unit_test_setup(test_vectors, setup),
        cmocka_unit_test_setup(test_msix, setup),         cmocka_unit_test_setup(test_intx, setup),
        cmocka_unit_test_setup(test_restart, setup),      cmocka_unit_test_setup(test_random, setup),
        cmocka_unit_test_setup(test_refused, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
