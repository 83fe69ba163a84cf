/**
 * An open file that takes requests and gives answers: each write that is not blank is one request, and reading gives the
 * answer to the last one, once. Offsets mean nothing: a shell's `echo >&3; read <&3` shares one position between both.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError, errnoOf } from '../abi/errno.js'
import { chain, Later, type MaybeLater } from '../kernfs/later.js'
import type { OpenFile } from '../kernfs/node.js'

/** The longest request, in bytes. */
export const MAX_REQUEST = 65_536

/** What a request gives back, as one line of JSON. */
export type Answer = Readonly<Record<string, unknown>>

/** The answer to a request that was refused. */
export function refusal(error: unknown): Answer {
  const code = errnoOf(error)
  return { errno: code, error: error instanceof Error ? error.message : String(error) }
}

/** Throws EFBIG where a request is too long. */
export function checkLength(data: Uint8Array): void {
  if (data.length > MAX_REQUEST)
    throw new ErrnoError(
      'EFBIG',
      `Cannot take the request: a request is one write(2) of at most ${MAX_REQUEST} bytes`,
    )
}

/** Whether it asks nothing: many programs write a text and its newline one after the other. */
export const isBlank = (data: Uint8Array): boolean =>
  data.length <= MAX_REQUEST && data.every(byte => String.fromCharCode(byte).trim() === '')

/** Runs a request and tells both outcomes apart without losing where it is parked. */
export function settle<T>(run: () => MaybeLater<T>, onError: (error: unknown) => void): MaybeLater<T> {
  const failed = (error: unknown): never => {
    onError(error)
    throw error
  }
  try {
    const result = run()
    return result instanceof Later ? result.recover(failed) : result
  } catch (error) {
    return failed(error)
  }
}

const asLine = (answer: Answer): Buffer => Buffer.from(`${JSON.stringify(answer)}\n`)

/** One open(2) of `control` or of a handle's `attr`. */
export class AnswerFile implements OpenFile {
  readonly isStream = false
  readonly #run: (text: string, caller: Caller) => MaybeLater<Answer>
  readonly #unasked: (() => Answer) | undefined
  #answer: Buffer | undefined

  /** @param unasked what reading gives before the first request; nothing where it is left out */
  constructor(run: (text: string, caller: Caller) => MaybeLater<Answer>, unasked?: () => Answer) {
    this.#run = run
    this.#unasked = unasked
  }

  read(_offset: number, size: number): Uint8Array {
    const answer = this.#answer ?? (this.#unasked ? asLine(this.#unasked()) : Buffer.alloc(0))
    const piece = answer.subarray(0, size)
    this.#answer = answer.subarray(piece.length)
    return piece
  }

  write(_offset: number, data: Uint8Array, caller: Caller): MaybeLater<number> {
    const { length } = data
    if (isBlank(data)) return length
    const answered = settle(
      () => {
        checkLength(data)
        return this.#run(Buffer.from(data).toString(), caller)
      },
      error => {
        this.#answer = asLine(refusal(error))
      },
    )
    return chain(answered, answer => {
      this.#answer = asLine(answer)
      return length
    })
  }

  release(): void {
    this.#answer = undefined
  }
}
