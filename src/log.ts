/**
 * The `debug` namespaces, one list. `DEBUG=pmufs:*` shows them all, on stderr.
 *
 * The package is loaded only where DEBUG is set: every start of `pmufs exec` starts two programs, and loading it is a
 * good part of that.
 */
import { createRequire } from 'node:module'
import type { Debugger } from 'debug'

type Log = ((format: string, ...values: readonly unknown[]) => void) & Pick<Debugger, 'enabled'>

const silent: Log = Object.assign(() => undefined, { enabled: false })

const create: (namespace: string) => Log =
  process.env.DEBUG === undefined
    ? () => silent
    : (createRequire(import.meta.url)('debug') as (namespace: string) => Debugger)

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
