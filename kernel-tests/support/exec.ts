/** Runs programs under `pmufs exec`, and builds the C programs that are run so. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { type Mounted, shell, type Test } from './mounted.js'

/** The command as a person starts it. */
const command = fileURLToPath(new URL('../../scripts/pmufs', import.meta.url))

/** tap has every Node that a test starts load its own modules, which no other run has. */
export const plainNode = { NODE_OPTIONS: '' }

/** `pmufs exec` for a mount, as the start of a command line. */
export const execOn = ({ dir }: Pick<Mounted, 'dir'>): string => `${command} exec --mount ${dir} --`

/** Runs a shell script in which `$EXEC` is `pmufs exec` for the mount, and `$MNT` the mount. */
export const runExec = (mount: Mounted, script: string) =>
  shell(script, '/', { MNT: mount.dir, EXEC: execOn(mount), ...plainNode })

/** Builds a program from C files of kernel-tests/fixtures; its path, gone with the test. */
export async function compile(test: Test, sources: readonly string[], ...options: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'pmufs-build-'))
  test.teardown(() => rmSync(folder, { recursive: true }))
  const program = join(folder, 'program')
  const files = sources.map(name => fileURLToPath(new URL(`../fixtures/${name}.c`, import.meta.url)))
  await execa('gcc', ['-Wall', '-O1', ...options, '-o', program, ...files])
  return program
}

/** Supervisors of a mount: their process ids. */
export const supervisors = ({ dir }: Mounted): number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(pid => {
      try {
        const cmdline = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
        return cmdline.includes('exec-supervisor.js') && cmdline.includes(dir)
      } catch {
        return false
      }
    })
    .map(Number)
