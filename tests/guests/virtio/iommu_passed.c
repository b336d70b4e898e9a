// SPDX-License-Identifier: Apache-2.0
// A function of the machine that this guest has to itself, behind the guest's own virtio-iommu: QEMU's `edu`,
// which copies between RAM and a page of its own wherever it is told to.
#include "tests/guests/virtio/virtio.h"

#define EDU_DEVFN  (24u << 3)
#define EDU_ID     0x11e81234u
#define EDU_BAR    0xd0000000u
#define EDU_SOURCE 0x80u
#define EDU_TARGET 0x88u
#define EDU_COUNT  0x90u
#define EDU_START  0x98u
#define EDU_RUN    1u
#define EDU_OUT    2u /* from its page to RAM */
#define EDU_PAGE   0x40000u
#define COUNT      2048u /* bytes of each copy: QEMU 7.2 ends itself when one reaches the end of that page */

#define FAR        0x8000000u /* where it sees `page`: above this guest's RAM; it has addresses of 28 bits */

static uint8_t page[PAGE] __attribute__((aligned(4096)));
static uint8_t victim[PAGE] __attribute__((aligned(4096)));
static struct virtio edu = {.devfn = EDU_DEVFN};

static void fill(uint8_t *memory, uint8_t value) {
    for (unsigned i = 0; i < COUNT; i++)
        ((volatile uint8_t *)memory)[i] = value;
}

static bool all(const uint8_t *memory, uint8_t value) {
    for (unsigned i = 0; i < COUNT; i++)
        if (((const volatile uint8_t *)memory)[i] != value)
            return false;
    return true;
}

static volatile uint64_t *edu_register(unsigned offset) {
    return (volatile uint64_t *)(uint64_t)(EDU_BAR + offset);
}

/* Copies between the device's own page and what it calls `address`. Whether it said that it was done. */
static bool copy(uint64_t address, bool out) {
    uint64_t end = now_us() + WAIT_MS * 1000ull;
    *edu_register(EDU_SOURCE) = out ? EDU_PAGE : address;
    *edu_register(EDU_TARGET) = out ? address : EDU_PAGE;
    *edu_register(EDU_COUNT) = COUNT;
    *edu_register(EDU_START) = EDU_RUN | (out ? EDU_OUT : 0);
    while (*edu_register(EDU_START) & EDU_RUN)
        if (now_us() > end)
            return false;
    return true;
}

/* Its page becomes all `value`, by way of RAM that it reaches at `address`. */
static bool load(uint8_t *memory, uint64_t address, uint8_t value) {
    fill(memory, value);
    bool good = copy(address, false);
    fill(memory, 0);
    return good;
}

static void check_confined(void) {
    check_equal(iommu_attach(1, EDU_DEVFN), IOMMU_OK, "it is in a domain");
    check_equal(iommu_map(1, FAR, page, PAGE, IOMMU_READ | IOMMU_WRITE), IOMMU_OK, "that maps a page");
    check_equal(iommu_map(1, FAR + PAGE, (const void *)EDU_BAR, PAGE, IOMMU_READ), IOMMU_FAULT,
                "and cannot map registers of a device");
    check_equal(iommu_map(1, FAR + PAGE, (const void *)0x40000000, PAGE, IOMMU_READ), IOMMU_FAULT,
                "nor what is no memory");
    check(load(page, FAR, 0x21) && copy(FAR, true) && all(page, 0x21), "it reads and writes the page");
    fill(victim, 0x5a);
    copy((uint64_t)victim, true);
    check(all(victim, 0x5a), "memory by its guest-physical address stays as it was");
    check_equal(iommu_unmap(1, FAR, PAGE), IOMMU_OK, "the page is unmapped");
    fill(page, 0x77);
    copy(FAR, true);
    check(all(page, 0x77), "it does not write that any more");
    check_equal(iommu_map(1, FAR, page, PAGE, IOMMU_READ), IOMMU_OK, "mapped for reading");
    copy(FAR, true);
    check(all(page, 0x77), "it does not write it");
    check_equal(iommu_detach(1, EDU_DEVFN), IOMMU_OK, "out of the domain");
    check(load(page, (uint64_t)page, 0x22) && copy((uint64_t)victim, true) && all(victim, 0x22),
          "it reaches all RAM by guest-physical addresses");
}

static void check_blocked(struct virtio *iommu) {
    config_write(iommu, 36, 1, 0);
    check_equal(config_read(iommu, 36, 1), 0, "no bypass");
    fill(victim, 0x5a);
    copy((uint64_t)victim, true);
    check(all(victim, 0x5a), "in no domain it reaches nothing");
    check_equal(iommu_attach(1, EDU_DEVFN), IOMMU_OK, "in one again");
    check_equal(iommu_map(1, FAR, page, PAGE, IOMMU_READ | IOMMU_WRITE), IOMMU_OK, "a page");
    check(load(page, FAR, 0x23) && copy(FAR, true) && all(page, 0x23), "it works");
    config_write(iommu, 36, 1, 1);
    check(virtio_reset(iommu), "a reset of the IOMMU");
    check(load(page, (uint64_t)page, 0x24) && copy((uint64_t)victim, true) && all(victim, 0x24),
          "and all is as at first");
}

void check_passed(struct virtio *list, unsigned count) {
    struct virtio *iommu = &list[0];
    if (!check(count == 1 && iommu->id == 23 && pci_read(&edu, 0, 4) == EDU_ID,
               "an IOMMU and a function of the machine"))
        return;
    virtio_command(&edu, 0);
    pci_write(&edu, PCI_BAR0, 4, EDU_BAR);
    virtio_command(&edu, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    check(load(page, (uint64_t)page, 0x11) && copy((uint64_t)victim, true) && all(victim, 0x11),
          "it reaches all RAM as long as nobody uses the IOMMU");
    check(iommu_start(iommu), "the IOMMU starts");
    check_confined();
    check_blocked(iommu);
}
