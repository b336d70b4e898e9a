// SPDX-License-Identifier: Apache-2.0
// The fields of a VMCS (Intel SDM vol. 3, appendix B), the controls (24.6 to 24.8), exit reasons (appendix C)
// and capability MSRs (appendix A).
#ifndef SAGUARO_ARCH_X86_ENGINE_VMX_VMCS_H
#define SAGUARO_ARCH_X86_ENGINE_VMX_VMCS_H

/* 16 bits */
#define VMCS_VPID                    0x0000u
#define VMCS_POSTED_VECTOR           0x0002u
#define VMCS_GUEST_SELECTOR          0x0800u /* + 2 * segment, ES to TR as in abi/x86/vcpu.h */
#define VMCS_GUEST_INTERRUPT_STATUS  0x0810u /* RVI, SVI */
#define VMCS_PAGE_LOG_INDEX          0x0812u
#define VMCS_HOST_ES_SELECTOR        0x0c00u
#define VMCS_HOST_CS_SELECTOR        0x0c02u
#define VMCS_HOST_SS_SELECTOR        0x0c04u
#define VMCS_HOST_DS_SELECTOR        0x0c06u
#define VMCS_HOST_FS_SELECTOR        0x0c08u
#define VMCS_HOST_GS_SELECTOR        0x0c0au
#define VMCS_HOST_TR_SELECTOR        0x0c0cu

/* 64 bits */
#define VMCS_MSR_BITMAP              0x2004u
#define VMCS_PAGE_LOG                0x200eu
#define VMCS_TSC_OFFSET              0x2010u
#define VMCS_VIRTUAL_APIC            0x2012u
#define VMCS_APIC_ACCESS             0x2014u
#define VMCS_POSTED_DESCRIPTOR       0x2016u
#define VMCS_EPTP                    0x201au
#define VMCS_EOI_EXIT                0x201cu /* + 2 * n: four */
#define VMCS_TSC_MULTIPLIER          0x2032u
#define VMCS_GUEST_PHYSICAL          0x2400u
#define VMCS_LINK                    0x2800u
#define VMCS_GUEST_DEBUGCTL          0x2802u
#define VMCS_GUEST_PAT               0x2804u
#define VMCS_GUEST_EFER              0x2806u
#define VMCS_GUEST_PDPTE             0x280au /* + 2 * n: four */
#define VMCS_HOST_PAT                0x2c00u
#define VMCS_HOST_EFER               0x2c02u

/* 32 bits */
#define VMCS_PIN                     0x4000u
#define VMCS_PRIMARY                 0x4002u
#define VMCS_EXCEPTION_BITMAP        0x4004u
#define VMCS_PAGE_FAULT_MASK         0x4006u
#define VMCS_PAGE_FAULT_MATCH        0x4008u
#define VMCS_CR3_TARGETS             0x400au
#define VMCS_EXIT                    0x400cu
#define VMCS_EXIT_MSR_STORES         0x400eu
#define VMCS_EXIT_MSR_LOADS          0x4010u
#define VMCS_ENTRY                   0x4012u
#define VMCS_ENTRY_MSR_LOADS         0x4014u
#define VMCS_ENTRY_EVENT             0x4016u
#define VMCS_ENTRY_ERROR_CODE        0x4018u
#define VMCS_ENTRY_LENGTH            0x401au
#define VMCS_TPR_THRESHOLD           0x401cu
#define VMCS_SECONDARY               0x401eu
#define VMCS_PLE_GAP                 0x4020u
#define VMCS_PLE_WINDOW              0x4022u
#define VMCS_INSTRUCTION_ERROR       0x4400u
#define VMCS_EXIT_REASON             0x4402u
#define VMCS_EXIT_EVENT              0x4404u
#define VMCS_EXIT_EVENT_ERROR        0x4406u
#define VMCS_VECTORING               0x4408u
#define VMCS_VECTORING_ERROR         0x440au
#define VMCS_EXIT_LENGTH             0x440cu
#define VMCS_GUEST_LIMIT             0x4800u /* + 2 * segment */
#define VMCS_GUEST_GDTR_LIMIT        0x4810u
#define VMCS_GUEST_IDTR_LIMIT        0x4812u
#define VMCS_GUEST_RIGHTS            0x4814u /* + 2 * segment */
#define VMCS_GUEST_INTERRUPTIBILITY  0x4824u
#define VMCS_GUEST_ACTIVITY          0x4826u
#define VMCS_GUEST_SYSENTER_CS       0x482au
#define VMCS_HOST_SYSENTER_CS        0x4c00u

