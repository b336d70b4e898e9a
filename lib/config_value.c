// SPDX-License-Identifier: Apache-2.0
// Values of the config: checks one property's bytes against the schema and stores them; rules between
// properties.
#include "lib/config_schema.h"

#include "lib/dts.h"

#include <assert.h>
#include <errno.h>
#include <libfdt.h>
#include <string.h>

#define PAGE        4096u
#define POWERS_OF_4 0x5555555555555555ull

static_assert(CONFIG_MAX_PATH == DTS_MAX_PATH, "one limit for file names");
static_assert(CONFIG_MAX_NAME < DTS_MAX_NAME, "a guest's name can be written in the source");

int config_parse_size(const char *text, uint64_t *bytes) {
    uint64_t value = 0;
    unsigned base = 10, shift = 0, digits = 0;
    bool too_large = false;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    for (;; text++) {
        unsigned digit;

        if (*text >= '0' && *text <= '9') {
            digit = (unsigned)(*text - '0');
        } else if (base == 16 && *text >= 'a' && *text <= 'f') {
            digit = (unsigned)(*text - 'a') + 10;
        } else if (base == 16 && *text >= 'A' && *text <= 'F') {
            digit = (unsigned)(*text - 'A') + 10;
        } else {
            break;
        }
        digits++;
        if (value > (UINT64_MAX - digit) / base) {
            too_large = true;
        } else {
            value = value * base + digit;
        }
    }
    switch (*text) {
    case 'K':
    case 'k':
        shift = 10;
        break;
    case 'M':
    case 'm':
        shift = 20;
        break;
    case 'G':
    case 'g':
        shift = 30;
        break;
    }
    if (shift != 0) {
        text++;
    }
    if (digits == 0 || *text != '\0') {
        return -EINVAL;
    }
    if (too_large || value > UINT64_MAX >> shift) {
        return -ERANGE;
    }
    *bytes = value << shift;
    return 0;
}

static bool is_printable(const char *text) {
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

static enum config_fault store_choice(const struct config_property *property, const char *text,
                                      uint32_t *field) {
    for (uint32_t i = 0; property->choices[i] != NULL; i++) {
        if (strcmp(property->choices[i], text) == 0) {
            if (field != NULL) {
                *field = i;
            }
            return CONFIG_FAULT_NONE;
        }
    }
    return CONFIG_FAULT_CHOICE;
}

static enum config_fault store_consent(const struct config_property *property, const char *text,
                                       uint32_t *field) {
    if (strcmp(property->choices[0], text) != 0) {
        return CONFIG_FAULT_CHOICE;
    }
    *field = 1;
    return CONFIG_FAULT_NONE;
}

static enum config_fault check_name(const struct config_property *property, const char *text) {
    size_t length = strlen(text);

    if (length == 0 || length > property->max) {
        return CONFIG_FAULT_LENGTH;
    }
    for (; *text != '\0'; text++) {
        if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
            !(*text >= '0' && *text <= '9') && *text != '-' && *text != '.') {
            return CONFIG_FAULT_CHARACTER;
        }
    }
    return CONFIG_FAULT_NONE;
}

static enum config_fault check_text(const struct config_property *property, const char *text) {
    if (strlen(text) > property->max) {
        return CONFIG_FAULT_LENGTH;
    }
    return is_printable(text) ? CONFIG_FAULT_NONE : CONFIG_FAULT_CHARACTER;
}

static enum config_fault check_device(const struct config_property *property, const char *text) {
    enum config_fault fault = text[0] == '\0' ? CONFIG_FAULT_LENGTH : check_text(property, text);

    return fault == CONFIG_FAULT_NONE && !config_device_valid(text) ? CONFIG_FAULT_DEVICE : fault;
}

static enum config_fault store_size(const struct config_property *property, const char *text,
                                    uint64_t *field) {
    uint64_t bytes;
    int error = config_parse_size(text, &bytes);

    if (error != 0) {
        return error == -ERANGE ? CONFIG_FAULT_RANGE : CONFIG_FAULT_SIZE;
    }
    if (bytes < property->min || bytes > property->max) {
        return CONFIG_FAULT_RANGE;
    }
    if (bytes % PAGE != 0) {
        return CONFIG_FAULT_MULTIPLE;
    }
    if (property->power != 0 &&
        ((bytes & (bytes - 1)) != 0 || (property->power == 4 && (bytes & POWERS_OF_4) == 0))) {
        return CONFIG_FAULT_POWER;
    }
    *field = bytes;
    return CONFIG_FAULT_NONE;
}

