/** Counting by tracepoints: what is offered on which host, how reasons are told apart, and when anything is armed. */
import t from 'tap'
import { ErrnoError, Failure } from '../../src/abi/errno.js'
import { EventTable } from '../../src/kvm/event-table.js'
import type { Vcpu } from '../../src/kvm/vm.js'
import {
  parseFormat,
  type TracepointCatalogue,
  tracepointCatalogue,
} from '../../src/sources/tracepoint/catalogue.js'
import { type KvmKind, kinds } from '../../src/sources/tracepoint/kinds.js'
import { TracepointSource } from '../../src/sources/tracepoint/tracepoint-source.js'
import { FakeCounters } from './support/fake-counters.js'
import { formatsOf, type Kernel } from './support/kernel-formats.js'

const kvmKinds: readonly KvmKind[] = ['intel', 'amd', 'other-x86', 'arm64']
const kernels: readonly (readonly [Kernel, KvmKind])[] = [
  ...(['linux-6.1-amd64', 'linux-6.12-amd64', 'linux-6.18-amd64'] as const).flatMap(kernel =>
    (['intel', 'amd', 'other-x86'] as const).map(kvm => [kernel, kvm] as const),
  ),
  ['linux-6.12-arm64', 'arm64'],
]

/** A format file as the kernel writes it. */
const format = (id: number, ...fields: string[]): string => `name: x
ID: ${id}
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

${fields.map(field => `	field:${field};	offset:8;	size:4;	signed:0;`).join('\n')}

print fmt: "field:no field;"
`

const noExtension = (): number => 0

const catalogueOf = (readFormat: (name: string) => string | undefined, kvm: KvmKind) =>
  tracepointCatalogue({ readFormat, kvm, checkExtension: noExtension })

/** What a kernel offers whose formats are in a file of fixtures/. */
const offeredBy = (kernel: Kernel, kvm: KvmKind) => catalogueOf(formatsOf(kernel), kvm)

const namesOn = (kvm: KvmKind, kernel: Kernel = kvm === 'arm64' ? 'linux-6.12-arm64' : 'linux-6.18-amd64') =>
  offeredBy(kernel, kvm).events.map(({ name }) => name)

t.test('parseFormat() reads the id and the fields, of arrays too', async t => {
  t.strictSame(parseFormat(format(42, 'unsigned int exit_reason', '__u8 insn[15]', 'u64 val')), {
    id: 42,
    fields: new Set(['common_type', 'common_pid', 'exit_reason', 'insn', 'val']),
  })
  for (const text of ['', 'ID:', 'format:\n']) t.equal(parseFormat(text), undefined, JSON.stringify(text))
})

t.test('what only kvm_intel and kvm_amd raise is offered with these alone', async t => {
  for (const kvm of ['intel', 'amd'] as const)
    for (const name of [
      'trace_kvm_exit',
      'trace_kvm_entry',
      'trace_kvm_cr',
      'irq_injections',
      'exit_hlt',
      'trace_kvm_pio',
    ])
      t.ok(namesOn(kvm).includes(name), `${name} on ${kvm}`)
  const others = namesOn('other-x86')
  for (const name of ['trace_kvm_exit', 'trace_kvm_entry', 'trace_kvm_cr', 'irq_injections'])
    t.notOk(others.includes(name), name)
  t.notOk(others.some(name => name.startsWith('exit_')))
  for (const name of ['trace_kvm_pio', 'trace_kvm_mmio', 'insn_emulation', 'fpu_reload', 'userspace_exit_io'])
    t.ok(others.includes(name), name)
})

t.test('each architecture has its own reasons', async t => {
  const all = Object.fromEntries(kvmKinds.map(kvm => [kvm, namesOn(kvm)]))
  t.ok(all.intel?.includes('exit_ept_violation'))
  t.notOk(all.intel?.includes('exit_npf'))
  t.ok(all.amd?.includes('exit_npf'))
  t.ok(all.arm64?.includes('exit_wfx'))
  t.ok(all.arm64?.includes('exits'), 'where arm64 counts an exit it raises kvm_exit')
  t.notOk(all.arm64?.includes('userspace_exit_io'))
  t.ok(all.arm64?.includes('userspace_exit_arm_nisv'))
  t.notOk(all.amd?.includes('userspace_exit_arm_nisv'))
  t.ok(all.arm64?.includes('userspace_exit_mmio') && all.amd?.includes('userspace_exit_mmio'))
})

