/** Which mount a command means: --mount, else $PMUFS_MOUNT (commander fills both in), else the only one there is. */

import { mountState } from '../os/mount-state.js'
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
  if (state === 'hung')
    throw new CommandError(
      `Cannot use "${found}": its server does not answer; unmount it with "pmufs umount ${found}"`,
    )
  return found
}
