// SPDX-License-Identifier: Apache-2.0
// What the hypervisor and the service VM share: how the service VM starts, the board (memory that both see),
// its hypercalls, and the devices of guests that it answers for.
#ifndef SAGUARO_ABI_SERVICE_H
#define SAGUARO_ABI_SERVICE_H

#include <stdint.h>

/*
 * Start. The service VM has one contiguous piece of memory at guest-physical = host-physical address, below
 * 4 GiB, zeroed, aligned to the largest power of two that is not more than its size. Its image, an ELF file
 * of the machine's own class and byte order, has its segments' physical addresses counted from the start of
 * that memory, and so its entry.
 *   x86: 32-bit protected mode, flat segments, paging and interrupts off. EAX = SERVICE_MAGIC, EBX = address
 * of struct service_board, ECX = start of its memory, EDX = its size. PowerPC: supervisor mode, interrupts
 * off, TLB1 entry 0 maps effective SERVICE_PPC_BASE to its memory with all rights, in address space 0, in a
 * page as large as the memory's alignment. r3 = SERVICE_MAGIC, r4 and r5 = address of struct service_board
 * (high, low), r6 = start of its memory, r7 = its size. There are no interrupts and no devices but what the
 * calls below offer.
 *
 * Calls. x86: VMCALL or VMMCALL, RAX = number, RBX, RCX, RDX, RSI = arguments (the low 32 bits count), RAX =
 * result; the other registers are kept. PowerPC: sc, r11 = number, r3-r6 = arguments, r3 = result; r4-r12,
 * CTR and XER may change. A result is 0 or positive, or a negative errno. An address in a call is
 * guest-physical and lies, with what it points to, in the service VM's own memory.
 */
#define SERVICE_MAGIC     0x53677661u
#define SERVICE_VERSION   1u
#define SERVICE_PPC_BASE  0xc0000000u
#define SERVICE_CALL_BASE 0x53470000u

enum service_call {
    SERVICE_CALL_WAIT = SERVICE_CALL_BASE, /* sends what board.interrupts lists, then sleeps until
                                              board.events is not 0, or until board.wake_at */
    SERVICE_CALL_READY,                    /* all is set up: guests may start. Arguments: none */
    SERVICE_CALL_LOG,       /* level (0 error .. 3 debug), address, length (up to SERVICE_MAX_TEXT): a line */
    SERVICE_CALL_CRASH,     /* address, length of the reason: ends this run of the service VM */
    SERVICE_CALL_DEVICE,    /* address of struct service_device: makes a device; its number, -EINVAL, -EEXIST
                               (place taken), -ENOSPC, -ENOENT (no such VM, or none that it serves) */
    SERVICE_CALL_CONFIG,    /* device, offset, size (1, 2 or 4), value: changes its configuration space */
    SERVICE_CALL_INTERRUPT, /* device, vector: an MSI-X message, if enabled; else it stays pending. -ENXIO:
                               MSI-X is off, whatever the vector; -EINVAL: there is no such vector */
    SERVICE_CALL_LINE,      /* device, level (0 or 1) of its INTx */
    SERVICE_CALL_ANSWER,    /* slot, request[slot].sequence: it is done, the answer is in request[slot].value.
                               -ESTALE: that request is no more */
    SERVICE_CALL_DIRTY,     /* VM, first page of its window, number of pages: they were written */
    SERVICE_CALL_NOTE,      /* VM, address, length: a warning about a device of that guest */
    SERVICE_CALL_ENTROPY,   /* address, length (1 to SERVICE_MAX_ENTROPY): fills in random bytes; how many, 0:
                               there are none now. -ENODEV: this machine has no source of them */
    SERVICE_CALL_PCI_CLAIM, /* function, its number in board.pci[]: it is the service VM's from now on, until
                               that starts anew. Memory space on, mastering off, no interrupts; its BARs are
                               mapped at their own addresses but for the pages of an MSI-X table. 0 (also if
                               it was the service VM's already); -ENOENT; -EBUSY: it is somebody else's;
                               -EINVAL: its BARs cannot be mapped, a line in the log says why */
    SERVICE_CALL_PCI_MASTER,  /* function, 0 or 1: whether it may do DMA. -ENOENT: it was not claimed */
    SERVICE_CALL_PCI_VECTORS, /* function, wanted (1 to SERVICE_PCI_VECTORS): how many interrupts it has from
                                 now on, numbered from 0. 0: none come, it is to be polled. -ENOENT */
    SERVICE_CALL_PCI_UNMASK, /* function, 0 or 1: its line interrupt, masked since it came, may come again; 1:
                                the function had a reason for one since the last such call. Does nothing where
                                it has messages. -ENXIO: no interrupts come of it any more, since its line was
                                held for no reason, it is to be polled. -ENOENT */

