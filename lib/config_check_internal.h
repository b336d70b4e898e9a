// SPDX-License-Identifier: Apache-2.0
// What the parts of the config's checker share: its state, the node that is being checked, and how they
// complain.
#ifndef SAGUARO_LIB_CONFIG_CHECK_INTERNAL_H
#define SAGUARO_LIB_CONFIG_CHECK_INTERNAL_H

#include "lib/config_check.h"
#include "lib/config_check_place.h"
#include "lib/config_schema.h"

struct config_checker {
    const struct config_source *source;
    struct dts_report *report;
    struct config *config; /* values as far as they are right */
    unsigned errors;
};

/* A node that is being checked. */
struct config_check_node {
    const struct config_node *schema;
    int offset;
    void *record; /* as the schema's kind says */
    uint32_t given;
    int at[CONFIG_GUEST_PROPERTIES]; /* where each given property is, by its index in the schema */
    char called[80];                 /* `guest "web"` */
};

/* Reports an error, up to CONFIG_MAX_ERRORS of them; the message is printf-like. */
void config_check_complain(struct config_checker *c, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether there were so many that checking ends. */
bool config_check_is_done(const struct config_checker *c);

/* What a value was written as; of a compiled tree, what it looks like. */
enum dts_kind config_check_kind(const struct config_checker *c, int property, const void *value, int size);

/* Complains about the value of the property at offset `at`, which has that fault; `property` has the limits
 * of the architecture. */
void config_check_bad_value(struct config_checker *c, const struct config_check_node *node, int at,
                            const struct config_property *property, enum config_fault fault, unsigned element,
                            const char *value, int size);

/* Complains about what does not fit between nodes; `context` is the struct config_checker. */
void config_check_link(void *context, const struct config_link *link);

static inline struct config_place config_check_at_node(int node) {
    return (struct config_place){.node = node, .property = -1};
}

static inline struct config_place config_check_at_value(const struct config_check_node *node, int property,
                                                        unsigned element) {
    return (struct config_place){.node = node->offset, .property = property, .element = element};
}

#endif
