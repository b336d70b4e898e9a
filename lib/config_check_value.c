// SPDX-License-Identifier: Apache-2.0
// The config's checker: says what is wrong with one value.
#include "lib/config_check_internal.h"
#include "lib/config_check_words.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

static bool looks_like_strings(const char *value, int size) {
    if (size <= 0 || value[size - 1] != '\0') {
        return false;
    }
    for (int i = 0; i < size; i++) {
        if ((value[i] < ' ' || value[i] > '~') && !(value[i] == '\0' && (i > 0 && value[i - 1] != '\0'))) {
            return size == 1; /* "" */
        }
    }
    return true;
}

enum dts_kind config_check_kind(const struct config_checker *c, int property, const void *value, int size) {
    const struct dts_mark *mark = dts_find(c->source->positions, property, 0);

    if (mark != NULL && mark->kind != DTS_KIND_UNKNOWN) {
        return (enum dts_kind)mark->kind;
    }
    if (size == 0) {
        return DTS_KIND_EMPTY;
    }
    if (looks_like_strings(value, size)) {
        return DTS_KIND_STRINGS;
    }
    return size % 4 == 0 ? DTS_KIND_CELLS : DTS_KIND_UNKNOWN;
}

/* String number `element`, from 1, of a value that ends in a NUL. */
static const char *nth_string(const char *value, unsigned element) {
    while (element-- > 1) {
        value += strlen(value) + 1;
    }
    return value;
}

/* The value as it was found, for a message. */
static const char *found_text(enum dts_kind kind, const char *value, int size, unsigned element,
                              char buffer[CONFIG_WORDS]) {
    fdt32_t cell;
    unsigned count = 0;

    switch (kind) {
    case DTS_KIND_EMPTY:
        snprintf(buffer, CONFIG_WORDS, "no value");
        break;
    case DTS_KIND_STRINGS:
        for (int i = 0; i < size; i++) {
            count += value[i] == '\0';
        }
        if (element == 0) {
            snprintf(buffer, CONFIG_WORDS, count == 1 ? "a string" : "%u strings", count);
        } else {
            snprintf(buffer, CONFIG_WORDS, "\"%.40s\"", nth_string(value, element));
        }
        break;
    case DTS_KIND_CELLS:
        if (element == 0) {
            snprintf(buffer, CONFIG_WORDS, size == 4 ? "a number" : "%d numbers", size / 4);
        } else if (element * sizeof(cell) > (size_t)size) { /* strings that look like numbers */
            snprintf(buffer, CONFIG_WORDS, "%d bytes", size);
        } else {
            memcpy(&cell, value + (element - 1) * sizeof(cell), sizeof(cell));
            snprintf(buffer, CONFIG_WORDS, "%u", (unsigned)fdt32_to_cpu(cell));
        }
        break;
    default:
        snprintf(buffer, CONFIG_WORDS, "%d bytes", size);
        break;
    }
    return buffer;
}

static void bad_path(struct config_checker *c, struct config_place place,
                     const struct config_property *property, const char *path) {
    char name[CONFIG_MAX_PATH + 1];
    const char *problem;

    if (property->type == CONFIG_TYPE_MODULES) {
        config_module_file(
            path, name); /* without its arguments; cut if it is too long, which then is the problem */
        path = name;
    }
    problem = config_path_problem(path);
    config_check_complain(c, place, "\"%s\" cannot name the file \"%.60s\": %s", property->name, path,
                          problem != NULL ? problem : "it is longer than 200 bytes");
}

/* Whoever writes the word is to know what it means: identity-memory is the one property of this type. */
static void bad_consent(struct config_checker *c, struct config_place place,
                        const struct config_property *property) {
    config_check_complain(
        c, place,
        "\"%s\" must be \"%s\": without an IOMMU the DMA of the guest's \"passthrough\" can "
        "read and write all of the machine's memory, and to write this accepts it; else "
        "leave it away",
        property->name, property->choices[0]);
}

void config_check_bad_value(struct config_checker *c, const struct config_check_node *node, int at,
                            const struct config_property *property, enum config_fault fault, unsigned element,
                            const char *value, int size) {
    enum dts_kind kind = config_check_kind(c, at, value, size);
    struct config_place place = config_check_at_value(node, at, element);
    char expected[CONFIG_WORDS], found[CONFIG_WORDS];

    config_expected(property, expected);
    if (fault != CONFIG_FAULT_NONE && property->type == CONFIG_TYPE_CONSENT) {
        bad_consent(c, place, property);
        return;
    }
    switch (fault) {
    case CONFIG_FAULT_NONE:
        break;
    case CONFIG_FAULT_TYPE:
        config_check_complain(c, config_check_at_value(node, at, 1), "\"%s\" must be %s; found %s",
                              property->name, expected, found_text(kind, value, size, 0, found));
        break;
    case CONFIG_FAULT_SEVERAL:
        config_check_complain(c, place, "\"%s\" must be one value, %s; found %s", property->name, expected,
                              found_text(kind, value, size, 0, found));
        break;
    case CONFIG_FAULT_RANGE:
    case CONFIG_FAULT_CHOICE:
        config_check_complain(c, place, "\"%s\" must be %s; found %s", property->name, expected,
                              found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_SIZE:
        config_check_complain(c, place, "\"%s\" must be %s: digits and K, M or G; found %s", property->name,
                              expected, found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_POWER:
    case CONFIG_FAULT_MAC:
    case CONFIG_FAULT_DEVICE:
        config_check_complain(c, place, "\"%s\" must be %s; found %s", property->name, expected,
                              found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_MULTIPLE:
        config_check_complain(c, place, "\"%s\" must be a multiple of 4K; found %s", property->name,
                              found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_LENGTH:
        if (property->type == CONFIG_TYPE_MODULES && element <= property->max) {
            config_check_complain(c, place, "this module is longer than %u bytes", CONFIG_MAX_CMDLINE);
        } else {
            config_check_complain(
                c, place, "\"%s\" must be %s; found %s", property->name, expected,
                property->type == CONFIG_TYPE_MODULES || property->type == CONFIG_TYPE_PASSED ? "more"
                : value[0] == '\0' ? "an empty string"
                                   : "a longer one");
        }
        break;
    case CONFIG_FAULT_CHARACTER:
        config_check_complain(c, place, "\"%s\" must be %s%s; found %s", property->name, expected,
                              property->type == CONFIG_TYPE_NAME ? "" : ", printable ASCII",
                              found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_PATH:
        bad_path(c, place, property, nth_string(value, element));
        break;
    case CONFIG_FAULT_REPEATED:
        config_check_complain(
            c, place, property->type == CONFIG_TYPE_PASSED ? "%s is named twice" : "CPU %s is named twice",
            found_text(kind, value, size, element, found));
        break;
    }
}
