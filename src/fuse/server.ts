/**
 * The FUSE protocol over a tree, bytes in and bytes out: no device, no kernel.
 * Counterpart: fs/fuse/dev.c, from the other side.
 *
 * Every request that wants a reply gets exactly one, at once or, where its result comes later, when that settles.
 * Nothing that arrives makes receive() throw.
 */
import { ErrnoError, type ErrnoName, errnoOf, Failure } from '../abi/errno.js'
import { fuse_in_header } from '../abi/fuse.js'
import { Later } from '../kernfs/later.js'
import type { Directory } from '../kernfs/node.js'
import { log } from '../log.js'
import { type Admission, FuseConnection } from './connection.js'
import { type NamedOperation, operationOf } from './operations.js'
import { ReplyWriter } from './reply.js'
import { decodeRequest, type FuseInHeader } from './request.js'

/** What a server is told about its mount. */
export interface FuseServerOptions extends Admission {
  /** Sends one message to the kernel; false where nobody waits for it any more. Valid during the call only. */
  send(message: Uint8Array): boolean
  /** Is told of defects of this program: one message each, with the stack. */
  report(message: string): void
}

/** One request under way. */
interface Exchange {
  readonly operation: NamedOperation
  readonly header: FuseInHeader
}

/** Serves one tree on one connection. */
export class FuseServer {
  readonly #connection: FuseConnection
  readonly #replies: ReplyWriter
  readonly #options: FuseServerOptions
  #isClosed = false

  constructor(root: Directory, options: FuseServerOptions) {
    this.#options = options
    this.#replies = new ReplyWriter(message => this.#send(message))
    this.#connection = new FuseConnection(root, this.#replies, options)
  }

  /** What the kernel holds: nodes beside the root, open handles, requests that wait. */
  get held(): { readonly nodes: number; readonly handles: number; readonly parked: number } {
    const { nodes, handles, parked } = this.#connection
    return { nodes: nodes.size - 1, handles: handles.size, parked: parked.size }
  }

  /** Takes one request; `message` is not used after the return. Never throws. */
  receive(message: Uint8Array): void {
    if (message.length < fuse_in_header.size) {
      log.fuse('ignored: %d bytes, less than a header', message.length)
      return
    }
    const header = fuse_in_header.decode(message)
    const exchange: Exchange = { operation: operationOf(header.opcode), header }
    try {
      this.#run(exchange, message)
    } catch (error) {
      this.#fail(exchange, error)
    }
  }

  /** The mount is gone: parked requests are given up and every open file is released. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#connection.cancelParked()
    this.#connection.handles.releaseAll(error => this.#reportDefect('release', error))
  }

  #run(exchange: Exchange, message: Uint8Array): void {
    const { operation, header } = exchange
    // A reply to it would be a notification.
    if (header.unique === 0n && operation.output) return
    const request = decodeRequest(operation, header, message)
    if (operation.sender === 'anyone') this.#connection.enter(request.caller)
    const result = operation.handle(this.#connection, request)
    if (result instanceof Later) this.#park(exchange, result)
    else this.#answer(exchange, result)
  }

  #park(exchange: Exchange, later: Later<unknown>): void {
    const { parked } = this.#connection
    const { unique, pid } = exchange.header
    parked.set(unique, { later, tid: pid })
    later.done(
      value => {
        parked.delete(unique)
        this.#answer(exchange, value)
      },
      error => {
        parked.delete(unique)
        this.#fail(exchange, error)
      },
    )
  }

  #answer(exchange: Exchange, value: unknown): void {
    const { operation, header } = exchange
    if (value instanceof Failure) {
      this.#refuse(exchange, value.code, value.message)
      return
    }
    trace(exchange, operation.output?.name ?? 'done')
    if (!operation.output || this.#replies.ok(header.unique, operation.output, value)) return
    operation.undelivered?.(this.#connection, value)
  }

  #fail(exchange: Exchange, error: unknown): void {
    const code = errnoOf(error)
    if (code === 'EIO' && !(error instanceof ErrnoError)) this.#reportDefect(exchange.operation.name, error)
    this.#refuse(exchange, code, error instanceof Error ? error.message : String(error))
  }

  #refuse(exchange: Exchange, code: ErrnoName, message: string): void {
    trace(exchange, `${code}: ${message}`)
    if (exchange.operation.output) this.#replies.error(exchange.header.unique, code)
  }

  /** A message that the device refuses is this program's fault; its sender must not suffer twice. */
  #send(message: Uint8Array): boolean {
    try {
      return this.#options.send(message)
    } catch (error) {
      this.#reportDefect('reply', error)
      return false
    }
  }

  #reportDefect(what: string, error: unknown): void {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#options.report(`FUSE ${what} failed: ${detail}`)
  }
}

function trace({ operation, header }: Exchange, outcome: string): void {
  if (!log.fuse.enabled) return
  const { unique, nodeid, uid, pid } = header
  log.fuse('%s unique %s node %s uid %d tid %d -> %s', operation.name, unique, nodeid, uid, pid, outcome)
}
