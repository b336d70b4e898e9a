// SPDX-License-Identifier: Apache-2.0
// Starting the other CPUs: INIT and SIPI through a page under 1 MiB (Intel SDM vol. 3, 10.4.4), their own
// start-up, and the check that all TSCs count alike.
#include "arch/x86/smp.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include "arch/x86/clock.h"
#include "arch/x86/engine/engine.h"
#include "arch/x86/features.h"
#include "arch/x86/fixup.h"
#include "arch/x86/host_acpi.h"
#include "arch/x86/host_apic.h"
#include "arch/x86/host_map.h"
#include "arch/x86/host_timer.h"
#include "arch/x86/platform.h"
#include "arch/x86/registers.h"
#include "arch/x86/traps.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/timer.h"

#define INIT_DELAY    10000000ull /* ns */
#define SIPI_DELAY    200000ull
#define START_TIMEOUT 500000000ull
#define SYNC_TIMEOUT  500000000ull
#define SYNC_ROUNDS   16u

/* The end of trampoline.S. */
struct trampoline_data {
    uint64_t gdt[3];
    uint16_t gdt_limit;
    uint32_t gdt_base;
    uint16_t pad0;
    uint32_t far_offset;
    uint16_t far_selector;
    uint16_t pad1;
    uint32_t ticket; /* 1: a CPU is expected; whoever takes it is that CPU */
    uint32_t cr3;
    uint64_t root;
    uint64_t stack;
    uint64_t cpu;
    uint64_t entry;
} __attribute__((packed));

extern const char trampoline[], trampoline_long[], trampoline_data[], trampoline_end[];
extern const char start_ap[];

_Noreturn void start_ap_c(struct x86_cpu *cpu);

/* The boot CPU and a new one hand the TSC to and fro. */
static struct {
    uint64_t turn; /* see sync_turn() */
    uint64_t boot_tsc;
    uint64_t new_tsc;
    uint64_t boot_adjust;
    bool use_adjust;
} sync;

void smp_nmi_pins(void) {
    const struct acpi_madt *madt = host_acpi_madt();
    uint32_t self = host_apic_id();
    uint32_t uid = ACPI_ALL_CPUS;

    if (!madt)
        return;
    for (unsigned i = 0; i < madt->cpu_count; i++)
        if (madt->cpu[i].apic_id == self)
            uid = madt->cpu[i].uid;
    for (unsigned i = 0; i < madt->nmi_count; i++)
        if (madt->nmi[i].uid == ACPI_ALL_CPUS || madt->nmi[i].uid == uid)
            host_apic_nmi_pin(madt->nmi[i].pin, madt->nmi[i].active_low, madt->nmi[i].level);
}

/* Whose turn it is in a round: tells the CPUs apart too, so that one that comes late disturbs nobody. */
static uint64_t sync_turn(const struct x86_cpu *cpu, unsigned round, bool boot) {
    return (uint64_t)cpu->core.number << 32 | (2 * round + (boot ? 2 : 1));
}

static bool wait_turn(uint64_t turn) {
    uint64_t start = tsc_read();
    uint64_t patience = clock_tsc_frequency() / (1000000000ull / SYNC_TIMEOUT);

    while (__atomic_load_n(&sync.turn, __ATOMIC_ACQUIRE) != turn) {
        if (tsc_read() - start > patience)
            return false;
        cpu_relax();
    }
    return true;
}

static uint64_t tsc_ordered(void) {
    __asm__ volatile("lfence" ::: "memory");
    uint64_t tsc = tsc_read();
    __asm__ volatile("lfence" ::: "memory");
    return tsc;
}

/* New CPU: answers with its own TSC. */
static void sync_new(const struct x86_cpu *cpu) {
    uint64_t adjust;

    if (sync.use_adjust && !rdmsr_safe(MSR_TSC_ADJUST, &adjust) && adjust != sync.boot_adjust)
        wrmsr_safe(MSR_TSC_ADJUST, sync.boot_adjust);
    for (unsigned i = 0; i < SYNC_ROUNDS; i++) {
        if (!wait_turn(sync_turn(cpu, i, false)))
            return;
        sync.new_tsc = tsc_ordered();
        __atomic_store_n(&sync.turn, sync_turn(cpu, i, true), __ATOMIC_RELEASE);
    }
}

