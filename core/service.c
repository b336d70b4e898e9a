// SPDX-License-Identifier: Apache-2.0
// The service VM's life: its memory, the board and the windows, start, restart, and a watch over it; and what
// it is told of its guests.
#include "core/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/main.h"
#include "core/sched.h"
#include "core/service_internal.h"
#include "lib/config.h"
#include "lib/image.h"

#define BOARD_ORDER   9u /* 2 MiB: the board and its records */
#define RECORD_OFFSET 0x20000u
#define LIMIT         (1ull << 32) /* its memory lies below: devices of 32 bits reach it */
#define WINDOWS       (1ull << 32) /* the first window's address at the earliest */
#define READY_TIME    (10 * 1000000000ull)
#define SETTLE_TIME   (100 * 1000000000ull) /* longer than a driver waits for most disks, twice */
#define SETTLE_SAID   2000000000ull         /* when a guest's wait for it is worth a line */
#define WATCH_PERIOD  1000000000ull
#define WATCH_LIMIT   3000000000ull /* ns of CPU time without SERVICE_CALL_WAIT */

_Static_assert(sizeof(struct service_board) <= RECORD_OFFSET, "the records lie behind the board");
_Static_assert(RECORD_OFFSET + SERVICE_MAX_DEVICES * SERVICE_RECORD_SIZE <= PAGE_SIZE << BOARD_ORDER,
               "the board has room for all records");
_Static_assert(VM_MAX == SERVICE_MAX_VMS && VM_MAX_VCPUS == SERVICE_MAX_VCPUS, "as the board has room for");

struct service service;

static struct config_guest self;
static void (*start_guests)(void);

struct vm *service_vm(void) {
    return service.vm;
}

/* It is watched while it runs. Any CPU. */
static void watch_begin(void) {
    if (!__atomic_load_n(&service.watched, __ATOMIC_RELAXED) &&
        !__atomic_exchange_n(&service.watched, 1, __ATOMIC_SEQ_CST))
        timer_arm(&service.watch, time_now() + WATCH_PERIOD);
}

/* ---- events */

bool service_has_event(void) {
    return __atomic_load_n(&service.board->events, __ATOMIC_ACQUIRE) != 0 || time_now() >= service.wake_at;
}

void service_event(uint32_t events) {
    __atomic_fetch_or(&service.board->events, events, __ATOMIC_SEQ_CST);
    struct vcpu *vcpu = service.vm->vcpu[0];
    /* One that runs looks at the events before it sleeps; in this order, see sched_put(). */
    if (__atomic_load_n(&vcpu->state, __ATOMIC_SEQ_CST) != VCPU_BLOCKED)
        return;
    watch_begin();
    sched_wake(vcpu);
}

static void wake(struct timer *timer) {
    (void)timer;
    watch_begin();
    sched_wake(service.vm->vcpu[0]);
}

/* ---- readiness, and the watch */

static void ready_work(struct work *work) {
    (void)work;
    void (*ready)(void) = start_guests;

    start_guests = NULL;
    if (ready)
        ready();
}

void service_say_ready(void) {
    if (!__atomic_exchange_n(&service.ready_said, 1, __ATOMIC_ACQ_REL))
        work_queue(cpu_get(0), &service.ready_work);
}

void service_settle(void) {
    for (uint32_t left = __atomic_load_n(&service.unsettled, __ATOMIC_SEQ_CST); left; left &= left - 1) {
        unsigned number = (unsigned)__builtin_ctz(left);
        struct vm *vm = vm_get(number);
        if (service_guest_settled(vm)) {
            __atomic_fetch_and(&service.unsettled, ~(1u << number), __ATOMIC_SEQ_CST);
            sched_wake(vm->vcpu[0]);
        } else if (time_now() - service.reset_at[number] > SETTLE_SAID &&
                   service.unsettled_said[number] != service.resets[number]) {
            service.unsettled_said[number] = service.resets[number];
            log_warning("guest %s: its start waits for what its disks still do for the last one", vm->name);
        } else if (time_now() - service.reset_at[number] > SETTLE_TIME && service.vm->end == VM_END_NONE) {
            vm_crash(service.vm->vcpu[0],
                     "a disk of guest %s has not finished for %u s, and the guest is to start", vm->name,
                     (unsigned)(SETTLE_TIME / 1000000000ull));
        }
    }
}

