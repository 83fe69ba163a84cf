/** A machine for exec's tests: one caller with memory and descriptors, one mounted tree, one kernel. */
import { ErrnoError, type ErrnoName } from '../../../src/abi/errno.js'
import { perf_event_attr_layout } from '../../../src/abi/perf-event-attr.js'
import type { DescriptorKind, Host, Trap } from '../../../src/exec/host.js'

export const OUR_TYPE = 4096
export const KERNEL_TYPE = 9
export const CALLER = 700
/** Where `place` puts the first bytes in the caller's memory. */
export const ADDRESS = 0x1000n

/** A perf_event_attr's bytes; `size` is the number of bytes where not given. */
export function attrBytes(
  fields: { type?: number; size?: number; config?: bigint; config4?: bigint },
  length = 136,
) {
  const whole = perf_event_attr_layout.encode(
    { type: OUR_TYPE, size: length, ...fields },
    new Uint8Array(8192),
  )
  return whole.slice(0, length)
}

/** A perf_event_open as the filter traps it. */
export const openTrap = (args: {
  attr?: bigint
  pid?: bigint
  cpu?: bigint
  group_fd?: bigint
  flags?: bigint
}): Trap => {
  const { attr = ADDRESS, pid = 0n, cpu = 0xffff_ffffn, group_fd = 0xffff_ffffn, flags = 0n } = args
  return { id: 1n, tid: CALLER, nr: 298, args: [attr, pid, cpu, group_fd, flags, 0n] }
}

/** An ioctl as the filter traps it. */
export const ioctlTrap = (fd: number, command: number, argument: bigint): Trap => ({
  id: 1n,
  tid: CALLER,
  nr: 16,
  args: [BigInt(fd), BigInt(command), argument, 0n, 0n, 0n],
})

/** Everything a test may set, and see afterwards. */
export class FakeHost implements Host {
  /** The caller's memory: pages by address. */
  readonly memory = new Map<bigint, Uint8Array>()
  /** The caller's descriptors. */
  readonly descriptors = new Map<number, DescriptorKind>()
  /** Copies of descriptors, and events, that are open in this process. */
  readonly opened = new Map<number, DescriptorKind>()
  readonly requests: Record<string, unknown>[] = []
  readonly answers: string[] = []
  readonly traps: (Trap | undefined)[] = []
  readonly pids = new Map<number, number>()
  isCallerThere = true
  isPrivileged = true
  injectFailure: ErrnoName | undefined
  memoryFailure: ErrnoName | undefined
  openFailure: ErrnoName | undefined
  types = [OUR_TYPE]
  attrFault: ErrnoName | undefined
  ioctlFailure: ErrnoName | undefined
  openEvent: () => Promise<void> = () => Promise.resolve()
  #nextFd = 100

  /** Puts bytes into the caller's memory: it ends where they end. */
  place(bytes: Uint8Array, at = ADDRESS): bigint {
    this.memory.set(at, bytes)
    return at
  }

  #openFd(kind: DescriptorKind): number {
    this.opened.set(++this.#nextFd, kind)
    return this.#nextFd
  }

  #descriptor(fd: number): DescriptorKind {
    const kind = this.descriptors.get(fd)
    if (!kind) throw new ErrnoError('EBADF')
    return kind
  }

  #answer(text: string): void {
    if (!this.isCallerThere) throw new ErrnoError('ENOENT')
    this.answers.push(text)
  }

  readonly listener: Host['listener'] = {
    wait: () => Promise.resolve(this.traps.length > 0),
    receive: () => this.traps.shift(),
    isWaiting: () => this.isCallerThere,
    resume: () => this.#answer('resume'),
    complete: (_, value) => this.#answer(`complete ${value}`),
    refuse: (_, code) => this.#answer(`refuse ${code}`),
    inject: (_, fd, isCloseOnExec) => {
      if (this.injectFailure) throw new ErrnoError(this.injectFailure)
      if (!this.opened.has(fd)) throw new Error(`descriptor ${fd} is not open`)
      this.#answer(`inject${isCloseOnExec ? ' cloexec' : ''}`)
    },
  }

  readonly tree: Host['tree'] = {
    device: 45,
    openEvent: async request => {
      this.requests.push(JSON.parse(request) as Record<string, unknown>)
      await this.openEvent()
      if (this.openFailure) throw new ErrnoError(this.openFailure)
      return this.#openFd({ kind: 'ours', ino: 1n })
    },
    tell: async request => {
      this.requests.push(JSON.parse(request) as Record<string, unknown>)
      await this.openEvent()
      if (this.openFailure) throw new ErrnoError(this.openFailure)
    },
    readTypes: () => Promise.resolve(this.types),
  }

  readonly kernel: Host['kernel'] = {
    attrSize: 136,
    readTypes: () => [1, 2, 5, KERNEL_TYPE],
    judgeAttr: attr => {
      if (this.attrFault === 'E2BIG') attr.set([136, 0, 0, 0], 4)
      return this.attrFault
    },
    close: fd => {
      if (!this.opened.delete(fd)) throw new Error(`descriptor ${fd} is closed twice`)
    },
    ioctl: () => {
      if (this.ioctlFailure) throw new ErrnoError(this.ioctlFailure)
      return 0
    },
  }

  callingThread(tid: number): ReturnType<Host['callingThread']> {
    return {
      tid,
      readMemory: (address, length) => {
        if (this.memoryFailure) throw new ErrnoError(this.memoryFailure)
        const bytes = this.memory.get(address) ?? new Uint8Array()
        return bytes.slice(0, length)
      },
      writeMemory: (address, bytes, isStillThere) => {
        if (isStillThere()) this.memory.set(address, bytes.slice())
      },
      kindOf: fd => this.#descriptor(fd),
      copyOurs: fd => this.#openFd(this.#descriptor(fd)),
      resolvePid: pid => this.pids.get(pid),
      isPerfmonCapable: () => this.isPrivileged,
    }
  }
}
