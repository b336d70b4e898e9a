// SPDX-License-Identifier: Apache-2.0
// The service VM as the hypervisor makes it: board, windows, files and memory of disks over the real guest
// memory; and what it is told of guests.
// unit-sources: core/service.c core/guest_memory.c core/guest_regions.c core/memory.c core/heap.c lib/config_iommu.c
#include "service_host_fixture.h"

static void add_disk(const char *name, const char *file, uint64_t memory) {
    config.disks[config.disk_count++] = (struct config_disk){.name = name, .file = file, .memory = memory};
}

static int changed_error;

static int changed(struct vm *vm, const struct guest_region *region, bool present) {
    (void)vm;
    (void)region;
    (void)present;
    return changed_error;
}

/* The whole of [gpa, gpa + size) shows physical memory at `physical`. */
static void shows(uint64_t gpa, uint64_t size, uint64_t physical, enum guest_region_kind expected) {
    for (uint64_t at = 0; at < size; at += K4) {
        uint64_t found;
        enum guest_region_kind kind;
        assert_int_equal(guest_memory_translate(&machine, gpa + at, &found, NULL, &kind), 0);
        assert_int_equal(found, physical + at);
        assert_int_equal(kind, expected);
    }
    assert_int_equal(guest_memory_translate(&machine, gpa + size, NULL, NULL, NULL), -EFAULT);
}

/* ---- making it */

static void test_none(void **state) {
    (void)state;
    create_error = -ENOTSUP;
    assert_int_equal(service_create(&config, blob, sizeof(blob)), -ENOTSUP);
    assert_true(logged("this CPU cannot run it (-95); there is no prompt"));
    assert_null(service_vm());
    assert_int_equal(service_show_guests(), 0);
    assert_int_equal(service_restart(), -ENODEV);
    service_start(ready);
    assert_int_equal(readies, 1);
    assert_int_equal(started, 0);
    /* Guests do not ask whether there is one. */
    service_guest_memory(&guests[1]);
    service_guest_reset(&guests[1]);
    service_guest_changed(&guests[1]);
    assert_true(service_guest_settled(&guests[1]));
    assert_int_equal(devices_reset, 0);
}

static void test_board(void **state) {
    uint8_t copy[sizeof(blob)];
    (void)state;
    struct service_board *board = create();
    assert_string_equal(asked.name, "(service)");
    assert_int_equal(asked.memory, 16 * MIB);
    assert_int_equal(asked.vcpus, 1);
    assert_int_equal(asked.cpus, 5);
    assert_int_equal(asked.budget, 3000);
    assert_int_equal(asked.period, 10000);
    assert_true(asked.priority > CONFIG_MAX_PRIORITY);
    assert_int_equal(asked.restart, CONFIG_RESTART_ALWAYS);
    assert_int_equal(board->magic, SERVICE_MAGIC);
    assert_int_equal(board->version, SERVICE_VERSION);
    assert_int_equal(board->size, 2 * MIB);
    assert_true(board->record_offset >= sizeof(*board));
    assert_true(board->record_offset + SERVICE_MAX_DEVICES * SERVICE_RECORD_SIZE <= board->size);
    assert_int_equal(board->clock_base, 0x123456789);
    assert_int_equal(board->clock_multiplier, 0xabcdef);
    assert_int_equal(board->events | board->starts | board->file_count | board->vm_count, 0);
    assert_int_equal(service.memory, machine.memory.block[0]);
    shows(service.board_physical, 2 * MIB, arch_heap_physical(board), GUEST_SHOWN);
    assert_int_equal(service.board_physical, arch_heap_physical(board));
    /* The config, which it cannot change. */
    assert_int_equal(board->config_size, sizeof(blob));
    assert_int_equal(guest_read(&machine, board->config, copy, sizeof(copy)), 0);
    assert_memory_equal(copy, blob, sizeof(blob));
    shows(board->config, 4 * K4, board->config, GUEST_SHOWN_READ);
    assert_true(logged("service VM: 16 MiB at 0x"));
}

