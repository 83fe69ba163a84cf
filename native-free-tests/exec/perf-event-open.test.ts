/** What a trapped perf_event_open leads to: an event of ours, the kernel, or an errno. */
import fc from 'fast-check'
import t from 'tap'
import { perf_event_attr_layout } from '../../src/abi/perf-event-attr.js'
import type { Outcome } from '../../src/exec/outcome.js'
import { perfEventOpen } from '../../src/exec/perf-event-open.js'
import { PmuTypes } from '../../src/exec/pmu-types.js'
import { PROBE_FLAGS } from '../../src/exec/probe.js'
import { ADDRESS, attrBytes, CALLER, FakeHost, KERNEL_TYPE, OUR_TYPE, openTrap } from './support/fake-host.js'

const LEADER = 12
const NO_GROUP = 1n
const OUTPUT = 2n
const CGROUP = 4n
const CLOEXEC = 8n

const decide = (host: FakeHost, args: Parameters<typeof openTrap>[0] = {}): Promise<Outcome> =>
  perfEventOpen(host, new PmuTypes(host.tree, host.kernel), openTrap(args))

/** A host whose caller has an attr of our type in its memory. */
function hostWith(attr: Uint8Array = attrBytes({})): FakeHost {
  const host = new FakeHost()
  host.place(attr)
  return host
}

t.test('an event of ours is opened with the attr as it is and the caller named', async t => {
  const attr = attrBytes({ config: 5n })
  const host = hostWith(attr)
  host.pids.set(31, 4711)
  t.match(await decide(host, { pid: 31n, cpu: 2n }), { kind: 'inject', isCloseOnExec: false })
  t.strictSame(host.requests, [
    {
      attr_bytes: Buffer.from(attr).toString('hex'),
      pid: 4711,
      cpu: 2,
      group_fd: -1,
      flags: 0,
      caller: CALLER,
    },
  ])
})

t.test('pid is a thread of the caller: 0 itself, -1 none, an unknown one none that exists', async t => {
  const asked = async (pid: bigint, flags = 0n) => {
    const host = hostWith()
    host.pids.set(1, 901)
    await decide(host, { pid, flags })
    return host.requests[0]?.pid
  }
  t.equal(await asked(0n), CALLER)
  t.equal(await asked(0xffff_ffffn), -1)
  t.equal(await asked(1n), 901)
  t.equal(await asked(2n), -2)
  t.equal(await asked(0xffff_fff0n), -2)
  t.equal(await asked(0xabcd_0000_0001n), 901, 'only the low half counts')
  t.equal(await asked(1n, CGROUP), 1, "a cgroup's descriptor")
})

t.test('PERF_FLAG_FD_CLOEXEC makes the descriptor close-on-exec', async t => {
  t.match(await decide(hostWith(), { flags: CLOEXEC }), { kind: 'inject', isCloseOnExec: true })
})

t.test('perf_event_open() for a PMU of the kernel goes to the kernel', async t => {
  for (const type of [0, 1, 4, KERNEL_TYPE, 999, 5000])
    t.equal((await decide(hostWith(attrBytes({ type })))).kind, 'resume', `type ${type}`)
})

t.test('a PMU that was registered since is found', async t => {
  const host = hostWith(attrBytes({ type: 4097 }))
  const types = new PmuTypes(host.tree, host.kernel)
  t.equal((await perfEventOpen(host, types, openTrap({}))).kind, 'resume')
  host.types = [OUR_TYPE, 4097]
  t.equal((await perfEventOpen(host, types, openTrap({}))).kind, 'inject')
})

t.test('what the kernel refuses by itself is left to it: flags, EFAULT, E2BIG', async t => {
  const left = async (host: FakeHost, args = {}) => (await decide(host, args)).kind
  t.equal(await left(hostWith(), { flags: 16n }), 'resume', 'unknown flag')
  t.equal(await left(hostWith(), { attr: 0n }), 'resume', 'NULL')
  t.equal(await left(hostWith(attrBytes({}, 4))), 'resume', 'ends within the size word')
  t.equal(await left(hostWith(attrBytes({ size: 136 }, 135))), 'resume', 'ends before its size')
  for (const size of [1, 63, 4097])
    t.equal(await left(hostWith(attrBytes({ size }, 4200))), 'resume', `size ${size}`)
  t.equal(await left(hostWith(attrBytes({ config4: 1n }, 144))), 'resume', 'set beyond what the kernel knows')
})

t.test('a larger attr whose tail is zero is sent whole, a size of 0 as 64 bytes', async t => {
  const larger = hostWith(attrBytes({}, 4096))
  t.equal((await decide(larger)).kind, 'inject')
  t.equal(String(larger.requests[0]?.attr_bytes).length, 2 * 4096)
  const oldest = hostWith(attrBytes({ size: 0 }, 64))
  t.equal((await decide(oldest)).kind, 'inject')
  t.equal(String(oldest.requests[0]?.attr_bytes).length, 2 * 64)
})

t.test('bytes behind the attr are never sent', async t => {
  const host = hostWith(attrBytes({ size: 64 }, 200).fill(0xff, 64))
  t.equal((await decide(host)).kind, 'inject')
  t.equal(String(host.requests[0]?.attr_bytes).length, 2 * 64)
})

