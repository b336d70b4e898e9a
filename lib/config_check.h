// SPDX-License-Identifier: Apache-2.0
// The config's checker: holds a flattened tree to the schema and says in full what is wrong and where.
// One checker for loader, host tool and tests; the hypervisor links config_read() alone.
#ifndef SAGUARO_LIB_CONFIG_CHECK_H
#define SAGUARO_LIB_CONFIG_CHECK_H

#include "lib/config.h"
#include "lib/dts.h"

#define CONFIG_MAX_ERRORS 20u /* then one line says that there are more, and checking ends */

/*
 * Where a checked tree came from. From source: positions as dts_parse() left them. From a compiled tree:
 * positions NULL, and errors name `file` and the node's path.
 */
struct config_source {
    const void *fdt;                       /* 8-byte aligned */
    size_t size;                           /* bytes that may be read */
    const char *file;                      /* the config's name, for messages */
    const struct dts_positions *positions; /* or NULL */
    enum config_arch arch;                 /* of the machine that the config is for */
};

/*
 * Checks the tree and reports every error found (up to CONFIG_MAX_ERRORS). Returns 0 and fills in `out` (as
 * config_read()) if there was none, else -EINVAL.
 */
int config_check(const struct config_source *source, struct config *out, struct dts_report *report);

/* What a config is held against. */
struct config_machine {
    uint64_t memory;    /* bytes of RAM that are free for guests and hypervisor together */
    uint64_t reserve;   /* bytes of these that are not for guests: hypervisor, overhead, files */
    uint32_t cpu_count; /* CPUs are 0..cpu_count-1; 0: not checked */
};

/*
 * Checks that guests fit the machine: memory of all guests together (all of them, also those without
 * autostart), and every CPU that `cpus` names. `config` is what config_check() filled in from `source`.
 * Returns 0 or -EINVAL.
 */
int config_check_machine(const struct config_source *source, const struct config *config,
                         const struct config_machine *machine, struct dts_report *report);

/*
 * Reports an error about a file that the config names, at the place that names it; for what only the program
 * that reads the files can know (missing, empty, too long, not a kernel). The message is printf-like.
 */
void config_report_file(const struct config_source *source, const struct config *config,
                        const struct config_file *file, struct dts_report *report, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