/* as wide as the CPU's registers */
#define VMCS_CR0_MASK                0x6000u
#define VMCS_CR4_MASK                0x6002u
#define VMCS_CR0_SHADOW              0x6004u
#define VMCS_CR4_SHADOW              0x6006u
#define VMCS_QUALIFICATION           0x6400u
#define VMCS_GUEST_LINEAR            0x640au
#define VMCS_GUEST_CR0               0x6800u
#define VMCS_GUEST_CR3               0x6802u
#define VMCS_GUEST_CR4               0x6804u
#define VMCS_GUEST_BASE              0x6806u /* + 2 * segment */
#define VMCS_GUEST_GDTR_BASE         0x6816u
#define VMCS_GUEST_IDTR_BASE         0x6818u
#define VMCS_GUEST_DR7               0x681au
#define VMCS_GUEST_RSP               0x681cu
#define VMCS_GUEST_RIP               0x681eu
#define VMCS_GUEST_RFLAGS            0x6820u
#define VMCS_GUEST_PENDING_DEBUG     0x6822u
#define VMCS_GUEST_SYSENTER_ESP      0x6824u
#define VMCS_GUEST_SYSENTER_EIP      0x6826u
#define VMCS_HOST_CR0                0x6c00u
#define VMCS_HOST_CR3                0x6c02u
#define VMCS_HOST_CR4                0x6c04u
#define VMCS_HOST_FS_BASE            0x6c06u
#define VMCS_HOST_GS_BASE            0x6c08u
#define VMCS_HOST_TR_BASE            0x6c0au
#define VMCS_HOST_GDTR_BASE          0x6c0cu
#define VMCS_HOST_IDTR_BASE          0x6c0eu
#define VMCS_HOST_SYSENTER_ESP       0x6c10u
#define VMCS_HOST_SYSENTER_EIP       0x6c12u
#define VMCS_HOST_RSP                0x6c14u /* written by enter.S */
#define VMCS_HOST_RIP                0x6c16u

/* Pin-based controls. */
#define VMX_PIN_INTERRUPT            (1u << 0)
#define VMX_PIN_NMI                  (1u << 3)
#define VMX_PIN_VIRTUAL_NMI          (1u << 5)
#define VMX_PIN_POSTED               (1u << 7)

/* Primary processor-based controls. */
#define VMX_PRIMARY_INTERRUPT_WINDOW (1u << 2)
#define VMX_PRIMARY_TSC_OFFSET       (1u << 3)
#define VMX_PRIMARY_HLT              (1u << 7)
#define VMX_PRIMARY_INVLPG           (1u << 9)
#define VMX_PRIMARY_MWAIT            (1u << 10)
#define VMX_PRIMARY_RDPMC            (1u << 11)
#define VMX_PRIMARY_RDTSC            (1u << 12)
#define VMX_PRIMARY_CR3_LOAD         (1u << 15)
#define VMX_PRIMARY_CR3_STORE        (1u << 16)
#define VMX_PRIMARY_CR8_LOAD         (1u << 19)
#define VMX_PRIMARY_CR8_STORE        (1u << 20)
#define VMX_PRIMARY_TPR_SHADOW       (1u << 21)
#define VMX_PRIMARY_NMI_WINDOW       (1u << 22)
#define VMX_PRIMARY_MOV_DR           (1u << 23)
#define VMX_PRIMARY_PORTS            (1u << 24)
#define VMX_PRIMARY_MSR_BITMAP       (1u << 28)
#define VMX_PRIMARY_MONITOR          (1u << 29)
#define VMX_PRIMARY_SECONDARY        (1u << 31)