t.test('a caller whose memory is out of reach is left to the kernel', async t => {
  const host = hostWith()
  host.memoryFailure = 'EPERM'
  t.equal((await decide(host)).kind, 'resume')
})

t.test('a caller that died while its attr was read opens nothing', async t => {
  const host = hostWith()
  host.isCallerThere = false
  t.equal((await decide(host)).kind, 'gone')
  t.strictSame(host.requests, [])
})

t.test("the server's errno is the call's", async t => {
  for (const code of ['EINVAL', 'EOPNOTSUPP', 'ESRCH', 'EACCES', 'ENODEV'] as const) {
    const host = hostWith()
    host.openFailure = code
    await t.rejects(decide(host), { code })
  }
})

t.test('a leader of ours is named by its inode, and no copy of it stays', async t => {
  const host = hostWith()
  host.descriptors.set(LEADER, { kind: 'ours', ino: (1n << 60n) + 1n })
  const outcome = await decide(host, { group_fd: BigInt(LEADER) })
  t.equal(outcome.kind, 'inject')
  t.equal(host.requests[0]?.group_ino, '1152921504606846977')
  t.equal(host.requests[0]?.group_fd, undefined)
  t.equal(host.opened.size, 1, 'the event alone')
})

t.test('a leader that is no perf event is one that the server does not know either', async t => {
  const host = hostWith()
  host.descriptors.set(LEADER, { kind: 'other' })
  await decide(host, { group_fd: BigInt(LEADER) })
  await decide(host, { group_fd: 99n })
  await decide(host, { group_fd: 0xffff_fffen })
  t.strictSame(
    host.requests.map(request => request.group_fd),
    [-2, -2, -2],
  )
})

t.test(
  'a kernel event as leader of one of ours: EINVAL, after all else, and nothing counts meanwhile',
  async t => {
    const host = hostWith()
    host.descriptors.set(LEADER, { kind: 'kernel event' })
    t.strictSame(await decide(host, { group_fd: BigInt(LEADER) }), { kind: 'refuse', code: 'EINVAL' })
    const attr = perf_event_attr_layout.decode(
      Buffer.from(attrBytes({}, 144).fill(0)).fill(String(host.requests[0]?.attr_bytes), 'hex'),
    )
    t.equal(attr.flags & 1n, 1n, 'disabled')
    t.equal(host.opened.size, 0)
    host.openFailure = 'EOPNOTSUPP'
    await t.rejects(decide(host, { group_fd: BigInt(LEADER) }), { code: 'EOPNOTSUPP' })
  },
)

t.test('PERF_FLAG_FD_NO_GROUP drops a kernel leader, unless it is the output too', async t => {
  const host = hostWith()
  host.descriptors.set(LEADER, { kind: 'kernel event' })
  t.equal((await decide(host, { group_fd: BigInt(LEADER), flags: NO_GROUP })).kind, 'inject')
  t.equal((await decide(host, { group_fd: BigInt(LEADER), flags: NO_GROUP | OUTPUT })).kind, 'refuse')
})

t.test("one of ours as leader of a kernel event: EINVAL, after the kernel's own copy-in", async t => {
  const host = hostWith(attrBytes({ type: KERNEL_TYPE }))
  host.descriptors.set(LEADER, { kind: 'ours', ino: 5n })
  t.strictSame(await decide(host, { group_fd: BigInt(LEADER) }), { kind: 'refuse', code: 'EINVAL' })
  host.attrFault = 'EACCES'
  t.strictSame(await decide(host, { group_fd: BigInt(LEADER) }), { kind: 'refuse', code: 'EACCES' })
  host.descriptors.set(LEADER, { kind: 'kernel event' })
  t.equal((await decide(host, { group_fd: BigInt(LEADER) })).kind, 'resume')
})

t.test("the probe is answered with the mount's device number, once memory could be read", async t => {
  const probe = { flags: PROBE_FLAGS }
  t.strictSame(await decide(hostWith(), probe), { kind: 'complete', value: 45 })
  t.strictSame(await decide(new FakeHost(), probe), { kind: 'refuse', code: 'EFAULT' })
  const sealed = hostWith()
  sealed.memoryFailure = 'EPERM'
  await t.rejects(decide(sealed, probe), { code: 'EPERM' })
})

t.test(
  'any bytes and any arguments lead to one outcome, and leave no copy of a descriptor behind',
  async () => {
    const u64 = fc.bigInt(0n, (1n << 64n) - 1n)
    const kinds = [{ kind: 'ours', ino: 3n }, { kind: 'kernel event' }, { kind: 'other' }] as const
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.constantFrom(0, 64, 128, 136, 144, 4096),
        fc.record({
          pid: u64,
          cpu: u64,
          group_fd: fc.constantFrom(12n, 13n, 0xffff_ffffn),
          flags: fc.bigInt(0n, 17n),
        }),
        fc.constantFrom(...kinds),
        async (bytes, size, args, kind) => {
          const memory = Uint8Array.from([...bytes, ...new Uint8Array(8)])
          new DataView(memory.buffer).setUint32(0, OUR_TYPE, true)
          new DataView(memory.buffer).setUint32(4, size, true)
          const host = hostWith(memory)
          host.descriptors.set(LEADER, kind)
          const outcome = await decide(host, { attr: ADDRESS, ...args })
          return host.opened.size === (outcome.kind === 'inject' ? 1 : 0)
        },
      ),
    )
  },
)
