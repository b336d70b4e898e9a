// SPDX-License-Identifier: Apache-2.0
// Lines for the hypervisor's log, and the end of this run when something is wrong that cannot be mended: the
// hypervisor then starts the service VM anew, and the guests go on.
#ifndef SAGUARO_SERVICE_LOG_H
#define SAGUARO_SERVICE_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include "abi/service.h"

enum service_log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* One line without a newline; what is longer than SERVICE_MAX_TEXT bytes is cut. */
void service_log(enum service_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Lines of higher levels are dropped from now on. At first all are let through. */
void service_log_limit(enum service_log_level level);

/* A line that lists things, with ", " between them; what does not fit goes on in further lines. */
struct log_list {
    enum service_log_level level;
    size_t used;
    unsigned items;
    char text[SERVICE_MAX_TEXT + 1];
};
void log_list_begin(struct log_list *list, enum service_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_list_add(struct log_list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The line goes out, with "none" if nothing was added. */
void log_list_end(struct log_list *list);

/* A warning about a device of VM `vm`, for that guest's log. */
void service_note(unsigned vm, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says why, and ends this run of the service VM. */
void service_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
