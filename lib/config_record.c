// SPDX-License-Identifier: Apache-2.0
// Records of the config's nodes: which names and numbers there may be, and how many of each kind.
#include "lib/config_schema.h"

#include <assert.h>
#include <string.h>

static_assert(CONFIG_MAX_NETS <= 10 && CONFIG_MAX_GUEST_DISKS <= 10, "their numbers have one digit");

bool config_name_valid(const char *name) {
    size_t length = strlen(name);

    if (length == 0 || length > CONFIG_MAX_NAME || name[0] == '-') {
        return false;
    }
    for (; *name != '\0'; name++) {
        if (!(*name >= 'a' && *name <= 'z') && !(*name >= '0' && *name <= '9') && *name != '-') {
            return false;
        }
    }
    return true;
}

unsigned config_limit_of(enum config_kind kind) {
    switch (kind) {
    case CONFIG_KIND_NETWORK:
        return CONFIG_MAX_NETWORKS;
    case CONFIG_KIND_DISK:
        return CONFIG_MAX_DISKS;
    case CONFIG_KIND_GUEST:
        return CONFIG_MAX_GUESTS;
    case CONFIG_KIND_NET:
        return CONFIG_MAX_NETS;
    case CONFIG_KIND_GUEST_DISK:
        return CONFIG_MAX_GUEST_DISKS;
    case CONFIG_KIND_HOST:
    case CONFIG_KIND_SERVICE:
        break;
    }
    return 1;
}

/* An array of records that all begin with their name. */
struct list {
    char *records;
    size_t size; /* of a record */
    uint32_t *count;
};

static const char *name_in(const struct list *list, uint32_t index) {
    const char *name;

    memcpy(&name, list->records + index * list->size, sizeof(name));
    return name;
}

static void *add_named(const struct list *list, unsigned limit, const char *name,
                       enum config_name_fault *fault) {
    char *record = list->records + *list->count * list->size;

    if (*list->count == limit) {
        *fault = CONFIG_NAME_FULL;
        return NULL;
    }
    *fault = config_name_valid(name) ? CONFIG_NAME_GOOD : CONFIG_NAME_INVALID;
    for (uint32_t i = 0; i < *list->count; i++) {
        if (strcmp(name_in(list, i), name) == 0) {
            *fault = CONFIG_NAME_TWICE;
        }
    }
    memset(record, 0, list->size);
    memcpy(record, &name, sizeof(name));
    ++*list->count;
    return record;
}

static_assert(offsetof(struct config_guest, name) == 0 && offsetof(struct config_network, name) == 0 &&
                  offsetof(struct config_disk, name) == 0,
              "records begin with their name");

/* The number at the end of `name`, which begins with the pattern's name without its "N". */
static enum config_name_fault read_number(const struct config_node *node, const char *name,
                                          uint32_t *number) {
    const char *digits = name + strlen(node->name) - 1;

    *number = (uint32_t)(digits[0] - '0');
    return digits[1] == '\0' && *number < config_limit_of(node->kind) ? CONFIG_NAME_GOOD
                                                                      : CONFIG_NAME_INVALID;
}

/* As many records fit as there are numbers. */
static void *add_net(struct config_guest *guest, uint32_t number, enum config_name_fault *fault) {
    struct config_net *net = &guest->nets[guest->net_count];

    for (uint32_t i = 0; i < guest->net_count; i++) {
        if (guest->nets[i].number == number) {
            *fault = CONFIG_NAME_TWICE;
            return NULL;
        }
    }
    guest->net_count++;
    net->number = number;
    return net;
}

static void *add_guest_disk(struct config_guest *guest, uint32_t number, enum config_name_fault *fault) {
    struct config_guest_disk *disk = &guest->disks[guest->disk_count];

    for (uint32_t i = 0; i < guest->disk_count; i++) {
        if (guest->disks[i].number == number) {
            *fault = CONFIG_NAME_TWICE;
            return NULL;
        }
    }
    guest->disk_count++;
    disk->number = number;
    return disk;
}

void *config_add(struct config *config, void *parent, const struct config_node *node, const char *name,
                 enum config_name_fault *fault) {
    enum config_kind kind = (enum config_kind)node->kind;
    struct list list = {0};
    uint32_t number = 0;

    *fault = CONFIG_NAME_GOOD;
    switch (kind) {
    case CONFIG_KIND_NETWORK:
        list = (struct list){(char *)config->networks, sizeof(config->networks[0]), &config->network_count};
        break;
    case CONFIG_KIND_DISK:
        list = (struct list){(char *)config->disks, sizeof(config->disks[0]), &config->disk_count};
        break;
    case CONFIG_KIND_GUEST:
        list = (struct list){(char *)config->guests, sizeof(config->guests[0]), &config->guest_count};
        break;
    case CONFIG_KIND_NET:
    case CONFIG_KIND_GUEST_DISK:
        *fault = read_number(node, name, &number);
        if (*fault != CONFIG_NAME_GOOD) {
            return NULL;
        }
        return kind == CONFIG_KIND_NET ? add_net(parent, number, fault)
                                       : add_guest_disk(parent, number, fault);
    case CONFIG_KIND_HOST:
    case CONFIG_KIND_SERVICE:
        return config;
    }
    return add_named(&list, config_limit_of(kind), name, fault);
}
