// SPDX-License-Identifier: Apache-2.0
// Everything that core/ asks of an architecture: the few functions that each one defines, and the inlines
// that it supplies. <arch_inline.h> comes from arch/ARCH/inline/ (unit tests on the host use
// tests/unit/host/); it defines, as static inline:
//   struct cpu *cpu_this(void);        the CPU that runs this code
//   void cpu_relax(void);              a pause in a spin loop
//   uint64_t time_now(void);           nanoseconds since the clock was started; the same on all CPUs, never
//   backwards bool interrupts_save(void) / void interrupts_restore(bool);  for the few places that run with
//   interrupts on
//   void arch_code_store(const void *at, size_t size);  what was written there is what instructions are
//   fetched from
#ifndef SAGUARO_CORE_ARCH_H
#define SAGUARO_CORE_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct vm;
struct vcpu;
struct config_guest;
struct paging;
struct memory_range;
struct pci_function;

#include <arch_inline.h>

/*
 * The hypervisor runs with interrupts off. It takes them at few places only: in arch_cpu_idle(), between a
 * guest's exit and its next entry when the exit was caused by one, and where arch_interrupts_poll() is called
 * (with no lock held). So spin locks need no interrupt saving,
 * and nothing is preempted.
 */

/* Sleeps until an interrupt, which is taken before this returns. A wake-up that is already pending ends the
 * sleep at once. */
void arch_cpu_idle(void);

/* Takes the interrupts that are pending and returns with interrupts off again. */
void arch_interrupts_poll(void);

/* Makes `cpu` leave its guest or its idle sleep soon; may be called for the caller's own CPU (no effect
 * there). */
void arch_cpu_kick(struct cpu *cpu);

/* Programs this CPU's one-shot timer; timer_interrupt() is called at or after `deadline` (time_now() units).
 * UINT64_MAX: off. */
void arch_timer_program(uint64_t deadline);

/* Maps one 4 KiB page of physical memory that core/ does not own (guest RAM, files, firmware tables) into
 * this CPU's window and returns its address. Valid until this CPU has mapped WINDOW_SLOTS other pages or runs
 * a vCPU of another VM. */
#define WINDOW_SLOTS 16
void *arch_window_map(uint64_t physical);

/* Maps the 2 MiB page at `physical` (2 MiB aligned) for scrubbing and bulk copies; valid until the next call
 * on this CPU. */
void *arch_window_map_large(uint64_t physical);

/* Adds 2 MiB of physical memory to the hypervisor's own direct map, so that heap_page() may hand it out. 0,
 * or -ENOMEM. */
int arch_heap_map(uint64_t physical);

/* Physical address of an object in the hypervisor's heap, and back. */
uint64_t arch_heap_physical(const void *virtual_address);
void *arch_heap_virtual(uint64_t physical);

/*
 * VMs and vCPUs: the architecture allocates its own structure, whose first member is the core's, fills the
 * core's hooks and frees it again. core/ has set vm->name, id, config, vcpu_count and memory before
 * arch_vm_create() is called.
 */
struct vm *arch_vm_allocate(void); /* zeroed; NULL: no memory */
void arch_vm_free(struct vm *vm);
int arch_vm_create(struct vm *vm); /* platform, bus, second-level tables; undone by arch_vm_destroy() */
void arch_vm_destroy(struct vm *vm);
int arch_vm_reset(
    struct vm *vm); /* all parts and vCPUs to power-on state, images loaded; no vCPU runs meanwhile */
struct vcpu *arch_vcpu_create(struct vm *vm, unsigned index); /* NULL: no memory */
void arch_vcpu_destroy(struct vcpu *vcpu);

/* Why arch_vcpu_run() came back. */
enum vcpu_run_result {
    VCPU_RUN_RESCHEDULE, /* still runnable: its slice is over, or the CPU has other work */
    VCPU_RUN_BLOCK,      /* waits for an event: see arch_vcpu_pending() */
    VCPU_RUN_PARK,       /* a stop or pause was requested: leaves the scheduler until vcpu_unpark() */
};

/* Runs a vCPU on this CPU until the scheduler is needed. cpu_this()->current is the vCPU. */
enum vcpu_run_result arch_vcpu_run(struct vcpu *vcpu);

/* True when a blocked vCPU has something to do (an interrupt it would take, NMI, INIT, ...). Called with the
 * scheduler locked. */
bool arch_vcpu_pending(struct vcpu *vcpu);

/* Writes a vCPU's registers, its last exits and, where it can be walked, its backtrace, to the log. The vCPU
 * is not running. */
void arch_vcpu_report(struct vcpu *vcpu);

/* Fills in the VM's exits by cause; `out` is zeroed. */
struct control_exits;
void arch_vm_exits(const struct vm *vm, struct control_exits *out);
/* Presses the power button of the guest's machine. 0; -ENOTSUP: it has none. Any CPU. */
int arch_vm_power_button(struct vm *vm);

/*
 * The log of written pages (core/dirty_log.h), which calls these while it runs.
 * arch_dirty_start(): writes by vCPUs are noted from now on, page by page. 0, -ENOTSUP or -ENOMEM.
 * arch_dirty_gather(): passes all that vCPUs have written so far on to guest_mark_dirty(). 0, -EAGAIN.
 * arch_dirty_clean(): the next write to these guest-physical ranges is noted again, from a later
 * arch_dirty_settle() on: it returns 0 once no vCPU can write unnoted, or -EAGAIN after a moment.
 */
