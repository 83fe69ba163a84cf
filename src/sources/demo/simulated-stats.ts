/**
 * The statistics of a simulated vCPU, laid out as KVM's: a head (header, id, descriptors) that never changes, and the
 * data behind it. What each kind of event moves is what KVM moves, on x86 with VMX.
 */
import {
  KVM_STATS_BASE_POW10,
  KVM_STATS_NAME_SIZE,
  KVM_STATS_TYPE_CUMULATIVE,
  KVM_STATS_UNIT_NONE,
  kvm_stats_desc,
  kvm_stats_header,
} from '../../abi/kvm-stats.js'
import type { Machine } from '../../abi/syscalls.js'
import type { BurstKind } from './protocol.js'

/** The statistics of a machine, and which of them each kind of event moves. */
interface Statistics {
  readonly names: readonly string[]
  readonly moved: Readonly<Partial<Record<BurstKind, readonly string[]>>>
}

const statistics: Readonly<Record<Machine, Statistics>> = {
  x86_64: {
    names: ['exits', 'io_exits', 'mmio_exits', 'halt_exits', 'insn_emulation'],
    moved: {
      port: ['exits', 'io_exits'],
      mmio: ['exits', 'mmio_exits', 'insn_emulation'],
      halt: ['exits', 'halt_exits'],
    },
  },
  aarch64: {
    names: ['exits', 'mmio_exit_user', 'wfi_exit_stat'],
    moved: { mmio: ['exits', 'mmio_exit_user'], halt: ['exits', 'wfi_exit_stat'] },
  },
}

const DESC_SIZE = kvm_stats_desc.size + KVM_STATS_NAME_SIZE
const VALUE_SIZE = BigUint64Array.BYTES_PER_ELEMENT

function encodeHead(id: string, names: readonly string[]): Uint8Array {
  const idOffset = kvm_stats_header.size
  const descOffset = idOffset + KVM_STATS_NAME_SIZE
  const dataOffset = descOffset + names.length * DESC_SIZE
  const head = new Uint8Array(dataOffset)
  const text = new TextEncoder()
  kvm_stats_header.encode(
    {
      name_size: KVM_STATS_NAME_SIZE,
      num_desc: names.length,
      id_offset: idOffset,
      desc_offset: descOffset,
      data_offset: dataOffset,
    },
    head,
  )
  text.encodeInto(id, head.subarray(idOffset, descOffset - 1))
  const flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10
  names.forEach((name, index) => {
    const at = descOffset + index * DESC_SIZE
    kvm_stats_desc.encode({ flags, size: 1, offset: index * VALUE_SIZE }, head, at)
    text.encodeInto(name, head.subarray(at + kvm_stats_desc.size, at + DESC_SIZE - 1))
  })
  return head
}

export class SimulatedStats {
  /** What comes before the data. */
  readonly head: Uint8Array
  /** The values now; they belong right behind the head. */
  readonly data: BigUint64Array
  readonly #statistics: Statistics

  /** @param id the id string, which tells which vCPU of which VM this is */
  constructor(machine: Machine, id: string) {
    this.#statistics = statistics[machine]
    this.data = new BigUint64Array(this.#statistics.names.length)
    this.head = encodeHead(id, this.#statistics.names)
  }

  /** Counts `count` events of a kind. */
  count(kind: BurstKind, count: number): void {
    const { names, moved } = this.#statistics
    for (const name of moved[kind] ?? []) {
      const index = names.indexOf(name)
      this.data[index] = (this.data[index] ?? 0n) + BigInt(count)
    }
  }
}
