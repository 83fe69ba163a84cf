import t, { type Test } from 'tap'
import { type ErrnoName, Failure } from '../../src/abi/errno.js'
import {
  PERF_FLAG_FD_NO_GROUP,
  PERF_FLAG_FD_OUTPUT,
  PERF_FLAG_PID_CGROUP,
  PERF_FORMAT,
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_PMU_CAP_AUX_OUTPUT,
  PERF_PMU_CAP_AUX_PAUSE,
  PERF_PMU_CAP_EXCLUSIVE,
  PERF_PMU_CAP_EXTENDED_HW_TYPE,
  PERF_PMU_CAP_EXTENDED_REGS,
  PERF_PMU_CAP_NO_EXCLUDE,
  PERF_PMU_CAP_NO_INTERRUPT,
  PERF_PMU_CAP_NO_NMI,
  PERF_SAMPLE,
  PERF_SAMPLE_BRANCH,
  PERF_TYPE_HARDWARE,
  PERF_TYPE_RAW,
} from '../../src/abi/perf-event.js'
import { attrOf, type perf_event_attr } from '../../src/abi/perf-event-attr.js'
import { encodeAttr } from '../../src/abi/perf-event-attr-bytes.js'
import { perf_release } from '../../src/perf/event-file.js'
import { FakeTask, NOBODY, ROOT } from './support/fake-host.js'
import type { FakePmuOptions } from './support/fake-pmu.js'
import { type OpenArgs, Setup, values } from './support/setup.js'

/** What an open gives: an errno, or `ok`. */
function outcome(setup: Setup, args: OpenArgs): ErrnoName | 'ok' {
  const event = setup.tryOpen(args)
  return event instanceof Failure ? event.code : 'ok'
}

interface Row {
  readonly name: string
  readonly args: OpenArgs
  readonly wanted: ErrnoName | 'ok'
  readonly pmu?: FakePmuOptions
}

function table(rows: readonly Row[], subject: Test): void {
  for (const { name, args, wanted, pmu } of rows) {
    const setup = new Setup(pmu)
    subject.equal(outcome(setup, args), wanted, name)
    if (wanted === 'ok') continue
    subject.equal(setup.task.references, 0, `${name}: the thread is released`)
    subject.equal(setup.core.eventCount, 0, `${name}: no event is left`)
    const count = (callback: string) => setup.pmu.log.filter(entry => entry === callback).length
    if (setup.pmu.verdict === undefined && count('destroy') > 0)
      subject.equal(count('destroy'), 1, `${name}: destroy is called once`)
  }
}

const {
  READ,
  TID,
  CALLCHAIN,
  BRANCH_STACK,
  REGS_USER,
  REGS_INTR,
  STACK_USER,
  WEIGHT,
  WEIGHT_STRUCT,
  PHYS_ADDR,
} = PERF_SAMPLE

