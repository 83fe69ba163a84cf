/** The host PMU under the real perf core: several handles on the same vCPUs, through the calls of a descriptor. */
import * as fc from 'fast-check'
import t from 'tap'
import { Failure, orThrow } from '../../src/abi/errno.js'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_RESET,
} from '../../src/abi/perf-event.js'
import { attrOf, type perf_event_attr } from '../../src/abi/perf-event-attr.js'
import { PerfCore } from '../../src/perf/core.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { perf_ioctl, perf_poll, perf_read, perf_release } from '../../src/perf/event-file.js'
import { fakeHost, fakeTask } from './support/fake-host.js'
import { type MachineOptions, machine } from './support/machine.js'

const names = ['exits', 'io_exits'] as const
const caller = { uid: 0, gid: 0, tid: 1 }

function read(event: PerfEvent): bigint {
  const bytes = perf_read(event, 8)
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)
}

const ioctl = (event: PerfEvent, cmd: number): void => {
  perf_ioctl(event, { cmd, arg: 0n, input: new Uint8Array() })
}

/** The machine with a perf core on it, wired as the program does it. */
function coreMachine(options: MachineOptions = {}) {
  const tasks = [fakeTask(1001), fakeTask(1002), fakeTask(1003), fakeTask(4711, 4700)]
  const m = machine({
    sharing: true,
    events: names,
    exitEvents: events => core.exitEvents(events),
    ...options,
  })
  const core: PerfCore = new PerfCore(fakeHost(tasks), m.registry)
  const tryOpen = (pid: number, attr: Partial<perf_event_attr> = {}): PerfEvent | Failure =>
    core.perf_event_open({
      attr: attrOf({ type: 4096, ...attr }),
      pid,
      cpu: -1,
      group_fd: -1,
      flags: 0n,
      caller,
    })
  const open = (pid: number, attr: Partial<perf_event_attr> = {}): PerfEvent => orThrow(tryOpen(pid, attr))
  return { ...m, tasks, core, tryOpen, open }
}

t.test('an event counts from open to close, and its vCPU is armed meanwhile', async t => {
  const { open, source, first } = coreMachine()
  source.set(first, 'exits', 100n)
  const event = open(1001)
  source.happen(first, 'exits', 3n)
  t.equal(read(event), 3n)
  t.equal(source.isArmed(first, 'exits'), true)
  perf_release(event)
  t.equal(source.isArmed(first, 'exits'), false)
})

t.test('perf_event_open() gives the refusals of the PMU', async t => {
  const { tryOpen, core } = coreMachine()
  const codes = [
    [tryOpen(4711), 'EINVAL'],
    [tryOpen(1001, { exclude_guest: true }), 'EINVAL'],
    [tryOpen(1001, { sample_period: 5n }), 'EINVAL'],
    [tryOpen(1001, { config: 2n }), 'EINVAL'],
    [tryOpen(9999), 'ESRCH'],
  ] as const
  for (const [result, code] of codes) t.equal(result instanceof Failure ? result.code : 'opened', code)
  t.equal(core.eventCount, 0)
})

t.test('a source that is full leaves the event inactive until there is room', async t => {
  const { open, source, first } = coreMachine()
  source.isFull = true
  const event = open(1001)
  t.equal(event.stateName, 'inactive')
  source.happen(first, 'exits', 3n)
  source.isFull = false
  read(event)
  t.equal(event.stateName, 'active', 'the next use tries again')
  source.happen(first, 'exits', 2n)
  t.equal(read(event), 2n)
})

t.test('a VM that goes moves its events to EXIT with their last counts', async t => {
  const { open, source, first, vms, vm } = coreMachine()
  const [event, off] = [open(1001), open(1001, { disabled: true })]
  let woken = 0
  perf_poll(event, () => {
    woken += 1
  })
  source.happen(first, 'exits', 3n)
  vms.remove(vm)
  source.close()
  t.equal(event.stateName, 'exit')
  t.equal(off.stateName, 'exit')
  t.equal(woken, 1)
  t.equal(read(event), 3n)
  ioctl(event, PERF_EVENT_IOC_ENABLE)
  t.equal(event.stateName, 'exit', 'it does not come back')
  ioctl(event, PERF_EVENT_IOC_RESET)
  t.equal(read(event), 0n)
  for (const one of [event, off]) perf_release(one)
})

t.test('a vCPU thread that exits leaves the last count, whoever hears of it first', async t => {
  const { open, source, first, vms, vm, tasks } = coreMachine()
  const event = open(1001)
  source.happen(first, 'exits', 3n)
  for (const task of tasks) task.isExited = true
  t.equal(read(event), 3n)
  t.equal(event.stateName, 'exit')
  t.equal(source.isArmed(first, 'exits'), false)
  source.happen(first, 'exits', 5n)
  vms.remove(vm)
  t.equal(read(event), 3n)
  perf_release(event)
  t.equal(source.repeated, 0)
})

