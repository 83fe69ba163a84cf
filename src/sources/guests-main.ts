/**
 * Guests, in the thread that may wait: looks for them once in a while and whenever it is asked to, keeps the QMP
 * connections, and tells the thread that serves what has changed.
 *
 * A VM's statistics come from one source for as long as it lives. Where both could, the descriptors are taken: one
 * pread(2) instead of a query that interrupts every vCPU. A VM that has neither is counted by tracepoints alone until
 * its QMP socket, where one was named, answers: then it is another VM to those who count.
 */
import { Failure } from '../abi/errno.js'
import type { DebugfsView } from './debugfs/vm-folder.js'
import { FETCH_TIMEOUT_MS, SCAN_INTERVAL_MS } from './defaults.js'
import { parseKvmUevent } from './discovery/kvm-uevent.js'
import type { Descriptors, ProcView } from './discovery/proc-view.js'
import { StatsGuests } from './discovery/stats-guests.js'
import { EagerLooks } from './eager-looks.js'
import type { CountScope, ToCore, ToMain, VmCounts, VmDescription } from './messages.js'
import type { QmpConnect } from './qmp/connection.js'
import type { QmpGuest } from './qmp/guest.js'
import { QmpSocket } from './qmp/socket.js'
import { runOf, SharedRun } from './shared-run.js'
import type { Timers } from './timers.js'
import type { Uncounted } from './uncounted.js'
import type { VmWatch, WatchVms } from './vm-watch.js'

/** The machine, as the main thread's side needs it. */
export interface GuestsMachine {
  readonly view: ProcView
  readonly descriptors: Descriptors
  readonly connect: QmpConnect
  readonly timers: Timers
  /** Where it may be read. */
  readonly debugfs?: DebugfsView | undefined
  /** Absent: only looks find guests that come and go. */
  readonly watch?: WatchVms | undefined
}

/** What to count, and how. */
export interface GuestsMainOptions {
  /** `demo` counts what offer() brings and the one process given, by its statistics. */
  readonly source: 'auto' | 'qmp' | 'stats' | 'tracepoint' | 'debugfs' | 'demo'
  /** Whether tracepoints can count here. */
  readonly tracepoints?: boolean
  /** Paths of QMP sockets. */
  readonly sockets?: readonly string[]
  /** Look at this process alone. */
  readonly process?: number
  /** How long from one look to the next. */
  readonly periodMs?: number | undefined
  /** How long a guest may take to answer. */
  readonly timeoutMs?: number | undefined
}

/** Of so many looks in a row one is thorough; one that was asked for always is. */
const THOROUGH_EVERY = 10

export class GuestsMain {
  readonly #timers: Timers
  readonly #post: (message: ToCore) => void
  readonly #options: GuestsMainOptions
  readonly #stats: StatsGuests
  readonly #sockets: readonly QmpSocket[]
  readonly #looks = new SharedRun(() => this.#look())
  readonly #eagerLooks: EagerLooks
  readonly #watchVms: WatchVms | undefined
  #watch: VmWatch | undefined
  readonly #offered = new Map<string, VmDescription>()
  readonly #keys = new WeakMap<QmpGuest, string>()
  /** What the core was told of, with the text that tells whether it has changed. */
  #told = new Map<string, { readonly vm: VmDescription; readonly text: string }>()
  #found: readonly VmDescription[] = []
  #uncounted: readonly Uncounted[] = []
  #isAnyFound = false
  #lookCount = 0
  #keyCount = 0
  #isThorough = true
  #isStopped = false
  #stopTimer: () => void = () => {}

