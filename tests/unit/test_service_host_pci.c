// SPDX-License-Identifier: Apache-2.0
// The machine's PCI functions in the service VM's hands: offers, claims and refusals, DMA, interrupts of each
// kind, and in which order all of it ends.
// unit-sources: devices/service_host_pci.c devices/host_pci.c devices/host_pci_control.c lib/pci.c
// unit-sources: lib/config_pci.c lib/config_mac.c
#include "host_pci_fixture.h"
#include "core/service_internal.h"
#include "devices/service_dma.h"
#include "drivers/iommu/iommu.h"
#include "lib/config.h"

struct cpu *test_cpu;
uint64_t test_time;
struct service service;

static struct service_board board;
static struct vm service_machine;
static uint32_t events;
static struct guest_foreign shown[32];
static unsigned shown_count;
static int show_error;
static uint64_t no_device; /* RAM lies there */
static uint32_t table[16 * 4];
static uint64_t table_at;
static struct {
    void (*handler)(void *context);
    void *context;
} message[64], line;
static unsigned message_count, message_room, unmasked;
static int line_number;

void panic(const char *format, ...) {
    fail_msg("%s", format);
    abort();
}
void service_event(uint32_t what) {
    events |= what;
}
int guest_memory_show(struct vm *vm, const struct guest_foreign *foreign) {
    assert_ptr_equal(vm, &service_machine);
    assert_true(foreign->writable && foreign->device && !foreign->of && foreign->base == foreign->physical);
    if (show_error && shown_count == 1)
        return show_error;
    shown[shown_count++] = *foreign;
    return 0;
}
int guest_memory_hide(struct vm *vm, uint64_t base) {
    assert_ptr_equal(vm, &service_machine);
    for (unsigned i = 0; i < shown_count; i++)
        if (shown[i].base == base) {
            shown[i] = shown[--shown_count];
            return 0;
        }
    fail();
    return -ENOENT;
}
bool arch_host_pci_memory(uint64_t physical, uint64_t size) {
    return no_device < physical || no_device >= physical + size;
}
void *arch_device_map(uint64_t physical, uint64_t size) {
    assert_true(size <= sizeof(table));
    table_at = physical;
    return table;
}
int arch_host_message(void (*handler)(void *context), void *context, uint64_t *address, uint32_t *data) {
    if (message_count == message_room)
        return -ENOSPC;
    message[message_count].handler = handler;
    message[message_count].context = context;
    *address = 0x1fee00000ull;
    *data = 0x40 + message_count++;
    return 0;
}
int arch_host_pin(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned pin, void (*handler)(void *context),
                  void *context) {
    assert_int_equal(segment | bus, 0);
    (void)devfn;
    assert_in_range(pin, 1, 4);
    if (!line.handler) {
        line.handler = handler;
        line.context = context;
    }
    return line_number;
}
void arch_host_pin_unmask(int which) {
    assert_int_equal(which, line_number);
    unmasked++;
}

/* ---- what is allowed where there is an IOMMU (devices/service_dma.c) */

static const struct host_pci *attached[8];
static unsigned attached_count, attached_write; /* writes to PCI before the last change of these */
static bool dma_refused, dma_remaps;
static int dma_room, dma_made;
static unsigned dma_forgotten;

bool iommu_present(void) {
    return false;
}
bool host_pci_dma(const struct host_pci *pci, struct iommu_device *device) {
    (void)pci;
    (void)device;
    return false;
}
int service_dma_create(void) {
    return 0;
}
bool service_dma_attach(const struct host_pci *pci, const char *name) {
    char own[HOST_PCI_NAME];
    host_pci_name(pci, own);
    assert_string_equal(name, own);
    attached_write = machine.writes;
    if (!dma_refused)
        attached[attached_count++] = pci;
    return !dma_refused;
}
void service_dma_detach(const struct host_pci *pci) {
    attached_write = machine.writes;
    for (unsigned i = 0; i < attached_count; i++)
        if (attached[i] == pci) {
            attached[i] = attached[--attached_count];
            return;
        }
    fail();
}
int service_dma_message(const struct host_pci *pci, uint64_t *address, uint32_t *data, int *interrupt) {
    (void)pci;
    assert_int_equal(*interrupt, SERVICE_DMA_NONE);
    if (!dma_remaps)
        return 0;
    if (dma_made == dma_room)
        return -ENOSPC;
    *interrupt = dma_made++;
    *address = 0xfee00010;
    *data = 0;
    return 0;
}
void service_dma_forget(int *interrupt) {
    dma_forgotten += *interrupt != SERVICE_DMA_NONE;
    *interrupt = SERVICE_DMA_NONE;
}

