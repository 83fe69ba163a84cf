/**
 * An open file that is a perf event descriptor: what read(2), ioctl(2) and poll(2) do on one.
 * Counterpart: perf_fops in kernel/events/core.c.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_REFRESH,
  PERF_EVENT_IOC_RESET,
} from '../abi/perf-event.js'
import type { MaybeLater } from '../kernfs/later.js'
import type { IoctlReply, IoctlRequest, OpenFile } from '../kernfs/node.js'
import { perf_ioctl, perf_poll, perf_read } from '../perf/event-file.js'
import type { OpenEvent } from './event-table.js'
import { type Freshness, withFreshCounts } from './fresh-counts.js'

/** The commands that use a count: one that stops keeps the last count where no fresh one can be had. */
const freshnessOf = new Map<number, Freshness>([
  [PERF_EVENT_IOC_ENABLE, 'required'],
  [PERF_EVENT_IOC_REFRESH, 'required'],
  [PERF_EVENT_IOC_RESET, 'required'],
  [PERF_EVENT_IOC_DISABLE, 'preferred'],
])

/** A descriptor of an open event; it holds the reference that it was given. */
export class EventDescriptor implements OpenFile {
  readonly isStream = true
  readonly #open: OpenEvent
  /** What wakes those who sleep on this descriptor: one function for as long as it is open. */
  #wake: (() => void) | undefined

  constructor(open: OpenEvent) {
    this.#open = open
  }

  read(_offset: number, size: number): MaybeLater<Uint8Array> {
    const { event } = this.#open
    return withFreshCounts(event, 'required', () => perf_read(event, size))
  }

  write(): never {
    throw new ErrnoError('EINVAL', 'An event takes no data')
  }

  ioctl(request: IoctlRequest, caller: Caller): MaybeLater<IoctlReply> {
    const { event } = this.#open
    const freshness = freshnessOf.get(request.cmd)
    const run = () => perf_ioctl(event, request, { caller })
    return freshness === undefined ? run() : withFreshCounts(event, freshness, run)
  }

  poll(_events: number, wake: (() => void) | undefined): number {
    if (wake) this.#wake = wake
    return perf_poll(this.#open.event, wake)
  }

  /** The event may live on under other descriptors: nothing of this one stays with it. */
  release(): void {
    const { event } = this.#open
    if (this.#wake) event.waiters.delete(this.#wake)
    this.#open.drop()
  }
}