static void test_disks(void **state) {
    uint8_t byte;
    (void)state;
    add_disk("root", "disk.img", 0);
    add_disk("scratch", NULL, 3 * MIB);
    add_disk("copy", "disk.img", 0);
    add_disk("far", "far.img", 0);
    add_disk("swap", NULL, 2 * MIB);
    add_disk("b", "b.img", 0);
    add_disk("nvme", NULL, 0); /* the machine's: it takes no memory and no place in the board */
    config.disks[config.disk_count - 1].device = "01:00.0";
    struct service_board *board = create();
    static const char *const names[] = {"disk.img", ":scratch", "far.img", ":swap", "b.img"};
    static const uint64_t sizes[] = {2 * K4 + 100, 3 * MIB, 3 * K4, 2 * MIB, K4};
    assert_int_equal(board->file_count, array_count(names)); /* a file is there once */
    for (unsigned i = 0; i < array_count(names); i++) {
        assert_string_equal(board->file[i].name, names[i]);
        assert_int_equal(board->file[i].size, sizes[i]);
    }
    const struct service_file *file = board->file;
    /* Files are where they are; the last page counts whole. */
    assert_int_equal(file[0].address, 56 * MIB);
    assert_int_equal(file[0].dma, 56 * MIB);
    shows(56 * MIB, 3 * K4, 56 * MIB, GUEST_SHOWN);
    shows(60 * MIB, K4, 60 * MIB, GUEST_SHOWN);
    assert_int_equal(file[2].dma, 5 * GIB + K4);
    shows(5 * GIB + K4, 3 * K4, 5 * GIB + K4, GUEST_SHOWN);
    /* Memory lies above all that is at its own address, and is zero. */
    assert_int_equal(file[1].address, 4 * GIB);
    assert_int_equal(file[1].dma, UINT64_MAX);
    assert_int_equal(file[3].address, 5 * GIB + 2 * MIB);
    for (unsigned i = 1; i <= 3; i += 2) {
        uint64_t whole = (file[i].size + 2 * MIB - 1) & ~(2 * MIB - 1), physical;
        for (uint64_t at = 0; at < whole; at += K4 - 1) {
            assert_int_equal(guest_read(&machine, file[i].address + at, &byte, 1), 0);
            assert_int_equal(byte, 0);
        }
        assert_int_equal(guest_read(&machine, file[i].address + whole, &byte, 1), -EFAULT);
        assert_int_equal(guest_memory_translate(&machine, file[i].address, &physical, NULL, NULL), 0);
        memset(arena.memory + physical, 0x77, K4); /* of nobody else */
    }
    for (unsigned i = 0; i < GUESTS; i++)
        for (uint64_t at = 0; at < guests[i].memory.size; at += K4) {
            assert_int_equal(guest_read(&guests[i], at, &byte, 1), 0);
            assert_int_equal(byte, 0);
        }
    /* Windows of guests come behind. */
    assert_int_equal(service_show_guests(), 0);
    assert_int_equal(board->vm[1].window, 5 * GIB + 4 * MIB);
}

/* Memory for overlays is one more such file, behind those of the disks. */
static void test_overlays(void **state) {
    uint8_t byte = 1;
    (void)state;
    add_disk("swap", NULL, 2 * MIB);
    config.service.overlay_memory = 4 * MIB;
    struct service_board *board = create();
    assert_int_equal(board->file_count, 2);
    const struct service_file *file = &board->file[1];
    assert_string_equal(file->name, SERVICE_OVERLAYS);
    assert_int_equal(file->size, 4 * MIB);
    assert_int_equal(file->address, 4 * GIB + 2 * MIB);
    assert_int_equal(file->dma, UINT64_MAX);
    for (uint64_t at = 0; at < 4 * MIB; at += K4 - 1) {
        assert_int_equal(guest_read(&machine, file->address + at, &byte, 1), 0);
        assert_int_equal(byte, 0);
    }
    assert_int_equal(guest_read(&machine, file->address + 4 * MIB, &byte, 1), -EFAULT);
}

