/**
 * The tree `sys/`: what SYSFS_PATH points tools at. PMUs come and go with the registry; a PMU that is gone takes
 * its nodes with it, so that files open on it answer ENODEV.
 */
import { dynamicDirectory, staticDirectory } from '../kernfs/directory.js'
import type { Directory } from '../kernfs/node.js'
import { NodeCache } from '../kernfs/node-cache.js'
import { symbolicLink } from '../kernfs/symbolic-link.js'
import type { RegisteredPmu } from '../perf/registry.js'
import { eventSourceBus } from './event-source-bus.js'
import type { SysfsOptions } from './options.js'
import { pmuDirectory } from './pmu-directory.js'

/** Makes the tree. Its top has the real one's mode, 0555. */
export function sysfs(options: SysfsOptions): Directory {
  const { owner } = options
  return staticDirectory({
    owner,
    mode: 0o555,
    children: {
      bus: staticDirectory({ owner, children: { event_source: eventSourceBus(options) } }),
      devices: devices(options),
    },
  })
}

function devices({ owner, registry }: SysfsOptions): Directory {
  const directories = new NodeCache((registration: RegisteredPmu) => pmuDirectory(registration, owner))
  registry.onChange(({ kind, registration }) => {
    if (kind === 'unregistered') directories.delete(registration)
  })
  // perf and libnuma look for CPUs and nodes there.
  const system = symbolicLink({ owner, target: '/sys/devices/system' })
  return dynamicDirectory({
    owner,
    names: () => new Set(['system', ...registry.list().map(({ pmu }) => pmu.name)]),
    child: name => {
      if (name === 'system') return system
      const registration = registry.byName(name)
      return registration && directories.get(registration)
    },
    subdirectories: () => registry.list().length,
  })
}