t.test('perf_event_open() judges the attr as perf_copy_attr() does', async t => {
  const row = (name: string, attr: Partial<perf_event_attr>, wanted: ErrnoName | 'ok'): Row => ({
    name,
    args: { attr },
    wanted,
  })
  const branch = (branch_sample_type: bigint) => ({ sample_type: BRANCH_STACK, branch_sample_type })
  table(
    [
      row('an attr of zeros', {}, 'ok'),
      row('every known sample_type bit but those that need more', { sample_type: READ | TID }, 'ok'),
      row('sample_type bit 25', { sample_type: 1n << 25n }, 'EINVAL'),
      row('read_format bit 5', { read_format: 1n << 5n }, 'EINVAL'),
      row('all read_format bits', { read_format: (1n << 5n) - 1n }, 'ok'),
      row('branch stack without a kind', branch(PERF_SAMPLE_BRANCH.USER), 'EINVAL'),
      row('branch stack of any kind', branch(PERF_SAMPLE_BRANCH.ANY), 'ok'),
      row('branch bit 20', branch(PERF_SAMPLE_BRANCH.ANY | (1n << 20n)), 'EINVAL'),
      row('branch bit 20 without branch stack', { branch_sample_type: 1n << 20n }, 'ok'),
      row('no user registers', { sample_type: REGS_USER }, 'EINVAL'),
      row('user register AX', { sample_type: REGS_USER, sample_regs_user: 1n }, 'ok'),
      row('user register DS', { sample_type: REGS_USER, sample_regs_user: 1n << 12n }, 'EINVAL'),
      row('no interrupt registers', { sample_type: REGS_INTR }, 'EINVAL'),
      row('interrupt registers unasked', { sample_regs_intr: 1n << 12n }, 'ok'),
      row('user stack 65528', { sample_type: STACK_USER, sample_stack_user: 65528 }, 'ok'),
      row('user stack 65535', { sample_type: STACK_USER, sample_stack_user: 65535 }, 'EINVAL'),
      row('user stack 12', { sample_type: STACK_USER, sample_stack_user: 12 }, 'EINVAL'),
      row('both weights', { sample_type: WEIGHT | WEIGHT_STRUCT }, 'EINVAL'),
      row('inherit_thread alone', { inherit_thread: true }, 'EINVAL'),
      row('inherit_thread with inherit', { inherit_thread: true, inherit: true }, 'ok'),
      row('remove_on_exec with enable_on_exec', { remove_on_exec: true, enable_on_exec: true }, 'EINVAL'),
      row('sigtrap alone', { sigtrap: true }, 'EINVAL'),
      row('sigtrap with remove_on_exec', { sigtrap: true, remove_on_exec: true }, 'ok'),
    ],
    t,
  )
})

t.test('perf_event_open() completes what the attr leaves to the kernel', async t => {
  const setup = new Setup()
  const open = (attr: Partial<perf_event_attr>) => setup.open({ attr }).attr
  t.equal(open({}).sample_max_stack, 127, 'sample_max_stack is the sysctl')
  t.equal(
    open({ branch_sample_type: 8n }).branch_sample_type,
    0n,
    'branch bits without branch stack are dropped',
  )
  const branches = { sample_type: BRANCH_STACK, branch_sample_type: PERF_SAMPLE_BRANCH.ANY }
  t.equal(
    open({ ...branches, exclude_hv: true }).branch_sample_type,
    0b1011n,
    'privileges follow the excludes',
  )
})

