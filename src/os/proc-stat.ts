/**
 * One thread as /proc shows it: /proc/TID/stat and /proc/TID/status. See proc_pid_stat(5), proc_pid_status(5).
 *
 * The folder of a thread that leads no process is not listed in /proc but can be opened, so that a thread id alone
 * is enough. Reading and parsing are apart: the parsers are pure.
 */
import { readFileSync } from 'node:fs'
import { errnoOf } from '../abi/errno.js'
import { rereadFile } from './reread-file.js'

/** What stat says of a thread. */
interface ThreadStat {
  /** `R`, `S` ...; `Z` and `X` have exited. */
  readonly state: string
  /** In clock ticks since boot: with the tid it is an identity. */
  readonly startTime: bigint
}

/** Fields 3 and 22; the command name in field 2 may hold spaces and parentheses, so the last one ends it. */
const STATE = 0
const STARTTIME = 19

/** Parses /proc/TID/stat. */
function parseStat(text: string): ThreadStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[STATE] ?? '', startTime: BigInt(fields[STARTTIME] ?? 0) }
}

/** Four ids of one kind, in the order of the status file. */
export interface Ids {
  readonly real: number
  readonly effective: number
  readonly saved: number
  readonly fs: number
}

/** What status says of a thread's process and rights. */
export interface ThreadStatus {
  readonly tgid: number
  readonly uid: Ids
  readonly gid: Ids
  readonly permitted: bigint
  readonly effective: bigint
  /** Sets of signals, bit 0 for signal 1; `pending` is of the thread and of its process. */
  readonly pending: bigint
  readonly blocked: bigint
  readonly ignored: bigint
}

function ids(text: string | undefined): Ids {
  const [real = NaN, effective = NaN, saved = NaN, fs = NaN] = (text ?? '').split('\t').map(Number)
  return { real, effective, saved, fs }
}

/** Parses /proc/TID/status. */
function parseStatus(text: string): ThreadStatus {
  const lines = new Map<string, string>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':\t')
    if (colon > 0) lines.set(line.slice(0, colon), line.slice(colon + 2))
  }
  const set = (name: string) => BigInt(`0x${lines.get(name) ?? '0'}`)
  return {
    tgid: Number(lines.get('Tgid')),
    uid: ids(lines.get('Uid')),
    gid: ids(lines.get('Gid')),
    permitted: set('CapPrm'),
    effective: set('CapEff'),
    pending: set('SigPnd') | set('ShdPnd'),
    blocked: set('SigBlk'),
    ignored: set('SigIgn'),
  }
}

/** Reads one file of a thread, or gives undefined where there is no such thread any more. */
function readThreadFile(tid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${tid}/${name}`, 'latin1')
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}

/** The stat of a thread, or undefined where there is none with this id. */
export function threadStat(tid: number): ThreadStat | undefined {
  const text = readThreadFile(tid, 'stat')
  return text === undefined ? undefined : parseStat(text)
}

/** The status of a thread, or undefined where there is none with this id. */
export function threadStatus(tid: number): ThreadStatus | undefined {
  const text = readThreadFile(tid, 'status')
  return text === undefined ? undefined : parseStatus(text)
}

/** Whether a thread in this state has exited, though it may still be listed. */
export const isExitState = (state: string): boolean => state === 'Z' || state === 'X' || state === 'x'

const uptime = rereadFile('/proc/uptime')

/** The start time that a thread would have which starts now: /proc/uptime has two decimals, a tick is 1/100 s. */
export const startTimeNow = (): bigint => BigInt((uptime().split(' ')[0] ?? '0').replace('.', ''))
