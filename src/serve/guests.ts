/**
 * The guests of a mount, in the main thread: discovery, QMP, and the demo guest where there is no VM.
 * What is found before the mount is served waits for it.
 */
import { ErrnoError } from '../abi/errno.js'
import { knownCounts } from '../kvm/event-table.js'
import { debugfsView } from '../os/debugfs.js'
import { launchDemo } from '../os/demo-process.js'
import { descriptors } from '../os/descriptors.js'
import { procView } from '../os/proc-view.js'
import { connectSocket } from '../os/unix-socket.js'
import { LinuxVmWatch } from '../os/vm-watch.js'
import { OfferedDemo } from '../sources/demo/offered-demo.js'
import { GuestsMain } from '../sources/guests-main.js'
import type { ToCore, ToMain, VmDescription } from '../sources/messages.js'
import { systemTimers } from '../sources/timers.js'
import type { TracepointCatalogue } from '../sources/tracepoint/catalogue.js'
import type { Uncounted } from '../sources/uncounted.js'
import type { Served } from './served.js'

/** What the command line says about guests. */
export interface GuestsOptions {
  readonly source: 'auto' | 'qmp' | 'stats' | 'tracepoint' | 'debugfs' | 'demo'
  /** Whether `auto` starts the demo guest where there is no VM; it does where this is not given. */
  readonly demoIfNone?: boolean
  readonly qmp: readonly string[]
  /** Milliseconds that a guest may take to answer. */
  readonly fetchTimeout?: number | undefined
  /** Milliseconds from one look to the next. */
  readonly scanInterval?: number | undefined
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

/**
 * How long a mount waits for its demo guest, in milliseconds: five times what this program has taken since its own start,
 * as a machine that is slow for the one is slow for the other, but from 5 to 60 s.
 */
const demoPatience = (): number => Math.min(60_000, Math.max(5000, 5 * performance.now()))

const whoIs = ({ name, tgid, socket }: Uncounted): string =>
  [name && `VM "${name}"`, tgid && `process ${tgid}`, socket && `QMP socket ${socket}`]
    .filter(Boolean)
    .join(', ')

export class Guests {
  readonly #options: GuestsOptions
  readonly #main: GuestsMain
  readonly #waiting: ToCore[] = []
  #served: Served | undefined
  readonly #demo: OfferedDemo

  /**
   * @param tracepoints what they can count; undefined where they are not to be used
   * @param report tells the user: what, why, what to do
   * @throws {ErrnoError} EOPNOTSUPP when debugfs alone was asked for, and cannot be read
   */
  constructor(
    options: GuestsOptions,
    tracepoints: TracepointCatalogue | undefined,
    report: (message: string) => void,
  ) {
    this.#options = options
    const { source, qmp, fetchTimeout, scanInterval } = options
    const debugfs = debugfsView(knownCounts)
    if (source === 'debugfs' && !debugfs)
      throw new ErrnoError(
        'EOPNOTSUPP',
        'Cannot count by debugfs: it cannot be mounted, or this is a pid namespace whose numbers it does not have; run pmufs as root, and outside of containers',
      )
    // The demo guest is offered by the name that it has here: discovery is not to find it a second time.
    const view = {
      ...procView,
      processes: () => procView.processes().filter(tgid => tgid !== this.#demo.pid),
    }
    this.#main = new GuestsMain(
      {
        view,
        descriptors,
        connect: connectSocket,
        timers: systemTimers,
        debugfs,
        watch: handlers => new LinuxVmWatch(handlers),
      },
      {
        source,
        sockets: qmp,
        timeoutMs: fetchTimeout,
        periodMs: scanInterval,
        tracepoints: (tracepoints?.events ?? []).length > 0,
      },
      message => this.#post(message),
    )
    this.#demo = new OfferedDemo({
      launch: launchDemo,
      offer: vm => this.#main.offer(vm),
      withdraw: key => this.#main.withdraw(key),
      report,
      remedy: `${source === 'demo' ? '' : 'start a VM, which is found by itself, or '}mount again to try once more`,
      timers: systemTimers,
      patienceMs: demoPatience(),
    })
  }

  /**
   * Looks for guests, and starts the demo guest where it is asked for or there is no VM. One that is slow is counted
   * later, one that fails is not: neither ends the mount.
   */
  async start(): Promise<void> {
    const { source, demoIfNone = true } = this.#options
    if (source !== 'demo') await this.#main.start()
    if (source === 'demo' || (source === 'auto' && demoIfNone && !this.#main.isAnyVm))
      await this.#demo.start()
  }

  /** What the core is to be told first. */
  takeMessages(): ToCore[] {
    return this.#waiting.splice(0)
  }

  /** Tells the core of everything from now on. */
  follow(served: Served): void {
    this.#served = served
    for (const message of this.takeMessages()) served.deliver(message)
  }

  /** Takes what the core asks for. */
  receive(message: ToMain): void {
    this.#main.receive(message)
  }

  /** Who is counted, and who is not and why: a line each. */
  summary(): readonly string[] {
    const vms = this.#main.vms.map(vm => `counting ${this.#describe(vm)}`)
    const others = this.#main.uncounted.map(
      each => `not counting ${whoIs(each)}: ${each.reason}; ${each.remedy}`,
    )
    return [...vms, ...others]
  }

  async stop(): Promise<void> {
    this.#main.stop()
    await this.#demo.stop()
  }

  #describe({ name, tgid, vcpus, pending = [], source }: VmDescription): string {
    const count = plural(vcpus.length + pending.length, 'vCPU')
    const text = `${name ?? `pid-${tgid}`}: process ${tgid}, ${count}, source ${source}`
    const { ready } = this.#demo
    if (tgid !== ready?.pid) return text
    const { kind, reason } = ready
    if (kind === 'kvm') return `${text} (the built-in demo guest)`
    return `${text} (SIMULATED: the built-in demo guest without KVM${reason ? `, as ${reason}` : ''})`
  }

  #post(message: ToCore): void {
    if (this.#served) this.#served.deliver(message)
    else this.#waiting.push(message)
  }
}