  /** @param post sends a message to the core; whatever it is given may be sent to another thread */
  constructor(machine: GuestsMachine, options: GuestsMainOptions, post: (message: ToCore) => void) {
    const { view, connect, timers, watch } = machine
    this.#timers = timers
    this.#post = post
    this.#options = options
    this.#watchVms = watch
    this.#eagerLooks = new EagerLooks(timers, this.#periodMs, () => this.#looks.request(() => {}))
    const isOnly = (source: GuestsMainOptions['source']) => options.source === source
    const countable = {
      stats: !isOnly('tracepoint') && !isOnly('debugfs'),
      threads: options.tracepoints ?? false,
      debugfs: isOnly('auto') || isOnly('debugfs'),
    }
    this.#stats = new StatsGuests({ ...machine, countable })
    const usesQmp = options.source === 'auto' || options.source === 'qmp'
    const timeoutMs = options.timeoutMs ?? FETCH_TIMEOUT_MS
    const socketOptions = { connect, view, timers, timeoutMs, onGone: () => this.#tell() }
    this.#sockets = usesQmp ? (options.sockets ?? []).map(path => new QmpSocket(path, socketOptions)) : []
  }

  /** The VMs that are counted. */
  get vms(): readonly VmDescription[] {
    return [...this.#told.values()].map(({ vm }) => vm)
  }

  /** Whether there is any VM on this machine, counted or not. */
  get isAnyVm(): boolean {
    return this.#told.size > 0 || this.#isAnyFound
  }

  /** What was found and cannot be counted, and why. */
  get uncounted(): readonly Uncounted[] {
    const sockets = this.#sockets.flatMap(({ uncounted }) => uncounted ?? [])
    const explained = new Set([...this.#qmpProcesses(), ...sockets.map(({ tgid }) => tgid)])
    return [...sockets, ...this.#uncounted.filter(({ tgid }) => !explained.has(tgid))]
  }

  /** Looks once, and again from then on; resolves when the first look is done. */
  async start(): Promise<void> {
    this.#watch = this.#watchVms?.({
      uevent: message => this.#hear(message),
      changed: () => this.#looks.request(() => {}),
    })
    await this.scan()
    this.#wait()
  }

  /** Looks for guests now, with whoever else asks; the core knows what was found when this resolves. */
  scan(): Promise<void> {
    this.#isThorough = true
    return runOf(this.#looks)
  }

  /** Ends the connections and looks no more. The core keeps what it has. */
  stop(): void {
    this.#isStopped = true
    this.#watch?.close()
    this.#eagerLooks.stop()
    this.#stopTimer()
    this.#looks.close()
    for (const socket of this.#sockets) socket.close()
  }

  /** Adds a VM that /proc does not show as one: the simulated guest. */
  offer(vm: VmDescription): void {
    this.#offered.set(vm.key, vm)
    this.#tell()
  }

  /** Takes away a VM that was offered. */
  withdraw(key: string): void {
    this.#offered.delete(key)
    this.#tell()
  }

  /** Takes a message of the core. */
  receive(message: ToMain): void {
    const { kind, ticket } = message
    if (kind === 'fetch') {
      this.#fetch(ticket, message)
    } else {
      this.#isThorough = true
      this.#looks.request(() => this.#post({ kind: 'scanned', ticket }))
    }
  }

  #fetch(ticket: number, { key, scope }: { readonly key: string; readonly scope: CountScope }): void {
    const guest = this.#qmpGuests().find(each => this.#keys.get(each) === key)
    const answer = (result: VmCounts | Failure) => {
      if (result instanceof Failure)
        this.#post({ kind: 'fetch-failed', ticket, code: result.code, message: result.message })
      else this.#post({ kind: 'fetched', ticket, scope, counts: result })
    }
    if (guest) guest.snapshot(scope, answer)
    else answer(new Failure('ESRCH', 'The VM has gone: its counts stand still'))
  }

  get #periodMs(): number {
    return this.#options.periodMs ?? SCAN_INTERVAL_MS
  }

  /** A VM that was made has no vCPUs yet; one that was destroyed is seen at once. */
  #hear(message: Uint8Array): void {
    const uevent = parseKvmUevent(message)
    if (!uevent) return
    this.#stats.suspect(uevent.tid)
    if (uevent.event === 'create') this.#eagerLooks.begin()
    else this.#looks.request(() => {})
  }

  #wait(): void {
    if (this.#isStopped) return
    this.#stopTimer = this.#timers.after(this.#periodMs, () => {
      this.#looks.request(() => this.#wait())
    })
  }

  async #look(): Promise<void> {
    this.#lookCount += 1
    const isThorough = this.#isThorough || this.#lookCount % THOROUGH_EVERY === 0
    this.#isThorough = false
    const served = new Set<number>()
    if (this.#options.source !== 'qmp') {
      const qmp = this.#qmpProcesses()
      const found = await this.#stats.look(isThorough, tgid => this.#accepts(tgid) && !qmp.has(tgid))
      this.#found = found.vms
      this.#uncounted = found.uncounted
      this.#isAnyFound = found.isAny
      for (const { tgid, source } of found.vms) if (source === 'stats') served.add(tgid)
    }
    await Promise.all(this.#sockets.map(socket => socket.look(tgid => served.has(tgid))))
    this.#tell()
  }

  #accepts(tgid: number): boolean {
    const { source, process } = this.#options
    return process === undefined ? source !== 'demo' : tgid === process
  }

  #qmpGuests(): QmpGuest[] {
    return this.#sockets.flatMap(({ guest }) => guest ?? [])
  }

  #qmpProcesses(): Set<number | undefined> {
    return new Set(this.#qmpGuests().map(({ tgid }) => tgid))
  }

  #keyOf(guest: QmpGuest): string {
    let key = this.#keys.get(guest)
    if (key === undefined) {
      this.#keyCount += 1
      key = `qmp:${guest.tgid}.${guest.startTime}:${this.#keyCount}`
      this.#keys.set(guest, key)
    }
    return key
  }

  /** Tells the core what is not as it was told before. */
  #tell(): void {
    if (this.#isStopped) return
    const before = this.#told
    const qmp = this.#qmpGuests().map(guest => guest.description(this.#keyOf(guest)))
    const withQmp = this.#qmpProcesses()
    const vms = [...this.#found.filter(({ tgid }) => !withQmp.has(tgid)), ...qmp, ...this.#offered.values()]
    this.#told = new Map(vms.map(vm => [vm.key, { vm, text: textOf(vm) }]))
    this.#watch?.follow(new Set(this.#found.map(({ tgid }) => tgid)))
    // The dead first: a name that is free again is the next VM's.
    for (const key of before.keys()) if (!this.#told.has(key)) this.#post({ kind: 'vm-removed', key })
    for (const [key, { vm, text }] of this.#told) {
      const told = before.get(key)
      if (!told) this.#post({ kind: 'vm-added', vm })
      else if (told.text !== text) this.#post({ kind: 'vm-changed', vm })
    }
  }
}

/** A text that changes when a VM's vCPUs do, or where its own counts come from. */
const textOf = ({ vcpus, pending, whole }: VmDescription): string =>
  [
    ...vcpus.map(({ id, tid, startTime, statsFd }) => `${id} ${tid} ${startTime} ${statsFd}`),
    JSON.stringify([pending, whole]),
  ].join('\n')