int arch_dirty_start(struct vm *vm);
void arch_dirty_stop(struct vm *vm);
int arch_dirty_gather(struct vm *vm);
void arch_dirty_clean(struct vm *vm, const struct memory_range *ranges, unsigned count);
int arch_dirty_settle(struct vm *vm);

/*
 * The PCI bus of a VM (bus 0), for devices that do not know the machine. These may be called on any CPU, with
 * the device locked, and from a function's own ops but for add and remove.
 * arch_pci_add(): the function answers at its place from now on. 0, or -EEXIST: the place is taken.
 * arch_pci_remove(): takes it away, with its interrupt pin down; no op of it runs afterwards.
 * arch_pci_line(): drives the interrupt pin that its configuration space names at 0x3d (0: none).
 * arch_pci_memory(): the guest-physical address at which the CPUs find PCI memory address `address`;
 * UINT64_MAX: nowhere.
 * arch_pci_value(): a value of 1, 2, 4 or 8 bytes on the memory bus as a device behind PCI, which is
 * little-endian, takes it; and the other way.
 * arch_msi(): a function writes a message (PCI 3.0, 6.8). 0, or -EINVAL: no interrupt controller is there.
 */
int arch_pci_add(struct vm *vm, struct pci_function *function);
void arch_pci_remove(struct vm *vm, struct pci_function *function);
void arch_pci_line(struct vm *vm, struct pci_function *function, bool level);
uint64_t arch_pci_memory(struct vm *vm, uint32_t address);
uint64_t arch_pci_value(uint64_t value, unsigned size);
int arch_msi(struct vm *vm, uint64_t address, uint32_t data);

/*
 * Places of a VM's devices that are on no bus (SERVICE_MMIO_*, abi/service.h).
 * arch_mmio_place(): the guest-physical address of a place's registers, SERVICE_MMIO_SIZE bytes.
 * arch_mmio_line(): drives a place's interrupt line. Any CPU, also with the device locked.
 * What is there on the memory bus is little-endian, see arch_pci_value().
 */
uint64_t arch_mmio_place(unsigned place);
void arch_mmio_line(struct vm *vm, unsigned place, bool level);

/*
 * The machine's own PCI (devices/host_pci.h).
 * arch_host_pci_buses(): the `index`th range of buses that configuration space is reached for, below a
 * segment's root. 0; -ENOENT: there are no more. arch_host_pci_read(), _write(): configuration space, at an
 * `offset` below 256 that is aligned to `size`, 1, 2 or 4 bytes. All ones where nothing answers. Any CPU.
 * arch_host_pci_memory(): whether addresses are a device's alone: no RAM, nothing that the hypervisor or the
 * firmware keeps for itself.
 * arch_device_map(): maps registers for the hypervisor, uncached, for good. NULL: no room, or not possible.
 * arch_host_message(): an interrupt of its own for `handler`, for good, which a function raises by a write of
 * *data to *address; it comes to the CPU that calls. 0; -ENOSPC: all are taken; -ENOTSUP. arch_host_pin():
 * the same for interrupt pin `pin` (1..4) of a function on a root bus: it is level-triggered and masked, also
 * from when it comes until arch_host_pin_unmask(). Functions may share one; the first handler for it is kept.
 * The line's number; -ENOTSUP: it is not known where the pin leads to. A handler runs with interrupts off and
 * no lock held.
 */
struct host_pci_buses {
    uint16_t segment;
    uint8_t first, last;
    bool unplaced;            /* no firmware has given BARs their addresses */
    uint64_t free, free_size; /* bus addresses below 4 GiB for those of memory then */
    uint64_t offset;          /* the address of memory on the bus, plus this (modulo 2^64), is a CPU's */
};
int arch_host_pci_buses(unsigned index, struct host_pci_buses *buses);
uint32_t arch_host_pci_read(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size);
void arch_host_pci_write(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned offset, unsigned size,
                         uint32_t value);
bool arch_host_pci_memory(uint64_t physical, uint64_t size);
void *arch_device_map(uint64_t physical, uint64_t size);
int arch_host_message(void (*handler)(void *context), void *context, uint64_t *address, uint32_t *data);
int arch_host_pin(uint16_t segment, uint8_t bus, uint8_t devfn, unsigned pin, void (*handler)(void *context),
                  void *context);
void arch_host_pin_unmask(int line);

/*
 * For drivers of IOMMUs.
 * arch_firmware_memory(): whether the firmware keeps all of [physical, physical + size): nothing of it is
 * memory that anybody uses or may be given. arch_cache_flush(): writes the cache lines of what was written at
 * `at` to memory, for hardware that does not look into the caches of CPUs; x86 alone has it.
 */
bool arch_firmware_memory(uint64_t physical, uint64_t size);
void arch_cache_flush(const void *at, size_t size);

/* Fills in random bytes from the machine's own source, on any CPU: how many, fewer than `size` or none if the
 * source has no more now; -ENODEV: there is none, then or at any time. */
int arch_entropy(uint8_t *bytes, unsigned size);

/* A panic's own part: registers of the caller where known, stops the other CPUs, never returns. */
__attribute__((noreturn)) void arch_panic_stop(void);

__attribute__((noreturn)) void arch_reboot(void);
__attribute__((noreturn)) void arch_power_off(void);

#endif
