/** A QMP server in memory, that answers as a recorded dialogue does. */
import { readFileSync } from 'node:fs'
import type { QmpConnect, QmpHandlers } from '../../../src/sources/qmp/connection.js'

interface Request {
  readonly execute: string
  readonly id: number
  readonly arguments?: { readonly target?: string; readonly providers?: readonly { names?: string[] }[] }
}

/** A recorded dialogue: lines with "< " are QEMU's, with "> " the client's. */
export class Recording {
  readonly greeting: string
  /** What QEMU said to each command, up to its answer. */
  readonly answers = new Map<string, readonly string[]>()

  constructor(name: string) {
    const path = new URL(`../fixtures/${name}.qmp`, import.meta.url)
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    this.greeting = lines[0]?.slice(2) ?? ''
    let said: string[] = []
    for (const line of lines.slice(1)) {
      const text = line.slice(2)
      if (line.startsWith('> ')) {
        said = []
        // Of several recorded calls the last, which names no statistics, is the whole answer.
        this.answers.set(JSON.parse(text).execute, said)
      } else said.push(text)
    }
  }

  /** The threads of its vCPUs. */
  get threadIds(): number[] {
    return JSON.parse(this.answers.get('query-cpus-fast')?.[0] ?? '').return.map(
      (cpu: { 'thread-id': number }) => cpu['thread-id'],
    )
  }
}

export class FakeQemu {
  readonly recording: Recording
  /** Commands that came, oldest first. */
  readonly commands: string[] = []
  /** The same with their arguments. */
  readonly requests: Pick<Request, 'execute' | 'arguments'>[] = []
  /** Lines put in front of each answer. */
  interleaved: readonly string[] = []
  /** Answers to these commands wait for release(). */
  readonly held = new Set<string>()
  /** Other answers than the recorded ones. */
  readonly replaced = new Map<string, object>()
  isGreeting = true
  connections = 0
  #handlers: QmpHandlers | undefined
  #waiting: Request[] = []

  constructor(recording: Recording) {
    this.recording = recording
  }

  readonly connect: QmpConnect = (_path, handlers) => {
    this.connections += 1
    this.#handlers = handlers
    if (this.isGreeting) queueMicrotask(() => this.say(this.recording.greeting))
    return {
      send: text => this.#take(JSON.parse(text)),
      close: () => {
        if (this.#handlers === handlers) this.#handlers = undefined
      },
    }
  }

  get isConnected(): boolean {
    return this.#handlers !== undefined
  }

  /** Sends lines, in pieces that cut them anywhere. */
  say(...lines: readonly string[]): void {
    const bytes = Buffer.from(lines.map(line => `${line}\r\n`).join(''))
    for (let at = 0; at < bytes.length; at += 1000) this.#handlers?.data(bytes.subarray(at, at + 1000))
  }

  hangUp(error?: Error): void {
    const handlers = this.#handlers
    this.#handlers = undefined
    handlers?.closed(error)
  }

  /** Answers what was held back. */
  release(command: string): void {
    this.held.delete(command)
    const waiting = this.#waiting
    this.#waiting = []
    for (const request of waiting) this.#take(request, true)
  }

  #take(request: Request, isRepeated = false): void {
    if (!isRepeated) {
      this.commands.push(request.execute)
      this.requests.push(request)
    }
    if (this.held.has(request.execute)) this.#waiting.push(request)
    else queueMicrotask(() => this.say(...this.interleaved, ...this.#answer(request)))
  }

  #answer({ execute, id }: Request): string[] {
    const replaced = this.replaced.get(execute)
    if (replaced) return [JSON.stringify({ ...replaced, id })]
    const said = this.recording.answers.get(execute) ?? this.recording.answers.get('nope') ?? []
    return said.map(line => {
      const parsed = JSON.parse(line)
      return 'id' in parsed ? JSON.stringify({ ...parsed, id }) : line
    })
  }
}
