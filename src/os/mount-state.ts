/**
 * Whether somebody serves a mount. Only asking it tells, and a server that hangs would hang whoever asks, so a child
 * process asks and is given up on after a while.
 */
import { spawn } from 'node:child_process'
import { isPmufs, mountAt } from './mountinfo.js'
import { unmount } from './umount.js'

/** `dead`: the server is gone; `hung`: no answer in time; `live`: anything else, a refusal included. */
type MountState = 'live' | 'dead' | 'hung'

const ASK = `
try { require('node:fs').statSync(process.argv[1]) }
catch (error) { process.exitCode = error.code === 'ENOTCONN' ? 2 : 0 }`
const DEAD = 2

/** Asks the mount at `dir` for its attributes. */
export function mountState(dir: string, timeout = 2000): Promise<MountState> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['-e', ASK, dir], { stdio: 'ignore', env: {} })
    const timer = setTimeout(() => {
      // It may not even die before the server answers: nobody waits for it.
      child.kill('SIGKILL')
      child.unref()
      resolve('hung')
    }, timeout)
    child.once('error', reject)
    child.once('exit', code => {
      clearTimeout(timer)
      resolve(code === DEAD ? 'dead' : 'live')
    })
  })
}

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
