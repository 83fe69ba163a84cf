/** Builds the bytes of a KVM statistics descriptor, as virt/kvm/binary_stats.c lays them out. */
import { KVM_STATS_NAME_SIZE, kvm_stats_desc, kvm_stats_header } from '../../../src/abi/kvm-stats.js'

export interface FakeStatistic {
  readonly name: string
  readonly flags?: number
  readonly exponent?: number
  readonly size?: number
  readonly values: readonly bigint[]
}

/** The file; data comes in reverse order, as descriptor order is not offset order. */
export function statsFile(id: string, statistics: readonly FakeStatistic[]): Uint8Array {
  const stride = kvm_stats_desc.size + KVM_STATS_NAME_SIZE
  const desc_offset = kvm_stats_header.size + KVM_STATS_NAME_SIZE
  const data_offset = desc_offset + statistics.length * stride
  const words = statistics.flatMap(({ values }) => values).length
  const file = new Uint8Array(data_offset + words * 8)
  const text = new TextEncoder()
  kvm_stats_header.encode(
    {
      name_size: KVM_STATS_NAME_SIZE,
      num_desc: statistics.length,
      id_offset: kvm_stats_header.size,
      desc_offset,
      data_offset,
    },
    file,
  )
  text.encodeInto(id, file.subarray(kvm_stats_header.size))
  let offset = words * 8
  for (const [i, { name, values, flags = 0, exponent = 0, size = values.length }] of statistics.entries()) {
    offset -= values.length * 8
    const at = desc_offset + i * stride
    kvm_stats_desc.encode({ flags, exponent, size, offset }, file, at)
    text.encodeInto(name, file.subarray(at + kvm_stats_desc.size))
    const view = new DataView(file.buffer)
    for (const [k, value] of values.entries()) view.setBigUint64(data_offset + offset + k * 8, value, true)
  }
  return file
}

/** pread(2) of bytes in memory. */
export function preadOf(file: Uint8Array, into: Uint8Array, position: number): number {
  const part = file.subarray(position, position + into.length)
  into.set(part)
  return part.length
}