t.test('perf_event_open() fails with the errno of each of its own checks', async t => {
  const unknown = new Setup().tryOpen({ attr: { type: 999 } })
  t.match(unknown, { code: 'ENOENT', message: /999/ })
  const clock = (clockid: number) => ({ attr: { use_clockid: true, clockid } })
  table(
    [
      { name: 'flag bit 4', args: { flags: 16n }, wanted: 'EINVAL' },
      { name: 'PID_CGROUP without cpu', args: { flags: PERF_FLAG_PID_CGROUP }, wanted: 'EINVAL' },
      {
        name: 'PID_CGROUP without pid',
        args: { flags: PERF_FLAG_PID_CGROUP, pid: -1, cpu: 0 },
        wanted: 'EINVAL',
      },
      { name: 'PID_CGROUP', args: { flags: PERF_FLAG_PID_CGROUP, pid: 3, cpu: 0 }, wanted: 'EINVAL' },
      { name: 'a period with bit 63', args: { attr: { sample_period: 1n << 63n } }, wanted: 'EINVAL' },
      { name: 'the largest period', args: { attr: { sample_period: (1n << 63n) - 1n } }, wanted: 'ok' },
      {
        name: 'a frequency above the limit',
        args: { attr: { freq: true, sample_period: 100_001n } },
        wanted: 'EINVAL',
      },
      {
        name: 'a frequency at the limit',
        args: { attr: { freq: true, sample_period: 100_000n } },
        wanted: 'ok',
      },
      { name: 'no descriptor left', args: { reserveFd: () => new Failure('EMFILE') }, wanted: 'EMFILE' },
      { name: 'group_fd is no event', args: { group_fd: 'EBADF' }, wanted: 'EBADF' },
      { name: 'an unknown thread', args: { pid: 4711 }, wanted: 'ESRCH' },
      { name: 'pid -2', args: { pid: -2 }, wanted: 'ESRCH' },
      { name: 'pid 0 is the caller', args: { pid: 0 }, wanted: 'ok' },
      { name: 'neither pid nor cpu', args: { pid: -1 }, wanted: 'EINVAL' },
      { name: 'cpu -2', args: { cpu: -2 }, wanted: 'EINVAL' },
      { name: 'cpu 4 of 4', args: { cpu: 4 }, wanted: 'EINVAL' },
      { name: 'a whole CPU', args: { pid: -1, cpu: 3 }, wanted: 'ok' },
      {
        name: 'sigtrap on a CPU',
        args: { pid: -1, cpu: 0, attr: { sigtrap: true, remove_on_exec: true } },
        wanted: 'EINVAL',
      },
      { name: 'inherit with READ', args: { attr: { inherit: true, sample_type: READ } }, wanted: 'EINVAL' },
      {
        name: 'inherit with READ and TID',
        args: { attr: { inherit: true, sample_type: READ | TID } },
        wanted: 'ok',
      },
      {
        name: 'a thread on an uncore PMU',
        pmu: { task_ctx_nr: 'perf_invalid_context' },
        args: {},
        wanted: 'EINVAL',
      },
      {
        name: 'a CPU on an uncore PMU',
        pmu: { task_ctx_nr: 'perf_invalid_context' },
        args: { pid: -1, cpu: 0 },
        wanted: 'ok',
      },
      {
        name: 'a callchain above the limit',
        args: { attr: { sample_type: CALLCHAIN, sample_max_stack: 128 } },
        wanted: 'EOVERFLOW',
      },
      {
        name: 'a callchain at the limit',
        args: { attr: { sample_type: CALLCHAIN, sample_max_stack: 127 } },
        wanted: 'ok',
      },
      {
        name: 'sampling on a PMU without interrupt',
        pmu: { capabilities: PERF_PMU_CAP_NO_INTERRUPT },
        args: { attr: { sample_period: 1n } },
        wanted: 'EOPNOTSUPP',
      },
      {
        name: 'an exclude that the PMU cannot honour',
        pmu: { capabilities: PERF_PMU_CAP_NO_EXCLUDE },
        args: { attr: { exclude_host: true } },
        wanted: 'EINVAL',
      },
      { name: 'the same without that capability', args: { attr: { exclude_host: true } }, wanted: 'ok' },
      {
        name: 'XMM0 of a PMU without extended registers',
        args: { attr: { sample_type: REGS_USER, sample_regs_user: 1n << 32n } },
        wanted: 'EOPNOTSUPP',
      },
      {
        name: 'XMM0 in a mask that is not sampled',
        args: { attr: { sample_regs_intr: 1n << 32n } },
        wanted: 'EOPNOTSUPP',
      },
      {
        name: 'XMM0 of one with them',
        pmu: { capabilities: PERF_PMU_CAP_EXTENDED_REGS },
        args: { attr: { sample_type: REGS_INTR, sample_regs_intr: 1n << 32n } },
        wanted: 'ok',
      },
      { name: 'CLOCK_MONOTONIC', args: clock(1), wanted: 'ok' },
      { name: 'CLOCK_REALTIME', args: clock(0), wanted: 'EINVAL' },
      {
        name: 'CLOCK_REALTIME outside NMIs',
        pmu: { capabilities: PERF_PMU_CAP_NO_NMI },
        args: clock(0),
        wanted: 'ok',
      },
      {
        name: 'CLOCK_PROCESS_CPUTIME_ID',
        pmu: { capabilities: PERF_PMU_CAP_NO_NMI },
        args: clock(2),
        wanted: 'EINVAL',
      },
      {
        name: 'aux_output without the capability',
        args: { attr: { aux_output: true } },
        wanted: 'EOPNOTSUPP',
      },
      {
        name: 'aux_output without a leader',
        pmu: { capabilities: PERF_PMU_CAP_AUX_OUTPUT },
        args: { attr: { aux_output: true } },
        wanted: 'EINVAL',
      },
      {
        name: 'aux_pause with aux_resume',
        args: { attr: { aux_pause: true, aux_resume: true } },
        wanted: 'EINVAL',
      },
      { name: 'aux_pause alone', args: { attr: { aux_pause: true } }, wanted: 'EINVAL' },
      { name: 'aux_start_paused', args: { attr: { aux_start_paused: true } }, wanted: 'EOPNOTSUPP' },
      {
        name: 'aux_start_paused where it can be',
        pmu: { capabilities: PERF_PMU_CAP_AUX_PAUSE },
        args: { attr: { aux_start_paused: true } },
        wanted: 'ok',
      },
      { name: 'aux_sample_size alone', args: { attr: { aux_sample_size: 8 } }, wanted: 'EINVAL' },
    ],
    t,
  )
})

