// SPDX-License-Identifier: Apache-2.0
// The C part of the start on PowerPC.
#include "lib/config.h"
#include "service/arch.h"
#include "service/log.h"
#include "service/ppc/layout.h"
#include "service/ppc/map.h"
#include "service/ppc/registers.h"

_Static_assert(MEMORY_BASE == SERVICE_PPC_BASE, "the image is linked where its memory is mapped");

extern uint8_t data_end[];

void start_c(uint32_t magic, uint32_t board_high, uint32_t board_low, uint32_t memory, uint32_t size)
    __attribute__((noreturn));

void start_c(uint32_t magic, uint32_t board_high, uint32_t board_low, uint32_t memory, uint32_t size) {
    /* Whoever started us is not the hypervisor: there is nobody to call. */
    if (magic != SERVICE_MAGIC)
        arch_die();
    map_init(memory, size);
    if (size < IMAGE_END - MEMORY_BASE)
        service_fatal("%u bytes of memory are not enough", (unsigned)size);
    service_main((uint64_t)board_high << 32 | board_low, data_end, MEMORY_BASE + size - (uint32_t)data_end);
}

static uint32_t time_high(void) {
    uint32_t value;

    __asm__ volatile("mfspr %0, %1" : "=r"(value) : "i"(SPR_TBU) : "memory");
    return value;
}

static uint32_t time_low(void) {
    uint32_t value;

    __asm__ volatile("mfspr %0, %1" : "=r"(value) : "i"(SPR_TBL) : "memory");
    return value;
}

uint64_t arch_counter(void) {
    uint32_t high = time_high();

    for (;;) {
        uint32_t low = time_low(), again = time_high();
        if (again == high)
            return (uint64_t)high << 32 | low;
        high = again;
    }
}

unsigned arch_config(void) {
    return CONFIG_ARCH_PPC;
}
