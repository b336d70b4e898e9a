// SPDX-License-Identifier: Apache-2.0
// Words for people about the schema: the reference's rows, what a value should be, the nearest known name,
// sizes.
#ifndef SAGUARO_LIB_CONFIG_CHECK_WORDS_H
#define SAGUARO_LIB_CONFIG_CHECK_WORDS_H

#include "lib/config_schema.h"

#define CONFIG_WORDS 256u /* bytes that every text below fits in */

/* What a property's value has to be: `a number from 1 to 16`, `one of "stay", "poweroff", "reboot"`. */
const char *config_expected(const struct config_property *property, char buffer[CONFIG_WORDS]);

/* What holds if a property is not given: `"stay"`, `1`, `all CPUs`, `required`. */
const char *config_default(const struct config_property *property, char buffer[CONFIG_WORDS]);

/* A size in bytes for people: `512 MiB`, `1280 MiB`, `15.5 GiB`, rounded down to a tenth. */
const char *config_size_text(uint64_t bytes, char buffer[CONFIG_WORDS]);

/* Bytes of a row or a heading of the reference. */
#define CONFIG_ROW 512u

/* A row of the reference in docs/config.md: | `name` | value | default | on | meaning |, without a line end.
 */
const char *config_reference_row(const struct config_property *property, char buffer[CONFIG_ROW]);

/* The line that begins a node's part there: ### `/guests/NAME`: one guest. `path` is the node's. */
const char *config_reference_heading(const struct config_node *node, const char *path,
                                     char buffer[CONFIG_ROW]);

/* Calls `each` for every node of the schema, parents first, with its path ("/" for the root). */
void config_each_node(void (*each)(void *context, const struct config_node *node, const char *path),
                      void *context);

/*
 * The name of a property, or with `nodes` of a node, that `name` is most likely a slip of; NULL: nothing is
 * near. Names of nodes that the config chooses are not offered.
 */
const char *config_nearest(const struct config_node *node, bool nodes, const char *name);

/* The same of any names. */
const char *config_nearest_of(const char *const *names, unsigned count, const char *name);

#endif
