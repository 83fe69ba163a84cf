/** The seccomp filter, run by an interpreter of the few instructions it is made of. */
import fc from 'fast-check'
import t from 'tap'
import { BPF_JUMP_EQUAL, BPF_LOAD, BPF_RETURN, sock_filter } from '../../src/abi/bpf.js'
import {
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_PAUSE_OUTPUT,
  PERF_EVENT_IOC_QUERY_BPF,
  PERF_EVENT_IOC_SET_BPF,
  PERF_EVENT_IOC_SET_FILTER,
  PERF_EVENT_IOC_SET_OUTPUT,
} from '../../src/abi/perf-event.js'
import { PR_SET_NAME, PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE } from '../../src/abi/prctl.js'
import {
  SECCOMP_IOCTL_NOTIF_ADDFD,
  SECCOMP_IOCTL_NOTIF_ID_VALID,
  SECCOMP_IOCTL_NOTIF_RECV,
  SECCOMP_IOCTL_NOTIF_SEND,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_USER_NOTIF,
  seccomp_data,
  syscallAbi,
} from '../../src/abi/seccomp.js'
import type { Machine } from '../../src/abi/syscalls.js'
import { filterProgram } from '../../src/exec/filter.js'

const AUDIT_ARCH_I386 = 0x4000_0003
const AUDIT_ARCH_ARM = 0x4000_0028
const X32 = 0x4000_0000

/** Runs a program; also counts its steps, so that a jump out of it or a loop is seen. */
function run(program: Uint8Array, data: Uint8Array): number {
  const view = new DataView(data.buffer)
  let accumulator = 0
  for (let at = 0; at * sock_filter.size < program.byteLength; at++) {
    const { code, jt, jf, k } = sock_filter.decode(program, at * sock_filter.size)
    if (code === BPF_RETURN) return k
    if (code === BPF_LOAD) accumulator = view.getUint32(k, true)
    else if (code === BPF_JUMP_EQUAL) at += accumulator === k ? jt : jf
    else throw new Error(`instruction ${at} has the code ${code}`)
  }
  throw new Error('ran off the end')
}

const machines: readonly Machine[] = ['x86_64', 'aarch64']
const trapped = [
  PERF_EVENT_IOC_SET_OUTPUT,
  PERF_EVENT_IOC_SET_FILTER,
  PERF_EVENT_IOC_SET_BPF,
  PERF_EVENT_IOC_PAUSE_OUTPUT,
  PERF_EVENT_IOC_QUERY_BPF,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
]

for (const machine of machines) {
  const abi = syscallAbi(machine)
  const program = filterProgram(abi)
  const verdict = (nr: number, args: readonly bigint[] = [], arch = abi.auditArch) =>
    run(program, seccomp_data.encode({ nr, arch, args }))

  t.test(`${machine}: perf_event_open is notified with any arguments`, async t => {
    t.equal(verdict(abi.perf_event_open), SECCOMP_RET_USER_NOTIF)
    t.equal(verdict(abi.perf_event_open, [1n, 2n, 3n, 4n, 8n]), SECCOMP_RET_USER_NOTIF)
  })

  t.test(`${machine}: of ioctl six commands are notified, by the low half of the command`, async t => {
    for (const command of trapped) {
      t.equal(verdict(abi.ioctl, [3n, BigInt(command), 0n]), SECCOMP_RET_USER_NOTIF, command.toString(16))
      t.equal(verdict(abi.ioctl, [3n, BigInt(command) | (7n << 32n), 0n]), SECCOMP_RET_USER_NOTIF)
    }
    for (const command of [PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_ID, 0x5401])
      t.equal(verdict(abi.ioctl, [3n, BigInt(command)]), SECCOMP_RET_ALLOW, command.toString(16))
  })

  t.test(`${machine}: of prctl two options are notified, by the low half of the option`, async t => {
    for (const option of [PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE]) {
      t.equal(verdict(abi.prctl, [BigInt(option)]), SECCOMP_RET_USER_NOTIF)
      t.equal(verdict(abi.prctl, [BigInt(option) | (7n << 32n)]), SECCOMP_RET_USER_NOTIF)
    }
    for (const option of [PR_SET_NAME, 30, 33, 0])
      t.equal(verdict(abi.prctl, [BigInt(option)]), SECCOMP_RET_ALLOW)
    t.equal(verdict(abi.prctl, [0n, BigInt(PERF_EVENT_IOC_SET_BPF)]), SECCOMP_RET_ALLOW, 'no ioctl')
  })

  t.test(`${machine}: every other call passes`, async t => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 600 }),
        fc.array(fc.bigInt(0n, (1n << 64n) - 1n), { maxLength: 6 }),
        (nr, args) => {
          fc.pre(nr !== abi.perf_event_open && nr !== abi.ioctl && nr !== abi.prctl)
          return verdict(nr, args) === SECCOMP_RET_ALLOW
        },
      ),
    )
    t.pass()
  })

  t.test(`${machine}: callers of another architecture pass, whatever they call`, async t => {
    fc.assert(
      fc.property(fc.nat(600), fc.constantFrom(AUDIT_ARCH_I386, AUDIT_ARCH_ARM, 0), (nr, arch) => {
        const args = trapped.map(BigInt)
        return verdict(nr, args, arch) === SECCOMP_RET_ALLOW
      }),
    )
    t.pass()
  })
}

t.test('x32 callers pass: their numbers have bit 30 set', async t => {
  const abi = syscallAbi('x86_64')
  const program = filterProgram(abi)
  for (const nr of [abi.perf_event_open, 514, abi.ioctl]) {
    const data = { nr: X32 + nr, arch: abi.auditArch, args: [3n, BigInt(PERF_EVENT_IOC_SET_BPF)] }
    t.equal(run(program, seccomp_data.encode(data)), SECCOMP_RET_ALLOW)
  }
})

t.test("the listener's ioctls have the kernel's numbers", async t => {
  t.equal(SECCOMP_IOCTL_NOTIF_RECV, 0xc050_2100)
  t.equal(SECCOMP_IOCTL_NOTIF_SEND, 0xc018_2101)
  t.equal(SECCOMP_IOCTL_NOTIF_ID_VALID, 0x4008_2102)
  t.equal(SECCOMP_IOCTL_NOTIF_ADDFD, 0x4018_2103)
})
