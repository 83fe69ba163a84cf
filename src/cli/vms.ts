/** `pmufs vms`: the guests of a mount, their vCPUs and thread ids, and what counts them. */
import { findMount, usingMount } from './find-mount.js'
import { formatTable } from './table.js'
import { readEvents, readSources, readVms, type VmRow } from './vm-tree.js'

interface Options {
  readonly mount?: string
  readonly events?: true
  readonly json?: true
}

/** The vCPUs, a line each. */
function vcpuTable(guests: readonly VmRow[]): string {
  const rows = guests.flatMap(({ name, pid, kind, source, vcpus }) =>
    vcpus.map(({ id, tid }) => [name, String(pid), kind, source, `vcpu${id}`, String(tid)]),
  )
  return `${formatTable(['VM', 'PID', 'KIND', 'SOURCE', 'VCPU', 'TID'], rows)}\n`
}

/** The events, a line each, and below them the sources that cannot count what they should. */
function eventTable(mount: string, guests: readonly VmRow[]): string {
  const rows = guests.flatMap(({ name }) =>
    readEvents(mount, name).map(({ event, source, pmus }) => [name, event, source, pmus.join(',')]),
  )
  const problems = guests.flatMap(({ name }) =>
    readSources(mount, name).flatMap(({ source, problem }) =>
      problem === undefined ? [] : [`${name}: source ${source} counts nothing: ${problem}\n`],
    ),
  )
  return `${formatTable(['VM', 'EVENT', 'SOURCE', 'PMUS'], rows)}\n${problems.join('')}`
}

export async function vms(options: Options): Promise<void> {
  const mount = await findMount(options.mount)
  const guests = usingMount(mount, () => readVms(mount))
  if (options.json) {
    const all = guests.map(guest =>
      options.events
        ? { ...guest, sources: readSources(mount, guest.name), events: readEvents(mount, guest.name) }
        : guest,
    )
    process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`)
    return
  }
  if (guests.length === 0) {
    process.stderr.write('pmufs: no guest can be counted here: start one, or mount with --source demo\n')
    return
  }
  process.stdout.write(options.events ? eventTable(mount, guests) : vcpuTable(guests))
}
