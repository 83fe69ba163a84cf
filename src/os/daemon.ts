/** Running this program in the background. See daemon(7): a session of its own, no terminal, output to a log. */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'

/** A program that runs on when this one ends. */
interface Detached {
  readonly pid: number
  /** Settles when it ends, with its exit status; a signal counts as 128 and its number, as in a shell. */
  readonly ended: Promise<number>
  /** Lets this program end before it. */
  leave(): void
}

/** Starts this very Node with `argv` in a session of its own, its output appended to `logPath`. */
export async function spawnDetached(argv: readonly string[], logPath: string): Promise<Detached> {
  const logFd = openSync(logPath, 'a', 0o600)
  try {
    const child = spawn(process.execPath, argv, { detached: true, stdio: ['ignore', logFd, logFd] })
    const ended = new Promise<number>(resolve => {
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
    })
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('spawn', () => resolve(child.pid ?? 0))
    })
    return { pid, ended, leave: () => child.unref() }
  } finally {
    closeSync(logFd)
  }
}