/* ---- the machine: found once; each test begins with nothing claimed */

#define MSIX 0x98u
#define MSI  0x50u
#define EXP  0x60u
enum { NIC, DISK, PLAIN, SHARER, POLLED, OFFERED };

static struct function *nic, *disk, *plain, *sharer, *polled, *passed;

static int machine_setup(void **state) {
    (void)state;
    machine.buses = 1;
    add(0, 0, 0, 0x29c08086, 0x060000);
    nic = add(0, 1, 0, 0x10411af4, 0x020000);
    add_bar(nic, 1, 0xfebf1000, 0x1000);
    add_bar(nic, 4, 0x3800004000ull, 0x4000);
    put(nic, PCI_COMMAND, 2, 7);
    add_capability(nic, MSIX, PCI_CAPABILITY_MSIX);
    put(nic, MSIX + 2, 2, 9); /* ten */
    can_write(nic, MSIX + 2, 2, 0xc000);
    put(nic, MSIX + 4, 4, 0x2004); /* in the middle of BAR 4 */
    put(nic, MSIX + 8, 4, 1);
    add_capability(nic, EXP, PCI_CAPABILITY_EXPRESS);
    put(nic, EXP + 4, 4, 1u << 28);
    put(nic, EXP + 8, 2, 0x2810);
    can_write(nic, EXP + 8, 2, 0xffff);
    disk = add(0, 2, 0, 0x00051b36, 0x010802);
    add_bar(disk, 0, 0xfebf8000, 0x1000);
    add_capability(disk, MSI, PCI_CAPABILITY_MSI);
    put(disk, MSI + 2, 2, 0x0180);
    can_write(disk, MSI + 2, 2, 0x71);
    can_write(disk, MSI + 4, 4, UINT32_MAX);
    can_write(disk, MSI + 8, 4, UINT32_MAX);
    can_write(disk, MSI + 12, 2, UINT32_MAX);
    plain = add(0, 3, 0, 0x100e8086, 0x020000);
    add_bar(plain, 0, 0xfeb80000, 0x20000);
    plain->space[PCI_INTERRUPT_PIN] = 1;
    sharer = add(0, 4, 0, 0x100f8086, 0x020000);
    add_bar(sharer, 0, 0xfeba0000, 0x800);
    add_bar(sharer, 1, 0xfeba0800, 0x100);
    sharer->space[PCI_INTERRUPT_PIN] = 2;
    polled = add(0, 5, 0, 0x29228086, 0x010601);
    add_bar(polled, 5, 0xfebc0000, 0x100);
    struct function *usb = add(0, 6, 0, 0x000d1b36, 0x0c0330);
    add_bar(usb, 0, 0xfebc2800, 0x100);
    service.vm = &service_machine;
    service.board = &board;
    message_room = 64;
    line_number = -ENOTSUP;
    no_device = UINT64_MAX;
    /* A disk that a guest has to itself is not offered. */
    static struct config config = {.guest_count = 2};
    config.guests[1].passthrough[0] = "00:07.0";
    config.guests[1].passthrough_count = 1;
    passed = add(0, 7, 0, 0x00051b36, 0x010802);
    put(passed, PCI_COMMAND, 2, 7);
    host_pci_init();
    service_host_offer(&config);
    assert_int_equal(pci_space16(passed->space, PCI_COMMAND), 7);
    return 0;
}

static int setup(void **state) {
    (void)state;
    service_host_release(false);
    test_time += 1000000000ull;
    machine.writes = 0;
    text[0] = 0;
    events = 0;
    unmasked = 0;
    no_device = UINT64_MAX;
    show_error = 0;
    dma_refused = dma_remaps = false;
    dma_room = 64;
    dma_made = 0;
    dma_forgotten = 0;
    memset(&board, 0x55, sizeof(board));
    service_host_show();
    return 0;
}

