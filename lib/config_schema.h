// SPDX-License-Identifier: Apache-2.0
// The schema of the config: one table of nodes and properties that reader, checker, the host tool's reference
// and the test of docs/config.md all go by.
#ifndef SAGUARO_LIB_CONFIG_SCHEMA_H
#define SAGUARO_LIB_CONFIG_SCHEMA_H

#include "lib/config.h"

enum config_type {
    CONFIG_TYPE_CHOICE,  /* one string of a list; uint32_t: its index */
    CONFIG_TYPE_CONSENT, /* the one string of `choices`, by which a risk is accepted; uint32_t: 1 */
    CONFIG_TYPE_NAME,    /* letters, digits, '-' and '.', 1..max bytes; const char * */
    CONFIG_TYPE_LINK,    /* the name of a network or disk, as the property is called; const char * */
    CONFIG_TYPE_TEXT,    /* printable ASCII, 0..max bytes; const char * */
    CONFIG_TYPE_SIZE,    /* string with a suffix, min..max bytes, a multiple of 4 KiB, perhaps of a power;
                            uint64_t */
    CONFIG_TYPE_NUMBER,  /* one cell, min..max; uint32_t */
    CONFIG_TYPE_CPUS,    /* cells 0..max, each once; uint64_t with their bits */
    CONFIG_TYPE_FILE,    /* a file name; const char * */
    CONFIG_TYPE_MAC,     /* a card's address as text; uint8_t[6] */
    CONFIG_TYPE_UPLINK,  /* a card's address or a PCI address as text; const char * */
    CONFIG_TYPE_DEVICE,  /* a disk's serial number, 1..max bytes, or a PCI address; const char * */
    CONFIG_TYPE_PASSED,  /* 1..max PCI addresses; const char *[] and passthrough_count of the guest */
    CONFIG_TYPE_MODULES, /* 1..max strings "FILE ARGUMENTS"; const char *[] and module_count of the guest */
};

#define CONFIG_REQUIRED  1u /* must be given */
#define CONFIG_LATER     2u /* a node that is not in this version: an error of its own */
#define CONFIG_ANY_NAME  4u /* a node whose name the config chooses */
#define CONFIG_NUMBERED  8u /* a node named with a number at the end: the table has "N" there */

#define CONFIG_UNSET     2u /* a choice of no and yes that is not made; settled by config_complete() */

#define CONFIG_NO_FIELD  UINT16_MAX

#define CONFIG_FOR(arch) (1u << (arch)) /* of enum config_arch */

struct config_property {
    const char *name;
    const char *const *choices; /* of CHOICE and CONSENT; ends with NULL */
    const char *preset_text;    /* value of NAME and TEXT if not given */
    const char *otherwise;      /* what is so if not given, as the reference says it; NULL: the preset */
    const char *meaning;        /* one line for the reference */
    uint64_t min, max;
    uint64_t ppc_max;  /* on PowerPC, in place of max; 0: max */
    uint64_t preset;   /* value of the other types if not given */
    uint16_t field;    /* offset in the node's record; CONFIG_NO_FIELD: not kept */
    uint8_t type;      /* enum config_type */
    uint8_t flags;     /* CONFIG_REQUIRED, CONFIG_LATER */
    uint8_t only;      /* CONFIG_FOR() of the one architecture that has it; 0: all */
    uint8_t power;     /* of SIZE: has to be a power of 2 or 4; 0: need not */
    uint8_t ppc_power; /* on PowerPC, in place of power; 0: power */
};

/* What a node's properties are kept in. */
enum config_kind {
    CONFIG_KIND_HOST = 0,   /* struct config */
    CONFIG_KIND_SERVICE,    /* struct config, too */
    CONFIG_KIND_NETWORK,    /* struct config_network */
    CONFIG_KIND_DISK,       /* struct config_disk */
    CONFIG_KIND_GUEST,      /* struct config_guest */
    CONFIG_KIND_NET,        /* struct config_net of the guest above */
    CONFIG_KIND_GUEST_DISK, /* struct config_guest_disk of the guest above */
};

struct config_node {
    const char *name; /* "" is the root */
    const struct config_property *properties;
    const struct config_node *nodes;
    const char *meaning;
    uint8_t property_count; /* at most 32 */
    uint8_t node_count;
    uint8_t flags; /* CONFIG_* */
    uint8_t kind;  /* enum config_kind */
};

