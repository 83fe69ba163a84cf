/** VMs that come and go are found at once where the kernel tells of them, and by the next look where it does not. */
import t from 'tap'
import { parseKvmUevent } from '../../src/sources/discovery/kvm-uevent.js'
import { GuestsMain } from '../../src/sources/guests-main.js'
import type { VmWatchHandlers } from '../../src/sources/vm-watch.js'
import { FakeProc } from './support/fake-proc.js'
import { FakeQemu, Recording } from './support/fake-qemu.js'
import { FakeTimers, settle } from './support/fake-timers.js'

const HOUR_MS = 3_600_000

/** An uevent as Linux 6.18 sends it. */
const uevent = (event: string, pid: number, subsystem = 'misc') =>
  Buffer.from(
    `change@/devices/virtual/misc/kvm\0ACTION=change\0DEVPATH=/devices/virtual/misc/kvm\0SUBSYSTEM=${subsystem}\0CREATED=2\0` +
      `COUNT=1\0EVENT=${event}\0PID=${pid}\0STATS_PATH=/kvm/${pid}-8\0MAJOR=10\0MINOR=232\0DEVNAME=kvm\0SEQNUM=4234\0`,
  )

const bare = 'process 100 start=5\nfd 3 /dev/kvm\nfd 9 socket:[1]'
const guest = `
  process 100 start=5
  fd 3 /dev/kvm
  fd 9 anon_inode:kvm-vm
  fd 10 anon_inode:kvm-vcpu:0
  fd 11 anon_inode:kvm-vcpu-stats:0
  thread 101 start=6 comm=CPU 0/KVM`

async function setUp(text: string) {
  const [proc, timers] = [new FakeProc(text), new FakeTimers()]
  const { connect } = new FakeQemu(new Recording('qemu-7.2-kvm'))
  let handlers: VmWatchHandlers | undefined
  const followed: number[][] = []
  const watch = (given: VmWatchHandlers) => {
    handlers = given
    return {
      follow: (tgids: ReadonlySet<number>) => followed.push([...tgids]),
      close: () => {
        handlers = undefined
      },
    }
  }
  const machine = { view: proc, descriptors: proc, connect, timers, watch }
  const main = new GuestsMain(machine, { source: 'stats', periodMs: HOUR_MS }, () => {})
  t.teardown(() => main.stop())
  await main.start()
  const hear = async (message: Uint8Array) => {
    handlers?.uevent(message)
    await settle()
  }
  return { proc, timers, main, followed, hear, tell: () => handlers }
}

t.test("parseKvmUevent() reads KVM's own and passes over the others", async t => {
  t.strictSame(parseKvmUevent(uevent('create', 2331)), { event: 'create', tid: 2331 })
  t.strictSame(parseKvmUevent(uevent('destroy', 7)), { event: 'destroy', tid: 7 })
  t.equal(parseKvmUevent(uevent('create', 7, 'net')), undefined)
  t.equal(parseKvmUevent(uevent('other', 7)), undefined)
  for (const text of [
    '',
    '\0',
    'libudev\0\xfe',
    'remove@/devices/virtual/bdi/0:40\0ACTION=remove\0SUBSYSTEM=bdi\0',
  ])
    t.equal(parseKvmUevent(Buffer.from(text)), undefined, JSON.stringify(text))
})

t.test('a VM that is made is looked for until its vCPUs are there, its reused descriptors too', async t => {
  const { proc, timers, main, hear, followed } = await setUp(bare)
  t.strictSame(main.vms, [])
  await hear(uevent('create', 100))
  await timers.pass(10)
  t.strictSame(main.vms, [], 'KVM tells of it before it has vCPUs')
  proc.become(guest)
  await timers.pass(15)
  t.strictSame(main.vms, [], 'a look is due after 30 ms')
  await timers.pass(5)
  t.strictSame(
    main.vms.map(({ tgid }) => tgid),
    [100],
  )
  t.strictSame(followed.at(-1), [100])
})

t.test('descriptor numbers that are used again are followed in the process that made a VM', async t => {
  const { proc, timers, main, hear } = await setUp(bare)
  proc.become(
    guest
      .replace('fd 10', 'fd 3')
      .replace('fd 3 /dev/kvm', '')
      .replace('fd 11', 'fd 9')
      .replace('fd 9 anon_inode:kvm-vm\n', ''),
  )
  const before = proc.links
  await hear(uevent('destroy', 55))
  t.equal(proc.links, before, 'another process leaves it as it was looked at')
  await hear(uevent('create', 101))
  await timers.pass(10)
  t.ok(proc.links > before)
  t.equal(main.vms.length, 1)
})

t.test('the looks grow seldom and end where the periodic ones take over', async t => {
  const { timers, hear } = await setUp('')
  await hear(uevent('create', 100))
  await timers.pass(2 * HOUR_MS)
  t.equal(timers.pending, 1, 'the next periodic look')
})

t.test('a VM that is destroyed, and a process that ends, are gone at once', async t => {
  const { proc, main, hear, followed } = await setUp(guest)
  t.equal(main.vms.length, 1)
  proc.become(bare)
  await hear(uevent('destroy', 101))
  t.strictSame(main.vms, [])
  t.strictSame(followed.at(-1), [])

  const other = await setUp(guest)
  other.proc.become('')
  other.tell()?.changed()
  await settle()
  t.strictSame(other.main.vms, [])
})

t.test('stop() ends the watch and its looks', async t => {
  const { main, timers, hear, tell } = await setUp('')
  await hear(uevent('create', 100))
  main.stop()
  t.equal(tell(), undefined)
  t.equal(timers.pending, 0)
})
