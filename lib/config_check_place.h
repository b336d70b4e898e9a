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

/* A place in words: file:line:column, or its path in a tree without source. */
const char *config_place_text(const struct config_source *source, struct config_place place, char *buffer,
                              size_t size);

/* Offsets; -1: none. Of a property and a node by name, in the node at `node`. */
int config_property_offset(const void *fdt, int node, const char *name);
int config_child_offset(const void *fdt, int node, const char *name);
/* Of the node that record `index` of the root's node `list` ("guests", "networks", "disks") was read from. */
int config_record_offset(const void *fdt, const char *list, unsigned index);
/* Of a guest's node by stem ("net", "disk") and number. */
int config_item_offset(const void *fdt, unsigned guest, const char *stem, unsigned number);

#endif
