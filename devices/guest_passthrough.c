// SPDX-License-Identifier: Apache-2.0
// A guest's functions of the machine as a part of its machine: their domain, in step with the guest's memory;
// where the guest has an IOMMU of its own, a domain for each beside it; start and end.
#include "devices/guest_passthrough.h"

#include <errno.h>
#include <stdio.h>

#include "abi/service.h"
#include "core/log.h"
#include "core/vm.h"
#include "devices/passed_function.h"
#include "devices/pci_function.h"
#include "drivers/iommu/iommu.h"
#include "lib/config.h"

#define FIRST_SLOT CONFIG_PASSED_SLOT /* on the guest's bus 0: behind those of the service VM's devices */

/* Tables of a function's own domain take at most this, and twice what those of all of the guest's RAM by 4
 * KiB would: a guest that scatters its mappings takes no more of the machine's memory. */
#define OWN_TABLES 0x400000ull /* bytes */
#define RAM_SHARE  256u

/* What the guest's own IOMMU lets one function reach. */
struct own_domain {
    struct iommu_domain *domain; /* NULL: the guest has no IOMMU */
    struct memory_account account;
};

struct passthrough {
    struct vm_passed passed;
    struct vm *vm;
    struct iommu_domain *domain; /* NULL: the machine has no IOMMU, and the guest identity-memory */
    unsigned count;
    struct passed_function *function[CONFIG_MAX_PASSTHROUGH];
    struct own_domain own[CONFIG_MAX_PASSTHROUGH];
};

static struct passthrough *passthrough_of(const struct vm *vm) {
    return vm->passed ? container_of(vm->passed, struct passthrough, passed) : NULL;
}

/* ---- memory */

static bool is_memory(const struct guest_region *region) {
    return region->kind == GUEST_RAM || region->kind == GUEST_ROM;
}

/* With the lock of the memory map. */
static int map(struct passthrough *p, const struct guest_region *region) {
    const struct guest_memory *memory = &p->vm->memory;
    uint64_t part;
    int error = 0;

    for (uint64_t done = 0; done < region->size && !error; done += part) {
        uint64_t physical = guest_memory_backing(memory, region->offset + done, &part);
        if (part > region->size - done)
            part = region->size - done;
        error = iommu_map(p->domain, region->base + done, physical, part, region->kind == GUEST_RAM);
    }
    return error;
}

int guest_passthrough_memory(struct vm *vm, const struct guest_region *region, bool present) {
    struct passthrough *p = passthrough_of(vm);

    if (!p || !p->domain || (present && !is_memory(region)))
        return 0; /* without an IOMMU; or registers, where no memory was: devices do not reach those */
    int error = present ? map(p, region) : iommu_unmap(p->domain, region->base, region->size);
    iommu_flush(p->domain);
    return error;
}

static int map_all(struct passthrough *p) {
    struct guest_memory *memory = &p->vm->memory;
    int error = 0;

    spin_lock(&memory->lock);
    for (unsigned i = 0; i < memory->region_count && !error; i++)
        if (is_memory(&memory->region[i]))
            error = map(p, &memory->region[i]);
    spin_unlock(&memory->lock);
    iommu_flush(p->domain);
    return error;
}

/* ---- what the guest's own IOMMU says, by the service VM's calls; nothing of it is believed */

/* The domain of function `number`'s own; NULL: there is none. */
static struct own_domain *own_of(const struct vm *vm, unsigned number) {
    struct passthrough *p = passthrough_of(vm);

    return p && number < p->count && p->own[number].domain ? &p->own[number] : NULL;
}

static int confine(struct vm *vm, unsigned number, bool on) {
    struct passthrough *p = passthrough_of(vm);
    const struct own_domain *own = own_of(vm, number);

    if (!own)
        return -ENOENT;
    return passed_function_move(p->function[number], on ? own->domain : p->domain);
}

static bool is_sound(const struct service_dma *dma) {
    return dma->size && dma->size <= SERVICE_MAX_DMA &&
           !((dma->address | dma->size | dma->gpa) & (PAGE_SIZE - 1)) &&
           dma->address + dma->size >= dma->size && dma->gpa + dma->size >= dma->size;
}

/* Maps what lies together at dma->gpa + done. *part: how much that is. */
static int map_part(struct vm *vm, struct iommu_domain *domain, const struct service_dma *dma, uint64_t done,
                    uint64_t *part) {
    enum guest_region_kind kind;
    uint64_t physical;

    if (guest_memory_translate(vm, dma->gpa + done, &physical, part, &kind))
        return -EFAULT;
    if (kind != GUEST_RAM && (kind != GUEST_ROM || dma->writable))
        return -EFAULT;
    if (*part > dma->size - done)
        *part = dma->size - done;
    return iommu_map(domain, dma->address + done, physical, *part, dma->writable != 0);
}

/* What a mapping led to when it was made it leads to until it is taken away, also if the guest's map changes:
 * it is the guest's own memory in any case. */
static int own_map(struct vm *vm, unsigned number, const struct service_dma *dma) {
    struct own_domain *own = own_of(vm, number);
    uint64_t part = 0;
    int error = 0;

    if (!own)
        return -ENOENT;
    if (!is_sound(dma))
        return -EINVAL;
    if (own->account.overhead > OWN_TABLES + vm->memory.size / RAM_SHARE)
        return -ENOMEM;
    for (uint64_t done = 0; done < dma->size && !error; done += part)
        error = map_part(vm, own->domain, dma, done, &part);
    if (error)
        (void)iommu_unmap(own->domain, dma->address, dma->size);
    iommu_flush(own->domain);
    return error;
}

