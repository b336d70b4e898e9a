// SPDX-License-Identifier: Apache-2.0
// x86 instruction emulator: decodes and executes one guest instruction over callbacks for memory, devices and
// ports. Freestanding and host-built alike; it keeps no state outside struct emulate.
#ifndef SAGUARO_ARCH_X86_EMULATE_EMULATE_H
#define SAGUARO_ARCH_X86_EMULATE_EMULATE_H

#include "abi/x86/vcpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMULATE_INSTRUCTION_MAX 15u   /* longest legal instruction in bytes */
#define EMULATE_REP_LIMIT       1024u /* iterations of a REP instruction per call of emulate_one() */
#define EMULATE_DEVICE_LIMIT    4u    /* accesses to devices among them: one may take some 10 us */

enum emulate_result {
    EMULATE_OK,    /* done: registers advanced */
    EMULATE_FAULT, /* inject .fault; RIP still at the instruction, registers as before it (or as after the REP
                      iterations done) */
    EMULATE_RETRY, /* run the same instruction again: an answer is outstanding, or a long REP paused so that
                      interrupts can come in */
    EMULATE_UNHANDLED, /* not decodable or not executed here; .bytes and .instruction hold what was found,
                          nothing was changed */
};

struct emulate_fault {
    uint8_t vector;
    bool has_error; /* false also for every fault in real mode */
    uint32_t error;
    uint64_t cr2; /* vector 14 only: the caller puts it into the guest's CR2 */
};

/*
 * What the emulator asks of its user. `context` is struct emulate's. Guest-physical ranges never cross a 4-KB
 * page. Callbacks marked (device) may return -EAGAIN, "the answer comes later": emulate_one() then gives
 * EMULATE_RETRY, and the instruction, run again, asks the same question again. Device accesses of the same
 * instruction that were answered before it are remembered in .replay and not repeated. Any other negative
 * value from a device callback ends in EMULATE_UNHANDLED.
 */
struct emulate_ops {
    /* RAM (or ROM when reading): page tables, code, data. 0, or -EFAULT when this is no RAM (then the device
     * callbacks are asked). */
    int (*read_guest)(void *context, uint64_t gpa, void *buffer, unsigned size);
    int (*write_guest)(void *context, uint64_t gpa, const void *buffer, unsigned size);
    /*
     * Atomic compare and exchange of `size` (1, 2, 4, 8 or 16) bytes of RAM. 0: swapped; 1: it held something
     * else, which is now in `expected`; -EFAULT: no writable RAM.
     */
    int (*cmpxchg_guest)(void *context, uint64_t gpa, unsigned size, void *expected, const void *desired);
    /* (device) size is 1, 2, 4 or 8; larger operands come in pieces of 8, and pieces at page ends in falling
     * powers of two. */
    int (*mmio_read)(void *context, uint64_t gpa, unsigned size, uint64_t *value);
    int (*mmio_write)(void *context, uint64_t gpa, unsigned size, uint64_t value);
    /* (device) size is 1, 2 or 4. IOPL and the TSS bitmap were checked. May be NULL: port instructions are
     * then unhandled. */
    int (*io_read)(void *context, uint16_t port, unsigned size, uint32_t *value);
    int (*io_write)(void *context, uint16_t port, unsigned size, uint32_t value);
    /*
     * Host address of the first byte of a 4-KB page of RAM or ROM, for reading; NULL: none there, or not now.
     * It holds while struct emulate's .epoch stays as it is. May be NULL: code is then found by walking the
     * tables for each instruction.
     */
    const void *(*page)(void *context, uint64_t gpa);
    /*
     * Vector registers; size is 16 (XMM; a write keeps the upper bits) or 32 (YMM; a write clears what lies
     * above). May be NULL: SSE and AVX moves are then unhandled.
     */
    void (*vector_read)(void *context, unsigned number, void *value, unsigned size);
    void (*vector_write)(void *context, unsigned number, const void *value, unsigned size);
};

enum emulate_mode {
    EMULATE_REAL,
    EMULATE_V86,
    EMULATE_PROTECTED,
    EMULATE_LONG
}; /* LONG: a 64-bit code segment; compatibility mode is PROTECTED */

/* emulate_instruction.opcode: the map (0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A) and the last opcode byte. */
#define EMULATE_OPCODE(map, byte) ((uint16_t)((map) << 8 | (byte)))
#define EMULATE_NO_SEGMENT        0xffu