t.test('a tracepoint that the kernel lacks, or whose fields it lacks, is left out', async t => {
  const kernel = formatsOf('linux-6.12-amd64')
  const withoutIsa = kernel('kvm_exit')?.replace('field:u32 isa;', 'field:u32 isb;')
  const names = catalogueOf(name => (name === 'kvm_exit' ? withoutIsa : undefined), 'intel').events
  t.strictSame(
    names.map(({ name }) => name),
    ['trace_kvm_exit'],
    'a reason needs the field "isa" too',
  )
  t.match(
    catalogueOf(() => undefined, 'amd'),
    { events: [], problem: /load the kvm module/ },
  )
  t.equal(offeredBy('linux-6.12-amd64', 'amd').problem, undefined)
})

t.test('names are unique, and those with an id of their own have it in the table of known names', async t => {
  const table = new EventTable()
  for (const [kernel, kvm] of kernels) {
    const { events } = offeredBy(kernel, kvm)
    t.equal(new Set(events.map(({ name }) => name)).size, events.length, `${kernel} ${kvm}`)
    const keys = events.flatMap(({ reason }) => (reason ? `${reason.of} ${reason.value}` : []))
    t.equal(new Set(keys).size, keys.length, `reasons of ${kvm}`)
    for (const { name, reason } of events) {
      t.type(table.id(reason?.of ?? name), 'number', name)
      if (reason) t.ok(reason.value >= 0 && reason.value < 2 ** 32, `${name} fits 32 bits`)
      t.match(name, /^[a-z][a-z0-9_]+$/)
    }
  }
  for (const { name, tracepoint } of kinds)
    if (name.includes('kvm_')) t.equal(name, `trace_${tracepoint}`, 'the function that raises it')
})

t.test('filters tell the reasons apart', async t => {
  const filterOf = (kvm: KvmKind, wanted: string) =>
    offeredBy(kvm === 'arm64' ? 'linux-6.12-arm64' : 'linux-6.12-amd64', kvm).events.find(
      ({ name }) => name === wanted,
    )?.filter
  t.equal(
    filterOf('intel', 'exit_hlt'),
    'isa==1&&(exit_reason==0xc||exit_reason==0x400000c||exit_reason==0x800000c||exit_reason==0xc00000c||exit_reason==0x8000000c)',
    'with the bits that a reason may carry',
  )
  t.equal(filterOf('amd', 'exit_hlt'), 'isa==2&&exit_reason==0x78')
  t.equal(filterOf('amd', 'exit_de_excp'), 'isa==2&&exit_reason==0x40')
  t.equal(filterOf('amd', 'exit_xf_excp'), 'isa==2&&exit_reason==0x53', 'the kernel lists a sum')
  t.equal(filterOf('amd', 'exit_invalid_guest_state'), 'isa==2&&exit_reason==0xffffffff')
  t.equal(filterOf('arm64', 'exit_wfx'), 'ret==2&&esr_ec==0x1')
  t.equal(filterOf('arm64', 'exit_irq'), 'ret==0')
  t.equal(filterOf('arm64', 'exit_hyp_gone'), 'ret==195938833')
  t.equal(filterOf('arm64', 'exit_il'), 'ret==3')
  t.equal(filterOf('amd', 'userspace_exit_io'), 'reason==2&&errno==0')
  t.equal(filterOf('amd', 'userspace_exit_intr'), 'errno==-4', 'KVM_RUN that fails sets no reason')
})

t.test('#7: reasons are those of the running kernel, and no others', async t => {
  const of = (kernel: Kernel, kvm: KvmKind) => new Set(offeredBy(kernel, kvm).events.map(({ name }) => name))
  const since618 = {
    amd: ['exit_buslock', 'exit_idle_halt'],
    intel: ['exit_tdcall', 'exit_msr_read_imm', 'exit_msr_write_imm'],
  }
  for (const kvm of ['amd', 'intel'] as const)
    for (const name of since618[kvm]) {
      for (const kernel of ['linux-6.1-amd64', 'linux-6.12-amd64'] as const)
        t.notOk(of(kernel, kvm).has(name), `${name} on ${kernel}`)
      t.ok(of('linux-6.18-amd64', kvm).has(name), `${name} on 6.18`)
    }
  const reasons = (kernel: Kernel, kvm: KvmKind, prefix: string) =>
    [...of(kernel, kvm)].filter(name => name.startsWith(prefix)).length
  // Counted in the formats by hand.
  t.equal(reasons('linux-6.1-amd64', 'amd', 'exit_'), 108)
  t.equal(reasons('linux-6.1-amd64', 'intel', 'exit_'), 62)
  t.equal(reasons('linux-6.18-amd64', 'amd', 'exit_'), 110)
  t.equal(reasons('linux-6.12-arm64', 'arm64', 'exit_'), 39, '35 classes, those of ret but TRAP, and IL')
  for (const [kernel, kvm] of kernels) {
    const names = [...of(kernel, kvm)].join(' ')
    t.notMatch(names, /s390|papr|osi|epr|dcr|riscv/, `${kernel} lists other architectures' too`)
  }
})

