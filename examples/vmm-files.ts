/**
 * A source of one's own for the PMU `kvm`: VMMs that publish their counts in files.
 *
 *   node dist/examples/vmm-files.js mnt /run/vmm &
 *   pmufs exec -- perf stat -e kvm/exits/ -t TID sleep 1
 *
 * A VMM puts PID.json into the folder, anew whenever its counts move, and renames it into place so that a reader never
 * meets half a file: {"name":"vm1","pid":71,"vcpus":[{"id":0,"tid":72,"counts":{"exits":12}}]}
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { type GuestSource, mount } from 'pmufs'

interface Published {
  readonly name: string
  readonly pid: number
  readonly vcpus: readonly {
    readonly id: number
    readonly tid: number
    readonly counts: Readonly<Record<string, number>>
  }[]
}

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Published

export default ({ folder }: { folder: string }): GuestSource => ({
  guests: () =>
    readdirSync(folder)
      .filter(name => name.endsWith('.json'))
      .map(name => read(join(folder, name))),
  open: ({ pid }) => {
    const path = join(folder, `${pid}.json`)
    const names = new Set(read(path).vcpus.flatMap(({ counts }) => Object.keys(counts)))
    return {
      name: 'file',
      events: [...names].map(name => ({ name })),
      get_event_count(vcpu, event) {
        const count = read(path).vcpus.find(({ id }) => id === vcpu.id)?.counts[event]
        return count === undefined ? undefined : BigInt(count)
      },
    }
  },
})

if (isMainThread) {
  const [dir = 'mnt', folder = '/run/vmm'] = process.argv.slice(2)
  const source = { module: import.meta.url, options: { folder } }
  const mounted = await mount({ dir, kvm: { sources: [source] } })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void mounted.unmount())
  console.log(`mounted at ${mounted.dir}`)
  await mounted.ended
}
