/** `pmufs umount`: takes a mount away, whoever uses it and whether or not its server lives. */
import { unmount } from '../os/umount.js'
import { CommandError } from './fail.js'
import { chooseMount } from './find-mount.js'

export function umount(dir: string | undefined): void {
  const found = chooseMount(dir ?? process.env.PMUFS_MOUNT)
  if (!unmount(found)) throw new CommandError(`Cannot unmount "${found}": it is not mounted any more`)
}
