// SPDX-License-Identifier: Apache-2.0
// VT-x: the checks of VM entry in software (Intel SDM vol. 3, 26.3.1). The CPU says only that one has failed;
// these say which.
#include "arch/x86/engine/vmx/vmx_check.h"
#include "abi/x86/vcpu.h"
#include "arch/x86/engine/vmx/vmx.h"
#include "arch/x86/registers.h"

#include <vmx_inline.h>

#define RFLAGS_VM         (1ull << 17)
#define RFLAGS_RESERVED   0xffffffffffc08028ull
#define DEBUGCTL_RESERVED 0xffffffffffff003cull
#define TYPE(rights)      ((rights)&15)
#define DPL(rights)       ((rights) >> 5 & 3)
#define USABLE(rights)    (!((rights)&VMX_RIGHTS_UNUSABLE))

const char *vmx_instruction_error(uint32_t error) {
    static const char *const texts[] = {
        [1] = "VMCALL outside the guest",
        [2] = "VMCLEAR of a bad address",
        [3] = "VMCLEAR of the VMXON region",
        [4] = "VMLAUNCH of a VMCS that is not clear",
        [5] = "VMRESUME of a VMCS that was not launched",
        [6] = "VMRESUME after VMXOFF",
        [7] = "the VMCS has bad controls",
        [8] = "the VMCS has a bad host state",
        [9] = "VMPTRLD of a bad address",
        [10] = "VMPTRLD of the VMXON region",
        [11] = "VMPTRLD of a VMCS of another revision",
        [12] = "a VMCS field that does not exist",
        [13] = "a write to a read-only VMCS field",
        [15] = "VMXON in VMX operation",
        [16] = "a bad executive VMCS",
        [17] = "an executive VMCS that was not launched",
        [18] = "an executive VMCS that is not the VMXON region",
        [19] = "VMCALL with a VMCS that is not clear",
        [20] = "VMCALL with bad exit controls",
        [22] = "VMCALL with another revision",
        [23] = "VMXOFF in dual-monitor treatment",
        [24] = "VMCALL with bad SMM features",
        [25] = "bad execution controls in the executive VMCS",
        [26] = "an event is blocked by MOV SS",
        [28] = "a bad operand of INVEPT or INVVPID",
    };
    return error < array_count(texts) && texts[error] ? texts[error] : "an unknown reason";
}

static bool canonical(uint64_t address) {
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static bool type_valid(uint8_t type) {
    return type == 0 || type == 1 || (type >= 4 && type <= 7);
}

static const char *check_control(void) {
    uint64_t cr0 = vmcs_read(VMCS_GUEST_CR0), cr4 = vmcs_read(VMCS_GUEST_CR4);
    uint64_t efer = vmcs_read(VMCS_GUEST_EFER), pat = vmcs_read(VMCS_GUEST_PAT);
    bool long_mode = (vmcs_read(VMCS_ENTRY) & VMX_ENTRY_GUEST_64) != 0;

    if ((vmx_caps.cr0_fixed0 & ~(CR0_PE | CR0_PG) & ~cr0) || (cr0 & ~vmx_caps.cr0_fixed1))
        return "CR0 has bits that VMX operation does not allow";
    if ((cr0 & CR0_PG) && !(cr0 & CR0_PE))
        return "CR0.PG without CR0.PE";
    if ((vmx_caps.cr4_fixed0 & ~cr4) || (cr4 & ~vmx_caps.cr4_fixed1))
        return "CR4 has bits that VMX operation does not allow";
    if (long_mode && (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE)))
        return "long mode without CR0.PG or CR4.PAE";
    if (!long_mode && (cr4 & CR4_PCIDE))
        return "CR4.PCIDE outside long mode";
    if (vmcs_read(VMCS_GUEST_CR3) >> 52)
        return "CR3 beyond the physical addresses";
    if (vmcs_read(VMCS_GUEST_DEBUGCTL) & DEBUGCTL_RESERVED)
        return "reserved bits in IA32_DEBUGCTL";
    if (vmcs_read(VMCS_GUEST_DR7) >> 32)
        return "reserved bits in DR7";
    if (!canonical(vmcs_read(VMCS_GUEST_SYSENTER_ESP)) || !canonical(vmcs_read(VMCS_GUEST_SYSENTER_EIP)))
        return "a SYSENTER address that is not canonical";
    for (unsigned i = 0; i < 8; i++)
        if (!type_valid((uint8_t)(pat >> 8 * i)))
            return "a reserved memory type in IA32_PAT";
    if (efer & ~(1ull | EFER_LME | EFER_LMA | EFER_NXE))
        return "reserved bits in IA32_EFER";
    if (((efer & EFER_LMA) != 0) != long_mode)
        return "IA32_EFER.LMA is not what the entry control says";
    if ((cr0 & CR0_PG) && ((efer & EFER_LMA) != 0) != ((efer & EFER_LME) != 0))
        return "IA32_EFER.LMA is not IA32_EFER.LME with paging on";
    return NULL;
}

