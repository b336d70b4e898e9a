// SPDX-License-Identifier: Apache-2.0
// The files that a config names: walks over them, each told whether it was named before.
#include "lib/config_schema.h"

#include <stdio.h>
#include <string.h>

void config_module_file(const char *module, char name[CONFIG_MAX_PATH + 1]) {
    size_t length = 0;

    while (length < CONFIG_MAX_PATH && module[length] != '\0' && module[length] != ' ') {
        length++;
    }
    memcpy(name, module, length);
    name[length] = '\0';
}

bool config_file_size_wrong(const struct config_file *file, uint64_t size, char *why, size_t why_size) {
    if (file->guest != CONFIG_NO_GUEST || size % CONFIG_SECTOR == 0) {
        return false;
    }
    snprintf(why, why_size,
             size < CONFIG_SECTOR ? "has %llu bytes; a disk has at least %u"
                                  : "has %llu bytes; a disk has a multiple of %u",
             (unsigned long long)size, CONFIG_SECTOR);
    return true;
}

static int walk_guest(const struct config_guest *guest, uint32_t index,
                      int (*each)(void *context, const struct config_file *file), void *context) {
    static const char *const image_names[CONFIG_IMAGES] = {
        [CONFIG_IMAGE_KERNEL] = "kernel",
        [CONFIG_IMAGE_MULTIBOOT] = "multiboot",
        [CONFIG_IMAGE_PVH] = "pvh",
        [CONFIG_IMAGE_FIRMWARE] = "firmware",
    };
    char name[CONFIG_MAX_PATH + 1];
    struct config_file file = {
        .guest = index,
        .property = image_names[guest->image_kind],
        .name = guest->image,
        .max_size = guest->image_kind == CONFIG_IMAGE_FIRMWARE ? CONFIG_MAX_FIRMWARE : UINT64_MAX,
    };
    int result = 0;

    if (guest->image != NULL) {
        result = each(context, &file);
    }
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
    return result;
}

int config_walk_files(const struct config *config, int (*each)(void *context, const struct config_file *file),
                      void *context) {
    int result = 0;

    for (uint32_t i = 0; i < config->guest_count && result == 0; i++) {
        result = walk_guest(&config->guests[i], i, each, context);
    }
    for (uint32_t i = 0; i < config->disk_count && result == 0; i++) {
        const struct config_file file = {
            .guest = CONFIG_NO_GUEST,
            .disk = i,
            .property = "file",
            .name = config->disks[i].file,
            .max_size = UINT64_MAX,
        };

        if (file.name != NULL) {
            result = each(context, &file);
        }
    }
    return result;
}

struct file_walk {
    const struct config *config;
    int (*each)(void *context, const struct config_file *file);
    void *context;
};

struct file_search {
    const struct config_file *file;
    bool found;
};

/* Ends the walk at the searched place itself, or at an earlier one of the same name. */
static int search_file(void *context, const struct config_file *file) {
    struct file_search *search = context;
    const struct config_file *place = search->file;

    if (file->guest == place->guest && file->disk == place->disk && file->property == place->property &&
        file->index == place->index) {
        return 1;
    }
    search->found = strcmp(file->name, place->name) == 0;
    return search->found ? 1 : 0;
}

static int mark_repeated(void *context, const struct config_file *file) {
    const struct file_walk *walk = context;
    struct file_search search = {file, false};
    struct config_file marked = *file;

    config_walk_files(walk->config, search_file, &search);
    marked.repeated = search.found;
    return walk->each(walk->context, &marked);
}

int config_files(const struct config *config, int (*each)(void *context, const struct config_file *file),
                 void *context) {
    struct file_walk walk = {config, each, context};

    return config_walk_files(config, mark_repeated, &walk);
}
