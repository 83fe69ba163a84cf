/**
 * Every number of the kernel's that src/abi repeats against its headers, as scripts/abi-constants.c printed them on each
 * architecture. Regenerate the fixtures with that program.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import * as bpf from '../../src/abi/bpf.js'
import * as fs from '../../src/abi/fs.js'
import * as kvm from '../../src/abi/kvm.js'
import * as kvmArm64 from '../../src/abi/kvm-arm64.js'
import * as kvmStats from '../../src/abi/kvm-stats.js'
import * as kvmX86 from '../../src/abi/kvm-x86.js'
import * as mman from '../../src/abi/mman.js'
import * as mount from '../../src/abi/mount.js'
import * as netlink from '../../src/abi/netlink.js'
import * as perfEvent from '../../src/abi/perf-event.js'
import * as poll from '../../src/abi/poll.js'
import * as prctl from '../../src/abi/prctl.js'
import * as seccomp from '../../src/abi/seccomp.js'
import * as signals from '../../src/abi/signals.js'
import * as socket from '../../src/abi/socket.js'
import * as statx from '../../src/abi/statx.js'
import { type Machine, syscallNames, syscallNumber } from '../../src/abi/syscalls.js'
import * as timer from '../../src/abi/timer.js'

type Constants = Readonly<Record<string, bigint>>

const isConstant = ([name, value]: [string, unknown]): boolean =>
  /^[A-Z][A-Z0-9_]*$/.test(name) && (typeof value === 'number' || typeof value === 'bigint')

const constantsIn = (...modules: object[]): Constants =>
  Object.fromEntries(
    modules
      .flatMap(module => Object.entries<unknown>({ ...module }))
      .filter(isConstant)
      // As the fixture has them: 64 bits, the highest being the sign.
      .map(([name, value]) => [
        name,
        BigInt.asIntN(64, BigInt(Number.isInteger(value) ? Number(value) : String(value))),
      ]),
  )

const shared = [bpf, fs, kvm, kvmStats, mman, mount, netlink, perfEvent, poll, prctl]
const everywhere = constantsIn(...shared, seccomp, signals, socket, statx, timer)

const kvmOfMachine: Readonly<Record<Machine, Constants>> = {
  x86_64: constantsIn(kvmX86),
  aarch64: {
    ...constantsIn(kvmArm64),
    KVM_REG_X0: kvmArm64.KVM_REG_X(0),
    KVM_REG_X30: kvmArm64.KVM_REG_X(30),
    KVM_VM_TYPE_ARM_IPA_SIZE32: BigInt(kvmArm64.KVM_VM_TYPE_ARM_IPA_SIZE(32)),
  },
}

const syscallsOf = (machine: Machine): Constants => ({
  ...Object.fromEntries(syscallNames.map(name => [`__NR_${name}`, BigInt(syscallNumber(machine, name))])),
  __NR_ioctl: BigInt(seccomp.syscallAbi(machine).ioctl),
  __NR_prctl: BigInt(seccomp.syscallAbi(machine).prctl),
  AUDIT_ARCH: BigInt(seccomp.syscallAbi(machine).auditArch),
})

/** What no header has: the kernel's own, or composed of others. */
const own = new Set([
  'KVMIO',
  'X86_EFLAGS_FIXED',
  'KVM_STATS_NAME_SIZE',
  'UEVENT_KERNEL_GROUP',
  'UEVENT_MESSAGE_SIZE',
  'CMSG_RIGHTS_LEN',
])
const isOwn = (name: string): boolean =>
  own.has(name) || /^PERF_(PMU_CAP|EF|PMU_TXN|HES|ATTACH|EVENT_STATE|PERIOD)_/.test(name)

function headersOf(machine: Machine): Constants {
  const text = readFileSync(new URL(`fixtures/constants.${machine}.txt`, import.meta.url), 'utf8')
  const lines = [...text.matchAll(/^(\w+) (-?\d+)$/gm)]
  return Object.fromEntries(lines.map(([, name = '', value = '']) => [name, BigInt(value)]))
}

for (const machine of ['x86_64', 'aarch64'] as const)
  t.test(`${machine}: each constant is the one of the kernel's headers`, async t => {
    const ours = { ...everywhere, ...kvmOfMachine[machine], ...syscallsOf(machine) }
    const inHeaders = Object.fromEntries(Object.entries(ours).filter(([name]) => !isOwn(name)))
    t.strictSame(inHeaders, headersOf(machine))
  })