static const char *check_limit(uint32_t limit, uint32_t rights, const char *low, const char *high) {
    bool large = (rights >> 15 & 1) != 0;

    if ((limit & 0xfff) != 0xfff && large)
        return low;
    return limit >> 20 && !large ? high : NULL;
}

#define EACH(what)                                                                                           \
    { "ES " what, "CS " what, "SS " what, "DS " what, "FS " what, "GS " what, "LDTR " what, "TR " what }

static const char *const v86_texts[] = EACH("is not as virtual-8086 mode wants it");
static const char *const system_texts[] = EACH("has the wrong S bit");
static const char *const present_texts[] = EACH("is not present");
static const char *const reserved_texts[] = EACH("has reserved access-rights bits");
static const char *const type_texts[] = EACH("has a type that cannot be");
static const char *const low_texts[] = EACH("has G set, and a limit that is no whole page");
static const char *const high_texts[] = EACH("has G clear, and a limit above 1 MiB");
static const char *const base_texts[] = EACH("has a base address that cannot be");

static const char *check_type(unsigned i, uint32_t rights, uint32_t ss, bool protected) {
    unsigned type = TYPE(rights);

    switch (i) {
    case X86_CS:
        if (type != 3 && (type & 9) != 9)
            return type_texts[i];
        if (type == 3 && DPL(rights))
            return "CS is a data segment with DPL above 0";
        if ((type == 9 || type == 11) && DPL(rights) != DPL(ss))
            return "CS's DPL is not SS's";
        if (type >= 13 && DPL(rights) > DPL(ss))
            return "CS is conforming, with a DPL above SS's";
        return NULL;
    case X86_SS:
        if (type != 3 && type != 7)
            return type_texts[i];
        return !protected && DPL(rights) ? "SS's DPL is above 0 in real mode" : NULL;
    case X86_LDTR:
        return type != 2 ? type_texts[i] : NULL;
    case X86_TR:
        return type != 3 && type != 11 ? type_texts[i] : NULL;
    default:
        return !(type & 1) || (type & 10) == 8 ? type_texts[i] : NULL;
    }
}

static const char *check_segments(void) {
    bool v86 = (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_VM) != 0;
    bool protected = (vmcs_read(VMCS_GUEST_CR0) & CR0_PE) != 0;
    bool long_mode = (vmcs_read(VMCS_ENTRY) & VMX_ENTRY_GUEST_64) != 0;
    uint32_t ss = (uint32_t)vmcs_read(VMCS_GUEST_RIGHTS + 2 * X86_SS);

    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        uint32_t rights = (uint32_t)vmcs_read(VMCS_GUEST_RIGHTS + 2 * i);
        uint32_t limit = (uint32_t)vmcs_read(VMCS_GUEST_LIMIT + 2 * i);
        uint64_t base = vmcs_read(VMCS_GUEST_BASE + 2 * i);
        uint64_t selector = vmcs_read(VMCS_GUEST_SELECTOR + 2 * i);
        const char *error;

        if (v86 && i <= X86_GS) {
            if (base != selector << 4 || limit != 0xffff || rights != 0xf3)
                return v86_texts[i];
            continue;
        }
        if (i == X86_TR ? (selector & 4) != 0 || !USABLE(rights)
                        : i == X86_LDTR && USABLE(rights) && (selector & 4))
            return i == X86_TR ? "TR is unusable or in the LDT" : "LDTR is in the LDT";
        if (!USABLE(rights) && i != X86_CS) {
            if ((i == X86_FS || i == X86_GS) && !canonical(base))
                return base_texts[i];
            continue;
        }
        if (((rights >> 4 & 1) != 0) != (i <= X86_GS))
            return system_texts[i];
        if (!(rights & X86_SEG_P))
            return present_texts[i];
        if (rights & 0xfffe0f00u)
            return reserved_texts[i];
        if ((error = check_type(i, rights, ss, protected)))
            return error;
        if (i == X86_TR && long_mode && TYPE(rights) != 11)
            return "TR is a 16-bit task in long mode";
        if (i == X86_CS && long_mode && (rights >> 13 & 1) && (rights >> 14 & 1))
            return "CS has both L and D";
        if ((error = check_limit(limit, rights, low_texts[i], high_texts[i])))
            return error;
        bool wide = i == X86_FS || i == X86_GS || i >= X86_LDTR;
        if (wide ? !canonical(base) : base >> 32 != 0)
            return base_texts[i];
    }
    return NULL;
}

