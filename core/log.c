// SPDX-License-Identifier: Apache-2.0
// The log's ring. Writers take no lock: each claims a slot by an atomic increment and publishes it by its
// number, so that an exception or NMI inside a writer cannot deadlock. Lines are shown in order by whoever
// gets hold of the consoles; nobody waits for them.
#include "core/log.h"

#include <stdio.h>
#include <string.h>
#include "abi/control.h"
#include "core/atomic.h"
#include "core/console.h"

#define LOG_SLOTS 512u /* power of two */
#define LOG_TEXT  241u /* with its NUL */
#define LOG_STALL 256u /* a line that is not published when so many came after it is given up */
#define LOG_LINE  288u /* formatted: time, level, text */

#define NO_LINE   UINT32_MAX

_Static_assert(LOG_TEXT <= sizeof(((struct control_log *)0)->text), "a whole line is shown");

struct log_slot {
    uint32_t number; /* of the line that it holds, plus 1; 0: being written, or empty */
    uint8_t level;
    uint64_t time; /* ns */
    char text[LOG_TEXT];
};

static struct log_slot ring[LOG_SLOTS];
static uint32_t next_number; /* of the next line; wraps around, without NO_LINE */
static uint32_t next_shown;  /* the next line for the consoles; changed only by who has them */
static uint32_t shown_level = LOG_INFO;

void log_set_level(enum log_level shown) {
    __atomic_store_n(&shown_level, (uint32_t)shown, __ATOMIC_RELAXED);
}

/* Copies line `number`. False: it is being written, was overwritten or does not exist yet. */
static bool slot_read(uint32_t number, struct log_slot *copy) {
    struct log_slot *slot = &ring[number % LOG_SLOTS];
    if (number == NO_LINE || __atomic_load_n(&slot->number, __ATOMIC_ACQUIRE) != number + 1)
        return false;
    copy->level = slot->level;
    copy->time = slot->time;
    memcpy(copy->text, slot->text, LOG_TEXT);
    copy->text[LOG_TEXT - 1] = '\0';
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&slot->number, __ATOMIC_RELAXED) == number + 1;
}

static size_t line_format(const struct log_slot *slot, char line[LOG_LINE]) {
    static const char *const tags[] = {"error: ", "warning: ", "", "debug: "};
    uint64_t microseconds = slot->time / 1000;
    int length = snprintf(line, LOG_LINE, "[%5lu.%06lu] %s%s", (unsigned long)(microseconds / 1000000),
                          (unsigned long)(microseconds % 1000000),
                          slot->level < array_count(tags) ? tags[slot->level] : "", slot->text);
    return length < (int)LOG_LINE ? (size_t)length : LOG_LINE - 1;
}

static bool line_ready(uint32_t number) {
    return number != NO_LINE &&
           __atomic_load_n(&ring[number % LOG_SLOTS].number, __ATOMIC_ACQUIRE) == number + 1;
}

/* Nobody will publish it: its writer was interrupted by a panic, or was overtaken by a whole ring of lines.
 */
static bool line_given_up(uint32_t number, uint32_t end) {
    return number == NO_LINE || end - number > LOG_STALL || console_in_panic();
}

void log_show(void) {
    for (;;) {
        /* Orders the publication of a line, or the release of the consoles, before the look at the other. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        uint32_t number = __atomic_load_n(&next_shown, __ATOMIC_RELAXED);
        uint32_t end = __atomic_load_n(&next_number, __ATOMIC_RELAXED);
        if (number == end)
            return;
        if (!line_ready(number) && !line_given_up(number, end))
            return; /* its writer will show it */
        if (!console_begin(false))
            return; /* who has the consoles will show it */
        struct log_slot copy;
        char line[LOG_LINE];
        number = next_shown;
        end = __atomic_load_n(&next_number, __ATOMIC_RELAXED);
        if (end - number > LOG_SLOTS) {
            size_t length = (size_t)snprintf(line, sizeof(line), "... %u log lines lost",
                                             (unsigned)(end - number - LOG_SLOTS));
            console_put_line(line, length);
            __atomic_store_n(&next_shown, end - LOG_SLOTS, __ATOMIC_RELAXED);
        } else if (number != end && slot_read(number, &copy)) {
            if (copy.level <= __atomic_load_n(&shown_level, __ATOMIC_RELAXED))
                console_put_line(line, line_format(&copy, line));
            __atomic_store_n(&next_shown, number + 1, __ATOMIC_RELAXED);
        } else if (number != end && line_given_up(number, end)) {
            __atomic_store_n(&next_shown, number + 1, __ATOMIC_RELAXED);
        }
        console_end();
    }
}

void log_line_v(enum log_level level, const char *format, va_list arguments) {
    char text[LOG_TEXT];
    if (vsnprintf(text, sizeof(text), format, arguments) < 0)
        text[0] = '\0';
    uint32_t number;
    do
        number = __atomic_fetch_add(&next_number, 1, __ATOMIC_RELAXED);
    while (number == NO_LINE);
    struct log_slot *slot = &ring[number % LOG_SLOTS];
    __atomic_store_n(&slot->number, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    slot->level = (uint8_t)level;
    slot->time = time_now();
    memcpy(slot->text, text, sizeof(text));
    __atomic_store_n(&slot->number, number + 1, __ATOMIC_RELEASE);
    log_show();
}

void log_line(enum log_level level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line_v(level, format, arguments);
    va_end(arguments);
}

static void replay(uint32_t end, unsigned count, uint32_t level, void (*print)(const char *line)) {
    if (count > LOG_SLOTS)
        count = LOG_SLOTS;
    if (count > end)
        count = end; /* a slot never written looks like the line before number 0 */
    for (uint32_t number = end - count; number != end; number++) {
        struct log_slot copy;
        char line[LOG_LINE];
        if (slot_read(number, &copy) && copy.level <= level) {
            line_format(&copy, line);
            print(line);
        }
    }
}

void log_replay(unsigned count, void (*print)(const char *line)) {
    replay(__atomic_load_n(&next_number, __ATOMIC_ACQUIRE), count, UINT32_MAX, print);
}

void log_replay_shown(void (*print)(const char *line)) {
    replay(__atomic_load_n(&next_shown, __ATOMIC_ACQUIRE), LOG_SLOTS,
           __atomic_load_n(&shown_level, __ATOMIC_RELAXED), print);
}

uint32_t log_end(uint32_t *kept) {
    *kept = LOG_SLOTS;
    return __atomic_load_n(&next_number, __ATOMIC_ACQUIRE);
}

bool log_read(uint32_t number, struct control_log *out) {
    struct log_slot copy;
    if (!slot_read(number, &copy))
        return false;
    out->level = copy.level;
    out->time = copy.time;
    memcpy(out->text, copy.text, LOG_TEXT);
    return true;
}

bool log_allowed(struct log_limit *limit) {
    uint64_t now = time_now();
    if (limit->window == 0 || now >= limit->window + 1000000000ull) {
        limit->window = now != 0 ? now : 1;
        __atomic_store_n(&limit->used, 0, __ATOMIC_RELAXED);
    }
    if (__atomic_load_n(&limit->used, __ATOMIC_RELAXED) >= limit->burst) {
        __atomic_fetch_add(&limit->withheld, 1, __ATOMIC_RELAXED);
        return false;
    }
    __atomic_fetch_add(&limit->used, 1, __ATOMIC_RELAXED);
    uint32_t withheld = __atomic_exchange_n(&limit->withheld, 0, __ATOMIC_RELAXED);
    if (withheld != 0)
        log_warning("%u more messages like the next were withheld", (unsigned)withheld);
    return true;
}