/* And what guests tell their IOMMUs is another. */
static void test_iommus(void **state) {
    (void)state;
    config.guest_count = 3;
    config.guests[0].iommu = config.guests[2].iommu = CONFIG_IOMMU_VIRTIO;
    config.service.overlay_memory = 4 * MIB;
    struct service_board *board = create();
    assert_int_equal(board->file_count, 2);
    assert_string_equal(board->file[1].name, SERVICE_IOMMUS);
    assert_int_equal(board->file[1].size, 2 * SERVICE_IOMMU_SIZE);
    assert_int_equal(board->file[1].address, 4 * GIB + 4 * MIB);
}

static void refused(int error, const char *line) {
    assert_int_equal(service_create(&config, blob, sizeof(blob)), error);
    assert_null(service_vm());
    assert_true(logged(line));
    /* The machine goes on without it. */
    service_start(ready);
    assert_int_equal(readies, 1);
}

static void test_no_machine(void **state) {
    (void)state;
    create_error = -ENOMEM;
    refused(-ENOMEM, "the service VM cannot be made: not enough memory below 4 GiB (-12)");
}
static void test_no_file(void **state) {
    (void)state;
    add_disk("root", "missing.img", 0);
    refused(-ENOENT, "disk root: its file is not there");
}
static void test_no_memory_for_disk(void **state) {
    (void)state;
    add_disk("swap", NULL, 64 * MIB);
    refused(-ENOMEM, "disk swap: not enough memory");
}
static void test_no_memory_for_overlays(void **state) {
    (void)state;
    config.service.overlay_memory = 64 * MIB;
    refused(-ENOMEM, "overlays: not enough memory");
}
static void test_no_memory_for_iommus(void **state) {
    (void)state;
    config.guest_count = 1;
    config.guests[0].iommu = CONFIG_IOMMU_VIRTIO;
    config.service.overlay_memory = 16 * MIB;
    refused(-ENOMEM, "guests' IOMMUs: not enough memory");
}
static void test_no_heap(void **state) {
    (void)state;
    arena.map_left = 0; /* the board does not fit into what the heap has */
    refused(-ENOMEM, "the service VM cannot be made");
}
static void test_long_config(void **state) {
    (void)state;
    static uint8_t lengthy[2 * MIB + 1];
    assert_int_equal(service_create(&config, lengthy, sizeof(lengthy)), -ENOMEM);
    assert_null(service_vm());
}
static void test_not_shown(void **state) {
    (void)state;
    machine.memory.changed = changed;
    create();
    changed_error = -ENOMEM;
    assert_int_equal(service_show_guests(), -ENOMEM);
    changed_error = 0;
    assert_true(logged("guest guest1: the service VM cannot be shown its memory (-12)"));
    assert_int_equal(service.board->vm[1].served, 0);
}

static void test_console_not_made(void **state) {
    (void)state;
    guest_configs[2].virtio_console = 1;
    create();
    assert_int_equal(service_show_guests(), 0);
    assert_int_equal(consoles_made, 1);
    console_error = -ENOMEM;
    assert_int_equal(service_show_guests(), -ENOMEM);
    assert_true(logged("guest guest2: its virtio console cannot be made (-12)"));
}

/* ---- guests */

