/**
 * Every layout of src/abi against sizeof and offsetof of the kernel's headers, as scripts/abi-golden.c printed
 * them on each architecture. Regenerate the fixtures with that program; their first lines say which headers they are of.
 */
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import * as bpf from '../../src/abi/bpf.js'
import * as fuse from '../../src/abi/fuse.js'
import * as kvm from '../../src/abi/kvm.js'
import * as kvmArm64 from '../../src/abi/kvm-arm64.js'
import * as kvmStats from '../../src/abi/kvm-stats.js'
import * as kvmX86 from '../../src/abi/kvm-x86.js'
import * as netlink from '../../src/abi/netlink.js'
import * as attr from '../../src/abi/perf-event-attr.js'
import * as poll from '../../src/abi/poll.js'
import * as seccomp from '../../src/abi/seccomp.js'
import * as socket from '../../src/abi/socket.js'
import * as statx from '../../src/abi/statx.js'
import type { BitField, Field, Struct } from '../../src/abi/struct.js'
import type { Machine } from '../../src/abi/syscalls.js'
import * as timer from '../../src/abi/timer.js'

type Layout = Struct<Record<string, Field<unknown>>>
/** Field by name: where it begins and how long it is. */
type Fields = Record<string, { readonly offset: number; readonly size: number }>

interface Headers {
  readonly layouts: ReadonlyMap<string, { readonly size: number; readonly fields: Fields }>
  /** perf_event_attr's bit fields. */
  readonly masks: ReadonlyMap<string, bigint>
}

function headersOf(machine: Machine): Headers {
  const layouts = new Map<string, { readonly size: number; readonly fields: Fields }>()
  const masks = new Map<string, bigint>()
  let current: Fields = {}
  const text = readFileSync(new URL(`fixtures/offsets.${machine}.txt`, import.meta.url), 'utf8')
  for (const line of text.split('\n')) {
    const [, struct, structSize] = /^struct (\w+) (\d+)$/.exec(line) ?? []
    if (struct !== undefined) {
      current = {}
      layouts.set(struct, { size: Number(structSize), fields: current })
    }
    const [, offset, size, field] = /^ {2}(\d+) (\d+) (\w+)$/.exec(line) ?? []
    if (field !== undefined) current[field] = { offset: Number(offset), size: Number(size) }
    const [, mask, flag] = /^ {2}(0x[0-9a-f]+) (\w+)$/.exec(line) ?? []
    if (flag !== undefined) masks.set(flag, BigInt(mask ?? 0))
  }
  return { layouts, masks }
}

const isLayout = (value: unknown): value is Layout =>
  typeof value === 'object' && value !== null && 'offsets' in value && 'fields' in value
/** Not a structure of the kernel: a header with one descriptor behind it. */
const composed: ReadonlySet<unknown> = new Set([socket.cmsg_rights])
const layoutsIn = (...modules: readonly object[]): Layout[] =>
  modules
    .flatMap(module => Object.values<unknown>({ ...module }))
    .filter(isLayout)
    .filter(layout => !composed.has(layout))
const everywhere = layoutsIn(fuse, attr, kvm, kvmStats, seccomp, poll, bpf, socket, statx, netlink, timer)
/** What only one architecture has, or has in a way of its own. */
const ofMachine: Readonly<Record<Machine, readonly Layout[]>> = {
  x86_64: layoutsIn(kvmX86, { epoll_event: poll.epoll_event('x86_64') }),
  aarch64: layoutsIn(kvmArm64, { epoll_event: poll.epoll_event('aarch64') }),
}

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

function checkLayout(t: Test, layout: Layout, { layouts }: Headers): void {
  const header = layouts.get(layout.name)
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
}

for (const machine of ['x86_64', 'aarch64'] as const) {
  const headers = headersOf(machine)
  const layouts = [...everywhere, ...ofMachine[machine]]

  for (const layout of layouts)
    t.test(
      `${machine}: struct ${layout.name} of ${layout.size} bytes lies in memory as the kernel's`,
      async t => checkLayout(t, layout, headers),
    )

  t.test(`${machine}: every structure of the fixture has a layout`, async t => {
    const names = new Set(layouts.map(({ name }) => name))
    t.strictSame(
      [...headers.layouts.keys()].filter(name => !names.has(name)),
      [],
    )
  })

  t.test(`${machine}: perf_event_attr's bit fields have the compiler's masks`, async t => {
    const fields: Readonly<Record<string, BitField | undefined>> = attr.perf_event_attr_flags
    const ours = [...headers.masks.keys()].map(name => {
      const { width, shift } = fields[name] ?? { width: 0, shift: 0 }
      return [name, ((1n << BigInt(width)) - 1n) << BigInt(shift)]
    })
    t.ok(headers.masks.size > 30)
    t.strictSame(ours, [...headers.masks])
  })
}
