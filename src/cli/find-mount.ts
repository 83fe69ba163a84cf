/** Which mount a command means: --mount, else $PMUFS_MOUNT (commander fills both in), else the only one there is. */

import { errnoOf } from '../abi/errno.js'
import { hungMessage, mountState } from '../os/mount-state.js'
import { isPmufs, mountAt, pmufsMounts } from '../os/mountinfo.js'
import { CommandError } from './fail.js'

/** The folder of the mount that is meant, whether or not its server lives. */
export function chooseMount(dir: string | undefined): string {
  if (dir !== undefined) {
    const mount = mountAt(dir)
    if (!mount || !isPmufs(mount))
      throw new CommandError(
        `Cannot use "${dir}": no pmufs is mounted there; mount one with "pmufs mount ${dir}"`,
      )
    return mount.mountPoint
  }
  const dirs = [...new Set(pmufsMounts().map(({ mountPoint }) => mountPoint))]
  const [only] = dirs
  if (only === undefined)
    throw new CommandError('Cannot find a mount: none is there; make one with "pmufs mount"')
  if (dirs.length > 1)
    throw new CommandError(`Cannot choose a mount: there are ${dirs.join(' and ')}; name one with --mount`)
  return only
}

/** The same, and somebody serves it. */
export async function findMount(dir: string | undefined): Promise<string> {
  const found = chooseMount(dir)
  const state = await mountState(found)
  if (state === 'dead')
    throw new CommandError(
      `Cannot use "${found}": its server died; mount it again with "pmufs mount ${found}"`,
    )
  if (state === 'hung') throw new CommandError(`Cannot use "${found}": ${hungMessage(found)}`)
  return found
}

/** Runs what reads or opens files of a mount; where those are not this user's, says whose they are. */
export function usingMount<T>(dir: string, use: () => T): T {
  try {
    return use()
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    throw new CommandError(
      `Cannot use "${dir}": it is another user's; only they open events, and others see sys/ and vms/ where it was mounted with --allow-other`,
      { cause: error },
    )
  }
}
