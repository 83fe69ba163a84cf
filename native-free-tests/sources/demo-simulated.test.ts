/** The statistics of the simulated guest, byte by byte, and the numbers by which the real one speaks to KVM. */
import t from 'tap'
import * as kvm from '../../src/abi/kvm.js'
import { kvm_stats_desc, kvm_stats_header } from '../../src/abi/kvm-stats.js'
import * as x86 from '../../src/abi/kvm-x86.js'
import { SimulatedStats } from '../../src/sources/demo/simulated-stats.js'

const NAME_SIZE = 48

const textAt = (bytes: Uint8Array, at: number): string => {
  const field = Buffer.from(bytes.subarray(at, at + NAME_SIZE))
  return field.subarray(0, field.indexOf(0)).toString('latin1')
}

/** The values of the whole file by name, as a reader of it finds them. */
function valuesOf(stats: SimulatedStats): Record<string, bigint> {
  const file = Buffer.concat([stats.head, new Uint8Array(stats.data.buffer)])
  const header = kvm_stats_header.decode(file)
  const values: Record<string, bigint> = {}
  for (let i = 0; i < header.num_desc; i++) {
    const at = header.desc_offset + i * (kvm_stats_desc.size + header.name_size)
    const desc = kvm_stats_desc.decode(file, at)
    t.match(desc, { flags: 0, exponent: 0, size: 1, bucket_size: 0 }, 'a cumulative scalar without a unit')
    values[textAt(file, at + kvm_stats_desc.size)] = file.readBigUInt64LE(header.data_offset + desc.offset)
  }
  return values
}

t.test("the head is KVM's: header, id, descriptors, then the data", async t => {
  const { head, data } = new SimulatedStats('x86_64', 'simulated-4711/vcpu-1')
  const header = kvm_stats_header.decode(head)
  t.same(header, {
    flags: 0,
    name_size: NAME_SIZE,
    num_desc: data.length,
    id_offset: 24,
    desc_offset: 72,
    data_offset: 72 + data.length * 64,
  })
  t.equal(head.byteLength, header.data_offset)
  t.equal(textAt(head, header.id_offset), 'simulated-4711/vcpu-1')
})

t.test('an id that is too long is cut and still ends with a NUL', async t => {
  const { head } = new SimulatedStats('x86_64', 'x'.repeat(100))
  t.equal(textAt(head, kvm_stats_header.size), 'x'.repeat(NAME_SIZE - 1))
})

t.test('each kind of event moves its own statistics, as KVM with VMX does', async t => {
  const stats = new SimulatedStats('x86_64', 'simulated-1/vcpu-0')
  stats.count('port', 5)
  stats.count('mmio', 70)
  stats.count('halt', 900)
  stats.count('port', 0)
  t.same(valuesOf(stats), {
    exits: 975n,
    io_exits: 5n,
    mmio_exits: 70n,
    halt_exits: 900n,
    insn_emulation: 70n,
  })
})

t.test("on arm64 they are arm64's", async t => {
  const stats = new SimulatedStats('aarch64', 'simulated-1/vcpu-0')
  stats.count('mmio', 70)
  stats.count('halt', 900)
  t.same(valuesOf(stats), { exits: 970n, mmio_exit_user: 70n, wfi_exit_stat: 900n })
})

t.test('KVM command numbers are those of linux/kvm.h on x86', async t => {
  const numbers = {
    KVM_CREATE_VM: 0xae01,
    KVM_CHECK_EXTENSION: 0xae03,
    KVM_CREATE_VCPU: 0xae41,
    KVM_SET_USER_MEMORY_REGION: 0x4020ae46,
    KVM_RUN: 0xae80,
    KVM_SET_REGS: 0x4090ae82,
    KVM_GET_SREGS: 0x8138ae83,
    KVM_SET_SREGS: 0x4138ae84,
    KVM_GET_STATS_FD: 0xaece,
  }
  t.match({ ...kvm, ...x86 }, numbers)
  t.equal(kvm.kvm_run_head.offsets.immediate_exit, 1)
  t.equal(kvm.kvm_run_head.offsets.exit_reason, 8)
  t.equal(x86.kvm_regs.offsets.rip, 128)
  t.equal(x86.kvm_sregs.offsets.cr0, 224)
})

t.test('exitName() names a reason, and numbers one that it does not know', async t => {
  t.equal(kvm.exitName(2), 'KVM_EXIT_IO')
  t.equal(kvm.exitName(4096), 'KVM_EXIT 4096')
})