static enum config_fault store_modules(const struct config_property *property, const char *text,
                                       const char *end, struct config_guest *guest, unsigned *element) {
    for (*element = 1; text < end; (*element)++) {
        char name[CONFIG_MAX_PATH + 1];
        size_t length = strlen(text);
        const char *space = strchr(text, ' ');

        if (*element > property->max || length > CONFIG_MAX_CMDLINE) {
            return CONFIG_FAULT_LENGTH;
        }
        if (!is_printable(text)) {
            return CONFIG_FAULT_CHARACTER;
        }
        if ((space != NULL ? (size_t)(space - text) : length) > CONFIG_MAX_PATH) {
            return CONFIG_FAULT_PATH;
        }
        config_module_file(text, name);
        if (config_path_problem(name) != NULL) {
            return CONFIG_FAULT_PATH;
        }
        guest->modules[*element - 1] = text;
        guest->module_count = *element;
        text += length + 1;
    }
    return CONFIG_FAULT_NONE;
}

static enum config_fault store_passed(const struct config_property *property, const char *text,
                                      const char *end, struct config_guest *guest, unsigned *element) {
    struct config_pci address;

    for (*element = 1; text < end; (*element)++) {
        if (*element > property->max) {
            return CONFIG_FAULT_LENGTH;
        }
        if (config_parse_pci(text, &address) != 0) {
            return CONFIG_FAULT_DEVICE;
        }
        for (uint32_t i = 0; i < guest->passthrough_count; i++) {
            if (config_same_device(guest->passthrough[i], text)) {
                return CONFIG_FAULT_REPEATED;
            }
        }
        guest->passthrough[guest->passthrough_count++] = text;
        text += strlen(text) + 1;
    }
    return CONFIG_FAULT_NONE;
}

static enum config_fault store_strings(const struct config_property *property, const char *text, int size,
                                       void *record, unsigned *element) {
    char *field = property->field == CONFIG_NO_FIELD ? NULL : (char *)record + property->field;
    enum config_fault fault;

    if (size <= 0 || text[size - 1] != '\0') {
        return CONFIG_FAULT_TYPE;
    }
    if (property->type == CONFIG_TYPE_MODULES) {
        return store_modules(property, text, text + size, record, element);
    }
    if (property->type == CONFIG_TYPE_PASSED) {
        return store_passed(property, text, text + size, record, element);
    }
    if (strlen(text) + 1 != (size_t)size) {
        *element = 2;
        return CONFIG_FAULT_SEVERAL;
    }
    switch ((enum config_type)property->type) {
    case CONFIG_TYPE_CHOICE:
        return store_choice(property, text, (uint32_t *)field);
    case CONFIG_TYPE_CONSENT:
        return store_consent(property, text, (uint32_t *)field);
    case CONFIG_TYPE_SIZE:
        return store_size(property, text, (uint64_t *)field);
    case CONFIG_TYPE_MAC:
        return config_parse_mac(text, (uint8_t *)field) == 0 ? CONFIG_FAULT_NONE : CONFIG_FAULT_MAC;
    case CONFIG_TYPE_NAME:
        fault = check_name(property, text);
        break;
    case CONFIG_TYPE_LINK: /* whether there is one is seen by config_complete() */
        fault = text[0] == '\0' ? CONFIG_FAULT_LENGTH : check_text(property, text);
        break;
    case CONFIG_TYPE_TEXT:
        fault = check_text(property, text);
        break;
    case CONFIG_TYPE_FILE:
        fault = config_path_problem(text) != NULL ? CONFIG_FAULT_PATH : CONFIG_FAULT_NONE;
        break;
    case CONFIG_TYPE_UPLINK:
        fault = config_uplink_valid(text) ? CONFIG_FAULT_NONE : CONFIG_FAULT_DEVICE;
        break;
    case CONFIG_TYPE_DEVICE:
        fault = check_device(property, text);
        break;
    default:
        return CONFIG_FAULT_TYPE;
    }
    if (fault == CONFIG_FAULT_NONE) {
        *(const char **)field = text;
    }
    return fault;
}

static enum config_fault store_cells(const struct config_property *property, const uint8_t *cells, int size,
                                     void *record, unsigned *element) {
    char *field = (char *)record + property->field;
    unsigned count = (unsigned)size / sizeof(fdt32_t);
    uint64_t mask = 0;

    if (size <= 0 || (unsigned)size % sizeof(fdt32_t) != 0) {
        return CONFIG_FAULT_TYPE;
    }
    if (property->type == CONFIG_TYPE_NUMBER && count != 1) {
        *element = 2;
        return CONFIG_FAULT_SEVERAL;
    }
    for (unsigned i = 0; i < count; i++) {
        fdt32_t cell;
        uint32_t value;

        memcpy(&cell, cells + i * sizeof(cell), sizeof(cell));
        value = fdt32_to_cpu(cell);
        *element = i + 1;
        if (value < property->min || value > property->max) {
            return CONFIG_FAULT_RANGE;
        }
        if (property->type == CONFIG_TYPE_NUMBER) {
            *(uint32_t *)field = value;
            return CONFIG_FAULT_NONE;
        }
        if ((mask >> value & 1) != 0) {
            return CONFIG_FAULT_REPEATED;
        }
        mask |= 1ull << value;
    }
    *(uint64_t *)field = mask;
    return CONFIG_FAULT_NONE;
}

