/**
 * The folder `vms/`: the guests that can be counted, `vms/<vm>/{pid,kind,source,sources,events,cost,pending,vcpu<N>/tid}`.
 *
 * `events` and `sources` are tables of words between blanks, a line an event or source. An event has the source that
 * counts it and the PMUs that have it: `exits stats kvm,kvm_vm`. A source has the number of its events and what keeps
 * it from counting: `stats 41`, `tracepoint 0 why`; one of the VM as a whole is `vm:stats 6`. `cost` has the sources
 * whose reads disturb the guest, once that was measured: over how many reads, and what one adds to a vCPU's counts at most:
 * `qmp 32 exits=1 signal_exits=1`. `pending` has the numbers of the vCPUs whose threads cannot be told yet, which have no
 * folder: `0 1`.
 */
import { attributeFile } from '../kernfs/attribute-file.js'
import { dynamicDirectory, type RemovableDirectory, staticDirectory } from '../kernfs/directory.js'
import type { Owner } from '../kernfs/inode.js'
import { NodeCache } from '../kernfs/node-cache.js'
import type { CountSource, Vcpu, Vm, WholeSource } from '../kvm/vm.js'

/** What of src/kvm/vm-list.ts is shown. */
export interface VmListView extends Iterable<Vm> {
  readonly size: number
  nameOf(vm: Vm): string | undefined
  byName(name: string): Vm | undefined
  onChange(listener: (change: { kind: string; vm: Vm; gone: readonly Vcpu[] }) => void): () => void
}

/** What events/ calls an event that its source calls so. */
type NameOf = (name: string) => string

const partsOf = ({ source }: Vm): readonly CountSource[] => source.parts ?? [source]

const wholesOf = ({ whole }: Vm): readonly WholeSource[] => whole?.parts ?? (whole ? [whole] : [])

/** What counts the vCPUs; where nothing does, what counts the VM as a whole. */
const sourceName = ({ source, whole }: Vm): string =>
  source.events.length === 0 && whole ? whole.name : source.name

/** Every event that can be counted, by its name in events/, with the source that counts it and the PMUs that have it. */
function eventLines(vm: Vm, fileOf: NameOf): string {
  const lines = new Map<string, string>()
  const add = (event: string, serving: string) => {
    if (!lines.has(event)) lines.set(event, `${fileOf(event)} ${serving}\n`)
  }
  for (const { name, events } of partsOf(vm))
    for (const event of events) add(event.name, `${name} kvm,kvm_vm`)
  for (const { name, histograms = [] } of partsOf(vm))
    for (const histogram of histograms) add(histogram.name, `${name} kvm_vm`)
  for (const { name, events } of wholesOf(vm)) for (const event of events) add(event.name, `${name} kvm_vm`)
  return [...lines.values()].join('')
}

/** Every source that counts something or should: how many events it has, and why it cannot count. */
function sourceLines(vm: Vm): string {
  const parts = partsOf(vm).filter(({ events, problem }) => events.length > 0 || problem !== undefined)
  const lines = parts.map(({ name, events, problem = '' }) => `${name} ${events.length} ${problem}`.trimEnd())
  for (const { name, events } of wholesOf(vm)) lines.push(`vm:${name} ${events.length}`)
  return lines.map(line => `${line}\n`).join('')
}

/** Every source of which it is known what its reads add to the counts. */
const costLines = (vm: Vm): string =>
  partsOf(vm)
    .flatMap(({ name, disturbance }) => {
      if (!disturbance) return []
      const adds = [...disturbance.adds].map(([event, count]) => `${event}=${count}`)
      return `${[name, disturbance.reads, ...adds].join(' ')}\n`
    })
    .join('')

/** Enough for every event that there can be, its reasons included. */
const TABLE_LIMIT = 65_536

const vcpuName = /^vcpu(0|[1-9]\d*)$/

/** Makes `vms/` over a list of VMs, in step with it. */
export function vmsDirectory(
  vms: VmListView,
  owner: Owner,
  fileOf: NameOf = name => name,
): RemovableDirectory {
  const line = (text: () => string | number) =>
    attributeFile({ owner, mode: 0o444, show: () => `${text()}\n` })
  const table = (show: () => string) => attributeFile({ owner, mode: 0o444, show, limit: TABLE_LIMIT })

  const vcpus = new NodeCache((vcpu: Vcpu) =>
    staticDirectory({ owner, mode: 0o555, children: { tid: line(() => vcpu.tid) } }),
  )

  function vmDirectory(vm: Vm): RemovableDirectory {
    const files = new Map([
      ['pid', line(() => vm.tgid)],
      ['kind', line(() => (vm.isReal ? 'kvm' : 'simulated'))],
      ['source', line(() => sourceName(vm))],
      ['sources', table(() => sourceLines(vm))],
      ['events', table(() => eventLines(vm, fileOf))],
      ['pending', line(() => (vm.pending ?? []).join(' '))],
      ['cost', table(() => costLines(vm))],
    ])
    return dynamicDirectory({
      owner,
      mode: 0o555,
      names: () => [...files.keys(), ...vm.vcpus.map(({ id }) => `vcpu${id}`)],
      child: name => {
        const id = vcpuName.exec(name)?.[1]
        const vcpu = id === undefined ? undefined : vm.vcpus.find(candidate => candidate.id === Number(id))
        return vcpu ? vcpus.get(vcpu) : files.get(name)
      },
      subdirectories: () => vm.vcpus.length,
      remove: () => {
        for (const file of files.values()) file.remove()
      },
    })
  }

  const directories = new NodeCache(vmDirectory)
  vms.onChange(({ kind, vm, gone }) => {
    for (const vcpu of gone) vcpus.delete(vcpu)
    if (kind === 'removed') directories.delete(vm)
  })

  return dynamicDirectory({
    owner,
    mode: 0o555,
    names: () => [...vms].map(vm => vms.nameOf(vm)).filter(name => name !== undefined),
    child: name => {
      const vm = vms.byName(name)
      return vm && directories.get(vm)
    },
    subdirectories: () => vms.size,
  })
}
