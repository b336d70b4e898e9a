// SPDX-License-Identifier: Apache-2.0
// panic(): one CPU reports and stops the machine; the others wait to be stopped by it.
#include "core/log.h"

#include <stdio.h>
#include <string.h>
#include "core/atomic.h"
#include "core/console.h"

#define PANIC_TEXT     256

/* Long enough for the first CPU to stop this one; some seconds. */
#define PANIC_PATIENCE 20000000u

void panic(const char *format, ...) {
    static uint32_t panics;
    char text[PANIC_TEXT];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof(text), format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    if (__atomic_fetch_add(&panics, 1, __ATOMIC_ACQ_REL) == 0) {
        console_panic();
        log_show();
        log_error("PANIC: %s", text);
        console_flush();
        arch_panic_stop();
    }
    /* A second CPU will be stopped by the first. If nobody does, this is the first one, which failed again
     * while it reported. */
    for (unsigned i = 0; i < PANIC_PATIENCE; i++)
        cpu_relax();
    static const char again[] = "\nPANIC while reporting a panic: ";
    console_write(again, sizeof(again) - 1);
    console_write(text, strlen(text));
    console_write("\n", 1);
    console_flush();
    for (;;)
        cpu_relax();
}