/* Whether nothing can go wrong before the next event. */
static bool sleeps(const struct vcpu *vcpu) {
    return service.ready_said && __atomic_load_n(&vcpu->state, __ATOMIC_SEQ_CST) == VCPU_BLOCKED &&
           vcpu->hold == VCPU_HOLD_EVENT && !service_has_event() &&
           !__atomic_load_n(&service.unsettled, __ATOMIC_SEQ_CST);
}

static void watch(struct timer *timer) {
    struct vcpu *vcpu = service.vm->vcpu[0];
    uint32_t calls = __atomic_load_n(&service.calls, __ATOMIC_RELAXED);
    uint64_t used = sched_run_time(vcpu);

    if (!service.ready_said && time_now() - service.begun > READY_TIME) {
        log_error("the service VM is not ready after %u s: %s", (unsigned)(READY_TIME / 1000000000ull),
                  start_guests ? "guests start without its devices" : "there is no prompt");
        service_say_ready();
    }
    if (calls != service.calls_seen) {
        service.calls_seen = calls;
        service.time_seen = used;
    } else if (vcpu->hold == VCPU_HOLD_NONE && used - service.time_seen > WATCH_LIMIT) {
        service.time_seen = used;
        vm_crash(vcpu, "does not come back to its events");
    }
    service_settle();
    if (sleeps(vcpu)) {
        __atomic_store_n(&service.watched, 0, __ATOMIC_SEQ_CST);
        /* It may have been woken meanwhile, by who found it watched. */
        if (sleeps(vcpu) || __atomic_exchange_n(&service.watched, 1, __ATOMIC_SEQ_CST))
            return;
    }
    timer_arm(timer, time_now() + WATCH_PERIOD);
}

/* ---- making it */

static int show(uint64_t base, uint64_t size, const struct guest_memory *of, uint64_t physical,
                bool writable) {
    const struct guest_foreign foreign = {
        .base = base, .size = size, .of = of, .physical = physical, .writable = writable};
    return guest_memory_show(service.vm, &foreign);
}

/* A copy of the config, read-only for it. */
static int show_config(const void *blob, size_t size) {
    unsigned order = 0;

    while (PAGE_SIZE << order < size)
        order++;
    if (order > BOARD_ORDER)
        return -ENOMEM;
    void *copy = heap_pages(order, &service.vm->memory.account);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, blob, size);
    service.board->config = arch_heap_physical(copy);
    service.board->config_size = (uint32_t)size;
    return show(service.board->config, PAGE_SIZE << order, NULL, service.board->config, false);
}

static uint64_t round_up(uint64_t address) {
    return (address + LARGE_PAGE_SIZE - 1) & ~(LARGE_PAGE_SIZE - 1);
}

/* For `size` bytes, above all that is shown so far, and where no register of a device will be. */
static uint64_t free_place(uint64_t size) {
    uint64_t at = WINDOWS, end;

    for (uint32_t i = 0; i < service.vm->memory.foreign_count; i++) {
        const struct guest_foreign *foreign = &service.vm->memory.foreign[i];
        if (foreign->base + foreign->size > at)
            at = round_up(foreign->base + foreign->size);
    }
    while (service_host_overlap(at, size, &end))
        at = round_up(end);
    return at;
}

static struct service_file *add_file(const char *prefix, const char *name, uint64_t size) {
    struct service_file *entry = &service.board->file[service.board->file_count++];

    snprintf(entry->name, sizeof(entry->name), "%s%s", prefix, name);
    entry->size = size;
    return entry;
}

/* A file of a disk's, once. */
static int show_file(const struct config_disk *disk) {
    const struct boot_file *file = boot_file_find(disk->file);

    if (!file)
        return -ENOENT;
    for (uint32_t i = 0; i < service.board->file_count; i++)
        if (!strcmp(service.board->file[i].name, disk->file))
            return 0;
    struct service_file *entry = add_file("", disk->file, file->size);
    entry->address = entry->dma = file->address;
    return show(file->address, (file->size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1), NULL, file->address, true);
}