static void test_windows(void **state) {
    (void)state;
    struct service_board *board = create();
    assert_int_equal(service_show_guests(), 0);
    assert_int_equal(board->vm_count, GUESTS);
    uint64_t at = 4 * GIB;
    for (unsigned i = 0; i < GUESTS; i++) {
        const struct service_vm *entry = &board->vm[i];
        assert_string_equal(entry->name, guests[i].name);
        assert_int_equal(entry->vcpus, i + 1);
        assert_int_equal(entry->served, i != 0); /* it has no device that is served */
        assert_int_equal(entry->sequence & 1, 0);
        assert_int_equal(entry->state, SERVICE_VM_OFF);
        if (!i) {
            assert_int_equal(entry->window | entry->window_size | entry->ram_count, 0);
            continue;
        }
        assert_int_equal(entry->window, at);
        assert_int_equal(entry->window_size, guests[i].memory.size);
        at += entry->window_size;
        assert_int_equal(entry->ram_count, 1);
        /* Where the guest has it, the window has it. */
        uint32_t mark = 0x1000 + i, found;
        assert_int_equal(guest_write(&guests[i], 3 * MIB + 8, &mark, 4), 0);
        assert_int_equal(guest_read(&machine, entry->window + 3 * MIB + 8, &found, 4), 0);
        assert_int_equal(found, mark);
        enum guest_region_kind kind;
        assert_int_equal(guest_memory_translate(&machine, entry->window, NULL, NULL, &kind), 0);
        assert_int_equal(kind, GUEST_SHOWN);
    }
    assert_int_equal(guest_memory_translate(&machine, at, NULL, NULL, NULL), -EFAULT);
}

/* Windows and memory of disks keep out of the way of registers. */
static void test_registers(void **state) {
    (void)state;
    bar_base = 4 * GIB + 3 * MIB;
    bar_end = bar_base + K4;
    add_disk("spare", NULL, MIB);
    struct service_board *board = create();
    assert_int_equal(service_show_guests(), 0);
    assert_int_equal(board->file[0].address, 4 * GIB);
    assert_int_equal(board->vm[1].window, 4 * GIB + 4 * MIB);
    assert_int_equal(board->vm[2].window, 4 * GIB + 10 * MIB);
}

/* It is offered the machine's functions if the config names one. */
static void test_offered(void **state) {
    (void)state;
    config.network_count = 2;
    add_disk("spare", NULL, MIB);
    create();
    assert_int_equal(offered, 0);
    assert_int_equal(teardown(state) | setup(state), 0);
    config.network_count = 2;
    config.networks[1].uplink = "52:54:00:12:34:56";
    create();
    assert_int_equal(offered, 1);
    assert_int_equal(teardown(state) | setup(state), 0);
    add_disk("spare", NULL, 0);
    config.disks[0].device = "serial:1";
    assert_int_equal(create()->file_count, 0); /* it holds itself what it holds */
    assert_int_equal(offered, 1);
}

static void test_serves(void **state) {
    (void)state;
    struct config_guest *guest = &guest_configs[0];
    uint32_t *const reasons[] = {&guest->net_count,      &guest->disk_count, &guest->entropy,
                                 &guest->virtio_console, &guest->balloon,    &guest->iommu};
    assert_false(service_serves(&guests[0]));
    for (unsigned i = 0; i < array_count(reasons); i++) {
        *reasons[i] = 1;
        assert_true(service_serves(&guests[0]));
        *reasons[i] = 0;
    }
}

static void place(uint64_t base, uint64_t size, uint64_t offset, enum guest_region_kind kind) {
    assert_int_equal(guest_memory_place(&guests[1], base, size, offset, kind), 0);
}

static void is_ram(unsigned index, uint64_t base, uint64_t size, uint64_t offset) {
    const struct service_ram *ram = &service.board->vm[1].ram[index];
    assert_int_equal(ram->base, base);
    assert_int_equal(ram->size, size);
    assert_int_equal(ram->offset, offset);
}

