/** A served mount for a test: the built command in a process of its own, ended with the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { patience } from './patience.js'

/** What a helper needs of a tap test. */
export interface Test {
  teardown(end: () => unknown): void
}

/** The built command. */
export const pmufs = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** A mount and the process that serves it. */
export interface Mounted {
  readonly dir: string
  readonly server: ChildProcess
  /** What the server has printed so far. */
  log(): string
  /** Runs a shell script in the mount's folder. `$MNT` is the mount. */
  sh(script: string): Promise<{ stdout: string; stderr: string; exitCode: number }>
}

/** Waits until something holds, or says what never did. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 30,
): Promise<void> {
  const limit = patience(seconds * 1000)
  for (const end = Date.now() + limit; Date.now() < end; await sleep(20)) if (await holds()) return
  throw new Error(`${what}: not within ${limit / 1000} s`)
}

/** Ends a process by its id and waits for its end. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  const killer = setTimeout(() => child.kill('SIGKILL'), patience(10_000))
  await once(child, 'exit')
  clearTimeout(killer)
}

/** A shell script's outcome; a script that hangs is ended. */
export async function shell(script: string, cwd: string, env: Record<string, string> = {}) {
  const { stdout, stderr, exitCode, timedOut } = await execa('bash', ['-c', script], {
    cwd,
    env,
    reject: false,
    timeout: patience(60_000),
    stdin: 'ignore',
  })
  if (timedOut) throw new Error(`timed out: ${script}`)
  return { stdout, stderr, exitCode: exitCode ?? -1 }
}

/** Mounts on a folder of its own and serves until the test's end. */
export async function mounted(test: Test, ...args: string[]): Promise<Mounted> {
  const dir = mkdtempSync(join(tmpdir(), 'pmufs-test-'))
  const server = spawn(process.execPath, [pmufs, 'mount', dir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', data => (printed += data))
  test.teardown(async () => {
    await end(server)
    await execa('umount', ['--lazy', dir], { reject: false })
    rmdirSync(dir)
  })
  await until(`mount of ${dir}`, async () => {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}: ${printed}`)
    return (await shell(`test -e ${dir}/control`, '/')).exitCode === 0
  })
  return { dir, server, log: () => printed, sh: script => shell(script, dir, { MNT: dir }) }
}