/* Memory of a disk's own, for overlays, or for IOMMUs: it outlives the service VM's own. */
static int show_memory(const char *prefix, const char *name, uint64_t size) {
    /* It is kept as a VM's memory is, without a VM. */
    struct vm *holder = heap_allocate(sizeof(*holder), NULL);

    if (!holder || guest_memory_create(holder, size))
        return -ENOMEM;
    guest_memory_scrub(holder);
    struct service_file *entry = add_file(prefix, name, size);
    entry->address = free_place(holder->memory.size);
    entry->dma = UINT64_MAX;
    return show(entry->address, holder->memory.size, &holder->memory, 0, true);
}

/* What else outlives the service VM. */
static int show_kept(const struct config *config) {
    const struct {
        const char *name, *what;
        uint64_t size;
    } kept[] = {{SERVICE_OVERLAYS, "overlays", config->service.overlay_memory},
                {SERVICE_IOMMUS, "guests' IOMMUs", (uint64_t)config_iommus(config) * SERVICE_IOMMU_SIZE}};

    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        int error = kept[i].size ? show_memory("", kept[i].name, kept[i].size) : 0;
        if (error) {
            log_error("%s: not enough memory", kept[i].what);
            return error;
        }
    }
    return 0;
}

static int show_disks(const struct config *config) {
    for (unsigned i = 0; i < config->disk_count; i++) {
        const struct config_disk *disk = &config->disks[i];
        if (disk->device)
            continue;
        int error = disk->file ? show_file(disk) : show_memory(":", disk->name, disk->memory);
        if (error) {
            log_error("disk %s: %s", disk->name,
                      error == -ENOMEM ? "not enough memory" : "its file is not there");
            return error;
        }
    }
    return show_kept(config);
}

/* Whether anything of the guest's config is the service VM's to serve. */
bool service_serves(const struct vm *vm) {
    const struct config_guest *guest = vm->config;
    return guest->net_count || guest->disk_count || guest->entropy || guest->virtio_console ||
           guest->balloon || guest->iommu != CONFIG_IOMMU_NONE;
}

int service_show_guests(void) {
    if (!service.vm)
        return 0;
    for (unsigned i = 0; i < vm_count(); i++) {
        struct vm *vm = vm_get(i);
        struct service_vm *entry = &service.board->vm[i];
        snprintf(entry->name, sizeof(entry->name), "%s", vm->name);
        entry->vcpus = vm->vcpu_count;
        entry->dma_bits = vm->passed ? vm->passed->address_bits : 0;
        int error = vm->config->virtio_console ? service_console_create(vm) : 0;
        if (error) {
            log_error("guest %s: its virtio console cannot be made (%d)", vm->name, error);
            return error;
        }
        if (!service_serves(vm))
            continue;
        uint64_t at = free_place(vm->memory.size);
        error = show(at, vm->memory.size, &vm->memory, 0, true);
        if (error) {
            log_error("guest %s: the service VM cannot be shown its memory (%d)", vm->name, error);
            return error;
        }
        entry->served = 1;
        entry->window = at;
        entry->window_size = vm->memory.size;
        service_guest_memory(vm);
    }
    service.board->vm_count = vm_count();
    return 0;
}

/* Whether the config names any device of the machine's. */
static bool wants_pci(const struct config *config) {
    for (unsigned i = 0; i < config->network_count; i++)
        if (config->networks[i].uplink)
            return true;
    for (unsigned i = 0; i < config->disk_count; i++)
        if (config->disks[i].device)
            return true;
    return false;
}

static int make(const struct config *config, const void *blob, size_t size) {
    int error;

    service.ready_work.function = ready_work;
    service.vm = vm_create_service(&self, &error);
    if (!service.vm)
        return error;
    struct service_board *board = heap_pages(BOARD_ORDER, &service.vm->memory.account);
    if (!board)
        return -ENOMEM;
    service.board = board;
    service.board_physical = arch_heap_physical(board);
    service.memory = service.vm->memory.block[0];
    board->magic = SERVICE_MAGIC;
    board->version = SERVICE_VERSION;
    board->size = PAGE_SIZE << BOARD_ORDER;
    board->record_offset = RECORD_OFFSET;
    arch_service_clock(&board->clock_base, &board->clock_multiplier);
    error = show(service.board_physical, board->size, NULL, service.board_physical, true);
    if (!error)
        error = show_config(blob, size);
    if (wants_pci(config))
        service_host_offer(config);
    if (!error)
        error = show_disks(config);
    return error;
}