static void test_holes(void **state) {
    (void)state;
    struct service_board *board = create();
    struct service_vm *entry = &board->vm[1];
    assert_int_equal(service_show_guests(), 0);
    assert_int_equal(guest_memory_remove(&guests[1], 0, 6 * MIB), 0);
    place(0, 0xa0000, 0, GUEST_RAM);
    place(0xc0000, 0x40000, 0xc0000, GUEST_ROM);
    place(0x100000, 1 * MIB, 0x100000, GUEST_RAM);
    place(0x200000, 1 * MIB, 0x200000, GUEST_RAM); /* the same piece, for who uses it */
    place(0x300000, K4, 0xa0000, GUEST_RAM);       /* beside it here, not in its window */
    place(4 * GIB, 3 * MIB, 0x300000, GUEST_RAM);
    uint32_t sequence = entry->sequence;
    service_guest_memory(&guests[1]);
    assert_int_equal(entry->sequence, sequence + 2);
    assert_int_equal(entry->ram_count, 4);
    is_ram(0, 0, 0xa0000, 0);
    is_ram(1, 0x100000, 2 * MIB, 0x100000);
    is_ram(2, 0x300000, K4, 0xa0000);
    is_ram(3, 4 * GIB, 3 * MIB, 0x300000);
    assert_int_equal(service.lock.next, service.lock.owner);
    assert_int_equal(guests[1].memory.lock.next, guests[1].memory.lock.owner);
    /* More than the board has room for. */
    assert_int_equal(guest_memory_remove(&guests[1], 0, 8 * GIB), 0);
    for (unsigned i = 0; i < SERVICE_MAX_REGIONS + 4; i++)
        place(i * 2 * K4, K4, i * K4, GUEST_RAM);
    uint64_t behind = entry[1].window;
    memset(entry[1].name, 0x5a, sizeof(entry[1].name));
    service_guest_memory(&guests[1]);
    assert_int_equal(entry->ram_count, SERVICE_MAX_REGIONS);
    is_ram(15, 30 * K4, K4, 15 * K4);
    for (unsigned i = 0; i < sizeof(entry[1].name); i++)
        assert_int_equal(entry[1].name[i], 0x5a);
    assert_int_equal(entry[1].window, behind);
    /* Not those that it does not see, and not itself. */
    service_guest_memory(&guests[0]);
    assert_int_equal(board->vm[0].ram_count, 0);
    machine.id = 0;
    machine.config = &guest_configs[1];
    service_guest_memory(&machine);
    assert_int_equal(board->vm[0].sequence, 0);
}

static void test_guest_state(void **state) {
    (void)state;
    struct service_board *board = create();
    struct service_vm *entry = &board->vm[1];
    static const struct {
        enum vm_state state;
        enum service_vm_state seen;
    } rows[] = {{VM_RUNNING, SERVICE_VM_RUNNING},
                {VM_PAUSED, SERVICE_VM_PAUSED},
                {VM_STOPPING, SERVICE_VM_OFF},
                {VM_RUNNING, SERVICE_VM_RUNNING},
                {VM_OFF, SERVICE_VM_OFF}};
    for (unsigned i = 0; i < array_count(rows); i++) {
        board->vms_changed = board->events = 0;
        guests[1].state = rows[i].state;
        service_guest_changed(&guests[1]);
        assert_int_equal(entry->state, rows[i].seen);
        assert_int_equal(entry->sequence, 2 * (i + 1));
        assert_int_equal(board->vms_changed, 2);
        assert_int_equal(board->events, SERVICE_EVENT_VM);
    }
    /* Resets are counted here, whatever the service VM has written there. */
    board->vms_changed = board->events = 0;
    entry->resets = 0x99;
    for (unsigned i = 1; i <= 2; i++) {
        service_guest_reset(&guests[1]);
        assert_int_equal(entry->resets, i);
        assert_int_equal(devices_reset, i);
    }
    assert_int_equal(entry->sequence, 2 * (array_count(rows) + 2));
    assert_int_equal(board->vms_changed, 2);
    assert_int_equal(board->events, SERVICE_EVENT_VM);
    assert_int_equal(service.lock.next, service.lock.owner);
    /* Nobody tells it of itself. */
    board->vms_changed = 0;
    service_guest_changed(&machine);
    service_guest_reset(&machine);
    assert_int_equal(board->vms_changed, 0);
    assert_int_equal(devices_reset, 2);
}

