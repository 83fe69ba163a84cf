import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Failure, orThrow } from '../../src/abi/errno.js'
import { editDistance, nearest } from '../../src/abi/nearest.js'
import { PERF_FORMAT, PERF_SAMPLE, PERF_SAMPLE_BRANCH } from '../../src/abi/perf-event.js'
import {
  attrFlagNames,
  attrOf,
  attrWordNames,
  PERF_ATTR_SIZES,
  type perf_event_attr,
  perf_event_attr_flags,
  perf_event_attr_layout,
} from '../../src/abi/perf-event-attr.js'
import { decodeAttr, encodeAttr, SizeFailure } from '../../src/abi/perf-event-attr-bytes.js'
import { attrFromJson, attrToJson } from '../../src/abi/perf-event-attr-json.js'
import { integerFromJson, openFlagsFromJson, U64_RANGE } from '../../src/abi/perf-event-json.js'
import { areRegsValid, hasExtendedRegs } from '../../src/abi/perf-event-regs.js'

const { fields, offsets } = perf_event_attr_layout

/** Every attr that the layout can hold. */
const anyAttr: fc.Arbitrary<perf_event_attr> = fc
  .record({
    ...Object.fromEntries(
      attrWordNames.map(name => {
        const { size } = fields[name]
        if (size === 8) return [name, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })]
        const width = size * 8
        return [name, name === 'clockid' ? fc.integer() : fc.integer({ min: 0, max: 2 ** width - 1 })]
      }),
    ),
    ...Object.fromEntries(attrFlagNames.map(name => [name, fc.boolean()])),
    precise_ip: fc.integer({ min: 0, max: 3 }),
    size: fc.constant(PERF_ATTR_SIZES.VER9),
  })
  .map(record => attrOf(record))

const holds = <T extends unknown[]>(subject: Test, property: fc.IProperty<T>): void => {
  const result = fc.check(property)
  subject.notOk(result.failed, fc.defaultReportMessage(result) ?? 'the property holds')
}

const same = (a: unknown, b: unknown): boolean =>
  JSON.stringify(a, (_, v) => (typeof v === 'bigint' ? `${v}n` : v)) ===
  JSON.stringify(b, (_, v) => (typeof v === 'bigint' ? `${v}n` : v))

t.test('perf_event_attr ends at each published size where the kernel says', async t => {
  const firstField = {
    VER1: 'config2',
    VER2: 'branch_sample_type',
    VER3: 'sample_regs_user',
    VER4: 'sample_regs_intr',
    VER5: 'aux_watermark',
    VER6: 'aux_sample_size',
    VER7: 'sig_data',
    VER8: 'config3',
    VER9: 'config4',
  } as const
  const sizes = Object.values(PERF_ATTR_SIZES)
  t.same(sizes, [64, 72, 80, 96, 104, 112, 120, 128, 136, 144])
  for (const [i, [version, field]] of Object.entries(firstField).entries())
    t.equal(offsets[field], sizes[i], `${version} begins with ${field}`)
})

t.test('the flag bits are where gcc puts them', async t => {
  const wordOf = (flags: Partial<perf_event_attr>) =>
    perf_event_attr_layout.decode(encodeAttr(attrOf(flags))).flags
  t.equal(wordOf({ disabled: true }), 0x1n)
  t.equal(wordOf({ inherit: true }), 0x2n)
  t.equal(wordOf({ exclude_kernel: true }), 0x20n)
  t.equal(wordOf({ freq: true }), 0x400n)
  t.equal(wordOf({ enable_on_exec: true }), 0x1000n)
  t.equal(wordOf({ precise_ip: 3 }), 0x18000n)
  t.equal(wordOf({ exclude_host: true }), 0x80000n)
  t.equal(wordOf({ exclude_guest: true }), 0x100000n)
  t.equal(wordOf({ sigtrap: true }), 1n << 37n)
  t.equal(perf_event_attr_flags.__reserved_1.shift, 38)
  const aux = (flags: Partial<perf_event_attr>) =>
    perf_event_attr_layout.decode(encodeAttr(attrOf(flags))).aux_action
  t.same([aux({ aux_start_paused: true }), aux({ aux_pause: true }), aux({ aux_resume: true })], [1, 2, 4])
})

