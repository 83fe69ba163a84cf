/** `pmufs vms`: the guests of a mount, their vCPUs and thread ids, and what counts them. */
import { findMount, usingMount } from './find-mount.js'
import { formatTable } from './table.js'
import { readVms } from './vm-tree.js'

export async function vms(options: { mount?: string; json?: true }): Promise<void> {
  const dir = await findMount(options.mount)
  const guests = usingMount(dir, () => readVms(dir))
  if (options.json) {
    process.stdout.write(`${JSON.stringify(guests, undefined, 2)}\n`)
    return
  }
  if (guests.length === 0) {
    process.stderr.write('pmufs: no guest can be counted here: start one, or mount with --source demo\n')
    return
  }
  const rows = guests.flatMap(({ name, pid, kind, source, vcpus }) =>
    vcpus.map(({ id, tid }) => [name, String(pid), kind, source, `vcpu${id}`, String(tid)]),
  )
  process.stdout.write(`${formatTable(['VM', 'PID', 'KIND', 'SOURCE', 'VCPU', 'TID'], rows)}\n`)
}
