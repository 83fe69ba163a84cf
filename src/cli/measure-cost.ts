/**
 * Measures what reading disturbs, for `pmufs vms --cost`: has the guests that are counted by queries queried in quick
 * succession, so that little happens in them by itself in between. What that adds the server sees by itself.
 */
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from './ask.js'
import { readEvents, type VmRow } from './vm-tree.js'

/** So many queries, after a first one, are what the server looks back on. */
const QUERIES = 32

/** Queries each guest that has to be queried; whoever runs this asks for what it does to them. */
export function measureCost(mount: string, guests: readonly VmRow[]): void {
  const control = openSync(join(mount, 'control'), 'r+')
  try {
    for (const { name, vcpus } of guests) {
      const queried = readEvents(mount, name).find(({ source }) => source === 'qmp')
      const [vcpu] = vcpus
      if (queried && vcpu) queryAgainAndAgain({ mount, control }, queried.event, vcpu.tid)
    }
  } finally {
    closeSync(control)
  }
}

interface Client {
  readonly mount: string
  readonly control: number
}

/** To open the event is one query, and each read is. */
function queryAgainAndAgain({ mount, control }: Client, event: string, pid: number): void {
  const { handle, path } = ask(control, { type: 'kvm', config: event, pid })
  const count = join(mount, String(path), 'count')
  try {
    for (let query = 0; query < QUERIES; query++) readFileSync(count)
  } finally {
    ask(control, { op: 'close', handle })
  }
}
