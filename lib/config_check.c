// SPDX-License-Identifier: Apache-2.0
// The config's checker: walks the tree beside the schema and puts every difference into words.
#include "lib/config_check_internal.h"
#include "lib/config_check_words.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

void config_check_complain(struct config_checker *c, struct config_place place, const char *format, ...) {
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

bool config_check_is_done(const struct config_checker *c) {
    return c->errors > CONFIG_MAX_ERRORS;
}

static bool wants_cells(const struct config_property *property) {
    return property->type == CONFIG_TYPE_NUMBER || property->type == CONFIG_TYPE_CPUS;
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
static const char *unknown_hint(const struct config_check_node *node, bool nodes, const char *name,
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

static void unknown_property(struct config_checker *c, const struct config_check_node *node, int at,
                             const char *name) {
    const struct config_node *child = config_find_node(node->schema, name);
    char hint[CONFIG_WORDS];

    if (child != NULL) {
        bool later = (child->flags & CONFIG_LATER) != 0;

        config_check_complain(
            c, config_check_at_value(node, at, 0),
            later ? "\"%.64s\" is not in this version" : "%.64s { ... } is a node, not a property", name);
        return;
    }
    config_check_complain(c, config_check_at_value(node, at, 0), "unknown property \"%.64s\" in %s%s", name,
                          node->called, unknown_hint(node, false, name, hint));
}

static void check_property(struct config_checker *c, struct config_check_node *node, int at) {
    const char *name = NULL;
    int size;
    const char *value = fdt_getprop_by_offset(c->source->fdt, at, &name, &size);
    const struct config_property *property;
    struct config_property limited;
    enum config_fault fault;
    enum dts_kind kind;
    unsigned element = 1, index;

    if (value == NULL || name == NULL) { /* cannot be: the tree was checked */
        config_check_complain(c, config_check_at_node(node->offset), "a property of %s cannot be read",
                              node->called);
        return;
    }
    property = config_find_property(node->schema, name);
    if (property == NULL) {
        unknown_property(c, node, at, name);
        return;
    }
    index = (unsigned)(property - node->schema->properties);
    if ((node->given >> index & 1) != 0) {
        config_check_complain(c, config_check_at_value(node, at, 0), "property \"%s\" is here a second time",
                              name);
        return;
    }
    node->given |= 1u << index;
    node->at[index] = at;
    if (!config_is_for(property, c->source->arch)) {
        config_check_complain(c, config_check_at_value(node, at, 0),
                              "\"%s\" is for x86; this config is for PowerPC", name);
        return;
    }
    limited = config_limited(property, c->source->arch);
    kind = config_check_kind(c, at, value, size);
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
    config_check_bad_value(c, node, at, &limited, fault, element, value, size);
}

static void check_properties(struct config_checker *c, struct config_check_node *node) {
    int at;

    config_set_presets(node->schema, c->source->arch, node->record);
    fdt_for_each_property_offset(at, c->source->fdt, node->offset) {
        check_property(c, node, at);
        if (config_check_is_done(c)) {
            return;
        }
    }
    for (unsigned i = 0; i < node->schema->property_count; i++) {
        const struct config_property *property = &node->schema->properties[i];
        char expected[CONFIG_WORDS];

        if ((property->flags & CONFIG_REQUIRED) != 0 && (node->given >> i & 1) == 0) {
            struct config_property limited = config_limited(property, c->source->arch);

            config_check_complain(c, config_check_at_node(node->offset), "%s has no \"%s\": give %s",
                                  node->called, property->name, config_expected(&limited, expected));
        }
    }
}

/* The image of a guest that is given last, and the one before it. */
static void find_images(const struct config_check_node *node, int *before, int *last) {
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

/* Where the property of that name is, which is given. */
static struct config_place at_property(const struct config_check_node *node, const char *name,
                                       unsigned element) {
    const struct config_property *property = config_find_property(node->schema, name);

    return config_check_at_value(node, node->at[property - node->schema->properties], element);
}

static void check_images(struct config_checker *c, const struct config_check_node *node,
                         enum config_rule rule) {
    const struct config_property *properties = node->schema->properties;
    bool is_ppc = c->source->arch == CONFIG_ARCH_PPC;
    int before, last;

    find_images(node, &before, &last);
    if (is_ppc && rule != CONFIG_RULE_NO_IMAGE) {
        return; /* needs an image that only x86 has: that is said already */
    }
    switch (rule) {
    case CONFIG_RULE_NO_IMAGE:
        config_check_complain(c, config_check_at_node(node->offset),
                              is_ppc ? "%s has no image: give a \"kernel\""
                                     : "%s has no image: give one of \"kernel\", \"multiboot\", \"pvh\", "
                                       "\"firmware\"",
                              node->called);
        break;
    case CONFIG_RULE_TWO_IMAGES:
        config_check_complain(c, config_check_at_value(node, node->at[last], 0),
                              "%s has two images: \"%s\" and \"%s\"", node->called, properties[before].name,
                              properties[last].name);
        break;
    case CONFIG_RULE_INITRD:
        config_check_complain(c, at_property(node, "initrd", 0),
                              "\"initrd\" goes with \"kernel\" or \"pvh\", not with \"%s\"",
                              properties[last].name);
        break;
    case CONFIG_RULE_MODULES:
        config_check_complain(c, at_property(node, "modules", 0),
                              "\"modules\" goes with \"multiboot\", not with \"%s\"", properties[last].name);
        break;
    case CONFIG_RULE_IDENTITY:
        config_check_complain(c, at_property(node, "identity-memory", 0),
                              "\"identity-memory\" goes with \"kernel\" or \"multiboot\", not with \"%s\"",
                              properties[last].name);
        break;
    default:
        config_check_complain(c, at_property(node, "cmdline", 0),
                              "\"cmdline\" does not go with \"firmware\"");
        break;
    }
}

/* More than one store: the first two of them are named. */
static void check_stores(struct config_checker *c, const struct config_check_node *node) {
    const void *fdt = c->source->fdt;
    bool file = config_property_offset(fdt, node->offset, "file") >= 0;
    bool memory = config_property_offset(fdt, node->offset, "memory") >= 0;
    const char *second = file && memory ? "memory" : "device";

    config_check_complain(c, at_property(node, second, 0), "%s has two stores: \"%s\" and \"%s\"",
                          node->called, file ? "file" : "memory", second);
}

static void broken_rule(struct config_checker *c, const struct config_check_node *node,
                        enum config_rule rule) {
    const struct config_guest *guest = node->record;
    bool is_guest = node->schema->kind == CONFIG_KIND_GUEST;

    switch (rule) {
    case CONFIG_RULE_NO_IMAGE:
    case CONFIG_RULE_TWO_IMAGES:
    case CONFIG_RULE_INITRD:
    case CONFIG_RULE_MODULES:
    case CONFIG_RULE_CMDLINE:
    case CONFIG_RULE_IDENTITY:
        check_images(c, node, rule);
        break;
    case CONFIG_RULE_PERIOD:
        config_check_complain(c, at_property(node, "budget", 0), "\"budget\" needs a \"period\" beside it");
        break;
    case CONFIG_RULE_BUDGET:
        config_check_complain(c, at_property(node, "period", 0), "\"period\" needs a \"budget\" beside it");
        break;
    case CONFIG_RULE_OVER:
        config_check_complain(c, at_property(node, "budget", 1),
                              "\"budget\" (%u) must not be larger than \"period\" (%u)",
                              (unsigned)(is_guest ? guest->budget : c->config->service.budget),
                              (unsigned)(is_guest ? guest->period : c->config->service.period));
        break;
    case CONFIG_RULE_NO_STORE:
        config_check_complain(c, config_check_at_node(node->offset),
                              "%s has no store: give one of \"file\", \"memory\", \"device\"", node->called);
        break;
    case CONFIG_RULE_TWO_STORES:
        check_stores(c, node);
        break;
    case CONFIG_RULE_QUEUES:
        config_check_complain(c, at_property(node, "queues", 1),
                              "%s has one pair of queues: more go with the type \"virtio-net\"",
                              node->called);
        break;
    case CONFIG_RULE_OVERLAY:
        config_check_complain(c, at_property(node, "overlay", 0),
                              "\"overlay\" is for what the guest writes, but %s is read-only", node->called);
        break;
    case CONFIG_RULE_TRANSPORT:
        config_check_complain(c, at_property(node, "transport", 0),
                              "%s is a PCI function: \"transport\" is for virtio devices", node->called);
        break;
    case CONFIG_RULES:
        break;
    }
}

static void check_rules(struct config_checker *c, const struct config_check_node *node) {
    for (unsigned rule = 0; rule < CONFIG_RULES; rule++) {
        if (config_breaks_rule(rule, node->schema, node->given, node->record)) {
            broken_rule(c, node, rule);
        }
    }
}

static void unknown_node(struct config_checker *c, const struct config_check_node *parent, int at,
                         const char *name) {
    char hint[CONFIG_WORDS];

    if (config_find_property(parent->schema, name) != NULL) {
        config_check_complain(c, config_check_at_node(at), "\"%.64s\" is a property of %s, not a node", name,
                              parent->called);
        return;
    }
    unknown_hint(parent, true, name, hint);
    if (hint[0] == '\0' && parent->schema == &config_schema &&
        config_property_offset(c->source->fdt, at, "memory") >= 0) {
        snprintf(hint, sizeof(hint), "; a guest stands inside guests { ... }");
    }
    config_check_complain(c, config_check_at_node(at), "unknown node \"%.64s\" in %s%s", name, parent->called,
                          hint);
}

/* What a node is called in messages: nodes of one kind that the config names, and others. */
static void call_node(struct config_check_node *node, const struct config_check_node *parent,
                      const char *name) {
    switch ((enum config_kind)node->schema->kind) {
    case CONFIG_KIND_GUEST:
        snprintf(node->called, sizeof(node->called), "guest \"%.64s\"", name);
        break;
    case CONFIG_KIND_NETWORK:
        snprintf(node->called, sizeof(node->called), "network \"%.64s\"", name);
        break;
    case CONFIG_KIND_DISK:
        snprintf(node->called, sizeof(node->called), "disk \"%.64s\"", name);
        break;
    case CONFIG_KIND_NET:
    case CONFIG_KIND_GUEST_DISK:
        snprintf(node->called, sizeof(node->called), "%.5s of %.66s", name, parent->called);
        break;
    case CONFIG_KIND_HOST:
    case CONFIG_KIND_SERVICE:
        snprintf(node->called, sizeof(node->called), "node \"%.64s\"", name);
        break;
    }
}

/* Says what is wrong with a node's name. */
static void bad_name(struct config_checker *c, const struct config_check_node *node, const char *name,
                     enum config_name_fault fault) {
    static const char *const kinds[] = {
        [CONFIG_KIND_NETWORK] = "network",  [CONFIG_KIND_DISK] = "disk",       [CONFIG_KIND_GUEST] = "guest",
        [CONFIG_KIND_NET] = "network card", [CONFIG_KIND_GUEST_DISK] = "disk",
    };
    struct config_place place = config_check_at_node(node->offset);
    const char *kind = kinds[node->schema->kind];
    unsigned limit = config_limit_of(node->schema->kind);
    int stem = (int)strlen(node->schema->name) - 1;

    switch (fault) {
    case CONFIG_NAME_GOOD:
        break;
    case CONFIG_NAME_INVALID:
        if ((node->schema->flags & CONFIG_NUMBERED) != 0) {
            config_check_complain(c, place, "\"%.64s\" cannot name a %s: %.*s0 to %.*s%u can", name, kind,
                                  stem, node->schema->name, stem, node->schema->name, limit - 1);
        } else {
            config_check_complain(c, place,
                                  "\"%.64s\" cannot name a %s: 1 to %u of a-z, 0-9 and \"-\" (not first)",
                                  name, kind, CONFIG_MAX_NAME);
        }
        break;
    case CONFIG_NAME_TWICE:
        config_check_complain(c, place, "two %ss are named \"%.64s\"", kind, name);
        break;
    case CONFIG_NAME_FULL:
        config_check_complain(c, place, "%s is one too many: %u are the most", node->called, limit);
        c->errors = CONFIG_MAX_ERRORS + 1; /* one such line is enough */
        break;
    }
}

static void check_nodes(struct config_checker *c, struct config_check_node *parent);

static void check_node(struct config_checker *c, const struct config_check_node *parent, int at,
                       uint32_t *seen) {
    const char *name = fdt_get_name(c->source->fdt, at, NULL);
    const struct config_node *schema = name != NULL ? config_find_node(parent->schema, name) : NULL;
    struct config_check_node node = {.schema = schema, .offset = at};
    enum config_name_fault fault;
    uint32_t bit;

    if (schema == NULL) {
        unknown_node(c, parent, at, name != NULL ? name : "");
        return;
    }
    if ((schema->flags & CONFIG_LATER) != 0) {
        config_check_complain(c, config_check_at_node(at), "\"%.64s\" is not in this version", name);
        return;
    }
    bit = 1u << (schema - parent->schema->nodes);
    if ((*seen & bit) != 0 && (schema->flags & (CONFIG_ANY_NAME | CONFIG_NUMBERED)) == 0) {
        config_check_complain(c, config_check_at_node(at), "node \"%s\" is here a second time", name);
        return;
    }
    *seen |= bit;
    call_node(&node, parent, name);
    node.record = config_add(c->config, parent->record, schema, name, &fault);
    bad_name(c, &node, name, fault);
    if (node.record == NULL) {
        return;
    }
    check_properties(c, &node);
    if (!config_check_is_done(c)) {
        check_rules(c, &node);
        check_nodes(c, &node);
    }
}

static void check_nodes(struct config_checker *c, struct config_check_node *parent) {
    uint32_t seen = 0;
    int at;

    fdt_for_each_subnode(at, c->source->fdt, parent->offset) {
        if (config_check_is_done(c)) {
            return;
        }
        check_node(c, parent, at, &seen);
    }
    for (unsigned i = 0; i < parent->schema->node_count; i++) {
        const struct config_node *node = &parent->schema->nodes[i];

        if ((node->flags & CONFIG_REQUIRED) != 0 && (seen >> i & 1) == 0) {
            config_check_complain(c, config_check_at_node(parent->offset), "%s has no node \"%s\"",
                                  parent->called, node->name);
        } else if (node->kind == CONFIG_KIND_GUEST && c->config->guest_count == 0 &&
                   !config_check_is_done(c)) {
            config_check_complain(c, config_check_at_node(parent->offset), "there is no guest in %s",
                                  parent->called);
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
    struct config_checker checker = {.source = source, .report = report, .config = out};
    struct config_check_node root = {.schema = &config_schema, .record = out, .called = "the root node"};

    memset(out, 0, sizeof(*out));
    if (((uintptr_t)source->fdt & 7) != 0 || !config_tree_valid(source->fdt, source->size)) {
        bad_tree(source, report);
        return -EINVAL;
    }
    for (unsigned i = 0; i < config_schema.node_count; i++) { /* of nodes that may be left out */
        config_set_presets(&config_schema.nodes[i], source->arch, out);
    }
    check_properties(&checker, &root);
    check_nodes(&checker, &root);
    if (!config_check_is_done(&checker)) {
        config_complete(out, source->arch, config_check_link, &checker);
    }
    if (checker.errors != 0) {
        return -EINVAL;
    }
    if (config_read(source->fdt, source->size, source->arch, out) !=
        0) { /* cannot be: both go by one schema */
        config_check_complain(&checker, config_check_at_node(0), "the config cannot be read");
        return -EINVAL;
    }
    return 0;
}