t.test('unregistering revokes live events; their last counts stay', async t => {
  const { open, kvm, source, first } = coreMachine()
  const event = open(1001)
  source.happen(first, 'exits', 3n)
  kvm.unregister()
  t.equal(event.stateName, 'revoked')
  t.equal(source.isArmed(first, 'exits'), false)
  source.happen(first, 'exits', 5n)
  t.equal(read(event), 3n)
  perf_release(event)
})

type Use = 'enable' | 'disable' | 'reset' | 'read' | 'close'
type Step =
  | { readonly do: 'open'; readonly vcpu: number; readonly id: number; readonly disabled: boolean }
  | { readonly do: 'happen'; readonly vcpu: number; readonly id: number; readonly times: bigint }
  | { readonly do: Use; readonly at: number }
  | { readonly do: 'exit' }
  | { readonly do: 'vmGone' }

const vcpu = fc.nat(1)
const id = fc.nat(1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('open' as const), vcpu, id, disabled: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('happen' as const), vcpu, id, times: fc.bigInt(0n, 1n << 32n) }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constantFrom('enable', 'disable', 'reset', 'read', 'close'),
      at: fc.nat(7),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('exit', 'vmGone') }) },
)

/** A handle, and what the model says that it has counted. */
interface Handle {
  readonly event: PerfEvent
  readonly vcpu: number
  readonly id: number
  isCounting: boolean
  total: bigint
}

/** The real thing and the model side by side; throws where they differ. */
class Run {
  readonly #m = coreMachine({ armedOnly: true })
  readonly #handles: Handle[] = []
  #isOver = false

  constructor(initial: bigint) {
    for (const one of this.#m.vm.vcpus) for (const name of names) this.#m.source.set(one, name, initial)
  }

  apply(one: Step): void {
    if (one.do === 'open') this.#open(one.vcpu, one.id, one.disabled)
    else if (one.do === 'happen') this.#happen(one.vcpu, one.id, one.times)
    else if (one.do === 'exit' || one.do === 'vmGone') this.#end(one.do)
    else this.#use(one.do, this.#handles[one.at % Math.max(1, this.#handles.length)])
    this.#checkArming()
  }

  finish(): void {
    for (const handle of this.#handles) this.#use('read', handle)
    while (this.#handles.length > 0) this.#use('close', this.#handles[0])
    this.#checkArming()
    if (this.#m.core.eventCount !== 0) throw new Error(`${this.#m.core.eventCount} events are left`)
  }

  #open(onVcpu: number, eventId: number, disabled: boolean): void {
    if (this.#isOver) return
    const event = this.#m.open(1001 + onVcpu, { config: BigInt(eventId), disabled })
    this.#handles.push({ event, vcpu: onVcpu, id: eventId, isCounting: !disabled, total: 0n })
  }

  #happen(onVcpu: number, eventId: number, times: bigint): void {
    this.#m.source.happen(this.#m.vm.vcpu(onVcpu), names[eventId] ?? '', times)
    for (const one of this.#handles)
      if (one.isCounting && one.vcpu === onVcpu && one.id === eventId) one.total += times
  }

  #end(how: 'exit' | 'vmGone'): void {
    this.#isOver = true
    if (how === 'exit')
      for (const task of this.#m.tasks) {
        task.isExited = true
        this.#m.core.taskExited(task)
      }
    else this.#m.vms.remove(this.#m.vm)
    for (const one of this.#handles) one.isCounting = false
  }

  #use(how: Use, handle: Handle | undefined): void {
    if (!handle) return
    const { event } = handle
    if (how === 'enable') {
      ioctl(event, PERF_EVENT_IOC_ENABLE)
      handle.isCounting = !this.#isOver
    } else if (how === 'disable') {
      ioctl(event, PERF_EVENT_IOC_DISABLE)
      handle.isCounting = false
    } else if (how === 'reset') {
      ioctl(event, PERF_EVENT_IOC_RESET)
      handle.total = 0n
    } else if (how === 'read') {
      const count = read(event)
      if (count !== handle.total) throw new Error(`count is ${count}, ${handle.total} happened`)
    } else {
      perf_release(event)
      this.#handles.splice(this.#handles.indexOf(handle), 1)
    }
  }

  #checkArming(): void {
    const { source, vm } = this.#m
    if (source.repeated > 0) throw new Error('armed or disarmed twice')
    for (const one of vm.vcpus)
      for (const [eventId, name] of names.entries()) {
        const isCounted = this.#handles.some(h => h.isCounting && h.vcpu === one.id && h.id === eventId)
        if (source.isArmed(one, name) !== isCounted) throw new Error(`"${name}" armed: ${!isCounted}`)
      }
  }
}

t.test(
  'no interleaving of open, enable, disable, read, reset and close loses or doubles a count',
  async () => {
    fc.assert(
      fc.property(
        fc.bigInt(0n, (1n << 64n) - 1n),
        fc.array(step, { maxLength: 60, size: 'max' }),
        (initial, steps) => {
          const run = new Run(initial)
          for (const one of steps) run.apply(one)
          run.finish()
        },
      ),
      { numRuns: 300 },
    )
  },
)
