/**
 * Which registers a sample may hold. Counterparts: perf_reg_validate() in arch/x86/kernel/perf_regs.c and
 * arch/arm64/kernel/perf_regs.c.
 */

/** Process architectures by Node's names. */
export type SampleArch = 'x64' | 'arm64'

const below = (bit: bigint): bigint => (1n << bit) - 1n

// x86_64: 24 registers of which DS, ES, FS and GS (12 to 15) cannot be sampled; XMM0 to XMM15 fill the high half.
const X86_64 = (below(24n) & ~(0xfn << 12n)) | (below(32n) << 32n)
// arm64: x0 to x28, fp, lr, sp, pc; VG (46) where the CPU has SVE.
const ARM64 = below(33n) | (1n << 46n)

const legal: Readonly<Record<SampleArch, bigint>> = { x64: X86_64, arm64: ARM64 }
const extended: Readonly<Record<SampleArch, bigint>> = { x64: below(32n) << 32n, arm64: 0n }

/** Whether a mask of registers can be sampled: it has one, and none that there is not. */
export const areRegsValid = (arch: SampleArch, mask: bigint): boolean =>
  mask !== 0n && (mask & ~legal[arch]) === 0n

/** Whether a mask has registers that only a PMU with PERF_PMU_CAP_EXTENDED_REGS can sample. */
export const hasExtendedRegs = (arch: SampleArch, mask: bigint): boolean => (mask & extended[arch]) !== 0n
