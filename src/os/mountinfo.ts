/**
 * The mounts of this process's namespace, from /proc/self/mountinfo. See proc_pid_mountinfo(5).
 *
 * Reading it touches no mount, so that it is safe whatever a mount's server does. Parsing is pure.
 */
import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { errnoOf } from '../abi/errno.js'

/** One mount, as far as finding ours goes. */
export interface Mount {
  readonly mountPoint: string
  /** `fuse.pmufs`: type and subtype. */
  readonly type: string
  readonly source: string
  /** `major:minor`, st_dev of its files. */
  readonly device: string
  /** The file system's own options. */
  readonly options: readonly string[]
}

/** The kernel writes space, tab, newline and backslash as three octal digits. */
const decodeName = (text: string): string =>
  Buffer.from(
    text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))),
    'latin1',
  ).toString()

function parseLine(line: string): Mount[] {
  const [head = '', tail] = line.split(' - ')
  if (tail === undefined) return []
  const [, , device = '', , mountPoint = ''] = head.split(' ')
  const [type = '', source = '', options = ''] = tail.split(' ')
  return [
    {
      mountPoint: decodeName(mountPoint),
      type,
      source: decodeName(source),
      device,
      options: options.split(','),
    },
  ]
}

/** Parses the file, read as latin1: a name is bytes, and these become text once they are put together. */
export const parseMountinfo = (text: string): Mount[] => text.split('\n').flatMap(parseLine)

/** A mount of this program: by its type, or, where libfuse mounted, by its source. */
export const isPmufs = ({ type, source }: Mount): boolean =>
  type === 'fuse.pmufs' || (type === 'fuse' && source === 'pmufs')

/** All mounts of this namespace, a later one on top of earlier ones at the same place. */
const readMounts = (): Mount[] => parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1'))

/** The mounts of this program. */
export const pmufsMounts = (): Mount[] => readMounts().filter(isPmufs)

/** What `look` finds, or undefined where there is no such file or it is of another kind. */
function ifThere(look: () => string): string | undefined {
  try {
    return look()
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'EINVAL' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/**
 * The path of a folder as mountinfo has it, without asking the file system that is mounted there: readlink(2) on a
 * mounted folder is refused by the kernel itself. A path that leads nowhere stays as it is.
 */
export function mountPath(dir: string): string {
  const absolute = resolve(dir)
  const parent = ifThere(() => realpathSync(dirname(absolute)))
  if (parent === undefined || absolute === '/') return absolute
  const path = resolve(parent, basename(absolute))
  const target = ifThere(() => readlinkSync(path))
  return target === undefined ? path : mountPath(resolve(parent, target))
}

/** The uppermost mount at a folder, or undefined. */
export function mountAt(dir: string): Mount | undefined {
  const path = mountPath(dir)
  return readMounts().findLast(({ mountPoint }) => mountPoint === path)
}
