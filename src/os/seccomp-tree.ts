/** The mounted tree, as any program uses it: exec knows the server through these files alone. */
import {
  closeSync,
  existsSync,
  open,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  write,
} from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ErrnoError, type ErrnoName, errnoOf } from '../abi/errno.js'
import { O_RDWR } from '../abi/fs.js'
import type { MountedTree } from '../exec/host.js'

// What the server answers is waited for in a thread of libuv's pool.
const openAsync = promisify(open)
const writeAsync = promisify(write)

/** Where a sysfs shows the PMUs. */
const DEVICES = 'bus/event_source/devices'

/** What to answer where the server is gone: the kernel says so of a PMU whose module is. */
const GONE: ErrnoName = 'ENODEV'
const isGone = (code: ErrnoName): boolean => code === 'ENOTCONN' || code === 'ECONNABORTED'

const isType = (type: number): boolean => Number.isInteger(type)

/** The file `type` as a number, or NaN where its PMU was unregistered since it was listed. */
function typeOf(directory: string): number {
  try {
    return Number.parseInt(readFileSync(join(directory, 'type'), 'latin1'), 10)
  } catch {
    return NaN
  }
}

/** A link to a PMU that is the sysfs's own is relative. */
const isOwn = (target: string): boolean => !target.startsWith('/')

/** The same as ownTypes() gives, without keeping this thread waiting. */
async function findOwnTypes(sysfs: string): Promise<number[]> {
  const devices = join(sysfs, DEVICES)
  // Where the server is gone the mount has no types any more.
  const names = await readdir(devices).catch(() => [])
  const types = names.map(async name => {
    const directory = join(devices, name)
    const text = isOwn(await readlink(directory)) ? await readFile(join(directory, 'type'), 'latin1') : ''
    return Number.parseInt(text, 10)
  })
  const found = await Promise.allSettled(types)
  return found.flatMap(one => (one.status === 'fulfilled' ? [one.value] : [])).filter(isType)
}

/** The PMUs that a sysfs has itself: their links are relative, and one that leads elsewhere is absolute. */
export function ownPmus(sysfs: string): string[] {
  const devices = join(sysfs, DEVICES)
  // A container need not have a sysfs.
  if (!existsSync(devices)) return []
  return readdirSync(devices).filter(name => isOwn(readlinkSync(join(devices, name))))
}

/** The types of the PMUs that a sysfs has itself. */
export const ownTypes = (sysfs: string): number[] =>
  ownPmus(sysfs)
    .map(name => typeOf(join(sysfs, DEVICES, name)))
    .filter(isType)

/** One mount of pmufs. */
export class PmufsMount implements MountedTree {
  readonly device: number
  readonly #sysfs: string
  readonly #perfEventOpen: string

  constructor(mount: string) {
    this.#sysfs = join(mount, 'sys')
    this.#perfEventOpen = join(mount, 'perf_event_open')
    this.device = statSync(this.#perfEventOpen).dev
  }

  /** Opens an event: the errno of the write is that of perf_event_open(2). */
  async openEvent(request: string): Promise<number> {
    const fd = await this.#open()
    try {
      await writeAsync(fd, request)
      return fd
    } catch (error) {
      closeSync(fd)
      const code = errnoOf(error)
      throw new ErrnoError(isGone(code) ? GONE : code, undefined, { cause: error })
    }
  }

  async tell(request: string): Promise<void> {
    closeSync(await this.openEvent(request))
  }

  readTypes(): Promise<number[]> {
    return findOwnTypes(this.#sysfs)
  }

  async #open(): Promise<number> {
    try {
      return await openAsync(this.#perfEventOpen, O_RDWR)
    } catch (error) {
      const code = errnoOf(error)
      throw new ErrnoError(isGone(code) || code === 'ENOENT' ? GONE : code, undefined, { cause: error })
    }
  }
}
