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

/** An event as perf's command line has it: the PMU, its terms between slashes, perf's modifiers. */
const slashed = /^([^/]+)\/([^/]*)\/([^/]*)$/

/** What `type` and `config` name together: a type, and either terms of its PMU or a config word. */
interface Selection {
  readonly type: unknown
  readonly terms?: string
  readonly config?: unknown
}

function selectionOf(registry: PmuRegistry, { type, config }: OpenRequest['attr']): Selection {
  if (typeof config !== 'string' || isNumeral(config)) return { type: typeOf(registry, type), config }
  const [, pmu, terms = '', modifiers = ''] = slashed.exec(config) ?? []
  if (pmu === undefined) return { type: typeOf(registry, type), terms: config }
  if (modifiers !== '')
    throw new ErrnoError(
      'EINVAL',
      `Cannot take "${modifiers.slice(0, 40)}" behind the last slash: modifiers are perf's own; set the field that it stands for, as exclude_kernel for "u"`,
    )
  const named = typeOf(registry, pmu)
  if (type !== undefined && Number(typeOf(registry, type)) !== Number(named))
    throw new ErrnoError(
      'EINVAL',
      `"type" is not that of PMU "${pmu}", which "config" names: leave one of them out`,
    )
  return terms === '' ? { type: named } : { type: named, terms }
}

/** The attr that a request in JSON asks for, judged by the rules of copy-in for a kernel that knows `attrSize` bytes. */
export function resolveAttr(registry: PmuRegistry, request: OpenRequest, attrSize: number): perf_event_attr {
  const { type, terms, config } = selectionOf(registry, request.attr)
  const { type: _type, config: _config, ...rest } = request.attr
  const json = { ...rest, ...(type !== undefined && { type }), ...(config !== undefined && { config }) }
  const attr = attrFromJson(json, { knownSize: attrSize, otherNames: argumentNames })
  if (attr instanceof Failure) throw new ErrnoError(attr.code, attr.message)
  if (terms === undefined) return attr
  const { config1, config2, config3 } = attr
  const words = resolveTerms(pmuOf(registry, attr.type), terms, [0n, config1, config2, config3])
  return { ...attr, config: words[0], config1: words[1], config2: words[2], config3: words[3] }
}
