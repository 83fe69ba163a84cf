/** The `debug` namespaces, one list. `DEBUG=pmufs:*` shows them all, on stderr. */
import debug from 'debug'

export const log = {
  fuse: debug('pmufs:fuse'),
  perf: debug('pmufs:perf'),
  kvm: debug('pmufs:kvm'),
  control: debug('pmufs:control'),
  sources: debug('pmufs:sources'),
  exec: debug('pmufs:exec'),
  os: debug('pmufs:os'),
  cli: debug('pmufs:cli'),
}
