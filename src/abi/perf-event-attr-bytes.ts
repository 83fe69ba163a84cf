/**
 * perf_event_attr to and from the bytes in a caller's memory. Counterpart: the first half of perf_copy_attr() in
 * kernel/events/core.c, with copy_struct_from_user().
 *
 * The caller says how large its structure is. A smaller one is filled up with zeros; a larger one passes while all
 * that lies beyond what is known here is zero. What a field holds is judged later, by src/perf/copy-attr.ts.
 */
import { Failure } from './errno.js'
import type { AttrWords, perf_event_attr } from './perf-event-attr.js'
import {
  attrFromWords,
  attrToWords,
  PERF_ATTR_SIZE,
  PERF_ATTR_SIZES,
  perf_event_attr_aux_action,
  perf_event_attr_flags,
  perf_event_attr_layout,
} from './perf-event-attr.js'
import { getBits } from './struct.js'

/** No structure may be larger than a page. */
const PAGE_SIZE = 4096

/** E2BIG, with the size that the kernel writes into the caller's `size` when it answers so. */
export class SizeFailure extends Failure {
  readonly knownSize: number

  constructor(message: string, knownSize: number) {
    super('E2BIG', message)
    this.knownSize = knownSize
  }
}

/** The `size` in the first bytes of a structure; EFAULT where they are not all there. */
export function sizeInBytes(bytes: Uint8Array): number | Failure {
  const { size } = perf_event_attr_layout.offsets
  if (bytes.byteLength < size + 4)
    return new Failure('EFAULT', 'perf_event_attr ends before its field "size"')
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(size, true)
}

/** Resolves the caller's `size`: 0 stands for the first version's; too small or beyond a page is E2BIG. */
export function effectiveSize(size: number, knownSize: number = PERF_ATTR_SIZE): number | SizeFailure {
  if (size === 0) return PERF_ATTR_SIZES.VER0
  if (size >= PERF_ATTR_SIZES.VER0 && size <= PAGE_SIZE) return size
  return new SizeFailure(
    `perf_event_attr size ${size} is out of range (0, or ${PERF_ATTR_SIZES.VER0} to ${PAGE_SIZE})`,
    knownSize,
  )
}

function checkReserved(words: AttrWords): Failure | undefined {
  const reserved =
    getBits(words.flags, perf_event_attr_flags.__reserved_1) !== 0n ||
    words.__reserved_2 !== 0 ||
    getBits(BigInt(words.aux_action), perf_event_attr_aux_action.__reserved_3) !== 0n
  return reserved ? new Failure('EINVAL', 'perf_event_attr has a reserved bit set') : undefined
}

/**
 * Copies a structure in.
 *
 * @param bytes the caller's memory from the structure's start; what lies behind its `size` is never looked at
 * @param knownSize how much of the structure is known: a published size, the newest where not given
 * @returns EFAULT, E2BIG (a SizeFailure) or, for reserved bits, EINVAL
 */
export function decodeAttr(bytes: Uint8Array, knownSize: number = PERF_ATTR_SIZE): perf_event_attr | Failure {
  const given = sizeInBytes(bytes)
  if (given instanceof Failure) return given
  const size = effectiveSize(given, knownSize)
  if (size instanceof Failure) return size
  if (bytes.byteLength < size)
    return new Failure('EFAULT', `perf_event_attr says ${size} bytes and only ${bytes.byteLength} are there`)
  if (bytes.subarray(knownSize, size).some(byte => byte !== 0))
    return new SizeFailure(
      `perf_event_attr of ${size} bytes has something set beyond the ${knownSize} known here`,
      knownSize,
    )
  const whole = new Uint8Array(PERF_ATTR_SIZE)
  whole.set(bytes.subarray(0, Math.min(size, knownSize)))
  const words = perf_event_attr_layout.decode(whole)
  return checkReserved(words) ?? attrFromWords({ ...words, size })
}

/** Encodes into `attr.size` bytes (64 where it is 0): a smaller size cuts fields off, a larger one adds zeros. */
export function encodeAttr(attr: perf_event_attr): Uint8Array {
  const size = attr.size === 0 ? PERF_ATTR_SIZES.VER0 : attr.size
  const whole = perf_event_attr_layout.encode(
    attrToWords(attr),
    new Uint8Array(Math.max(size, PERF_ATTR_SIZE)),
  )
  return whole.subarray(0, size)
}