static int own_unmap(struct vm *vm, unsigned number, const struct service_dma *dma) {
    struct own_domain *own = own_of(vm, number);

    if (!own)
        return -ENOENT;
    int error = is_sound(dma) ? iommu_unmap(own->domain, dma->address, dma->size) : -EINVAL;
    iommu_flush(own->domain);
    return error;
}

/* ---- runs of the guest */

/* One of its functions did what it may not. A few of these are in the log; if they do not end the guest has
 * lost it, and ends. */
static void fault(struct iommu_domain *domain, const struct iommu_fault *what, bool suspended) {
    for (unsigned i = 0; suspended && i < vm_count(); i++) {
        const struct passthrough *p = passthrough_of(vm_get(i));
        if (p && p->domain == domain)
            vm_crash(p->vm->vcpu[0], "PCI %04x:%02x:%02x.%x goes on with DMA where it may not", what->segment,
                     what->requester >> 8, what->requester >> 3 & 31, what->requester & 7);
    }
}

/* DMA ends first, of all of them. */
static void release(struct vm *vm, bool last) {
    struct passthrough *p = passthrough_of(vm);

    for (unsigned i = 0; i < p->count; i++)
        passed_function_stop(p->function[i], last);
    for (unsigned i = 0; i < p->count; i++)
        passed_function_end(p->function[i], last);
}

static uint64_t rest(const struct vm *vm) {
    struct passthrough *p = passthrough_of(vm);
    uint64_t longest = 0;

    for (unsigned i = 0; i < p->count; i++) {
        uint64_t one = passed_function_rest(p->function[i]);
        longest = one > longest ? one : longest;
    }
    return longest;
}

static void part_reset(struct vm *vm, unsigned index) {
    struct passthrough *p = passthrough_of(vm);

    (void)index;
    for (unsigned i = 0; p && i < p->count; i++) {
        const char *why = passed_function_start(p->function[i], p->domain);
        char text[sizeof(vm->end_text)];
        if (!why && !p->domain)
            log_warning("guest %s: DMA of PCI %s is unprotected: it can read and write all of the machine's "
                        "memory (identity-memory)",
                        vm->name, vm->config->passthrough[i]);
        if (!why)
            continue;
        snprintf(text, sizeof(text), "cannot be started: PCI %.16s: %.100s", vm->config->passthrough[i], why);
        vm_end(vm, VM_END_REFUSED, 0, text);
        return;
    }
}

/* ---- making them */

static void destroy(struct passthrough *p) {
    while (p->count)
        passed_function_destroy(p->function[--p->count]);
    for (unsigned i = 0; i < CONFIG_MAX_PASSTHROUGH; i++)
        if (p->own[i].domain)
            iommu_domain_destroy(p->own[i].domain);
    if (p->domain)
        iommu_domain_destroy(p->domain);
    heap_free(p, sizeof(*p), &p->vm->memory.account);
}

static void part_destroy(struct vm *vm, unsigned index) {
    struct passthrough *p = passthrough_of(vm);

    (void)index;
    vm->passed = NULL;
    if (p)
        destroy(p);
}

/* Faults there are the guest's own affair: a few are in the log, and if they do not end the function reaches
 * nothing until it is moved. */
static int make_own(struct passthrough *p) {
    int error = 0;

    for (unsigned i = 0; i < p->count && !error; i++)
        error = iommu_domain_create(&p->own[i].domain, p->vm->name, &p->own[i].account, NULL);
    if (error)
        return error;
    for (unsigned i = 0; i < p->count; i++)
        iommu_domain_seal(p->own[i].domain);
    p->passed.address_bits = iommu_address_bits();
    p->passed.confine = confine;
    p->passed.map = own_map;
    p->passed.unmap = own_unmap;
    return 0;
}

static int make(struct passthrough *p) {
    struct vm *vm = p->vm;

    for (unsigned i = 0; i < vm->config->passthrough_count; i++) {
        uint8_t devfn = (uint8_t)PCI_DEVFN(FIRST_SLOT + i, 0);
        int error = passed_function_create(vm, vm->config->passthrough[i], devfn, &p->function[i]);
        if (error)
            return error;
        p->count++;
    }
    if (!iommu_present())
        return 0;
    int error = iommu_domain_create(&p->domain, vm->name, &vm->memory.account, fault);
    if (!error) {
        iommu_domain_seal(p->domain);
        error = map_all(p);
    }
    if (error)
        log_error("guest %s: its memory cannot be made known to the IOMMU (%d)", vm->name, error);
    if (error || vm->config->iommu == CONFIG_IOMMU_NONE)
        return error;
    error = make_own(p);
    if (error)
        log_error("guest %s: no domains of the IOMMU for its own one (%d)", vm->name, error);
    return error;
}

static int part_create(struct vm *vm, unsigned index) {
    (void)index;
    if (!vm->config->passthrough_count)
        return 0;
    struct passthrough *p = heap_allocate(sizeof(*p), &vm->memory.account);
    if (!p)
        return -ENOMEM;
    p->vm = vm;
    p->passed = (struct vm_passed){.release = release, .rest = rest};
    int error = make(p);
    if (error) {
        destroy(p);
        return error;
    }
    vm->passed = &p->passed;
    return 0;
}

const struct part passthrough_part = {
    .name = "passthrough",
    .create = part_create,
    .destroy = part_destroy,
    .reset = part_reset,
};