    /* Virtio consoles. -ENOENT: the VM has none. */
    /* VM, 0 or 1: whether its driver takes what the user types; 0 from each of its resets on. */
    SERVICE_CALL_CONSOLE_OPEN,
    /* VM, address, length (1 to SERVICE_MAX_CONSOLE): what it prints; how many bytes were taken. If not all:
     * SERVICE_EVENT_CONSOLE comes once there is room. */
    SERVICE_CALL_CONSOLE_WRITE,
    /* VM, address, room (0 to SERVICE_MAX_CONSOLE), from: fills in what was typed, from byte number `from`
     * on, counted modulo 2^32 since the console was opened; how many bytes. Those before are forgotten, the
     * others stay. If there is no more: SERVICE_EVENT_CONSOLE comes when there is. -ERANGE: what comes next
     * has a lower number, or is forgotten. */
    SERVICE_CALL_CONSOLE_READ,
    /* device, clear, set: of its interrupt status, see SERVICE_REGION_STATUS, first these bits are cleared,
     * then those set. -ENODEV: it has none */
    SERVICE_CALL_STATUS,

    /* The operator's console. */
    /* None: the next key, 0 to 255, that is not for the guest that has the console. -EAGAIN: there is none.
     */
    SERVICE_CALL_KEY,
    /* Address, length (1 to SERVICE_MAX_SHOW): text in one piece; lines end with '\n'. */
    SERVICE_CALL_SHOW,
    /* Address, length (1 to SERVICE_MAX_PROMPT), cursor (0 to length): the line that is edited, below all
     * other output, until it is changed or closed. It is not on the screen while a guest has the console. */
    SERVICE_CALL_PROMPT,
    /* None: the line stays where it is, and there is no such line any more. */
    SERVICE_CALL_PROMPT_CLOSE,
    /* None: clears the screen, but for the line that is edited. */
    SERVICE_CALL_CLEAR,
    /* Action, VM (abi/control.h). Sleeps until it is done; board.control_result is its result then. -EBUSY,
     * of the call: another one is under way. */
    SERVICE_CALL_CONTROL,
    /* Kind, number, address of the kind's structure (abi/control.h): fills it in. -EINVAL: no such kind;
     * -ENOENT: no such number, or not any more. */
    SERVICE_CALL_LOOK,

    /* DMA of the machine's functions that a guest has to itself, where it has an IOMMU of its own. VM, number
     * of the function among the guest's; -ENOENT: there is none, or no such IOMMU. */
    /* ... 0 or 1: 0, as at each start of the guest: it reaches all of the guest's RAM, at the guest's
     * addresses. 1: what was mapped by the calls below, and nothing else. -ESTALE: the guest is not running;
     * -EBUSY: it cannot be kept apart from another function of the guest's, nothing was changed; -EIO: it
     * reaches nothing until the guest starts anew. */
    SERVICE_CALL_DMA_CONFINE,
    /* ... address of struct service_dma. 0; -EINVAL: its values are not as they have to be; -EFAULT: not all
     * of it is the guest's RAM; -ENOMEM. Nothing of it is mapped then. */
    SERVICE_CALL_DMA_MAP,
    /* ... address of struct service_dma: no DMA goes there any more when it returns. 0, -EINVAL, -ENOMEM. */
    SERVICE_CALL_DMA_UNMAP,
    SERVICE_CALL_END,
};
#define SERVICE_MAX_TEXT       200u
#define SERVICE_MAX_ENTROPY    256u
#define SERVICE_MAX_CONSOLE    256u
#define SERVICE_MAX_SHOW       4096u
#define SERVICE_MAX_PROMPT     160u

