/**
 * A QEMU guest that is counted through its QMP socket, on the side that may wait.
 *
 * One query is under way at a time. A guest that does not answer keeps its connection: those who wait get ETIMEDOUT,
 * each after his own time, and when it answers in the end the next query goes out.
 */
import { ErrnoError, type Failure } from '../../abi/errno.js'
import type { EventDescription } from '../../kvm/vm.js'
import type { ProcView } from '../discovery/proc-view.js'
import { startTimeOf } from '../discovery/process-scan.js'
import type { CountScope, VcpuDescription, VmCounts, VmDescription } from '../messages.js'
import { SharedRun } from '../shared-run.js'
import type { Timers } from '../timers.js'
import type { Problem } from '../uncounted.js'
import { type QmpClient, QmpError } from './client.js'
import { countedEvents, countsOf } from './counts.js'
import { checked, cpus, kvmInfo, nameInfo, stats, statsSchemas } from './schemas.js'

/** How long a look waits for the vCPUs of a guest that is counted: an answer that comes later is the next look's. */
const REFRESH_MS = 1000

/** A guest that answers, and cannot be counted. */
export class UncountableGuest extends Error {
  readonly problem: Problem
  /** The VMM's process, where it could be found. */
  readonly tgid: number | undefined
  readonly guestName: string | undefined

  constructor(problem: Problem, identity: Identity) {
    super(problem.reason)
    this.problem = problem
    this.tgid = identity.tgid
    this.guestName = identity.name
  }
}

interface Identity {
  readonly tgid: number | undefined
  readonly name: string | undefined
}

interface Cpu extends VcpuDescription {
  readonly path: string
}

/** What a guest needs besides its connection. */
export interface QmpGuestOptions {
  readonly client: QmpClient
  readonly view: ProcView
  readonly timers: Timers
  /** The socket, for messages. */
  readonly path: string
  /** How long whoever wants a snapshot waits. */
  readonly timeoutMs: number
}

const isTcg: Problem = {
  reason: 'it runs under TCG, not under KVM',
  remedy: 'start it with -accel kvm',
}
const isTooOld: Problem = {
  reason: 'its QEMU has no query-stats',
  remedy: 'use QEMU 7.1 or newer',
}
const isForeign: Problem = {
  reason: 'the thread ids that it gives are not in this pid namespace',
  remedy: 'run pmufs where its process can be seen, in the same container or on the host that runs it',
}

export class QmpGuest {
  readonly tgid: number
  readonly startTime: bigint
  readonly name: string | undefined
  readonly events: readonly EventDescription[]
  /** What is counted for the VM as a whole. */
  readonly wholeEvents: readonly EventDescription[]
  readonly #options: QmpGuestOptions
  readonly #snapshots: Readonly<Record<CountScope, SharedRun<VmCounts>>>
  #cpus: readonly Cpu[]
  #isAsking = false

