/**
 * This machine's /proc, as discovery looks at it: ProcView of src/sources/discovery/proc-view.ts.
 *
 * Processes and threads come and go between any two calls, and most belong to somebody else: what is gone or may not
 * be read is undefined or empty.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { errnoOf } from '../abi/errno.js'
import type { Machine } from '../abi/syscalls.js'
import { machine } from './libc.js'
import { threadStatus } from './proc-stat.js'

const ioctlNumbers: Record<Machine, number> = { x86_64: 16, aarch64: 29 }

/** What `look` finds, or `nothing` where the kernel refuses. */
function unlessRefused<T>(look: () => T, nothing: T): T {
  try {
    return look()
  } catch (error) {
    if (errnoOf(error) === 'EIO') throw error
    return nothing
  }
}

const numbersIn = (dir: string): number[] =>
  unlessRefused(
    () =>
      readdirSync(dir)
        .map(Number)
        .filter(number => !Number.isNaN(number)),
    [],
  )

const textOf = (path: string): string | undefined =>
  unlessRefused(() => readFileSync(path, 'utf8'), undefined)

/** Processes, threads and descriptors of the running kernel. */
export const procView = {
  get ioctlNumber(): number {
    return ioctlNumbers[machine()]
  },
  processes: () => numbersIn('/proc'),
  descriptors: (tgid: number) => numbersIn(`/proc/${tgid}/fd`),
  link: (tgid: number, fd: number): string | undefined =>
    unlessRefused(() => readlinkSync(`/proc/${tgid}/fd/${fd}`), undefined),
  threads: (tgid: number) => numbersIn(`/proc/${tgid}/task`),
  read: (tgid: number, tid: number, file: string) => textOf(`/proc/${tgid}/task/${tid}/${file}`),
  commandLine: (tgid: number) => (textOf(`/proc/${tgid}/cmdline`) ?? '').split('\0').slice(0, -1),
  processOf: (tid: number): number | undefined => threadStatus(tid)?.tgid,
}
