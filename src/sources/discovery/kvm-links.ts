/**
 * Makes VMs out of the descriptors of one process.
 *
 * The links tell which descriptor is a VM, a vCPU or a vCPU's statistics, and the vCPU's number, but not which VM
 * it belongs to. A process with several VMs is taken to make them one after the other, so that in the order of
 * descriptor numbers a vCPU number that comes again begins the next VM. Where the statistics do not fall into the
 * same VMs by that rule, which count is whose cannot be told.
 */

/** A descriptor of a VMM that is KVM's. */
export interface KvmLink {
  readonly fd: number
  readonly kind: 'vm' | 'vm-stats' | 'vcpu' | 'stats'
  /** The vCPU's number; undefined for a VM and its statistics, and where the kernel does not show it. */
  readonly id: number | undefined
  readonly target: string
}

/** The descriptors of one vCPU in the VMM. */
export interface VcpuLinks {
  readonly id: number
  /** More than one where the VMM duplicates it, as Firecracker does. */
  readonly fds: readonly number[]
  /** Its statistics, where the VMM holds them open. */
  readonly stats?: KvmLink
}

/** The descriptors of one VM, its vCPUs apart. */
export interface WholeLinks {
  /** Those that can be the VM's own. */
  readonly fds: readonly number[]
  /** Its statistics, where the VMM holds them open. */
  readonly stats?: KvmLink | undefined
}

/** The vCPUs of each VM of a process. */
export interface VmLinks {
  readonly vms: readonly (readonly VcpuLinks[])[]
  /** The same VMs as a whole, in the same order. */
  readonly wholes: readonly WholeLinks[]
  /** There are statistics, and whose they are cannot be told. */
  readonly isAmbiguous: boolean
}

/** Old kernels leave the number out: of a vCPU before 5.0, of its statistics before 6.5. */
const pattern = /^anon_inode:kvm-(vm|vm-stats|vcpu|vcpu-stats)(?::(\d+))?$/

const kinds: Readonly<Record<string, KvmLink['kind']>> = {
  vm: 'vm',
  'vm-stats': 'vm-stats',
  vcpu: 'vcpu',
  'vcpu-stats': 'stats',
}

/** Reads what a descriptor points to; undefined where that is nothing of KVM's. */
export function parseKvmLink(fd: number, target: string): KvmLink | undefined {
  const [, type, number] = pattern.exec(target) ?? []
  if (type === undefined) return undefined
  const kind = kinds[type]
  return kind && { fd, kind, id: number === undefined ? undefined : Number(number), target }
}

type Group = Map<number, KvmLink[]>

/** Gathers links by vCPU number. With `split`, a number that comes again begins the next group. */
function group(links: readonly KvmLink[], split: boolean): Group[] {
  const groups: Group[] = []
  for (const link of links) {
    if (link.id === undefined) continue
    let last = groups.at(-1)
    if (!last || (split && last.has(link.id))) {
      last = new Map()
      groups.push(last)
    }
    last.set(link.id, [...(last.get(link.id) ?? []), link])
  }
  return groups
}

const sameKeys = (a: Group, b: Group): boolean => a.size === b.size && [...a.keys()].every(id => b.has(id))

function join(vcpus: Group, stats: Group | undefined): VcpuLinks[] {
  return [...vcpus]
    .sort(([a], [b]) => a - b)
    .map(([id, links]) => {
      const held = stats?.get(id)?.[0]
      return { id, fds: links.map(link => link.fd), ...(held === undefined ? {} : { stats: held }) }
    })
}

/** Tells the descriptors of several VMs apart by their order, where there are as many as VMs. */
function wholesOf(sorted: readonly KvmLink[], count: number): WholeLinks[] {
  const fds = sorted.filter(link => link.kind === 'vm').map(link => link.fd)
  const stats = sorted.filter(link => link.kind === 'vm-stats')
  return Array.from({ length: count }, (_, i) => ({
    fds: fds.length === count ? fds.slice(i, i + 1) : fds,
    stats: count === 1 || stats.length === count ? stats[i] : undefined,
  }))
}

/** Makes VMs out of the links of one process, in any order. */
export function vmLinks(links: readonly KvmLink[]): VmLinks {
  const sorted = [...links].sort((a, b) => a.fd - b.fd)
  const vcpuLinks = sorted.filter(link => link.kind === 'vcpu')
  const statsLinks = sorted.filter(link => link.kind === 'stats')
  const isSeveral = sorted.filter(link => link.kind === 'vm').length > 1 && statsLinks.length > 0
  const vcpus = group(vcpuLinks, isSeveral)
  const stats = group(statsLinks, isSeveral)
  const isAmbiguous =
    vcpus.length > 1 &&
    (stats.length !== vcpus.length || !vcpus.every((ids, i) => sameKeys(ids, stats[i] ?? new Map())))
  const vms = vcpus.map((ids, i) => join(ids, isAmbiguous ? undefined : stats[i]))
  return { vms, wholes: wholesOf(sorted, vms.length), isAmbiguous }
}
