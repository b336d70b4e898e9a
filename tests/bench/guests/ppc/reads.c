// SPDX-License-Identifier: Apache-2.0
// A program for Linux on PowerPC: reads 4 KiB at a time from the first virtio disk, past the page cache, so
// that each is one request and one interrupt. 1000 of them, three times, and prints a line for each:
// "BENCH reads MICROSECONDS 1000".
#include "program.h"

#define READS    1000
#define SIZE     4096
#define O_DIRECT 0x20000 /* PowerPC's */

void _start(void) {
    static char buffer[SIZE] __attribute__((aligned(SIZE)));
    int disk = call(NR_openat, AT_FDCWD, "/dev/vda", O_DIRECT), status = disk < 0;

    for (int round = 0; round < 3 && !status; round++) {
        unsigned start = now();
        for (int i = 0; i < READS && !status; i++)
            status = call(NR_read, disk, buffer, SIZE) != SIZE;
        write_line("reads", now() - start, READS);
    }
    call(NR_exit, status, 0, 0);
}
