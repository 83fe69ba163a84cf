/**
 * A QMP client: one connection, commands with ids, answers matched to them. What happens in between (events) is
 * passed over. @see docs/interop/qmp-spec.rst of QEMU
 *
 * A line that is not QMP ends the connection. An answer may come after its command was given up: it is passed over.
 */
import { ErrnoError, errnoOf } from '../../abi/errno.js'
import { log } from '../../log.js'
import type { Timers } from '../timers.js'
import type { QmpConnect, QmpConnection } from './connection.js'
import { parseExact } from './json.js'
import { Lines } from './lines.js'
import { checked, greeting, message } from './schemas.js'

/** How to reach a server, and how patiently. */
export interface QmpAddress {
  readonly path: string
  readonly connect: QmpConnect
  readonly timers: Timers
  /** How long it may take to answer, once it has said hello. */
  readonly timeoutMs: number
  /**
   * Called once when no greeting has come in time, with EBUSY. The connection waits on: one that is given up stays in
   * the server's queue until it is accepted, and each new one would take one more of the few places there.
   */
  readonly onSilent: (reason: ErrnoError) => void
  /** Gives the connection up while it waits for the greeting. */
  readonly signal: AbortSignal
}

/** A command's arguments and how long to wait for its answer (without: for as long as the connection lives). */
export interface ExecuteOptions {
  readonly arguments?: Record<string, unknown>
  readonly timeoutMs?: number
}

/** QEMU refused a command. */
export class QmpError extends ErrnoError {
  /** `CommandNotFound`, `GenericError` ... */
  readonly errorClass: string

  constructor(command: string, errorClass: string, description: string) {
    super('EPROTO', `QEMU refused ${command}: ${description}`)
    this.name = 'QmpError'
    this.errorClass = errorClass
  }
}

/** A server that is there says hello as soon as it runs; another client's keeps the next one waiting. */
export const GREETING_MS = 3000

interface Pending {
  readonly command: string
  resolve(answer: unknown): void
  reject(error: Error): void
}

export class QmpClient {
  readonly #path: string
  readonly #timers: Timers
  readonly #connection: QmpConnection
  readonly #lines = new Lines()
  readonly #pending = new Map<number, Pending>()
  #onClosed: () => void = () => {}
  /** Takes the greeting; undefined once it was there. */
  #greeted: ((error?: Error) => void) | undefined
  #lastId = 0
  #isClosed = false

  private constructor({ path, connect, timers }: QmpAddress, greeted: (error?: Error) => void) {
    this.#path = path
    this.#timers = timers
    this.#greeted = greeted
    this.#connection = connect(path, {
      data: bytes => this.#receive(bytes),
      closed: error => this.#end(this.#closedError(error)),
    })
  }

  /**
   * Connects and negotiates; waits for a server that has another client.
   *
   * @throws {ErrnoError} EBUSY when no more clients may wait for it; ENOENT, ECONNREFUSED, EACCES when there is no
   * server; EPROTO when it is no QMP server; ETIMEDOUT when it says no more than hello; ECONNRESET when it hangs up,
   * or the wait is given up
   */
  static async open(address: QmpAddress): Promise<QmpClient> {
    const client = await QmpClient.#waitForGreeting(address)
    try {
      await client.execute('qmp_capabilities', { timeoutMs: address.timeoutMs })
    } catch (error) {
      client.close()
      throw error
    }
    return client
  }

  static #waitForGreeting(address: QmpAddress): Promise<QmpClient> {
    const { path, timers, signal, onSilent } = address
    return new Promise((resolve, reject) => {
      const client: QmpClient = new QmpClient(address, error => {
        stop()
        signal.removeEventListener('abort', giveUp)
        if (error) reject(error)
        else resolve(client)
      })
      const giveUp = (): void => client.close()
      const why = `gave no greeting within ${GREETING_MS / 1000} s`
      const stop = timers.after(GREETING_MS, () => onSilent(inUse(path, why)))
      signal.addEventListener('abort', giveUp)
    })
  }

  /**
   * Runs a command and gives its answer.
   *
   * @throws {QmpError} when QEMU refuses it
   * @throws {ErrnoError} ETIMEDOUT when no answer comes in time; ECONNRESET when the connection ends; EPROTO when
   * what comes is not QMP
   */
  execute(command: string, options: ExecuteOptions = {}): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(this.#closedError())
    this.#lastId += 1
    const id = this.#lastId
    const answer = new Promise<unknown>((resolve, reject) => {
      const stop = this.#deadline(id, command, options.timeoutMs)
      const settled = () => {
        stop()
        this.#pending.delete(id)
      }
      this.#pending.set(id, {
        command,
        resolve: value => {
          settled()
          resolve(value)
        },
        reject: error => {
          settled()
          reject(error)
        },
      })
    })
    const request = { execute: command, ...(options.arguments && { arguments: options.arguments }), id }
    this.#connection.send(`${JSON.stringify(request)}\n`)
    return answer
  }

  /** Has `action` called when the connection ends, by either side; at once where it has ended. */
  onClosed(action: () => void): void {
    if (this.#isClosed) action()
    else this.#onClosed = action
  }

  /** Ends the connection; commands under way fail with ECONNRESET. */
  close(): void {
    this.#end(this.#closedError())
  }

  #deadline(id: number, command: string, ms: number | undefined): () => void {
    if (ms === undefined) return () => {}
    return this.#timers.after(ms, () => {
      const error = new ErrnoError('ETIMEDOUT', `No answer to ${command} on "${this.#path}" within ${ms} ms`)
      this.#pending.get(id)?.reject(error)
    })
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isClosed) return
    try {
      for (const line of this.#lines.push(bytes)) if (line !== '') this.#take(parseExact(line))
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error)
      this.#end(new ErrnoError('EPROTO', `"${this.#path}" does not speak QMP: ${what}`, { cause: error }))
    }
  }

  #take(line: unknown): void {
    if (this.#greeted) {
      checked(greeting, line, 'greeting')
      this.#greeted()
      this.#greeted = undefined
      return
    }
    const said = checked(message, line, 'message')
    if ('event' in said) return
    const pending = this.#pending.get(said.id ?? -1)
    if ('return' in said) pending?.resolve(said.return)
    else pending?.reject(new QmpError(pending.command, said.error.class, said.error.desc))
  }

  #closedError(cause?: Error): ErrnoError {
    const code = cause ? errnoOf(cause) : 'ECONNRESET'
    // connect(2) of a UNIX socket that does not block, where as many wait as the server allows.
    if (code === 'EAGAIN') return inUse(this.#path, 'lets no more clients wait', cause)
    const why = cause ? `: ${cause.message}` : ''
    const what = this.#greeted ? `No QMP server at "${this.#path}"` : `The guest at "${this.#path}" hung up`
    return new ErrnoError(code, `${what}${why}`, { cause })
  }

  #end(error: Error): void {
    if (this.#isClosed) return
    this.#isClosed = true
    log.sources('%s', error.message)
    this.#connection.close()
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#greeted?.(error)
    this.#greeted = undefined
    this.#onClosed()
  }
}

const inUse = (path: string, why: string, cause?: Error): ErrnoError =>
  new ErrnoError('EBUSY', `"${path}" ${why}: a QMP socket serves one client, and another has it`, { cause })
