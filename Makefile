# SPDX-License-Identifier: Apache-2.0
# Saguaro's build. `make help` says what there is; mk/*.mk hold the rules, one file per product.

all: hypervisor loader service
.DEFAULT_GOAL := all

SAGUARO_CACHE ?= $(HOME)/.cache/saguaro
export SAGUARO_CACHE
BUILD         := build
PYTHON        ?= /usr/bin/python3
# V=1 shows each command.
Q             := $(if $(V),,@)

MAKEFLAGS += --no-builtin-rules
# JOBS=N says how many commands run at once. A make below another make shares the upper one's.
ifeq ($(MAKELEVEL),0)
JOBS      ?= $(shell nproc 2>/dev/null || echo 2)
MAKEFLAGS += -j$(JOBS)
endif
.DELETE_ON_ERROR:
.SUFFIXES:

include mk/setup.mk
include mk/hypervisor.mk
include mk/ppc.mk
include mk/service.mk
include mk/boot.mk
include mk/host.mk
-include mk/guests.mk
-include mk/guests-ppc.mk
-include mk/test-guests.mk
-include mk/test-guests-ppc.mk
-include mk/image.mk
-include mk/bench.mk
-include mk/bench-ppc.mk
-include mk/lint.mk

.PHONY: all clean help

clean:
	rm -rf $(BUILD)

help:
	$(Q)sed -n 's/^#: \{0,1\}//p' mk/help.txt

