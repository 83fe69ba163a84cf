/**
 * How the demo guest's process is spoken to: one JSON object a line, commands on its stdin, answers on its stdout, one
 * answer for each command in order. The first line out is `Ready`, before any command. What each command does stands
 * at its type.
 */
import { ErrnoError } from '../../abi/errno.js'

/** The kinds of event that the guest can be told to make. */
export const burstKinds = ['port', 'mmio', 'halt'] as const

/** Port writes (of x86 alone), writes to an address without memory, or halts. */
export type BurstKind = (typeof burstKinds)[number]

/** Lets every vCPU run at its own pace. The guest starts so. */
interface RunCommand {
  readonly op: 'run'
}

/** Stops every vCPU between two instructions; the answer comes when all stand still. */
interface PauseCommand {
  readonly op: 'pause'
}

/** Makes one vCPU of a paused guest execute exactly `count` instructions of a kind; answered after the last exit. */
export interface BurstCommand {
  readonly op: 'burst'
  readonly vcpu: number
  readonly kind: BurstKind
  readonly count: number
}

export type Command = RunCommand | PauseCommand | BurstCommand

/** One vCPU of a guest that is ready. */
export interface ReadyVcpu {
  readonly id: number
  readonly tid: number
  /** The demo process's descriptor of the vCPU's statistics: /proc/PID/fd/N. */
  readonly statsFd: number
}

/** The first line out. */
export interface Ready {
  readonly ready: true
  readonly kind: 'kvm' | 'simulated'
  /** Why the guest is simulated although it was not asked to be. */
  readonly reason?: string
  readonly pid: number
  /** The demo process's descriptor of the VM's statistics; a simulated VM has none. */
  readonly statsFd?: number
  readonly vcpus: readonly ReadyVcpu[]
}

/** The answer to a command. */
export type Answer = { readonly ok: true } | { readonly ok: false; readonly error: string }

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const isBurstKind = (value: unknown): value is BurstKind => burstKinds.some(kind => kind === value)

const quoted = (names: readonly string[]) => names.map(name => `"${name}"`).join(', ')

const refuse = (message: string) => new ErrnoError('EINVAL', message)

function parseObject(line: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw new ErrnoError('EINVAL', 'Cannot read the command: it is no JSON', { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse('Cannot read the command: a JSON object is wanted')
  return { ...value }
}

function parseBurst(fields: Record<string, unknown>): BurstCommand {
  const { vcpu, kind, count } = fields
  if (!isNatural(vcpu)) throw refuse('Cannot burst: "vcpu" must be a vCPU number')
  if (!isBurstKind(kind)) throw refuse(`Cannot burst: "kind" must be one of ${quoted(burstKinds)}`)
  if (!isNatural(count)) throw refuse('Cannot burst: "count" must be a whole number, 0 to 2^53-1')
  return { op: 'burst', vcpu, kind, count }
}

/**
 * Reads one line of the demo guest's stdin.
 *
 * @throws {ErrnoError} EINVAL when it is no command
 */
export function parseCommand(line: string): Command {
  const fields = parseObject(line)
  const { op } = fields
  if (op === 'run' || op === 'pause') return { op }
  if (op === 'burst') return parseBurst(fields)
  throw refuse(`Cannot obey: "op" must be one of ${quoted(['run', 'pause', 'burst'])}`)
}
