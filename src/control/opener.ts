/**
 * Opens an event from a request: credentials, names, a fresh look at what is to be counted, then the perf core.
 * Counterpart: the part of sys_perf_event_open() around the core: descriptor numbers and the group's.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError, Failure, orThrow } from '../abi/errno.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import { decodeAttr } from '../abi/perf-event-attr-bytes.js'
import { attrToJson } from '../abi/perf-event-attr-json.js'
import type { MaybeLater } from '../kernfs/later.js'
import type { PerfCore } from '../perf/core.js'
import type { PerfEvent } from '../perf/event.js'
import type { PmuRegistry } from '../perf/registry.js'
import type { Answer } from './answer-file.js'
import type { EventTable, OpenEvent, Owner } from './event-table.js'
import { withFreshTarget } from './fresh-counts.js'
import type { OpenRequest } from './request.js'
import { resolveAttr } from './resolve.js'

/** What opening stands on. */
export interface OpenerOptions {
  readonly core: PerfCore
  readonly registry: PmuRegistry
  readonly events: EventTable
  /** The perf_event_attr size that the running kernel knows. */
  readonly attrSize: number
  /** The credentials of a thread that a request is made for. */
  readonly credentialsOf: (tid: number) => Caller | Failure
  /** When a thread began, in clock ticks since boot; undefined where it has ended. */
  readonly startTimeOf: (tid: number) => bigint | undefined
  /** The event of a handle. */
  readonly eventOfHandle: (id: number) => PerfEvent | undefined
}

/** A new event, with one reference for whoever asked. */
export interface Opened {
  readonly open: OpenEvent
  /** The request with its names resolved: asking for it again opens the same. */
  readonly request: Answer
}

export class Opener {
  readonly #options: OpenerOptions

  constructor(options: OpenerOptions) {
    this.#options = options
  }

  /** Opens the event, at once or when its counts are there. Throws the errno of perf_event_open(2). */
  open(request: OpenRequest, requester: Caller): MaybeLater<Opened> {
    const { registry, attrSize } = this.#options
    const caller = this.callerOf(request.callerTid, requester)
    const { attrBytes } = request
    const attr = attrBytes ? decodeAttr(attrBytes, attrSize) : resolveAttr(registry, request, attrSize)
    // The core refuses these bytes itself, in the kernel's order of checks.
    if (attr instanceof Failure)
      return this.#openNow(request, attrBytes ?? orThrow<perf_event_attr>(attr), caller)
    const target = { attr, tid: request.pid === 0 ? caller.tid : request.pid, caller }
    const pmu = registry.byType(attr.type)?.pmu
    return withFreshTarget(
      wanted => pmu?.refresher?.(wanted),
      target,
      () => this.#openNow(request, attrBytes ?? attr, caller),
    )
  }

  #openNow(request: OpenRequest, attr: perf_event_attr | Uint8Array, caller: Caller): Opened {
    const { core, events } = this.#options
    const { pid, cpu, flags } = request
    const event = orThrow(
      core.perf_event_open({
        attr,
        pid,
        cpu,
        flags,
        caller,
        group_fd: this.#groupOf(request),
        reserveFd: () => events.reserve(),
      }),
    )
    const { groupFd } = request
    return {
      open: events.add(event, this.#ownerOf(caller)),
      request: {
        ...attrToJson(attr instanceof Uint8Array ? event.attr : attr),
        pid,
        cpu,
        group_fd: groupFd,
        flags: Number(flags),
      },
    }
  }

  #groupOf({ groupFd, groupInode }: OpenRequest): PerfEvent | -1 | 'EBADF' {
    const { events, eventOfHandle } = this.#options
    if (groupInode !== undefined) return events.byInode(groupInode)?.event ?? 'EBADF'
    return groupFd === -1 ? -1 : (eventOfHandle(groupFd) ?? 'EBADF')
  }

  /** The events that this caller has opened: as the kernel has them, whatever they count and wherever they went. */
  ownedBy(caller: Caller): OpenEvent[] {
    return this.#options.events.ownedBy(this.#ownerOf(caller))
  }

  #ownerOf({ tid }: Caller): Owner {
    return { tid, startTime: this.#options.startTimeOf(tid) }
  }

  /** Root may ask for anybody, others for their own threads: the request is then judged by that thread's rights. */
  callerOf(callerTid: number | undefined, requester: Caller): Caller {
    if (callerTid === undefined) return requester
    const caller = orThrow(this.#options.credentialsOf(callerTid))
    if (requester.uid === 0 || requester.uid === caller.uid) return caller
    throw new ErrnoError(
      'EPERM',
      `Cannot ask for thread ${callerTid}: it belongs to user ${caller.uid}, not to ${requester.uid}`,
    )
  }
}
