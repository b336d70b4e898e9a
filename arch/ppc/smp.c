// SPDX-License-Identifier: Apache-2.0
// Starting the other CPUs through the spin table (ePAPR 1.1, 5.5.2), their own start-up, and the check that
// all time bases count alike.
#include "arch/ppc/smp.h"

#include "arch/ppc/host_map.h"
#include "arch/ppc/host_mpic.h"
#include "arch/ppc/instructions.h"
#include "arch/ppc/platform.h"
#include "arch/ppc/ppc_cpu.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/timer.h"

#define START_TIMEOUT 500000000ull /* ns */

/* An entry of the spin table: big-endian, as the CPU is. The CPU is released when the low word of the address
 * becomes even. */
struct spin_entry {
    uint32_t address_high;
    uint32_t address;
    uint32_t r3_high;
    uint32_t r3;
    uint32_t reserved;
    uint32_t pir;
};

extern const char start_secondary[];
_Noreturn void start_secondary_c(void);

/* What every other CPU runs, on its own stack and TLB. */
_Noreturn void start_secondary_c(void) {
    struct ppc_cpu *cpu = ppc_cpu_this();

    ppc_cpu_enable();
    host_mpic_enable();
    timer_cpu_init(&cpu->core);
    cpu->start_time = timebase_read();
    __atomic_store_n(&cpu->started, 1, __ATOMIC_RELEASE);
    sched_loop();
}

static struct ppc_cpu *create(uint32_t id) {
    struct ppc_cpu *cpu = heap_allocate(sizeof(*cpu), NULL);
    void *main_stack = heap_allocate(MAIN_STACK_SIZE, NULL);
    void *trap_stacks = heap_allocate(TRAP_STACKS_SIZE, NULL);

    if (cpu == NULL || main_stack == NULL || trap_stacks == NULL) {
        log_error("no memory for CPU %u", (unsigned)id);
        return NULL;
    }
    cpu->core.id = id;
    cpu->main_stack.low = (uint32_t)main_stack;
    cpu->main_stack.high = cpu->main_stack.low + MAIN_STACK_SIZE;
    ppc_cpu_init(cpu, trap_stacks);
    return cpu;
}

static bool wait_started(struct ppc_cpu *cpu) {
    uint64_t deadline = time_now() + START_TIMEOUT;

    while (__atomic_load_n(&cpu->started, __ATOMIC_ACQUIRE) == 0) {
        if (time_now() > deadline)
            return false;
        cpu_relax();
    }
    return true;
}

/* The new CPU's first look at its time base lies between two of this CPU's. No more than one such round:
 * where one host thread emulates all CPUs, each takes as long as that thread stays with a CPU. */
static void check_timebase(const struct ppc_cpu *cpu, uint64_t before) {
    uint64_t after = timebase_read();
    uint64_t off = cpu->start_time < before  ? before - cpu->start_time
                   : cpu->start_time > after ? cpu->start_time - after
                                             : 0;

    if (off != 0)
        log_warning("CPU %u: its time base is off by %llu ticks or more: time may run backwards between CPUs",
                    cpu->core.number, (unsigned long long)off);
}

static bool start(struct ppc_cpu *cpu, uint64_t release) {
    volatile struct spin_entry *entry = host_map_spare(release);
    uint64_t before = timebase_read();

    entry->r3_high = 0;
    entry->r3 = (uint32_t)cpu;
    entry->address_high = 0;
    memory_sync();
    entry->address = (uint32_t)start_secondary;
    memory_sync();
    bool started = wait_started(cpu);
    host_map_spare(UINT64_MAX);
    if (started)
        check_timebase(cpu, before);
    return started;
}

/* A table in RAM would have to be read through the caches, and kept out of the free memory. */
static bool in_memory(const struct machine *machine, uint64_t physical) {
    for (unsigned i = 0; i < machine->memory_count; i++) {
        if (physical - machine->memory[i].base < machine->memory[i].size)
            return true;
    }
    return false;
}

static void start_one(const struct machine *machine, const struct machine_cpu *from) {
    if (from->release == 0 || in_memory(machine, from->release)) {
        log_warning("CPU %u has no place in a spin table outside memory: not used", (unsigned)from->id);
        return;
    }
    if (cpu_count() == MAX_CPUS) {
        log_warning("more than %u CPUs: CPU %u is not used", MAX_CPUS, (unsigned)from->id);
        return;
    }
    struct ppc_cpu *cpu = create(from->id);
    if (cpu == NULL)
        return;
    /* It is counted from now on; nothing is given to it before it is online. */
    cpu_register(&cpu->core);
    cpu->core.absent = !start(cpu, from->release);
    if (cpu->core.absent)
        log_warning("CPU %u does not start", (unsigned)from->id);
}

void smp_start(void) {
    const struct machine *machine = platform_machine();

    for (unsigned i = 0; i < machine->cpu_count; i++) {
        if (machine->cpu[i].id != boot_cpu.core.id)
            start_one(machine, &machine->cpu[i]);
    }
    unsigned started = 1;
    for (unsigned i = 1; i < cpu_count(); i++)
        started += ppc_cpu_of(cpu_get(i))->started != 0;
    log_info("%u of %u CPUs run", started, machine->cpu_count);
}
