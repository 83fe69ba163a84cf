/**
 * The demo guest of a mount: started, offered when it is ready, withdrawn when it ends. A mount never fails because
 * of it, nor waits for it longer than its patience; what goes wrong is said, once.
 */
import type { VmDescription } from '../messages.js'
import type { Timers } from '../timers.js'
import type { Ready } from './protocol.js'

/** The demo guest's process. */
export interface DemoGuest {
  /** Undefined where it could not be started. */
  readonly pid: number | undefined
  /** Settles with its first words; rejects with why it has ended before. */
  readonly whenReady: Promise<Ready>
  /** Settles when it is gone, whoever ended it. */
  readonly ended: Promise<void>
  /** Describes it as a VM; throws where that cannot be. */
  describe(): VmDescription
  stop(): Promise<void>
}

/** What the demo guest is started by, and whom it is offered to. */
export interface DemoOwner {
  readonly launch: () => DemoGuest
  readonly offer: (vm: VmDescription) => void
  readonly withdraw: (key: string) => void
  /** Tells the user: what, why, what to do. */
  readonly report: (message: string) => void
  readonly timers: Timers
  /** Milliseconds that the mount waits, so that the guest is counted when the mount can be used. */
  readonly patienceMs: number
  /** What the user can do where there is no demo guest. */
  readonly remedy: string
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export class OfferedDemo {
  readonly #owner: DemoOwner
  #guest: DemoGuest | undefined
  #ready: Ready | undefined
  #isStopped = false

  constructor(owner: DemoOwner) {
    this.#owner = owner
  }

  /**
   * The guest's process while it lives, ready or not: it is offered by the name that it has here, and not to be found
   * another time. The number of one that has ended is any other process's next.
   */
  get pid(): number | undefined {
    return this.#guest?.pid
  }

  /** The guest's own words, once it is ready. */
  get ready(): Ready | undefined {
    return this.#ready
  }

  /** Starts the guest; settles when it is offered or has failed, and at the latest when patience is at its end. */
  async start(): Promise<void> {
    const { timers, patienceMs, report } = this.#owner
    const served = this.#serve()
    const isLate = await new Promise<boolean>(resolve => {
      const stopTimer = timers.after(patienceMs, () => resolve(true))
      void served.then(() => {
        stopTimer()
        return resolve(false)
      })
    })
    if (!isLate || this.#isStopped) return
    report(
      `the demo guest is not ready after ${Math.round(patienceMs / 1000)} s, this machine is busy or slow: going on without; it is counted as soon as it is ready, nothing need be done`,
    )
    void served.then(() => this.#reportArrival())
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#guest?.stop()
  }

  #reportArrival(): void {
    if (!this.#ready || this.#isStopped) return
    const isSimulated = this.#ready.kind === 'simulated' ? ' (SIMULATED)' : ''
    this.#owner.report(`the demo guest${isSimulated} is ready, and counted from now on`)
  }

  /** Settles when the guest is offered, or when it is said why it is not. */
  async #serve(): Promise<void> {
    try {
      const guest = this.#owner.launch()
      this.#guest = guest
      this.#ready = await guest.whenReady
      this.#offer(guest)
    } catch (error) {
      if (!this.#isStopped)
        this.#owner.report(`cannot count the demo guest: ${reasonOf(error)}; ${this.#owner.remedy}`)
      this.#ready = undefined
      await this.#guest?.stop()
      this.#guest = undefined
    }
  }

  #offer(guest: DemoGuest): void {
    if (this.#isStopped) return
    const vm = guest.describe()
    this.#owner.offer(vm)
    void this.#withdrawAtItsEnd(guest, vm.key)
  }

  async #withdrawAtItsEnd(guest: DemoGuest, key: string): Promise<void> {
    await guest.ended
    this.#guest = undefined
    this.#owner.withdraw(key)
    this.#ready = undefined
    if (!this.#isStopped) this.#owner.report(`the demo guest has ended by itself; ${this.#owner.remedy}`)
  }
}
