// SPDX-License-Identifier: Apache-2.0
// The service VM's program: takes the board, its memory and the config, starts the machine's devices
// that it is given, makes the guests' devices, and then runs the event loop for good.
#include <stddef.h>
#include <string.h>
#include "lib/config.h"
#include "service/arch.h"
#include "service/call.h"
#include "service/clock.h"
#include "service/console.h"
#include "service/devices.h"
#include "service/figures.h"
#include "service/heap.h"
#include "service/host_pci.h"
#include "service/hostdisks.h"
#include "service/iommu_device.h"
#include "service/log.h"
#include "service/loop.h"
#include "service/overlays.h"
#include "service/uplinks.h"
#include "service/plain_device.h"
#include "service/shell.h"
#include "service/window.h"

static struct service_board *board;
static struct config config;

/* Without the board there is nobody to serve; what it says is taken as it is, it is the hypervisor's. */
static void take_board(uint64_t address) {
    board = arch_map(address, sizeof(*board), true);
    if (!board)
        service_fatal("the board at 0x%llx cannot be mapped", (unsigned long long)address);
    if (board->magic != SERVICE_MAGIC || board->version != SERVICE_VERSION || board->size < sizeof(*board))
        service_fatal("the board is of another version: magic 0x%x, version %u, %u bytes",
                      (unsigned)board->magic, (unsigned)board->version, (unsigned)board->size);
    /* The records lie behind. They are a part of the same mapping from now on. */
    uint32_t size = board->size;
    arch_unmap(board, sizeof(*board));
    board = arch_map(address, size, true);
    if (!board)
        service_fatal("the board cannot be mapped: %u bytes", (unsigned)size);
}

static void take_config(void) {
    const void *tree = arch_map(board->config, board->config_size, false);

    if (!tree || config_read(tree, board->config_size, arch_config(), &config))
        service_fatal("the config cannot be read");
    service_log_limit((enum service_log_level)config.log_level);
}

/* Overlays have to be at the same address in each run: this is mapped before anything that may differ. */
static void take_kept(void) {
    for (unsigned i = 0; i < board->file_count && i < SERVICE_MAX_FILES; i++) {
        const struct service_file *file = &board->file[i];
        if (!strcmp(file->name, SERVICE_OVERLAYS))
            overlays_init(arch_map(file->address, file->size, true), file->size);
        else if (!strcmp(file->name, SERVICE_IOMMUS))
            iommu_device_init(arch_map(file->address, file->size, true), file->size);
    }
}

/* ---- the loop's hooks */

static void vm_changed(unsigned vm) {
    devices_vm_changed(vm);
    window_update(vm);
}

static void turn_end(void) {
    window_flush();
    plain_device_settle();
}

static const struct loop_hooks hooks = {
    .vm_changed = vm_changed,
    .console = console_event,
    .keys = shell_keys,
    .turn_end = turn_end,
};

void service_main(uint64_t address, void *heap, size_t size) {
    heap_init(heap, size);
    take_board(address);
    clock_init(board);
    take_config();
    take_kept();
    window_init(board);
    loop_init(board, &hooks);
    host_pci_init(board);
    figures_init(&config);
    hostdisks_init(&config);
    devices_init(board, &config);
    uplinks_init(&config);
    service_log(LOG_INFO, "start %u, %u KiB of memory free", (unsigned)board->starts,
                (unsigned)(heap_available() >> 10));
    shell_init(board);
    int error = service_call_ready();
    if (error < 0)
        service_fatal("the hypervisor does not take READY: error %d", -error);
    loop_run();
}
