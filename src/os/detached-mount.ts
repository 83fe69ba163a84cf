/** A kernel file system mounted in no tree: whoever has the descriptor reaches its files, nobody else sees it. */
import { FSCONFIG_CMD_CREATE, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC } from '../abi/mount.js'
import { close, syscall } from './libc.js'

/**
 * Mounts `debugfs` or the like; it ends when the descriptor of its root, which this gives, is closed.
 *
 * @throws {ErrnoError} EPERM without CAP_SYS_ADMIN, ENODEV where the kernel has no such file system
 */
export function detachedMount(type: string): number {
  const context = syscall('fsopen', type, FSOPEN_CLOEXEC)
  try {
    syscall('fsconfig', context, FSCONFIG_CMD_CREATE, null, null, 0)
    return syscall('fsmount', context, FSMOUNT_CLOEXEC, 0)
  } finally {
    close(context)
  }
}