t.test('reasons that no list has are offered by what KVM says of its capabilities', async t => {
  const offered = (kvm: KvmKind, capabilities: Readonly<Record<number, number>>) =>
    tracepointCatalogue({
      readFormat: formatsOf(kvm === 'arm64' ? 'linux-6.12-arm64' : 'linux-6.12-amd64'),
      kvm,
      checkExtension: capability => capabilities[capability] ?? 0,
    }).events
  const beyond = (kvm: KvmKind, capabilities: Readonly<Record<number, number>>) =>
    offered(kvm, capabilities).flatMap(({ name, reason }) =>
      reason?.of === 'kvm_userspace_exit_reason' && reason.value > 30 ? [name] : [],
    )
  t.strictSame(beyond('amd', {}), [])
  t.strictSame(beyond('amd', { 192: 65536 }), ['userspace_exit_dirty_ring_full'])
  t.strictSame(beyond('arm64', { 223: 65536 }), ['userspace_exit_dirty_ring_full'])
  t.strictSame(beyond('intel', { 193: 3, 219: 1 }), ['userspace_exit_x86_bus_lock', 'userspace_exit_notify'])
  t.strictSame(beyond('amd', { 38: 1 }), [], 'Xen of before 5.12 handled no hypercalls')
  t.strictSame(beyond('amd', { 38: 0x3f }), ['userspace_exit_xen'])
  t.strictSame(beyond('amd', { 235: 1 }), [])
  t.strictSame(beyond('amd', { 235: 0b01001 }), ['userspace_exit_ap_reset_hold'])
  t.strictSame(beyond('intel', { 235: 0b100001 }), ['userspace_exit_tdx'])
  t.strictSame(beyond('arm64', { 245: 1 }), ['userspace_exit_arm_sea'])
  t.strictSame(beyond('amd', { 245: 1 }), [], "another architecture's")
  const fault = offered('amd', { 232: 1 }).find(({ name }) => name === 'userspace_exit_memory_fault')
  t.match(fault?.filter, /reason==39.*errno==-14/, 'KVM_RUN fails with EFAULT then')
})

t.test('a number that is not known here has the name that the kernel gives it', async t => {
  const kernel = formatsOf('linux-6.18-amd64')
  const later = (name: string) =>
    kernel(name)
      ?.replace('{ 77, "TDCALL" }', '{ 77, "TDCALL" }, { 99, "NEW Thing" }, { 100, "HLT" }')
      .replace('{ 30, "KVM_EXIT_"', '{ 99, "KVM_EXIT_" "NEWER" }, { 30, "KVM_EXIT_"')
  const { events } = catalogueOf(later, 'intel')
  const reasonOf = (wanted: string) => events.find(({ name }) => name === wanted)?.reason?.value
  t.equal(reasonOf('exit_new_thing'), 99)
  t.equal(reasonOf('exit_hlt'), 12, 'a name keeps its number')
  t.equal(reasonOf('exit_hlt_0x64'), 100)
  t.equal(reasonOf('userspace_exit_newer'), 99)
})

const vcpu = (tid: number): Vcpu => ({ tid, startTime: 9n }) as Vcpu
const catalogue: TracepointCatalogue = {
  events: [
    { name: 'kvm_pio', id: 5 },
    { name: 'odd', id: 6, filter: 'a==1' },
  ],
}

