/** What a system call ended with. */
import { ErrnoError } from '../../../src/abi/errno.js'

/** The errno's name that an operation fails with, or 'ok'. */
export function errno(operation: () => unknown): string {
  try {
    operation()
    return 'ok'
  } catch (error) {
    if (error instanceof ErrnoError) return error.code
    throw error
  }
}
