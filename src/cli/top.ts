/**
 * `pmufs top`: rates per vCPU and event. It is a client of the mount like any other: one handle an event and vCPU,
 * opened through `control`, read as text, closed at the end.
 */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOf } from '../abi/errno.js'
import { ask } from './ask.js'
import { CommandError } from './fail.js'
import { findMount, usingMount } from './find-mount.js'
import { formatTable } from './table.js'
import { readEvents, readVms, type VmRow } from './vm-tree.js'

interface Options {
  readonly mount?: string
  readonly event: readonly string[]
  readonly interval: number
  readonly count?: number
}

interface Row {
  readonly vm: string
  readonly kind: string
  readonly vcpu: string
  readonly event: string
  readonly tid: number
  readonly handle: number
  readonly countFile: string
  last: bigint
  /** Undefined where the count could not be read. */
  rate: number | undefined
}

/** What a request gives on a mount that has ended, or that ends meanwhile. */
const mountEnded: readonly string[] = ['ENOTCONN', 'ECONNABORTED']

const keyOf = (tid: number, event: string) => `${tid} ${event}`

class Top {
  readonly #mount: string
  readonly #control: number
  /** Those that were asked for; none: those of each VM that cost it nothing. */
  readonly #events: readonly string[]
  readonly #rows = new Map<string, Row>()

  constructor(mount: string, events: readonly string[]) {
    this.#mount = mount
    this.#control = openSync(join(mount, 'control'), 'r+')
    this.#events = events
  }

  /** Opens what is new, drops what is gone, reads the rest; `seconds` have passed since the last time. */
  update(seconds: number): readonly Row[] {
    const wanted = new Set<string>()
    for (const vm of readVms(this.#mount)) this.#follow(vm, wanted)
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) this.#read(row, seconds)
      else this.#close(key, row)
    }
    return [...this.#rows.values()]
  }

  /** Closes everything. Where the mount has ended before, its handles have too. */
  end(): void {
    try {
      for (const [key, row] of this.#rows) this.#close(key, row)
      closeSync(this.#control)
    } catch (error) {
      if (!mountEnded.includes(errnoOf(error))) throw error
    }
  }

  /** Statistics are kept anyway; tracepoints slow the guest down while they count, so that only one is taken. */
  #eventsOf(vm: VmRow): readonly string[] {
    if (this.#events.length > 0) return this.#events
    const all = readEvents(this.#mount, vm.name).filter(({ pmus }) => pmus.includes('kvm'))
    if (all.length === 0) return []
    const statistics = all.filter(({ source }) => source !== 'tracepoint').map(({ event }) => event)
    return statistics.length > 0 ? statistics.sort() : ['trace_kvm_userspace_exit']
  }

  #follow(vm: VmRow, wanted: Set<string>): void {
    const events = this.#eventsOf(vm)
    for (const { id, tid } of vm.vcpus)
      for (const event of events) {
        wanted.add(keyOf(tid, event))
        if (!this.#rows.has(keyOf(tid, event)))
          this.#open({ vm: vm.name, kind: vm.kind, vcpu: String(id), event, tid })
      }
  }

  /**
   * A VM may have ended since it was listed: the next list is without it. A vCPU may lack what others of its VM have,
   * or its count may not be readable just now.
   */
  #open(row: Pick<Row, 'vm' | 'kind' | 'vcpu' | 'event' | 'tid'>): void {
    try {
      this.#openLive(row)
    } catch (error) {
      const passing = this.#events.length > 0 ? ['ESRCH'] : ['ESRCH', 'EOPNOTSUPP', 'EIO']
      if (!(error instanceof CommandError && passing.includes(errnoOf(error.cause)))) throw error
    }
  }

  #openLive(row: Pick<Row, 'vm' | 'kind' | 'vcpu' | 'event' | 'tid'>): void {
    const { handle, path } = ask(this.#control, { type: 'kvm', config: row.event, pid: row.tid })
    const countFile = join(this.#mount, String(path), 'count')
    this.#rows.set(keyOf(row.tid, row.event), {
      ...row,
      handle: Number(handle),
      countFile,
      last: 0n,
      rate: 0,
    })
  }

  #read(row: Row, seconds: number): void {
    try {
      const count = BigInt(readFileSync(row.countFile, 'utf8').trim())
      row.rate = Number(count - row.last) / seconds
      row.last = count
    } catch (error) {
      if (errnoOf(error) !== 'EIO') throw error
      row.rate = undefined
    }
  }

  #close(key: string, row: Row): void {
    this.#rows.delete(key)
    ask(this.#control, { op: 'close', handle: row.handle })
  }
}

function show(rows: readonly Row[], isEventGiven: boolean): string {
  const shown = rows.filter(row => isEventGiven || row.last > 0n || row.rate === undefined)
  const body = formatTable(
    ['VM', 'KIND', 'VCPU', 'TID', 'EVENT', 'COUNT', 'PER SECOND'],
    shown.map(row => [
      row.vm,
      row.kind,
      row.vcpu,
      String(row.tid),
      row.event,
      row.rate === undefined ? 'unreadable' : String(row.last),
      row.rate?.toFixed(1) ?? '-',
    ]),
  )
  return process.stdout.isTTY ? `\u001b[H\u001b[J${body}\n` : `${body}\n\n`
}

export async function top(options: Options): Promise<void> {
  const dir = await findMount(options.mount)
  const screen = usingMount(dir, () => new Top(dir, options.event))
  const end = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort())
  try {
    screen.update(options.interval)
    let then = performance.now()
    for (let left = options.count ?? Number.POSITIVE_INFINITY; left > 0; left -= 1) {
      await sleep(options.interval * 1000, undefined, { signal: end.signal }).catch(() => undefined)
      // What ended this may have ended the server too, as Ctrl-C does with all that run in a terminal.
      if (end.signal.aborted) break
      const now = performance.now()
      process.stdout.write(show(screen.update((now - then) / 1000), options.event.length > 0))
      then = now
    }
  } catch (error) {
    // A signal that came while it read is seen only now.
    await sleep(1)
    if (!end.signal.aborted) throw error
  } finally {
    screen.end()
  }
}
