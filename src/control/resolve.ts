/** Turns the names of a request into numbers: a PMU's name into its type, an event's name or terms into config words. */
import { ErrnoError, Failure } from '../abi/errno.js'
import { didYouMean } from '../abi/nearest.js'
import type { perf_event_attr } from '../abi/perf-event-attr.js'
import { attrFromJson } from '../abi/perf-event-attr-json.js'
import type { Pmu } from '../perf/pmu.js'
import type { PmuRegistry } from '../perf/registry.js'
import { argumentNames, type OpenRequest } from './request.js'
import { resolveTerms } from './terms.js'

const isNumeral = (text: string): boolean => /^-?(0[xX][0-9a-fA-F]*|\d+)$/.test(text)

function typeOf(registry: PmuRegistry, type: unknown): unknown {
  if (typeof type !== 'string' || isNumeral(type)) return type
  const registration = registry.byName(type)
  if (registration) return registration.type
  const names = registry.list().map(({ pmu }) => pmu.name)
  throw new ErrnoError(
    'ENOENT',
    `No PMU is named "${type.slice(0, 40)}"${didYouMean(type, names) || `: there is ${names.join(', ') || 'none'}`}`,
  )
}

function pmuOf(registry: PmuRegistry, type: number): Pmu {
  const registration = registry.byType(type)
  if (!registration)
    throw new ErrnoError(
      'ENOENT',
      `Cannot look the event's name up: no PMU of type ${type} is registered here`,
    )
  return registration.pmu
}

/** The attr that a request in JSON asks for, judged by the rules of copy-in for a kernel that knows `attrSize` bytes. */
export function resolveAttr(registry: PmuRegistry, request: OpenRequest, attrSize: number): perf_event_attr {
  const { config, ...rest } = request.attr
  const isNamed = typeof config === 'string' && !isNumeral(config)
  const json = {
    ...rest,
    ...('type' in rest && { type: typeOf(registry, rest.type) }),
    ...(!isNamed && config !== undefined && { config }),
  }
  const attr = attrFromJson(json, { knownSize: attrSize, otherNames: argumentNames })
  if (attr instanceof Failure) throw new ErrnoError(attr.code, attr.message)
  if (!isNamed) return attr
  const { config1, config2, config3 } = attr
  const words = resolveTerms(pmuOf(registry, attr.type), config, [0n, config1, config2, config3])
  return { ...attr, config: words[0], config1: words[1], config2: words[2], config3: words[3] }
}