t.test('an event of the kernel exists while its count is armed, and not longer', async t => {
  const counters = new FakeCounters()
  const source = new TracepointSource(catalogue, counters)
  const [first, second] = [vcpu(101), vcpu(102)]
  t.equal(source.get_event_count(first, 'kvm_pio'), 0n)
  t.strictSame(counters.opened, [], 'reading arms nothing')
  t.equal(source.configure_event(first, 'odd', true), undefined)
  t.strictSame(counters.opened, [{ tid: 101, id: 6, filter: 'a==1' }])
  source.configure_event(first, 'odd', false)
  t.strictSame(counters.opened, [])

  source.configure_event(first, 'kvm_pio', true)
  source.configure_event(second, 'kvm_pio', true)
  counters.hit(101, 5, 3n)
  counters.hit(102, 5, 4n)
  t.equal(source.get_event_count(first, 'kvm_pio'), 3n)
  t.equal(source.get_event_count(second, 'kvm_pio'), 4n)
  source.configure_event(first, 'kvm_pio', false)
  counters.hit(101, 5, 1000n)
  t.equal(source.get_event_count(first, 'kvm_pio'), 3n, 'what comes while nobody counts is not counted')
  source.configure_event(first, 'kvm_pio', true)
  t.equal(source.get_event_count(first, 'kvm_pio'), 3n, 'it goes on where it stood')
  counters.hit(101, 5, 2n)
  t.equal(source.get_event_count(first, 'kvm_pio'), 5n)
  source.close()
  t.strictSame(counters.opened, [], 'close() leaves nothing open')
  t.equal(source.get_event_count(first, 'kvm_pio'), 5n)
})

t.test('an event on one CPU is one of its own, with its times, and goes on where it stood', async t => {
  const counters = new FakeCounters()
  const source = new TracepointSource(catalogue, counters)
  const thread = vcpu(101)
  t.equal(source.onCpu(thread, 'none', 1), undefined)
  const onCpu = source.onCpu(thread, 'kvm_pio', 1)
  for (const [hits, total] of [
    [3n, 3n],
    [2n, 5n],
  ] as const) {
    onCpu?.configure_event(thread, true)
    source.configure_event(thread, 'kvm_pio', true)
    t.strictSame(counters.opened, [
      { tid: 101, id: 5, cpu: 1 },
      { tid: 101, id: 5 },
    ])
    counters.hit(101, 5, hits, 1)
    counters.hit(101, 5, 100n, 0)
    onCpu?.configure_event(thread, false)
    source.configure_event(thread, 'kvm_pio', false)
    t.equal(onCpu?.get_event_count(thread), total)
    t.strictSame(onCpu?.timesOnCpu(thread), { enabled: 2n * total, running: total })
  }
  t.equal(source.get_event_count(thread, 'kvm_pio'), 205n)
})

t.test('configure_event() fails with what the kernel said', async t => {
  const counters = new FakeCounters()
  const source = new TracepointSource(catalogue, counters)
  counters.refusal = new ErrnoError('EACCES', 'perf_event_open: Permission denied')
  const failure = source.configure_event(vcpu(101), 'kvm_pio', true)
  t.ok(failure instanceof Failure)
  t.match(failure, {
    code: 'EACCES',
    message: /Cannot count "kvm_pio" of vCPU thread 101: .*Permission denied/,
  })
  source.configure_event(vcpu(101), 'kvm_pio', false)
  t.match(source.configure_event(vcpu(101), 'exits', true), { code: 'EOPNOTSUPP' })
  t.equal(source.get_event_count(vcpu(101), 'exits'), undefined)
  t.notOk(source.canCount(vcpu(101), 'exits'))
})

t.test('a count that cannot be read is undefined, and keeps what it had', async t => {
  const counters = new FakeCounters()
  const source = new TracepointSource(catalogue, counters)
  const one = vcpu(101)
  source.configure_event(one, 'kvm_pio', true)
  counters.hit(101, 5, 3n)
  source.configure_event(one, 'kvm_pio', false)
  source.configure_event(one, 'kvm_pio', true)
  counters.isReadable = false
  t.equal(source.get_event_count(one, 'kvm_pio'), undefined)
  source.configure_event(one, 'kvm_pio', false)
  t.equal(source.get_event_count(one, 'kvm_pio'), 3n)
  t.strictSame(counters.opened, [])
})

t.test(
  'a count that cannot be read when it is switched off is what it was when it last could be',
  async t => {
    const counters = new FakeCounters()
    const source = new TracepointSource(catalogue, counters)
    const one = vcpu(101)
    source.configure_event(one, 'kvm_pio', true)
    counters.hit(101, 5, 100n)
    t.equal(source.get_event_count(one, 'kvm_pio'), 100n)
    counters.hit(101, 5, 5n)
    t.equal(source.get_event_count(one, 'kvm_pio'), 105n)
    counters.isReadable = false
    source.configure_event(one, 'kvm_pio', false)
    t.equal(
      source.get_event_count(one, 'kvm_pio'),
      105n,
      'else a reader would take the step back for a reset',
    )
  },
)