static uint16_t get16(const struct function *f, unsigned offset) {
    return (uint16_t)(f->space[offset] | f->space[offset + 1] << 8);
}

/* Where the next write of that function to that offset is, from `from` on. */
static unsigned written(const struct function *f, unsigned offset, unsigned from) {
    for (unsigned i = from; i < machine.writes; i++)
        if (machine.write[i].devfn == f->devfn && machine.write[i].bus == f->bus &&
            machine.write[i].offset == offset)
            return i;
    fail_msg("not written: 0x%x", offset);
    return 0;
}

static bool is_shown(uint64_t base, uint64_t size) {
    for (unsigned i = 0; i < shown_count; i++)
        if (shown[i].base == base && shown[i].size == size)
            return true;
    return false;
}

/* ---- tests */

static void test_offer(void **state) {
    uint64_t end;
    (void)state;
    assert_int_equal(board.pci_count, OFFERED);
    assert_int_equal(board.pci_interrupts[0] | board.pci_vectors[0] | board.pci_vectors[63], 0);
    const struct service_pci *entry = &board.pci[NIC];
    assert_true(entry->segment == 0 && entry->bus == 0 && entry->devfn == 8);
    assert_int_equal(entry->bar[0].size, 0);
    assert_true(entry->bar[1].address == 0xfebf1000 && entry->bar[1].size == 0x1000);
    assert_true(entry->bar[4].address == 0x3800004000ull && entry->bar[4].size == 0x4000);
    assert_int_equal(entry->config[0] | entry->config[1] << 8, 0x1af4);
    assert_int_equal(board.pci[POLLED].devfn, 0x28);
    assert_int_equal(get16(nic, PCI_COMMAND) & PCI_COMMAND_MASTER, 0);
    /* Where nothing else may be placed, by whole pages. */
    assert_true(service_host_overlap(0x3800000000ull, 0x4001, &end));
    assert_int_equal(end, 0x3800008000ull);
    assert_false(service_host_overlap(0x3800000000ull, 0x4000, &end));
    assert_true(service_host_overlap(0xfebc0fff, 1, &end));
    assert_int_equal(end, 0xfebc1000);
    assert_false(service_host_overlap(0xfebc1000, 0x1000, &end));
}

static void test_unclaimed(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 70; i++) {
        assert_int_equal(service_host_master(i, 1), -ENOENT);
        assert_int_equal(service_host_vectors(i, 1), -ENOENT);
        assert_int_equal(service_host_unmask(i, 1), -ENOENT);
    }
    assert_int_equal(service_host_claim(OFFERED), -ENOENT);
    assert_int_equal(service_host_claim(UINT32_MAX), -ENOENT);
    assert_int_equal(service_host_master(UINT32_MAX, 1), -ENOENT);
    assert_int_equal(machine.writes, 0);
}

static void test_claim(void **state) {
    (void)state;
    struct function *f = nic;
    put(f, PCI_BAR + 4, 4, 0); /* it was reset */
    put(f, MSIX + 2, 2, 0x8009);
    put(f, EXP + 8, 2, 0);
    assert_int_equal(service_host_claim(NIC), 0);
    assert_int_equal(get16(f, PCI_COMMAND), PCI_COMMAND_MEMORY | PCI_COMMAND_NO_INTX);
    assert_int_equal(get16(f, MSIX + 2), PCI_MSIX_MASK_ALL | 9);
    assert_int_equal(get16(f, PCI_BAR + 6), 0xfebf);
    assert_int_equal(get16(f, EXP + 8), 0x2810);
    assert_int_equal(shown_count, 3);
    assert_true(is_shown(0xfebf1000, 0x1000) && is_shown(0x3800004000ull, 0x2000) &&
                is_shown(0x3800007000ull, 0x1000));
    unsigned writes = machine.writes;
    assert_int_equal(service_host_claim(NIC), 0);
    assert_int_equal(machine.writes, writes);
    assert_int_equal(service_host_master(NIC, 2), -EINVAL);
    assert_int_equal(service_host_master(NIC, 1), 0);
    assert_int_equal(get16(f, PCI_COMMAND), 0x406);
    assert_int_equal(service_host_master(NIC, 0), 0);
    assert_int_equal(get16(f, PCI_COMMAND), 0x402);
    /* Two BARs in one page are shown as one. */
    assert_int_equal(service_host_claim(SHARER), 0);
    assert_int_equal(shown_count, 4);
    assert_true(is_shown(0xfeba0000, 0x1000));
}