t.test('perf_event_open() asks for rights as the kernel does', async t => {
  const open = (level: number, args: OpenArgs, uid = 65534): string => {
    const setup = new Setup()
    setup.host.level = level
    setup.host.tasks.set(200, new FakeTask(200, uid))
    return outcome(setup, { caller: NOBODY, pid: 200, ...args })
  }
  const user = { attr: { exclude_kernel: true } }
  t.equal(open(2, {}), 'EACCES', 'the kernel side at level 2')
  t.equal(open(1, {}), 'ok', 'the kernel side at level 1')
  t.equal(open(3, user), 'ok', 'own thread at level 3')
  t.equal(open(-1, user, 0), 'EACCES', "another's thread at level -1")
  t.equal(open(1, { ...user, pid: -1, cpu: 0 }), 'EACCES', 'a CPU at level 1')
  t.equal(open(0, { ...user, pid: -1, cpu: 0 }), 'ok', 'a CPU at level 0')
  t.equal(open(0, { attr: { ...user.attr, namespaces: true } }), 'EACCES', 'namespaces')
  t.equal(open(2, { attr: { ...user.attr, sample_type: PHYS_ADDR } }), 'EACCES', 'physical addresses')
  const branches = { sample_type: BRANCH_STACK, branch_sample_type: PERF_SAMPLE_BRANCH.ANY }
  t.equal(open(2, { attr: { ...user.attr, ...branches } }), 'EACCES', 'branches of the hypervisor')
  t.equal(open(2, { attr: { ...user.attr, ...branches, exclude_hv: true } }), 'ok', 'branches of user space')
})

t.test('perf_event_open() makes its checks in order: the first that fails is told', async t => {
  // Each step breaks one more thing, from the last check to the first: the errno must follow it each time.
  const setup = new Setup({ capabilities: PERF_PMU_CAP_NO_INTERRUPT })
  const strangers = new FakeTask(200)
  setup.host.tasks.set(200, strangers)
  setup.host.level = 1
  const steps: [string, OpenArgs, ErrnoName][] = [
    ['the thread is exiting', { caller: ROOT }, 'ESRCH'],
    ['the caller may not observe it', { caller: NOBODY }, 'EACCES'],
    ['the PMU cannot sample', { attr: { sample_period: 1n } }, 'EOPNOTSUPP'],
    ['the callchain is too deep', { attr: { sample_type: CALLCHAIN, sample_max_stack: 200 } }, 'EOVERFLOW'],
    ['the PMU has no AUX output', { attr: { aux_output: true } }, 'EOPNOTSUPP'],
    ['no PMU has the type', { attr: { type: 999 } }, 'ENOENT'],
    ['READ is inherited without TID', { attr: { inherit: true, sample_type: READ } }, 'EINVAL'],
    ['the thread is unknown', { pid: 4711 }, 'ESRCH'],
    ['group_fd is no event', { group_fd: 'EBADF' }, 'EBADF'],
    ['no descriptor is left', { reserveFd: () => new Failure('EMFILE') }, 'EMFILE'],
    ['the period is negative', { attr: { sample_period: 1n << 63n } }, 'EINVAL'],
    ['namespaces are private', { attr: { namespaces: true } }, 'EACCES'],
    ['read_format has unknown bits', { attr: { read_format: 32n } }, 'EINVAL'],
  ]
  strangers.isExited = true
  let args: OpenArgs = { pid: 200 }
  for (const [name, broken, wanted] of steps) {
    args = { ...args, ...broken, attr: { ...args.attr, ...broken.attr } }
    t.equal(outcome(setup, args), wanted, name)
  }
  t.equal(strangers.references, 0)
  t.match(setup.core.perf_event_open({ ...request(setup), flags: 99n, attr: new Uint8Array(3) }), {
    code: 'EINVAL',
  })
})

