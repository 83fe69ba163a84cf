/**
 * The file `perf_event_open`: open it, write one request, and that descriptor is the event itself.
 * It ends with its last close, wherever a copy of it went. A request that was refused may be followed by another.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import { POLLERR } from '../abi/fs.js'
import { chain, type MaybeLater } from '../kernfs/later.js'
import type { File, IoctlReply, IoctlRequest, OpenFile } from '../kernfs/node.js'
import { type Answer, checkLength, isBlank, refusal, settle } from './answer-file.js'
import { EventDescriptor } from './event-descriptor.js'
import type { EventTable } from './event-table.js'
import type { Opened } from './opener.js'
import { type OpenRequest, type PrctlRequest, parseRequest } from './request.js'
import { type RequestFileOptions, requestFile } from './request-file.js'

/** What the file stands on. */
export interface PerfEventOpenOptions extends RequestFileOptions {
  readonly events: EventTable
  readonly open: (request: OpenRequest, caller: Caller) => MaybeLater<Opened>
  /** Switches the events of a thread: the descriptor stays without one. */
  readonly prctl: (request: PrctlRequest, requester: Caller) => MaybeLater<void>
}

class RequestedEvent implements OpenFile {
  readonly isStream = true
  readonly #options: PerfEventOpenOptions
  readonly #ino: bigint
  #event: EventDescriptor | undefined
  #refusal: Answer | undefined
  #isBusy = false
  #isReleased = false

  constructor(options: PerfEventOpenOptions, ino: bigint) {
    this.#options = options
    this.#ino = ino
  }

  /** The event's; or, after a request that was refused, why. */
  read(offset: number, size: number): MaybeLater<Uint8Array> {
    if (this.#event) return this.#event.read(offset, size)
    if (!this.#refusal) throw this.#unopened()
    const text = Buffer.from(`${JSON.stringify(this.#refusal)}\n`)
    this.#refusal = undefined
    return text.subarray(0, size)
  }

  write(_offset: number, data: Uint8Array, caller: Caller): MaybeLater<number> {
    if (this.#event) return this.#event.write()
    if (this.#isBusy) throw new ErrnoError('EBUSY', 'A request on this descriptor is being answered')
    const { length } = data
    if (isBlank(data)) return length
    this.#isBusy = true
    const done = settle(
      () => {
        checkLength(data)
        return this.#run(Buffer.from(data).toString(), caller)
      },
      error => {
        this.#isBusy = false
        this.#refusal = refusal(error)
      },
    )
    return chain(done, () => {
      this.#isBusy = false
      return length
    })
  }

  ioctl(request: IoctlRequest, caller: Caller): MaybeLater<IoctlReply> {
    if (!this.#event) throw this.#unopened()
    return this.#event.ioctl(request, caller)
  }

  poll(events: number, wake: (() => void) | undefined): number {
    return this.#event ? this.#event.poll(events, wake) : POLLERR
  }

  release(): void {
    this.#isReleased = true
    this.#event?.release()
    this.#event = undefined
  }

  #run(text: string, caller: Caller): MaybeLater<void> {
    const request = parseRequest(text)
    if (request.op === 'open')
      return chain(this.#options.open(request, caller), opened => this.#become(opened))
    if (request.op === 'prctl') return this.#options.prctl(request, caller)
    throw new ErrnoError('EINVAL', 'This file opens events; handles are closed through control')
  }

  #become({ open }: Opened): void {
    if (this.#isReleased) {
      open.drop()
      return
    }
    this.#options.events.bind(this.#ino, open)
    this.#event = new EventDescriptor(open)
  }

  #unopened(): ErrnoError {
    return new ErrnoError('ENODEV', 'No event yet: write a perf_event_attr as JSON to this descriptor first')
  }
}

/** Makes one node of `perf_event_open`: each look-up wants its own, and an event is known by its inode number. */
export const perfEventOpenFile = (options: PerfEventOpenOptions): File =>
  requestFile(options, ino => new RequestedEvent(options, ino))
