// SPDX-License-Identifier: Apache-2.0
// Registers of an e500v2 core: SPR numbers and the names of their bits (e500 core family reference manual,
// ch. 2). Macros alone, for C and assembly, on any machine; arch/ppc/instructions.h reads and writes them.
#ifndef SAGUARO_ARCH_PPC_REGISTERS_H
#define SAGUARO_ARCH_PPC_REGISTERS_H

/* ---- SPR numbers ---- */

#define SPR_XER              1
#define SPR_LR               8
#define SPR_CTR              9
#define SPR_DEC              22
#define SPR_SRR0             26
#define SPR_SRR1             27
#define SPR_PID              48 /* PID0 */
#define SPR_DECAR            54 /* write only */
#define SPR_CSRR0            58
#define SPR_CSRR1            59
#define SPR_DEAR             61
#define SPR_ESR              62
#define SPR_IVPR             63
#define SPR_USPRG0           256
#define SPR_SPRG3_USER       259 /* SPRG3-7 as user mode reads them: 259-263 */
#define SPR_SPRG4_USER       260
#define SPR_SPRG5_USER       261
#define SPR_SPRG6_USER       262
#define SPR_SPRG7_USER       263
#define SPR_TBL              268 /* read; user mode too */
#define SPR_TBU              269
#define SPR_SPRG0            272
#define SPR_SPRG1            273
#define SPR_SPRG2            274
#define SPR_SPRG3            275
#define SPR_SPRG4            276
#define SPR_SPRG5            277
#define SPR_SPRG6            278
#define SPR_SPRG7            279
#define SPR_TBL_WRITE        284
#define SPR_TBU_WRITE        285
#define SPR_PIR              286
#define SPR_PVR              287
#define SPR_DBSR             304
#define SPR_DBCR0            308
#define SPR_DBCR1            309
#define SPR_DBCR2            310
#define SPR_IAC1             312
#define SPR_IAC2             313
#define SPR_DAC1             316
#define SPR_DAC2             317
#define SPR_TSR              336
#define SPR_TCR              340
#define SPR_IVOR(n)          (400 + (n)) /* 0-15 */
#define SPR_IVOR32           528         /* IVOR32-35: 528-531 */
#define SPR_IVOR33           529
#define SPR_IVOR34           530
#define SPR_IVOR35           531
#define SPR_SPEFSCR          512
#define SPR_BBEAR            513
#define SPR_BBTAR            514
#define SPR_L1CFG0           515 /* user mode reads it */
#define SPR_L1CFG1           516
#define SPR_ATBL             526
#define SPR_ATBU             527
#define SPR_MCARU            569
#define SPR_MCSRR0           570
#define SPR_MCSRR1           571
#define SPR_MCSR             572
#define SPR_MCAR             573
#define SPR_SPRG8            604 /* e500mc and later */
#define SPR_SPRG9            605
#define SPR_MAS0             624
#define SPR_MAS1             625
#define SPR_MAS2             626
#define SPR_MAS3             627
#define SPR_MAS4             628
#define SPR_MAS6             630
#define SPR_PID1             633
#define SPR_PID2             634
#define SPR_TLB0CFG          688
#define SPR_TLB1CFG          689
#define SPR_EPR              702
#define SPR_MAS7             944
#define SPR_HID0             1008
#define SPR_HID1             1009
#define SPR_L1CSR0           1010
#define SPR_L1CSR1           1011
#define SPR_MMUCSR0          1012
#define SPR_BUCSR            1013
#define SPR_MMUCFG           1015
#define SPR_SVR              1023

/* ---- MSR (2.4.1) ---- */

#define MSR_UCLE             0x04000000 /* user mode may lock cache lines */
#define MSR_SPE              0x02000000
#define MSR_WE               0x00040000 /* wait */
#define MSR_CE               0x00020000 /* critical interrupts */
#define MSR_EE               0x00008000 /* external interrupts and decrementer */
#define MSR_PR               0x00004000 /* user mode */
#define MSR_FP               0x00002000 /* none in an e500v2 */
#define MSR_ME               0x00001000 /* machine checks */
#define MSR_FE0              0x00000800
#define MSR_UBLE             0x00000400 /* user mode may lock branch-buffer entries */
#define MSR_DE               0x00000200 /* debug interrupts */
#define MSR_FE1              0x00000100
#define MSR_IS               0x00000020 /* instruction address space */
#define MSR_DS               0x00000010 /* data address space */
#define MSR_PMM              0x00000004 /* performance monitor mark */

/* ---- IVOR numbers: the kinds of interrupt (5.7) ---- */

#define IVOR_CRITICAL        0
#define IVOR_MACHINE_CHECK   1
#define IVOR_DATA_STORAGE    2
#define IVOR_INST_STORAGE    3
#define IVOR_EXTERNAL        4
#define IVOR_ALIGNMENT       5
#define IVOR_PROGRAM         6
#define IVOR_FP_UNAVAILABLE  7
#define IVOR_SYSTEM_CALL     8
#define IVOR_AP_UNAVAILABLE  9
#define IVOR_DECREMENTER     10
#define IVOR_FIXED_TIMER     11
#define IVOR_WATCHDOG        12
#define IVOR_DATA_TLB        13
#define IVOR_INST_TLB        14
#define IVOR_DEBUG           15
#define IVOR_SPE_UNAVAILABLE 32
#define IVOR_SPE_FP_DATA     33
#define IVOR_SPE_FP_ROUND    34
#define IVOR_PERFORMANCE     35

