/**
 * The seccomp filter: of all the system calls that a program makes, perf_event_open is notified, of ioctl the few perf
 * commands that FUSE cannot carry to a server, and of prctl the two options that switch perf events. All else runs at
 * full speed.
 *
 * 32-bit callers have another AUDIT_ARCH, and x32 callers other numbers: both pass untouched.
 */
import { BPF_JUMP_EQUAL, BPF_LOAD, BPF_RETURN, sock_filter } from '../abi/bpf.js'
import { SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF, type SyscallAbi, seccomp_data } from '../abi/seccomp.js'
import type { Decoded } from '../abi/struct.js'
import { trappedCommands } from './perf-ioctl.js'
import { trappedOptions } from './perf-prctl.js'

type Instruction = Decoded<typeof sock_filter>
/** A jump goes to the next instruction where its target is not given. */
type Target = 'allow' | 'notify' | 'options'
type Line =
  | { readonly load: number; readonly label?: Target }
  | { readonly equals: number; readonly ifSo?: Target; readonly otherwise?: Target }

const { nr, arch, args } = seccomp_data.offsets
/** The kernel itself looks at no more than the low half of an ioctl's command, and of prctl's option. */
const IOCTL_COMMAND = args + 8
const PRCTL_OPTION = args

const notifyAnyOf = (values: readonly number[]): Line[] =>
  values.map((value, at) => ({
    equals: value,
    ifSo: 'notify',
    ...(at === values.length - 1 && { otherwise: 'allow' }),
  }))

const lines = (abi: SyscallAbi): readonly Line[] => [
  { load: arch },
  { equals: abi.auditArch, otherwise: 'allow' },
  { load: nr },
  { equals: abi.perf_event_open, ifSo: 'notify' },
  { equals: abi.prctl, ifSo: 'options' },
  { equals: abi.ioctl, otherwise: 'allow' },
  { load: IOCTL_COMMAND },
  ...notifyAnyOf(trappedCommands),
  { label: 'options', load: PRCTL_OPTION },
  ...notifyAnyOf(trappedOptions),
]

/** The two returns stand behind the last line, "allow" first. */
function assemble(program: readonly Line[]): Instruction[] {
  const placeOf: Readonly<Record<Target, number>> = {
    allow: program.length,
    notify: program.length + 1,
    options: program.findIndex(line => 'load' in line && line.label === 'options'),
  }
  const distance = (from: number, to: Target | undefined): number =>
    to === undefined ? 0 : placeOf[to] - from - 1
  return [
    ...program.map((line, at) =>
      'load' in line
        ? { code: BPF_LOAD, jt: 0, jf: 0, k: line.load }
        : {
            code: BPF_JUMP_EQUAL,
            jt: distance(at, line.ifSo),
            jf: distance(at, line.otherwise),
            k: line.equals,
          },
    ),
    { code: BPF_RETURN, jt: 0, jf: 0, k: SECCOMP_RET_ALLOW },
    { code: BPF_RETURN, jt: 0, jf: 0, k: SECCOMP_RET_USER_NOTIF },
  ]
}

/** The filter's program for a machine's native calls, encoded as an array of struct sock_filter. */
export function filterProgram(abi: SyscallAbi): Uint8Array {
  const instructions = assemble(lines(abi))
  const bytes = new Uint8Array(instructions.length * sock_filter.size)
  for (const [at, instruction] of instructions.entries())
    sock_filter.encode(instruction, bytes, at * sock_filter.size)
  return bytes
}
