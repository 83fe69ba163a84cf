/**
 * The `debug` namespaces, one list. `DEBUG=pmufs:*` shows them all, on stderr.
 *
 * The package is loaded only where DEBUG is set: every start of `pmufs exec` starts two programs, and loading it is a
 * good part of that.
 */
import { createRequire } from 'node:module'
import { format } from 'node:util'
import type { Debug, Debugger } from 'debug'

type Log = ((format: string, ...values: readonly unknown[]) => void) & Pick<Debugger, 'enabled'>

const silent: Log = Object.assign(() => undefined, { enabled: false })

const debug: Debug | undefined =
  process.env.DEBUG === undefined ? undefined : (createRequire(import.meta.url)('debug') as Debug)

const create = (namespace: string): Log => debug?.(namespace) ?? silent

export const log = {
  fuse: create('pmufs:fuse'),
  perf: create('pmufs:perf'),
  kvm: create('pmufs:kvm'),
  control: create('pmufs:control'),
  sources: create('pmufs:sources'),
  exec: create('pmufs:exec'),
  os: create('pmufs:os'),
  cli: create('pmufs:cli'),
}

/** Has what is logged in this thread written by somebody else: a Worker's own stderr waits for its event loop. */
export function sendLog(write: (text: string) => void): void {
  if (debug) debug.log = (...words: unknown[]) => write(`${format(...words)}\n`)
}
