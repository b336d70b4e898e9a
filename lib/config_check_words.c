// SPDX-License-Identifier: Apache-2.0
// Puts the schema into words, and finds the name that a wrong one is nearest to.
#include "lib/config_check_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LONGEST_NAME 32u /* of the schema, and of networks and disks; longer names are near to nothing */
#define CONFIG_NAMES 32u /* of properties or nodes of one node */

/* Appends at *used; what does not fit is cut. */
static void append(char *buffer, size_t size, size_t *used, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void append(char *buffer, size_t size, size_t *used, const char *format, ...) {
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(buffer + *used, size - *used, format, arguments);
    va_end(arguments);
    if (length > 0) {
        *used += (size_t)length < size - *used ? (size_t)length : size - *used - 1;
    }
}

/* A size as the config writes it: the largest suffix that divides it. */
static const char *size_word(uint64_t bytes, char buffer[CONFIG_WORDS]) {
    static const char suffixes[] = {0, 'K', 'M', 'G'};
    unsigned unit = 0;

    while (unit < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(buffer, CONFIG_WORDS, suffixes[unit] != 0 ? "%llu%c" : "%llu", (unsigned long long)bytes,
             suffixes[unit]);
    return buffer;
}

const char *config_size_text(uint64_t bytes, char buffer[CONFIG_WORDS]) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
    unsigned unit = 0;
    uint64_t whole = bytes, scale = 1;

    while (unit < 3 && whole >= 1024 && (bytes / scale % 1024 == 0 || whole >= 10 * 1024)) {
        whole /= 1024;
        scale *= 1024;
        unit++;
    }
    if (bytes % scale * 10 / scale != 0) {
        snprintf(buffer, CONFIG_WORDS, "%llu.%u %s", (unsigned long long)whole,
                 (unsigned)(bytes % scale * 10 / scale), units[unit]);
    } else {
        snprintf(buffer, CONFIG_WORDS, "%llu %s", (unsigned long long)whole, units[unit]);
    }
    return buffer;
}

static const char *power_words(unsigned power) {
    return power == 4 ? ", a power of four" : power == 2 ? ", a power of two" : "";
}

const char *config_expected(const struct config_property *property, char buffer[CONFIG_WORDS]) {
    char low[CONFIG_WORDS], high[CONFIG_WORDS];
    size_t used = 0;

    switch ((enum config_type)property->type) {
    case CONFIG_TYPE_CHOICE:
        append(buffer, CONFIG_WORDS, &used, "%s", property->choices[1] != NULL ? "one of" : "the string");
        for (unsigned i = 0; property->choices[i] != NULL; i++) {
            append(buffer, CONFIG_WORDS, &used, "%s \"%s\"", i > 0 ? "," : "", property->choices[i]);
        }
        break;
    case CONFIG_TYPE_CONSENT:
        snprintf(buffer, CONFIG_WORDS, "the string \"%s\"", property->choices[0]);
        break;
    case CONFIG_TYPE_NAME:
        snprintf(buffer, CONFIG_WORDS, "a name of 1 to %u letters, digits, \"-\" and \".\"",
                 (unsigned)property->max);
        break;
    case CONFIG_TYPE_LINK:
        snprintf(buffer, CONFIG_WORDS, "the name of a %s", property->name);
        break;
    case CONFIG_TYPE_TEXT:
        snprintf(buffer, CONFIG_WORDS, "a string of at most %u bytes", (unsigned)property->max);
        break;
    case CONFIG_TYPE_SIZE:
        snprintf(buffer, CONFIG_WORDS, "a size from \"%s\" to \"%s\"%s", size_word(property->min, low),
                 size_word(property->max, high), power_words(property->power));
        break;
    case CONFIG_TYPE_NUMBER:
        snprintf(buffer, CONFIG_WORDS, "a number from %u to %u", (unsigned)property->min,
                 (unsigned)property->max);
        break;
    case CONFIG_TYPE_CPUS:
        snprintf(buffer, CONFIG_WORDS, "numbers from %u to %u", (unsigned)property->min,
                 (unsigned)property->max);
        break;
    case CONFIG_TYPE_FILE:
        snprintf(buffer, CONFIG_WORDS, "a file name");
        break;
    case CONFIG_TYPE_MAC:
        snprintf(buffer, CONFIG_WORDS, "a card's address as \"52:54:00:12:34:56\"");
        break;
    case CONFIG_TYPE_UPLINK:
        snprintf(buffer, CONFIG_WORDS,
                 "a card's address as \"52:54:00:12:34:56\" or a PCI address as \"0000:00:03.0\"");
        break;
    case CONFIG_TYPE_DEVICE:
        snprintf(buffer, CONFIG_WORDS,
                 "a disk's serial number of 1 to %u bytes or a PCI address as \"0000:00:03.0\"",
                 (unsigned)property->max);
        break;
    case CONFIG_TYPE_PASSED:
        snprintf(buffer, CONFIG_WORDS, "up to %u PCI addresses as \"0000:00:03.0\"", (unsigned)property->max);
        break;
    case CONFIG_TYPE_MODULES:
        snprintf(buffer, CONFIG_WORDS, "up to %u strings \"FILE ARGUMENTS\"", (unsigned)property->max);
        break;
    }
    return buffer;
}

const char *config_default(const struct config_property *property, char buffer[CONFIG_WORDS]) {
    if ((property->flags & CONFIG_REQUIRED) != 0) {
        snprintf(buffer, CONFIG_WORDS, "required");
    } else if (property->otherwise != NULL) {
        snprintf(buffer, CONFIG_WORDS, "%s", property->otherwise);
    } else if (property->type == CONFIG_TYPE_CHOICE) {
        snprintf(buffer, CONFIG_WORDS, "\"%s\"", property->choices[property->preset]);
    } else if (property->preset_text != NULL) {
        snprintf(buffer, CONFIG_WORDS, "\"%s\"", property->preset_text);
    } else {
        snprintf(buffer, CONFIG_WORDS, "%llu", (unsigned long long)property->preset);
    }
    return buffer;
}

const char *config_reference_row(const struct config_property *property, char buffer[CONFIG_ROW]) {
    char expected[CONFIG_WORDS], preset[CONFIG_WORDS], limit[CONFIG_WORDS];
    const char *where = config_is_for(property, CONFIG_ARCH_PPC) ? "both" : "x86";
    size_t used = 0;

    append(buffer, CONFIG_ROW, &used, "| `%s` | %s", property->name, config_expected(property, expected));
    if (property->ppc_max != 0 && property->type == CONFIG_TYPE_SIZE) {
        append(buffer, CONFIG_ROW, &used, "; on PowerPC to \"%s\"%s", size_word(property->ppc_max, limit),
               power_words(property->ppc_power));
    } else if (property->ppc_max != 0) {
        append(buffer, CONFIG_ROW, &used, "; on PowerPC to %u", (unsigned)property->ppc_max);
    }
    append(buffer, CONFIG_ROW, &used, " | %s | %s | %s |", config_default(property, preset), where,
           property->meaning);
    return buffer;
}

const char *config_reference_heading(const struct config_node *node, const char *path,
                                     char buffer[CONFIG_ROW]) {
    snprintf(buffer, CONFIG_ROW, "### `%s`: %s%s", path, node->meaning,
             (node->flags & CONFIG_LATER) != 0      ? " (not in this version)"
             : (node->flags & CONFIG_REQUIRED) != 0 ? " (required)"
                                                    : "");
    return buffer;
}

static void each_below(const struct config_node *node, const char *path,
                       void (*each)(void *context, const struct config_node *node, const char *path),
                       void *context) {
    each(context, node, path[0] != '\0' ? path : "/");
    for (unsigned i = 0; i < node->node_count; i++) {
        char below[CONFIG_WORDS];

        snprintf(below, sizeof(below), "%s/%s", path, node->nodes[i].name);
        each_below(&node->nodes[i], below, each, context); /* as deep as the schema is */
    }
}

void config_each_node(void (*each)(void *context, const struct config_node *node, const char *path),
                      void *context) {
    each_below(&config_schema, "", each, context);
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Insertions, deletions, replacements and swaps of neighbours that make one name of the other. */
static unsigned distance(const char *a, const char *b) {
    unsigned rows[3][LONGEST_NAME + 1];
    size_t a_length = strlen(a), b_length = strlen(b);

    if (a_length > LONGEST_NAME || b_length > LONGEST_NAME) {
        return UINT32_MAX;
    }
    for (size_t j = 0; j <= b_length; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *second = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            char ca = lower(a[i - 1]), cb = lower(b[j - 1]);
            unsigned best = above[j - 1] + (ca == cb ? 0 : 1);

            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && ca == lower(b[j - 2]) && lower(a[i - 2]) == cb &&
                second[j - 2] + 1 < best) {
                best = second[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *config_nearest_of(const char *const *names, unsigned count, const char *name) {
    size_t length = strlen(name);
    unsigned best = (length >= 8 ? 3 : (length >= 4 ? 2 : 1)) + 1;
    const char *nearest = NULL;

    for (unsigned i = 0; i < count; i++) {
        unsigned found = distance(name, names[i]);

        if (found < best && found < strlen(names[i])) {
            best = found;
            nearest = names[i];
        }
    }
    return nearest;
}

const char *config_nearest(const struct config_node *node, bool nodes, const char *name) {
    const char *names[CONFIG_NAMES];
    unsigned count = 0;

    for (unsigned i = 0; i < (nodes ? node->node_count : node->property_count) && count < CONFIG_NAMES; i++) {
        if (!nodes || (node->nodes[i].flags & (CONFIG_ANY_NAME | CONFIG_NUMBERED)) == 0) {
            names[count++] = nodes ? node->nodes[i].name : node->properties[i].name;
        }
    }
    return config_nearest_of(names, count, name);
}
