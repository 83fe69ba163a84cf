/**
 * Replies and notifications, encoded in place into one buffer that is used again for each of them: a message is
 * complete and sent before the next one begins. Counterpart: struct fuse_out_header and what follows it.
 */
import { type ErrnoName, errnoNumber } from '../abi/errno.js'
import { fuse_ioctl_out, fuse_out_header } from '../abi/fuse.js'
import type { Field, Struct, Values } from '../abi/struct.js'

/** How the body of a successful reply is written. */
export interface Output<Value = unknown> {
  /** Its name in the debug print. */
  readonly name: string
  size(value: Value): number
  write(value: Value, into: Uint8Array, at: number): void
}

/** A body that is one structure; fields left out are zero. */
export function body<F extends Record<string, Field<unknown>>>(
  layout: Struct<F>,
): Output<Partial<Values<F>>> {
  return {
    name: layout.name,
    size: () => layout.size,
    write: (value, into, at) => {
      layout.encode(value, into, at)
    },
  }
}

/** A body of bytes, as READ has it. */
export const bytes: Output<Uint8Array> = {
  name: 'bytes',
  size: value => value.length,
  write: (value, into, at) => into.set(value, at),
}

/** No body: the header says it all. */
export const nothing: Output<void> = { name: 'nothing', size: () => 0, write: () => {} }

/** What an ioctl gives: its result and what is copied back to the caller. */
export interface IoctlBody {
  readonly result: number
  readonly output: Uint8Array
}

/** The body of an IOCTL reply: a structure with bytes behind it. */
export const ioctlBody: Output<IoctlBody> = {
  name: fuse_ioctl_out.name,
  size: ({ output }) => fuse_ioctl_out.size + output.length,
  write: ({ result, output }, into, at) => {
    fuse_ioctl_out.encode({ result }, into, at)
    into.set(output, at + fuse_ioctl_out.size)
  },
}

const HEADER = fuse_out_header.size
/** Room for an attribute or a listing's part; grows to the largest reply that was asked for. */
const FIRST_ROOM = 64 * 1024

/** Writes messages to the kernel. */
export class ReplyWriter {
  readonly #send: (message: Uint8Array) => boolean
  #buffer = new Uint8Array(FIRST_ROOM)

  /** @param send takes one message; returns false where the kernel no longer waits for it */
  constructor(send: (message: Uint8Array) => boolean) {
    this.#send = send
  }

  /** Answers a request with a body. */
  ok<Value>(unique: bigint, output: Output<Value>, value: Value): boolean {
    const size = output.size(value)
    this.#reserve(size)
    output.write(value, this.#buffer, HEADER)
    return this.#finish(unique, 0, size)
  }

  /** Answers a request with an error. */
  error(unique: bigint, code: ErrnoName): boolean {
    return this.#finish(unique, -errnoNumber(code), 0)
  }

  /** Sends a notification: unique 0, its code where an error would stand. */
  notify<F extends Record<string, Field<unknown>>>(
    code: number,
    layout: Struct<F>,
    values: Partial<Values<F>>,
  ): boolean {
    layout.encode(values, this.#buffer, HEADER)
    return this.#finish(0n, code, layout.size)
  }

  #reserve(size: number): void {
    if (HEADER + size > this.#buffer.length) this.#buffer = new Uint8Array(HEADER + size)
  }

  #finish(unique: bigint, error: number, size: number): boolean {
    const len = HEADER + size
    fuse_out_header.encode({ len, error, unique }, this.#buffer)
    return this.#send(this.#buffer.subarray(0, len))
  }
}
