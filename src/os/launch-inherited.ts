/**
 * What a program inherits from its parent, and Node changes as it starts: ignored signals and the signal mask are
 * reset, the limit of open files is raised, every descriptor is made close-on-exec and some are made non-blocking.
 *
 * The script `pmufs` looks before Node starts and leaves the signals and the limit in the environment. Where Node was
 * started without it, signals are taken to be as a shell gives them, and the limit is the parent's.
 */
import { fstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { O_NONBLOCK } from '../abi/fs.js'
import { SIGCHLD, SIGKILL, SIGPIPE, SIGSTOP } from '../abi/signals.js'
import { bind, bindChecked, fcntl } from './libc.js'

/** `SigIgn SigBlk NOFILE`: two sets in hex as /proc/self/status has them, and a soft limit as ulimit -Sn prints it. */
const VARIABLE = 'PMUFS_INHERITED'

/** Descriptors and settings as they were before Node started. */
export interface Inherited {
  readonly ignored: bigint
  readonly blocked: bigint
  /** Of open files, where it is known. */
  readonly softLimit: bigint | undefined
  readonly descriptors: readonly number[]
}

const RLIMIT_NOFILE = 7
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn
const F_SETFD = 2
const F_GETFL = 3
const F_SETFL = 4
const SIG_SETMASK = 2
const SIG_DFL = 0
const SIG_IGN = 1
const LAST_SIGNAL = 64
const SIGSET_SIZE = 128

const signal = bind('signal', 'void *', ['int', 'void *'])
const sigprocmask = bindChecked('sigprocmask', ['int', 'void *', 'void *'])
const getrlimit = bindChecked('getrlimit', ['int', 'void *'])
const setrlimit = bindChecked('setrlimit', ['int', 'void *'])

const limitOf = (text: string): bigint => (text === 'unlimited' ? RLIM_INFINITY : BigInt(text))

function parentLimit(): bigint | undefined {
  try {
    const limits = readFileSync(`/proc/${process.ppid}/limits`, 'latin1')
    const [, soft] = /^Max open files +(\S+)/m.exec(limits) ?? []
    return soft === undefined ? undefined : limitOf(soft)
  } catch {
    return undefined
  }
}

/** What Node opens for itself: its event loops, and pipes of which it has both ends. */
function isNodesOwn(link: string, links: readonly string[]): boolean {
  return (
    /^anon_inode:\[(eventpoll|eventfd|io_uring)\]$/.test(link) ||
    (link.startsWith('pipe:') && links.filter(other => other === link).length > 1)
  )
}

/**
 * The descriptors that were there before Node's own, by what they lead to; below the first of Node's every one is
 * inherited, as descriptors are handed out from the lowest free number.
 */
export function inheritedAmong(descriptors: ReadonlyMap<number, string>): number[] {
  const links = [...descriptors.values()]
  const own = [...descriptors].filter(([, link]) => link === 'anon_inode:[eventpoll]').map(([fd]) => fd)
  const firstOwn = Math.min(...own)
  return [...descriptors].filter(([fd, link]) => fd < firstOwn || !isNodesOwn(link, links)).map(([fd]) => fd)
}

function openDescriptors(): Map<number, string> {
  const found = new Map<number, string>()
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      found.set(Number(name), readlinkSync(`/proc/self/fd/${name}`))
    } catch {
      // It was the listing's own.
    }
  }
  return found
}

/** Takes note of what was inherited. To be called before this program opens anything that stays open. */
export function takeInherited(): Inherited {
  const [ignored = '0', blocked = '0', limit] = (process.env[VARIABLE] ?? '').split(' ').filter(Boolean)
  delete process.env[VARIABLE]
  return {
    ignored: BigInt(`0x${ignored}`),
    blocked: BigInt(`0x${blocked}`),
    softLimit: limit === undefined ? parentLimit() : limitOf(limit),
    descriptors: inheritedAmong(openDescriptors()),
  }
}

function restoreDispositions(ignored: bigint, keep: readonly number[]): void {
  for (let number = 1; number <= LAST_SIGNAL; number++) {
    if (keep.includes(number)) continue
    const isIgnored = ((ignored >> BigInt(number - 1)) & 1n) === 1n
    // The few that belong to libc are refused, and stay as they are.
    signal(number, isIgnored ? SIG_IGN : SIG_DFL)
  }
}

/**
 * Gives up Node's handlers, but for what it needs itself: a child's end, and a write that nobody reads. Its handler
 * of SIGINT and SIGTERM runs in any thread and raises the signal anew there: it would be lost with that thread if
 * the command took this program's place meanwhile.
 */
export const restoreDefaults = ({ ignored }: Inherited): void =>
  restoreDispositions(ignored, [SIGKILL, SIGSTOP, SIGPIPE, SIGCHLD])

function restoreSignals(ignored: bigint, blocked: bigint): void {
  restoreDispositions(ignored, [SIGKILL, SIGSTOP])
  const set = new Uint8Array(SIGSET_SIZE)
  new DataView(set.buffer).setBigUint64(0, blocked, true)
  sigprocmask(SIG_SETMASK, set, null)
}

function restoreLimit(softLimit: bigint): void {
  const limit = new BigUint64Array(2)
  getrlimit(RLIMIT_NOFILE, limit)
  const [, hard = RLIM_INFINITY] = limit
  limit[0] = softLimit < hard ? softLimit : hard
  setrlimit(RLIMIT_NOFILE, limit)
}

/** Node marked them close-on-exec; nothing that a program inherits is. */
function restoreDescriptors(descriptors: readonly number[]): void {
  for (const fd of descriptors) fcntl(fd, F_SETFD, 0)
}

/** Node makes standard streams that are pipes or sockets non-blocking, for all who share them, once it used them. */
function restoreBlocking(): void {
  for (const fd of [0, 1, 2]) {
    const stat = fstatSync(fd)
    if (stat.isFIFO() || stat.isSocket()) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK)
  }
}

/** Puts it all back, as the last thing before another program takes this one's place. */
export function restoreInherited({ ignored, blocked, softLimit, descriptors }: Inherited): void {
  restoreDescriptors(descriptors)
  restoreBlocking()
  if (softLimit !== undefined) restoreLimit(softLimit)
  restoreSignals(ignored, blocked)
}
