/**
 * The requests that `control`, a handle's `attr` and `perf_event_open` take: one JSON object each, the fields of
 * perf_event_attr by their kernel names beside the other arguments of perf_event_open(2).
 *
 * Parsing looks at the text alone; names of PMUs and events are resolved against what is registered (resolve.ts).
 */
import { ErrnoError, orThrow } from '../abi/errno.js'
import { integerFromJson, openFlagsFromJson, S32_RANGE, U64_RANGE } from '../abi/perf-event-json.js'
import { PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE } from '../abi/prctl.js'

/** A request to open an event. Fields of the attr are still as JSON has them. */
export interface OpenRequest {
  readonly op: 'open'
  readonly attr: Readonly<Record<string, unknown>>
  /** A perf_event_attr as it lies in a caller's memory, instead of `attr`. */
  readonly attrBytes?: Uint8Array
  readonly pid: number
  readonly cpu: number
  /** A handle's id, or -1. */
  readonly groupFd: number
  /** Instead of a handle's id, the inode number of an event's descriptor. */
  readonly groupInode?: bigint
  readonly flags: bigint
  /** The thread that the request is made for. */
  readonly callerTid?: number
}

/** A request to close a handle, by its id or name. */
export interface CloseRequest {
  readonly op: 'close'
  readonly handle: string
}

/** A request to switch every event that a thread has opened, as prctl(2) does: exec makes it. */
export interface PrctlRequest {
  readonly op: 'prctl'
  readonly isEnable: boolean
  /** The thread that has called prctl(2). */
  readonly callerTid: number
}

/** The fields that stand beside those of perf_event_attr. */
export const argumentNames = [
  'op',
  'handle',
  'pid',
  'cpu',
  'group_fd',
  'group_ino',
  'flags',
  'caller',
  'attr_bytes',
  'option',
] as const

type Arguments = Readonly<Partial<Record<(typeof argumentNames)[number], unknown>>>

const invalid = (message: string): ErrnoError => new ErrnoError('EINVAL', message)

function parseObject(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(
      `Cannot read the request as JSON: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('The request must be a JSON object, as in {"type":"kvm","config":"exits","pid":4711}')
  return value as Record<string, unknown>
}

const integer = (name: string, value: unknown, range = S32_RANGE): number =>
  Number(orThrow(integerFromJson(name, value, range)))

function parseBytes(value: unknown): Uint8Array {
  if (typeof value !== 'string' || !/^(?:[0-9a-fA-F]{2})*$/.test(value))
    throw invalid('"attr_bytes" must be a string of hexadecimal byte pairs')
  return Buffer.from(value, 'hex')
}

/** Throws where there are fields beside `op` and those that a request takes. */
function checkAlone(given: Arguments, attr: object, fields: readonly string[], example: string): void {
  const others = [...Object.keys(given), ...Object.keys(attr)].filter(
    name => name !== 'op' && !fields.includes(name),
  )
  if (others.length > 0)
    throw invalid(`Cannot ${String(given.op)} with a field "${others[0]}": ${example} is all it takes`)
}

function parseClose(given: Arguments, attr: object): CloseRequest {
  const { handle } = given
  checkAlone(given, attr, ['handle'], '{"op":"close","handle":7}')
  if (typeof handle === 'number' && Number.isSafeInteger(handle))
    return { op: 'close', handle: String(handle) }
  if (typeof handle === 'string' && handle !== '') return { op: 'close', handle }
  throw invalid('"handle" must be the id or the name of a handle')
}

function parsePrctl(given: Arguments, attr: object): PrctlRequest {
  checkAlone(given, attr, ['option', 'caller'], '{"op":"prctl","option":31,"caller":4711}')
  const option = integer('option', given.option)
  if (option !== PR_TASK_PERF_EVENTS_ENABLE && option !== PR_TASK_PERF_EVENTS_DISABLE)
    throw invalid(
      `"option" is ${option}: PR_TASK_PERF_EVENTS_DISABLE (31) and PR_TASK_PERF_EVENTS_ENABLE (32) are known`,
    )
  return {
    op: 'prctl',
    isEnable: option === PR_TASK_PERF_EVENTS_ENABLE,
    callerTid: integer('caller', given.caller),
  }
}

/** Throws where fields are missing or contradict each other. */
function checkTogether(given: Arguments, attr: object): void {
  if (given.option !== undefined) throw invalid('"option" belongs to {"op":"prctl"}')
  if (given.handle !== undefined)
    throw invalid('"handle" belongs to {"op":"close"}: a new handle gets its id itself')
  if (given.pid === undefined) throw invalid('"pid" is missing: the id of the thread to count')
  if (given.attr_bytes !== undefined && Object.keys(attr).length > 0)
    throw invalid('"attr_bytes" stands for the whole perf_event_attr: leave its other fields out')
  if (given.group_fd !== undefined && given.group_ino !== undefined)
    throw invalid('"group_fd" and "group_ino" both name the group leader: give one of them')
}

function parseOpen(given: Arguments, attr: Record<string, unknown>): OpenRequest {
  checkTogether(given, attr)
  const flags = given.flags === undefined ? 0n : openFlagsFromJson(given.flags)
  return {
    op: 'open',
    attr,
    pid: integer('pid', given.pid),
    cpu: given.cpu === undefined ? -1 : integer('cpu', given.cpu),
    groupFd: given.group_fd === undefined ? -1 : integer('group_fd', given.group_fd),
    flags: orThrow<bigint>(flags),
    ...(given.attr_bytes !== undefined && { attrBytes: parseBytes(given.attr_bytes) }),
    ...(given.group_ino !== undefined && {
      groupInode: orThrow<bigint>(integerFromJson('group_ino', given.group_ino, U64_RANGE)),
    }),
    ...(given.caller !== undefined && { callerTid: integer('caller', given.caller) }),
  }
}

/**
 * Reads one request.
 *
 * @throws {ErrnoError} EINVAL, saying which field is wrong and what is wanted
 */
export function parseRequest(text: string): OpenRequest | CloseRequest | PrctlRequest {
  const isArgument = new Set<string>(argumentNames)
  const fields = Object.entries(parseObject(text))
  // Not by assignment: "__proto__" must stay a field, to be refused like any that is unknown.
  const given: Arguments = Object.fromEntries(fields.filter(([name]) => isArgument.has(name)))
  const attr = Object.fromEntries(fields.filter(([name]) => !isArgument.has(name)))
  const { op = 'open' } = given
  if (op === 'open') return parseOpen(given, attr)
  if (op === 'close') return parseClose(given, attr)
  if (op === 'prctl') return parsePrctl(given, attr)
  throw invalid(`Unknown "op" ${JSON.stringify(op)}: "open", "close" and "prctl" are known`)
}