t.test('an attr comes back from bytes and from JSON as it was', async t => {
  holds(
    t,
    fc.property(anyAttr, attr => same(decodeAttr(encodeAttr(attr)), attr)),
  )
  holds(
    t,
    fc.property(anyAttr, attr => same(attrFromJson(JSON.parse(JSON.stringify(attrToJson(attr)))), attr)),
  )
})

t.test('decodeAttr() gives an attr or a failure for any bytes, and nothing else', async t => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 144, maxLength: 160 }))
  holds(
    t,
    fc.property(bytes, fc.integer({ min: 0, max: 5000 }), (memory, size) => {
      if (memory.length >= 8) new DataView(memory.buffer, memory.byteOffset).setUint32(4, size, true)
      const result = decodeAttr(memory)
      if (result instanceof Failure) return ['EFAULT', 'E2BIG', 'EINVAL'].includes(result.code)
      return same(decodeAttr(encodeAttr(result)), result)
    }),
  )
})

t.test('decodeAttr() copies in by the rules of the size', async t => {
  const memory = new Uint8Array(4096)
  const view = new DataView(memory.buffer)
  const decode = (size: number, knownSize?: number) => {
    view.setUint32(offsets.size, size, true)
    return decodeAttr(memory, knownSize)
  }
  for (const size of [1, 63, 4097]) {
    const failure = decode(size, 136)
    t.match(failure, { code: 'E2BIG', message: new RegExp(String(size)) })
    t.equal(failure instanceof SizeFailure && failure.knownSize, 136, `${size}: the known size is told`)
  }
  for (const size of [64, 72, 120, 136, 144, 160, 4096])
    t.match(decode(size, 136), { size }, 'a tail of zeros')
  t.match(decode(0), { size: 64 }, '0 stands for the first version')

  view.setBigUint64(offsets.config2, 7n, true)
  t.match(decode(0), { config2: 0n }, 'bytes past the size are not looked at')
  t.match(decode(64), { config2: 0n })
  t.match(decode(72), { config2: 7n })
  t.match(decode(68), { config2: 7n }, 'a size between versions copies what it covers')

  view.setUint8(140, 1)
  t.match(decode(136, 136), { size: 136 })
  for (const size of [144, 4096]) t.match(decode(size, 136), { code: 'E2BIG', knownSize: 136 }, `${size}`)
  t.match(decode(144, 144), { config4: 1n << 32n })
  view.setUint8(4095, 1)
  t.match(decode(4095, 144), { size: 4095 })
  t.match(decode(4096, 144), { code: 'E2BIG', knownSize: 144 })

  t.match(decodeAttr(memory.subarray(0, 7)), { code: 'EFAULT' })
  view.setUint32(offsets.size, 64, true)
  t.match(decodeAttr(memory.subarray(0, 63)), { code: 'EFAULT' })
})

t.test('decodeAttr() fails with EINVAL when a reserved bit is set', async t => {
  for (const [offset, name] of [
    [offsets.flags + 4, 'bit 38 of the flags'],
    [offsets.__reserved_2, '__reserved_2'],
    [offsets.aux_action, 'bit 3 of aux_action'],
  ] as const) {
    const memory = encodeAttr(attrOf({}))
    memory[offset] = name.startsWith('bit 3 ') ? 8 : 64
    t.match(decodeAttr(memory), { code: 'EINVAL', message: /reserved/ }, name)
  }
})

