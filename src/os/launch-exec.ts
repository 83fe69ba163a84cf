/** Puts another program in this process's place. See exec(3). */
import { readFileSync } from 'node:fs'
import { type ErrnoError, strerror } from '../abi/errno.js'
import { addressOf, bind, holding, lastError } from './libc.js'

// It searches PATH, and hands a script without an interpreter line to /bin/sh, as a shell would.
const execvp = bind('execvp', 'int', ['void *', 'void *'])

const terminated = (text: Uint8Array): Uint8Array => Buffer.concat([text, Buffer.of(0)])

/**
 * The last `count` arguments of this process, as bytes: an argument need not be UTF-8, and Node would replace what
 * is not.
 */
export function lastArguments(count: number): Uint8Array[] {
  const cmdline = readFileSync('/proc/self/cmdline')
  const found: Uint8Array[] = []
  for (let from = 0; from < cmdline.length; ) {
    const end = cmdline.indexOf(0, from)
    found.push(cmdline.subarray(from, end))
    from = end + 1
  }
  return found.slice(-count)
}

/** What could not be run, and the exit status that a shell gives for it. */
export class ExecError extends Error {
  override readonly name = 'ExecError'
  readonly exitStatus: number

  constructor(command: string, cause: ErrnoError) {
    super(`Cannot run "${command}": ${strerror(cause.code)}`, { cause })
    this.exitStatus = cause.code === 'ENOENT' ? 127 : 126
  }
}

/** Becomes the command. Returns only by throwing. */
export function become(command: readonly Uint8Array[]): never {
  const texts = command.map(terminated)
  const pointers = new BigUint64Array([...texts.map(addressOf), 0n])
  holding(texts, () => execvp(texts[0] ?? null, pointers))
  throw new ExecError(Buffer.from(command[0] ?? []).toString(), lastError('execvp'))
}
