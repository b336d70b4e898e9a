// SPDX-License-Identifier: Apache-2.0
// Wall-clock time: the CMOS clock, read once; from then on the TSC counts.
#include "arch/x86/clock.h"

#include <string.h>
#include "arch/x86/registers.h"
#include "arch/x86/rtc_time.h"
#include "core/arch.h"
#include "core/log.h"

#define CMOS_INDEX         0x70u
#define CMOS_DATA          0x71u
#define STATUS_A           0x0au
#define STATUS_B           0x0bu
#define UPDATE_IN_PROGRESS 0x80u
#define TRIES              16u
#define UPDATE_LIMIT       5000000ull /* ns; an update takes 2 ms */

static uint64_t start; /* wall-clock time when time_now() was 0; ns */

static uint8_t cmos_read(uint8_t index) {
    port_write8(CMOS_INDEX, index);
    return port_read8(CMOS_DATA);
}

/* False: the clock never left its update. */
static bool read_once(struct rtc_registers *out, uint8_t century) {
    uint64_t deadline = time_now() + UPDATE_LIMIT;

    while (cmos_read(STATUS_A) & UPDATE_IN_PROGRESS) {
        if (time_now() > deadline)
            return false;
        cpu_relax();
    }
    *out = (struct rtc_registers){
        .second = cmos_read(0),
        .minute = cmos_read(2),
        .hour = cmos_read(4),
        .day = cmos_read(7),
        .month = cmos_read(8),
        .year = cmos_read(9),
        .century = century ? cmos_read(century & 0x7f) : 0,
        .status_b = cmos_read(STATUS_B),
    };
    return true;
}

void wallclock_init(uint8_t century) {
    struct rtc_registers first, second;

    for (unsigned i = 0; i < TRIES; i++) {
        if (!read_once(&first, century) || !read_once(&second, century))
            break;
        /* Equal twice: no update came in between. */
        if (memcmp(&first, &second, sizeof(first)) != 0)
            continue;
        int64_t seconds = rtc_to_seconds(&first);
        if (seconds > 0)
            start = (uint64_t)seconds * 1000000000ull - time_now();
        break;
    }
    if (!start)
        log_warning("no valid time in the CMOS clock: guests start in 1970");
}

uint64_t wallclock_now(void) {
    return start ? start + time_now() : 0;
}
