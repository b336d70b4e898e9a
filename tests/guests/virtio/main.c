// SPDX-License-Identifier: Apache-2.0
// Virtio devices from inside: two cards on one network, a disk, and a read-only one, in this order of slots.
// The command line says what is done with them: nothing but right things ("hostile": wrong ones, "noise":
// anything, "watch": right ones for some seconds, beside such a neighbour; "mmio": there is one disk, over
// MMIO; "iommu": there are two disks behind a virtio-iommu; "passed": a function of the machine is).
#include "tests/guests/virtio/virtio.h"

#define SECONDS 10u

static struct virtio devices[8];
static struct ring ring;
static struct card one, other;

static void check_kinds(unsigned count) {
    if (!check(count >= 3 && devices[0].id == 1 && devices[1].id == 1 && devices[2].id == 2,
               "two cards and a disk"))
        guest_finish();
}

/* What the devices do goes on as if they were alone. */
static void watch(struct virtio *disk, struct virtio *a, struct virtio *b) {
    uint64_t rounds = 0, start = now_us();
    bool good = true;
    print("watches\n");
    while (good && now_us() - start < SECONDS * 1000000) {
        good = blk_works(disk, &ring) && net_works(&one, a, &other, b);
        rounds++;
    }
    check(good, "disk and cards work beside the neighbour");
    check_range(rounds, 3, UINT64_MAX, "time was had");
    print("%u rounds\n", rounds);
}

void guest_main(void) {
    if (guest_option("mmio")) {
        check_mmio(&ring);
        return;
    }
    unsigned count = virtio_find(devices, array_count(devices));
    struct virtio *disk = &devices[2], *a = &devices[0], *b = &devices[1];
    if (guest_option("iommu")) {
        check_iommu(devices, count, &ring);
        return;
    }
    if (guest_option("passed")) {
        check_passed(devices, count);
        return;
    }
    check_kinds(count);
    if (guest_option("hostile")) {
        hostile_blk(disk, &ring);
        hostile_net(a, b, &one, &other);
    } else if (guest_option("noise")) {
        noise(disk, a, b, &ring, &one, &other);
    } else if (guest_option("watch")) {
        watch(disk, a, b);
    } else {
        for (unsigned i = 0; i < count; i++)
            check_pci(&devices[i]);
        for (unsigned i = 0; i < count; i++)
            check_device(&devices[i], &ring);
        check_blk(disk, count > 3 && devices[3].id == 2 ? &devices[3] : NULL, &ring);
        check_interrupts(disk, &ring);
        check_bars(disk, &ring);
        check_net(a, b, &one, &other);
    }
}
