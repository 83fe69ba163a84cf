/**
 * The kernel's end of a connection, in memory: sends requests as bytes to a FuseServer and keeps what comes back.
 * The transport of tests and benchmarks. Counterpart: fs/fuse/dev.c.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError, errnoName } from '../abi/errno.js'
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  fuse_in_header,
  fuse_init_in,
  fuse_interrupt_in,
  fuse_notify_poll_wakeup_out,
  fuse_out_header,
} from '../abi/fuse.js'
import { FUSE_NOTIFY_POLL, FUSE_OPCODE, type FuseOpcodeName } from '../abi/fuse-constants.js'
import type { Directory } from '../kernfs/node.js'
import type { Admission } from './connection.js'
import { FuseServer } from './server.js'

/** What a request consists of, beside what the wire adds. */
export interface WireRequest {
  readonly opcode: FuseOpcodeName
  readonly nodeid?: bigint
  readonly caller?: Caller
  /** Structures, data, and names (which get their NUL), in order. */
  readonly parts?: readonly (Uint8Array | string)[]
}

/** A request whose reply may come later. */
export interface Pending<T> {
  /** Whether the reply is there. */
  readonly isDone: boolean
  /** The reply. Throws an ErrnoError where it is one, and an Error while it is not there. */
  value(): T
  /** Sends INTERRUPT, as a signal to the caller would. */
  interrupt(): void
}

type Outcome = { readonly body: Uint8Array } | { readonly error: ErrnoError }

const utf8 = new TextEncoder()
const nobody: Caller = { uid: 0, gid: 0, tid: 0 }
const silent: ReadonlySet<FuseOpcodeName> = new Set(['FUSE_FORGET', 'FUSE_BATCH_FORGET', 'FUSE_INTERRUPT'])

/** One connection to a server of its own. */
export class MemoryWire {
  readonly server: FuseServer
  /** Every defect that the server reported. */
  readonly reports: string[] = []
  /** Every reply that nobody waited for: a second one, or one to a request that wants none. */
  readonly strays: bigint[] = []
  readonly #outcomes = new Map<bigint, Outcome | undefined>()
  readonly #sleepers = new Map<bigint, () => void>()
  #lastUnique = 0n

  /** Makes the server and sends INIT. */
  constructor(root: Directory, admission: Admission) {
    this.server = new FuseServer(root, {
      ...admission,
      send: message => this.#take(message),
      report: message => this.reports.push(message),
    })
    const version = { major: FUSE_KERNEL_VERSION, minor: FUSE_KERNEL_MINOR_VERSION, flags: 0xffff_ffff }
    this.request({ opcode: 'FUSE_INIT', parts: [fuse_init_in.encode(version)] }).value()
  }

  /** Sends a request; its reply is the body's bytes. */
  request(request: WireRequest): Pending<Uint8Array> {
    this.#lastUnique += 2n
    const unique = this.#lastUnique
    if (!silent.has(request.opcode)) this.#outcomes.set(unique, undefined)
    this.server.receive(encodeRequest(request, unique))
    return this.#pending(unique)
  }

  /** Calls `wake` at each NOTIFY_POLL of this poll handle. */
  sleep(kh: bigint, wake: () => void): void {
    this.#sleepers.set(kh, wake)
  }

  #pending(unique: bigint): Pending<Uint8Array> {
    const outcomes = this.#outcomes
    return {
      get isDone() {
        return outcomes.get(unique) !== undefined
      },
      value() {
        const outcome = outcomes.get(unique)
        if (!outcome) throw new Error(`request ${unique} has no reply: it is parked, or wants none`)
        if ('error' in outcome) throw outcome.error
        return outcome.body
      },
      interrupt: () => {
        this.request({ opcode: 'FUSE_INTERRUPT', parts: [fuse_interrupt_in.encode({ unique })] })
      },
    }
  }

  #take(message: Uint8Array): boolean {
    const { len, error, unique } = fuse_out_header.decode(message)
    if (len !== message.length) throw new ErrnoError('EINVAL', `a message of ${message.length} says ${len}`)
    const body = message.slice(fuse_out_header.size)
    if (unique === 0n) return this.#notified(error, body)
    if (!this.#outcomes.has(unique) || this.#outcomes.get(unique)) {
      this.strays.push(unique)
      return false
    }
    this.#outcomes.set(unique, error === 0 ? { body } : { error: errorOf(error) })
    return true
  }

  #notified(code: number, body: Uint8Array): boolean {
    if (code !== FUSE_NOTIFY_POLL) throw new ErrnoError('EINVAL', `notification ${code}`)
    this.#sleepers.get(fuse_notify_poll_wakeup_out.decode(body).kh)?.()
    return true
  }
}

const errorOf = (error: number): ErrnoError => new ErrnoError(errnoName(-error) ?? 'EIO')

/** A request as the kernel sends it. */
export function encodeRequest({ opcode, nodeid, caller, parts }: WireRequest, unique: bigint): Uint8Array {
  const chunks = (parts ?? []).map(part => (typeof part === 'string' ? utf8.encode(`${part}\0`) : part))
  const len = chunks.reduce((sum, chunk) => sum + chunk.length, fuse_in_header.size)
  const message = new Uint8Array(len)
  const { uid, gid, tid: pid } = caller ?? nobody
  fuse_in_header.encode(
    { len, opcode: FUSE_OPCODE[opcode], unique, nodeid: nodeid ?? 0n, uid, gid, pid },
    message,
  )
  let at = fuse_in_header.size
  for (const chunk of chunks) {
    message.set(chunk, at)
    at += chunk.length
  }
  return message
}

/** The same pending request with its reply read by `decode`, once; `onError` is told once where it is an error. */
export function decoded<T, U>(
  pending: Pending<T>,
  decode: (value: T) => U,
  onError: () => void = () => {},
): Pending<U> {
  let outcome: { readonly value: U } | { readonly error: ErrnoError } | undefined
  const settle = () => {
    try {
      return { value: decode(pending.value()) }
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error
      onError()
      return { error }
    }
  }
  return {
    get isDone() {
      return pending.isDone
    },
    value() {
      outcome ??= settle()
      if ('error' in outcome) throw outcome.error
      return outcome.value
    },
    interrupt: () => pending.interrupt(),
  }
}
