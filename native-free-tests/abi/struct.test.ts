import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  array,
  bitFields,
  getBits,
  s16,
  s32,
  s64,
  setBits,
  struct,
  toNumber,
  u8,
  u16,
  u32,
  u64,
  wrap64,
} from '../../src/abi/struct.js'

const inner = struct('inner', 8, { a: u32, b: u16, c: s16 })
const sample = struct('sample', 40, {
  small: u8,
  pad: array(u8, 3),
  number: s32,
  big: u64,
  signed: s64,
  nested: inner,
  list: array(u16, 4),
})

t.test('struct() gives size, alignment and offsets', async t => {
  t.equal(sample.size, 40)
  t.equal(sample.align, 8)
  t.strictSame(sample.offsets, { small: 0, pad: 1, number: 4, big: 8, signed: 16, nested: 24, list: 32 })
})

t.test('struct() refuses a hole, a wrong size and a size that is no multiple of the alignment', async t => {
  t.throws(() => struct('hole', 16, { a: u32, b: u64 }), /hole before "b" at offset 4/)
  t.throws(() => struct('size', 16, { a: u64 }), /fields take 8 bytes, the header says 16/)
  t.throws(() => struct('tail', 12, { a: u64, b: u32 }), /no multiple of its alignment 8/)
})

t.test('encode() is little-endian, and what is left out is zero', async t => {
  const into = new Uint8Array(10).fill(0xff)
  inner.encode({ a: 0x01020304, c: -2 }, into, 1)
  t.strictSame([...into], [0xff, 4, 3, 2, 1, 0, 0, 0xfe, 0xff, 0xff])
})

t.test('decode() reads at an offset, ignores what is behind, and throws where bytes are missing', async t => {
  const bytes = Uint8Array.from([9, 4, 3, 2, 1, 5, 0, 0xff, 0xff, 7])
  t.strictSame(inner.decode(bytes, 1), { a: 0x01020304, b: 5, c: -1 })
  t.strictSame(inner.decode(bytes.subarray(1)), { a: 0x01020304, b: 5, c: -1 }, 'of a view into a buffer')
  t.throws(() => inner.decode(bytes, 3), new RangeError('inner: 7 bytes, 8 wanted'))
})

t.test('decode(encode(x)) is x', async () => {
  const u16s = fc.nat({ max: 0xffff })
  const values = fc.record({
    small: fc.nat({ max: 255 }),
    pad: fc.constant([0, 0, 0]),
    number: fc.integer(),
    big: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    signed: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    nested: fc.record({ a: fc.nat(), b: u16s, c: fc.integer({ min: -0x8000, max: 0x7fff }) }),
    list: fc.array(u16s, { minLength: 4, maxLength: 4 }),
  })
  fc.assert(
    fc.property(values, value => {
      const again = sample.decode(sample.encode(value))
      return isDeepStrictEqual(again, { ...value, nested: { ...value.nested } })
    }),
  )
})

t.test('array() encodes missing elements as zero', async t => {
  const list = struct('list', 8, { values: array(u32, 2) })
  t.strictSame([...list.encode({ values: [1] })], [1, 0, 0, 0, 0, 0, 0, 0])
  t.strictSame([...list.encode({})], [0, 0, 0, 0, 0, 0, 0, 0])
})

t.test('bit fields count from the least significant bit, and setBits() touches no other', async t => {
  const fields = bitFields({ one: 1, two: 2, rest: 61 })
  t.strictSame(fields.two, { shift: 1, width: 2 })
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: 0n, max: 7n }),
      (word, value) => {
        const changed = setBits(word, fields.two, value)
        return (
          getBits(changed, fields.two) === (value & 3n) &&
          getBits(changed, fields.one) === getBits(word, fields.one) &&
          getBits(changed, fields.rest) === getBits(word, fields.rest)
        )
      },
    ),
  )
})

t.test('wrap64() wraps, and toNumber() throws instead of rounding', async t => {
  t.equal(wrap64(-1n), 2n ** 64n - 1n)
  t.equal(wrap64(2n ** 64n + 5n), 5n)
  t.equal(toNumber(2n ** 53n - 1n), Number.MAX_SAFE_INTEGER)
  t.throws(() => toNumber(2n ** 53n), RangeError)
  t.throws(() => toNumber(-(2n ** 53n)), RangeError)
})