t.test('attrFromJson() takes numbers, strings, names and the other members of unions', async t => {
  const read = (json: unknown) => orThrow(attrFromJson(json))
  t.match(read({}), { type: 0, size: 144, config: 0n })
  t.match(read({ type: 4096, config: '0xffffffffffffffff', clockid: -1 }), {
    type: 4096,
    config: 2n ** 64n - 1n,
    clockid: -1,
  })
  t.match(read({ config: '18446744073709551615', clockid: '-2147483648' }), { clockid: -(2 ** 31) })
  t.match(read({ sample_freq: 99, freq: 1, wakeup_watermark: 5, watermark: true }), {
    sample_period: 99n,
    freq: true,
    wakeup_events: 5,
  })
  t.match(read({ bp_addr: 1, bp_len: '0x8' }), { config1: 1n, config2: 8n })
  t.match(read({ kprobe_func: 1, kprobe_addr: 2 }), { config1: 1n, config2: 2n })
  t.match(read({ uprobe_path: 1, probe_offset: 2 }), { config1: 1n, config2: 2n })
  t.match(read({ read_format: ['TOTAL_TIME_ENABLED', 'PERF_FORMAT_GROUP'] }), { read_format: 9n })
  t.match(read({ sample_type: ['IP', 'TID'], branch_sample_type: ['ANY'] }), { sample_type: 3n })
  t.match(read({ read_format: 3, precise_ip: '2', disabled: 0 }), {
    read_format: 3n,
    precise_ip: 2,
    disabled: false,
  })
  t.match(
    read({ size: 64, config2: 5 }),
    { size: 64, config2: 0n },
    'what lies beyond the size is not looked at',
  )
  t.match(read({ aux_pause: true }), { aux_pause: true, aux_resume: false })
})

t.test('attrFromJson() refuses with the name of the field, and says what it wants', async t => {
  const rows: [unknown, string, RegExp][] = [
    [null, 'EINVAL', /JSON object/],
    [[], 'EINVAL', /JSON object/],
    ['x', 'EINVAL', /JSON object/],
    [{ confg: 1 }, 'EINVAL', /"confg": did you mean "config"/],
    [{ exclude_kernl: 1 }, 'EINVAL', /"exclude_kernel"/],
    [{ __reserved_2: 1 }, 'EINVAL', /unknown field/],
    [{ __proto__x: 1 }, 'EINVAL', /unknown field/],
    [JSON.parse('{"__proto__":1}'), 'EINVAL', /unknown field "__proto__"/],
    [{ constructor: 1 }, 'EINVAL', /unknown field/],
    [{ flags: 1 }, 'EINVAL', /unknown field/],
    [{ config1: 1, bp_addr: 1 }, 'EINVAL', /"config1" and "bp_addr"/],
    [{ kprobe_func: 1, uprobe_path: 1 }, 'EINVAL', /"kprobe_func" and "uprobe_path"/],
    [{ config: -1 }, 'EINVAL', /"config": -1 is out of range \(0 to 18446744073709551615\)/],
    [{ config: '0x10000000000000000' }, 'EINVAL', /out of range/],
    [{ type: 2 ** 32 }, 'EINVAL', /0 to 4294967295/],
    [{ sample_max_stack: 65536 }, 'EINVAL', /0 to 65535/],
    [{ clockid: 2 ** 31 }, 'EINVAL', /-2147483648 to 2147483647/],
    [{ precise_ip: 4 }, 'EINVAL', /0 to 3/],
    [{ config: 2 ** 53 }, 'EINVAL', /rounded/],
    [{ config: 1e300 }, 'EINVAL', /rounded/],
    [{ config: 1.5 }, 'EINVAL', /no integer/],
    [{ config: true }, 'EINVAL', /no integer/],
    [{ config: null }, 'EINVAL', /no integer/],
    [{ config: '' }, 'EINVAL', /no integer/],
    [{ config: '1 ' }, 'EINVAL', /no integer/],
    [{ config: '1n' }, 'EINVAL', /no integer/],
    [{ config: '9'.repeat(100_000) }, 'EINVAL', /\.\.\./],
    [{ disabled: 2 }, 'EINVAL', /"disabled": 2 is no flag/],
    [{ disabled: 'true' }, 'EINVAL', /no flag/],
    [{ read_format: ['GRUOP'] }, 'EINVAL', /did you mean "GROUP"/],
    [{ read_format: ['toString'] }, 'EINVAL', /unknown name/],
    [{ read_format: [1] }, 'EINVAL', /no name/],
    [{ size: 63 }, 'E2BIG', /63/],
    [{ size: 4097 }, 'E2BIG', /4097/],
    [{ size: 2 ** 32 - 1 }, 'E2BIG', /out of range/],
  ]
  for (const [json, code, message] of rows) {
    const name = JSON.stringify(json).slice(0, 60)
    t.match(attrFromJson(json), { code, message }, name)
  }
  t.match(attrFromJson({ config4: 1 }, { knownSize: 136 }), { code: 'E2BIG' })
  t.match(attrFromJson({ pdi: 1 }, { otherNames: ['pid'] }), { message: /"pid"/ })
})

