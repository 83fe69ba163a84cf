/**
 * Unmounting, in two steps: MNT_FORCE ends the connection, so that everybody who waits for an answer gets one, then
 * MNT_DETACH takes the mount away though files are open on it. A lazy unmount alone would leave readers stuck.
 * umount2(2) does not ask the mounted file system anything, so that a server may unmount itself.
 */
import { ErrnoError } from '../abi/errno.js'
import { MNT_DETACH, MNT_FORCE } from '../abi/mount.js'
import { unmountByFusermount } from './fusermount.js'
import { umount2 } from './libc.js'
import { mountAt, mountPath } from './mountinfo.js'

/** EBUSY: the other step will do it. EINVAL: somebody else was faster. */
function step(path: string, flags: number): void {
  try {
    umount2(path, flags)
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error
    if (error.code === 'EINVAL' || error.code === 'EBUSY') return
    throw new ErrnoError(error.code, `Cannot unmount "${path}": ${error.message}`, { cause: error })
  }
}

/**
 * Takes the uppermost mount at `dir` away, whoever uses it and whether or not its server lives.
 *
 * @param device `major:minor` of the mount that is meant: another that took its place stays
 * @returns whether there was such a mount
 */
export function unmount(dir: string, device?: string): boolean {
  const path = mountPath(dir)
  const mounted = mountAt(path)
  if (!mounted || mounted.device !== (device ?? mounted.device)) return false
  if (process.geteuid?.() !== 0) {
    unmountByFusermount(path)
    return true
  }
  step(path, MNT_FORCE)
  if (mountAt(path)?.device === mounted.device) step(path, MNT_DETACH)
  return true
}
