/**
 * devices/<pmu>: the folder of one registered PMU.
 * Counterparts: pmu_dev_alloc() and pmu_dev_groups in kernel/events/core.c, device_add() in drivers/base/core.c.
 */
import { orThrow } from '../abi/errno.js'
import { attributeFile } from '../kernfs/attribute-file.js'
import { dynamicDirectory, type RemovableDirectory } from '../kernfs/directory.js'
import type { Owner } from '../kernfs/inode.js'
import type { Node } from '../kernfs/node.js'
import { NodeCache } from '../kernfs/node-cache.js'
import { symbolicLink } from '../kernfs/symbolic-link.js'
import { parseMuxInterval } from '../perf/mux-interval.js'
import type { Attribute, Pmu } from '../perf/pmu.js'
import type { RegisteredPmu } from '../perf/registry.js'
import { AttributeNodes } from './attribute-nodes.js'
import { powerDirectory } from './power-directory.js'
import { cString } from './store-text.js'
import { storeUevent } from './uevent.js'

/** Makes the folder of one PMU; its attribute groups are asked anew at each use. */
export function pmuDirectory(registration: RegisteredPmu, owner: Owner): RemovableDirectory {
  const { pmu } = registration
  const fixed = fixedNodes(registration, owner)
  const direct = new AttributeNodes(owner, () => attributesOf(pmu, undefined))
  const groups = new NodeCache((name: string) => groupDirectory(pmu, name, owner))
  return dynamicDirectory({
    owner,
    names: () => {
      const groupsNow = groupNames(pmu)
      groups.retain(groupsNow)
      return new Set([...fixed.keys(), ...direct.names(), ...groupsNow])
    },
    child: name => fixed.get(name) ?? (groupNames(pmu).has(name) ? groups.get(name) : direct.node(name)),
    subdirectories: () => 1 + groupNames(pmu).size,
    remove: () => {
      for (const node of fixed.values()) node.remove?.()
      direct.remove()
      groups.clear()
    },
  })
}

/** What the perf core and the driver core make for every PMU. */
function fixedNodes(registration: RegisteredPmu, owner: Owner): ReadonlyMap<string, Node> {
  return new Map<string, Node>([
    ['type', attributeFile({ owner, mode: 0o444, show: () => `${registration.type}\n` })],
    [
      'perf_event_mux_interval_ms',
      attributeFile({
        owner,
        mode: 0o644,
        show: () => `${registration.perf_event_mux_interval_ms}\n`,
        store: text => {
          registration.perf_event_mux_interval_ms = orThrow(parseMuxInterval(cString(text)))
        },
      }),
    ],
    ['uevent', attributeFile({ owner, mode: 0o644, show: () => '', store: storeUevent })],
    ['subsystem', symbolicLink({ owner, target: '../../bus/event_source' })],
    ['power', powerDirectory(owner)],
  ])
}

function groupDirectory(pmu: Pmu, group: string, owner: Owner): RemovableDirectory {
  const nodes = new AttributeNodes(owner, () => attributesOf(pmu, group))
  return dynamicDirectory({
    owner,
    names: () => nodes.names(),
    child: name => nodes.node(name),
    remove: () => nodes.remove(),
  })
}

/** The attributes of all groups of this name; those of groups without a name stand beside `type`. */
function attributesOf(pmu: Pmu, group: string | undefined): readonly Attribute[] {
  return pmu.attr_groups.filter(({ name }) => name === group).flatMap(({ attrs }) => attrs)
}

function groupNames(pmu: Pmu): ReadonlySet<string> {
  return new Set(pmu.attr_groups.flatMap(({ name }) => (name === undefined ? [] : [name])))
}
