/** The perf ioctls that the filter traps, on descriptors of ours and of others. */
import t from 'tap'
import { ErrnoError } from '../../src/abi/errno.js'
import {
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_PAUSE_OUTPUT,
  PERF_EVENT_IOC_QUERY_BPF,
  PERF_EVENT_IOC_SET_BPF,
  PERF_EVENT_IOC_SET_FILTER,
  PERF_EVENT_IOC_SET_OUTPUT,
} from '../../src/abi/perf-event.js'
import { perfIoctl, trappedCommands } from '../../src/exec/perf-ioctl.js'
import { ADDRESS, attrBytes, FakeHost, ioctlTrap } from './support/fake-host.js'

const EVENT = 3
const KERNEL_EVENT = 4
const OTHER = 5
const PROGRAM = 6

function hostWithEvent(): FakeHost {
  const host = new FakeHost()
  host.descriptors.set(EVENT, { kind: 'ours', ino: 8n })
  host.descriptors.set(KERNEL_EVENT, { kind: 'kernel event' })
  host.descriptors.set(OTHER, { kind: 'other' })
  return host
}

/** The errno of an ioctl on an event of ours, or its value; every copy of a descriptor must be closed after it. */
function result(host: FakeHost, command: number, argument: bigint, fd = EVENT): string {
  try {
    const outcome = perfIoctl(host, ioctlTrap(fd, command, argument))
    if (outcome.kind === 'refuse') return outcome.code
    return outcome.kind === 'complete' ? String(outcome.value) : outcome.kind
  } catch (error) {
    if (error instanceof ErrnoError) return error.code
    throw error
  } finally {
    t.equal(host.opened.size, 0, 'no copy stays open')
  }
}

t.test('a descriptor that is no event of ours goes to the kernel', async t => {
  for (const command of trappedCommands) {
    t.equal(result(hostWithEvent(), command, 0n, KERNEL_EVENT), 'resume')
    t.equal(result(hostWithEvent(), command, 0n, OTHER), 'resume')
  }
  const file = hostWithEvent()
  file.ioctlFailure = 'ENOTTY'
  t.equal(result(file, PERF_EVENT_IOC_SET_OUTPUT, 0n), 'resume', 'another file of the mount')
  t.equal(result(hostWithEvent(), PERF_EVENT_IOC_SET_OUTPUT, 0n, 77), 'EBADF')
})

t.test('every command on a revoked event gives ENODEV', async t => {
  const host = hostWithEvent()
  host.ioctlFailure = 'ENODEV'
  for (const command of trappedCommands) t.equal(result(host, command, 0n), 'ENODEV')
})

t.test('SET_OUTPUT detaches with -1, and finds no buffer anywhere', async t => {
  const host = hostWithEvent()
  t.equal(result(host, PERF_EVENT_IOC_SET_OUTPUT, (1n << 64n) - 1n), '0')
  t.equal(result(host, PERF_EVENT_IOC_SET_OUTPUT, 0xffff_ffffn), 'EBADF', '-1 as an int')
  t.equal(result(host, PERF_EVENT_IOC_SET_OUTPUT, BigInt(EVENT)), 'EINVAL', 'itself')
  t.equal(result(host, PERF_EVENT_IOC_SET_OUTPUT, BigInt(KERNEL_EVENT)), 'EINVAL')
  t.equal(result(host, PERF_EVENT_IOC_SET_OUTPUT, BigInt(OTHER)), 'EBADF')
  t.equal(result(host, PERF_EVENT_IOC_SET_OUTPUT, 99n), 'EBADF')
})

t.test('SET_FILTER copies the string in, then refuses', async t => {
  const host = hostWithEvent()
  t.equal(result(host, PERF_EVENT_IOC_SET_FILTER, 0n), 'EFAULT')
  t.equal(result(host, PERF_EVENT_IOC_SET_FILTER, host.place(Buffer.from('a\0'))), 'EINVAL')
  t.equal(result(host, PERF_EVENT_IOC_SET_FILTER, host.place(Buffer.from('unended'))), 'EFAULT')
  t.equal(result(host, PERF_EVENT_IOC_SET_FILTER, host.place(new Uint8Array(5000).fill(65))), 'EINVAL')
})

t.test('SET_BPF takes no program', async t => {
  const host = hostWithEvent()
  t.equal(result(host, PERF_EVENT_IOC_SET_BPF, 99n), 'EBADF')
  t.equal(result(host, PERF_EVENT_IOC_SET_BPF, BigInt(OTHER)), 'EINVAL')
  host.descriptors.set(PROGRAM, { kind: 'bpf program', isForPerfEvents: false })
  t.equal(result(host, PERF_EVENT_IOC_SET_BPF, BigInt(PROGRAM)), 'EINVAL')
  host.descriptors.set(PROGRAM, { kind: 'bpf program', isForPerfEvents: true })
  t.equal(result(host, PERF_EVENT_IOC_SET_BPF, BigInt(PROGRAM)), 'EOPNOTSUPP')
})

t.test('PAUSE_OUTPUT gives EINVAL; QUERY_BPF does too, or EPERM without CAP_PERFMON', async t => {
  const host = hostWithEvent()
  t.equal(result(host, PERF_EVENT_IOC_PAUSE_OUTPUT, 1n), 'EINVAL')
  t.equal(result(host, PERF_EVENT_IOC_QUERY_BPF, ADDRESS), 'EINVAL')
  host.isPrivileged = false
  t.equal(result(host, PERF_EVENT_IOC_QUERY_BPF, ADDRESS), 'EPERM')
})

t.test('MODIFY_ATTRIBUTES: the kernel judges the copy, the server the rest', async t => {
  const host = hostWithEvent()
  t.equal(result(host, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, 0n), 'EFAULT')
  host.place(attrBytes({ size: 136 }, 100))
  t.equal(result(host, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, ADDRESS), 'EFAULT', 'ends before its size')
  host.place(attrBytes({}))
  t.equal(result(host, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, ADDRESS), '0', "the server's answer")
  host.attrFault = 'EINVAL'
  t.equal(result(host, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, ADDRESS), 'EINVAL')
  t.equal(host.memory.get(ADDRESS + 4n), undefined, 'nothing is written back')
})

t.test(
  "MODIFY_ATTRIBUTES: a size that the kernel does not take gives E2BIG with the kernel's own",
  async t => {
    for (const size of [1, 63, 4097]) {
      const host = hostWithEvent()
      host.attrFault = 'E2BIG'
      host.place(attrBytes({ size }, 4200))
      t.equal(result(host, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, ADDRESS), 'E2BIG')
      t.strictSame(host.memory.get(ADDRESS + 4n), Uint8Array.of(136, 0, 0, 0))
    }
    const gone = hostWithEvent()
    gone.attrFault = 'E2BIG'
    gone.isCallerThere = false
    gone.place(attrBytes({ size: 1 }, 8))
    t.equal(result(gone, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, ADDRESS), 'E2BIG')
    t.equal(gone.memory.get(ADDRESS + 4n), undefined, "a stranger's memory is not written")
  },
)
