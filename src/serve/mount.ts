/** A mount that a program serves: what src/pmufs.ts exports, loaded when it is called. */
import { log } from '../log.js'
import { SCAN_INTERVAL_MS } from '../sources/defaults.js'
import type { ToMain } from '../sources/messages.js'
import type { CoreOptions } from './core-options.js'
import { MAX_HANDLES } from './defaults.js'
import { findTracepoints } from './find-tracepoints.js'
import { Guests } from './guests.js'
import type { KvmOptions, Mounted, MountOptions } from './mount-options.js'
import { mountpoint } from './mountpoint.js'
import { portable } from './own-modules.js'
import { serveDirect } from './serve-direct.js'
import type { Served } from './served.js'
import { thisUser } from './this-user.js'

function report(message: string): void {
  process.stderr.write(`pmufs: ${message}\n`)
}

/** Guests of this machine are looked for where a source of the command's is asked for. */
function guestsOf({ source, qmp = [], fetchTimeout }: KvmOptions, onReport: (message: string) => void) {
  if (source === undefined) return { tracepoints: undefined, guests: undefined }
  const tracepoints = findTracepoints(source)
  return {
    tracepoints,
    guests: new Guests({ source, qmp, fetchTimeout, demoIfNone: false }, tracepoints, onReport),
  }
}

/** What the core asks where nobody looks for guests in this thread. */
function answerAlone(served: () => Served | undefined): (message: ToMain) => void {
  return ({ kind, ticket }) => {
    if (kind === 'scan') served()?.deliver({ kind: 'scanned', ticket })
  }
}

/** Asks the program's sources once in a while; the returned function ends it. */
function lookFromTimeToTime(served: Served): () => void {
  const timer = setInterval(() => served.deliver({ kind: 'look' }), SCAN_INTERVAL_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** The parts of a mount besides what serves it. */
interface Parts {
  readonly guests: Guests | undefined
  /** Whether sources of the program are to be asked. */
  readonly isLooking: boolean
  readonly onReport: (message: string) => void
}

async function follow(served: Served, { guests, isLooking }: Parts): Promise<void> {
  const stopLooking = isLooking ? lookFromTimeToTime(served) : () => undefined
  try {
    await served.ended
  } finally {
    stopLooking()
    await guests?.stop()
  }
}

function mounted(dir: string, served: Served, parts: Parts): Mounted {
  const ended = follow(served, parts)
  // Told here, so that a program that does not wait for the end is not ended by it.
  ended.catch((error: unknown) => {
    log.cli('%O', error)
    const reason = error instanceof Error ? error.message : String(error)
    parts.onReport(`the server of "${dir}" has ended: ${reason}`)
  })
  const unmount = async (): Promise<void> => {
    await served.stop()
    await ended.catch(() => undefined)
  }
  return { dir, ended, unmount, [Symbol.asyncDispose]: unmount }
}

const kvmOptionsOf = ({ kvm = false }: MountOptions): KvmOptions => (typeof kvm === 'boolean' ? {} : kvm)

function coreOptionsOf(options: MountOptions, tracepoints: CoreOptions['tracepoints']): CoreOptions {
  const { kvm = false, allowOther = false, maxHandles = MAX_HANDLES } = options
  return {
    owner: thisUser(),
    allowOther,
    strict: kvmOptionsOf(options).strict === true,
    kvm: kvm !== false,
    tracepoints,
    maxHandles,
  }
}

/** See {@link mount} in src/pmufs.ts. */
export async function mount(options: MountOptions): Promise<Mounted> {
  const { pmus = [], onReport = report } = options
  const { sources = [], ...kvm } = kvmOptionsOf(options)
  const own = { pmus: portable(pmus), sources: portable(sources) }
  const dir = await mountpoint(options.dir)
  const { guests, tracepoints } = guestsOf(kvm, onReport)
  await guests?.start()
  let served: Served | undefined
  try {
    served = await serveDirect({
      dir,
      own,
      options: coreOptionsOf(options, tracepoints),
      firstMessages: guests?.takeMessages() ?? [],
      onMessage: guests ? message => guests.receive(message) : answerAlone(() => served),
      onReport,
    })
  } catch (error) {
    await guests?.stop()
    throw error
  }
  guests?.follow(served)
  return mounted(dir, served, { guests, isLooking: sources.length > 0, onReport })
}