static void test_refused(void **state) {
    (void)state;
    no_device = 0xfebf1800;
    assert_int_equal(service_host_claim(NIC), -EINVAL);
    assert_true(logged("PCI 0000:00:01.0: registers at 0xfebf1000 are where the machine has something else"));
    no_device = 0x3800006000ull; /* also behind the table */
    assert_int_equal(service_host_claim(NIC), -EINVAL);
    no_device = UINT64_MAX;
    /* Another's. */
    struct pci_range *range = (struct pci_range *)host_pci_get(6)->range;
    uint64_t address = range[0].address;
    range[0].address = 0xfebc0800;
    assert_int_equal(service_host_claim(POLLED), -EINVAL);
    assert_true(logged("0000:00:05.0: registers at 0xfebc0000 share a page with those of 0000:00:06.0"));
    range[0].address = address;
    /* It is gone, or is another. */
    put(nic, PCI_VENDOR, 4, UINT32_MAX);
    assert_int_equal(service_host_claim(NIC), -EINVAL);
    assert_true(logged("does not answer as it did"));
    put(nic, PCI_VENDOR, 4, 0x10411af4);
    nic->writable[PCI_BAR + 6] = 0;
    put(nic, PCI_BAR + 4, 4, 0);
    assert_int_equal(service_host_claim(NIC), -EINVAL);
    put(nic, PCI_BAR + 4, 4, 0xfebf1000);
    nic->writable[PCI_BAR + 6] = 0xff;
    show_error = -ENOMEM;
    assert_int_equal(service_host_claim(NIC), -EINVAL);
    assert_true(logged("cannot be shown to the service VM (-12)"));
    show_error = 0;
    assert_int_equal(shown_count, 0);
    assert_int_equal(service_host_master(NIC, 1), -ENOENT);
    assert_int_equal(get16(nic, PCI_COMMAND) & 7, 0);
    assert_int_equal(service_host_claim(NIC), 0);
}

static void test_msix(void **state) {
    (void)state;
    assert_int_equal(service_host_claim(NIC), 0);
    assert_int_equal(service_host_vectors(NIC, 0), -EINVAL);
    assert_int_equal(service_host_vectors(NIC, 33), -EINVAL);
    assert_int_equal(service_host_vectors(NIC, UINT32_MAX), -EINVAL);
    memset(table, 0, sizeof(table));
    assert_int_equal(service_host_vectors(NIC, 3), 3);
    assert_int_equal(table_at, 0x3800006000ull);
    unsigned made = message_count;
    for (unsigned i = 0; i < 10; i++) {
        if (i < 3)
            assert_true(table[4 * i] == 0xfee00000 && table[4 * i + 1] == 1 && table[4 * i + 2] == 0x40 + i);
        assert_int_equal(table[4 * i + 3], i < 3 ? 0 : 1);
    }
    assert_int_equal(get16(nic, MSIX + 2), PCI_MSIX_ENABLE | 9);
    assert_int_equal(get16(nic, PCI_COMMAND), 0x402);
    message[2].handler(message[2].context);
    assert_int_equal(events, SERVICE_EVENT_PCI);
    assert_int_equal(board.pci_interrupts[0], 1u << NIC);
    assert_int_equal(board.pci_vectors[NIC], 1u << 2);
    assert_int_equal(service_host_unmask(NIC, 0), 0);
    assert_int_equal(unmasked, 0);
    /* Fewer: the others are nobody's any more. */
    events = 0;
    assert_int_equal(service_host_vectors(NIC, 1), 1);
    assert_int_equal(message_count, made);
    message[2].handler(message[2].context);
    assert_int_equal(events, 0);
    /* As many as there are. */
    message_room = made + 2;
    assert_int_equal(service_host_vectors(NIC, 32), made + 2);
    message_room = 64;
    assert_int_equal(service_host_vectors(NIC, 32), 10);
    /* After the run nothing comes. */
    service_host_release(false);
    message[0].handler(message[0].context);
    assert_int_equal(events, 0);
    assert_int_equal(board.pci_vectors[NIC] | board.pci_interrupts[0], 0);
}