const request = (setup: Setup) => ({
  attr: attrOf({ type: setup.pmu.type }),
  pid: setup.task.tid,
  cpu: -1,
  group_fd: -1 as const,
  flags: 0n,
  caller: ROOT,
})

t.test('perf_event_open() asks for the permission first where it is told to', async t => {
  const ask = (permissionFirst: boolean): string => {
    const setup = new Setup({ core: { permissionFirst } })
    setup.pmu.verdict = new Failure('EINVAL')
    setup.host.level = 1
    return outcome(setup, { caller: NOBODY })
  }
  t.equal(ask(false), 'EINVAL', "the kernel's order lets the PMU speak first")
  t.equal(ask(true), 'EACCES')
})

t.test('perf_event_open() copies bytes in by the rules of their size', async t => {
  const setup = new Setup({ core: { attrSize: 136 } })
  const open = (bytes: Uint8Array) => setup.core.perf_event_open({ ...request(setup), attr: bytes })
  const bytes = (attr: Partial<perf_event_attr>) => encodeAttr(attrOf({ type: setup.pmu.type, ...attr }))
  t.match(open(bytes({ size: 64, config: 9n })), { attr: { config: 9n, size: 64, config2: 0n } })
  t.match(open(bytes({ size: 144, config4: 1n })), { code: 'E2BIG', knownSize: 136 })
  t.match(open(new Uint8Array(7)), { code: 'EFAULT' })
})

t.test('perf_event_open() looks the PMU up as perf_init_event() does', async t => {
  const setup = new Setup()
  const raw = setup.register(
    { name: 'cpu', takesAnyType: true, capabilities: PERF_PMU_CAP_EXTENDED_HW_TYPE },
    PERF_TYPE_RAW,
  )
  const pmuOf = (attr: Partial<perf_event_attr>) => {
    const event = setup.tryOpen({ attr })
    return event instanceof Failure ? event.code : event.pmu.name
  }
  t.equal(pmuOf({ type: PERF_TYPE_HARDWARE, config: 3n }), 'cpu', 'a generic event goes to the RAW PMU')
  const extended = (type: number) => ({ type: PERF_TYPE_HARDWARE, config: (BigInt(type) << 32n) | 3n })
  t.equal(pmuOf(extended(PERF_TYPE_RAW)), 'cpu', 'the high half of config names the PMU')
  t.equal(setup.open({ attr: extended(PERF_TYPE_RAW) }).attr.config, 3n, 'and is cut off')
  t.equal(pmuOf(extended(setup.pmu.type)), 'ENOENT', 'a PMU without generic events')
  raw.verdict = new Failure('EBUSY')
  t.equal(pmuOf({ type: 999 }), 'EBUSY', 'an unknown type is offered to all; the first other answer counts')
  raw.verdict = new Failure('ENOENT')
  t.equal(pmuOf({ type: 999 }), 'ENOENT')
  t.equal(pmuOf({ type: PERF_TYPE_HARDWARE }), 'ENOENT')
  setup.pmu.throwsIn = 'event_init'
  t.equal(pmuOf({}), 'EIO', 'a PMU that throws')
  t.equal(setup.core.eventCount, 3, 'only the events that were opened are there')
})