/* A decoded instruction. Register numbers include REX, VEX or EVEX extension bits. */
struct emulate_instruction {
    uint64_t
        immediate; /* sign-extended to 64 bits; far pointers: offset, with the selector in second_immediate */
    uint64_t displacement;     /* sign-extended; also the address of MOV A0-A3 */
    uint16_t opcode;           /* EMULATE_OPCODE() */
    uint16_t second_immediate; /* far pointer's selector, ENTER's level */
    uint8_t length;            /* whole instruction, 1-15 */
    uint8_t operand_size;      /* 1, 2, 4 or 8 */
    uint8_t address_size;      /* 2, 4 or 8 */
    uint8_t modrm;             /* raw byte; valid if has_modrm */
    uint8_t reg;               /* ModRM.reg with REX.R */
    uint8_t rm;                /* ModRM.rm with REX.B (register form) */
    uint8_t base;              /* memory form: register, or EMULATE_NO_REGISTER */
    uint8_t index;             /* likewise */
    uint8_t scale;             /* shift, 0-3 */
    uint8_t segment;           /* enum x86_segment_name of the memory operand, override considered */
    uint8_t override;          /* effective segment override, or EMULATE_NO_SEGMENT */
    uint8_t rex;               /* 0 if none */
    uint8_t repeat;            /* 0xf2, 0xf3 or 0: the last of them */
    uint8_t vector_length;     /* VEX, EVEX: 0 = 128, 1 = 256, 2 = 512 bits */
    uint8_t vvvv;              /* VEX, EVEX: second source register */
    bool lock;
    bool operand_override; /* a 66 prefix (or VEX.pp = 1) was there */
    bool vex;              /* a VEX, EVEX or XOP prefix was there: never a form of the legacy maps */
    bool evex;
    bool has_modrm;
    bool memory; /* ModRM names memory */
    bool rip_relative;
    uint8_t handler;     /* internal: which function executes it; 0: none */
    uint16_t attributes; /* internal */
};
#define EMULATE_NO_REGISTER 0xffu

/* Device accesses of the present instruction that were answered already (see struct emulate_ops). */
#define EMULATE_REPLAY_MAX  16u
struct emulate_replay {
    uint64_t rip;
    unsigned count; /* entries that are kept */
    unsigned next;  /* next one to hand out in this run */
    struct {
        uint64_t address; /* GPA, or port with bit 63 set */
        uint64_t value;
        uint8_t size;
        bool write;
    } entry[EMULATE_REPLAY_MAX];
};

/*
 * The page that code was fetched from last, with the table entries that led there and where they lie. While
 * the control registers and every one of the entries are what they were, a walk would end as it did then.
 */
#define EMULATE_LEVELS 5u
struct emulate_code {
    uint64_t linear; /* page; all ones: nothing is known */
    uint64_t cr0, cr3, cr4, efer;
    uint32_t cpl;
    uint32_t count; /* entries; 0 without paging */
    uint64_t epoch; /* of the host addresses; 0: none are known */
    uint64_t gpa;   /* of the page */
    const uint8_t *bytes;
    uint64_t entry_gpa[EMULATE_LEVELS];
    uint64_t entry[EMULATE_LEVELS];
    const uint64_t *entry_at[EMULATE_LEVELS];
};

/* An instruction that was decoded before. Decoding depends on the bytes and on the mode alone. */
#define EMULATE_DECODED 16u /* power of two */
struct emulate_decoded {
    uint64_t bytes[2]; /* the top byte of the second is the mode: enum emulate_mode and code size; 0: empty */
    uint64_t mask[2];  /* which of them count */
    struct emulate_instruction instruction;
};

/*
 * One vCPU's emulator. Set up once with emulate_init() and keep it as long as the vCPU (RETRY relies on
 * .replay); only the inputs marked "per call" change from call to call. Nothing is cleared wholesale: a call
 * touches what it needs.
 */
struct emulate {
    /* set by emulate_init() */
    struct x86_registers *registers;
    struct x86_system
        *system; /* read; segment[] and cpl are written only by instructions that load a segment register */
    const struct emulate_ops *ops;
    void *context;
    uint64_t physical_mask; /* (1 << MAXPHYADDR) - 1 */
    uint64_t xcr0;          /* AVX moves fault unless its bits 1-2 and CR4.OSXSAVE are set; keep it current */

    /* per call, inputs */
    uint8_t bytes[EMULATE_INSTRUCTION_MAX + 1]; /* instruction bytes */
    uint8_t bytes_count; /* how many the caller supplies (decode assist); 0: fetched. emulate_one() and
                            _decode() consume it (0 after) */
    bool gpa_valid;      /* .gpa below is valid; consumed (false after) */
    bool gpa_write;      /* that access was a write */
    /*
     * The guest-physical address that the CPU reported when a data access of this very instruction trapped
     * (SVM: EXITINFO2, with EXITINFO1's bit 32 set and its bits 4 and 33 clear). It saves plain loads and
     * stores their walk.
     */
    uint64_t gpa;
    /* Another one (never 0) once an address that ops->page() gave before this call may hold no longer. */
    uint64_t epoch;