/* board.events; set by the hypervisor, taken (exchanged for 0) by the service VM before it looks. */
#define SERVICE_EVENT_DOORBELL 0x1u /* doorbell_devices has bits */
#define SERVICE_EVENT_REQUEST  0x2u /* request_slots has bits */
#define SERVICE_EVENT_VM       0x4u /* vms_changed has bits */
#define SERVICE_EVENT_PCI      0x8u /* pci_interrupts has bits */
/* consoles has bits */
#define SERVICE_EVENT_CONSOLE  0x10u
/* there are keys for SERVICE_CALL_KEY */
#define SERVICE_EVENT_KEY      0x20u
/* refused has bits */
#define SERVICE_EVENT_REFUSED  0x40u

#define SERVICE_MAX_VMS        32u
#define SERVICE_MAX_VCPUS      16u
#define SERVICE_MAX_DEVICES    256u
#define SERVICE_MAX_REGIONS    16u /* of RAM in a guest's map */
#define SERVICE_MAX_FILES      64u
#define SERVICE_SLOTS          (SERVICE_MAX_VMS * SERVICE_MAX_VCPUS) /* slot = VM * SERVICE_MAX_VCPUS + vCPU */
#define SERVICE_RECORD_SIZE    4096u
#define SERVICE_NAME_SIZE      36u
#define SERVICE_MAX_PCI        64u /* functions of the machine */
#define SERVICE_PCI_VECTORS    32u /* of one function */
#define SERVICE_MAX_INTERRUPTS 16u /* that one SERVICE_CALL_WAIT sends */

/* A piece of a guest's RAM: window offset = guest-physical address - base + offset. */
struct service_ram {
    uint64_t base;   /* guest-physical */
    uint64_t size;   /* bytes */
    uint64_t offset; /* in its window */
};

/* Where DMA of a guest's function may go. All in whole pages of 4 KiB. */
struct service_dma {
    uint64_t address; /* the function's */
    uint64_t size;    /* bytes, up to SERVICE_MAX_DMA */
    uint64_t gpa;     /* MAP: where it leads: RAM, or, read-only, ROM */
    uint32_t writable;
    uint32_t unused;
};
#define SERVICE_MAX_DMA 0x800000u

enum service_vm_state { SERVICE_VM_OFF, SERVICE_VM_RUNNING, SERVICE_VM_PAUSED };

/* A VM. Changed by the hypervisor alone; `sequence` is odd meanwhile, and other afterwards. */
struct service_vm {
    char name[SERVICE_NAME_SIZE]; /* as in the config; "" if there is none of this number */
    uint32_t sequence;
    uint32_t state;  /* enum service_vm_state */
    uint32_t resets; /* counts starts: what was kept for a device of it is void when this changes */
    uint32_t vcpus;
    uint32_t served; /* 1: the service VM has a window onto its RAM */
    uint32_t ram_count;
    uint32_t logged;      /* 1: what is written to its RAM is to be told (SERVICE_CALL_DIRTY). Not under
                             `sequence`: read it behind a full barrier after the writes */
    uint32_t dma_bits;    /* of addresses that SERVICE_CALL_DMA_MAP takes for it; 0: it takes none */
    uint64_t window;      /* where its RAM lies in the service VM's guest-physical space */
    uint64_t window_size; /* bytes: all of its RAM, without holes; a multiple of 2 MiB */
    struct service_ram ram[SERVICE_MAX_REGIONS];
};

/* What a disk of the config holds: a file that the loader put into memory, by its name, or ":NAME", memory
 * for the disk NAME, which was zero when the machine started; or SERVICE_OVERLAYS, the same for what guests
 * write over disks; or SERVICE_IOMMUS, the same for what guests tell their IOMMUs. Mapped at guest-physical
 * `address`. */