/* Secondary processor-based controls. */
#define VMX_SECONDARY_APIC_ACCESS    (1u << 0)
#define VMX_SECONDARY_EPT            (1u << 1)
#define VMX_SECONDARY_RDTSCP         (1u << 3)
#define VMX_SECONDARY_X2APIC         (1u << 4)
#define VMX_SECONDARY_VPID           (1u << 5)
#define VMX_SECONDARY_WBINVD         (1u << 6)
#define VMX_SECONDARY_UNRESTRICTED   (1u << 7)
#define VMX_SECONDARY_APIC_REGISTERS (1u << 8)
#define VMX_SECONDARY_INTERRUPTS     (1u << 9) /* virtual-interrupt delivery */
#define VMX_SECONDARY_PAUSE_LOOP     (1u << 10)
#define VMX_SECONDARY_INVPCID        (1u << 12)
#define VMX_SECONDARY_PAGE_LOG       (1u << 17) /* page-modification logging */
#define VMX_SECONDARY_TSC_SCALING    (1u << 25)

/* What makes the CPU deliver a local APIC's interrupts by itself, beside the TPR shadow, in x2APIC mode
 * (29.2, 29.5) and in xAPIC mode (29.4). */
#define VMX_X2APIC_SECONDARY         (VMX_SECONDARY_X2APIC | VMX_SECONDARY_INTERRUPTS)
#define VMX_XAPIC_SECONDARY                                                                                  \
    (VMX_SECONDARY_APIC_ACCESS | VMX_SECONDARY_APIC_REGISTERS | VMX_SECONDARY_INTERRUPTS)

/* VM-exit controls. */
#define VMX_EXIT_SAVE_DEBUG          (1u << 2)
#define VMX_EXIT_HOST_64             (1u << 9)
#define VMX_EXIT_ACKNOWLEDGE         (1u << 15)
#define VMX_EXIT_SAVE_PAT            (1u << 18)
#define VMX_EXIT_LOAD_PAT            (1u << 19)
#define VMX_EXIT_SAVE_EFER           (1u << 20)
#define VMX_EXIT_LOAD_EFER           (1u << 21)

/* VM-entry controls. */
#define VMX_ENTRY_LOAD_DEBUG         (1u << 2)
#define VMX_ENTRY_GUEST_64           (1u << 9) /* "IA-32e mode guest" */
#define VMX_ENTRY_LOAD_PAT           (1u << 14)
#define VMX_ENTRY_LOAD_EFER          (1u << 15)

/* Interruptibility state (24.4.2). */
#define VMX_BLOCKED_STI              (1u << 0)
#define VMX_BLOCKED_MOV_SS           (1u << 1)
#define VMX_BLOCKED_SHADOW           (VMX_BLOCKED_STI | VMX_BLOCKED_MOV_SS)
#define VMX_BLOCKED_NMI              (1u << 3)

/* Segment access rights (24.4.1); bits 0-7 and 12-15 are the descriptor's. */
#define VMX_RIGHTS_UNUSABLE          (1u << 16)

/* Events: entry, exit and IDT-vectoring information (24.8.3, 24.9.2) but for what x86_event_info() covers. */
#define VMX_EVENT_VECTOR             0xffu
#define VMX_EVENT_TYPE               0x700u
#define VMX_EVENT_TYPE_NMI           0x200u
#define VMX_EVENT_TYPE_EXCEPTION     0x300u
#define VMX_EVENT_TYPE_PRIVILEGED    0x500u /* INT1 */
#define VMX_EVENT_ERROR_VALID        (1u << 11)
#define VMX_EVENT_NMI_UNBLOCKED      (1u << 12)
#define VMX_EVENT_VALID              (1u << 31)

#define VMX_PENDING_DEBUG_BS         (1ull << 14)

/* EPT pointer (24.6.11). */
#define VMX_EPTP_WRITE_BACK          6ull
#define VMX_EPTP_4_LEVELS            (3ull << 3)
#define VMX_EPTP_ACCESSED_DIRTY      (1ull << 6)

/* Qualification of an EPT violation (table 27-7). */
#define VMX_EPT_READ                 (1ull << 0)
#define VMX_EPT_WRITE                (1ull << 1)
#define VMX_EPT_FETCH                (1ull << 2)
#define VMX_EPT_LINEAR_VALID         (1ull << 7)
#define VMX_EPT_FINAL                (1ull << 8) /* the access itself, not a page-table walk for it */
#define VMX_EPT_NMI_UNBLOCKED        (1ull << 12)

