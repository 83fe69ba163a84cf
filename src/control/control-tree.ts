/** `control`, `handles/` and `perf_event_open`, put together over one perf core. */
import type { Caller } from '../abi/caller.js'
import type { Failure } from '../abi/errno.js'
import type { Owner } from '../kernfs/inode.js'
import type { Directory, File } from '../kernfs/node.js'
import type { PerfCore } from '../perf/core.js'
import type { PmuRegistry } from '../perf/registry.js'
import { controlFile } from './control-file.js'
import { EventTable } from './event-table.js'
import { HandleTable } from './handle-table.js'
import { Opener } from './opener.js'
import { switchOwned } from './owned-events.js'
import { perfEventOpenFile } from './perf-event-open-file.js'

/** What the three stand on. */
export interface ControlTreeOptions {
  readonly owner: Owner
  readonly core: PerfCore
  readonly registry: PmuRegistry
  /** How many events may be open. */
  readonly maxHandles: number
  /** The perf_event_attr size that the running kernel knows. */
  readonly attrSize: number
  /** The credentials of a thread that a request is made for. */
  readonly credentialsOf: (tid: number) => Caller | Failure
  /** When a thread began, in clock ticks since boot; undefined where it has ended. */
  readonly startTimeOf: (tid: number) => bigint | undefined
}

/** The children of the mount's root; a function makes a fresh node for each look-up. */
export interface ControlTree {
  readonly control: () => File
  readonly handles: Directory
  readonly perf_event_open: () => File
}

/** Makes them. */
export function controlTree(options: ControlTreeOptions): ControlTree {
  const { owner, core, registry, maxHandles, attrSize, credentialsOf, startTimeOf } = options
  const events = new EventTable(maxHandles)
  const handles: HandleTable = new HandleTable({
    owner,
    events,
    limit: maxHandles,
    open: (request, caller) => opener.open(request, caller),
  })
  const opener = new Opener({
    core,
    registry,
    events,
    attrSize,
    credentialsOf,
    startTimeOf,
    eventOfHandle: id => handles.eventOf(id),
  })
  return {
    control: () => controlFile(handles, { owner }),
    handles: handles.directory,
    perf_event_open: () =>
      perfEventOpenFile({
        owner,
        events,
        open: (request, caller) => opener.open(request, caller),
        prctl: (request, requester) => switchOwned(opener, request, requester),
      }),
  }
}