/* Boot CPU: each TSC must lie between the other's before and after. Returns the worst violation, in ticks;
 * -1: the other does not answer. */
static int64_t sync_boot(const struct x86_cpu *cpu) {
    int64_t worst = 0;

    for (unsigned i = 0; i < SYNC_ROUNDS; i++) {
        uint64_t before = tsc_ordered();
        __atomic_store_n(&sync.turn, sync_turn(cpu, i, false), __ATOMIC_RELEASE);
        if (!wait_turn(sync_turn(cpu, i, true)))
            return -1;
        uint64_t after = tsc_ordered();
        int64_t early = (int64_t)(before - sync.new_tsc);
        int64_t late = (int64_t)(sync.new_tsc - after);
        if (early > worst)
            worst = early;
        if (late > worst)
            worst = late;
    }
    return worst;
}

/* What every other CPU runs, on its own stack and the hypervisor's tables. */
_Noreturn void start_ap_c(struct x86_cpu *cpu) {
    x86_cpu_bind(cpu);
    segments_load(&cpu->segments);
    traps_load();
    cpu_features_enable();
    if (host_apic_id() != cpu->core.id)
        cpu_halt_forever(); /* not the CPU that was meant */
    host_apic_enable();
    smp_nmi_pins();
    host_timer_enable();
    timer_cpu_init(&cpu->core);
    __atomic_store_n(&cpu->started, 1, __ATOMIC_RELEASE);
    sync_new(cpu);
    /* Where the boot CPU cannot run guests, it has said why. */
    if (!boot_cpu.engine_status)
        cpu->engine_status = arch_engine_cpu_init();
    __atomic_store_n(&cpu->started, 2, __ATOMIC_RELEASE);
    if (cpu->engine_status) {
        log_error("CPU %u (APIC ID %u) cannot run guests (%d): not used", cpu->core.number, cpu->core.id,
                  cpu->engine_status);
        for (;;)
            arch_cpu_idle();
    }
    sched_loop();
}

static struct x86_cpu *create(uint32_t apic_id) {
    struct x86_cpu *cpu = heap_allocate(sizeof(*cpu), NULL);

    if (!cpu || x86_cpu_stacks(cpu)) {
        log_error("no memory for CPU with APIC ID %u", apic_id);
        return NULL;
    }
    cpu->core.id = apic_id;
    return cpu;
}

static bool wait_started(struct x86_cpu *cpu, uint32_t value, uint64_t limit) {
    uint64_t deadline = time_now() + limit;

    while (__atomic_load_n(&cpu->started, __ATOMIC_ACQUIRE) < value) {
        if (time_now() > deadline)
            return false;
        cpu_relax();
    }
    return true;
}

static void check_tsc(struct x86_cpu *cpu) {
    int64_t worst = sync_boot(cpu);

    if (worst < 0)
        log_warning("CPU %u: no answer while its TSC was compared", cpu->core.number);
    else if (worst > 0)
        log_warning("CPU %u: its TSC is off by up to %ld ticks: time may run backwards between CPUs",
                    cpu->core.number, (long)worst);
}

/* Page tables and code for the way from real mode. NULL: not possible here. */
static struct trampoline_data *prepare(uint64_t page) {
    uint64_t physical;
    size_t size = (size_t)(trampoline_end - trampoline);

    static_assert(sizeof(struct trampoline_data) == 24 + 8 + 8 + 8 + 32, "trampoline.S lays it out");
    if (!page || page >= 0x100000 || page % PAGE_SIZE) {
        log_warning("the loader found no page under 1 MiB: only one CPU is used");
        return NULL;
    }
    uint64_t *root = host_map_temporary_root(&physical);
    if (!root || physical >= 1ull << 32 || host_map_identity(root, page, PAGE_SIZE)) {
        log_warning("no memory under 4 GiB for page tables: only one CPU is used");
        return NULL;
    }
    uint8_t *to = map_memory(page, PAGE_SIZE);
    if (!to)
        return NULL;
    memcpy(to, trampoline, size);
    struct trampoline_data *data = (struct trampoline_data *)(to + (trampoline_data - trampoline));
    data->gdt_base = (uint32_t)(page + (uint64_t)(trampoline_data - trampoline));
    data->far_offset = (uint32_t)(page + (uint64_t)(trampoline_long - trampoline));
    data->cr3 = (uint32_t)physical;
    data->root = host_map_root();
    data->entry = (uint64_t)start_ap;
    return data;
}

