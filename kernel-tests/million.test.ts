/**
 * A million events of a kind (fewer in a lab) between two reads are counted as so many, by each source that can count them: KVM's
 * statistics from descriptors and through QMP, and tracepoints. Each guest runs nothing else, so that what is
 * expected is known beforehand.
 */
import t from 'tap'
import { kvmKind } from '../src/os/tracepoints.js'
import { openHandles, readCounts, vmOf } from './support/handles.js'
import { microVmm } from './support/micro-vmm.js'
import { mounted, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { OTHER_INSTRUCTIONS, portWriter } from './support/port-writer.js'
import { qemu } from './support/qemu.js'
import { scaled } from './support/scale.js'

const MILLION = scaled(1_000_000)
const isX86 = process.arch === 'x64'
/** A KVM that runs real mode in its emulator: no port write exits, all of them are emulated. */
const isEmulated = isX86 && kvmKind() === 'other-x86'
const ofPortWrites = isEmulated ? 'insn_emulation' : 'io_exits'
const gcc = isX86 ? needs('root', 'fuse', 'kvm', 'gcc') : { skip: "the guest's code is x86's" }

/** What each source counts for each kind of instruction. */
const kinds: Readonly<Record<string, { readonly stats: string[]; readonly tracepoint: string[] }>> = {
  port: { stats: [ofPortWrites], tracepoint: ['trace_kvm_pio', 'userspace_exit_io'] },
  mmio: { stats: ['mmio_exits'], tracepoint: ['trace_kvm_mmio', 'userspace_exit_mmio'] },
  halt: { stats: ['halt_exits'], tracepoint: ['userspace_exit_hlt'] },
  hypercall: { stats: ['hypercalls'], tracepoint: ['kvm_hypercall'] },
}

for (const [kind, events] of Object.entries(kinds)) {
  if (kind === 'hypercall' && isEmulated) {
    t.comment('hypercalls are left out: an emulator that rewrites the instruction never gets past it')
    continue
  }
  t.test(`a million of ${kind}, by statistics and tracepoints at once`, gcc, async t => {
    t.comment(`${MILLION} on this machine`)
    const vmm = await microVmm(t)
    const [tid = 0] = vmm.tids
    const held = Object.entries(events).map(async ([source, names]) => {
      const mount = await mounted(t, '--source', source)
      await until('the guest is found', async () => (await vmOf(mount, vmm.process.pid)) !== '')
      return { source, mount, names, handles: await openHandles(mount, names, tid) }
    })
    const counting = await Promise.all(held)
    await vmm.burst(kind, 0, MILLION)
    for (const { source, mount, names, handles } of counting) {
      const expected = Object.fromEntries(names.map(name => [name, MILLION]))
      t.same(await readCounts(mount, handles), expected, `${source}: ${names.join(', ')}`)
    }
    await vmm.burst(kind, 0, 0)
    const again = await Promise.all(counting.map(({ mount, handles }) => readCounts(mount, handles)))
    t.ok(again.flatMap(counts => Object.values(counts)).every(count => count === MILLION))
  })
}

const hasQemu = isX86 ? needs('root', 'fuse', 'kvm', 'qemu') : gcc
t.test('a million port writes of a QEMU guest, by QMP and tracepoints at once', hasQemu, async t => {
  const writer = portWriter(t, MILLION)
  const guest = await qemu(t, { name: 'writer', args: writer.args })
  const mount = await mounted(t, '--qmp', guest.socket)
  const [tid = 0] = await guest.tids()
  const own = async () => (await guest.counts(ofPortWrites))[0] ?? Number.NaN
  const sourceOf = async (event: string) =>
    (await mount.sh(`grep '^${event} ' vms/writer/events`)).stdout.split(' ')[1]
  t.equal(await sourceOf(ofPortWrites), 'qmp')
  t.equal(await sourceOf('trace_kvm_pio'), 'tracepoint')

  const before = await own()
  const handles = await openHandles(mount, [ofPortWrites, 'trace_kvm_pio', 'userspace_exit_io'], tid)
  await guest.qmp.cont()
  await until('all is written', () => writer.written() >= MILLION, 120)
  await guest.qmp.run('stop')
  t.equal(writer.written(), MILLION, 'what QEMU itself was given')
  const emulated = MILLION + (isEmulated ? OTHER_INSTRUCTIONS : 0)
  const expected = { [ofPortWrites]: emulated, trace_kvm_pio: MILLION, userspace_exit_io: MILLION }
  t.same(await readCounts(mount, handles), expected)
  t.equal((await own()) - before, emulated, 'and what it says of itself')
})
