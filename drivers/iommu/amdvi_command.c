// SPDX-License-Identifier: Apache-2.0
// What an AMD-Vi unit is told to forget, by its command buffer (specification 3.08, 2.4). Each call waits for
// the unit.
#include <assert.h>
#include <errno.h>
#include "core/arch.h"
#include "core/log.h"
#include "drivers/iommu/amdvi.h"

#define OPCODE(n)         ((uint64_t)(n) << 60)
#define COMPLETION_WAIT   OPCODE(1)
#define WAIT_STORE        (1ull << 0)
#define INVALIDATE_DEVICE OPCODE(2)
#define INVALIDATE_PAGES  OPCODE(3)
#define PAGES_DOMAIN(d)   ((uint64_t)(d) << 32)
#define PAGES_SEVERAL     (1ull << 0) /* in the second word: as many as the address says */
#define PAGES_TABLES      (1ull << 1) /* and what is remembered of the tables above them */
#define PAGES_ALL         0x7ffffffffffff000ull
#define INVALIDATE_TABLE  OPCODE(5)
#define INVALIDATE_ALL    OPCODE(8)

#define BUFFER_SIZE       (8ull << 56) /* of the base register: 2^8 entries */
#define DOMAINS           65536u       /* that a unit tells apart */
#define LARGEST           51u          /* an address bit; more is said as PAGES_ALL */

static_assert(AMDVI_COMMANDS * sizeof(uint64_t[2]) == PAGE_SIZE && AMDVI_COMMANDS == 1u << 8,
              "a page of commands");

int amdvi_commands_make(struct amdvi_unit *unit) {
    unit->command = heap_pages(0, NULL);
    if (!unit->command)
        return -ENOMEM;
    unit->tail = 0;
    amdvi_write(unit, AMDVI_COMMAND_BASE, arch_heap_physical(unit->command) | BUFFER_SIZE);
    amdvi_write(unit, AMDVI_COMMAND_HEAD, 0);
    amdvi_write(unit, AMDVI_COMMAND_TAIL, 0);
    return 0;
}

static void put(struct amdvi_unit *unit, uint64_t low, uint64_t high) {
    uint64_t *command = unit->command[unit->tail];

    command[0] = low;
    command[1] = high;
    amdvi_written(command, sizeof(*unit->command));
    unit->tail = (unit->tail + 1) % AMDVI_COMMANDS;
}

/* Hands over what was put there, and waits. The unit is always done with all that came before. */
static int wait(struct amdvi_unit *unit) {
    uint64_t begin = time_now();

    unit->asked++;
    put(unit, COMPLETION_WAIT | WAIT_STORE | arch_heap_physical(&unit->answered), unit->asked);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    amdvi_write(unit, AMDVI_COMMAND_TAIL, unit->tail * sizeof(*unit->command));
    for (;;) {
        amdvi_written(&unit->answered, sizeof(unit->answered));
        if (__atomic_load_n(&unit->answered, __ATOMIC_ACQUIRE) == unit->asked)
            return 0;
        uint64_t status = amdvi_read(unit, AMDVI_STATUS);
        if (time_now() - begin > AMDVI_PATIENCE || !(status & AMDVI_STATUS_COMMAND_RUN)) {
            log_error("IOMMU %s: its command buffer has stopped (head 0x%llx, tail 0x%x, status 0x%llx)",
                      unit->unit.name, (unsigned long long)amdvi_read(unit, AMDVI_COMMAND_HEAD),
                      (unsigned)(unit->tail * sizeof(*unit->command)), (unsigned long long)status);
            return -EIO;
        }
        cpu_relax();
    }
}

static void put_pages(struct amdvi_unit *unit, unsigned domain, uint64_t address) {
    put(unit, INVALIDATE_PAGES | PAGES_DOMAIN(domain), address | PAGES_TABLES);
}

static void put_domain(struct amdvi_unit *unit, unsigned domain) {
    put_pages(unit, domain, PAGES_ALL | PAGES_SEVERAL);
}

/* One of each kind for each number that there is, as long as the buffer has room before each wait. */
static int forget_each(struct amdvi_unit *unit) {
    int error = 0;

    static_assert(AMDVI_DEVICES == DOMAINS, "counted together");
    for (unsigned i = 0; i < DOMAINS && !error; i++) {
        put(unit, INVALIDATE_DEVICE | i, 0);
        put_domain(unit, i);
        put(unit, INVALIDATE_TABLE | i, 0);
        if (i % 64 == 63)
            error = wait(unit);
    }
    return error;
}

int amdvi_forget_all(struct amdvi_unit *unit) {
    if (!unit->on)
        return 0;
    if (!(unit->features & AMDVI_FEATURES_ALL))
        return forget_each(unit);
    put(unit, INVALIDATE_ALL, 0);
    return wait(unit);
}

int amdvi_forget_device(struct amdvi_unit *unit, uint16_t requester, unsigned domain) {
    if (!unit->on)
        return 0;
    put(unit, INVALIDATE_DEVICE | requester, 0);
    put_domain(unit, domain);
    return wait(unit);
}

/* Several pages are said by the address: the lowest of its bits from 12 on that is 0 is half of the size; the
 * bits below it are 1. */
int amdvi_forget_pages(struct amdvi_unit *unit, unsigned domain, uint64_t address, uint64_t size) {
    uint64_t last = address + (size - 1);
    unsigned bits = PAGE_SHIFT;

    if (!unit->on)
        return 0;
    while (bits <= LARGEST && address >> bits != last >> bits)
        bits++;
    uint64_t base = address >> bits << bits;
    if (bits > LARGEST)
        put_domain(unit, domain);
    else if (bits == PAGE_SHIFT)
        put_pages(unit, domain, base);
    else
        put_pages(unit, domain, base | ((1ull << (bits - 1)) - PAGE_SIZE) | PAGES_SEVERAL);
    return wait(unit);
}

int amdvi_forget_interrupts(struct amdvi_unit *unit, uint16_t requester) {
    if (!unit->on)
        return 0;
    put(unit, INVALIDATE_TABLE | requester, 0);
    return wait(unit);
}