#define SERVICE_OVERLAYS   "::overlays" /* no file and no disk can be called so */
#define SERVICE_IOMMUS     "::iommus"
#define SERVICE_IOMMU_SIZE (65u * 4096u) /* bytes for each guest that has one, in the order of the config */
struct service_file {
    char name[204];
    uint64_t address; /* 4 KiB aligned */
    uint64_t size;    /* bytes */
    uint64_t dma;     /* the address for a device; UINT64_MAX: it does not lie in one piece */
};

/* A guest's access to a SERVICE_REGION_REQUEST; its vCPU sleeps until SERVICE_CALL_ANSWER. */
struct service_request {
    uint64_t value;  /* little-endian in a register's sense: written by the guest, or the answer */
    uint32_t offset; /* in the BAR */
    uint16_t device;
    uint8_t bar;
    uint8_t size;  /* 1, 2, 4 or 8 */
    uint8_t write; /* 1: a write */
    uint8_t state; /* enum service_request_state */
    uint8_t unused[2];
    uint32_t sequence; /* another one for each request of the slot */
};
enum service_request_state { SERVICE_REQUEST_NONE, SERVICE_REQUEST_OPEN, SERVICE_REQUEST_ANSWERED };

/* A function of the machine's that the service VM may claim: network and mass storage, what no guest has been
 * given. Found once, when the machine starts, by the hypervisor, which alone touches configuration space. */
struct service_pci {
    struct {
        uint64_t address; /* guest-physical, once claimed: host-physical, for a CPU */
        uint64_t
            size; /* bytes; 0: there is no such memory BAR. A BAR of 64 bits is in the first of its two */
    } bar[6];
    uint16_t segment;
    uint8_t bus;
    uint8_t devfn;       /* slot << 3 | function */
    uint8_t config[256]; /* as it was found, for IDs, class and capabilities */
};

/* Memory that both see, zeroed at the machine's start and kept when the service VM is started again. */
struct service_board {
    uint32_t magic;   /* SERVICE_MAGIC */
    uint32_t version; /* SERVICE_VERSION */
    uint32_t size;    /* bytes, with the records */
    uint32_t starts;  /* how often the service VM was started; 1: nothing is there from before */
    /* Nanoseconds of the machine's clock = ((counter - clock_base) * clock_multiplier) >> 32, counter = TSC
     * or time base as the service VM reads it. */
    uint64_t clock_base;
    uint64_t clock_multiplier;
    uint64_t
        wake_at;     /* written by the service VM: end of SERVICE_CALL_WAIT in that clock; UINT64_MAX: none */
    uint64_t config; /* guest-physical address of the config, a flattened tree that was checked; read-only */
    uint32_t config_size;
    uint32_t vm_count;
    uint32_t file_count;
    uint32_t record_offset; /* of the records in the board: device n's is SERVICE_RECORD_SIZE * n further */
    uint32_t events;        /* SERVICE_EVENT_*; atomic */
    uint32_t vms_changed;   /* bit n: VM n; atomic */
    uint32_t doorbell_devices[SERVICE_MAX_DEVICES / 32];
    uint32_t request_slots[SERVICE_SLOTS / 32];
    uint32_t doorbell[SERVICE_MAX_DEVICES]; /* bit n: the n-th doorbell of that device; atomic */
    uint32_t vm_settled[SERVICE_MAX_VMS]; /* written by the service VM: vm[n].resets once its devices have let
                                             go of that VM's memory from before */
    uint32_t device_token[SERVICE_MAX_DEVICES]; /* struct service_device's, 0: there is none */
    uint32_t pci_count;
    uint32_t pci_interrupts[SERVICE_MAX_PCI / 32]; /* bit n: function n; atomic */
    uint32_t pci_vectors[SERVICE_MAX_PCI]; /* bit n: that function's vector n (0: its line) has come; atomic.
                                              Taken after pci_interrupts */
    uint32_t consoles;      /* bit n: for VM n's virtio console there is input, or room again; atomic */
    int32_t control_result; /* of the last SERVICE_CALL_CONTROL */
    uint64_t shell[1024];   /* the service VM's own, to keep when it is started again */
    /* For SERVICE_CALL_WAIT: device << 16 | vector, each as SERVICE_CALL_INTERRUPT would send it. The service
     * VM writes them; the call sets their number to 0. */
    uint32_t interrupt_count;
    uint32_t interrupts[SERVICE_MAX_INTERRUPTS];
    uint32_t
        refused[SERVICE_MAX_DEVICES / 32]; /* bit n: device n's MSI-X was off, one was not sent; atomic */
    struct service_pci pci[SERVICE_MAX_PCI];
    struct service_vm vm[SERVICE_MAX_VMS];
    struct service_request request[SERVICE_SLOTS];
    struct service_file file[SERVICE_MAX_FILES];
};

