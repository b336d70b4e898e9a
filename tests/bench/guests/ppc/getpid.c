// SPDX-License-Identifier: Apache-2.0
// A program for Linux on PowerPC: times 10,000 getpid system calls by the guest's clock, three times, and
// prints a line for each: "BENCH getpid MICROSECONDS 1".
#include "program.h"

#define CALLS 10000

void _start(void) {
    unsigned begin = now();

    write_line("uptime", begin, 1);
    for (int round = 0; round < 3; round++) {
        unsigned start = now();
        for (int i = 0; i < CALLS; i++)
            call(NR_getpid, 0, 0, 0);
        write_line("getpid", now() - start, 1);
    }
    call(NR_exit, 0, 0, 0);
}
