// SPDX-License-Identifier: Apache-2.0
// The service VM's log and its last words (see service/log.h).
#include "service/log.h"

#include <stdio.h>
#include "service/call.h"

static enum service_log_level limit = LOG_DEBUG;

/* The length of the text as far as it fits. */
__attribute__((format(printf, 2, 0))) static uint32_t format_text(char text[SERVICE_MAX_TEXT + 1],
                                                                  const char *format, va_list arguments) {
    int length = vsnprintf(text, SERVICE_MAX_TEXT + 1, format, arguments);

    if (length < 0)
        return 0;
    return (unsigned)length < SERVICE_MAX_TEXT ? (uint32_t)length : SERVICE_MAX_TEXT;
}

void service_log_limit(enum service_log_level level) {
    limit = level;
}

void service_log(enum service_log_level level, const char *format, ...) {
    char text[SERVICE_MAX_TEXT + 1];
    va_list arguments;

    if (level > limit)
        return;
    va_start(arguments, format);
    uint32_t length = format_text(text, format, arguments);
    va_end(arguments);
    if (length)
        (void)service_call_log(level, text, length);
}

/* ---- lists */

void log_list_begin(struct log_list *list, enum service_log_level level, const char *format, ...) {
    va_list arguments;

    list->level = level;
    list->items = 0;
    va_start(arguments, format);
    list->used = format_text(list->text, format, arguments);
    va_end(arguments);
}

void log_list_add(struct log_list *list, const char *format, ...) {
    char item[SERVICE_MAX_TEXT + 1];
    const char *before = list->items ? ", " : " ";
    va_list arguments;

    va_start(arguments, format);
    size_t length = format_text(item, format, arguments);
    va_end(arguments);
    if (list->items && list->used + 2 + length > SERVICE_MAX_TEXT) {
        service_log(list->level, "%s,", list->text);
        list->used = 0;
        before = "and ";
    }
    int more = snprintf(list->text + list->used, sizeof(list->text) - list->used, "%s%s", before, item);
    if (more > 0)
        list->used += (size_t)more;
    if (list->used > SERVICE_MAX_TEXT)
        list->used = SERVICE_MAX_TEXT;
    list->items++;
}

void log_list_end(struct log_list *list) {
    service_log(list->level, "%s%s", list->text, list->items ? "" : " none");
}

void service_note(unsigned vm, const char *format, ...) {
    char text[SERVICE_MAX_TEXT + 1];
    va_list arguments;

    va_start(arguments, format);
    uint32_t length = format_text(text, format, arguments);
    va_end(arguments);
    (void)service_call_note(vm, text, length);
}

void service_fatal(const char *format, ...) {
    char text[SERVICE_MAX_TEXT + 1];
    va_list arguments;

    va_start(arguments, format);
    uint32_t length = format_text(text, format, arguments);
    va_end(arguments);
    service_call_crash(text, length);
    arch_die();
}