enum service_region_kind {
    SERVICE_REGION_NONE,     /* the end of the list */
    SERVICE_REGION_REQUEST,  /* accesses become requests */
    SERVICE_REGION_DOORBELL, /* a write of any size at offset + n * stride sets bit n; reads are 0 */
    SERVICE_REGION_MSIX,     /* the MSI-X table, at its start; kept by the hypervisor */
    SERVICE_REGION_PBA,      /* the MSI-X pending bits, at its start */
    SERVICE_REGION_SELECT, /* 4 bytes, doorbells: a write of 4 bytes, of a value n below `stride`, sets bit n,
                              and one of another value nothing; reads are 0 */
    SERVICE_REGION_STATUS, /* 8 bytes, of which 4 are accessed at once: the first 4 read as the interrupt
                              status, kept by the hypervisor; a write to those behind clears the bits that
                              it has set. The interrupt line is up while a bit of the status is set */
};
#define SERVICE_DEVICE_REGIONS 8u
#define SERVICE_MAX_VECTORS    64u
#define SERVICE_MAX_BAR        0x100000u /* bytes */

struct service_region {
    uint32_t offset; /* in the BAR, a multiple of 4 */
    uint32_t size;   /* bytes, a multiple of 4 */
    uint16_t stride; /* DOORBELL: a power of two from 2 on; SELECT: how many there are, 1 to 32 */
    uint8_t bar;
    uint8_t kind; /* enum service_region_kind */
};

enum service_bus { SERVICE_BUS_PCI, SERVICE_BUS_MMIO };

/* Places of devices on SERVICE_BUS_MMIO: each has a page of registers and an interrupt line, which the guest
 * learns from its ACPI tables or device tree if its config says that the device is there. */
#define SERVICE_MMIO_NET     0u /* net0; those behind it follow */
#define SERVICE_MMIO_DISK    8u /* disk0 */
#define SERVICE_MMIO_ENTROPY 16u
#define SERVICE_MMIO_CONSOLE 17u
#define SERVICE_MMIO_BALLOON 18u
#define SERVICE_MMIO_PLACES  19u
#define SERVICE_MMIO_SIZE    4096u /* bytes of registers, in BAR 0 */

/*
 * A device of a guest's that the service VM answers for. On SERVICE_BUS_PCI: a function, with regions of the
 * kinds up to PBA. On SERVICE_BUS_MMIO: no BAR but 0, no vectors, no configuration space (`devfn`, `msix`,
 * `config` and `writable` are not looked at), regions of the kinds REQUEST, SELECT and STATUS, at most one
 * each of these two.
 */
struct service_device {
    uint32_t token; /* the service VM's own name for it, not 0; no two devices have the same */
    uint16_t vm;
    uint8_t devfn; /* slot << 3 | function on bus 0 */
    uint8_t msix;  /* offset of the MSI-X capability in `config`, 0: none */
    uint16_t vectors;
    uint8_t bus;          /* enum service_bus */
    uint8_t place;        /* MMIO: SERVICE_MMIO_*; PCI: 0 */
    uint32_t bar_size[6]; /* 0: none; else a power of two from 4096 to SERVICE_MAX_BAR; memory, 32 bits */
    struct service_region region[SERVICE_DEVICE_REGIONS];
    uint8_t config[256];   /* at power-on; BARs and the command register are the hypervisor's */
    uint8_t writable[256]; /* bits that the guest may change */
};

#endif
