/**
 * Who may observe whom. Counterparts: kernel/ptrace.c, __ptrace_may_access() with PTRACE_MODE_READ_REALCREDS;
 * include/linux/perf_event.h, perfmon_capable(). Yama restricts attaching only, so it has no say here.
 *
 * What cannot be found out counts against the caller, save for uid 0: a thread that this process cannot see and
 * that the kernel calls root is believed to be root.
 */
import { readlinkSync, statSync } from 'node:fs'
import type { Caller } from '../abi/caller.js'
import { Failure } from '../abi/errno.js'
import { type Ids, type ThreadStatus, threadStatus } from './proc-stat.js'

const CAP_SYS_PTRACE = 1n << 19n
const CAP_SYS_ADMIN = 1n << 21n
const CAP_PERFMON = 1n << 38n

function userNamespace(tid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${tid}/ns/user`)
  } catch {
    return undefined
  }
}

let ownNamespace: string | undefined

/** Every process has all capabilities in a user namespace of its own: only those in this process's own count. */
function sharesUserNamespace(tid: number, status: ThreadStatus): boolean {
  const namespace = userNamespace(tid)
  ownNamespace ??= userNamespace('self')
  return namespace === undefined ? status.uid.effective === 0 : namespace === ownNamespace
}

function hasCapability(caller: Caller, wanted: bigint): boolean {
  const status = caller.tid > 0 ? threadStatus(caller.tid) : undefined
  if (status === undefined) return caller.uid === 0
  return (status.effective & wanted) !== 0n && sharesUserNamespace(caller.tid, status)
}

/** Whether the caller has CAP_PERFMON or CAP_SYS_ADMIN. */
export const isPerfmonCapable = (caller: Caller): boolean =>
  hasCapability(caller, CAP_PERFMON | CAP_SYS_ADMIN)

const are = (ids: Ids, id: number): boolean => ids.real === id && ids.effective === id && ids.saved === id

/** Files of a process that is not dumpable belong to root; its folder does not tell, as it keeps the user's. */
function isDumpable(tid: number, status: ThreadStatus): boolean {
  const { uid } = statSync(`/proc/${tid}/stat`, { throwIfNoEntry: false }) ?? {}
  return uid === status.uid.effective
}

interface Observer {
  readonly tgid: number
  readonly uid: number
  readonly gid: number
  readonly permitted: bigint
}

/** A caller that this process cannot see is known by its request alone. */
function observer(caller: Caller): Observer {
  const status = caller.tid > 0 ? threadStatus(caller.tid) : undefined
  if (status === undefined) return { tgid: 0, uid: caller.uid, gid: caller.gid, permitted: 0n }
  return { tgid: status.tgid, uid: status.uid.real, gid: status.gid.real, permitted: status.permitted }
}

/** The rule for callers without capabilities: the same user and group throughout, dumpable, not more privileged. */
function isOwnThread(caller: Caller, tid: number): boolean {
  const target = threadStatus(tid)
  if (target === undefined) return false
  const { tgid, uid, gid, permitted } = observer(caller)
  if (tgid === target.tgid) return true
  return (
    are(target.uid, uid) &&
    are(target.gid, gid) &&
    isDumpable(tid, target) &&
    (target.permitted & ~permitted) === 0n
  )
}

/** Whether the caller may observe a thread: by capability, or because it is the caller's own. */
export const mayObserve = (caller: Caller, tid: number): boolean =>
  hasCapability(caller, CAP_PERFMON | CAP_SYS_ADMIN | CAP_SYS_PTRACE) || isOwnThread(caller, tid)

/** A thread's own credentials, for a request that names its caller. */
export function credentialsOf(tid: number): Caller | Failure {
  const status = tid > 0 ? threadStatus(tid) : undefined
  if (status === undefined) return new Failure('ESRCH', `Thread ${tid} does not exist`)
  return { uid: status.uid.fs, gid: status.gid.fs, tid }
}
