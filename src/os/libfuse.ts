/**
 * Mounting through the fuse-native package and libfuse 2. Both are optional: the package is loaded when it is asked
 * for, and what is missing is said with what mends it.
 */
import { createRequire } from 'node:module'
import { ErrnoError } from '../abi/errno.js'

/** The operations that fuse-native calls, by name. */
export type LibfuseOperations = Readonly<Record<string, unknown>>

type Done = (error: (Error & { code?: string }) | null | undefined) => void

interface Fuse {
  mount(done: Done): void
  unmount(done: Done): void
}

interface FuseConstructor {
  new (dir: string, operations: LibfuseOperations, options: object): Fuse
  /** How `unmount` of a mount takes it out of the tree. */
  unmount(dir: string, done: Done): void
}

const INSTALL =
  'install it with "npm install fuse-native" and "apt-get install libfuse2", or mount with --transport direct'

function loadPackage(): FuseConstructor {
  try {
    return createRequire(import.meta.url)('fuse-native') as FuseConstructor
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    throw new ErrnoError('ENOSYS', `Cannot load fuse-native: ${reason}; ${INSTALL}`, { cause: error })
  }
}

const settled = (start: (done: Done) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    start(error => (error ? reject(error) : resolve()))
  })

/** A mount of fuse-native. */
export interface LibfuseMount {
  /** Gives the event loop free, once the mount is out of the tree. */
  release(): Promise<void>
}

/** Mounts these operations at a folder. */
export async function mountLibfuse(
  dir: string,
  operations: LibfuseOperations,
  options: object,
): Promise<LibfuseMount> {
  const Package = loadPackage()
  const fuse = new Package(dir, operations, options)
  try {
    await settled(done => fuse.mount(done))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new ErrnoError('EIO', `Cannot mount at "${dir}" through fuse-native: ${reason}; ${INSTALL}`, {
      cause: error,
    })
  }
  return {
    release() {
      // It would run fusermount, which fails on what is unmounted, and then keep its hold on the event loop.
      Package.unmount = (_dir, done) => done(null)
      return settled(done => fuse.unmount(done))
    },
  }
}
