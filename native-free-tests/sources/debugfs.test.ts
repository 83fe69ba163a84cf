/** Counts from files that can be read once for each time they are opened, and may fail at any time. */
import * as fc from 'fast-check'
import t from 'tap'
import { ErrnoError, errnoOf, orThrow } from '../../src/abi/errno.js'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_STATE_ACTIVE,
} from '../../src/abi/perf-event.js'
import { attrOf } from '../../src/abi/perf-event-attr.js'
import { Arming } from '../../src/kvm/arming.js'
import type { Vm } from '../../src/kvm/vm.js'
import { VmList } from '../../src/kvm/vm-list.js'
import { VmPmu } from '../../src/kvm/vm-pmu.js'
import { PerfCore } from '../../src/perf/core.js'
import type { PerfEvent } from '../../src/perf/event.js'
import { PmuRegistry } from '../../src/perf/registry.js'
import { DebugfsWhole, parseCount } from '../../src/sources/debugfs/debugfs-whole.js'
import { FakeSource } from '../../src/sources/fake/fake-source.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'
import { fakeHost } from '../kvm/support/fake-host.js'
import { refusal } from '../kvm/support/machine.js'
import { CPU, caller, ioctl, KVM, read } from '../kvm/support/vm-machine.js'
import { KvmDebugfs } from './support/kvm-debugfs.js'

const names = ['exits', 'halt_exits']

function source() {
  const files = new KvmDebugfs()
  for (const name of names) files.counts.set(name, 1000n)
  const whole = new DebugfsWhole(
    files,
    files.path,
    names.map(name => ({ name })),
  )
  return { files, whole }
}

t.test('parseCount() takes a u64 and nothing else', async t => {
  t.equal(parseCount('0\n'), 0n)
  t.equal(parseCount('18446744073709551615\n'), 2n ** 64n - 1n)
  for (const text of ['', '\n', '-1\n', '1 2\n', '0x1\n', '1\n2\n'])
    t.equal(parseCount(text), undefined, text)
})

t.test('each reading opens the file anew, and leaves none open', async t => {
  const { files, whole } = source()
  t.equal(whole.get_event_count('exits'), 1000n)
  files.happen('exits', 5n)
  t.equal(whole.get_event_count('exits'), 1005n)
  t.equal(files.opens, 2)
  t.equal(files.open.size, 0, 'an open one would keep the VM')
  t.equal(whole.get_event_count('other'), undefined)
  t.equal(files.opens, 2, 'only what was found to be a count is opened')
})

t.test('what cannot be read is no count; what is gone is the last one', async t => {
  const { files, whole } = source()
  for (const failure of [
    { call: 'open', code: 'EPERM' },
    { call: 'open', code: 'EMFILE' },
    { call: 'read', code: 'EIO' },
  ] as const) {
    files.failure = failure
    t.equal(whole.get_event_count('exits'), undefined, failure.code)
  }
  files.failure = undefined
  t.equal(whole.get_event_count('exits'), 1000n)
  files.isGone = true
  t.equal(whole.get_event_count('exits'), 1000n, 'the folder goes with the VM')
  t.equal(whole.get_event_count('halt_exits'), undefined, 'this one was never read')
  whole.close()
  t.equal(whole.get_event_count('exits'), undefined)
})

t.test('a file that goes between open(2) and read(2) is one that is gone', async t => {
  const { files, whole } = source()
  t.equal(whole.get_event_count('exits'), 1000n)
  const readText = files.readText.bind(files)
  files.readText = path => {
    const fails = files.failure
    files.failure = undefined
    if (!fails) return readText(path)
    files.isGone = true
    throw new ErrnoError('EIO')
  }
  files.failure = { call: 'read', code: 'EIO' }
  t.equal(whole.get_event_count('exits'), 1000n)
})

