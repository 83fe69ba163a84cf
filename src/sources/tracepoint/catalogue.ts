/**
 * What KVM's tracepoints can count on this host: the kinds of event in kinds.ts and exit-reasons.ts, as far as the
 * running kernel has their tracepoints and reasons and its kind of KVM raises them.
 *
 * A tracepoint that is listed in tracefs may still have no caller: the one for exits is raised by kvm_intel and
 * kvm_amd, and another module in their place need not do so. An event that can never count is not offered.
 */
import type { CheckExtension } from '../../abi/kvm-exits.js'
import type { EventDescription } from '../../kvm/vm.js'
import { exitReasonKinds, userspaceExitReasonKinds } from './exit-reasons.js'
import { type KvmKind, kinds, type TracepointKind } from './kinds.js'

/** An event that a tracepoint counts. Plain data: it crosses to the thread that serves. */
export interface TracepointEvent extends EventDescription {
  /** `config` of its perf events: the tracepoint's id. */
  readonly id: number
  /** Which hits count, in the kernel's filter language; all where there is none. */
  readonly filter?: string
}

/** What tracepoints can count here, and why it is nothing where it is. */
export interface TracepointCatalogue {
  readonly events: readonly TracepointEvent[]
  readonly problem?: string
}

/** Reads the `format` file of a tracepoint of the system `kvm`; undefined where there is no such tracepoint. */
export type ReadFormat = (tracepoint: string) => string | undefined

interface Tracepoint {
  readonly id: number
  readonly fields: ReadonlySet<string>
}

/** Parses a `format` file: the line `ID: N` and the names of the fields. */
export function parseFormat(text: string): Tracepoint | undefined {
  const id = /^ID: (\d+)$/m.exec(text)?.[1]
  if (id === undefined) return undefined
  const names = [...text.matchAll(/^\tfield:[^;]*?(\w+)(?:\[\w*\])?;/gm)].map(([, name = '']) => name)
  return { id: Number(id), fields: new Set(names) }
}

/** The fields that a filter compares. */
const fieldsOf = (filter = ''): string[] => [...filter.matchAll(/(\w+)==/g)].map(([, name = '']) => name)

function eventOf(kind: TracepointKind, tracepoint: Tracepoint | undefined): TracepointEvent | undefined {
  if (!tracepoint || !fieldsOf(kind.filter).every(field => tracepoint.fields.has(field))) return undefined
  const { name, filter, reason } = kind
  return {
    name,
    id: tracepoint.id,
    ...(filter === undefined ? {} : { filter }),
    ...(reason === undefined ? {} : { reason }),
  }
}

/** What the catalogue is made of. */
export interface TracepointHost {
  readonly readFormat: ReadFormat
  readonly kvm: KvmKind
  readonly checkExtension: CheckExtension
}

/** The events of this host. */
export function tracepointCatalogue({
  readFormat,
  kvm,
  checkExtension,
}: TracepointHost): TracepointCatalogue {
  const tracepoints = new Map<string, Tracepoint | undefined>()
  const find = (name: string): Tracepoint | undefined => {
    if (!tracepoints.has(name)) tracepoints.set(name, parseFormat(readFormat(name) ?? ''))
    return tracepoints.get(name)
  }
  const offered = [
    ...kinds,
    ...exitReasonKinds(kvm, readFormat('kvm_exit') ?? ''),
    ...userspaceExitReasonKinds(kvm, readFormat('kvm_userspace_exit') ?? '', checkExtension),
  ].filter(({ raisedBy }) => raisedBy.includes(kvm))
  const events = offered.flatMap(kind => eventOf(kind, find(kind.tracepoint)) ?? [])
  if (events.length > 0) return { events }
  return { events, problem: 'the kernel has no tracepoints of KVM: load the kvm module, then mount again' }
}
