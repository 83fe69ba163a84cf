/** How a command ends: exit status 0 done, 1 failed, 2 wrong usage; what failed is one line on standard error. */
import pc from 'picocolors'
import { printable } from './printable.js'

/** A failure that a person can act on: `message` says what, why and what to do. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

/** Prints one line about an error. The stack of a defect goes to the debug log only. */
export function report(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`${pc.red('pmufs:')} ${printable(message.replaceAll('\n', ' '))}\n`)
}
