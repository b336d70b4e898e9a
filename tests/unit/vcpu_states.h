// SPDX-License-Identifier: Apache-2.0
// States that a vCPU can be in, for unit tests of what saves, loads and checks them.
#ifndef SAGUARO_TESTS_VCPU_STATES_H
#define SAGUARO_TESTS_VCPU_STATES_H

#include <string.h>
#include "abi/x86/vcpu.h"
#include "arch/x86/registers.h"

enum {
    STATE_RESET,
    STATE_REAL,
    STATE_PROTECTED,
    STATE_PAE,
    STATE_V86,
    STATE_KERNEL,
    STATE_USER,
    STATE_COMPATIBILITY,
    STATES
};

static const char *const state_names[STATES] = {"reset",       "real mode",         "protected mode",
                                                "PAE paging",  "virtual-8086",      "64-bit kernel",
                                                "64-bit user", "compatibility mode"};

static void state_segment(struct x86_vcpu_state *state, unsigned name, uint16_t selector, uint16_t attributes,
                          uint64_t base, uint32_t limit) {
    state->system.segment[name] = (struct x86_segment){selector, attributes, limit, base};
}

/* All data segments alike. */
static void state_data(struct x86_vcpu_state *state, uint16_t selector, uint16_t attributes, uint64_t base,
                       uint32_t limit) {
    static const unsigned names[] = {X86_ES, X86_SS, X86_DS, X86_FS, X86_GS};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        state_segment(state, names[i], selector, attributes, base, limit);
}

static void state_make(struct x86_vcpu_state *state, unsigned which) {
    struct x86_system *system = &state->system;
    static const uint32_t mxcsr = 0x1f80;

    memset(state, 0, sizeof(*state));
    for (unsigned i = 0; i < X86_GPR_COUNT; i++)
        state->registers.gpr[i] = 0x0101010101010101ull * (i + 1);
    state->registers.rflags = 0x202;
    state->registers.rip = 0x1234;
    state->dr[0] = 0x1000;
    state->dr6 = 0xffff0ff0;
    state->dr7 = 0x400;
    state->xcr0 = 3;
    state->tsc = 123456789;
    state->tsc_frequency = 2000000000;
    state->xsave[512] = 3;
    memcpy(state->xsave + 24, &mxcsr, sizeof(mxcsr));
    state->msrs = (struct x86_msrs){.star = 0x23001000000000,
                                    .lstar = 0xffffffff81000000,
                                    .cstar = 0xffffffff82000000,
                                    .sfmask = 0x47700,
                                    .kernel_gs_base = 0x7fff00001000,
                                    .sysenter_cs = 0x10,
                                    .sysenter_esp = 0xffff888000001000,
                                    .sysenter_eip = 0xffffffff83000000,
                                    .pat = 0x0007040600070406,
                                    .tsc_aux = 5,
                                    .misc_enable = 1};
    system->gdtr = (struct x86_table){0xfffffe0000001000, 0x7f, 0};
    system->idtr = (struct x86_table){0xfffffe0000000000, 0xfff, 0};
    system->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP;
    system->cr2 = 0x7fff12345678;
    state_data(state, 0x18, 0xc93, 0, 0xffffffff);
    state_segment(state, X86_LDTR, 0, 0, 0, 0);
    state_segment(state, X86_TR, 0x40, 0x8b, 0xfffffe0000003000, 0x206f);

    switch (which) {
    case STATE_RESET:
        state->registers.rip = 0xfff0;
        state->registers.rflags = 2;
        system->cr0 = CR0_ET | CR0_CD | CR0_NW;
        system->gdtr = system->idtr = (struct x86_table){0, 0xffff, 0};
        state_data(state, 0, 0x93, 0, 0xffff);
        state_segment(state, X86_CS, 0xf000, 0x9b, 0xffff0000, 0xffff);
        state_segment(state, X86_LDTR, 0, 0x82, 0, 0xffff);
        state_segment(state, X86_TR, 0, 0x8b, 0, 0xffff);
        break;
    case STATE_REAL:
        system->cr0 = CR0_ET;
        state_data(state, 0x1000, 0x93, 0x10000, 0xffff);
        state_segment(state, X86_CS, 0x2000, 0x93, 0x20000, 0xffff);
        break;
    case STATE_PROTECTED:
        state_segment(state, X86_CS, 0x10, 0xc9b, 0, 0xffffffff);
        state_segment(state, X86_LDTR, 0x48, 0x82, 0x5000, 0x17);
        break;
    case STATE_PAE:
        system->cr0 |= CR0_PG;
        system->cr4 = CR4_PAE | CR4_PGE;
        system->cr3 = 0x123460;
        state_segment(state, X86_CS, 0x10, 0xc9b, 0, 0xffffffff);
        break;
    case STATE_V86:
        state->registers.rflags |= 1u << 17;
        system->cpl = 3;
        state_data(state, 0x1000, 0xf3, 0x10000, 0xffff);
        state_segment(state, X86_CS, 0x2000, 0xf3, 0x20000, 0xffff);
        break;
    default:
        state->registers.rip = 0xffffffff81012345;
        system->cr0 |= CR0_PG;
        system->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXSAVE;
        system->cr3 = 0x1234000;
        system->efer = 1 | EFER_LME | EFER_LMA | EFER_NXE;
        /* Null selectors: not present. */
        state_data(state, 0, 0, 0, 0);
        state_segment(state, X86_CS, 0x10, 0xa9b, 0, 0xffffffff);
        state_segment(state, X86_SS, 0x18, 0xc93, 0, 0xffffffff);
        state->system.segment[X86_GS].base = 0xffff88803ec00000;
        if (which == STATE_KERNEL)
            break;
        system->cpl = 3;
        state_segment(state, X86_CS, 0x33, 0xafb, 0, 0xffffffff);
        state_segment(state, X86_SS, 0x2b, 0xcf3, 0, 0xffffffff);
        state->system.segment[X86_FS].base = 0x7fffdeadb000;
        state->registers.rip = 0x7fff00001234;
        if (which == STATE_COMPATIBILITY) {
            state_segment(state, X86_CS, 0x23, 0xcfb, 0, 0xffffffff);
            state_segment(state, X86_DS, 0x2b, 0xcf3, 0, 0xffffffff);
            state->registers.rip = 0x8048000;
        }
        break;
    }
}

#endif