/* ---- ESR (2.7.1.6) ---- */

#define ESR_PIL              0x08000000 /* illegal instruction */
#define ESR_PPR              0x04000000 /* privileged instruction */
#define ESR_PTR              0x02000000 /* trap instruction */
#define ESR_FP               0x01000000
#define ESR_ST               0x00800000 /* store */
#define ESR_DLK              0x00200000 /* data cache locking */
#define ESR_ILK              0x00100000 /* instruction cache locking */
#define ESR_AP               0x00080000
#define ESR_PUO              0x00040000 /* unimplemented operation */
#define ESR_BO               0x00020000 /* byte ordering */
#define ESR_SPE              0x00000080

/* ---- MAS registers and the TLBs (2.12) ---- */

#define MAS0_TLBSEL(n)       ((n) << 28)
#define MAS0_TLBSEL_MASK     0x10000000
#define MAS0_ESEL(n)         ((n) << 16)
#define MAS0_ESEL_SHIFT      16
#define MAS0_ESEL_MASK       0x000f0000
#define MAS0_NV_MASK         0x00000003
#define MAS1_V               0x80000000
#define MAS1_IPROT           0x40000000
#define MAS1_TID(n)          ((n) << 16)
#define MAS1_TID_SHIFT       16
#define MAS1_TID_MASK        0x00ff0000
#define MAS1_TS              0x00001000 /* address space 1 */
#define MAS1_TS_SHIFT        12
#define MAS1_TSIZE(n)        ((n) << 8) /* 4^n KiB */
#define MAS1_TSIZE_SHIFT     8
#define MAS1_TSIZE_MASK      0x00000f00
#define MAS2_EPN_MASK        0xfffff000
#define MAS2_X0              0x00000040
#define MAS2_X1              0x00000020
#define MAS2_W               0x00000010 /* write-through */
#define MAS2_I               0x00000008 /* cache-inhibited */
#define MAS2_M               0x00000004 /* coherent */
#define MAS2_G               0x00000002 /* guarded */
#define MAS2_E               0x00000001 /* little-endian */
#define MAS2_WIMGE_MASK      0x0000001f
#define MAS3_RPN_MASK        0xfffff000
#define MAS3_USER_MASK       0x000003c0 /* U0-U3: software's */
#define MAS3_UX              0x00000020
#define MAS3_SX              0x00000010
#define MAS3_UW              0x00000008
#define MAS3_SW              0x00000004
#define MAS3_UR              0x00000002
#define MAS3_SR              0x00000001
#define MAS3_RIGHTS_MASK     0x0000003f
#define MAS4_TLBSELD_MASK    0x10000000
#define MAS4_TIDSELD_MASK    0x00030000 /* 0-2: PID0-2, 3: TID 0 */
#define MAS4_TIDSELD_SHIFT   16
#define MAS4_TSIZED_MASK     0x00000f00
#define MAS4_WIMGED_MASK     0x0000007f /* X0D, X1D and WIMGE */
#define MAS6_SPID_SHIFT      16
#define MAS6_SPID_MASK       0x00ff0000
#define MAS6_SAS             0x00000001
#define MAS7_RPN_MASK        0x0000000f /* bits 32-35 of the real address */

/* TSIZE of the sizes in use. */
#define TSIZE_4K             1
#define TSIZE_1M             5
#define TSIZE_4M             6
#define TSIZE_16M            7
#define TSIZE_64M            8
#define TSIZE_256M           9

#define MMUCSR0_TLB0_FI      0x00000004 /* flash invalidate */
#define MMUCSR0_TLB1_FI      0x00000002 /* spares entries with IPROT */

/* tlbivax: what its effective address says beside the page number (2.12.6). */
#define TLBIVAX_TLB1         0x00000008
#define TLBIVAX_ALL          0x00000004

/* ---- timers (2.6) ---- */

#define TCR_WP_MASK          0xc0000000
#define TCR_WRC_MASK         0x30000000
#define TCR_WIE              0x08000000
#define TCR_DIE              0x04000000
#define TCR_FP_MASK          0x03000000
#define TCR_FIE              0x00800000
#define TCR_ARE              0x00400000
#define TCR_WPEXT_MASK       0x001e0000
#define TCR_FPEXT_MASK       0x0001e000
#define TSR_ENW              0x80000000
#define TSR_WIS              0x40000000
#define TSR_WRS_MASK         0x30000000
#define TSR_DIS              0x08000000
#define TSR_FIS              0x04000000

/* ---- HID0, caches, branch unit, debug ---- */

#define HID0_EMCP            0x80000000 /* machine checks by the pin */
#define HID0_DOZE            0x00800000
#define HID0_NAP             0x00400000
#define HID0_SLEEP           0x00200000
#define HID0_TBEN            0x00004000 /* time base and decrementer count */
#define HID0_EN_MAS7_UPDATE  0x00000080
#define L1CSR0_CE            0x00000001
#define L1CSR0_CFI           0x00000002
#define L1CSR0_CPE           0x00010000
#define BUCSR_BPEN           0x00000001
#define BUCSR_BBFI           0x00000200
#define DBCR0_EDM            0x80000000
#define DBCR0_IDM            0x40000000
#define DBCR0_RST_MASK       0x30000000

/* Kinds of core, by PVR's upper half. */
#define PVR_E500V2           0x80210000
#define PVR_CORE_MASK        0xffff0000

#endif