int service_create(const struct config *config, const void *blob, size_t size) {
    self = (struct config_guest){
        .name = "(service)",
        .memory = config->service.memory,
        .vcpus = 1,
        .cpus = config->service.cpus,
        .priority = CONFIG_MAX_PRIORITY + 1,
        .budget = config->service.budget,
        .period = config->service.period,
        .restart = CONFIG_RESTART_ALWAYS,
        .cpu_model = CONFIG_CPU_X86_64_V2,
        .cmdline = "",
    };
    int error = make(config, blob, size);
    if (error) {
        log_error(
            "the service VM cannot be made: %s (%d); there is no prompt, and guests do without its devices",
            error == -ENOMEM    ? "not enough memory below 4 GiB"
            : error == -ENXIO   ? "none of its CPUs has started"
            : error == -ENOTSUP ? "this CPU cannot run it"
                                : "internal error",
            error);
        service.vm = NULL;
        return error;
    }
    log_info("service VM: %u MiB at 0x%llx", (unsigned)(self.memory >> 20),
             (unsigned long long)service.memory);
    timer_init(&service.wake, wake);
    timer_init(&service.watch, watch);
    return 0;
}

void service_start(void (*ready)(void)) {
    bool serves = false;

    for (unsigned i = 0; service.vm && i < vm_count(); i++)
        serves = serves || service_serves(vm_get(i));
    if (service.vm) {
        service.begun = time_now();
        service.watched = 1;
        timer_arm(&service.watch, time_now() + WATCH_PERIOD);
        start_guests = serves ? ready : NULL;
        vm_start(service.vm);
    }
    if (!serves)
        ready();
}

unsigned service_starts(void) {
    return service.starts;
}

int service_restart(void) {
    if (!service.vm)
        return -ENODEV;
    return service_rest() ? -EBUSY : vm_reset(service.vm);
}

uint64_t service_rest(void) {
    return service_host_rest();
}

void service_leave(void) {
    for (unsigned i = 0; i < vm_count(); i++)
        if (vm_get(i)->passed)
            vm_get(i)->passed->release(vm_get(i), true);
    service_host_release(true);
}

/* ---- its image */

/* The image lies in the hypervisor's own, read-only; mk/service.mk puts it there. */
extern const uint8_t service_image_start[];
extern const uint8_t service_image_end[];

static int read_image(void *context, uint64_t offset, void *buffer, size_t size) {
    const struct image_source *source = context;

    if (offset > source->size || size > source->size - offset)
        return -EINVAL;
    memcpy(buffer, service_image_start + offset, size);
    return 0;
}

static int refuse(struct vm *vm, const char *why) {
    snprintf(vm->end_text, sizeof(vm->end_text), "its image: %.120s", why);
    return -EINVAL;
}

int service_load(struct vm *vm, uint64_t *entry, uint64_t *board) {
    struct image_source source = {.read = read_image,
                                  .context = &source,
                                  .size = (uintptr_t)service_image_end - (uintptr_t)service_image_start};
    struct image_loadable image;
    char why[128];

    if (arch_service_parse(&source, &image, why, sizeof(why)))
        return refuse(vm, why);
    if (image.highest > vm->memory.size || image.entry >= image.highest)
        return refuse(vm, "it does not fit into its memory");
    for (unsigned i = 0; i < image.count; i++) {
        const struct image_segment *segment = &image.segment[i];
        if (guest_load(vm, service.memory + segment->address, service_image_start + segment->offset,
                       segment->file_size))
            return refuse(vm, "it cannot be read");
    }
    *entry = service.memory + image.entry;
    *board = service.board_physical;
    service.calls_seen = service.calls - 1; /* its time is counted anew */
    watch_begin();
    service.wake_at = 0;
    timer_cancel(&service.wake);
    service.board->starts = ++service.starts;
    service_host_show();
    __atomic_store_n(&service.board->events, 0, __ATOMIC_RELEASE);
    service_ask_again();
    return 0;
}

/* ---- what it is told of guests */

