// SPDX-License-Identifier: Apache-2.0
// VT-x: the controls that this CPU's capability MSRs allow, and the refusal of a CPU that lacks one.
#include "arch/x86/engine/vmx/vmx_caps.h"
#include "arch/x86/engine/vmx/vmcs.h"

#include <errno.h>
#include <stdio.h>

enum word { PIN, PRIMARY, SECONDARY, EXIT, ENTRY, WORDS };
enum use {
    NEED,  /* 1, or the CPU is refused */
    WANT,  /* 1 where it may be */
    AVOID, /* 0, or the CPU is refused: its exits would cost too much or are not handled */
};

static const struct {
    uint8_t word, use;
    uint32_t bit;
    const char *name;
} table[] = {
    {PIN, NEED, VMX_PIN_INTERRUPT, "external-interrupt exiting"},
    {PIN, NEED, VMX_PIN_NMI, "NMI exiting"},
    {PIN, NEED, VMX_PIN_VIRTUAL_NMI, "virtual NMIs"},
    {PRIMARY, NEED, VMX_PRIMARY_SECONDARY, "secondary controls"},
    {PRIMARY, NEED, VMX_PRIMARY_TSC_OFFSET, "TSC offsetting"},
    {PRIMARY, NEED, VMX_PRIMARY_HLT, "HLT exiting"},
    {PRIMARY, NEED, VMX_PRIMARY_MWAIT, "MWAIT exiting"},
    {PRIMARY, NEED, VMX_PRIMARY_MONITOR, "MONITOR exiting"},
    {PRIMARY, NEED, VMX_PRIMARY_RDPMC, "RDPMC exiting"},
    {PRIMARY, NEED, VMX_PRIMARY_CR8_LOAD, "CR8-load exiting"},
    {PRIMARY, NEED, VMX_PRIMARY_CR8_STORE, "CR8-store exiting"},
    {PRIMARY, NEED, VMX_PRIMARY_PORTS, "unconditional I/O exiting"},
    {PRIMARY, NEED, VMX_PRIMARY_MSR_BITMAP, "MSR bitmaps"},
    {PRIMARY, AVOID, VMX_PRIMARY_INVLPG, "INVLPG exiting"},
    {PRIMARY, AVOID, VMX_PRIMARY_RDTSC, "RDTSC exiting"},
    {PRIMARY, AVOID, VMX_PRIMARY_CR3_LOAD, "CR3-load exiting"},
    {PRIMARY, AVOID, VMX_PRIMARY_CR3_STORE, "CR3-store exiting"},
    {PRIMARY, AVOID, VMX_PRIMARY_MOV_DR, "MOV-DR exiting"},
    {SECONDARY, NEED, VMX_SECONDARY_EPT, "EPT"},
    {SECONDARY, NEED, VMX_SECONDARY_UNRESTRICTED, "unrestricted guest"},
    {SECONDARY, WANT, VMX_SECONDARY_RDTSCP, "RDTSCP"},
    {SECONDARY, WANT, VMX_SECONDARY_INVPCID, "INVPCID"},
    {SECONDARY, WANT, VMX_SECONDARY_VPID, "VPID"},
    {SECONDARY, WANT, VMX_SECONDARY_WBINVD, "WBINVD exiting"},
    {SECONDARY, WANT, VMX_SECONDARY_PAUSE_LOOP, "PAUSE-loop exiting"},
    {EXIT, NEED, VMX_EXIT_SAVE_DEBUG, "save debug controls"},
    {EXIT, NEED, VMX_EXIT_HOST_64, "64-bit host"},
    {EXIT, NEED, VMX_EXIT_SAVE_PAT, "save PAT"},
    {EXIT, NEED, VMX_EXIT_LOAD_PAT, "load PAT at exits"},
    {EXIT, NEED, VMX_EXIT_SAVE_EFER, "save EFER"},
    {EXIT, NEED, VMX_EXIT_LOAD_EFER, "load EFER at exits"},
    {EXIT, AVOID, VMX_EXIT_ACKNOWLEDGE, "acknowledge interrupt on exit"},
    {ENTRY, NEED, VMX_ENTRY_LOAD_DEBUG, "load debug controls"},
    {ENTRY, NEED, VMX_ENTRY_LOAD_PAT, "load PAT"},
    {ENTRY, NEED, VMX_ENTRY_LOAD_EFER, "load EFER"},
};

