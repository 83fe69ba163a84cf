/** How a trapped call ends. A caller that died meanwhile gets none. */
import type { ErrnoName } from '../abi/errno.js'

/** What to answer to a trapped call. */
export type Outcome =
  /** The kernel runs the call as it stands: not a call of ours, or one that the kernel refuses by itself. */
  | { readonly kind: 'resume' }
  | { readonly kind: 'refuse'; readonly code: ErrnoName }
  | { readonly kind: 'complete'; readonly value: number }
  /** The caller gets a copy of `fd`; ours is closed in any case. */
  | { readonly kind: 'inject'; readonly fd: number; readonly isCloseOnExec: boolean }
  | { readonly kind: 'gone' }

export const resume: Outcome = { kind: 'resume' }
export const gone: Outcome = { kind: 'gone' }
export const refuse = (code: ErrnoName): Outcome => ({ kind: 'refuse', code })
export const complete = (value: number): Outcome => ({ kind: 'complete', value })
