/** The folder to mount on: checked, and freed of what a server that died has left. */
import { statSync } from 'node:fs'
import { ErrnoError } from '../abi/errno.js'
import { hungMessage, recoverMount } from '../os/mount-state.js'
import { mountPath } from '../os/mountinfo.js'

/**
 * The absolute path of a folder that can be mounted on.
 *
 * @throws {ErrnoError} ENOTDIR when it is no folder; EBUSY when it is served already, or a server there hangs
 */
export async function mountpoint(dir: string): Promise<string> {
  const stateless = new ErrnoError(
    'ENOTDIR',
    `Cannot mount at "${dir}": it is not a folder; make one with "mkdir ${dir}"`,
  )
  let path: string
  try {
    path = mountPath(dir)
  } catch {
    throw stateless
  }
  const state = await recoverMount(path)
  if (state === 'served')
    throw new ErrnoError(
      'EBUSY',
      `Cannot mount at "${path}": it is served already; unmount it with "pmufs umount ${path}"`,
    )
  if (state === 'hung')
    throw new ErrnoError('EBUSY', `Cannot mount at "${path}": one is there, and ${hungMessage(path)}`)
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw stateless
  return path
}
