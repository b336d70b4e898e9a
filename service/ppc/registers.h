// SPDX-License-Identifier: Apache-2.0
// Registers of an e500v2 core that the service VM's program uses: numbers and bits (e500 core family
// reference manual, ch. 2). Macros alone, for C and assembly.
#ifndef SAGUARO_SERVICE_PPC_REGISTERS_H
#define SAGUARO_SERVICE_PPC_REGISTERS_H

#define SPR_SRR0           26
#define SPR_SRR1           27
#define SPR_PID            48
#define SPR_CSRR0          58
#define SPR_CSRR1          59
#define SPR_DEAR           61
#define SPR_ESR            62
#define SPR_IVPR           63
#define SPR_TBL            268
#define SPR_TBU            269
#define SPR_SPRG0          272
#define SPR_SPRG1          273
#define SPR_SPRG2          274
#define SPR_IVOR(n)        (400 + (n)) /* 0-15 */
#define SPR_IVOR32         528         /* IVOR32-35: 528-531 */
#define SPR_MCSRR0         570
#define SPR_MCSRR1         571
#define SPR_MAS0           624
#define SPR_MAS1           625
#define SPR_MAS2           626
#define SPR_MAS3           627
#define SPR_MAS6           630
#define SPR_PID1           633
#define SPR_PID2           634
#define SPR_MAS7           944

#define MSR_ME             0x00001000
#define MSR_IS             0x00000020
#define MSR_DS             0x00000010

#define IVOR_MACHINE_CHECK 1
#define IVOR_DATA_STORAGE  2
#define IVOR_INST_STORAGE  3
#define IVOR_ALIGNMENT     5
#define IVOR_PROGRAM       6
#define IVOR_SYSTEM_CALL   8
#define IVOR_DATA_TLB      13
#define IVOR_INST_TLB      14

#define ESR_ST             0x00800000 /* store */

#define MAS0_TLB1(entry)   (0x10000000 | (entry) << 16)
#define MAS1_V             0x80000000
#define MAS1_IPROT         0x40000000
#define MAS1_TS            0x00001000
#define MAS1_TSIZE(n)      ((n) << 8) /* 4^n KiB */
#define MAS2_I             0x00000008 /* uncached */
#define MAS2_M             0x00000004 /* coherent */
#define MAS2_G             0x00000002 /* guarded: no access ahead of time */
#define MAS3_SX            0x00000010
#define MAS3_SW            0x00000004
#define MAS3_SR            0x00000001
#define TSIZE_4K           1
#define TSIZE_1M           5
#define TSIZE_1G           10

#endif
