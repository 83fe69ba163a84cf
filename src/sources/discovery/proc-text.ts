/** Reads the texts of /proc/TGID/task/TID. @see proc(5) */

/** What is used of proc_pid_stat(5). */
export interface TaskStat {
  /** Field 3: one letter, Z for a zombie. */
  readonly state: string
  /** Field 22: clock ticks from boot to the start of the thread. */
  readonly startTime: bigint
  /** Field 43: clock ticks that it has run a guest. */
  readonly guestTime: bigint
}

const STATE_FIELD = 3
const STARTTIME_FIELD = 22
const GUEST_TIME_FIELD = 43

/** Parses a `stat` line. The command in it may hold blanks and parentheses: the last one closes it. */
export function parseStat(text = ''): TaskStat | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const count = (field: number) => {
    const word = fields[field - STATE_FIELD] ?? ''
    return /^\d+$/.test(word) ? BigInt(word) : undefined
  }
  const state = fields[0]
  const startTime = count(STARTTIME_FIELD)
  if (state === undefined || startTime === undefined) return undefined
  return { state, startTime, guestTime: count(GUEST_TIME_FIELD) ?? 0n }
}

/** A system call that a thread sleeps in, or `running`: on a CPU or waiting for one, and nothing is told. */
export type TaskSyscall = 'running' | { readonly number: number; readonly args: readonly bigint[] }

const isHex = (word: string): boolean => /^0x[0-9a-f]{1,16}$/.test(word)

/** Parses a `syscall` line: the number in decimal, then six arguments, stack and instruction pointer in hex. */
export function parseSyscall(text = ''): TaskSyscall | undefined {
  const [first, ...args] = text.trim().split(' ')
  if (first === 'running') return 'running'
  if (first === undefined || !/^-?\d+$/.test(first)) return undefined
  return args.every(isHex) ? { number: Number(first), args: args.map(BigInt) } : undefined
}

/** The names that VMMs give to the threads of their vCPUs; the kernel cuts a name at 15 characters. */
const commPatterns = [
  // QEMU, with -name ...,debug-threads=on
  /^CPU (\d+)\/KVM$/,
  // Firecracker
  /^fc_vcpu (\d+)$/,
  // cloud-hypervisor
  /^vcpu(\d+)$/,
  // crosvm
  /^crosvm_vcpu(\d+)$/,
  // kvmtool
  /^kvm-vcpu-(\d+)$/,
]

/** The vCPU that a thread's name says it runs. */
export function vcpuOfComm(comm: string): number | undefined {
  for (const pattern of commPatterns) {
    const number = pattern.exec(comm.trim())?.[1]
    if (number !== undefined) return Number(number)
  }
  return undefined
}
