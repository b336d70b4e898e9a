// SPDX-License-Identifier: Apache-2.0
// A program for Linux on PowerPC, without a C library: times 10,000 getpid system calls by the guest's clock,
// three times, and prints a line for each: "BENCH getpid MICROSECONDS 1".
#define CALLS              10000

#define NR_exit            1
#define NR_write           4
#define NR_getpid          20
#define NR_clock_gettime64 403
#define CLOCK_MONOTONIC    1

struct time {
    long long seconds, nanoseconds;
};

static int call(int number, int a, const void *b, int c) {
    register int r0 __asm__("r0") = number;
    register int r3 __asm__("r3") = a;
    register const void *r4 __asm__("r4") = b;
    register int r5 __asm__("r5") = c;

    __asm__ volatile("sc"
                     : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5)
                     :
                     : "r6", "r7", "r8", "r9", "r10", "r11", "r12", "cr0", "ctr", "memory");
    return r3;
}

static void write_text(const char *text) {
    int length = 0;

    while (text[length])
        length++;
    call(NR_write, 1, text, length);
}

static void write_line(const char *name, unsigned value) {
    char digits[10];
    int at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    write_text("BENCH ");
    write_text(name);
    write_text(" ");
    call(NR_write, 1, digits + at, (int)sizeof(digits) - at);
    write_text(" 1\n");
}

static unsigned now(void) {
    struct time time;

    call(NR_clock_gettime64, CLOCK_MONOTONIC, &time, 0);
    return (unsigned)time.seconds * 1000000u + (unsigned)time.nanoseconds / 1000u;
}

void _start(void);
void _start(void) {
    unsigned begin = now();

    write_line("uptime", begin);
    for (int round = 0; round < 3; round++) {
        unsigned start = now();
        for (int i = 0; i < CALLS; i++)
            call(NR_getpid, 0, 0, 0);
        write_line("getpid", now() - start);
    }
    call(NR_exit, 0, 0, 0);
}
