/** `pmufs exec`: runs an unmodified program that sees the mounted PMUs beside the kernel's. */
import { writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { syscallAbi } from '../abi/seccomp.js'
import { filterProgram } from '../exec/filter.js'
import { PROBE_FLAGS, PROBE_MEMORY } from '../exec/probe.js'
import { launch } from '../os/launch.js'
import { ExecError } from '../os/launch-exec.js'
import { machine } from '../os/libc.js'
import { findMount } from './find-mount.js'

/** The options of `pmufs exec`. */
export interface ExecOptions {
  readonly mount?: string | undefined
  readonly verbose?: boolean | undefined
}

const STDERR = 2

/** process.stderr would make a pipe that the command inherits non-blocking. */
const say = (message: string): void => void writeSync(STDERR, `pmufs: ${message}\n`)

/** Becomes the command, which is what this process was started with last. Returns only where that fails. */
export async function exec(
  command: readonly string[],
  { mount, verbose = false }: ExecOptions,
): Promise<void> {
  try {
    launch({
      mountpoint: await findMount(mount),
      command,
      filter: filterProgram(syscallAbi(machine())),
      probe: { flags: PROBE_FLAGS, memory: PROBE_MEMORY },
      supervisor: fileURLToPath(new URL('./exec-supervisor.js', import.meta.url)),
      say: verbose ? say : () => undefined,
    })
  } catch (error) {
    if (!(error instanceof ExecError)) throw error
    say(error.message)
    process.exitCode = error.exitStatus
  }
}
