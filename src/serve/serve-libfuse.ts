/**
 * The libfuse transport: fuse-native calls this thread's event loop, so the core runs here.
 *
 * fuse-native tells of no unmount, and an event loop cannot wait for threads' exits: both are looked for now and
 * then. An event looks for its own thread's exit at every use besides.
 */
import { libfuseMountOptions, libfuseOperations } from '../fuse/libfuse.js'
import { mountLibfuse } from '../os/libfuse.js'
import { mountAt } from '../os/mountinfo.js'
import { unmount } from '../os/umount.js'
import { Core } from './core.js'
import { nothingOwn } from './own-modules.js'
import type { Served, ServeRequest } from './served.js'

/** Milliseconds between two looks. */
const INTERVAL = 100

function ending(): { readonly ended: Promise<void>; readonly end: () => void } {
  let settle: (() => void) | undefined
  const ended = new Promise<void>(resolve => {
    settle = resolve
  })
  return { ended, end: () => settle?.() }
}

/** Mounts and serves until stopped or unmounted. */
export async function serveLibfuse(request: ServeRequest): Promise<Served> {
  const { dir, options, firstMessages } = request
  // Answers come when the core has returned, as from another thread.
  const core = new Core(options, {
    own: nothingOwn,
    send: message => setImmediate(() => request.onMessage(message)),
    report: request.onReport,
  })
  for (const message of firstMessages) core.receive(message)
  const operations = libfuseOperations(core.root, {
    owner: options.owner,
    report: request.onReport,
  })
  const { allowOther } = options
  const fuse = await mountLibfuse(dir, operations, { ...libfuseMountOptions, allowOther })
  const mounted = mountAt(dir)?.device

  const { ended, end } = ending()
  const timer = setInterval(() => {
    core.tasks.collectExits()
    if (mountAt(dir)?.device !== mounted) end()
  }, INTERVAL)
  return {
    deliver: message => core.receive(message),
    ended,
    async stop() {
      clearInterval(timer)
      unmount(dir, mounted)
      await fuse.release()
      core.close()
      end()
    },
  }
}
