/**
 * The handles of a mount: numbered ones that `control` makes, named ones that mkdir makes, and the folder that shows
 * them. Ids are never used again; a name is free again once its handle is closed.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError, orThrow } from '../abi/errno.js'
import { dynamicDirectory, type RemovableDirectory } from '../kernfs/directory.js'
import type { Owner } from '../kernfs/inode.js'
import { chain, type MaybeLater } from '../kernfs/later.js'
import type { Directory } from '../kernfs/node.js'
import type { PerfEvent } from '../perf/event.js'
import type { EventTable } from './event-table.js'
import { Handle } from './handle.js'
import type { Opened } from './opener.js'
import { type OpenRequest, parseRequest } from './request.js'

/** The longest name of a handle, in bytes: what statfs(2) promises for every folder. */
const NAME_MAX = 255

/** What the table stands on. */
export interface HandleTableOptions {
  readonly owner: Owner
  readonly events: EventTable
  readonly limit: number
  readonly open: (request: OpenRequest, caller: Caller) => MaybeLater<Opened>
}

export class HandleTable {
  readonly directory: RemovableDirectory
  readonly #options: HandleTableOptions
  readonly #byName = new Map<string, Handle>()
  readonly #byId = new Map<number, Handle>()
  #lastId = 0

  constructor(options: HandleTableOptions) {
    this.#options = options
    this.directory = dynamicDirectory({
      owner: options.owner,
      mode: 0o700,
      names: () => this.#byName.keys(),
      child: name => this.#byName.get(name)?.directory,
      subdirectories: () => this.#byName.size,
      mkdir: name => this.#makeNamed(name),
      rmdir: name => this.close(name),
    })
  }

  /** Opens a numbered handle. */
  open(request: OpenRequest, caller: Caller): MaybeLater<Handle> {
    this.#checkLimit()
    return chain(this.#options.open(request, caller), opened => {
      const handle = this.#add()
      handle.attach(opened)
      return handle
    })
  }

  /** Closes a handle by its id or name. Throws ENOENT where there is none. */
  close(name: string): void {
    const handle = this.#byName.get(name)
    if (!handle)
      throw new ErrnoError('ENOENT', `There is no handle "${name.slice(0, 40)}": handles/ lists them`)
    this.#byName.delete(name)
    this.#byId.delete(handle.id)
    handle.close()
  }

  /** The event of a handle, by its id. */
  eventOf(id: number): PerfEvent | undefined {
    return this.#byId.get(id)?.event
  }

  #add(name?: string): Handle {
    this.#lastId += 1
    const { owner, events, open } = this.#options
    const handle = new Handle({
      id: this.#lastId,
      name: name ?? String(this.#lastId),
      owner,
      events,
      open: (text, caller) => {
        const request = parseRequest(text)
        if (request.op === 'open') return open(request, caller)
        throw new ErrnoError(
          'EINVAL',
          "A handle's attr takes a perf_event_attr; to close the handle, remove its folder",
        )
      },
    })
    this.#byName.set(handle.name, handle)
    this.#byId.set(handle.id, handle)
    return handle
  }

  #makeNamed(name: string): Directory {
    if (/^\d+$/.test(name))
      throw new ErrnoError(
        'EINVAL',
        `Cannot name a handle "${name}": digits alone are ids, which control gives`,
      )
    if (Buffer.byteLength(name) > NAME_MAX)
      throw new ErrnoError('ENAMETOOLONG', `Cannot make a handle whose name is longer than ${NAME_MAX} bytes`)
    if (this.#byName.has(name)) throw new ErrnoError('EEXIST', `There is a handle "${name}" already`)
    this.#checkLimit()
    return this.#add(name).directory
  }

  #checkLimit(): void {
    const { limit, events } = this.#options
    if (this.#byName.size >= limit)
      throw new ErrnoError(
        'EMFILE',
        `${limit} handles are open, which is the limit: close some, or mount with a larger --max-handles`,
      )
    orThrow(events.reserve())
  }
}
