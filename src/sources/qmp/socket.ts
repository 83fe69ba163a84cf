/**
 * One QMP socket that was named: gets its guest, keeps it, and says what is the matter where there is none.
 *
 * Where somebody else is served, one connection waits in the background until its turn comes; no look waits for it.
 * Where not even that is possible, what answers is of no use, or a guest hangs up as soon as it is counted, it is tried
 * again, ever more seldom. One whose guest is not to be counted here is left to others until that process is gone.
 */
import { ErrnoError, errnoOf } from '../../abi/errno.js'
import type { ProcView } from '../discovery/proc-view.js'
import { startTimeOf } from '../discovery/process-scan.js'
import type { Timers } from '../timers.js'
import type { Problem, Uncounted } from '../uncounted.js'
import { QmpClient } from './client.js'
import type { QmpConnect } from './connection.js'
import { QmpGuest, UncountableGuest } from './guest.js'

/** What sockets need. */
export interface QmpSocketOptions {
  readonly connect: QmpConnect
  readonly view: ProcView
  readonly timers: Timers
  readonly timeoutMs: number
  /** Called when a guest has gone. */
  readonly onGone: () => void
}

/** A guest that is not asked for. */
interface Parked {
  readonly tgid: number | undefined
  readonly startTime: bigint | undefined
}

const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000
/** A guest that was there for less is not asked for at each look: it would come and go for ever. */
const SHORT_LIFE_MS = 5000

const remedies: Partial<Record<string, string>> = {
  ENOENT: 'give the path of a socket of `qemu -qmp unix:PATH,server=on,wait=off`',
  ECONNREFUSED: 'its QEMU is gone: start it again, or leave the socket out',
  EACCES: 'run pmufs as root or as the user of that QEMU',
  EBUSY: 'it is counted once that client ends; end it, or give QEMU one more -qmp socket',
}

const hangsUp: Problem = {
  reason: 'it ended the connection as soon as it was counted',
  remedy: 'nothing need be done where its QEMU has ended; otherwise see what closes the socket',
}

function problemOf(error: unknown): Problem {
  const reason = error instanceof Error ? error.message : String(error)
  const otherwise = 'look at it with `socat - UNIX-CONNECT:PATH`'
  return { reason, remedy: remedies[errnoOf(error)] ?? otherwise }
}

export class QmpSocket {
  readonly path: string
  readonly #options: QmpSocketOptions
  #guest: QmpGuest | undefined
  #uncounted: Uncounted | undefined
  #attempt: Promise<void> | undefined
  /** Settles when the attempt has ended, or its connection waits for somebody else's end. */
  #settled: Promise<void> = Promise.resolve()
  readonly #end = new AbortController()
  /** Whether a process is counted by other means, as the last look knew. */
  #isServed: (tgid: number) => boolean = () => false
  #parked: Parked | undefined
  /** The last attempt found nobody who answered. */
  #isMute = false
  #pauseMs = FIRST_PAUSE_MS
  #retryAt = 0
  #isClosed = false

  constructor(path: string, options: QmpSocketOptions) {
    this.path = path
    this.#options = options
  }

  /** The guest that is counted through this socket. */
  get guest(): QmpGuest | undefined {
    return this.#guest
  }

  /** Why there is none. */
  get uncounted(): Uncounted | undefined {
    return this.#uncounted
  }

  /**
   * Looks for the guest, or for its vCPUs where there is one. Does not wait for a socket that was mute.
   *
   * @param isServed whether a process is counted by other means
   */
  async look(isServed: (tgid: number) => boolean): Promise<void> {
    this.#isServed = isServed
    if (this.#guest) return this.#guest.refresh()
    if (this.#isClosed || this.#isParked(isServed) || this.#options.timers.now() < this.#retryAt) return
    if (!this.#attempt) this.#begin()
    if (!this.#isMute) await this.#settled
  }

  /** Ends the connection. */
  close(): void {
    this.#isClosed = true
    this.#end.abort()
    this.#guest?.close()
    this.#guest = undefined
  }

  #isParked(isServed: (tgid: number) => boolean): boolean {
    if (!this.#parked) return false
    const { tgid, startTime } = this.#parked
    const isThere = tgid !== undefined && startTimeOf(this.#options.view, tgid) === startTime
    // One that was served by other means, and is not any more, is asked for again.
    if (isThere && (this.#uncounted || isServed(tgid))) return true
    this.#parked = undefined
    return false
  }

  #begin(): void {
    this.#settled = new Promise(settle => {
      this.#attempt = this.#try(settle).finally(() => {
        this.#attempt = undefined
        settle()
      })
    })
  }

  /** @param onSilent called when the connection waits for somebody else's end */
  async #try(onSilent: () => void): Promise<void> {
    const { connect, view, timers, timeoutMs } = this.#options
    const { path } = this
    let client: QmpClient | undefined
    const silent = (reason: ErrnoError): void => {
      this.#uncounted = { socket: path, ...problemOf(reason) }
      this.#isMute = true
      onSilent()
    }
    try {
      const { signal } = this.#end
      client = await QmpClient.open({ path, connect, timers, timeoutMs, signal, onSilent: silent })
      const guest = await QmpGuest.describe({ client, view, timers, timeoutMs, path })
      this.#isMute = false
      this.#uncounted = undefined
      if (!this.#isClosed && !this.#isServed(guest.tgid)) return this.#keep(guest, client)
      this.#pauseMs = FIRST_PAUSE_MS
      this.#parked = { tgid: guest.tgid, startTime: guest.startTime }
    } catch (error) {
      this.#fail(error)
    }
    client?.close()
  }

  #keep(guest: QmpGuest, client: QmpClient): void {
    const { timers } = this.#options
    const since = timers.now()
    this.#guest = guest
    client.onClosed(() => {
      guest.close()
      if (this.#guest !== guest) return
      this.#guest = undefined
      if (timers.now() - since < SHORT_LIFE_MS) this.#mistrust()
      else this.#pauseMs = FIRST_PAUSE_MS
      this.#options.onGone()
    })
  }

  #fail(error: unknown): void {
    if (error instanceof UncountableGuest) {
      const { tgid, guestName, problem } = error
      const startTime = tgid === undefined ? undefined : startTimeOf(this.#options.view, tgid)
      this.#parked = { tgid, startTime }
      const name = guestName === undefined ? {} : { name: guestName }
      this.#uncounted = { socket: this.path, ...(tgid === undefined ? {} : { tgid }), ...name, ...problem }
      if (tgid === undefined) this.#pause(LONGEST_PAUSE_MS)
      return
    }
    this.#uncounted = { socket: this.path, ...problemOf(error) }
    this.#isMute = error instanceof ErrnoError && ['EBUSY', 'ETIMEDOUT', 'EPROTO'].includes(error.code)
    if (this.#isMute) this.#pauseLonger()
  }

  #mistrust(): void {
    this.#pauseLonger()
    this.#uncounted = { socket: this.path, ...hangsUp }
  }

  #pauseLonger(): void {
    this.#pause(Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS))
  }

  #pause(ms: number): void {
    this.#pauseMs = ms
    this.#retryAt = this.#options.timers.now() + ms
  }
}
