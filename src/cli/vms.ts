/** `pmufs vms`: the guests of a mount, their vCPUs and thread ids, and what counts them. */
import { findMount, usingMount } from './find-mount.js'
import { measureCost } from './measure-cost.js'
import { printable } from './printable.js'
import { formatTable } from './table.js'
import { readEvents, readSources, readVms, type VmRow } from './vm-tree.js'

interface Options {
  readonly mount?: string
  readonly events?: true
  readonly cost?: true
  readonly json?: true
}

/** The vCPUs, a line each; those whose threads cannot be told yet have a `-` there. */
function vcpuTable(guests: readonly VmRow[]): string {
  const rows = guests.flatMap(({ name, pid, kind, source, vcpus, pending }) => {
    const all = [...vcpus, ...pending.map(id => ({ id, tid: '-' }))].sort((a, b) => a.id - b.id)
    return all.map(({ id, tid }) => [name, String(pid), kind, source, `vcpu${id}`, String(tid)])
  })
  return `${formatTable(['VM', 'PID', 'KIND', 'SOURCE', 'VCPU', 'TID'], rows)}\n`
}

/** What reads do to the guests, as far as that was measured. */
const costLines = (guests: readonly VmRow[]): string[] =>
  guests.flatMap(({ name, cost }) =>
    cost.map(({ source, reads, adds }) => {
      const added = Object.entries(adds).map(([event, count]) => `${count} ${event}`)
      const what = added.length > 0 ? `at most ${added.join(', ')}` : 'nothing'
      return `${printable(name)}: a read through ${source} adds ${what} to a vCPU (median of ${reads})\n`
    }),
  )

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
  const guests = usingMount(mount, () => {
    if (options.cost) measureCost(mount, readVms(mount))
    return readVms(mount)
  })
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
  const table = options.events ? eventTable(mount, guests) : vcpuTable(guests)
  process.stdout.write([table, ...costLines(guests)].join(''))
}
