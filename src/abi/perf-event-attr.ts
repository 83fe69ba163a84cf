/**
 * struct perf_event_attr, once: words, flag bits, and the flat value that the rest of the program uses.
 * Counterpart: include/uapi/linux/perf_event.h, up to PERF_ATTR_SIZE_VER9.
 *
 * In the flat value 64-bit fields are bigint, smaller ones numbers, single bits booleans, and `precise_ip` is
 * 0 to 3. Reserved bits have no place in it: copy-in refuses them. Of a union it has the first member's name.
 */
import type { Decoded } from './struct.js'
import { bitFields, getBits, s32, setBits, struct, u16, u32, u64 } from './struct.js'

/** The published sizes of the structure. */
export const PERF_ATTR_SIZES = {
  VER0: 64,
  VER1: 72,
  VER2: 80,
  VER3: 96,
  VER4: 104,
  VER5: 112,
  VER6: 120,
  VER7: 128,
  VER8: 136,
  VER9: 144,
} as const

/** The newest size: the whole layout below. */
export const PERF_ATTR_SIZE = PERF_ATTR_SIZES.VER9

/** The structure's words; `flags` stands for its 64 bits of bit fields. */
export const perf_event_attr_layout = struct('perf_event_attr', PERF_ATTR_SIZE, {
  type: u32,
  size: u32,
  config: u64,
  sample_period: u64,
  sample_type: u64,
  read_format: u64,
  flags: u64,
  wakeup_events: u32,
  bp_type: u32,
  config1: u64,
  config2: u64,
  branch_sample_type: u64,
  sample_regs_user: u64,
  sample_stack_user: u32,
  clockid: s32,
  sample_regs_intr: u64,
  aux_watermark: u32,
  sample_max_stack: u16,
  __reserved_2: u16,
  aux_sample_size: u32,
  aux_action: u32,
  sig_data: u64,
  config3: u64,
  config4: u64,
})

/** The bit fields of the word `flags`. */
export const perf_event_attr_flags = bitFields({
  disabled: 1,
  inherit: 1,
  pinned: 1,
  exclusive: 1,
  exclude_user: 1,
  exclude_kernel: 1,
  exclude_hv: 1,
  exclude_idle: 1,
  mmap: 1,
  comm: 1,
  freq: 1,
  inherit_stat: 1,
  enable_on_exec: 1,
  task: 1,
  watermark: 1,
  precise_ip: 2,
  mmap_data: 1,
  sample_id_all: 1,
  exclude_host: 1,
  exclude_guest: 1,
  exclude_callchain_kernel: 1,
  exclude_callchain_user: 1,
  mmap2: 1,
  comm_exec: 1,
  use_clockid: 1,
  context_switch: 1,
  write_backward: 1,
  namespaces: 1,
  ksymbol: 1,
  bpf_event: 1,
  aux_output: 1,
  cgroup: 1,
  text_poke: 1,
  build_id: 1,
  inherit_thread: 1,
  remove_on_exec: 1,
  sigtrap: 1,
  __reserved_1: 26,
})

/** The bit fields of the word `aux_action`. */
export const perf_event_attr_aux_action = bitFields({
  aux_start_paused: 1,
  aux_pause: 1,
  aux_resume: 1,
  __reserved_3: 29,
})

/** The structure's words as they lie in memory. */
export type AttrWords = Decoded<typeof perf_event_attr_layout>

type PlainWord = Exclude<keyof AttrWords, 'flags' | 'aux_action' | '__reserved_2'>
/** The fields of a single bit. */
export type AttrFlag =
  | Exclude<keyof typeof perf_event_attr_flags, 'precise_ip' | '__reserved_1'>
  | Exclude<keyof typeof perf_event_attr_aux_action, '__reserved_3'>

/** A decoded perf_event_attr. */
export type perf_event_attr = { readonly [K in PlainWord]: AttrWords[K] } & {
  readonly [K in AttrFlag]: boolean
} & { readonly precise_ip: number }

const isPlainWord = (key: string): key is PlainWord =>
  key !== 'flags' && key !== 'aux_action' && key !== '__reserved_2'
const isFlag = (key: string): key is AttrFlag =>
  key !== 'precise_ip' && key !== '__reserved_1' && key !== '__reserved_3'

/** The fields that are whole words, in the structure's order. */
export const attrWordNames: readonly PlainWord[] = Object.keys(perf_event_attr_layout.fields).filter(
  isPlainWord,
)

const flagFields = Object.entries(perf_event_attr_flags).filter(([key]) => isFlag(key))
const auxFields = Object.entries(perf_event_attr_aux_action).filter(([key]) => isFlag(key))

/** The fields of a single bit, in the structure's order. */
export const attrFlagNames: readonly AttrFlag[] = [...flagFields, ...auxFields]
  .map(([key]) => key)
  .filter(isFlag)

/** Takes the words apart into the flat value. Reserved bits are dropped: whoever must refuse them looks first. */
export function attrFromWords(words: AttrWords): perf_event_attr {
  const { flags, aux_action, __reserved_2, ...plain } = words
  const aux = BigInt(aux_action)
  const flat: Record<string, unknown> = plain
  for (const [key, field] of flagFields) flat[key] = getBits(flags, field) !== 0n
  for (const [key, field] of auxFields) flat[key] = getBits(aux, field) !== 0n
  flat.precise_ip = Number(getBits(flags, perf_event_attr_flags.precise_ip))
  return flat as perf_event_attr
}

/** Puts the flat value together into words. */
export function attrToWords(attr: perf_event_attr): AttrWords {
  const flat: Readonly<Record<string, unknown>> = attr
  const join = (fields: typeof flagFields) =>
    fields.reduce((word, [key, field]) => setBits(word, field, flat[key] === true ? 1n : 0n), 0n)
  const words: Record<string, unknown> = {}
  for (const key of attrWordNames) words[key] = attr[key]
  words.flags = setBits(join(flagFields), perf_event_attr_flags.precise_ip, BigInt(attr.precise_ip))
  words.aux_action = Number(join(auxFields))
  words.__reserved_2 = 0
  return words as AttrWords
}

const zero = attrFromWords({ ...perf_event_attr_layout.zero, size: PERF_ATTR_SIZE })

/** An attr with these fields; the others are zero, and `size` is the newest. */
export const attrOf = (fields: Partial<perf_event_attr>): perf_event_attr => ({ ...zero, ...fields })
