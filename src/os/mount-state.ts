/**
 * Whether somebody serves a mount. Only asking it tells, and a server that stands still would hold whoever asks: no
 * signal ends a call whose request the server has read. So a child process asks, and is given up on after a while.
 *
 * The child is a shell, which starts fast, and says when it is about to ask: how long it takes to start is not held
 * against the server.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { ErrnoError, errnoOf } from '../abi/errno.js'
import { isPmufs, mountAt } from './mountinfo.js'
import { unmount } from './umount.js'

/** `dead`: the server is gone; `hung`: no answer in time; `live`: anything else, a refusal included. */
type MountState = 'live' | 'dead' | 'hung'

/** How long a server has for its answer. */
const ANSWER_MS = 15_000
/** How long the child has until it asks: a machine that needs more is not of use for anything. */
const START_MS = 60_000

const SHELL = '/bin/sh'
/** Both are the shell's own commands. */
const ASK = 'echo asking; [ -d "$1" ]'

type Child = ChildProcessByStdio<null, Readable, null>

/** What a child came to: its exit, or why it is waited for no longer. */
type Asked = 'refused' | 'answered' | 'not answered' | 'not started'

/** What the shell's own exit tells of the answer. One that was killed, or could not ask, tells nothing. */
const exits: ReadonlyMap<number | null, Asked> = new Map([
  [0, 'answered'],
  [1, 'refused'],
])

/** How a mount is asked. */
interface AskOptions {
  /** Milliseconds for its answer. */
  readonly timeout?: number
  /** What runs the child's script. */
  readonly shell?: string
}

/** Has a child ask for a folder's attributes. */
function askByChild(dir: string, { timeout = ANSWER_MS, shell = SHELL }: AskOptions): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const child: Child = spawn(shell, ['-c', ASK, 'sh', dir], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: {},
    })
    let timer: NodeJS.Timeout | undefined
    let isOver = false
    const end = (settle: () => void): void => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      settle()
    }
    // It may not even die before the server answers: nobody waits for it.
    const giveUp = (asked: Asked): void => {
      child.kill('SIGKILL')
      child.stdout.destroy()
      child.unref()
      resolve(asked)
    }
    // This process may have been stopped itself: what came meanwhile is looked at before the time is up.
    const wait = (ms: number, asked: Asked): void => {
      timer = setTimeout(() => setImmediate(() => end(() => giveUp(asked))), ms)
    }
    wait(START_MS, 'not started')
    child.stdout.once('data', () => {
      if (isOver) return
      clearTimeout(timer)
      wait(timeout, 'not answered')
    })
    child.once('error', error => end(() => reject(error)))
    child.once('exit', code => end(() => resolve(exits.get(code) ?? 'not answered')))
  })
}

/** Asks the mount at `dir` for its attributes. */
export async function mountState(dir: string, options: AskOptions = {}): Promise<MountState> {
  const asked = await askByChild(dir, options)
  if (asked === 'answered') return 'live'
  if (asked === 'not answered') return 'hung'
  if (asked === 'not started')
    throw new ErrnoError(
      'ETIMEDOUT',
      `Cannot ask the mount "${dir}": "${SHELL}" did not start within ${START_MS / 1000} s; try again when the machine is less busy`,
    )
  // What refused at once does so again: a connection that has ended, or the kernel itself.
  try {
    statSync(dir)
  } catch (error) {
    if (errnoOf(error) === 'ENOTCONN') return 'dead'
  }
  return 'live'
}

/** What to tell of a mount that is `hung`. Its server may go on: taking it away is for one that is gone. */
export const hungMessage = (dir: string): string =>
  `its server gave no answer within ${ANSWER_MS / 1000} s: it may be busy or stopped; try again, and unmount it with "pmufs umount ${dir}" only when its process is gone or will not go on`

/** What stands at a folder where a mount is wanted. */
type Recovery = 'free' | 'recovered' | 'served' | 'hung'

/** Takes mounts of this program away whose servers died; other mounts are left alone, and count as free. */
export async function recoverMount(dir: string): Promise<Recovery> {
  const mount = mountAt(dir)
  if (!mount || !isPmufs(mount)) return 'free'
  const state = await mountState(mount.mountPoint)
  if (state === 'live') return 'served'
  if (state === 'hung') return 'hung'
  unmount(mount.mountPoint, mount.device)
  const below = await recoverMount(dir)
  return below === 'free' ? 'recovered' : below
}
