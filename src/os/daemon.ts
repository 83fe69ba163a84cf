/**
 * Running this program in the background. See daemon(7): a session of its own, no terminal, output to a log.
 *
 * That it is ready it tells itself, through the channel that Node gives to a child: whoever started it need not touch
 * what it serves, and so cannot be held by it.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'

/**
 * The process id of the program that waits for tellReady(). Any other program may have started this one with a channel
 * of its own, and any child of this one inherits the variable: the parent's id tells.
 */
const WAITING = 'PMUFS_READY_PARENT'

/** A program that runs on when this one ends. */
interface Detached {
  readonly pid: number
  /** Settles when it calls tellReady(); never where it ends without. */
  readonly ready: Promise<void>
  /** Settles when it ends, with its exit status; a signal counts as 128 and its number, as in a shell. */
  readonly ended: Promise<number>
  /** Lets this program end before it. */
  leave(): void
}

/** Starts this very Node with `argv` in a session of its own, its output appended to `logPath`. */
export async function spawnDetached(argv: readonly string[], logPath: string): Promise<Detached> {
  const logFd = openSync(logPath, 'a', 0o600)
  try {
    const child = spawn(process.execPath, argv, {
      detached: true,
      stdio: ['ignore', logFd, logFd, 'ipc'],
      env: { ...process.env, [WAITING]: String(process.pid) },
    })
    const ready = new Promise<void>(resolve => child.once('message', () => resolve()))
    const ended = new Promise<number>(resolve => {
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)))
    })
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('spawn', () => resolve(child.pid ?? 0))
    })
    const leave = (): void => {
      if (child.connected) child.disconnect()
      child.unref()
    }
    return { pid, ready, ended, leave }
  } finally {
    closeSync(logFd)
  }
}

/** Tells whoever started this program by spawnDetached() that it is ready; nobody need be there (any more). */
export function tellReady(): void {
  if (process.env[WAITING] !== String(process.ppid)) return
  process.send?.('ready', () => {
    if (process.connected) process.disconnect()
  })
}