static void test_msi(void **state) {
    (void)state;
    assert_int_equal(service_host_claim(DISK), 0);
    unsigned number = message_count;
    put(disk, MSI + 2, 2, 0x01f0); /* the firmware had it send several */
    assert_int_equal(service_host_vectors(DISK, 32), 1);
    assert_int_equal(get16(disk, MSI + 2), 0x0181);
    assert_int_equal(get16(disk, MSI + 6), 0xfee0);
    assert_int_equal(get16(disk, MSI + 8), 1);
    assert_int_equal(get16(disk, MSI + 12), 0x40 + number);
    message[number].handler(message[number].context);
    assert_int_equal(board.pci_vectors[DISK], 1);
    assert_int_equal(board.pci_interrupts[0], 1u << DISK);
    service_host_release(false);
    assert_int_equal(get16(disk, MSI + 2), 0x0180);
}

/* Behind an IOMMU. */
static void test_dma(void **state) {
    (void)state;
    dma_refused = true;
    assert_int_equal(service_host_claim(NIC), -EINVAL);
    assert_int_equal(shown_count, 0);
    assert_int_equal(service_host_master(NIC, 1), -ENOENT);
    dma_refused = false;
    assert_int_equal(service_host_claim(NIC), 0);
    /* Before it is a bus master; and until after it was one. */
    assert_true(attached_count == 1 && attached[0] == host_pci_get(1));
    assert_int_equal(service_host_claim(NIC), 0);
    assert_int_equal(attached_count, 1);
    dma_remaps = true;
    memset(table, 0, sizeof(table));
    assert_int_equal(service_host_vectors(NIC, 3), 3);
    assert_true(table[0] == 0xfee00010 && table[1] == 0 && table[2] == 0);
    assert_int_equal(service_host_vectors(NIC, 2), 2);
    assert_int_equal(dma_made, 3); /* they are kept in a run */
    dma_room = 4;
    assert_int_equal(service_host_vectors(NIC, 32), 4);
    assert_int_equal(service_host_master(NIC, 1), 0);
    machine.writes = 0;
    service_host_release(false);
    assert_int_equal(attached_count, 0);
    assert_int_equal(dma_forgotten, 4);
    assert_true(attached_write > written(nic, MSIX + 2, written(nic, PCI_COMMAND, 0)));
    test_time += 1000000000ull;
    put(nic, EXP + 8, 2, 0x2810);
    dma_remaps = false;
    assert_int_equal(service_host_claim(NIC), 0);
    assert_int_equal(service_host_vectors(NIC, 1), 1);
    assert_true(table[0] == 0xfee00000 && table[1] == 1); /* the plain one is as it was */
}

static void test_line(void **state) {
    (void)state;
    assert_int_equal(service_host_claim(PLAIN), 0);
    assert_int_equal(service_host_claim(SHARER), 0);
    assert_int_equal(service_host_vectors(PLAIN, 1), 0);
    assert_true(logged("PCI 0000:00:03.0: no interrupt of it can be used here: it is polled"));
    assert_int_equal(service_host_vectors(PLAIN, 1), 0);
    assert_false(logged("polled")); /* once */
    assert_int_equal(get16(plain, PCI_COMMAND), 0x402);
    line_number = 4;
    line.handler = NULL;
    assert_int_equal(service_host_vectors(PLAIN, 4), 1);
    assert_int_equal(get16(plain, PCI_COMMAND), 2);
    assert_int_equal(unmasked, 1);
    line.handler(line.context);
    assert_int_equal(board.pci_vectors[PLAIN], 1);
    assert_int_equal(board.pci_vectors[SHARER], 0);
    assert_int_equal(events, SERVICE_EVENT_PCI);
    assert_int_equal(service_host_unmask(PLAIN, 1), 0);
    assert_int_equal(unmasked, 2);
    assert_int_equal(service_host_unmask(SHARER, 1), 0);
    assert_int_equal(unmasked, 2);
    assert_int_equal(service_host_vectors(SHARER, 1), 1);
    line.handler(line.context);
    assert_int_equal(board.pci_vectors[SHARER], 1);
    service_host_release(false);
    events = 0;
    line.handler(line.context);
    assert_int_equal(events, 0);
    assert_int_equal(get16(plain, PCI_COMMAND), 0x400);
}