/* A guest's properties by index in its table. A set of them is a mask of bits 1u << index. */
enum config_guest_property {
    CONFIG_GUEST_KERNEL = CONFIG_IMAGE_KERNEL,
    CONFIG_GUEST_MULTIBOOT = CONFIG_IMAGE_MULTIBOOT,
    CONFIG_GUEST_PVH = CONFIG_IMAGE_PVH,
    CONFIG_GUEST_FIRMWARE = CONFIG_IMAGE_FIRMWARE,
    CONFIG_GUEST_INITRD,
    CONFIG_GUEST_CMDLINE,
    CONFIG_GUEST_MODULES,
    CONFIG_GUEST_MEMORY,
    CONFIG_GUEST_VCPUS,
    CONFIG_GUEST_CPUS,
    CONFIG_GUEST_PRIORITY,
    CONFIG_GUEST_BUDGET,
    CONFIG_GUEST_PERIOD,
    CONFIG_GUEST_RESTART,
    CONFIG_GUEST_CPU_MODEL,
    CONFIG_GUEST_CONSOLE,
    CONFIG_GUEST_AUTOSTART,
    CONFIG_GUEST_EXIT_PORT,
    CONFIG_GUEST_APIC,
    CONFIG_GUEST_TSC,
    CONFIG_GUEST_ENTROPY,
    CONFIG_GUEST_VIRTIO_CONSOLE,
    CONFIG_GUEST_TRANSPORT,
    CONFIG_GUEST_BALLOON,
    CONFIG_GUEST_PASSTHROUGH,
    CONFIG_GUEST_IOMMU,
    CONFIG_GUEST_IDENTITY_MEMORY,
    CONFIG_GUEST_PROPERTIES,
};

/* What has to hold between the properties of a node: of a guest, and where it says so of others. */
enum config_rule {
    CONFIG_RULE_NO_IMAGE,   /* none of kernel, multiboot, pvh, firmware */
    CONFIG_RULE_TWO_IMAGES, /* more than one of them */
    CONFIG_RULE_INITRD,     /* initrd with another kind than kernel or pvh */
    CONFIG_RULE_MODULES,    /* modules with another kind than multiboot */
    CONFIG_RULE_CMDLINE,    /* cmdline with firmware */
    CONFIG_RULE_IDENTITY,   /* identity-memory with another kind than kernel or multiboot */
    CONFIG_RULE_PERIOD,     /* budget without period, also of the service VM */
    CONFIG_RULE_BUDGET,     /* period without budget, also of the service VM */
    CONFIG_RULE_OVER,       /* budget larger than period, also of the service VM */
    CONFIG_RULE_NO_STORE,   /* a disk with none of file, memory and device */
    CONFIG_RULE_TWO_STORES, /* a disk with more than one of them */
    CONFIG_RULE_QUEUES,     /* a guest's card that has one pair of queues, and is to have more */
    CONFIG_RULE_OVERLAY,    /* a guest's disk that is read-only and has an overlay */
    CONFIG_RULE_TRANSPORT,  /* a guest's card or disk that is no virtio device, and is to have a transport */
    CONFIG_RULES,
};

/* What is wrong with a value. */
enum config_fault {
    CONFIG_FAULT_NONE = 0,
    CONFIG_FAULT_TYPE,      /* strings where cells belong, or the reverse, or no value */
    CONFIG_FAULT_SEVERAL,   /* more than one where one belongs */
    CONFIG_FAULT_RANGE,     /* below min or above max */
    CONFIG_FAULT_CHOICE,    /* none of the choices, or not the word of consent */
    CONFIG_FAULT_SIZE,      /* not a number with a suffix */
    CONFIG_FAULT_MULTIPLE,  /* a size that is no multiple of 4 KiB */
    CONFIG_FAULT_POWER,     /* a size that is not of the power */
    CONFIG_FAULT_MAC,       /* not a card's address */
    CONFIG_FAULT_DEVICE,    /* not a name of a card or disk of the machine */
    CONFIG_FAULT_LENGTH,    /* empty where something must be, or too long, or too many */
    CONFIG_FAULT_CHARACTER, /* a byte that may not be in it */
    CONFIG_FAULT_PATH,      /* config_path_problem() says why */
    CONFIG_FAULT_REPEATED,  /* the same CPU or PCI address again */
};

extern const struct config_node config_schema; /* the root */

/* The property or node of that name in `node`; NULL: there is none. */
const struct config_property *config_find_property(const struct config_node *node, const char *name);
const struct config_node *config_find_node(const struct config_node *node, const char *name);

