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
    config_set_presets(schema, record);
    fdt_for_each_property_offset(at, fdt, offset) {
        const struct config_property *property;
        struct config_property limited;
        const char *name;
        unsigned element;
        int size;
        const void *value = fdt_getprop_by_offset(fdt, at, &name, &size);
        uint32_t bit;

        property = value != NULL ? config_find_property(schema, name) : NULL;
        if (property == NULL || (property->flags & CONFIG_LATER) != 0 ||
            !config_is_for(property, reader->arch)) {
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

static int read_guest(const struct reader *reader, int offset, const char *name,
                      const struct config_node *schema) {
    struct config *config = reader->config;
    struct config_guest *guest = &config->guests[config->guest_count];
    uint32_t given;

    if (config->guest_count == CONFIG_MAX_GUESTS || !config_guest_name_valid(name)) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < config->guest_count; i++) {
        if (strcmp(config->guests[i].name, name) == 0) {
            return -EINVAL;
        }
    }
    guest->name = name;
    if (read_properties(reader, offset, schema, guest, &given) != 0) {
        return -EINVAL;
    }
    for (unsigned rule = 0; rule < CONFIG_RULES; rule++) {
        if (config_breaks_rule(rule, given, guest)) {
            return -EINVAL;
        }
    }
    for (unsigned kind = 0; kind < CONFIG_IMAGES; kind++) {
        if (guest->images[kind] != NULL) {
            guest->image_kind = kind;
            guest->image = guest->images[kind];
        }
    }
    config->guest_count++;
    return fdt_first_subnode(reader->fdt, offset) < 0
               ? 0
               : -EINVAL; /* all of a guest's nodes are not in this version */
}

/* The nodes of the root, or of `guests`. */
static int read_nodes(const struct reader *reader, int offset, const struct config_node *schema) {
    const void *fdt = reader->fdt;
    uint32_t seen = 0;
    int at, error = 0;

    fdt_for_each_subnode(at, fdt, offset) {
        const char *name = fdt_get_name(fdt, at, NULL);
        const struct config_node *node = name != NULL ? config_find_node(schema, name) : NULL;
        uint32_t bit, given;

        if (node == NULL || (node->flags & CONFIG_LATER) != 0) {
            return -EINVAL;
        }
        if ((node->flags & CONFIG_ANY_NAME) != 0) {
            error = read_guest(reader, at, name, node);
        } else {
            bit = 1u << (node - schema->nodes);
            if ((seen & bit) != 0) {
                return -EINVAL;
            }
            seen |= bit;
            error = read_properties(reader, at, node, reader->config, &given);
            if (error == 0) {
                error = read_nodes(reader, at, node); /* as deep as the schema is */
            }
        }
        if (error != 0) {
            return error;
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
        config_set_presets(&config_schema.nodes[i], out);
    }
    if (read_properties(&reader, 0, &config_schema, out, &given) != 0 ||
        read_nodes(&reader, 0, &config_schema) != 0 || out->guest_count == 0) {
        return -EINVAL;
    }
    return 0;
}

void config_module_file(const char *module, char name[CONFIG_MAX_PATH + 1]) {
    size_t length = 0;

    while (length < CONFIG_MAX_PATH && module[length] != '\0' && module[length] != ' ') {
        length++;
    }
    memcpy(name, module, length);
    name[length] = '\0';
}

struct file_walk {
    const struct config *config;
    int (*each)(void *context, const struct config_file *file);
    void *context;
};

struct file_search {
    const char *name;
    uint32_t guest;
    const char *property;
    uint32_t index;
    bool found;
};

static int walk_files(const struct config *config, int (*each)(void *context, const struct config_file *file),
                      void *context) {
    static const char *const image_names[CONFIG_IMAGES] = {
        [CONFIG_IMAGE_KERNEL] = "kernel",
        [CONFIG_IMAGE_MULTIBOOT] = "multiboot",
        [CONFIG_IMAGE_PVH] = "pvh",
        [CONFIG_IMAGE_FIRMWARE] = "firmware",
    };
    char name[CONFIG_MAX_PATH + 1];
    int result = 0;

    for (uint32_t i = 0; i < config->guest_count && result == 0; i++) {
        const struct config_guest *guest = &config->guests[i];
        struct config_file file = {
            .guest = i,
            .property = image_names[guest->image_kind],
            .name = guest->image,
            .max_size = guest->image_kind == CONFIG_IMAGE_FIRMWARE ? CONFIG_MAX_FIRMWARE : UINT64_MAX,
        };

        result = each(context, &file);
        file.max_size = UINT64_MAX;
        if (result == 0 && guest->initrd != NULL) {
            file.property = "initrd";
            file.name = guest->initrd;
            result = each(context, &file);
        }
        for (uint32_t module = 0; module < guest->module_count && result == 0; module++) {
            config_module_file(guest->modules[module], name);
            file.property = "modules";
            file.index = module;
            file.name = name;
            result = each(context, &file);
        }
    }
    return result;
}

/* Ends the walk at the searched place itself, or at an earlier one of the same name. */
static int search_file(void *context, const struct config_file *file) {
    struct file_search *search = context;

    if (file->guest == search->guest && file->property == search->property && file->index == search->index) {
        return 1;
    }
    search->found = strcmp(file->name, search->name) == 0;
    return search->found ? 1 : 0;
}

static int mark_repeated(void *context, const struct config_file *file) {
    const struct file_walk *walk = context;
    struct file_search search = {file->name, file->guest, file->property, file->index, false};
    struct config_file marked = *file;

    walk_files(walk->config, search_file, &search);
    marked.repeated = search.found;
    return walk->each(walk->context, &marked);
}

int config_files(const struct config *config, int (*each)(void *context, const struct config_file *file),
                 void *context) {
    struct file_walk walk = {config, each, context};

    return walk_files(config, mark_repeated, &walk);
}
