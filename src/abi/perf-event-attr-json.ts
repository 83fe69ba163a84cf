/**
 * perf_event_attr to and from JSON, by the kernel's field names, all members of its unions included.
 *
 * What was read goes through the same size rules as a structure in memory: a field that lies beyond the given
 * `size` is not looked at, one that lies beyond the known size is E2BIG.
 */
import { Failure } from './errno.js'
import { didYouMean } from './nearest.js'
import { PERF_FORMAT, PERF_SAMPLE, PERF_SAMPLE_BRANCH } from './perf-event.js'
import type { AttrWords, perf_event_attr } from './perf-event-attr.js'
import { attrFlagNames, attrOf, attrWordNames, perf_event_attr_layout } from './perf-event-attr.js'
import { decodeAttr, effectiveSize, encodeAttr } from './perf-event-attr-bytes.js'
import type { BitSet, IntegerRange } from './perf-event-json.js'
import {
  bitsFromJson,
  bitsToJson,
  flagFromJson,
  integerFromJson,
  integerToJson,
  S32_RANGE,
  U16_RANGE,
  U32_RANGE,
  U64_RANGE,
} from './perf-event-json.js'
import { s32, u16, u32, u64 } from './struct.js'

type FieldName = keyof perf_event_attr
type Reader = (name: string, value: unknown) => bigint | number | boolean | Failure

const bitSets: readonly BitSet[] = [
  { name: 'read_format', prefix: 'PERF_FORMAT_', names: PERF_FORMAT },
  { name: 'sample_type', prefix: 'PERF_SAMPLE_', names: PERF_SAMPLE },
  { name: 'branch_sample_type', prefix: 'PERF_SAMPLE_BRANCH_', names: PERF_SAMPLE_BRANCH },
]

/** The other members of the structure's unions, and where they lie. */
const aliases: ReadonlyMap<string, FieldName> = new Map<string, FieldName>([
  ['sample_freq', 'sample_period'],
  ['wakeup_watermark', 'wakeup_events'],
  ['bp_addr', 'config1'],
  ['kprobe_func', 'config1'],
  ['uprobe_path', 'config1'],
  ['bp_len', 'config2'],
  ['kprobe_addr', 'config2'],
  ['probe_offset', 'config2'],
])

const numberIn =
  (range: IntegerRange): Reader =>
  (name, value) => {
    const integer = integerFromJson(name, value, range)
    return integer instanceof Failure ? integer : Number(integer)
  }

const wordReaders = new Map<unknown, Reader>([
  [u16, numberIn(U16_RANGE)],
  [u32, numberIn(U32_RANGE)],
  [s32, numberIn(S32_RANGE)],
  [u64, (name, value) => integerFromJson(name, value, U64_RANGE)],
])

const readers = new Map<string, Reader>()
for (const name of attrWordNames) {
  const reader = wordReaders.get(perf_event_attr_layout.fields[name])
  if (reader) readers.set(name, reader)
}
for (const name of attrFlagNames) readers.set(name, flagFromJson)
for (const set of bitSets) readers.set(set.name, (_, value) => bitsFromJson(set, value))
readers.set('precise_ip', numberIn({ min: 0n, max: 3n }))

const isFieldName = (name: string): name is FieldName => readers.has(name)

/** How attrFromJson() judges. */
export interface AttrFromJsonOptions {
  /** How much of the structure is known: the newest size where not given. */
  readonly knownSize?: number
  /** Names that stand beside the structure's own in the same object, for the "did you mean". */
  readonly otherNames?: readonly string[]
}

type Fields = Map<FieldName, { readonly name: string; readonly value: bigint | number | boolean }>

function readFields(object: object, otherNames: readonly string[]): Fields | Failure {
  const fields: Fields = new Map()
  for (const [name, value] of Object.entries(object)) {
    const target = aliases.get(name) ?? name
    const reader = isFieldName(target) ? readers.get(target) : undefined
    if (!reader || !isFieldName(target)) {
      const known = [...readers.keys(), ...aliases.keys(), ...otherNames]
      return new Failure('EINVAL', `unknown field "${name.slice(0, 40)}"${didYouMean(name, known)}`)
    }
    const given = fields.get(target)
    if (given)
      return new Failure('EINVAL', `"${given.name}" and "${name}" are the same field: give one of them`)
    const read = reader(name, value)
    if (read instanceof Failure) return read
    fields.set(target, { name, value: read })
  }
  return fields
}

/**
 * Reads a perf_event_attr from what JSON.parse() gave.
 *
 * @returns EINVAL with the field's name for what cannot be read, E2BIG by the rules of `size`
 */
export function attrFromJson(json: unknown, options: AttrFromJsonOptions = {}): perf_event_attr | Failure {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return new Failure('EINVAL', 'perf_event_attr must be a JSON object, as in {"type":4096,"config":0}')
  const fields = readFields(json, options.otherNames ?? [])
  if (fields instanceof Failure) return fields
  const flat = Object.fromEntries([...fields].map(([name, { value }]) => [name, value]))
  const attr = attrOf(flat)
  const size = effectiveSize(attr.size, options.knownSize)
  if (size instanceof Failure) return size
  return decodeAttr(encodeAttr(attr), options.knownSize)
}

function wordToJson(name: keyof AttrWords, value: bigint | number): unknown {
  const set = bitSets.find(candidate => candidate.name === name)
  if (set) return bitsToJson(set, BigInt(value))
  return typeof value === 'bigint' ? integerToJson(value) : value
}

/** Writes a perf_event_attr as JSON takes it: `type`, `size`, `config`, and what else is not zero. */
export function attrToJson(attr: perf_event_attr): Readonly<Record<string, unknown>> {
  const json: Record<string, unknown> = {}
  const always: readonly string[] = ['type', 'size', 'config']
  for (const name of attrWordNames) {
    const value = attr[name]
    if (always.includes(name) || BigInt(value) !== 0n) json[name] = wordToJson(name, value)
  }
  for (const name of attrFlagNames) if (attr[name]) json[name] = true
  if (attr.precise_ip !== 0) json.precise_ip = attr.precise_ip
  return json
}