static bool other_holds; /* the line: what is not offered */

static bool holds(const struct function *f) {
    return (f->space[PCI_STATUS] & PCI_STATUS_INTX) && !(get16(f, PCI_COMMAND) & PCI_COMMAND_NO_INTX);
}

/* The line comes whenever it is open and held, and each time who hears of it looks at its device. `mine`:
 * every n-th time the first one has a reason; 0: never. How often it came, in an hour, so to speak. */
static unsigned storm(unsigned mine) {
    unsigned count = 0;

    unmasked = 1;
    while (unmasked && (other_holds || holds(plain) || holds(sharer)) && count < 100000) {
        static const unsigned both[] = {PLAIN, SHARER};
        board.pci_vectors[PLAIN] = board.pci_vectors[SHARER] = 0;
        unmasked = 0;
        line.handler(line.context);
        count++;
        for (unsigned i = 0; i < 2; i++)
            if (board.pci_vectors[both[i]])
                (void)service_host_unmask(both[i], i == 0 && mine && count % mine == 0);
    }
    return count;
}

static void two_on_a_line(void) {
    line_number = 4;
    other_holds = false;
    plain->space[PCI_STATUS] = sharer->space[PCI_STATUS] = 0;
    assert_int_equal(service_host_claim(PLAIN) | service_host_claim(SHARER), 0);
    assert_int_equal(service_host_vectors(PLAIN, 1), 1);
    assert_int_equal(service_host_vectors(SHARER, 1), 1);
    text[0] = 0;
}

/* A device that is broken holds the line: it loses its interrupt, the other one keeps its own. */
static void test_line_held(void **state) {
    (void)state;
    two_on_a_line();
    sharer->space[PCI_STATUS] = PCI_STATUS_INTX;
    assert_int_equal(storm(0), 4096);
    assert_non_null(strstr(text, "PCI 0000:00:04.0: holds its interrupt line without a reason"));
    assert_null(strstr(text, "00:03.0"));
    assert_true(logged("PCI 0000:00:04.0: it is polled"));
    assert_int_equal(get16(sharer, PCI_COMMAND), 0x402);
    assert_int_equal(service_host_unmask(SHARER, 0), -ENXIO);
    assert_int_equal(service_host_vectors(SHARER, 1), 0);
    assert_int_equal(get16(plain, PCI_COMMAND), 2);
    unmasked = 0;
    plain->space[PCI_STATUS] = PCI_STATUS_INTX;
    line.handler(line.context);
    plain->space[PCI_STATUS] = 0;
    assert_int_equal(board.pci_vectors[PLAIN], 1);
    assert_int_equal(service_host_unmask(PLAIN, 1), 0);
    assert_int_equal(unmasked, 1);
    /* The next run of the service VM tries it again. */
    sharer->space[PCI_STATUS] = 0;
    service_host_release(false);
    two_on_a_line();
    assert_int_equal(service_host_unmask(SHARER, 0), 0);
}

/* While the other one is at work; or what holds it is not known, or does not obey: then the line stays
 * masked. */
