/**
 * Mounting and unmounting without being root, through fusermount3, which is set-uid root and has rules of its own
 * (/etc/fuse.conf). It opens /dev/fuse, mounts, and hands the descriptor over on a socket whose number it finds in the
 * environment. See lib/mount.c and util/fusermount.c of libfuse.
 */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { ErrnoError, errnoOf } from '../abi/errno.js'
import { close } from './libc.js'
import { receiveDescriptor, streamPair } from './passed-descriptor.js'

const FUSERMOUNT = 'fusermount3'

/** Where the child finds the socket: the first descriptor behind the standard ones. */
const COMMFD = 3

/** What to do about the refusals that have a remedy. It opens the device with the rights of the user. */
const hints = [
  ['open /dev/fuse: Permission denied', '; let users open it with "chmod 666 /dev/fuse", as udev does'],
  ['not found in /etc/mtab', ': this mount is not yours; only its user or root may unmount it'],
  ['device not found', '; load the module with "modprobe fuse"'],
] as const

/** Runs fusermount3; throws what it says on stderr where it refuses. */
function run(args: readonly string[], options: SpawnSyncOptions): void {
  const { error, status, stderr } = spawnSync(FUSERMOUNT, args, options)
  if (error) {
    const hint = errnoOf(error) === 'ENOENT' ? ': install the package "fuse3", or mount as root' : ''
    throw new ErrnoError(errnoOf(error), `Cannot run "${FUSERMOUNT}"${hint}`, { cause: error })
  }
  if (status === 0) return
  const said = stderr.toString().trim()
  throw new ErrnoError('EPERM', said + (hints.find(([words]) => said.includes(words))?.[1] ?? ''))
}

/** Its end of the socket must be closed here before anybody waits for a message on the other. */
function runWith(theirs: number, dir: string, options: readonly string[]): void {
  try {
    run(['-o', options.join(','), '--', dir], {
      stdio: ['ignore', 'ignore', 'pipe', theirs],
      env: { ...process.env, _FUSE_COMMFD: String(COMMFD) },
    })
  } finally {
    close(theirs)
  }
}

/** Mounts at `dir` with these options and gives the FUSE device, which is close-on-exec. */
export function mountByFusermount(dir: string, options: readonly string[]): number {
  const [ours, theirs] = streamPair()
  try {
    runWith(theirs, dir, options)
    const device = receiveDescriptor(ours)
    if (device !== undefined) return device
    throw new ErrnoError('EPROTO', `"${FUSERMOUNT}" mounted "${dir}" but sent no descriptor`)
  } finally {
    close(ours)
  }
}

/** Takes the user's own mount at `dir` out of the tree. */
export const unmountByFusermount = (dir: string): void =>
  run(['-u', '-z', '--', dir], { stdio: ['ignore', 'ignore', 'pipe'] })
