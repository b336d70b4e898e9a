// SPDX-License-Identifier: Apache-2.0
// For the programs that measure Linux on PowerPC, which have no C library: system calls, the guest's clock,
// and lines for bench_ppc.py, "BENCH NAME MICROSECONDS COUNT". Each program has _start().
#ifndef SAGUARO_BENCH_PPC_PROGRAM_H
#define SAGUARO_BENCH_PPC_PROGRAM_H

#define NR_exit            1
#define NR_read            3
#define NR_write           4
#define NR_openat          286
#define NR_getpid          20
#define NR_clock_gettime64 403
#define CLOCK_MONOTONIC    1
#define AT_FDCWD           -100

struct time {
    long long seconds, nanoseconds;
};

/* The result; a negative errno value if the kernel reports an error (CR0's SO). */
static inline int call(int number, int a, const void *b, int c) {
    register int r0 __asm__("r0") = number;
    register int r3 __asm__("r3") = a;
    register const void *r4 __asm__("r4") = b;
    register int r5 __asm__("r5") = c;

    __asm__ volatile("sc; bns+ 1f; neg 3, 3; 1:"
                     : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5)
                     :
                     : "r6", "r7", "r8", "r9", "r10", "r11", "r12", "cr0", "ctr", "memory");
    return r3;
}

static inline void write_text(const char *text) {
    int length = 0;

    while (text[length])
        length++;
    call(NR_write, 1, text, length);
}

static inline void write_number(unsigned value) {
    char digits[10];
    int at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    call(NR_write, 1, digits + at, (int)sizeof(digits) - at);
}

static inline void write_line(const char *name, unsigned value, unsigned count) {
    write_text("BENCH ");
    write_text(name);
    write_text(" ");
    write_number(value);
    write_text(" ");
    write_number(count);
    write_text("\n");
}

/* Microseconds. */
static inline unsigned now(void) {
    struct time time;

    call(NR_clock_gettime64, CLOCK_MONOTONIC, &time, 0);
    return (unsigned)time.seconds * 1000000u + (unsigned)time.nanoseconds / 1000u;
}

void _start(void);

#endif
