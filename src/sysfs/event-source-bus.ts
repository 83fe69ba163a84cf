/**
 * bus/event_source: the list of all PMUs, as links. Counterpart: pmu_bus in kernel/events/core.c.
 *
 * The kernel's own PMUs are listed beside ours, or a tool that is pointed here would lose them. Where both have one
 * of the same name ours is shown. drivers_autoprobe and drivers_probe are left out: no driver binds to a PMU.
 */
import { attributeFile } from '../kernfs/attribute-file.js'
import { dynamicDirectory, staticDirectory } from '../kernfs/directory.js'
import type { Directory, Symlink } from '../kernfs/node.js'
import { NodeCache } from '../kernfs/node-cache.js'
import { symbolicLink } from '../kernfs/symbolic-link.js'
import type { RegisteredPmu } from '../perf/registry.js'
import type { SysfsOptions } from './options.js'
import { storeUevent } from './uevent.js'

/** Makes bus/event_source. */
export function eventSourceBus(options: SysfsOptions): Directory {
  const { owner } = options
  return staticDirectory({
    owner,
    children: {
      devices: deviceLinks(options),
      drivers: staticDirectory({ owner, children: {} }),
      uevent: attributeFile({ owner, mode: 0o200, store: storeUevent }),
    },
  })
}

function deviceLinks({ owner, registry, hostPmus }: SysfsOptions): Directory {
  const link = (target: string): Symlink => symbolicLink({ owner, target })
  const ours = new NodeCache(({ pmu }: RegisteredPmu) => link(`../../../devices/${pmu.name}`))
  const hosts = new NodeCache(link)
  registry.onChange(({ kind, registration }) => {
    if (kind === 'unregistered') ours.delete(registration)
  })
  return dynamicDirectory({
    owner,
    names: () => {
      const host = hostPmus()
      hosts.retain(new Set(host.map(({ target }) => target)))
      return new Set([...registry.list().map(({ pmu }) => pmu.name), ...host.map(({ name }) => name)])
    },
    child: name => {
      const registration = registry.byName(name)
      if (registration) return ours.get(registration)
      const target = hostPmus().find(host => host.name === name)?.target
      return target === undefined ? undefined : hosts.get(target)
    },
  })
}
