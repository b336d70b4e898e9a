// SPDX-License-Identifier: Apache-2.0
// The log: a ring of lines with levels and time stamps, shown on the host consoles as it is written; and
// panic().
#ifndef SAGUARO_CORE_LOG_H
#define SAGUARO_CORE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Adds a line (without '\n'; longer than 240 bytes is cut). Safe on any CPU and in any context, an exception
 * handler's included. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_line_v(enum log_level level, const char *format, va_list arguments);

#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)

/* Lines above this level are kept in the ring but not shown on the consoles. Default LOG_INFO. */
void log_set_level(enum log_level shown);

/* Shows lines that could not be shown while another CPU (or an interrupted caller) had the consoles.
 * console.c calls it after it let go of them. */
void log_show(void);

/* Calls `print` for the newest `count` lines, oldest first, formatted as "[   12.345678] text". */
void log_replay(unsigned count, void (*print)(const char *line));
/* The same for the lines that the consoles were shown so far: for a console that is new. */
void log_replay_shown(void (*print)(const char *line));

/* The number of the line that comes next, and *kept, how many lines are kept at most. */
uint32_t log_end(uint32_t *kept);
/* Copies line `number`. False: it does not exist yet, or not any more, or is being written. */
struct control_log;
bool log_read(uint32_t number, struct control_log *out);

/* At most `burst` lines a second from one place: `static struct log_limit limit = {.burst = 10}; if
 * (log_allowed(&limit)) ...`. When lines were withheld, the next allowed call logs how many. */
struct log_limit {
    uint64_t window; /* ns: start of the current second */
    uint32_t burst;
    uint32_t used;
    uint32_t withheld;
};
bool log_allowed(struct log_limit *limit);

/* Going on would leak or corrupt: reports what, where, the caller's backtrace and the last log lines on every
 * console; stops all CPUs. */
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A fact that only a bug of ours can break. Never for input from outside. */
#define bug_if(condition)                                                                                    \
    do {                                                                                                     \
        if (__builtin_expect(!!(condition), 0))                                                              \
            panic("bug: %s at %s:%d", #condition, __FILE__, __LINE__);                                       \
    } while (0)

#endif
