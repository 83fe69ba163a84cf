/** `pmufs mount`: checks the folder, finds the guests, serves until told to stop or unmounted. */
import { log } from '../log.js'
import { tellReady } from '../os/daemon.js'
import { findTracepoints } from '../serve/find-tracepoints.js'
import { Guests, type GuestsOptions } from '../serve/guests.js'
import { mountpoint } from '../serve/mountpoint.js'
import { serveDirect } from '../serve/serve-direct.js'
import type { Served } from '../serve/served.js'
import { thisUser } from '../serve/this-user.js'
import { daemonize } from './daemonize.js'
import { report } from './fail.js'
import { printable } from './printable.js'

/** The options of the command line. */
export interface MountOptions extends GuestsOptions {
  readonly daemon?: true
  readonly transport: 'direct' | 'libfuse'
  readonly allowOther?: true
  readonly strict?: true
  readonly kvm: boolean
  readonly maxHandles: number
}

/** Settles when a signal or a defect ends this process's work; a defect rejects. */
function interrupted(): Promise<void> {
  return new Promise((resolve, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve())
    process.on('uncaughtException', reject)
    process.on('unhandledRejection', reject)
  })
}

const transports = {
  direct: serveDirect,
  libfuse: async (...args: Parameters<typeof serveDirect>) =>
    (await import('../serve/serve-libfuse.js')).serveLibfuse(...args),
}

/** Stops the server; a thread of it that hangs would keep this process from its own end. */
async function stopServer(served: Served | undefined): Promise<void> {
  try {
    await served?.stop()
  } catch (error) {
    report(error)
    process.kill(process.pid, 'SIGKILL')
  }
}

/** Tells the user of what goes wrong while the mount goes on. */
function onReport(message: string): void {
  process.stderr.write(`pmufs: ${message}\n`)
}

async function serveUntilTheEnd(dir: string, options: MountOptions): Promise<void> {
  const tracepoints = findTracepoints(options.source)
  const guests = new Guests(options, tracepoints, onReport)
  let served: Served | undefined
  const end = interrupted()
  // Sources wait with timers that keep no program alive; this one is to live until it is told to end.
  const alive = setInterval(() => undefined, 2 ** 30)
  try {
    const isEnding = await Promise.race([guests.start().then(() => false), end.then(() => true)])
    if (isEnding) return
    served = await transports[options.transport]({
      dir,
      options: {
        owner: thisUser(),
        allowOther: options.allowOther === true,
        strict: options.strict === true,
        kvm: options.kvm,
        tracepoints,
        maxHandles: options.maxHandles,
      },
      firstMessages: guests.takeMessages(),
      onMessage: message => guests.receive(message),
      onReport,
    })
    guests.follow(served)
    const summary = guests.summary().map(line => `${printable(line)}\n`)
    process.stdout.write(`mounted at ${dir}\n${summary.join('')}`)
    tellReady()
    await Promise.race([served.ended, end])
  } finally {
    await stopServer(served)
    await guests.stop()
    clearInterval(alive)
  }
}

export async function mount(dir: string, options: MountOptions): Promise<void> {
  const path = await mountpoint(dir)
  if (options.daemon) return daemonize(path)
  try {
    await serveUntilTheEnd(path, options)
  } catch (error) {
    log.cli('%O', error)
    report(error)
    process.exitCode = 1
  }
}
