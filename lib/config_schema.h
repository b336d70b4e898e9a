// SPDX-License-Identifier: Apache-2.0
// The schema of the config: one table of nodes and properties that reader, checker, the host tool's reference
// and the test of docs/config.md all go by.
#ifndef SAGUARO_LIB_CONFIG_SCHEMA_H
#define SAGUARO_LIB_CONFIG_SCHEMA_H

#include "lib/config.h"

enum config_type {
    CONFIG_TYPE_CHOICE,  /* one string of a list; uint32_t: its index */
    CONFIG_TYPE_NAME,    /* letters, digits, '-' and '.', 1..max bytes; const char * */
    CONFIG_TYPE_TEXT,    /* printable ASCII, 0..max bytes; const char * */
    CONFIG_TYPE_SIZE,    /* string with a suffix, min..max bytes, a multiple of 4 KiB; uint64_t */
    CONFIG_TYPE_NUMBER,  /* one cell, min..max; uint32_t */
    CONFIG_TYPE_CPUS,    /* cells 0..max, each once; uint64_t with their bits */
    CONFIG_TYPE_FILE,    /* a file name; const char * */
    CONFIG_TYPE_MODULES, /* 1..max strings "FILE ARGUMENTS"; const char *[] and module_count of the guest */
};

#define CONFIG_REQUIRED  1u /* must be given */
#define CONFIG_LATER     2u /* not in this version: an error of its own */
#define CONFIG_ANY_NAME  4u /* a node whose name the config chooses */
#define CONFIG_NUMBERED  8u /* a node named with a number at the end: the table has "N" there */

#define CONFIG_NO_FIELD  UINT16_MAX

#define CONFIG_FOR(arch) (1u << (arch)) /* of enum config_arch */

struct config_property {
    const char *name;
    const char *const *choices; /* of CHOICE; ends with NULL */
    const char *preset_text;    /* value of NAME and TEXT if not given */
    const char *otherwise;      /* what is so if not given, as the reference says it; NULL: the preset */
    const char *meaning;        /* one line for the reference */
    uint64_t min, max;
    uint64_t ppc_max; /* on PowerPC, in place of max; 0: max */
    uint64_t preset;  /* value of the other types if not given */
    uint16_t
        field; /* offset in struct config, for a guest's in struct config_guest; CONFIG_NO_FIELD: not kept */
    uint8_t type;  /* enum config_type */
    uint8_t flags; /* CONFIG_REQUIRED, CONFIG_LATER */
    uint8_t only;  /* CONFIG_FOR() of the one architecture that has it; 0: all */
};

struct config_node {
    const char *name; /* "" is the root */
    const struct config_property *properties;
    const struct config_node *nodes;
    const char *meaning;
    uint8_t property_count; /* at most 32 */
    uint8_t node_count;
    uint8_t flags; /* CONFIG_* */
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
    CONFIG_GUEST_PASSTHROUGH,
    CONFIG_GUEST_IDENTITY_MEMORY,
    CONFIG_GUEST_PROPERTIES,
};

/* What has to hold between the properties of a guest. */
enum config_rule {
    CONFIG_RULE_NO_IMAGE,   /* none of kernel, multiboot, pvh, firmware */
    CONFIG_RULE_TWO_IMAGES, /* more than one of them */
    CONFIG_RULE_INITRD,     /* initrd with another kind than kernel or pvh */
    CONFIG_RULE_MODULES,    /* modules with another kind than multiboot */
    CONFIG_RULE_CMDLINE,    /* cmdline with firmware */
    CONFIG_RULE_PERIOD,     /* budget without period */
    CONFIG_RULE_BUDGET,     /* period without budget */
    CONFIG_RULE_OVER,       /* budget larger than period */
    CONFIG_RULES,
};

/* What is wrong with a value. */
enum config_fault {
    CONFIG_FAULT_NONE = 0,
    CONFIG_FAULT_TYPE,      /* strings where cells belong, or the reverse, or no value */
    CONFIG_FAULT_SEVERAL,   /* more than one where one belongs */
    CONFIG_FAULT_RANGE,     /* below min or above max */
    CONFIG_FAULT_CHOICE,    /* none of the choices */
    CONFIG_FAULT_SIZE,      /* not a number with a suffix */
    CONFIG_FAULT_MULTIPLE,  /* a size that is no multiple of 4 KiB */
    CONFIG_FAULT_LENGTH,    /* empty where something must be, or too long, or too many */
    CONFIG_FAULT_CHARACTER, /* a byte that may not be in it */
    CONFIG_FAULT_PATH,      /* config_path_problem() says why */
    CONFIG_FAULT_REPEATED,  /* the same CPU again */
};

extern const struct config_node config_schema; /* the root */

/* The property or node of that name in `node`; NULL: there is none. */
const struct config_property *config_find_property(const struct config_node *node, const char *name);
const struct config_node *config_find_node(const struct config_node *node, const char *name);

/* Sets every field of `node`'s properties in `record` (struct config or struct config_guest) to what holds if
 * not given. */
void config_set_presets(const struct config_node *node, void *record);

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

/* Whether a guest is at odds with a rule. `given` is the set of properties that the config gives it. */
bool config_breaks_rule(enum config_rule rule, uint32_t given, const struct config_guest *guest);

/* Whether a guest may have this name. */
bool config_guest_name_valid(const char *name);

/* Whether `fdt` is a whole and consistent tree within `size` bytes, which libfdt can be used on. */
bool config_tree_valid(const void *fdt, size_t size);

#endif
