/** The kernel's perf events, without a kernel: what is open is seen, and hits are made by hand. */
import { ErrnoError } from '../../../src/abi/errno.js'
import type { TracepointCounters } from '../../../src/sources/tracepoint/tracepoint-source.js'

interface Open {
  readonly tid: number
  readonly id: number
  /** Where one CPU is counted. */
  readonly cpu?: number
  readonly filter?: string
  count: bigint
}

export class FakeCounters implements TracepointCounters {
  /** What open() throws. */
  refusal: ErrnoError | undefined
  isReadable = true
  readonly #open = new Map<number, Open>()
  #lastFd = 100

  /** What is open now, in the order of opening. */
  get opened(): { tid: number; id: number; filter?: string; cpu?: number }[] {
    return [...this.#open.values()].map(({ count: _count, ...open }) => open)
  }

  open: TracepointCounters['open'] = ({ id, filter }, { tid }, cpu = -1) => {
    if (this.refusal) throw this.refusal
    this.#lastFd += 1
    this.#open.set(this.#lastFd, {
      tid,
      id,
      ...(filter === undefined ? {} : { filter }),
      ...(cpu < 0 ? {} : { cpu }),
      count: 0n,
    })
    return this.#lastFd
  }

  read(fd: number): bigint {
    const open = this.#open.get(fd)
    if (!open || !this.isReadable) throw new ErrnoError('EBADF')
    return open.count
  }

  /** A nanosecond for each hit, and as long again elsewhere. */
  times(fd: number) {
    const running = this.read(fd)
    return { enabled: 2n * running, running }
  }

  close(fd: number): void {
    if (!this.#open.delete(fd)) throw new ErrnoError('EBADF')
  }

  /** A thread hits a tracepoint so many times, on CPU 0 where nothing else is said. */
  hit(tid: number, id: number, times: bigint, cpu = 0): void {
    for (const open of this.#open.values())
      if (open.tid === tid && open.id === id && (open.cpu ?? cpu) === cpu) open.count += times
  }
}
