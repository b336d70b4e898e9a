// SPDX-License-Identifier: Apache-2.0
// The C part of the start on x86.
#include "lib/config.h"
#include "service/arch.h"
#include "service/log.h"
#include "service/x86/call.h"
#include "service/x86/map.h"
#include "service/x86/traps.h"

void start_c(uint32_t magic, uint32_t board, uint32_t memory, uint32_t size) __attribute__((noreturn));

void start_c(uint32_t magic, uint32_t board, uint32_t memory, uint32_t size) {
    size_t heap_size;

    /* Whoever started us is not the hypervisor: there is nobody to call. */
    if (magic != SERVICE_MAGIC)
        arch_die();
    void *heap = map_init(memory, size, &heap_size);
    call_init();
    traps_init();
    service_main(board, heap, heap_size);
}

uint64_t arch_counter(void) {
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

unsigned arch_config(void) {
    return CONFIG_ARCH_X86;
}
