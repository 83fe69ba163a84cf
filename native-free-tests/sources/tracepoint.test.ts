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
import { exitReasonKinds, userspaceExitReasonKinds } from '../../src/sources/tracepoint/exit-reasons.js'
import { type KvmKind, kinds } from '../../src/sources/tracepoint/kinds.js'
import { TracepointSource } from '../../src/sources/tracepoint/tracepoint-source.js'
import { FakeCounters } from './support/fake-counters.js'

const kvmKinds: readonly KvmKind[] = ['intel', 'amd', 'other-x86', 'arm64']

/** A format file as the kernel writes it. */
const format = (id: number, ...fields: string[]): string => `name: x
ID: ${id}
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

${fields.map(field => `	field:${field};	offset:8;	size:4;	signed:0;`).join('\n')}

print fmt: "field:no field;"
`

/** A kernel that has every tracepoint with every field that is asked for. */
const everyFormat = (): string =>
  format(7, 'u32 exit_reason', 'u32 isa', '__u32 reason', 'int errno', '__u8 failed', 'u32 load').replace(
    'print fmt',
    '\tfield:int ret;\n\tfield:unsigned int esr_ec;\n\tfield:bool is_wfe;\n\nprint fmt',
  )

const namesOn = (kvm: KvmKind, read: (name: string) => string | undefined = everyFormat): string[] =>
  tracepointCatalogue(read, kvm).events.map(({ name }) => name)

t.test('parseFormat() reads the id and the fields, of arrays too', async t => {
  t.strictSame(parseFormat(format(42, 'unsigned int exit_reason', '__u8 insn[15]', 'u64 val')), {
    id: 42,
    fields: new Set(['common_type', 'common_pid', 'exit_reason', 'insn', 'val']),
  })
  for (const text of ['', 'ID:', 'format:\n']) t.equal(parseFormat(text), undefined, JSON.stringify(text))
})

t.test('what only kvm_intel and kvm_amd raise is offered with these alone', async t => {
  for (const kvm of ['intel', 'amd'] as const)
    for (const name of ['kvm_exit', 'kvm_entry', 'kvm_cr', 'irq_injections', 'exit_hlt', 'kvm_pio'])
      t.ok(namesOn(kvm).includes(name), `${name} on ${kvm}`)
  const others = namesOn('other-x86')
  for (const name of ['kvm_exit', 'kvm_entry', 'kvm_cr', 'irq_injections'])
    t.notOk(others.includes(name), name)
  t.notOk(others.some(name => name.startsWith('exit_')))
  for (const name of ['kvm_pio', 'kvm_mmio', 'insn_emulation', 'fpu_reload', 'userspace_exit_io'])
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
  const names = namesOn('intel', name => (name === 'kvm_exit' ? format(3, 'u32 exit_reason') : undefined))
  t.strictSame(names, ['kvm_exit'], 'a reason needs the field "isa" too')
  t.match(
    tracepointCatalogue(() => undefined, 'amd'),
    { events: [], problem: /load the kvm module/ },
  )
  t.equal(tracepointCatalogue(everyFormat, 'amd').problem, undefined)
})

t.test('names are unique, and those with an id of their own have it in the table of known names', async t => {
  const table = new EventTable()
  for (const kvm of kvmKinds) {
    const events = tracepointCatalogue(everyFormat, kvm).events
    t.equal(new Set(events.map(({ name }) => name)).size, events.length, kvm)
    const keys = events.flatMap(({ reason }) => (reason ? `${reason.of} ${reason.value}` : []))
    t.equal(new Set(keys).size, keys.length, `reasons of ${kvm}`)
    for (const { name, reason } of events) {
      t.type(table.id(reason?.of ?? name), 'number', name)
      if (reason) t.ok(reason.value >= 0 && reason.value < 2 ** 32, `${name} fits 32 bits`)
      t.match(name, /^[a-z][a-z0-9_]+$/)
    }
  }
  for (const { name, tracepoint } of kinds)
    if (name.startsWith('kvm_')) t.equal(name, tracepoint, 'a name of its own is the tracepoint itself')
})

t.test('filters tell the reasons apart', async t => {
  const filterOf = (list: ReturnType<typeof exitReasonKinds>, wanted: string) =>
    list.find(({ name }) => name === wanted)?.filter
  t.equal(
    filterOf(exitReasonKinds('intel'), 'exit_hlt'),
    'isa==1&&(exit_reason==0xc||exit_reason==0x400000c||exit_reason==0x800000c||exit_reason==0xc00000c||exit_reason==0x8000000c)',
    'with the bits that a reason may carry',
  )
  t.equal(filterOf(exitReasonKinds('amd'), 'exit_hlt'), 'isa==2&&exit_reason==0x78')
  t.equal(filterOf(exitReasonKinds('amd'), 'exit_invalid_guest_state'), 'isa==2&&exit_reason==0xffffffff')
  t.equal(filterOf(exitReasonKinds('arm64'), 'exit_wfx'), 'ret==2&&esr_ec==0x1')
  t.equal(filterOf(exitReasonKinds('arm64'), 'exit_irq'), 'ret==0')
  t.strictSame(exitReasonKinds('other-x86'), [])
  const userspace = userspaceExitReasonKinds('amd')
  t.equal(filterOf(userspace, 'userspace_exit_io'), 'reason==2&&errno==0')
  t.equal(filterOf(userspace, 'userspace_exit_intr'), 'errno==-4', 'KVM_RUN that fails sets no reason')
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