static void test_logged(void **state) {
    (void)state;
    service_guest_logged(&guests[1], true); /* nobody to be told */
    struct service_board *board = create();
    service_guest_logged(&guests[1], true);
    assert_true(board->vm[1].logged && !board->vm[0].logged);
    service_guest_logged(&machine, true); /* not of itself */
    service_guest_logged(&guests[1], false);
    assert_false(board->vm[1].logged || board->vm[0].logged);
}

static void test_settled(void **state) {
    (void)state;
    struct service_board *board = create();
    struct vm *vm = &guests[1];
    test_time += 100 * SECOND;
    service_guest_reset(vm);
    assert_true(service_guest_settled(vm)); /* it has no devices yet */
    service.ready_said = 1;
    machine.state = VM_RUNNING;
    assert_false(service_guest_settled(vm));
    board->vm_settled[1] = 1;
    assert_true(service_guest_settled(vm));
    service_guest_reset(vm);
    assert_false(service_guest_settled(vm));
    board->vm_settled[0] = board->vm_settled[2] = 2; /* others' */
    board->vm[1].resets = 1;                         /* nothing there counts */
    assert_false(service_guest_settled(vm));
    assert_true(service_guest_settled(&machine));
    test_time += 100 * SECOND;
    assert_false(service_guest_settled(vm));
    test_time += 1; /* long enough: but it may still be written there */
    assert_false(service_guest_settled(vm));
    service_guest_waits(vm);
    assert_int_equal(crashes, 0);
    service.unsettled_said[1] = service.resets[1];
    service_settle();
    assert_int_equal(crashes, 1);
    machine.end = VM_END_CRASH;
    service_settle();
    assert_int_equal(crashes, 1);
    machine.end = VM_END_NONE;
    machine.state = VM_OFF; /* nobody writes there */
    assert_true(service_guest_settled(vm));
    machine.state = VM_RUNNING;
    assert_false(service_guest_settled(vm));
    service.starts++; /* it was started anew, and knows nothing of that memory */
    assert_true(service_guest_settled(vm));
    service.unsettled = 0;
    service_guest_reset(vm); /* that time from here on, whenever the guest was started */
    assert_false(service_guest_settled(vm));
    /* Its vCPU is woken when it is; a line says that it waits long. */
    service_guest_waits(vm);
    static struct vcpu first;
    vm->vcpu[0] = &first;
    guest_woken = NULL;
    service_settle();
    assert_false(logged("its start waits"));
    test_time += 3 * SECOND;
    service_settle();
    assert_true(logged("its start waits"));
    service_settle();
    assert_false(logged("its start waits"));
    assert_null(guest_woken);
    board->vm_settled[1] = 3;
    assert_true(service_guest_settled(vm));
    service_settle();
    assert_ptr_equal(guest_woken, &first);
    guest_woken = NULL;
    service_settle();
    assert_null(guest_woken);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_none),
        TEST(test_board),
        TEST(test_disks),
        TEST(test_overlays),
        TEST(test_no_memory_for_overlays),
        TEST(test_iommus),
        TEST(test_no_memory_for_iommus),
        TEST(test_no_machine),
        TEST(test_no_file),
        TEST(test_no_memory_for_disk),
        TEST(test_no_heap),
        TEST(test_long_config),
        TEST(test_not_shown),
        TEST(test_console_not_made),
        TEST(test_windows),
        TEST(test_registers),
        TEST(test_offered),
        TEST(test_serves),
        TEST(test_holes),
        TEST(test_guest_state),
        TEST(test_logged),
        TEST(test_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