    /* outputs */
    struct emulate_fault fault; /* with EMULATE_FAULT */
    bool debug_trap;            /* with EMULATE_OK: RFLAGS.TF was set, so a #DB trap (DR6.BS) follows */
    bool interrupt_shadow; /* with EMULATE_OK: interrupts are held off for one more instruction (MOV SS); if
                              false, the caller ends any shadow that was there */
    uint8_t fetched;       /* valid bytes in .bytes */
    struct emulate_instruction instruction;

    struct emulate_replay replay;

    /* internal */
    enum emulate_mode mode;
    uint8_t code_size; /* 2, 4 or 8: default of the code segment */
    struct emulate_code code;
    struct emulate_decoded decoded[EMULATE_DECODED];
};

/* Binds an emulator to a vCPU. physical_bits is the guest's MAXPHYADDR, 32-52. */
void emulate_init(struct emulate *emulate, struct x86_registers *registers, struct x86_system *system,
                  const struct emulate_ops *ops, void *context, unsigned physical_bits);

/* Fetches, decodes and executes the instruction at CS:RIP. */
enum emulate_result emulate_one(struct emulate *emulate);

/*
 * The short way for what nearly every access to a device's registers is: one plain move in 64-bit mode, at
 * .gpa, which is no RAM (for a write: no writable RAM). Needs .gpa_valid and the caller's word for the rest.
 * Of the system state it looks at the control registers, EFER, CS and the CPL alone. false: it is something
 * else; nothing was done, and emulate_one() with the same inputs is next. true: *result is emulate_one()'s.
 */
bool emulate_device(struct emulate *emulate, enum emulate_result *result);

/*
 * Fetches and decodes only. EMULATE_OK: emulate->instruction is complete (which does not mean that
 * emulate_one() would execute it). EMULATE_FAULT: the fetch faulted, the instruction is longer than 15 bytes
 * (#GP), or its prefixes are illegal (#UD). EMULATE_UNHANDLED: opcode not known here; its length is not
 * known.
 */
enum emulate_result emulate_decode(struct emulate *emulate);

/* Moves RIP past a decoded instruction (or any of `length` bytes) and ends RFLAGS.RF; notes .debug_trap. */
void emulate_skip(struct emulate *emulate, unsigned length);

/* Forgets answers kept for a RETRY: call it when the instruction is given up (reset, state loaded). */
void emulate_cancel(struct emulate *emulate);

/*
 * Length of an instruction out of the few that trap often: CPUID, RDMSR, WRMSR, RDTSC, RDTSCP, RDPMC, HLT,
 * IN, OUT, INS, OUTS, VMMCALL, VMCALL, VMRUN..INVLPGA, PAUSE, INVD, WBINVD, CLTS, XSETBV, MONITOR, MWAIT,
 * RSM, IRET, PUSHF, POPF, INTn, ICEBP, MOV to and from CR and DR. Legal prefixes count. 0: none of these, or
 * not enough bytes: decode it. `long_mode`: in a 64-bit code segment.
 */
unsigned emulate_fast_length(const uint8_t *bytes, unsigned available, bool long_mode);

/*
 * Reads up to `size` instruction bytes at CS:RIP into `buffer`; stops early at a page whose translation fails
 * or that is no RAM. Returns how many (0: not even the first; no fault is raised). For emulate_fast_length()
 * and reports.
 */
unsigned emulate_peek(struct emulate *emulate, uint8_t *buffer, unsigned size);

/* Kinds of access for emulate_walk(). */
#define EMULATE_WRITE    1u
#define EMULATE_EXECUTE  2u
#define EMULATE_IMPLICIT 4u /* supervisor access whatever the CPL (descriptor tables, TSS) */
#define EMULATE_PEEK     8u /* leave accessed and dirty bits alone */

/*
 * Translates a linear address by the guest's page tables (2-level with PSE-36, PAE, 4-level, 5-level) for one
 * access at the current CPL; sets accessed and dirty bits. EMULATE_OK: *gpa. EMULATE_FAULT: .fault is the
 * #PF. EMULATE_UNHANDLED: a table lies outside RAM. EMULATE_RETRY: other CPUs kept changing the tables.
 */
enum emulate_result emulate_walk(struct emulate *emulate, uint64_t linear, unsigned access, uint64_t *gpa);

#endif