  private constructor(
    options: QmpGuestOptions,
    facts: Pick<QmpGuest, 'tgid' | 'startTime' | 'name' | 'events' | 'wholeEvents'>,
    vcpus: readonly Cpu[],
  ) {
    this.tgid = facts.tgid
    this.startTime = facts.startTime
    this.name = facts.name
    this.events = facts.events
    this.wholeEvents = facts.wholeEvents
    this.#options = options
    this.#cpus = vcpus
    const { timers, timeoutMs, path } = options
    const message = `The guest on "${path}" did not answer within ${timeoutMs} ms: its counts were not read`
    const patience = { timers, ms: timeoutMs, message }
    const takes = (scope: CountScope) => new SharedRun(() => this.#takeSnapshot(scope), patience)
    this.#snapshots = { vcpu: takes('vcpu'), vm: takes('vm') }
  }

  /**
   * Asks a guest what it is.
   *
   * @throws {UncountableGuest} when it cannot be counted
   * @throws {ErrnoError} as QmpClient.execute() does
   */
  static async describe(options: QmpGuestOptions): Promise<QmpGuest> {
    const ask = (command: string, args?: Record<string, unknown>) =>
      options.client.execute(command, { timeoutMs: options.timeoutMs, ...(args && { arguments: args }) })
    const { name } = checked(nameInfo, await ask('query-name'), 'answer to query-name')
    const { enabled } = checked(kvmInfo, await ask('query-kvm'), 'answer to query-kvm')
    const list = checked(cpus, await ask('query-cpus-fast'), 'answer to query-cpus-fast')
    const tgid = options.view.processOf(list[0]?.['thread-id'] ?? 0)
    const startTime = tgid === undefined ? undefined : startTimeOf(options.view, tgid)
    if (!enabled) throw new UncountableGuest(isTcg, { tgid, name })
    if (tgid === undefined || startTime === undefined)
      throw new UncountableGuest(isForeign, { tgid: undefined, name })
    const vcpus = cpusOf(options.view, tgid, list)
    try {
      const answer = await ask('query-stats-schemas', { provider: 'kvm' })
      const schemas = checked(statsSchemas, answer, 'answer to query-stats-schemas')
      const events = countedEvents(schemas, 'vcpu')
      const wholeEvents = countedEvents(schemas, 'vm')
      return new QmpGuest(options, { tgid, startTime, name, events, wholeEvents }, vcpus)
    } catch (error) {
      const isMissing = error instanceof QmpError && error.errorClass === 'CommandNotFound'
      throw isMissing ? new UncountableGuest(isTooOld, { tgid, name }) : error
    }
  }

  /** The VM under a key that is given to it. */
  description(key: string): VmDescription {
    return {
      key,
      ...(this.name === undefined ? {} : { name: this.name }),
      tgid: this.tgid,
      startTime: this.startTime,
      isReal: true,
      source: 'qmp',
      vcpus: this.#cpus.map(({ id, tid, startTime }) => ({ id, tid, startTime })),
      events: this.events,
      whole: [{ source: 'qmp', events: this.wholeEvents }],
    }
  }

  /** Asks for counts that are taken from now on; `done` is called later, in the order of the calls. */
  snapshot(scope: CountScope, done: (result: VmCounts | Failure) => void): void {
    this.#snapshots[scope].request(done)
  }

  /** Asks again for the vCPUs; a guest that does not answer keeps the old ones, and nobody waits for it twice. */
  async refresh(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    const asked = this.#askCpus().finally(() => {
      this.#isAsking = false
    })
    const timeout = new Promise<void>(resolve => {
      this.#options.timers.after(REFRESH_MS, resolve)
    })
    await Promise.race([asked, timeout])
  }

  /** Ends the connection. Those who wait for a snapshot hear nothing more. */
  close(): void {
    for (const snapshots of Object.values(this.#snapshots)) snapshots.close()
    this.#options.client.close()
  }

  async #askCpus(): Promise<void> {
    try {
      const answer = await this.#options.client.execute('query-cpus-fast')
      this.#cpus = cpusOf(this.#options.view, this.tgid, checked(cpus, answer, 'answer to query-cpus-fast'))
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error
    }
  }

  /** Only what is wanted: a query of vCPUs interrupts each of them, one of the VM none. */
  async #takeSnapshot(scope: CountScope): Promise<VmCounts> {
    const events = scope === 'vcpu' ? this.events : this.wholeEvents
    const names = events.map(({ name }) => name)
    const answer = await this.#options.client.execute('query-stats', {
      arguments: { target: scope, providers: [{ provider: 'kvm', names }] },
    })
    const ids = new Map(this.#cpus.map(({ path, id }) => [path, id]))
    return countsOf(checked(stats, answer, 'answer to query-stats'), events, ids)
  }
}

/** The vCPUs whose threads are there, by their numbers in QEMU. */
function cpusOf(view: ProcView, tgid: number, list: ReturnType<typeof cpus.parse>): Cpu[] {
  return list
    .flatMap(cpu => {
      const tid = cpu['thread-id']
      const startTime = startTimeOf(view, tgid, tid)
      return startTime === undefined ? [] : [{ id: cpu['cpu-index'], tid, startTime, path: cpu['qom-path'] }]
    })
    .sort((a, b) => a.id - b.id)
}
