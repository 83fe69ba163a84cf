/**
 * Declarative layouts of kernel structures.
 *
 * A layout is written once, as an ordered list of fields; size, offsets, decoding and encoding follow from it.
 * Fields are little-endian and naturally aligned, as on every machine that runs KVM with this program
 * (x86_64, aarch64). A hole is an error when the module loads: the padding has to be declared.
 */

/** One fixed-size field: how many bytes it takes, how it is aligned and how it is read and written. */
export interface Field<T> {
  readonly size: number
  readonly align: number
  /** The value a field takes when `encode` is not given one. */
  readonly zero: T
  get(view: DataView, at: number): T
  set(view: DataView, at: number, value: T): void
}

type Fields = Record<string, Field<unknown>>

/** The decoded value of a set of fields. */
export type Values<F extends Fields> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never }

/** The decoded value of a layout: `Decoded<typeof fuse_in_header>`. */
export type Decoded<S> = S extends Struct<infer F> ? Values<F> : never

/** A layout: a field itself, so that layouts nest. */
export interface Struct<F extends Fields> extends Field<Values<F>> {
  readonly name: string
  readonly fields: F
  readonly offsets: { readonly [K in keyof F]: number }
  /** Decodes the structure at `at`; bytes behind it are ignored. Throws a RangeError where it does not fit. */
  decode(bytes: Uint8Array, at?: number): Values<F>
  /** Encodes into `into` at `at`, or into fresh bytes; a field that is left out becomes zero. */
  encode(values: Partial<Values<F>>, into?: Uint8Array, at?: number): Uint8Array
}

const scalar = <T>(
  size: number,
  zero: T,
  get: (view: DataView, at: number) => T,
  set: (view: DataView, at: number, value: T) => void,
): Field<T> => ({ size, align: size, zero, get, set })

/** Unsigned 8-bit field. */
export const u8 = scalar(
  1,
  0,
  (v, at) => v.getUint8(at),
  (v, at, x) => v.setUint8(at, x),
)
/** Unsigned 16-bit field. */
export const u16 = scalar(
  2,
  0,
  (v, at) => v.getUint16(at, true),
  (v, at, x) => v.setUint16(at, x, true),
)
/** Signed 16-bit field. */
export const s16 = scalar(
  2,
  0,
  (v, at) => v.getInt16(at, true),
  (v, at, x) => v.setInt16(at, x, true),
)
/** Unsigned 32-bit field. */
export const u32 = scalar(
  4,
  0,
  (v, at) => v.getUint32(at, true),
  (v, at, x) => v.setUint32(at, x, true),
)
/** Signed 32-bit field. */
export const s32 = scalar(
  4,
  0,
  (v, at) => v.getInt32(at, true),
  (v, at, x) => v.setInt32(at, x, true),
)
/** Unsigned 64-bit field, a bigint. */
export const u64 = scalar(
  8,
  0n,
  (v, at) => v.getBigUint64(at, true),
  (v, at, x) => v.setBigUint64(at, x, true),
)
/** Signed 64-bit field, a bigint. */
export const s64 = scalar(
  8,
  0n,
  (v, at) => v.getBigInt64(at, true),
  (v, at, x) => v.setBigInt64(at, x, true),
)

/** `count` elements of one kind, as a JavaScript array; missing elements encode as zero. */
export function array<T>(element: Field<T>, count: number): Field<readonly T[]> {
  return {
    size: element.size * count,
    align: element.align,
    zero: Array.from({ length: count }, () => element.zero),
    get: (view, at) => Array.from({ length: count }, (_, i) => element.get(view, at + i * element.size)),
    set: (view, at, values) => {
      for (let i = 0; i < count; i++) element.set(view, at + i * element.size, values[i] ?? element.zero)
    },
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function layOut<F extends Fields>(
  name: string,
  fields: F,
): { offsets: Record<keyof F, number>; size: number } {
  const offsets = {} as Record<keyof F, number>
  let at = 0
  for (const [key, field] of Object.entries(fields)) {
    if (at % field.align !== 0)
      throw new Error(`struct ${name}: hole before "${key}" at offset ${at}: declare the padding`)
    offsets[key as keyof F] = at
    at += field.size
  }
  return { offsets, size: at }
}

/**
 * Declares a layout.
 *
 * @param name the structure's name in the kernel's header
 * @param size its sizeof() there, checked against the fields when the module loads
 * @param fields its fields in order, padding included
 */
export function struct<F extends Fields>(name: string, size: number, fields: F): Struct<F> {
  const { offsets, size: actual } = layOut(name, fields)
  const align = Math.max(1, ...Object.values(fields).map(field => field.align))
  if (actual !== size) throw new Error(`struct ${name}: fields take ${actual} bytes, the header says ${size}`)
  if (size % align !== 0)
    throw new Error(`struct ${name}: size ${size} is no multiple of its alignment ${align}`)
  const rows = Object.entries(fields).map(([key, field]) => ({ key, field, offset: offsets[key as keyof F] }))

  const get = (view: DataView, at: number): Values<F> => {
    const values: Record<string, unknown> = {}
    for (const { key, field, offset } of rows) values[key] = field.get(view, at + offset)
    return values as Values<F>
  }
  const set = (view: DataView, at: number, values: Partial<Values<F>>): void => {
    const given = values as Record<string, unknown>
    for (const { key, field, offset } of rows) field.set(view, at + offset, given[key] ?? field.zero)
  }
  return {
    name,
    fields,
    offsets,
    size,
    align,
    zero: Object.fromEntries(rows.map(({ key, field }) => [key, field.zero])) as Values<F>,
    get,
    set,
    decode(bytes, at = 0) {
      if (bytes.byteLength < at + size)
        throw new RangeError(`${name}: ${bytes.byteLength - at} bytes, ${size} wanted`)
      return get(viewOf(bytes), at)
    },
    encode(values, into = new Uint8Array(size), at = 0) {
      set(viewOf(into), at, values)
      return into
    },
  }
}

/** A named run of bits inside a word, counted from the least significant bit. */
export interface BitField {
  readonly shift: number
  readonly width: number
}

/** Lays out bit fields from bit 0 upwards: `bitFields({ disabled: 1, precise_ip: 2 })`. */
export function bitFields<W extends Record<string, number>>(
  widths: W,
): { readonly [K in keyof W]: BitField } {
  let shift = 0
  const fields = {} as { [K in keyof W]: BitField }
  for (const [key, width] of Object.entries(widths)) {
    fields[key as keyof W] = { shift, width }
    shift += width
  }
  return fields
}

/** Reads one bit field of a word. */
export const getBits = (word: bigint, { shift, width }: BitField): bigint =>
  (word >> BigInt(shift)) & ((1n << BigInt(width)) - 1n)

/** Returns `word` with one bit field replaced; bits of `value` that do not fit are cut. */
export function setBits(word: bigint, { shift, width }: BitField, value: bigint): bigint {
  const mask = ((1n << BigInt(width)) - 1n) << BigInt(shift)
  return (word & ~mask) | ((value << BigInt(shift)) & mask)
}

/** Wraps to an unsigned 64-bit value, as the kernel's u64 arithmetic does. */
export const wrap64 = (value: bigint): bigint => BigInt.asUintN(64, value)

/** Narrows a u64 to a number. Throws a RangeError above 2^53-1 instead of rounding. */
export function toNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER))
    throw new RangeError(`${value} does not fit a number without rounding`)
  return Number(value)
}
