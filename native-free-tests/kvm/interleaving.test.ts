/**
 * However the callbacks interleave over events that share what they count, each event counts exactly what happened
 * while it was started, and the source is armed exactly while somebody counts.
 */
import * as fc from 'fast-check'
import t from 'tap'
import { PERF_EF_START, PERF_EF_UPDATE } from '../../src/abi/perf-event.js'
import { wrap64 } from '../../src/abi/struct.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { fakeTask, machine } from './support/machine.js'

const names = ['exits', 'io_exits'] as const

/** One of the four pairs that can be counted. */
interface Pair {
  readonly vcpu: number
  readonly id: number
}

type Step =
  | { readonly do: 'open'; readonly pair: Pair }
  | { readonly do: 'happen'; readonly pair: Pair; readonly amount: bigint }
  | {
      readonly do: 'start' | 'stop' | 'stopUpdate' | 'add' | 'del' | 'read' | 'reset' | 'close'
      readonly at: number
    }
  | { readonly do: 'vmGone' }

/** What the model knows of an event: what it must have counted, folded in or not. */
interface Model {
  readonly event: PerfEvent
  readonly pair: Pair
  isStarted: boolean
  total: bigint
}

const pair = fc.record({ vcpu: fc.nat(1), id: fc.nat(1) })
const amount = fc.oneof(fc.bigInt(0n, 5n), fc.bigInt(0n, 1n << 62n))
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('open' as const), pair }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('happen' as const), pair, amount }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constantFrom('start', 'stop', 'stopUpdate', 'add', 'del', 'read', 'reset', 'close'),
      at: fc.nat(7),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('vmGone' as const) }) },
)

/** Runs the steps on the PMU and on the model at once; throws where they differ. */
class Run {
  readonly #m = machine({ sharing: true, armedOnly: true, events: names })
  readonly #open: Model[] = []
  #isGone = false

  constructor(initial: bigint) {
    for (const vcpu of this.#m.vm.vcpus) for (const name of names) this.#m.source.set(vcpu, name, initial)
  }

  apply(one: Step): void {
    if (one.do === 'vmGone') this.#vmGone()
    else if (one.do === 'open') this.#openOn(one.pair)
    else if (one.do === 'happen') this.#happen(one.pair, one.amount)
    else this.#call(one.do, one.at)
    this.#check()
  }

  finish(): void {
    for (let model = this.#open[0]; model; model = this.#open[0]) this.calls.close(model)
    this.#check()
  }

  #call(callback: keyof Run['calls'], at: number): void {
    const model = this.#open[at % Math.max(1, this.#open.length)]
    if (model) this.calls[callback](model)
  }

  #openOn(on: Pair): void {
    if (this.#isGone) return
    const event = this.#m.open({ config: BigInt(on.id), target: fakeTask(1001 + on.vcpu) })
    this.#open.push({ event, pair: on, isStarted: false, total: 0n })
  }

  #happen(on: Pair, times: bigint): void {
    const counting = this.#open.filter(({ pair: { vcpu, id } }) => vcpu === on.vcpu && id === on.id)
    for (const model of counting) if (model.isStarted) model.total = wrap64(model.total + times)
    this.#m.source.happen(this.#m.vm.vcpu(on.vcpu), names[on.id] ?? '', times)
    // A step of half of u64 between two looks cannot be told from a reset: look after each.
    for (const model of counting) if (times > 5n) this.calls.read(model)
  }

  #vmGone(): void {
    this.#m.vms.remove(this.#m.vm)
    this.#m.source.close()
    this.#isGone = true
    for (const model of this.#open) model.isStarted = false
    for (const model of this.#open) this.#expectFolded(model)
  }

  readonly calls = {
    start: (model: Model): void => {
      this.#m.pmu.start(model.event, 0)
      model.isStarted = !this.#isGone
    },
    add: (model: Model): void => {
      this.#m.pmu.add(model.event, PERF_EF_START)
      model.isStarted = !this.#isGone
    },
    stop: (model: Model): void => {
      this.#m.pmu.stop(model.event, 0)
      model.isStarted = false
    },
    stopUpdate: (model: Model): void => {
      this.#m.pmu.stop(model.event, PERF_EF_UPDATE)
      model.isStarted = false
      this.#expectFolded(model)
    },
    del: (model: Model): void => {
      this.#m.pmu.del(model.event, 0)
      model.isStarted = false
      this.#expectFolded(model)
    },
    read: (model: Model): void => {
      this.#m.pmu.read(model.event)
      this.#expectFolded(model)
    },
    // PERF_EVENT_IOC_RESET: _perf_event_reset() reads, then clears.
    reset: (model: Model): void => {
      this.#m.pmu.read(model.event)
      model.event.count = 0n
      model.total = 0n
    },
    close: (model: Model): void => {
      model.event.destroy?.(model.event)
      model.isStarted = false
      this.#expectFolded(model)
      this.#open.splice(this.#open.indexOf(model), 1)
    },
  }

  #expectFolded({ event, total }: Model): void {
    if (event.count !== total) throw new Error(`count is ${event.count}, ${total} happened`)
  }

  #check(): void {
    const { source, vm } = this.#m
    if (source.repeated > 0) throw new Error('armed or disarmed twice')
    for (const vcpu of vm.vcpus)
      for (const [id, name] of names.entries()) {
        const isCounted = this.#open.some(
          one => one.isStarted && one.pair.vcpu === vcpu.id && one.pair.id === id,
        )
        if (source.isArmed(vcpu, name) !== isCounted) throw new Error(`"${name}" armed: ${!isCounted}`)
      }
  }
}

t.test('no interleaving of callbacks loses or doubles a count', async () => {
  const initial = fc.oneof(fc.constant(0n), fc.bigInt(0n, (1n << 64n) - 1n))
  fc.assert(
    fc.property(initial, fc.array(step, { maxLength: 60, size: 'max' }), (start, steps) => {
      const run = new Run(start)
      for (const one of steps) run.apply(one)
      run.finish()
    }),
    { numRuns: 300 },
  )
})

t.test('a statistic that is reset at any time never adds more than what happened', async () => {
  const happening = fc.oneof(fc.bigInt(1n, 1000n), fc.constantFrom('reset' as const, 'read' as const))
  fc.assert(
    fc.property(fc.bigInt(0n, 1n << 62n), fc.array(happening), (start, steps) => {
      const { source, first, count, read } = machine()
      source.set(first, 'exits', start)
      const event = count()
      let happened = 0n
      let last = 0n
      for (const one of steps) {
        if (one === 'reset') source.set(first, 'exits', 0n)
        else if (one === 'read') read(event)
        else source.happen(first, 'exits', one)
        if (typeof one === 'bigint') happened += one
        if (event.count < last || event.count > happened) return false
        last = event.count
      }
      return read(event) <= happened
    }),
  )
})