static const char *check_tables(void) {
    if (!canonical(vmcs_read(VMCS_GUEST_GDTR_BASE)) || !canonical(vmcs_read(VMCS_GUEST_IDTR_BASE)))
        return "GDTR or IDTR has a base that is not canonical";
    if (vmcs_read(VMCS_GUEST_GDTR_LIMIT) >> 16 || vmcs_read(VMCS_GUEST_IDTR_LIMIT) >> 16)
        return "GDTR or IDTR has a limit above 64 KiB";
    return NULL;
}

static const char *check_rip(void) {
    uint64_t rip = vmcs_read(VMCS_GUEST_RIP), rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    bool long_mode = (vmcs_read(VMCS_ENTRY) & VMX_ENTRY_GUEST_64) != 0;
    bool wide = long_mode && (vmcs_read(VMCS_GUEST_RIGHTS + 2 * X86_CS) >> 13 & 1);
    uint64_t event = vmcs_read(VMCS_ENTRY_EVENT);

    if (wide ? !canonical(rip) : rip >> 32 != 0)
        return "RIP is outside the addresses of its mode";
    if ((rflags & RFLAGS_RESERVED) || !(rflags & 2))
        return "reserved bits in RFLAGS";
    if ((rflags & RFLAGS_VM) && (long_mode || !(vmcs_read(VMCS_GUEST_CR0) & CR0_PE)))
        return "RFLAGS.VM in real or long mode";
    if ((event & VMX_EVENT_VALID) && !(event & VMX_EVENT_TYPE) && !(rflags & RFLAGS_IF))
        return "an interrupt is to be injected while RFLAGS.IF is clear";
    return NULL;
}

static const char *check_blocking(void) {
    uint64_t blocked = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), event = vmcs_read(VMCS_ENTRY_EVENT);
    uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    bool trap = (vmcs_read(VMCS_GUEST_PENDING_DEBUG) & VMX_PENDING_DEBUG_BS) != 0;

    if (vmcs_read(VMCS_GUEST_ACTIVITY))
        return "an activity state that is not in use";
    if (blocked & 0xffffffe0u)
        return "reserved bits in the interruptibility state";
    if ((blocked & VMX_BLOCKED_SHADOW) == VMX_BLOCKED_SHADOW)
        return "blocking by STI and by MOV SS at once";
    if ((blocked & VMX_BLOCKED_STI) && !(rflags & RFLAGS_IF))
        return "blocking by STI while RFLAGS.IF is clear";
    if ((event & VMX_EVENT_VALID) && !(event & VMX_EVENT_TYPE) && (blocked & VMX_BLOCKED_SHADOW))
        return "an interrupt is to be injected in an interrupt shadow";
    if ((event & VMX_EVENT_VALID) && (event & VMX_EVENT_TYPE) == VMX_EVENT_TYPE_NMI &&
        (blocked & (VMX_BLOCKED_MOV_SS | VMX_BLOCKED_NMI)))
        return "an NMI is to be injected while NMIs are blocked";
    if ((blocked & VMX_BLOCKED_SHADOW) && trap != ((rflags & RFLAGS_TF) != 0))
        return "the pending single-step trap does not go with RFLAGS.TF";
    return NULL;
}

static const char *check_pdptes(void) {
    uint64_t cr0 = vmcs_read(VMCS_GUEST_CR0), cr4 = vmcs_read(VMCS_GUEST_CR4);

    if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (vmcs_read(VMCS_ENTRY) & VMX_ENTRY_GUEST_64))
        return NULL;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t entry = vmcs_read(VMCS_GUEST_PDPTE + 2 * i);
        if ((entry & 1) && (entry & 0xfff00000000001e6ull))
            return "reserved bits in a page-directory pointer (PAE paging)";
    }
    return NULL;
}

const char *vmx_state_error(uint64_t qualification) {
    static const char *(*const checks[])(void) = {check_control, check_rip,      check_segments,
                                                  check_tables,  check_blocking, check_pdptes};

    /* The three cases that the CPU does tell (26.8). */
    if (qualification == 2)
        return "the page-directory pointers (PAE paging) are bad";
    if (qualification == 3)
        return "an NMI is to be injected while STI or MOV SS blocks it";
    if (qualification == 4)
        return "the VMCS link pointer is bad";
    for (unsigned i = 0; i < array_count(checks); i++) {
        const char *error = checks[i]();
        if (error)
            return error;
    }
    return NULL;
}