static void test_line_lost(void **state) {
    (void)state;
    two_on_a_line();
    sharer->space[PCI_STATUS] = PCI_STATUS_INTX;
    assert_in_range(storm(100), 4096, 6000);
    assert_true(logged("PCI 0000:00:04.0: holds"));
    service_host_release(false);
    two_on_a_line();
    other_holds = true;
    assert_int_equal(storm(0), 4096);
    assert_non_null(strstr(text, "PCI 0000:00:03.0: something holds its interrupt line"));
    assert_true(logged("PCI 0000:00:04.0: something holds its interrupt line"));
    assert_int_equal(service_host_unmask(PLAIN, 0), -ENXIO);
    assert_int_equal(service_host_unmask(SHARER, 1), -ENXIO);
    assert_int_equal(unmasked, 0);
    /* One that is at work all the time loses nothing. */
    service_host_release(false);
    two_on_a_line();
    plain->space[PCI_STATUS] = PCI_STATUS_INTX;
    assert_int_equal(storm(2), 100000);
    assert_int_equal(text[0], 0);
    plain->space[PCI_STATUS] = 0;
    assert_int_equal(service_host_unmask(PLAIN, 2), -EINVAL);
}

static void test_release(void **state) {
    (void)state;
    assert_int_equal(service_host_claim(NIC) | service_host_claim(DISK), 0);
    assert_int_equal(service_host_master(NIC, 1) | service_host_master(DISK, 1), 0);
    assert_int_equal(service_host_vectors(NIC, 1), 1);
    assert_int_equal(service_host_rest(), 0);
    board.pci_vectors[NIC] = board.pci_interrupts[0] = UINT32_MAX;
    machine.writes = 0;
    service_host_release(false);
    /* Mastering off, of all, is first; then messages; then the reset. */
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(machine.write[i].offset, PCI_COMMAND);
        assert_int_equal(machine.write[i].value, 0x402);
        assert_int_equal(machine.write[i].devfn, i ? disk->devfn : nic->devfn);
    }
    unsigned messages = written(nic, MSIX + 2, 2);
    assert_int_equal(machine.write[messages].value, PCI_MSIX_MASK_ALL);
    unsigned off = written(nic, PCI_COMMAND, messages);
    assert_int_equal(machine.write[off].value, 0x400);
    unsigned reset = written(nic, EXP + 8, off);
    assert_int_equal(machine.write[reset].value, 0x2810 | PCI_EXPRESS_RESET);
    written(disk, MSI + 2, 2);
    put(nic, EXP + 8, 2, 0); /* so it was */
    assert_int_equal(get16(disk, PCI_COMMAND), 0x400);
    assert_int_equal(board.pci_vectors[NIC], 0);
    assert_int_equal(board.pci_interrupts[0], UINT32_MAX & ~3u);
    assert_int_equal(shown_count, 0);
    assert_int_equal(service_host_master(NIC, 1), -ENOENT);
    /* It takes its time; then it is as it was. */
    assert_int_equal(service_host_rest(), 100000000);
    test_time += 99999999;
    assert_int_equal(service_host_rest(), 1);
    assert_int_equal(service_host_claim(NIC), -EINVAL);
    test_time++;
    assert_int_equal(service_host_rest(), 0);
    assert_int_equal(service_host_claim(NIC), 0);
    /* One that is not claimed is not touched. */
    machine.writes = 0;
    service_host_release(false);
    for (unsigned i = 0; i < machine.writes; i++)
        assert_int_equal(machine.write[i].devfn, nic->devfn);
    put(nic, EXP + 8, 2, 0x2810);
}

/* The machine ends: the last test. */
static void test_last(void **state) {
    (void)state;
    assert_int_equal(service_host_claim(NIC), 0);
    assert_int_equal(service_host_master(NIC, 1), 0);
    machine.writes = 0;
    service_host_release(true);
    assert_int_equal(get16(nic, PCI_COMMAND), 0x400);
    for (unsigned i = 0; i < machine.writes; i++)
        assert_int_not_equal(machine.write[i].offset, EXP + 8);
    assert_int_equal(service_host_rest(), 0);
    assert_int_equal(service_host_master(NIC, 1), -ENOENT);
    assert_int_equal(service_host_claim(NIC), -EBUSY);
    assert_int_equal(get16(nic, PCI_COMMAND), 0x400);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_offer),     TEST(test_unclaimed), TEST(test_claim),   TEST(test_refused),
        TEST(test_msix),      TEST(test_msi),       TEST(test_dma),     TEST(test_line),
        TEST(test_line_held), TEST(test_line_lost), TEST(test_release), TEST(test_last),
    };
    return cmocka_run_group_tests(tests, machine_setup, NULL);
}
