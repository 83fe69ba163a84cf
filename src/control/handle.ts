/**
 * One handle: the folder `handles/<name>/` and the event it names, if it is open.
 *
 * The folder exists before the event where mkdir made it; then every file but `attr` and `state` answers ENODEV.
 * A handle holds one reference to its event.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_RESET,
  PERF_EVENT_STATE_ERROR,
  PERF_EVENT_STATE_INACTIVE,
} from '../abi/perf-event.js'
import { type AttributeFile, attributeFile } from '../kernfs/attribute-file.js'
import { type RemovableDirectory, staticDirectory } from '../kernfs/directory.js'
import type { Owner } from '../kernfs/inode.js'
import { chain, type MaybeLater } from '../kernfs/later.js'
import type { File } from '../kernfs/node.js'
import type { PerfEvent } from '../perf/event.js'
import { perf_event_read_value, perf_ioctl } from '../perf/event-file.js'
import { type Answer, AnswerFile, settle } from './answer-file.js'
import { EventDescriptor } from './event-descriptor.js'
import type { EventTable, OpenEvent } from './event-table.js'
import { withFreshCounts } from './fresh-counts.js'
import type { Opened } from './opener.js'
import { requestFile } from './request-file.js'
import { parseSwitch } from './switch.js'

/** What a handle stands on. */
export interface HandleOptions {
  readonly id: number
  /** The folder's name: the id, or what mkdir gave. */
  readonly name: string
  readonly owner: Owner
  readonly events: EventTable
  /** Opens what the JSON asks for. */
  readonly open: (text: string, caller: Caller) => MaybeLater<Opened>
}

const ignored = new Uint8Array(0)

/** What read(2) says by the end of the file, text has to say by an errno: there is no count. */
function countOf(event: PerfEvent): bigint {
  const { count } = perf_event_read_value(event)
  if (event.state === PERF_EVENT_STATE_ERROR)
    throw new ErrnoError('EIO', 'The event is pinned and found no room: nothing is counted')
  return count
}

export class Handle {
  readonly id: number
  readonly name: string
  readonly directory: RemovableDirectory
  readonly #options: HandleOptions
  #opened: Opened | undefined
  #isOpening = false
  #isClosed = false

  constructor(options: HandleOptions) {
    this.id = options.id
    this.name = options.name
    this.#options = options
    const { owner } = options
    this.directory = staticDirectory({
      owner,
      mode: 0o700,
      children: {
        attr: this.#attrFile(),
        count: this.#text(event => withFreshCounts(event, 'required', () => countOf(event))),
        enable: this.#enableFile(),
        event: this.#eventFile(),
        id: this.#text(event => event.id),
        reset: this.#resetFile(),
        state: attributeFile({
          owner,
          mode: 0o400,
          show: () => `${this.#opened?.open.event.stateName ?? 'unopened'}\n`,
        }),
        time_enabled: this.#text(event => perf_event_read_value(event).enabled),
        time_running: this.#text(event => perf_event_read_value(event).running),
      },
    })
  }

  /** The open event, or undefined while there is none. */
  get event(): PerfEvent | undefined {
    return this.#opened?.open.event
  }

  /** What the request that opened it is answered. */
  get answer(): Answer {
    return { handle: this.id, path: `handles/${this.name}` }
  }

  /** Makes the handle name an event, whose reference it takes over. */
  attach(opened: Opened): void {
    this.#opened = opened
  }

  /** Ends the handle: its files answer ENODEV, its reference is given back. */
  close(): void {
    this.#isClosed = true
    this.directory.remove()
    this.#opened?.open.drop()
    this.#opened = undefined
  }

  #need(): OpenEvent {
    if (this.#opened) return this.#opened.open
    throw new ErrnoError(
      'ENODEV',
      `Handle "${this.name}" is not open: write a perf_event_attr as JSON to its attr`,
    )
  }

  /** A file that shows one number of the event. */
  #text(value: (event: PerfEvent) => MaybeLater<bigint>): AttributeFile {
    return attributeFile({
      owner: this.#options.owner,
      mode: 0o400,
      show: () => chain(value(this.#need().event), number => `${number}\n`),
    })
  }

  #command(cmd: number, isFreshNeeded: boolean): MaybeLater<void> {
    const open = this.#need()
    return withFreshCounts(open.event, isFreshNeeded ? 'required' : 'preferred', () => {
      perf_ioctl(open.event, { cmd, arg: 0n, input: ignored })
    })
  }

  #enableFile(): AttributeFile {
    return attributeFile({
      owner: this.#options.owner,
      mode: 0o600,
      show: () => (this.#need().event.state >= PERF_EVENT_STATE_INACTIVE ? '1\n' : '0\n'),
      store: text => {
        const isOn = parseSwitch(text)
        return this.#command(isOn ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, isOn)
      },
    })
  }

  #resetFile(): AttributeFile {
    return attributeFile({
      owner: this.#options.owner,
      mode: 0o200,
      store: text => {
        if (!parseSwitch(text)) throw new ErrnoError('EINVAL', 'Cannot reset with 0: write 1')
        return this.#command(PERF_EVENT_IOC_RESET, true)
      },
    })
  }

  #eventFile(): File {
    const { owner, events } = this.#options
    return requestFile({ owner }, ino => {
      const open = this.#need()
      events.bind(ino, open)
      return new EventDescriptor(open.hold())
    })
  }

  #attrFile(): File {
    return requestFile(this.#options, () => {
      const run = (text: string, caller: Caller) => this.#openFromAttr(text, caller)
      return new AnswerFile(run, () => this.#request())
    })
  }

  #request(): Answer {
    this.#need()
    return this.#opened?.request ?? {}
  }

  #openFromAttr(text: string, caller: Caller): MaybeLater<Answer> {
    if (this.#isClosed) throw this.#closedError()
    if (this.#opened || this.#isOpening)
      throw new ErrnoError(
        'EBUSY',
        `Handle "${this.name}" is open already: close it with rmdir, or make another`,
      )
    this.#isOpening = true
    const opened = settle(
      () => this.#options.open(text, caller),
      () => {
        this.#isOpening = false
      },
    )
    return chain(opened, result => this.#take(result))
  }

  #take(opened: Opened): Answer {
    this.#isOpening = false
    if (this.#isClosed) {
      opened.open.drop()
      throw this.#closedError()
    }
    this.attach(opened)
    return this.answer
  }

  #closedError(): ErrnoError {
    return new ErrnoError('ENODEV', `Handle "${this.name}" is closed`)
  }
}
