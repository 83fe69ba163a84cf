/** The distribution's perf around a window: what it counts is what happens in it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { execOn, plainNode } from './exec.js'
import type { Mounted } from './mounted.js'

/** Runs `perf stat -x,` with these options under `pmufs exec` while `window` happens; the lines of PMUs' events. */
export async function perfStat(
  mount: Mounted,
  options: readonly string[],
  window: () => Promise<unknown>,
  shown = /,\w+\//,
): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'pmufs-perf-'))
  const out = join(folder, 'stat.csv')
  const [command = '', ...prefix] = execOn(mount).split(' ')
  // With threads of others to count, perf enables its events before it lets the workload go.
  const workload = ['--', 'sh', '-c', 'echo started; read -r line']
  const perf = spawn(command, [...prefix, 'perf', 'stat', '-x,', '-o', out, ...options, ...workload], {
    env: { ...process.env, ...plainNode },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(perf, 'exit')
  try {
    await Promise.race([
      once(createInterface(perf.stdout), 'line'),
      exited.then(([code]) => Promise.reject(new Error(`perf ended with ${code}`))),
    ])
    await window()
    perf.stdin.write('\n')
    await exited
    return readFileSync(out, 'utf8')
      .split('\n')
      .filter(line => shown.test(line))
  } finally {
    perf.kill()
    rmSync(folder, { recursive: true })
  }
}

/** The count that perf printed for an event. */
export const printed = (lines: readonly string[], event: string) =>
  Number(lines.find(line => line.includes(`,${event},`))?.split(',')[0])
