// SPDX-License-Identifier: Apache-2.0
// The service VM's calls of the hypervisor (abi/service.h), one function each. A result is 0 or positive, or
// a negative errno.
#ifndef SAGUARO_SERVICE_CALL_H
#define SAGUARO_SERVICE_CALL_H

#include "abi/service.h"
#include "service/arch.h"

/* Sleeps until an event is there, or until board.wake_at. */
static inline void service_call_wait(void) {
    (void)service_call(SERVICE_CALL_WAIT, 0, 0, 0, 0);
}

static inline int service_call_ready(void) {
    return service_call(SERVICE_CALL_READY, 0, 0, 0, 0);
}

/* `text` lies in the service VM's own memory, as everything does that a call is given the address of. */
static inline int service_call_log(unsigned level, const char *text, uint32_t length) {
    return service_call(SERVICE_CALL_LOG, level, arch_physical(text), length, 0);
}

static inline void service_call_crash(const char *text, uint32_t length) {
    (void)service_call(SERVICE_CALL_CRASH, arch_physical(text), length, 0, 0);
}

/* The number of the device that was made, or -EINVAL, -EEXIST, -ENOSPC, -ENOENT. */
static inline int service_call_device(const struct service_device *device) {
    return service_call(SERVICE_CALL_DEVICE, arch_physical(device), 0, 0, 0);
}

static inline int service_call_config(unsigned device, unsigned offset, unsigned size, uint32_t value) {
    return service_call(SERVICE_CALL_CONFIG, device, offset, size, value);
}

/* -ENXIO: MSI-X is off, whatever the vector; -EINVAL: there is no such vector. */
static inline int service_call_interrupt(unsigned device, unsigned vector) {
    return service_call(SERVICE_CALL_INTERRUPT, device, vector, 0, 0);
}

static inline int service_call_line(unsigned device, bool level) {
    return service_call(SERVICE_CALL_LINE, device, level, 0, 0);
}

/* -ENODEV: the device has no interrupt status. */
static inline int service_call_status(unsigned device, uint32_t clear, uint32_t set) {
    return service_call(SERVICE_CALL_STATUS, device, clear, set, 0);
}

/* -ESTALE: the request with that sequence number is no more. */
static inline int service_call_answer(unsigned slot, uint32_t sequence) {
    return service_call(SERVICE_CALL_ANSWER, slot, sequence, 0, 0);
}

/* Pages of 4 KiB, counted from the start of the VM's window. */
static inline int service_call_dirty(unsigned vm, uint32_t first, uint32_t count) {
    return service_call(SERVICE_CALL_DIRTY, vm, first, count, 0);
}

static inline int service_call_note(unsigned vm, const char *text, uint32_t length) {
    return service_call(SERVICE_CALL_NOTE, vm, arch_physical(text), length, 0);
}

/* How many of `size` bytes, 1 to SERVICE_MAX_ENTROPY, are random ones now; -ENODEV: there is no source. */
static inline int service_call_entropy(uint8_t *bytes, uint32_t size) {
    return service_call(SERVICE_CALL_ENTROPY, arch_physical(bytes), size, 0, 0);
}

/* Whether the driver of VM `vm`'s virtio console takes input. */
static inline int service_call_console_open(unsigned vm, bool open) {
    return service_call(SERVICE_CALL_CONSOLE_OPEN, vm, open, 0, 0);
}

/* How many of `size` bytes, 1 to SERVICE_MAX_CONSOLE, were taken. */
static inline int service_call_console_write(unsigned vm, const uint8_t *bytes, uint32_t size) {
    return service_call(SERVICE_CALL_CONSOLE_WRITE, vm, arch_physical(bytes), size, 0);
}

/* How many bytes were filled in, up to `size`, 0 to SERVICE_MAX_CONSOLE, from number `from` on; -ERANGE. */
static inline int service_call_console_read(unsigned vm, uint8_t *bytes, uint32_t size, uint32_t from) {
    return service_call(SERVICE_CALL_CONSOLE_READ, vm, arch_physical(bytes), size, from);
}

/* ---- the operator's console */

/* The next key, 0 to 255; -EAGAIN: there is none. */
static inline int service_call_key(void) {
    return service_call(SERVICE_CALL_KEY, 0, 0, 0, 0);
}

/* `size`: 1 to SERVICE_MAX_SHOW. */
static inline int service_call_show(const char *text, uint32_t size) {
    return service_call(SERVICE_CALL_SHOW, arch_physical(text), size, 0, 0);
}

/* `size`: 1 to SERVICE_MAX_PROMPT. */
static inline int service_call_prompt(const char *text, uint32_t size, uint32_t cursor) {
    return service_call(SERVICE_CALL_PROMPT, arch_physical(text), size, cursor, 0);
}

static inline void service_call_prompt_close(void) {
    (void)service_call(SERVICE_CALL_PROMPT_CLOSE, 0, 0, 0, 0);
}

static inline void service_call_clear(void) {
    (void)service_call(SERVICE_CALL_CLEAR, 0, 0, 0, 0);
}

/* Sleeps until it is done: board.control_result is the result then. -EBUSY. */
static inline int service_call_control(uint32_t action, uint32_t vm) {
    return service_call(SERVICE_CALL_CONTROL, action, vm, 0, 0);
}

/* Fills in the structure of that kind, which `out` is; -EINVAL, -ENOENT. */
static inline int service_call_look(uint32_t kind, uint32_t number, void *out) {
    return service_call(SERVICE_CALL_LOOK, kind, number, arch_physical(out), 0);
}

/* ---- DMA of VM `vm`'s own function `number`; see SERVICE_CALL_DMA_* */

static inline int service_call_dma_confine(unsigned vm, unsigned number, bool on) {
    return service_call(SERVICE_CALL_DMA_CONFINE, vm, number, on, 0);
}

static inline int service_call_dma_map(unsigned vm, unsigned number, const struct service_dma *dma) {
    return service_call(SERVICE_CALL_DMA_MAP, vm, number, arch_physical(dma), 0);
}

static inline int service_call_dma_unmap(unsigned vm, unsigned number, const struct service_dma *dma) {
    return service_call(SERVICE_CALL_DMA_UNMAP, vm, number, arch_physical(dma), 0);
}

/* ---- a function of the machine's, `function` its number in board.pci[] */

/* 0, also if it is ours already; -ENOENT, -EBUSY, -EINVAL. */
static inline int service_call_pci_claim(unsigned function) {
    return service_call(SERVICE_CALL_PCI_CLAIM, function, 0, 0, 0);
}

static inline int service_call_pci_master(unsigned function, bool on) {
    return service_call(SERVICE_CALL_PCI_MASTER, function, on, 0, 0);
}

/* How many interrupts it has from now on; 0: it is to be polled. */
static inline int service_call_pci_vectors(unsigned function, unsigned wanted) {
    return service_call(SERVICE_CALL_PCI_VECTORS, function, wanted, 0, 0);
}

/* `mine`: it had a reason for its interrupt. -ENXIO: it is to be polled from now on. */
static inline int service_call_pci_unmask(unsigned function, bool mine) {
    return service_call(SERVICE_CALL_PCI_UNMASK, function, mine, 0, 0);
}

#endif