t.test('perf_event_open() builds groups by the rules', async t => {
  const setup = new Setup()
  const hw = setup.register({ name: 'hw', task_ctx_nr: 'perf_hw_context' })
  const hw2 = setup.register({ name: 'hw2', task_ctx_nr: 'perf_hw_context' })
  const other = new FakeTask(300)
  setup.host.tasks.set(300, other)
  const leader = setup.open()
  const sibling = setup.open({ group_fd: leader })
  t.equal(sibling.group_leader, leader)
  const join = (args: OpenArgs): string => outcome(setup, { group_fd: leader, ...args })
  t.equal(outcome(setup, { group_fd: sibling }), 'EINVAL', 'a sibling cannot lead')
  t.equal(join({ attr: { use_clockid: true, clockid: 1 } }), 'EINVAL', 'another clock')
  t.equal(join({ cpu: 0 }), 'EINVAL', 'another cpu')
  t.equal(join({ pid: 300 }), 'EINVAL', 'another thread')
  t.equal(join({ pid: -1, cpu: 0 }), 'EINVAL', 'a cpu instead of the thread')
  t.equal(join({ attr: { pinned: true } }), 'EINVAL', 'a pinned sibling')
  t.equal(join({ attr: { exclusive: true } }), 'EINVAL', 'an exclusive sibling')
  t.equal(join({ attr: { inherit: true } }), 'EINVAL', 'another inherit')
  t.equal(join({ flags: PERF_FLAG_FD_OUTPUT }), 'EINVAL', 'output to an event without buffer')
  t.equal(
    join({ flags: PERF_FLAG_FD_OUTPUT | PERF_FLAG_FD_NO_GROUP }),
    'EINVAL',
    'the same without the group',
  )
  t.equal(
    join({ flags: PERF_FLAG_FD_NO_GROUP, attr: { pinned: true } }),
    'ok',
    'FD_NO_GROUP drops the leader',
  )
  t.equal(
    outcome(setup, { flags: PERF_FLAG_FD_OUTPUT | PERF_FLAG_FD_NO_GROUP }),
    'ok',
    'flags without group_fd',
  )
  t.equal(leader.sibling_list.size, 1, 'no refused event is left in the group')

  t.equal(join({ attr: { type: hw.type } }), 'ok', 'a hardware event takes a software group along')
  t.equal(leader.pmu_ctx?.pmu, hw)
  t.equal(join({ attr: { type: hw2.type } }), 'EINVAL', 'another hardware PMU does not')
  t.equal(join({}), 'ok', 'a software event joins a hardware group')
  t.equal(leader.sibling_list.size, 3)
  t.ok(
    [...leader.sibling_list].every(event => event.stateName === 'active'),
    'all of it is placed',
  )

  perf_release(sibling)
  t.equal(leader.sibling_list.size, 2)
  other.isExited = true
  const gone = setup.open()
  setup.task.isExited = true
  t.equal(outcome(setup, { group_fd: gone }), 'ENODEV', 'a leader whose thread has exited')
  t.equal(gone.stateName, 'exit')
})

t.test('perf_event_open() fails with E2BIG when a group could not be read at once', async t => {
  const setup = new Setup()
  const leader = setup.open({ attr: { read_format: PERF_FORMAT_GROUP | PERF_FORMAT_ID } })
  for (let i = 0; i < 1022; i++) setup.open({ group_fd: leader })
  t.equal(outcome(setup, { group_fd: leader }), 'E2BIG')
  t.equal(values(leader)[0], 1023n)
  const small = setup.open()
  setup.open({ group_fd: small, attr: { read_format: PERF_FORMAT_GROUP } })
  t.equal(outcome(setup, { group_fd: small, attr: { read_format: PERF_FORMAT.GROUP } }), 'ok')
})

t.test('an exclusive PMU takes one event in a context, and threads or CPUs', async t => {
  const setup = new Setup({ capabilities: PERF_PMU_CAP_EXCLUSIVE })
  const first = setup.open()
  t.equal(outcome(setup, {}), 'EBUSY')
  t.equal(outcome(setup, { pid: -1, cpu: 0 }), 'EBUSY')
  perf_release(first)
  t.equal(outcome(setup, { pid: -1, cpu: 0 }), 'ok')
  t.equal(outcome(setup, { pid: -1, cpu: 1 }), 'ok')
  t.equal(outcome(setup, {}), 'EBUSY')
})

t.test('perf_event_open() fails with ENODEV for a CPU that is offline', async t => {
  const setup = new Setup()
  setup.host.offline.add(2)
  t.equal(outcome(setup, { pid: -1, cpu: 2 }), 'ENODEV')
  setup.host.offline.clear()
  t.equal(outcome(setup, { pid: -1, cpu: 2 }), 'ok')
})
