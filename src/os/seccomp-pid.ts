/**
 * A thread id in another process's pid namespace, as this process calls that thread. See pid_namespaces(7).
 *
 * Linux 6.12 answers that itself (ioctl_nsfs(2)); before, the NSpid lines of /proc do for threads that live in that
 * very namespace: those in namespaces nested in it are not found.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { errnoOf } from '../abi/errno.js'
import { _IOR } from '../abi/ioctl.js'
import { ioctl } from './libc.js'

const NSIO = 0xb7
/** Counterpart: include/uapi/linux/nsfs.h */
const NS_GET_PID_FROM_PIDNS = _IOR(NSIO, 0x6, 4)

const namespaceFile = (tid: number | 'self'): string => `/proc/${tid}/ns/pid`

function namespaceOf(tid: number | 'self'): string | undefined {
  try {
    return readlinkSync(namespaceFile(tid))
  } catch {
    return undefined
  }
}

/** The thread's ids, one for each namespace from this process's own inwards. */
function namespacedIds(tid: number): number[] {
  try {
    const [, ids = ''] = /^NSpid:\t(.*)$/m.exec(readFileSync(`/proc/${tid}/status`, 'latin1')) ?? []
    return ids.split('\t').map(Number)
  } catch {
    return []
  }
}

function* threads(): Generator<number> {
  for (const process of readdirSync('/proc')) {
    if (!/^\d+$/.test(process)) continue
    try {
      for (const tid of readdirSync(`/proc/${process}/task`)) yield Number(tid)
    } catch {
      // It ended since it was listed.
    }
  }
}

function scanFor(namespace: string, pid: number): number | undefined {
  for (const tid of threads())
    if (namespacedIds(tid).at(-1) === pid && namespaceOf(tid) === namespace) return tid
  return undefined
}

function askKernel(tid: number, pid: number): number {
  const fd = openSync(namespaceFile(tid), 'r')
  try {
    return ioctl(fd, NS_GET_PID_FROM_PIDNS, pid)
  } finally {
    closeSync(fd)
  }
}

/** The thread that `tid` calls `pid`, or undefined where there is none. */
export function threadIdFromNamespace(tid: number, pid: number): number | undefined {
  const namespace = namespaceOf(tid)
  if (namespace === undefined || namespace === namespaceOf('self')) return pid
  try {
    return askKernel(tid, pid)
  } catch (error) {
    return errnoOf(error) === 'ENOTTY' ? scanFor(namespace, pid) : undefined
  }
}
