// SPDX-License-Identifier: Apache-2.0
// The config's checker: walks the tree beside the schema and puts every difference into words.
#include "lib/config_check.h"

#include "lib/config_check_place.h"
#include "lib/config_check_words.h"
#include "lib/config_schema.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

struct checker {
    const struct config_source *source;
    struct dts_report *report;
    struct config *config; /* values as far as they are right */
    unsigned errors;
};

/* A node that is being checked. */
struct node_context {
    const struct config_node *schema;
    int offset;
    void *record; /* struct config or struct config_guest */
    uint32_t given;
    int at[CONFIG_GUEST_PROPERTIES]; /* where each given property is, by its index in the schema */
    char called[80];                 /* `guest "web"` */
};

static void complain(struct checker *c, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct checker *c, struct config_place place, const char *format, ...) {
    va_list arguments;

    if (c->errors == CONFIG_MAX_ERRORS) {
        config_complain(c->source, c->report, place,
                        "there are more errors from here on; mend those above first");
    } else if (c->errors < CONFIG_MAX_ERRORS) {
        va_start(arguments, format);
        config_complain_v(c->source, c->report, place, format, arguments);
        va_end(arguments);
    }
    c->errors++;
}

static bool is_done(const struct checker *c) {
    return c->errors > CONFIG_MAX_ERRORS;
}

static struct config_place at_node(int node) {
    return (struct config_place){.node = node, .property = -1};
}

static struct config_place at_value(const struct node_context *node, int property, unsigned element) {
    return (struct config_place){.node = node->offset, .property = property, .element = element};
}

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

/* What a value was written as; of a compiled tree, what it looks like. */
static enum dts_kind value_kind(const struct checker *c, int property, const void *value, int size) {
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

static bool wants_cells(const struct config_property *property) {
    return property->type == CONFIG_TYPE_NUMBER || property->type == CONFIG_TYPE_CPUS;
}

static void bad_path(struct checker *c, struct config_place place, const struct config_property *property,
                     const char *path) {
    char name[CONFIG_MAX_PATH + 1];
    const char *problem;

    if (property->type == CONFIG_TYPE_MODULES) {
        config_module_file(
            path, name); /* without its arguments; cut if it is too long, which then is the problem */
        path = name;
    }
    problem = config_path_problem(path);
    complain(c, place, "\"%s\" cannot name the file \"%.60s\": %s", property->name, path,
             problem != NULL ? problem : "it is longer than 200 bytes");
}

static void bad_value(struct checker *c, const struct node_context *node, int at,
                      const struct config_property *property, /* with the limits of the architecture */
                      enum config_fault fault, unsigned element, const char *value, int size) {
    enum dts_kind kind = value_kind(c, at, value, size);
    struct config_place place = at_value(node, at, element);
    char expected[CONFIG_WORDS], found[CONFIG_WORDS];