/** A VM of process 1000 that debugfs alone counts, under the PMU `kvm_vm`. */
function machine() {
  const { files, whole } = source()
  const registry = new PmuRegistry()
  const vms = new VmList()
  const vm: Vm = Object.assign(new FakeVm({ source: new FakeSource({ events: [] }) }), { whole })
  vms.add(vm)
  const core: PerfCore = new PerfCore(fakeHost(), registry)
  new VmPmu(registry, {
    vms,
    arming: new Arming(),
    cpu: () => CPU,
    startTimeNow: () => 500n,
    exitEvents: events => core.exitEvents(events),
  })
  const tryOpen = (attr: { disabled?: boolean } = {}) =>
    core.perf_event_open({
      attr: attrOf({ type: KVM, config1: 1000n, ...attr }),
      pid: -1,
      cpu: CPU,
      group_fd: -1,
      flags: 0n,
      caller,
    })
  return { files, vms, vm, tryOpen, open: () => orThrow(tryOpen()) }
}

t.test('kvm_vm: an open fails with EIO, a read too, and the next good one has it all', async t => {
  const { files, vms, vm, tryOpen, open } = machine()
  files.failure = { call: 'open', code: 'EPERM' }
  for (const disabled of [false, true])
    t.match(refusal(tryOpen({ disabled })), /^EIO: Event "exits" of process 1000 cannot be read now/)
  files.failure = undefined
  const event = open()
  files.happen('exits', 3n)
  t.equal(read(event), 3n)
  files.failure = { call: 'read', code: 'EIO' }
  files.happen('exits', 4n)
  t.throws(() => read(event), { code: 'EIO' })
  t.equal(event.stateName, 'error')
  files.failure = undefined
  t.equal(read(event), 7n)
  t.equal(event.stateName, 'active')
  files.happen('exits', 2n)
  t.equal(read(event), 9n)
  files.isGone = true
  t.equal(read(event), 9n, 'its VM has ended, and nobody has told yet')
  vms.remove(vm)
  vm.whole?.close()
  t.equal(event.stateName, 'exit')
  t.equal(read(event), 9n)
})

/** What a read gives: the count, or its errno. */
function outcome(event: PerfEvent): bigint | string {
  try {
    return read(event)
  } catch (error) {
    return errnoOf(error)
  }
}

type Step = 'happen' | 'clear' | 'fail' | 'mend' | 'read' | 'off' | 'on'

t.test('kvm_vm: whatever fails in between, a read that succeeds has counted all', async t => {
  const steps = fc.array(
    fc.constantFrom<Step>('happen', 'happen', 'clear', 'fail', 'mend', 'read', 'read', 'off', 'on'),
    { maxLength: 60 },
  )
  const property = fc.property(steps, all => {
    const { files, open } = machine()
    const event = open()
    /** What it is to have counted: `kept` surely, `since` where the next reading succeeds. */
    const model = { kept: 0n, since: 0n, isOn: true }
    const look = () => {
      if (!files.failure) Object.assign(model, { kept: model.kept + model.since, since: 0n })
    }
    const check = () => {
      const isLost = files.failure && (model.isOn || event.stateName === 'error')
      if (!isLost && model.isOn) look()
      const got = outcome(event)
      const wanted = isLost ? 'EIO' : model.kept
      if (got !== wanted) throw new Error(`${got} is read, ${wanted} is wanted`)
    }
    const actions: Record<Step, () => void> = {
      happen: () => {
        files.happen('exits', 7n)
        // An event that waits to begin counts nothing yet.
        if (event.state === PERF_EVENT_STATE_ACTIVE) model.since += 7n
      },
      // What was cleared between two readings is known to nobody: one comes before. Once only: from the 1000 of the
      // beginning no sequence grows back to what was read before.
      clear: () => {
        if (files.failure || !model.isOn || (files.counts.get('exits') ?? 0n) < 1000n) return
        check()
        files.counts.set('exits', 0n)
      },
      fail: () => {
        files.failure = { call: 'read', code: 'EIO' }
      },
      mend: () => {
        files.failure = undefined
      },
      read: check,
      off: () => {
        if (!model.isOn) return
        if (event.state === PERF_EVENT_STATE_ACTIVE) look()
        ioctl(event, PERF_EVENT_IOC_DISABLE)
        Object.assign(model, { isOn: false, since: 0n })
      },
      on: () => {
        ioctl(event, PERF_EVENT_IOC_ENABLE)
        model.isOn = true
      },
    }
    for (const step of all) actions[step]()
    if (files.open.size > 0) throw new Error('a file is left open')
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }))
})
