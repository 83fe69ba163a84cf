/**
 * Which event a config selects. The `event` term alone selects it, save where there is one event for each reason: there
 * the `reason` term does. What is selected is the PMU's own: callbacks, or a description.
 */
import { Failure } from '../abi/errno.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import { eventIdText } from '../perf/attribute-files.js'

/** What an id selects: one thing, or one for each of its reasons; undefined for an id that is reserved but not there. */
export type Selectable<T extends object> = T | ReadonlyMap<number, T> | undefined

/** What an attr selects. */
export interface SelectedEvent<T> {
  /** The same for two attrs exactly if they select the same event. */
  readonly key: number
  /** For messages: `0x16`, or `0x2e, reason 0x2`. */
  readonly text: string
  readonly event: T
}

/** Whether an id stands for one event for each reason. */
export const hasReasons = <T extends object>(
  selectable: Selectable<T>,
): selectable is ReadonlyMap<number, T> => selectable instanceof Map

/** What an id selects once it has one event more, for a reason where there is one. */
export function withEvent<T extends object>(
  others: Selectable<T>,
  event: T,
  reason: number | undefined,
): Selectable<T> {
  if (reason === undefined) return event
  return new Map([...(hasReasons(others) ? others : []), [reason, event]])
}

const EVENT_BITS = 8
const EVENT_MASK = (1n << BigInt(EVENT_BITS)) - 1n
const REASON_SHIFT = 32n
const REASON_BITS = 32

/** Keys of events are below this. */
export const KEYS = 2 ** (EVENT_BITS + REASON_BITS)

/**
 * The event id that a config selects. The patch's mask, GENMASK_ULL(0, 7), has its arguments swapped and is 0, so that
 * every config would select event 0; `config:0-7` is what it meant. Bits outside it are ignored, as by its to_event().
 */
export const to_event = (config: bigint): number => Number(config & EVENT_MASK)

/** The reason that config1 selects. */
const to_reason = (config1: bigint): number => Number(config1 >> REASON_SHIFT)

/** A term was given that the event does not have: it would be counted as if the term had narrowed it. EINVAL. */
export const noEffect = (term: string, value: number, text: string): Failure =>
  new Failure('EINVAL', `${term} is ${value}, but event ${text} has none: leave the term "${term}" out`)

/** The event that an attr selects; EINVAL where there is none, or where a term has no effect on it. */
export function selectEvent<T extends object>(
  events: readonly Selectable<T>[],
  attr: perf_event_attr,
): SelectedEvent<T> | Failure {
  const event_id = to_event(attr.config)
  const event = events[event_id]
  const text = eventIdText(event_id)
  if (!event) return new Failure('EINVAL', `event ${text} is none of this PMU's; see its events/`)
  const reason = to_reason(attr.config1)
  if (!hasReasons(event))
    return reason === 0 ? { key: event_id, text, event } : noEffect('reason', reason, text)
  const ofReason = event.get(reason)
  const reasonText = `reason 0x${reason.toString(16)}`
  if (!ofReason) return new Failure('EINVAL', `event ${text} has no ${reasonText}; see the PMU's events/`)
  return { key: event_id + reason * 2 ** EVENT_BITS, text: `${text}, ${reasonText}`, event: ofReason }
}

/** Whether nothing that was selectable is gone or has become another. */
export function keepsAll<T extends object>(
  before: readonly Selectable<T>[],
  after: readonly Selectable<T>[],
): boolean {
  return before.every((event, id) => {
    const now = after[id]
    if (!hasReasons(event)) return event === undefined || event === now
    return hasReasons(now) && [...event].every(([reason, one]) => now.get(reason) === one)
  })
}