enum config_fault config_store_value(const struct config_property *property, const void *value, int size,
                                     void *record, unsigned *element) {
    *element = 1;
    if (property->type == CONFIG_TYPE_NUMBER || property->type == CONFIG_TYPE_CPUS) {
        return store_cells(property, value, size, record, element);
    }
    return store_strings(property, value, size, record, element);
}

#define GIVEN(property) (1u << (property))
#define IMAGES                                                                                               \
    (GIVEN(CONFIG_GUEST_KERNEL) | GIVEN(CONFIG_GUEST_MULTIBOOT) | GIVEN(CONFIG_GUEST_PVH) |                  \
     GIVEN(CONFIG_GUEST_FIRMWARE))

static bool guest_breaks_rule(enum config_rule rule, uint32_t given) {
    uint32_t images = given & IMAGES;

    switch (rule) {
    case CONFIG_RULE_NO_IMAGE:
        return images == 0;
    case CONFIG_RULE_TWO_IMAGES:
        return (images & (images - 1)) != 0;
    case CONFIG_RULE_INITRD:
        return (given & GIVEN(CONFIG_GUEST_INITRD)) != 0 && images != 0 &&
               (images & (GIVEN(CONFIG_GUEST_KERNEL) | GIVEN(CONFIG_GUEST_PVH))) == 0;
    case CONFIG_RULE_MODULES:
        return (given & GIVEN(CONFIG_GUEST_MODULES)) != 0 && images != 0 &&
               (images & GIVEN(CONFIG_GUEST_MULTIBOOT)) == 0;
    case CONFIG_RULE_CMDLINE:
        return (given & GIVEN(CONFIG_GUEST_CMDLINE)) != 0 && images == GIVEN(CONFIG_GUEST_FIRMWARE);
    case CONFIG_RULE_IDENTITY:
        return (given & GIVEN(CONFIG_GUEST_IDENTITY_MEMORY)) != 0 && images != 0 &&
               (images & (GIVEN(CONFIG_GUEST_KERNEL) | GIVEN(CONFIG_GUEST_MULTIBOOT))) == 0;
    default:
        return false;
    }
}

static bool is_given(const struct config_node *node, uint32_t given, const char *name) {
    const struct config_property *property = config_find_property(node, name);

    return property != NULL && (given >> (property - node->properties) & 1) != 0;
}

static bool budget_breaks_rule(enum config_rule rule, bool budget_given, bool period_given, uint32_t budget,
                               uint32_t period) {
    switch (rule) {
    case CONFIG_RULE_PERIOD:
        return budget_given && !period_given;
    case CONFIG_RULE_BUDGET:
        return period_given && !budget_given;
    case CONFIG_RULE_OVER:
        return budget_given && period_given && budget != 0 && period != 0 && budget > period;
    default:
        return false;
    }
}

bool config_breaks_rule(enum config_rule rule, const struct config_node *node, uint32_t given,
                        const void *record) {
    const struct config_guest *guest;
    const struct config_service *service;
    const struct config_guest_disk *disk;
    const struct config_net *net;
    bool budget = is_given(node, given, "budget"), period = is_given(node, given, "period");
    int stores =
        is_given(node, given, "file") + is_given(node, given, "memory") + is_given(node, given, "device");

    switch ((enum config_kind)node->kind) {
    case CONFIG_KIND_GUEST:
        guest = record;
        return guest_breaks_rule(rule, given) ||
               budget_breaks_rule(rule, budget, period, guest->budget, guest->period);
    case CONFIG_KIND_SERVICE:
        service = &((const struct config *)record)->service;
        return budget_breaks_rule(rule, budget, period, service->budget, service->period);
    case CONFIG_KIND_DISK:
        return (rule == CONFIG_RULE_NO_STORE && stores == 0) ||
               (rule == CONFIG_RULE_TWO_STORES && stores > 1);
    case CONFIG_KIND_GUEST_DISK:
        disk = record;
        return (rule == CONFIG_RULE_OVERLAY && disk->read_only == 1 && disk->overlay == 1) ||
               (rule == CONFIG_RULE_TRANSPORT && disk->type == CONFIG_DISK_AHCI &&
                is_given(node, given, "transport"));
    case CONFIG_KIND_NET:
        net = record;
        return net->type == CONFIG_NET_E1000 &&
               ((rule == CONFIG_RULE_QUEUES && net->queues > 1) ||
                (rule == CONFIG_RULE_TRANSPORT && is_given(node, given, "transport")));
    case CONFIG_KIND_HOST:
    case CONFIG_KIND_NETWORK:
        break;
    }
    return false;
}
