/** The list of VMs: names of folders, who runs on a thread, what listeners hear. */
import * as fc from 'fast-check'
import t from 'tap'
import { type VmChange, VmList } from '../../src/kvm/vm-list.js'
import { FakeVm } from '../../src/sources/fake/fake-vm.js'

t.test('add() names the folder after the VM', async t => {
  const vms = new VmList()
  const vm = new FakeVm({ name: 'web-1.example_A' })
  t.equal(vms.add(vm), 'web-1.example_A')
  t.equal(vms.nameOf(vm), 'web-1.example_A')
  t.equal(vms.byName('web-1.example_A'), vm)
  t.same([...vms], [vm])
  t.equal(vms.size, 1)
})

t.test("add() names the folder after the process where the VM's name is unfit", async t => {
  const unfit = ['', '.', '..', 'a/b', 'a b', 'a\0', 'a\n', 'x'.repeat(256), 'pid-1', 'pid-7-2', '\u00e4']
  for (const name of unfit)
    t.equal(new VmList().add(new FakeVm({ name, tgid: 7 })), 'pid-7', JSON.stringify(name))
})

t.test('the first VM of a name keeps it; the next ones are named after their processes', async t => {
  const vms = new VmList()
  const first = new FakeVm({ tgid: 7 })
  t.equal(vms.add(first), 'vm1')
  t.equal(vms.add(new FakeVm({ tgid: 8 })), 'pid-8')
  t.equal(vms.add(new FakeVm({ tgid: 8 })), 'pid-8-2', 'a second VM of one process')
  t.equal(vms.add(new FakeVm({ tgid: 8 })), 'pid-8-3')
  vms.remove(first)
  t.equal(vms.byName('vm1'), undefined)
  t.equal(vms.add(new FakeVm({ tgid: 9 })), 'vm1', 'the name is free again')
})

t.test('add() fails with EEXIST when the VM is listed', async t => {
  const vms = new VmList()
  const vm = new FakeVm()
  vms.add(vm)
  t.throws(() => vms.add(vm), { code: 'EEXIST', message: 'VM "vm1" is listed already' })
  t.equal(vms.size, 1)
})

t.test('vcpuOf() tells a thread from a later one of the same id', async t => {
  const vms = new VmList()
  const vm = new FakeVm({ tids: [11, 12], startTime: 5n })
  vms.add(vm)
  t.equal(vms.vcpuOf({ tid: 12, startTime: 5n }), vm.vcpu(1))
  t.equal(vms.vcpuOf({ tid: 12, startTime: 6n }), undefined)
  t.equal(vms.vcpuOf({ tid: 13, startTime: 5n }), undefined)
  t.equal(vms.vcpuOnThread(12), vm.vcpu(1))
  t.equal(vms.vcpuOnThread(13), undefined)
  vms.remove(vm)
  t.equal(vms.vcpuOf({ tid: 12, startTime: 5n }), undefined)
})

t.test('vcpuOf() finds a later thread though an ended VM with its id is still listed', async t => {
  const vms = new VmList()
  const ended = new FakeVm({ tids: [11], startTime: 5n })
  const living = new FakeVm({ tids: [11], startTime: 6n })
  vms.add(ended)
  vms.add(living)
  t.equal(vms.vcpuOf({ tid: 11, startTime: 6n }), living.vcpu(0))
})

t.test('ofProcess() gives every VM of one process', async t => {
  const vms = new VmList()
  const [a, b, c] = [new FakeVm({ tgid: 7 }), new FakeVm({ tgid: 8 }), new FakeVm({ tgid: 7 })]
  for (const vm of [a, b, c]) vms.add(vm)
  t.same(vms.ofProcess(7), [a, c])
  t.same(vms.ofProcess(9), [])
})

t.test('listeners hear of each change once, with the vCPUs that are gone', async t => {
  const vms = new VmList()
  const heard: VmChange[] = []
  const stop = vms.onChange(change => heard.push(change))
  const vm = new FakeVm()
  const [first, second] = [vm.vcpu(0), vm.vcpu(1)]
  vms.add(vm)
  vm.vcpus = [second, { vm, id: 2, tid: 1003, startTime: 100n }]
  vms.update(vm)
  vms.remove(vm)
  vms.remove(vm)
  vms.update(vm)
  t.equal(heard.length, 3)
  t.match(heard[0], { kind: 'added', gone: [] })
  t.equal(heard[1]?.kind, 'updated')
  t.equal(heard[1]?.gone.length, 1)
  t.equal(heard[1]?.gone[0], first)
  t.equal(heard[2]?.kind, 'removed')
  t.equal(heard[2]?.gone.length, 2)
  t.equal(heard[2]?.gone[0], second)
  stop()
  vms.add(vm)
  t.equal(heard.length, 3, 'no more after it was stopped')
})

t.test('every listed VM has a name of its own that is fit for a folder', async () => {
  const name = fc.oneof(fc.constantFrom('a', 'b', 'pid-1', 'pid-2', 'pid-1-2', '..'), fc.string())
  const vm = fc.record({ name, tgid: fc.integer({ min: 1, max: 3 }) })
  fc.assert(
    fc.property(fc.array(vm), fc.array(fc.nat(9)), (wanted, removed) => {
      const vms = new VmList()
      const listed = wanted.map(one => new FakeVm(one))
      for (const one of listed) vms.add(one)
      for (const i of removed) {
        const one = listed[i]
        if (one) vms.remove(one)
        if (one) vms.add(one)
      }
      const names = [...vms].map(one => vms.nameOf(one) ?? '')
      const areFit = names.every(one => /^[A-Za-z0-9._-]+$/.test(one) && one !== '.' && one !== '..')
      return areFit && new Set(names).size === listed.length && names.every(one => vms.byName(one))
    }),
  )
})
