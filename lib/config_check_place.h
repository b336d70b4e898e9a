// SPDX-License-Identifier: Apache-2.0
// How the config's checks point at a place: source position where there is one, else the node's path.
#ifndef SAGUARO_LIB_CONFIG_CHECK_PLACE_H
#define SAGUARO_LIB_CONFIG_CHECK_PLACE_H

#include "lib/config_check.h"

/* A place in the tree. */
struct config_place {
    int node;         /* offset */
    int property;     /* offset of one of its properties, or -1: the node itself */
    unsigned element; /* which value of the property, from 1; 0: its name */
};

/* Reports an error at a place; the message is printf-like. */
void config_complain(const struct config_source *source, struct dts_report *report, struct config_place place,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
void config_complain_v(const struct config_source *source, struct dts_report *report,
                       struct config_place place, const char *format, va_list arguments);

/* The offset of a property by name, of the node `guests`, and of the guest that config.guests[index] was read
 * from; -1: none. */
int config_property_offset(const void *fdt, int node, const char *name);
int config_guests_offset(const void *fdt);
int config_guest_offset(const void *fdt, unsigned index);

#endif