static int check_ept(const struct vmx_caps *caps, char *why, size_t size) {
    static const struct {
        uint64_t bits;
        const char *name;
    } needed[] = {
        {VMX_EPT_CAP_4_LEVELS, "EPT with four levels"},
        {VMX_EPT_CAP_WRITE_BACK, "EPT tables in write-back memory"},
        {VMX_EPT_CAP_INVEPT, "INVEPT"},
    };

    for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (!(caps->ept_vpid & needed[i].bits)) {
            snprintf(why, size, "this CPU's VT-x lacks \"%s\", which Saguaro needs", needed[i].name);
            return -ENOTSUP;
        }
    }
    if (!(caps->ept_vpid & (VMX_EPT_CAP_INVEPT_SINGLE | VMX_EPT_CAP_INVEPT_ALL))) {
        snprintf(why, size, "this CPU's VT-x has INVEPT without any type of it");
        return -ENOTSUP;
    }
    return 0;
}

int vmx_caps_resolve(const struct vmx_caps *caps, struct vmx_controls *controls, char *why, size_t size) {
    const uint64_t allowed[WORDS] = {caps->pin, caps->primary, caps->secondary, caps->exit, caps->entry};
    uint32_t value[WORDS];

    for (unsigned i = 0; i < WORDS; i++)
        value[i] = (uint32_t)allowed[i];
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint32_t must = (uint32_t)allowed[table[i].word], may = (uint32_t)(allowed[table[i].word] >> 32);
        if (table[i].use == AVOID) {
            if (must & table[i].bit) {
                snprintf(why, size, "this CPU's VT-x cannot switch \"%s\" off, which Saguaro needs",
                         table[i].name);
                return -ENOTSUP;
            }
        } else if (may & table[i].bit) {
            value[table[i].word] |= table[i].bit;
        } else if (table[i].use == NEED) {
            snprintf(why, size,
                     "this CPU's VT-x lacks \"%s\", which Saguaro needs; Intel's CPUs have it from 2011 on",
                     table[i].name);
            return -ENOTSUP;
        }
    }
    int error = check_ept(caps, why, size);
    if (error)
        return error;
    /* A VPID that cannot be flushed is none. */
    if (!(caps->ept_vpid & VMX_EPT_CAP_INVVPID) ||
        !(caps->ept_vpid & (VMX_EPT_CAP_INVVPID_SINGLE | VMX_EPT_CAP_INVVPID_ALL)))
        value[SECONDARY] &= ~VMX_SECONDARY_VPID;
    bool apic = (caps->primary >> 32 & VMX_PRIMARY_TPR_SHADOW) &&
                !((uint32_t)caps->primary & (VMX_PRIMARY_CR8_LOAD | VMX_PRIMARY_CR8_STORE));
    bool x2apic = apic && (caps->secondary >> 32 & VMX_X2APIC_SECONDARY) == VMX_X2APIC_SECONDARY;
    bool xapic = apic && (caps->secondary >> 32 & VMX_XAPIC_SECONDARY) == VMX_XAPIC_SECONDARY;
    bool page_log =
        (caps->secondary >> 32 & VMX_SECONDARY_PAGE_LOG) && (caps->ept_vpid & VMX_EPT_CAP_ACCESSED_DIRTY);
    *controls = (struct vmx_controls){.pin = value[PIN],
                                      .primary = value[PRIMARY],
                                      .secondary = value[SECONDARY],
                                      .exit = value[EXIT],
                                      .entry = value[ENTRY],
                                      .x2apic = x2apic,
                                      .xapic = xapic,
                                      .page_log = page_log,
                                      .tsc_scaling = (caps->secondary >> 32 & VMX_SECONDARY_TSC_SCALING) != 0,
                                      .small_code = caps->small_code};
    return 0;
}