/* With the lock. */
static void entry_change(struct service_vm *entry, bool begin) {
    if (begin) {
        __atomic_fetch_add(&entry->sequence, 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    } else {
        __atomic_fetch_add(&entry->sequence, 1, __ATOMIC_RELEASE);
    }
}

static void tell(const struct vm *vm) {
    __atomic_fetch_or(&service.board->vms_changed, 1u << vm->id, __ATOMIC_SEQ_CST);
    service_event(SERVICE_EVENT_VM);
}

void service_guest_memory(struct vm *vm) {
    const struct guest_memory *memory = &vm->memory;

    if (!service.vm || vm->service || !service_serves(vm))
        return;
    struct service_vm *entry = &service.board->vm[vm->id];
    spin_lock(&vm->memory.lock);
    spin_lock(&service.lock);
    entry_change(entry, true);
    unsigned count = 0;
    for (unsigned i = 0; i < memory->region_count && count < SERVICE_MAX_REGIONS; i++) {
        const struct guest_region *region = &memory->region[i];
        struct service_ram *last = count ? &entry->ram[count - 1] : NULL;
        if (region->kind != GUEST_RAM)
            continue;
        if (last && last->base + last->size == region->base && last->offset + last->size == region->offset)
            last->size += region->size;
        else
            entry->ram[count++] =
                (struct service_ram){.base = region->base, .size = region->size, .offset = region->offset};
    }
    entry->ram_count = count;
    entry_change(entry, false);
    spin_unlock(&service.lock);
    spin_unlock(&vm->memory.lock);
}

void service_guest_logged(struct vm *vm, bool logged) {
    if (!service.vm || vm->service || !service_serves(vm))
        return;
    __atomic_store_n(&service.board->vm[vm->id].logged, logged ? 1 : 0, __ATOMIC_SEQ_CST);
    /* We set it, then look at the RAM; the service VM writes there, then looks at this. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void service_guest_reset(struct vm *vm) {
    if (!service.vm || vm->service || !service_serves(vm))
        return;
    service_devices_reset(vm);
    struct service_vm *entry = &service.board->vm[vm->id];
    spin_lock(&service.lock);
    entry_change(entry, true);
    entry->resets = ++service.resets[vm->id];
    service.reset_at[vm->id] = time_now();
    service.reset_in[vm->id] = service.starts;
    entry_change(entry, false);
    spin_unlock(&service.lock);
    tell(vm);
}

/* The run of the service VM that the guest's devices were at work in before the reset goes on: what a disk
 * read for them may still be written to the guest's memory. One that has begun since knows nothing of that.
 */
static bool holds(unsigned number) {
    return service.reset_in[number] == service.starts && service.vm->state != VM_OFF;
}

bool service_guest_settled(struct vm *vm) {
    if (!service.vm || vm->service || !service_serves(vm) || !service.ready_said)
        return true;
    const struct service_board *board = service.board;
    return __atomic_load_n(&board->vm_settled[vm->id], __ATOMIC_ACQUIRE) == service.resets[vm->id] ||
           (time_now() - service.reset_at[vm->id] > SETTLE_TIME && !holds(vm->id));
}

/* It is noted before the scheduler looks whether the vCPU is still held; service_settle() looks at the note
 * after the service VM has settled it. One of the two sees the other. The watch may have ended since the
 * service VM was told of the reset: without it the wait would have no end of its own. */
void service_guest_waits(struct vm *vm) {
    __atomic_fetch_or(&service.unsettled, 1u << vm->id, __ATOMIC_SEQ_CST);
    watch_begin();
}

void service_guest_changed(struct vm *vm) {
    if (vm->service && vm->state == VM_OFF)
        service_host_release(false);
    if (!service.vm || vm->service || !service_serves(vm))
        return;
    struct service_vm *entry = &service.board->vm[vm->id];
    uint32_t state = vm->state == VM_RUNNING  ? SERVICE_VM_RUNNING
                     : vm->state == VM_PAUSED ? SERVICE_VM_PAUSED
                                              : SERVICE_VM_OFF;
    spin_lock(&service.lock);
    entry_change(entry, true);
    entry->state = state;
    entry_change(entry, false);
    spin_unlock(&service.lock);
    tell(vm);
}