/* Sets every field of `node`'s properties in its record to what holds if not given. */
void config_set_presets(const struct config_node *node, enum config_arch arch, void *record);

/* Whether the machines of that architecture have the property; and the property with the limits that it has
 * there. */
bool config_is_for(const struct config_property *property, enum config_arch arch);
struct config_property config_limited(const struct config_property *property, enum config_arch arch);

/*
 * Checks a value of `size` bytes and stores it in `record`'s field. Returns a fault and in *element (from 1)
 * which string or cell has it.
 */
enum config_fault config_store_value(const struct config_property *property, const void *value, int size,
                                     void *record, unsigned *element);

/* Whether a node's record is at odds with a rule. `given` is the set of properties that the config gives it.
 */
bool config_breaks_rule(enum config_rule rule, const struct config_node *node, uint32_t given,
                        const void *record);

/* Whether a guest, network or disk may have this name. */
bool config_name_valid(const char *name);

enum config_name_fault {
    CONFIG_NAME_GOOD = 0,
    CONFIG_NAME_INVALID, /* a name that is not allowed, or a number that is not from 0 to 7 */
    CONFIG_NAME_TWICE,   /* there is one of that name */
    CONFIG_NAME_FULL,    /* one more than the limit, which config_limit_of() gives */
};

/*
 * Makes a record for a node of that name in `config`, or for a guest's net or disk in `parent`, that guest:
 * zeroed but for its name or number. NULL: there is no room for it, or its number cannot be; *fault says so.
 * With another fault there is a record all the same.
 */
void *config_add(struct config *config, void *parent, const struct config_node *node, const char *name,
                 enum config_name_fault *fault);
/* How many records of a kind there may be. */
unsigned config_limit_of(enum config_kind kind);

/* Whether `fdt` is a whole and consistent tree within `size` bytes, which libfdt can be used on. */
bool config_tree_valid(const void *fdt, size_t size);

/* As config_files(), but `repeated` is not filled in, and a config with errors may be walked. */
int config_walk_files(const struct config *config, int (*each)(void *context, const struct config_file *file),
                      void *context);

/* What does not fit together between nodes. */
enum config_link_fault {
    CONFIG_LINK_NETWORK,       /* netN: no such network */
    CONFIG_LINK_MAC,           /* netN: the other card in that network has this address */
    CONFIG_LINK_QUEUES,        /* netN: more queues than virtual CPUs */
    CONFIG_LINK_DISK,          /* diskN: no such disk */
    CONFIG_LINK_WRITE,         /* diskN: is to be writable, but the disk is read-only */
    CONFIG_LINK_SHARED,        /* diskN: the other one writes the same, and the disk is not shared */
    CONFIG_LINK_BASE,          /* diskN has an overlay over what the other one writes */
    CONFIG_LINK_OVERLAY,       /* diskN has an overlay, and there is no memory for overlays */
    CONFIG_LINK_ROOM,          /* there is too little memory for so many overlays */
    CONFIG_LINK_FILE,          /* a disk's file is named elsewhere, too, and may be written */
    CONFIG_LINK_UPLINK,        /* a network: the other one has the same uplink */
    CONFIG_LINK_DEVICE,        /* a disk: the other one has the same device */
    CONFIG_LINK_PASSED_GUEST,  /* a guest: the other one has the same function of the machine */
    CONFIG_LINK_PASSED_UPLINK, /* a guest: a network has its function as uplink */
    CONFIG_LINK_PASSED_DISK,   /* a guest: a disk has its function as device */
    CONFIG_LINK_DEVICES,       /* a guest: with its devices there are too many */
};

struct config_link {
    enum config_link_fault fault;
    uint32_t guest, item;             /* indexes: of the guest, and of its net or disk; UPLINK, DEVICE: of the
                                         network or disk; PASSED_...: of the PCI address */
    uint32_t other_guest, other_item; /* of the other one; PASSED_UPLINK, PASSED_DISK: other_item */
    uint32_t disk;                    /* FILE: index of the disk */
    const struct config_file *file;   /* FILE: the other place */
};

/*
 * Completes a config whose nodes were all read: images, networks and disks by index, defaults that depend on
 * other nodes. Calls `found` (may be NULL) for each thing that does not fit; what has no name, since its name
 * was wrong, is passed over. Returns how many there are.
 */
unsigned config_complete(struct config *config, enum config_arch arch,
                         void (*found)(void *context, const struct config_link *link), void *context);

#endif