/* Exit reasons; bit 31 marks a failed entry. */
#define VMX_EXIT_FAILED              (1u << 31)
#define VMX_REASON_EXCEPTION         0
#define VMX_REASON_INTERRUPT         1
#define VMX_REASON_TRIPLE_FAULT      2
#define VMX_REASON_INIT              3
#define VMX_REASON_SIPI              4
#define VMX_REASON_IO_SMI            5
#define VMX_REASON_SMI               6
#define VMX_REASON_INTERRUPT_WINDOW  7
#define VMX_REASON_NMI_WINDOW        8
#define VMX_REASON_TASK_SWITCH       9
#define VMX_REASON_CPUID             10
#define VMX_REASON_GETSEC            11
#define VMX_REASON_HLT               12
#define VMX_REASON_INVD              13
#define VMX_REASON_RDPMC             15
#define VMX_REASON_RSM               17
#define VMX_REASON_VMCALL            18
#define VMX_REASON_VMCLEAR           19
#define VMX_REASON_VMXON             27
#define VMX_REASON_CR                28
#define VMX_REASON_PORT              30
#define VMX_REASON_RDMSR             31
#define VMX_REASON_WRMSR             32
#define VMX_REASON_BAD_STATE         33
#define VMX_REASON_BAD_MSR           34
#define VMX_REASON_MWAIT             36
#define VMX_REASON_MONITOR           39
#define VMX_REASON_PAUSE             40
#define VMX_REASON_ENTRY_CHECK       41 /* machine check during entry */
#define VMX_REASON_TPR               43
#define VMX_REASON_APIC_ACCESS       44
#define VMX_REASON_EOI               45
#define VMX_REASON_EPT_VIOLATION     48
#define VMX_REASON_EPT_MISCONFIGURED 49
#define VMX_REASON_INVEPT            50
#define VMX_REASON_INVVPID           53
#define VMX_REASON_WBINVD            54
#define VMX_REASON_XSETBV            55
#define VMX_REASON_APIC_WRITE        56
#define VMX_REASON_VMFUNC            59
#define VMX_REASON_PAGE_LOG_FULL     62
#define VMX_REASON_SEAMCALL          76
#define VMX_REASON_TDCALL            77
#define VMX_REASON_COUNT             78

/* Capability MSRs. */
#define MSR_FEATURE_CONTROL          0x03au
#define MSR_VMX_BASIC                0x480u
#define MSR_VMX_PIN                  0x481u
#define MSR_VMX_PRIMARY              0x482u
#define MSR_VMX_EXIT                 0x483u
#define MSR_VMX_ENTRY                0x484u
#define MSR_VMX_CR0_FIXED0           0x486u
#define MSR_VMX_CR0_FIXED1           0x487u
#define MSR_VMX_CR4_FIXED0           0x488u
#define MSR_VMX_CR4_FIXED1           0x489u
#define MSR_VMX_SECONDARY            0x48bu
#define MSR_VMX_EPT_VPID             0x48cu
#define MSR_VMX_TRUE_PIN             0x48du
#define MSR_VMX_TRUE_PRIMARY         0x48eu
#define MSR_VMX_TRUE_EXIT            0x48fu
#define MSR_VMX_TRUE_ENTRY           0x490u

#define PSCHANGE_MC_NO               (1ull << 6) /* MSR_ARCH_CAPS */

#define FEATURE_CONTROL_LOCK         (1ull << 0)
#define FEATURE_CONTROL_VMX          (1ull << 2) /* outside SMX */

#define VMX_BASIC_REVISION           0x7fffffffull
#define VMX_BASIC_TYPE_SHIFT         50
#define VMX_BASIC_TRUE               (1ull << 55)

#define VMX_EPT_CAP_4_LEVELS         (1ull << 6)
#define VMX_EPT_CAP_WRITE_BACK       (1ull << 14)
#define VMX_EPT_CAP_2M               (1ull << 16)
#define VMX_EPT_CAP_1G               (1ull << 17)
#define VMX_EPT_CAP_INVEPT           (1ull << 20)
#define VMX_EPT_CAP_ACCESSED_DIRTY   (1ull << 21)
#define VMX_EPT_CAP_INVEPT_SINGLE    (1ull << 25)
#define VMX_EPT_CAP_INVEPT_ALL       (1ull << 26)
#define VMX_EPT_CAP_INVVPID          (1ull << 32)
#define VMX_EPT_CAP_INVVPID_SINGLE   (1ull << 41)
#define VMX_EPT_CAP_INVVPID_ALL      (1ull << 42)

#endif
