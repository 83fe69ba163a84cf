/**
 * What `pmufs exec` adds to a program: its start in node start-ups, and the cost of the system calls of a program that
 * opens no event. Needs a mount: PMUFS_MOUNT, or the only one there is. Build first.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const pmufs = fileURLToPath(new URL('../scripts/pmufs', import.meta.url))
const env = { ...process.env, NODE_OPTIONS: '' }
const ROUNDS = 15
const CALLS = 300_000

const underExec = (...command: string[]): string[] => [pmufs, 'exec', '--', ...command]

function run([program = '', ...args]: readonly string[]): string {
  return execFileSync(program, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

function milliseconds(command: readonly string[]): number {
  const start = performance.now()
  run(command)
  return performance.now() - start
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

/** Medians of each, measured in turn, so that what else the machine does falls on all alike. */
function inTurn<Name extends string>(measures: Record<Name, () => number>): Record<Name, number> {
  const names = Object.keys(measures) as Name[]
  const found = Object.fromEntries(names.map(name => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = 0; round < ROUNDS; round++) for (const name of names) found[name].push(measures[name]())
  return Object.fromEntries(names.map(name => [name, median(found[name])])) as Record<Name, number>
}

const starts = inTurn({
  plain: () => milliseconds(['true']),
  node: () => milliseconds([process.execPath, '-e', '0']),
  exec: () => milliseconds(underExec('true')),
})

/** Nanoseconds that a read or an ioctl of another kind takes a program, as it says itself. */
const program = `
import fcntl, os, time
fd = os.open('/dev/zero', os.O_RDONLY)
r, w = os.pipe()
start = time.perf_counter_ns()
for _ in range(${CALLS}): fcntl.fcntl(fd, 1)
middle = time.perf_counter_ns()
for _ in range(${CALLS}): fcntl.ioctl(r, 0x541b, b'1234')
print((middle - start) / ${CALLS}, (time.perf_counter_ns() - middle) / ${CALLS})`

const calls = (command: readonly string[], at: number) => () => Number(run(command).split(' ')[at])
const python = ['python3', '-c', program]
const costs = inTurn({
  fcntl: calls(python, 0),
  'fcntl under exec': calls(underExec(...python), 0),
  ioctl: calls(python, 1),
  'ioctl under exec': calls(underExec(...python), 1),
})

console.table({
  'start of true, ms': starts.plain,
  'start of node, ms': starts.node,
  'start of true under exec, ms': starts.exec,
  'added, in node start-ups': (starts.exec - starts.plain) / starts.node,
  ...Object.fromEntries(Object.entries(costs).map(([name, cost]) => [`${name}, ns`, cost])),
})
