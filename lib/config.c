// SPDX-License-Identifier: Apache-2.0
// Reads a flattened tree into the typed view. Goes by the schema, says yes or no, and trusts nothing of the
// tree.
#include "lib/config.h"

#include "lib/config_schema.h"

#include <errno.h>
#include <libfdt.h>
#include <string.h>

#define TREE_VERSION 17u

bool config_tree_valid(const void *fdt, size_t size) {
    if (((uintptr_t)fdt & 7) != 0) {
        return false;
    }
    if (size > CONFIG_MAX_BLOB) {
        size = CONFIG_MAX_BLOB;
    }
    return size >= sizeof(struct fdt_header) && fdt_magic(fdt) == FDT_MAGIC &&
           fdt_version(fdt) == TREE_VERSION && fdt_off_dt_struct(fdt) % sizeof(fdt32_t) == 0 &&
           fdt_off_mem_rsvmap(fdt) % sizeof(fdt64_t) == 0 &&
           fdt_check_full(fdt, size) ==
               0; /* libfdt reads both blocks in words without a look at their alignment */
}

struct reader {
    const void *fdt;
    enum config_arch arch;
    struct config *config;
};

/* Stores all properties of the node at `offset`; *given gets their set. */
static int read_properties(const struct reader *reader, int offset, const struct config_node *schema,
                           void *record, uint32_t *given) {
    const void *fdt = reader->fdt;
    int at;

    *given = 0;
    config_set_presets(schema, reader->arch, record);
    fdt_for_each_property_offset(at, fdt, offset) {
        const struct config_property *property;
        struct config_property limited;
        const char *name;
        unsigned element;
        int size;
        const void *value = fdt_getprop_by_offset(fdt, at, &name, &size);
        uint32_t bit;

        property = value != NULL ? config_find_property(schema, name) : NULL;
        if (property == NULL || !config_is_for(property, reader->arch)) {
            return -EINVAL;
        }
        limited = config_limited(property, reader->arch);
        bit = 1u << (property - schema->properties);
        if ((*given & bit) != 0 ||
            config_store_value(&limited, value, size, record, &element) != CONFIG_FAULT_NONE) {
            return -EINVAL;
        }
        *given |= bit;
    }
    for (unsigned i = 0; i < schema->property_count; i++) {
        if ((schema->properties[i].flags & CONFIG_REQUIRED) != 0 && (*given >> i & 1) == 0) {
            return -EINVAL;
        }
    }
    return 0;
}

/* The nodes in the node at `offset`, whose record is `parent`. */
static int read_nodes(const struct reader *reader, int offset, const struct config_node *schema,
                      void *parent) {
    const void *fdt = reader->fdt;
    uint32_t seen = 0;
    int at;

    fdt_for_each_subnode(at, fdt, offset) {
        const char *name = fdt_get_name(fdt, at, NULL);
        const struct config_node *node = name != NULL ? config_find_node(schema, name) : NULL;
        enum config_name_fault fault;
        uint32_t bit, given;
        void *record;

        if (node == NULL || (node->flags & CONFIG_LATER) != 0) {
            return -EINVAL;
        }
        bit = 1u << (node - schema->nodes);
        if ((seen & bit) != 0 && (node->flags & (CONFIG_ANY_NAME | CONFIG_NUMBERED)) == 0) {
            return -EINVAL;
        }
        seen |= bit;
        record = config_add(reader->config, parent, node, name, &fault);
        if (fault != CONFIG_NAME_GOOD || read_properties(reader, at, node, record, &given) != 0) {
            return -EINVAL;
        }
        for (unsigned rule = 0; rule < CONFIG_RULES; rule++) {
            if (config_breaks_rule(rule, node, given, record)) {
                return -EINVAL;
            }
        }
        if (read_nodes(reader, at, node, record) != 0) { /* as deep as the schema is */
            return -EINVAL;
        }
    }
    for (unsigned i = 0; i < schema->node_count; i++) {
        if ((schema->nodes[i].flags & CONFIG_REQUIRED) != 0 && (seen >> i & 1) == 0) {
            return -EINVAL;
        }
    }
    return 0;
}

int config_read(const void *fdt, size_t size, enum config_arch arch, struct config *out) {
    const struct reader reader = {fdt, arch, out};
    uint32_t given;

    memset(out, 0, sizeof(*out));
    if (!config_tree_valid(fdt, size)) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < config_schema.node_count; i++) { /* of nodes that may be left out */
        config_set_presets(&config_schema.nodes[i], arch, out);
    }
    if (read_properties(&reader, 0, &config_schema, out, &given) != 0 ||
        read_nodes(&reader, 0, &config_schema, out) != 0 || out->guest_count == 0 ||
        config_complete(out, arch, NULL, NULL) != 0) {
        return -EINVAL;
    }
    return 0;
}
