// SPDX-License-Identifier: Apache-2.0
// The config in the loader: finding it, reading and checking it, and reading the files that it names.
#ifndef SAGUARO_BOOT_CONFIG_LOAD_H
#define SAGUARO_BOOT_CONFIG_LOAD_H

#include <stdint.h>

#include "abi/handover.h"
#include "boot/source.h"
#include "lib/config.h"
#include "lib/config_check.h"
#include "lib/dts.h"

/* A config that was found; `config` and everything that it points to lie in LOADER memory. */
struct config_load {
    struct source *source;
    const char *name; /* "saguaro.dts" or "saguaro.dtb" */
    struct config_source tree;
    struct config *config;
    struct dts_report report;
};

/* Find, read and check the config. Every error has been printed when this returns non-zero (a negative
 * errno). */
int config_load_find(struct source *sources, unsigned int source_count, struct config_load *load);

/* Hold the config against CPUs and memory: `memory` bytes of RAM, of which `reserve` are not for guests. */
int config_load_check_machine(struct config_load *load, uint64_t memory, uint64_t reserve,
                              uint32_t cpu_count);

/* Read every file that the config names, each once, check it, and list it in the hand-over. */
int config_load_files(struct config_load *load, struct handover *handover);

#endif
