/** The folder `vms/`: the guests that can be counted, `vms/<vm>/{pid,kind,source,vcpu<N>/tid}`. */
import { attributeFile } from '../kernfs/attribute-file.js'
import { dynamicDirectory, type RemovableDirectory, staticDirectory } from '../kernfs/directory.js'
import type { Owner } from '../kernfs/inode.js'
import { NodeCache } from '../kernfs/node-cache.js'
import type { Vcpu, Vm } from '../kvm/vm.js'

/** What of src/kvm/vm-list.ts is shown. */
export interface VmListView extends Iterable<Vm> {
  readonly size: number
  nameOf(vm: Vm): string | undefined
  byName(name: string): Vm | undefined
  onChange(listener: (change: { kind: string; vm: Vm; gone: readonly Vcpu[] }) => void): () => void
}

const vcpuName = /^vcpu(0|[1-9]\d*)$/

/** Makes `vms/` over a list of VMs, in step with it. */
export function vmsDirectory(vms: VmListView, owner: Owner): RemovableDirectory {
  const line = (text: () => string | number) =>
    attributeFile({ owner, mode: 0o444, show: () => `${text()}\n` })

  const vcpus = new NodeCache((vcpu: Vcpu) =>
    staticDirectory({ owner, mode: 0o555, children: { tid: line(() => vcpu.tid) } }),
  )

  function vmDirectory(vm: Vm): RemovableDirectory {
    const files = new Map([
      ['pid', line(() => vm.tgid)],
      ['kind', line(() => (vm.isReal ? 'kvm' : 'simulated'))],
      ['source', line(() => vm.source.name)],
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
