# SPDX-License-Identifier: Apache-2.0
# What a machine boots from, and an emulated machine that boots it.

# ARCH names the architecture of the machine: x86 or ppc.
ARCH := x86
ifeq ($(filter x86 ppc,$(ARCH)),)
$(error ARCH=$(ARCH): the architectures are x86 and ppc)
endif
IS_PPC := $(filter ppc,$(ARCH))

# MACHINE names the emulated machine: qemu-svm (AMD's SVM), bochs (Intel's VT-x), bochs-svm (SVM with what QEMU's lacks).
MACHINE ?= qemu-svm
ifeq ($(filter $(MACHINE),qemu-svm bochs bochs-svm),)
$(error MACHINE=$(MACHINE): the machines are qemu-svm, bochs and bochs-svm)
endif

# IOMMU names what keeps the DMA of that machine's devices in bounds: none, vtd (Intel's VT-d) or amdvi (AMD's AMD-Vi).
IOMMU ?= none
ifeq ($(filter none vtd amdvi,$(IOMMU)),)
$(error IOMMU=$(IOMMU): it is none, vtd or amdvi)
endif
ifneq ($(IOMMU),none)
ifneq ($(if $(IS_PPC),ppc,$(MACHINE)),qemu-svm)
$(error IOMMU=$(IOMMU): only MACHINE=qemu-svm has one)
endif
endif

# The example with an uplink and a disk is for a machine that has them, as tools/run-qemu.sh makes it.
CONFIG ?= examples/$(if $(IS_PPC),two-guests-ppc,$(if $(filter bochs%,$(MACHINE)),two-guests,network-and-disks))/saguaro.dts
STAGE  := $(BUILD)/stage/$(notdir $(patsubst %/,%,$(dir $(CONFIG))))

# An example names kernels that the build provides; it is staged beside them. Anyone else's config is taken where it lies.
EXAMPLE := $(if $(filter examples/% ./examples/%,$(CONFIG)),yes)
CONFIG_USED := $(if $(EXAMPLE),$(STAGE)/$(notdir $(CONFIG)),$(CONFIG))

CHECK_CONFIG         := $(HOST)/check-config
CHECK_CONFIG_SOURCES := $(wildcard tools/check-config.c) $(wildcard lib/dts*.c lib/config*.c lib/image*.c)
CHECK_CONFIG_OBJECTS := $(addprefix $(HOST)/obj/,$(CHECK_CONFIG_SOURCES:.c=.o))

$(HOST)/obj/%.o: %.c mk/host.mk | $(LIBFDT_HEADER) setup-build
	@echo "  HOSTCC  $<"
	@mkdir -p $(@D)
	$(Q)$(HOST_CC) $(HOST_FLAGS) -O2 -c -o $@ $<

$(HOST)/libfdt.a: $(LIBFDT_HEADER) mk/setup.mk | setup-build
	$(call build-libfdt,$(HOST_CC) $(HOST_FLAGS) -O2)

$(CHECK_CONFIG): $(CHECK_CONFIG_OBJECTS) $(HOST)/libfdt.a
	@echo "  HOSTLD  $@"
	$(Q)$(HOST_CC) -o $@ $^

-include $(CHECK_CONFIG_OBJECTS:.o=.d)

MAKE_BUNDLE = $(PYTHON) tools/make-bundle.py --config "$(CONFIG_USED)" --checker $(CHECK_CONFIG)
MAKE_IMAGE = $(PYTHON) tools/make-image.py
MAKE_IMAGE_ARGUMENTS = --config "$(CONFIG_USED)" --loader $(X86)/saguaro.efi --checker $(CHECK_CONFIG)

.PHONY: stage image pxe check-config run need-config need-out
need-config:
	@test -e '$(CONFIG)' || { echo "make: there is no config $(CONFIG); name one with CONFIG=path/to/saguaro.dts" >&2; exit 1; }
need-out:
	@test -n '$(OUT)' || { echo "make: say where to, with OUT=..." >&2; exit 1; }

stage: need-config $(if $(EXAMPLE),$(if $(IS_PPC),guests-ppc,guests))
	$(if $(EXAMPLE),$(Q)tools/stage-config.sh "$(CONFIG)" $(if $(IS_PPC),$(PPC_GUESTS),$(GUESTS)) $(STAGE))

ifeq ($(ARCH),ppc)
image: need-out need-config stage $(CHECK_CONFIG)
	$(Q)$(MAKE_BUNDLE) --out "$(OUT)"

pxe:
	@echo "make: pxe is for x86; on PowerPC give saguaro.elf and the bundle of \"make image\" to the firmware" >&2; exit 1
else
image: need-out need-config stage $(X86)/saguaro.efi $(CHECK_CONFIG) | setup-image
	$(Q)$(MAKE_IMAGE) image $(MAKE_IMAGE_ARGUMENTS) --out "$(OUT)"

pxe: need-out need-config stage $(X86)/saguaro.efi $(CHECK_CONFIG) | setup-image
	$(Q)$(MAKE_IMAGE) pxe $(MAKE_IMAGE_ARGUMENTS) --out "$(OUT)"
endif

check-config: need-config stage $(CHECK_CONFIG)
	$(Q)$(CHECK_CONFIG) --arch $(ARCH) "$(CONFIG_USED)"

RUN := $(BUILD)/run
ifeq ($(ARCH),ppc)
run: need-config stage $(PPC)/saguaro.elf $(CHECK_CONFIG) | setup-ppc
	@mkdir -p $(RUN)
	$(Q)$(MAKE_BUNDLE) --out $(RUN)/run.bundle >/dev/null
	$(Q)tools/run-qemu-ppc.sh $(PPC)/saguaro.elf $(RUN)/run.bundle $(RUN) $(QEMU_OPTIONS)
else
run: need-config stage $(X86)/saguaro.efi $(CHECK_CONFIG) | setup-image $(if $(filter bochs%,$(MACHINE)),setup-bochs,setup-run)
	@mkdir -p $(RUN)
	$(Q)$(MAKE_IMAGE) image $(MAKE_IMAGE_ARGUMENTS) --out $(RUN)/run.img >/dev/null
ifeq ($(MACHINE),qemu-svm)
	$(Q)IOMMU=$(IOMMU) tools/run-qemu.sh $(RUN)/run.img $(RUN) $(QEMU_OPTIONS)
else
	$(Q)$(PYTHON) tools/run_bochs.py $(RUN)/run.img $(RUN) --model $(if $(filter bochs,$(MACHINE)),vtx,svm) $(BOCHS_OPTIONS)
endif
endif