t.test('attrToJson() writes what is set, by the names of the kernel', async t => {
  const attr = attrOf({
    type: 4096,
    config: 2n ** 60n,
    read_format: PERF_FORMAT.ID | PERF_FORMAT.GROUP,
    sample_type: PERF_SAMPLE.WEIGHT_STRUCT | (1n << 40n),
    inherit: true,
  })
  t.same(attrToJson(attr), {
    type: 4096,
    size: 144,
    config: '0x1000000000000000',
    read_format: ['ID', 'GROUP'],
    sample_type: 2 ** 40 + 2 ** 24,
    inherit: true,
  })
})

t.test('the flags of perf_event_open() are a number or names', async t => {
  t.equal(openFlagsFromJson(['FD_CLOEXEC', 'PERF_FLAG_FD_NO_GROUP']), 9n)
  t.equal(openFlagsFromJson('0xff'), 255n)
  t.match(openFlagsFromJson(['CLOEXEC']), { message: /FD_CLOEXEC/ })
  t.equal(integerFromJson('x', Number.MAX_SAFE_INTEGER, U64_RANGE), 2n ** 53n - 1n)
})

t.test('the tables of names end where the kernel ends', async t => {
  t.equal(PERF_FORMAT.LOST, 1n << 4n)
  t.equal(PERF_SAMPLE.WEIGHT_STRUCT, 1n << 24n)
  t.equal(PERF_SAMPLE_BRANCH.COUNTERS, 1n << 19n)
})

t.test('registers that can be sampled', async t => {
  t.ok(areRegsValid('x64', 0xff0fffn))
  for (const bit of [12n, 15n, 24n, 31n]) t.notOk(areRegsValid('x64', 1n << bit), `x64 register ${bit}`)
  t.ok(areRegsValid('x64', 1n << 63n))
  t.ok(hasExtendedRegs('x64', 1n << 32n))
  t.notOk(hasExtendedRegs('x64', 0xffn))
  t.ok(areRegsValid('arm64', (1n << 33n) - 1n))
  t.notOk(areRegsValid('arm64', 1n << 33n))
  t.notOk(areRegsValid('arm64', 0n))
})

t.test('nearest() finds what was meant, or nothing', async t => {
  t.equal(editDistance('', 'abc'), 3)
  t.equal(editDistance('kitten', 'sitting'), 3)
  t.equal(editDistance('exist', 'exits'), 1, 'neighbours that changed places are one slip')
  t.equal(nearest('EXITS', ['exits', 'exists']), 'exits')
  t.equal(nearest('zzzzzz', ['exits']), undefined)
  t.equal(nearest('x'.repeat(100_000), ['exits']), undefined)
  holds(
    t,
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      const distance = editDistance(a, b)
      return (
        distance === editDistance(b, a) &&
        (distance === 0) === (a === b) &&
        distance <= Math.max(a.length, b.length)
      )
    }),
  )
})