    config_expected(property, expected);
    switch (fault) {
    case CONFIG_FAULT_NONE:
        break;
    case CONFIG_FAULT_TYPE:
        complain(c, at_value(node, at, 1), "\"%s\" must be %s; found %s", property->name, expected,
                 found_text(kind, value, size, 0, found));
        break;
    case CONFIG_FAULT_SEVERAL:
        complain(c, place, "\"%s\" must be one value, %s; found %s", property->name, expected,
                 found_text(kind, value, size, 0, found));
        break;
    case CONFIG_FAULT_RANGE:
    case CONFIG_FAULT_CHOICE:
        complain(c, place, "\"%s\" must be %s; found %s", property->name, expected,
                 found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_SIZE:
        complain(c, place, "\"%s\" must be %s: digits and K, M or G; found %s", property->name, expected,
                 found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_MULTIPLE:
        complain(c, place, "\"%s\" must be a multiple of 4K; found %s", property->name,
                 found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_LENGTH:
        if (property->type == CONFIG_TYPE_MODULES && element <= property->max) {
            complain(c, place, "this module is longer than %u bytes", CONFIG_MAX_CMDLINE);
        } else {
            complain(c, place, "\"%s\" must be %s; found %s", property->name, expected,
                     property->type == CONFIG_TYPE_MODULES ? "more"
                     : value[0] == '\0'                    ? "an empty string"
                                                           : "a longer one");
        }
        break;
    case CONFIG_FAULT_CHARACTER:
        complain(c, place, "\"%s\" must be %s%s; found %s", property->name, expected,
                 property->type == CONFIG_TYPE_NAME ? "" : ", printable ASCII",
                 found_text(kind, value, size, element, found));
        break;
    case CONFIG_FAULT_PATH:
        bad_path(c, place, property, nth_string(value, element));
        break;
    case CONFIG_FAULT_REPEATED:
        complain(c, place, "CPU %s is named twice", found_text(kind, value, size, element, found));
        break;
    }
}

struct elsewhere {
    const char *name;
    bool nodes;
    char path[64];
};

static void look_elsewhere(void *context, const struct config_node *node, const char *path) {
    struct elsewhere *e = context;
    const struct config_node *child = e->nodes ? config_find_node(node, e->name) : NULL;

    if (e->path[0] == '\0' && (e->nodes ? child != NULL && (child->flags & CONFIG_ANY_NAME) == 0
                                        : config_find_property(node, e->name) != NULL)) {
        snprintf(e->path, sizeof(e->path), "%s", path);
    }
}

/* What to say behind "unknown": the nearest name, or where the name would be right. */
static const char *unknown_hint(const struct node_context *node, bool nodes, const char *name,
                                char buffer[CONFIG_WORDS]) {
    struct elsewhere elsewhere = {.name = name, .nodes = nodes};
    const char *nearest = config_nearest(node->schema, nodes, name);

    config_each_node(look_elsewhere, &elsewhere);
    if (elsewhere.path[0] != '\0') {
        snprintf(buffer, CONFIG_WORDS, "; it belongs in %s", elsewhere.path);
    } else if (nearest != NULL) {
        snprintf(buffer, CONFIG_WORDS, "; did you mean \"%s\"?", nearest);
    } else {
        buffer[0] = '\0';
    }
    return buffer;
}

static void unknown_property(struct checker *c, const struct node_context *node, int at, const char *name) {
    const struct config_node *child = config_find_node(node->schema, name);
    char hint[CONFIG_WORDS];

    if (child != NULL) {
        bool later = (child->flags & CONFIG_LATER) != 0;

        complain(c, at_value(node, at, 0),
                 later ? "\"%.64s\" is not in this version" : "%.64s { ... } is a node, not a property",
                 name);
        return;
    }
    complain(c, at_value(node, at, 0), "unknown property \"%.64s\" in %s%s", name, node->called,
             unknown_hint(node, false, name, hint));
}

static void check_property(struct checker *c, struct node_context *node, int at) {
    const char *name = NULL;
    int size;
    const char *value = fdt_getprop_by_offset(c->source->fdt, at, &name, &size);
    const struct config_property *property;
    struct config_property limited;
    enum config_fault fault;
    enum dts_kind kind;
    unsigned element = 1, index;

    if (value == NULL || name == NULL) { /* cannot be: the tree was checked */
        complain(c, at_node(node->offset), "a property of %s cannot be read", node->called);
        return;
    }
    property = config_find_property(node->schema, name);
    if (property == NULL) {
        unknown_property(c, node, at, name);
        return;
    }
    if ((property->flags & CONFIG_LATER) != 0) {
        complain(c, at_value(node, at, 0), "\"%s\" is not in this version", name);
        return;
    }
    index = (unsigned)(property - node->schema->properties);
    if ((node->given >> index & 1) != 0) {
        complain(c, at_value(node, at, 0), "property \"%s\" is here a second time", name);
        return;
    }
    node->given |= 1u << index;
    node->at[index] = at;
    if (!config_is_for(property, c->source->arch)) {
        complain(c, at_value(node, at, 0), "\"%s\" is for x86; this config is for PowerPC", name);
        return;
    }
    limited = config_limited(property, c->source->arch);
    kind = value_kind(c, at, value, size);
    if (c->source->positions != NULL && kind != (wants_cells(property) ? DTS_KIND_CELLS : DTS_KIND_STRINGS)) {
        fault = CONFIG_FAULT_TYPE;
    } else {
        fault = config_store_value(&limited, value, size, node->record, &element);
        /* A compiled tree does not say what a value was written as: "abc" read as a number is out of every
         * range. */
        if (fault == CONFIG_FAULT_RANGE && wants_cells(property) && kind == DTS_KIND_STRINGS) {
            fault = CONFIG_FAULT_TYPE;
        }
    }
    bad_value(c, node, at, &limited, fault, element, value, size);
}

static void check_properties(struct checker *c, struct node_context *node) {
    int at;

    config_set_presets(node->schema, node->record);
    fdt_for_each_property_offset(at, c->source->fdt, node->offset) {
        check_property(c, node, at);
        if (is_done(c)) {
            return;
        }
    }
    for (unsigned i = 0; i < node->schema->property_count; i++) {
        const struct config_property *property = &node->schema->properties[i];
        char expected[CONFIG_WORDS];

        if ((property->flags & CONFIG_REQUIRED) != 0 && (node->given >> i & 1) == 0) {
            struct config_property limited = config_limited(property, c->source->arch);

            complain(c, at_node(node->offset), "%s has no \"%s\": give %s", node->called, property->name,
                     config_expected(&limited, expected));
        }
    }
}

/* The image of a guest that is given last, and the one before it. */
static void find_images(const struct node_context *node, int *before, int *last) {
    *before = -1;
    *last = -1;
    for (int i = 0; i < CONFIG_IMAGES; i++) {
        if ((node->given >> i & 1) == 0) {
            continue;
        }
        if (*last < 0 || node->at[i] > node->at[*last]) {
            *before = *last;
            *last = i;
        } else if (*before < 0 || node->at[i] > node->at[*before]) {
            *before = i;
        }
    }
}

static void check_rules(struct checker *c, const struct node_context *node) {
    const struct config_property *properties = node->schema->properties;
    const struct config_guest *guest = node->record;
    bool is_ppc = c->source->arch == CONFIG_ARCH_PPC;
    int before, last;

    find_images(node, &before, &last);
    for (unsigned rule = 0; rule < CONFIG_RULES; rule++) {
        if (!config_breaks_rule(rule, node->given, guest)) {
            continue;
        }
        if (is_ppc && rule >= CONFIG_RULE_TWO_IMAGES && rule <= CONFIG_RULE_CMDLINE) {
            continue; /* needs an image that only x86 has: that is said already */
        }
        switch ((enum config_rule)rule) {
        case CONFIG_RULE_NO_IMAGE:
            complain(c, at_node(node->offset),
                     is_ppc ? "%s has no image: give a \"kernel\""
                            : "%s has no image: give one of \"kernel\", \"multiboot\", \"pvh\", \"firmware\"",
                     node->called);
            break;
        case CONFIG_RULE_TWO_IMAGES:
            complain(c, at_value(node, node->at[last], 0), "%s has two images: \"%s\" and \"%s\"",
                     node->called, properties[before].name, properties[last].name);
            break;
        case CONFIG_RULE_INITRD:
            complain(c, at_value(node, node->at[CONFIG_GUEST_INITRD], 0),
                     "\"initrd\" goes with \"kernel\" or \"pvh\", not with \"%s\"", properties[last].name);
            break;
        case CONFIG_RULE_MODULES:
            complain(c, at_value(node, node->at[CONFIG_GUEST_MODULES], 0),
                     "\"modules\" goes with \"multiboot\", not with \"%s\"", properties[last].name);
            break;
        case CONFIG_RULE_CMDLINE:
            complain(c, at_value(node, node->at[CONFIG_GUEST_CMDLINE], 0),
                     "\"cmdline\" does not go with \"firmware\"");
            break;
        case CONFIG_RULE_PERIOD:
            complain(c, at_value(node, node->at[CONFIG_GUEST_BUDGET], 0),
                     "\"budget\" needs a \"period\" beside it");
            break;
        case CONFIG_RULE_BUDGET:
            complain(c, at_value(node, node->at[CONFIG_GUEST_PERIOD], 0),
                     "\"period\" needs a \"budget\" beside it");
            break;
        case CONFIG_RULE_OVER:
            complain(c, at_value(node, node->at[CONFIG_GUEST_BUDGET], 1),
                     "\"budget\" (%u) must not be larger than \"period\" (%u)", (unsigned)guest->budget,
                     (unsigned)guest->period);
            break;
        case CONFIG_RULES:
            break;
        }
    }
}

static void unknown_node(struct checker *c, const struct node_context *parent, int at, const char *name) {
    char hint[CONFIG_WORDS];

    if (config_find_property(parent->schema, name) != NULL) {
        complain(c, at_node(at), "\"%.64s\" is a property of %s, not a node", name, parent->called);
        return;
    }
    unknown_hint(parent, true, name, hint);
    if (hint[0] == '\0' && parent->schema == &config_schema &&
        config_property_offset(c->source->fdt, at, "memory") >= 0) {
        snprintf(hint, sizeof(hint), "; a guest stands inside guests { ... }");
    }
    complain(c, at_node(at), "unknown node \"%.64s\" in %s%s", name, parent->called, hint);
}

static void check_nodes(struct checker *c, struct node_context *parent);

static void check_guest(struct checker *c, struct node_context *node, const char *name) {
    struct config *config = c->config;

    if (config->guest_count == CONFIG_MAX_GUESTS) {
        complain(c, at_node(node->offset), "guest \"%.64s\" is one too many: %u are the most", name,
                 CONFIG_MAX_GUESTS);
        c->errors = CONFIG_MAX_ERRORS + 1; /* one such line is enough */
        return;
    }
    snprintf(node->called, sizeof(node->called), "guest \"%.64s\"", name);
    if (!config_guest_name_valid(name)) {
        complain(c, at_node(node->offset),
                 "\"%.64s\" cannot name a guest: 1 to %u of a-z, 0-9 and \"-\" (not first)", name,
                 CONFIG_MAX_NAME);
    }
    for (unsigned i = 0; i < config->guest_count; i++) {
        if (strcmp(config->guests[i].name, name) == 0) {
            complain(c, at_node(node->offset), "two guests are named \"%.64s\"", name);
        }
    }
    node->record = &config->guests[config->guest_count++];
    memset(node->record, 0, sizeof(struct config_guest));
    ((struct config_guest *)node->record)->name = name;
    check_properties(c, node);
    if (!is_done(c)) {
        check_rules(c, node);
        check_nodes(c, node);
    }
}

static void check_node(struct checker *c, const struct node_context *parent, int at, uint32_t *seen) {
    const char *name = fdt_get_name(c->source->fdt, at, NULL);
    const struct config_node *schema = name != NULL ? config_find_node(parent->schema, name) : NULL;
    struct node_context node = {.schema = schema, .offset = at, .record = c->config};
    uint32_t bit;

    if (schema == NULL) {
        unknown_node(c, parent, at, name != NULL ? name : "");
        return;
    }
    if ((schema->flags & CONFIG_LATER) != 0) {
        complain(c, at_node(at), "\"%.64s\" is not in this version", name);
        return;
    }
    if ((schema->flags & CONFIG_ANY_NAME) != 0) {
        check_guest(c, &node, name);
        return;
    }
    bit = 1u << (schema - parent->schema->nodes);
    if ((*seen & bit) != 0) {
        complain(c, at_node(at), "node \"%s\" is here a second time", name);
        return;
    }
    *seen |= bit;
    snprintf(node.called, sizeof(node.called), "node \"%.64s\"", name);
    check_properties(c, &node);
    check_nodes(c, &node);
}

static void check_nodes(struct checker *c, struct node_context *parent) {
    uint32_t seen = 0;
    int at;

    fdt_for_each_subnode(at, c->source->fdt, parent->offset) {
        if (is_done(c)) {
            return;
        }
        check_node(c, parent, at, &seen);
    }
    for (unsigned i = 0; i < parent->schema->node_count; i++) {
        const struct config_node *node = &parent->schema->nodes[i];

        if ((node->flags & CONFIG_REQUIRED) != 0 && (seen >> i & 1) == 0) {
            complain(c, at_node(parent->offset), "%s has no node \"%s\"", parent->called, node->name);
        } else if ((node->flags & CONFIG_ANY_NAME) != 0 && c->config->guest_count == 0 && !is_done(c)) {
            complain(c, at_node(parent->offset), "there is no guest in %s", parent->called);
        }
    }
}

/* Says what is wrong with something that is no tree at all. */
static void bad_tree(const struct config_source *source, struct dts_report *report) {
    struct dts_error error = {.file = source->file};
    char message[CONFIG_WORDS];
    const struct fdt_header *header = source->fdt;

    if (source->size == 0) {
        snprintf(message, sizeof(message), "the config is empty");
    } else if (source->size < sizeof(*header) || fdt_magic(header) != FDT_MAGIC) {
        snprintf(message, sizeof(message), "this is no compiled device tree");
    } else if (fdt_totalsize(header) > source->size) {
        snprintf(message, sizeof(message), "the device tree is cut off: %u of its %u bytes are here",
                 (unsigned)source->size, (unsigned)fdt_totalsize(header));
    } else if (fdt_totalsize(header) > CONFIG_MAX_BLOB) {
        snprintf(message, sizeof(message), "the device tree is too large: %u bytes are the most",
                 CONFIG_MAX_BLOB);
    } else if (fdt_version(header) != 17) {
        snprintf(message, sizeof(message), "the device tree is of version %u; version 17 is understood",
                 (unsigned)fdt_version(header));
    } else {
        snprintf(message, sizeof(message), "the device tree is damaged");
    }
    error.message = message;
    report->count++;
    if (report->error != NULL) {
        report->error(report->context, &error);
    }
}

int config_check(const struct config_source *source, struct config *out, struct dts_report *report) {
    struct checker checker = {.source = source, .report = report, .config = out};
    struct node_context root = {.schema = &config_schema, .record = out, .called = "the root node"};

    memset(out, 0, sizeof(*out));
    if (((uintptr_t)source->fdt & 7) != 0 || !config_tree_valid(source->fdt, source->size)) {
        bad_tree(source, report);
        return -EINVAL;
    }
    check_properties(&checker, &root);
    check_nodes(&checker, &root);
    if (checker.errors != 0) {
        return -EINVAL;
    }
    if (config_read(source->fdt, source->size, source->arch, out) !=
        0) { /* cannot be: both go by one schema */
        complain(&checker, at_node(0), "the config cannot be read");
        return -EINVAL;
    }
    return 0;
}
