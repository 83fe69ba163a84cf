/** Both sides of the guests, joined as by a MessagePort: what is sent to the main thread arrives later. */
import { GuestsCore, type GuestsCoreOptions } from '../../../src/sources/guests-core.js'
import { type GuestsMachine, GuestsMain, type GuestsMainOptions } from '../../../src/sources/guests-main.js'
import type { ToCore } from '../../../src/sources/messages.js'

/** What is joined: the core's side, and the main thread's with its machine. */
export interface Sides {
  readonly core: Omit<GuestsCoreOptions, 'post'>
  readonly machine: GuestsMachine
  readonly options: GuestsMainOptions
}

/** Joins them until the test's end; `messages` are those that the core was sent. */
export function joinGuests(test: { teardown(end: () => void): void }, sides: Sides) {
  const messages: ToCore[] = []
  const core: GuestsCore = new GuestsCore({
    ...sides.core,
    post: message => queueMicrotask(() => main.receive(message)),
  })
  const main: GuestsMain = new GuestsMain(sides.machine, sides.options, message => {
    messages.push(message)
    core.receive(message)
  })
  test.teardown(() => main.stop())
  return { core, main, messages }
}
