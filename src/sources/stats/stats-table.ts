/**
 * Reads the head of a KVM statistics descriptor and says where each count stands. Counterpart: kvm_stats_read() in
 * virt/kvm/binary_stats.c, which writes what is read here.
 *
 * The bytes are the kernel's where a real VMM holds the descriptor, but a simulated guest's are a program's: every
 * size and offset is checked before it is used, and refused with EPROTO.
 */
import { ErrnoError } from '../../abi/errno.js'
import {
  KVM_STATS_BASE_MASK,
  KVM_STATS_BASE_POW2,
  KVM_STATS_BASE_POW10,
  KVM_STATS_TYPE_CUMULATIVE,
  KVM_STATS_TYPE_LINEAR_HIST,
  KVM_STATS_TYPE_LOG_HIST,
  KVM_STATS_TYPE_MASK,
  KVM_STATS_UNIT_BYTES,
  KVM_STATS_UNIT_CYCLES,
  KVM_STATS_UNIT_MASK,
  KVM_STATS_UNIT_NONE,
  KVM_STATS_UNIT_SECONDS,
  kvm_stats_desc,
  kvm_stats_header,
} from '../../abi/kvm-stats.js'
import type { Decoded } from '../../abi/struct.js'
import type { EventDescription, HistogramDescription } from '../../kvm/vm.js'
import { describeEvent, isEventName, type Statistic } from '../scale.js'

/** pread(2) of one descriptor: fills `into` from `position`, returns the bytes read. */
export type ReadAt = (into: Uint8Array, position: number) => number

/** What a statistics descriptor offers. */
export interface StatsTable {
  /** `kvm-PID/vcpu-N` of a vCPU, `kvm-PID` of a VM. */
  readonly id: string
  /** The cumulative scalars, in the order of the descriptors. */
  readonly events: readonly EventDescription[]
  readonly histograms: readonly HistogramDescription[]
  /** Where in the file each of these, and each bucket of each histogram, has its u64. */
  readonly positions: ReadonlyMap<string, number>
}

const histogramTypes: ReadonlySet<number> = new Set([KVM_STATS_TYPE_LINEAR_HIST, KVM_STATS_TYPE_LOG_HIST])

type Header = Decoded<typeof kvm_stats_header>
type Descriptor = Decoded<typeof kvm_stats_desc>

/** Kernels so far: 48 bytes a name, about 60 descriptors. */
const MAX_NAME_SIZE = 256
const MAX_DESCRIPTORS = 1024
/** Kernels so far: 32 a histogram. */
const MAX_BUCKETS = 256
const U64 = 8

const units = new Map<number, Statistic['unit']>([
  [KVM_STATS_UNIT_NONE, undefined],
  [KVM_STATS_UNIT_BYTES, 'bytes'],
  [KVM_STATS_UNIT_SECONDS, 'seconds'],
  [KVM_STATS_UNIT_CYCLES, 'cycles'],
])

const bases = new Map<number, Statistic['base']>([
  [KVM_STATS_BASE_POW10, 10],
  [KVM_STATS_BASE_POW2, 2],
])

const text = new TextDecoder('latin1')

function refuse(what: string): never {
  throw new ErrnoError('EPROTO', `Not KVM statistics: ${what}`)
}

function readExactly(readAt: ReadAt, size: number, position: number): Uint8Array {
  const bytes = new Uint8Array(size)
  const got = readAt(bytes, position)
  if (got !== size) refuse(`${got} bytes at offset ${position}, ${size} wanted`)
  return bytes
}

/** The text up to its NUL, which must be there. */
function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  if (end < 0) refuse('a name without an end')
  return text.decode(bytes.subarray(0, end))
}

function readHeader(readAt: ReadAt): Header {
  const header = kvm_stats_header.decode(readExactly(readAt, kvm_stats_header.size, 0))
  const { name_size, num_desc, data_offset } = header
  if (name_size < 1 || name_size > MAX_NAME_SIZE)
    refuse(`name_size ${name_size}, 1 to ${MAX_NAME_SIZE} wanted`)
  if (num_desc > MAX_DESCRIPTORS) refuse(`num_desc ${num_desc}, at most ${MAX_DESCRIPTORS} wanted`)
  if (data_offset < kvm_stats_header.size) refuse(`data_offset ${data_offset} is inside the header`)
  return header
}

/** The count that a descriptor describes; undefined for what is no count (instants, peaks) or unknown. */
function countOf(desc: Descriptor, name: string): Statistic | undefined {
  const { flags, size, exponent } = desc
  const unit = flags & KVM_STATS_UNIT_MASK
  const base = bases.get(flags & KVM_STATS_BASE_MASK)
  if ((flags & KVM_STATS_TYPE_MASK) !== KVM_STATS_TYPE_CUMULATIVE || size !== 1) return undefined
  if (!units.has(unit) || base === undefined) return undefined
  return { name, unit: units.get(unit), base, exponent }
}

class Found implements Omit<StatsTable, 'id'> {
  readonly events: EventDescription[] = []
  readonly histograms: HistogramDescription[] = []
  readonly positions = new Map<string, number>()

  /** Takes in one statistic whose data begin at `position`; the first of a name stays. */
  take(name: string, desc: Descriptor, position: number): void {
    const isHistogram = histogramTypes.has(desc.flags & KVM_STATS_TYPE_MASK)
    if (this.positions.has(name) || this.positions.has(`${name}[0]`)) return
    if (isHistogram) this.#takeHistogram(name, desc.size, position)
    else this.#takeCount(countOf(desc, name), position)
  }

  #takeCount(count: Statistic | undefined, position: number): void {
    if (count === undefined) return
    this.events.push(describeEvent(count))
    this.positions.set(count.name, position)
  }

  #takeHistogram(name: string, buckets: number, position: number): void {
    if (buckets < 1 || buckets > MAX_BUCKETS) return
    this.histograms.push({ name, buckets })
    for (let i = 0; i < buckets; i++) this.positions.set(`${name}[${i}]`, position + i * U64)
  }
}

/**
 * Reads what a statistics descriptor offers. The head never changes: once is enough.
 *
 * @throws {ErrnoError} EPROTO when the bytes are no KVM statistics; whatever `readAt` throws
 */
export function readStatsTable(readAt: ReadAt): StatsTable {
  const { name_size, num_desc, id_offset, desc_offset, data_offset } = readHeader(readAt)
  const id = cString(readExactly(readAt, name_size, id_offset))
  const stride = kvm_stats_desc.size + name_size
  const block = readExactly(readAt, num_desc * stride, desc_offset)
  const found = new Found()
  for (let at = 0; at < block.length; at += stride) {
    const desc = kvm_stats_desc.decode(block, at)
    const name = cString(block.subarray(at + kvm_stats_desc.size, at + stride))
    if (isEventName(name)) found.take(name, desc, data_offset + desc.offset)
  }
  const { events, histograms, positions } = found
  return { id, events, histograms, positions }
}
