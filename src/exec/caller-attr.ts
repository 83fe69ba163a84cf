/**
 * The perf_event_attr in a caller's memory, copied once by the kernel's rules: the size word first, then as many
 * bytes. Counterpart: kernel/events/core.c, perf_copy_attr(); lib/usercopy.c, copy_struct_from_user().
 *
 * Whatever fails here fails in the kernel's own copy-in too, before it looks at the type. Such a call is left to the
 * kernel, which gives EFAULT, or E2BIG with its own size written back.
 */

import { perf_event_attr_layout } from '../abi/perf-event-attr.js'
import { effectiveSize, sizeInBytes } from '../abi/perf-event-attr-bytes.js'
import type { CallingThread } from './host.js'

/** `type` and `size`. */
const HEAD = perf_event_attr_layout.offsets.config

/** An attr as it lay in the caller's memory, as long as its size word says. */
export interface CallerAttr {
  readonly type: number
  readonly bytes: Uint8Array
}

/** Copies an attr, or gives undefined where the kernel refuses it by itself. */
export function readAttr(
  caller: CallingThread,
  address: bigint,
  kernelSize: number | undefined,
): CallerAttr | undefined {
  const head = caller.readMemory(address, HEAD)
  if (head.byteLength < HEAD) return undefined
  const given = sizeInBytes(head)
  const size = typeof given === 'number' ? effectiveSize(given) : given
  if (typeof size !== 'number') return undefined
  const bytes = caller.readMemory(address, size)
  if (bytes.byteLength < size) return undefined
  if (kernelSize !== undefined && bytes.subarray(kernelSize).some(byte => byte !== 0)) return undefined
  // Another thread may have rewritten the first words since: what was judged stays.
  bytes.set(head)
  return { type: new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true), bytes }
}

/** The same attr with its event disabled at first. */
export function disabledAttr({ type, bytes }: CallerAttr): CallerAttr {
  const copy = bytes.slice()
  const { flags } = perf_event_attr_layout.offsets
  copy[flags] = (copy[flags] ?? 0) | 1
  return { type, bytes: copy }
}
