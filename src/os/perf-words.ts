/** The words that mean something to perf's command line on this machine: tracepoints, PMUs and their events. */
import { readdirSync } from 'node:fs'
import { hostPmus } from './host-pmus.js'
import { withTracefs } from './tracefs.js'

const listed = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Systems and tracepoints; none where this user may not look into tracefs: perf then finds none either. */
function tracepointNames(): string[] {
  try {
    return withTracefs((_, list) => {
      const systems = list('events')
      return [...systems, ...systems.flatMap(system => list(`events/${system}`))]
    })
  } catch {
    return []
  }
}

const eventsOf = (target: string): string[] => listed(`${target}/events`).filter(name => !name.includes('.'))

function pmuNames(): string[] {
  return hostPmus().flatMap(({ name, target }) => [name, ...eventsOf(target)])
}

/** Each word once; of those with hyphens the parts too, for perf 6.1 reads each by itself. */
export function perfWords(): ReadonlySet<string> {
  const names = [...tracepointNames(), ...pmuNames()]
  return new Set(names.flatMap(name => [name, ...name.split('-')]))
}
