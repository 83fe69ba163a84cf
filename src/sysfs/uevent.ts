/**
 * What may be written to a `uevent` file. Counterpart: kobject_synth_uevent() in lib/kobject_uevent.c.
 *
 * What is accepted has no effect: only the kernel can send a uevent from the kernel.
 */
import { ErrnoError } from '../abi/errno.js'

const actions = 'add|remove|change|move|online|offline|bind|unbind'
const uuid = '[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}'
const alnum = '[0-9A-Za-z]+'
// One trailing newline or NUL is cut before anything is looked at: the one place where NUL ends nothing.
const syntheticUevent = new RegExp(`^(?:${actions})(?: ${uuid}(?: ${alnum}=${alnum})*)?[\\n\\0]?$`)

/**
 * Judges a write to a `uevent` file as the kernel does.
 *
 * @throws {ErrnoError} EINVAL when it is not `ACTION [UUID [KEY=VALUE ...]]`
 */
export function storeUevent(text: string): void {
  if (!syntheticUevent.test(text))
    throw new ErrnoError('EINVAL', `A uevent is "ACTION [UUID [KEY=VALUE ...]]", ACTION one of ${actions}`)
}
