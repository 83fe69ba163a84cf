/**
 * Mounting for the direct transport: /dev/fuse is opened and handed to mount(2), by this process as root and by
 * fusermount3 for anybody else. Counterpart: fs/fuse/inode.c, fuse_get_tree().
 *
 * The kernel's first request (FUSE_INIT) waits on the descriptor when this returns. From then on nothing in this
 * process may touch the mounted folder before the requests are served.
 */
import { ErrnoError, type ErrnoName } from '../abi/errno.js'
import { O_CLOEXEC, O_NONBLOCK, O_RDWR, S_IFDIR } from '../abi/fs.js'
import { MS_NODEV, MS_NOSUID } from '../abi/mount.js'
import { mountByFusermount } from './fusermount.js'
import { close, fcntl, mount, open } from './libc.js'

const DEVICE = '/dev/fuse'
/** Shown as the source of the mount, and behind the type: `pmufs on /mnt type fuse.pmufs`. */
const NAME = 'pmufs'

const F_GETFL = 3
const F_SETFL = 4

/** What a mount is asked for. */
interface DirectMount {
  /** An existing folder, absolute. */
  readonly dir: string
  /** Whether the kernel lets others than the mounting user in; fusermount3 wants user_allow_other for it. */
  readonly allowOther: boolean
}

const deviceHints: Partial<Record<ErrnoName, string>> = {
  ENOENT: 'load the module with "modprobe fuse"; in a container, pass "--device /dev/fuse"',
  ENODEV: 'load the module with "modprobe fuse"',
  EPERM: 'in a container, pass "--device /dev/fuse"',
}

const mountHints: Partial<Record<ErrnoName, string>> = {
  EPERM: 'mounting needs CAP_SYS_ADMIN; in a container, pass "--cap-add SYS_ADMIN"',
  ENODEV: 'the kernel has no FUSE; load the module with "modprobe fuse"',
}

function explain<T>(what: string, hints: Partial<Record<ErrnoName, string>>, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error
    const hint = hints[error.code]
    const message = hint === undefined ? `${what}: ${error.message}` : `${what}: ${error.message}; ${hint}`
    throw new ErrnoError(error.code, message, { cause: error })
  }
}

function mountAsRoot({ dir, allowOther }: DirectMount): number {
  const device = explain(`Cannot open "${DEVICE}"`, deviceHints, () =>
    open(DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK),
  )
  const options = [
    `fd=${device}`,
    `rootmode=${S_IFDIR.toString(8)}`,
    `user_id=${process.geteuid?.() ?? 0}`,
    `group_id=${process.getegid?.() ?? 0}`,
    ...(allowOther ? ['allow_other'] : []),
  ]
  try {
    explain(`Cannot mount at "${dir}"`, mountHints, () =>
      mount(NAME, dir, `fuse.${NAME}`, { flags: MS_NOSUID | MS_NODEV, data: options.join(',') }),
    )
    return device
  } catch (error) {
    close(device)
    throw error
  }
}

function mountAsUser({ dir, allowOther }: DirectMount): number {
  const options = [`fsname=${NAME}`, `subtype=${NAME}`, ...(allowOther ? ['allow_other'] : [])]
  const device = explain(`Cannot mount at "${dir}"`, {}, () => mountByFusermount(dir, options))
  fcntl(device, F_SETFL, fcntl(device, F_GETFL) | O_NONBLOCK)
  return device
}

/** Mounts, and gives the descriptor of the FUSE device, which does not block and is close-on-exec. */
export const mountDirect = (request: DirectMount): number =>
  process.geteuid?.() === 0 ? mountAsRoot(request) : mountAsUser(request)
