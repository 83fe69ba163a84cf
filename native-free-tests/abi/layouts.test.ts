/**
 * Every layout of src/abi against sizeof and offsetof of the kernel's headers, as scripts/abi-golden.c printed
 * them. Regenerate the fixture with that program; its first line says which headers it is of.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import * as bpf from '../../src/abi/bpf.js'
import * as fuse from '../../src/abi/fuse.js'
import * as kvm from '../../src/abi/kvm.js'
import * as kvmStats from '../../src/abi/kvm-stats.js'
import * as netlink from '../../src/abi/netlink.js'
import * as attr from '../../src/abi/perf-event-attr.js'
import * as poll from '../../src/abi/poll.js'
import * as seccomp from '../../src/abi/seccomp.js'
import * as socket from '../../src/abi/socket.js'
import * as statx from '../../src/abi/statx.js'
import type { BitField, Field, Struct } from '../../src/abi/struct.js'

type Layout = Struct<Record<string, Field<unknown>>>
/** Field by name: where it begins and how long it is. */
type Fields = Record<string, { readonly offset: number; readonly size: number }>

const headers = new Map<string, { readonly size: number; readonly fields: Fields }>()
const masks = new Map<string, bigint>()
let current: Fields = {}
for (const line of readFileSync(new URL('fixtures/offsets.txt', import.meta.url), 'utf8').split('\n')) {
  const [, struct, structSize] = /^struct (\w+) (\d+)$/.exec(line) ?? []
  if (struct !== undefined) {
    current = {}
    headers.set(struct, { size: Number(structSize), fields: current })
  }
  const [, offset, size, field] = /^ {2}(\d+) (\d+) (\w+)$/.exec(line) ?? []
  if (field !== undefined) current[field] = { offset: Number(offset), size: Number(size) }
  const [, mask, flag] = /^ {2}(0x[0-9a-f]+) (\w+)$/.exec(line) ?? []
  if (flag !== undefined) masks.set(flag, BigInt(mask ?? 0))
}

const isLayout = (value: unknown): value is Layout =>
  typeof value === 'object' && value !== null && 'offsets' in value && 'fields' in value
/** Not a structure of the kernel: a header with one descriptor behind it. */
const composed: ReadonlySet<unknown> = new Set([socket.cmsg_rights])
const layouts = [fuse, attr, kvm, kvmStats, seccomp, poll, bpf, socket, statx, netlink]
  .flatMap(module => Object.values<unknown>(module))
  .filter(isLayout)
  .filter(layout => !composed.has(layout))

/** Sizes that differ from the installed header's. */
const ownSizes = new Map<unknown, number>([
  // What the protocol still allows to older kernels.
  [fuse.fuse_init_in_compat, 16],
  [fuse.fuse_setxattr_in_compat, 8],
  // PERF_ATTR_SIZE_VER9: config3 and config4 are newer than the header.
  [attr.perf_event_attr_layout, 144],
  // The union behind it is told apart by exit_reason.
  [kvm.kvm_run_head, 32],
])

for (const layout of layouts) {
  t.test(`struct ${layout.name} of ${layout.size} bytes lies in memory as the kernel's does`, t => {
    const header = headers.get(layout.name)
    if (!header) throw new Error('not in the fixture: add it to scripts/abi-golden.c')
    t.equal(layout.size, ownSizes.get(layout) ?? header.size, 'sizeof')

    const shared = Object.entries(layout.fields).filter(([name]) => name in header.fields)
    const ours = shared.map(([name, { size }]) => [name, { offset: layout.offsets[name], size }])
    const theirs = shared.map(([name]) => [name, header.fields[name]])
    t.strictSame(ours, theirs, 'offsetof and size of each field')

    const starts = new Set(Object.values(layout.offsets))
    const missing = Object.entries(header.fields)
      .filter(([, { offset }]) => offset < layout.size && !starts.has(offset))
      .map(([name]) => name)
    t.strictSame(missing, [], "a field wherever one of the kernel's begins")
    t.end()
  })
}

t.test('every structure of the fixture has a layout', t => {
  const names = new Set(layouts.map(({ name }) => name))
  t.strictSame(
    [...headers.keys()].filter(name => !names.has(name)),
    [],
  )
  t.end()
})

t.test("perf_event_attr's bit fields have the compiler's masks", t => {
  const fields: Readonly<Record<string, BitField | undefined>> = attr.perf_event_attr_flags
  const ours = [...masks.keys()].map(name => {
    const { width, shift } = fields[name] ?? { width: 0, shift: 0 }
    return [name, ((1n << BigInt(width)) - 1n) << BigInt(shift)]
  })
  t.ok(masks.size > 30)
  t.strictSame(ours, [...masks])
  t.end()
})