/* True: runs. */
static bool start(struct trampoline_data *data, uint64_t page, struct x86_cpu *cpu) {
    data->stack = cpu->stack[STACK_MAIN].high;
    data->cpu = (uint64_t)cpu;
    __atomic_store_n(&data->ticket, 1, __ATOMIC_SEQ_CST);

    host_apic_send_startup(cpu->core.id, (unsigned)(page >> 12));
    clock_delay(SIPI_DELAY);
    if (__atomic_load_n(&data->ticket, __ATOMIC_ACQUIRE))
        host_apic_send_startup(cpu->core.id, (unsigned)(page >> 12));
    if (wait_started(cpu, 1, START_TIMEOUT))
        return true;
    /* Taking the ticket back decides: either it comes no more, or it is already on its way. */
    if (__atomic_exchange_n(&data->ticket, 0, __ATOMIC_SEQ_CST))
        return false;
    return wait_started(cpu, 1, 4 * START_TIMEOUT);
}

static void start_all(const uint32_t *ids, unsigned count) {
    uint64_t page = platform_info()->handover.low_page;
    struct trampoline_data *data = prepare(page);

    if (!data)
        return;
    sync.use_adjust = cpu_has_tsc_adjust() && !rdmsr_safe(MSR_TSC_ADJUST, &sync.boot_adjust);
    for (unsigned i = 0; i < count; i++)
        host_apic_send_init(ids[i]);
    clock_delay(INIT_DELAY);
    for (unsigned i = 0; i < count; i++) {
        struct x86_cpu *cpu = create(ids[i]);
        if (!cpu)
            return;
        /* It is counted from now on; nothing is given to it before it is online. */
        cpu_register(&cpu->core);
        cpu->core.absent = true;
        if (window_init(cpu)) {
            log_error("no memory for CPU with APIC ID %u", ids[i]);
            return;
        }
        if (!start(data, page, cpu)) {
            log_warning("CPU %u (APIC ID %u) does not start", cpu->core.number, ids[i]);
            continue;
        }
        check_tsc(cpu);
        bool ready = wait_started(cpu, 2, START_TIMEOUT);
        cpu->core.absent = ready && cpu->engine_status != 0;
        if (!ready) /* it may still come */
            log_warning("CPU %u (APIC ID %u) hangs in its start-up", cpu->core.number, ids[i]);
    }
}

static void add(uint32_t *ids, unsigned *count, uint32_t id) {
    if (id == boot_cpu.core.id)
        return;
    if (id > 254 && !host_apic_x2()) {
        log_warning("CPU with APIC ID %u needs x2APIC: not used", id);
        return;
    }
    if (*count == MAX_CPUS - 1) {
        log_warning("more than %u CPUs: APIC ID %u is not used", MAX_CPUS, id);
        return;
    }
    for (unsigned i = 0; i < *count; i++)
        if (ids[i] == id)
            return;
    ids[(*count)++] = id;
}

void smp_start(void) {
    const struct platform_info *info = platform_info();
    const struct acpi_madt *madt = host_acpi_madt();
    uint32_t ids[MAX_CPUS];
    unsigned count = 0;

    for (unsigned i = 0; i < info->cpu_count; i++)
        if (info->cpus[i].flags & HANDOVER_CPU_ENABLED)
            add(ids, &count, info->cpus[i].id);
    if (!info->cpu_count && madt)
        for (unsigned i = 0; i < madt->cpu_count; i++)
            if (madt->cpu[i].enabled)
                add(ids, &count, madt->cpu[i].apic_id);
    if (count)
        start_all(ids, count);
    unsigned started = 1;
    for (unsigned i = 1; i < cpu_count(); i++)
        started += x86_cpu_of(cpu_get(i))->started != 0;
    log_info("%u of %u CPUs run", started, count + 1);
}
