/**
 * Reads tracefs, whether it is mounted or not. Where it is not, it is mounted detached: reachable by a descriptor of
 * this process alone, in nobody's mount table, and gone when that is closed.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { errnoOf } from '../abi/errno.js'
import { O_CLOEXEC, O_PATH } from '../abi/fs.js'
import { detachedMount } from './detached-mount.js'
import { close, open } from './libc.js'

/** Reads a file by its path inside tracefs; undefined where there is none. */
export type ReadTracefs = (path: string) => string | undefined
/** The names in a folder of tracefs; none where it is no folder. */
export type ListTracefs = (path: string) => string[]

const MOUNTED = '/sys/kernel/tracing'

function readUnder(root: string): ReadTracefs {
  return path => {
    try {
      return readFileSync(`${root}/${path}`, 'utf8')
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  }
}

function listUnder(root: string): ListTracefs {
  return path => {
    try {
      return readdirSync(`${root}/${path}`)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return []
      throw error
    }
  }
}

/** The root of tracefs. */
function openRoot(): number {
  // /sys/kernel/tracing is an empty folder where nothing is mounted on it.
  if (existsSync(`${MOUNTED}/events`)) return open(MOUNTED, O_PATH | O_CLOEXEC)
  return detachedMount('tracefs')
}

/**
 * Runs `use` with a reader of the files in tracefs, and of its folders.
 *
 * @throws {ErrnoError} EPERM without the right to mount it where it is not mounted; whatever `use` throws
 */
export function withTracefs<T>(use: (read: ReadTracefs, list: ListTracefs) => T): T {
  const root = openRoot()
  try {
    const path = `/proc/self/fd/${root}`
    return use(readUnder(path), listUnder(path))
  } finally {
    close(root)
  }
}
