/**
 * Event terms as perf's command line has them (`exits`, `event=0x1`, `event=1,config1=7`), resolved through a PMU's
 * `format/` and `events/` folders into the config words. Counterpart: tools/perf/util/pmu.c, pmu_config_term().
 */
import { ErrnoError } from '../abi/errno.js'
import { didYouMean } from '../abi/nearest.js'
import { type BitField, setBits } from '../abi/struct.js'
import type { Pmu } from '../perf/pmu.js'

/** config, config1, config2, config3. */
export type ConfigWords = [bigint, bigint, bigint, bigint]

interface FormatField {
  readonly word: number
  /** From the value's least significant bit upwards. */
  readonly ranges: readonly BitField[]
  readonly width: number
}

const invalid = (message: string): ErrnoError => new ErrnoError('EINVAL', message)

function attributesOf(pmu: Pmu, group: string): Map<string, () => string> {
  const found = new Map<string, () => string>()
  for (const { name, attrs } of pmu.attr_groups)
    if (name === group) for (const attr of attrs) found.set(attr.name, () => attr.show())
  return found
}

/** Parses the text of a format file: `config:0-7`, `config1:0-3,8-11`. */
export function parseFormat(text: string): FormatField | undefined {
  const match = /^config(\d?):([\d,-]+)\s*$/.exec(text)
  if (!match) return undefined
  const ranges = (match[2] ?? '').split(',').map(range => {
    const [low = 0, high = low] = range.split('-').map(Number)
    return { shift: low, width: high - low + 1 }
  })
  return { word: Number(match[1] || 0), ranges, width: ranges.reduce((sum, { width }) => sum + width, 0) }
}

function setField(words: ConfigWords, field: FormatField, value: bigint): void {
  let rest = value
  for (const range of field.ranges) {
    words[field.word] = setBits(words[field.word] ?? 0n, range, rest)
    rest >>= BigInt(range.width)
  }
}

function parseValue(term: string, text: string): bigint {
  if (!/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text))
    throw invalid(`Cannot read term "${term}": "${text}" is no decimal or 0x hexadecimal number`)
  return BigInt(text)
}

const wholeWord = /^config([1-3]?)$/

function applyTerm(pmu: Pmu, words: ConfigWords, term: string): void {
  const [, name = '', text] = /^([^=]*)(?:=(.*))?$/s.exec(term) ?? []
  const value = text === undefined ? 1n : parseValue(term, text)
  const formats = attributesOf(pmu, 'format')
  const show = formats.get(name)
  const word = wholeWord.exec(name)
  if (!show && !word) throw unknownTerm(pmu, name, text === undefined)
  const field = show
    ? parseFormat(show())
    : { word: Number(word?.[1] || 0), ranges: [{ shift: 0, width: 64 }], width: 64 }
  if (!field)
    throw invalid(`Cannot use term "${name}": PMU "${pmu.name}" has an unreadable format file for it`)
  if (value >> BigInt(field.width))
    throw invalid(
      `Cannot set term "${name}" to ${text ?? value}: its ${field.width} bits hold 0 to ${(1n << BigInt(field.width)) - 1n}`,
    )
  setField(words, field, value)
}

function unknownTerm(pmu: Pmu, name: string, isBare: boolean): ErrnoError {
  const formats = [...attributesOf(pmu, 'format').keys()]
  const events = [...attributesOf(pmu, 'events').keys()].filter(event => !event.includes('.'))
  const hint = didYouMean(name, isBare ? [...events, ...formats] : formats)
  const what = isBare ? 'event or term' : 'term'
  return invalid(
    `Cannot find ${what} "${name}" in PMU "${pmu.name}"${hint || ': its events/ and format/ list them all'}`,
  )
}

/** The name of a term that an event leaves to whoever counts it: `bucket=?`. */
const openTerm = (part: string): string | undefined => /^([^=]+)=\?$/.exec(part)?.[1]

/**
 * Resolves terms into the config words, on top of those given.
 *
 * @throws {ErrnoError} EINVAL where a term or event is unknown, is no number, is too big for its bits, or is left out
 *   though the event wants it
 */
export function resolveTerms(pmu: Pmu, text: string, words: ConfigWords): ConfigWords {
  const resolved: ConfigWords = [...words]
  const events = attributesOf(pmu, 'events')
  const terms = text.split(',').map(part => part.trim())
  for (const term of terms) {
    const event = events.get(term) ?? events.get(pmu.eventFile?.(term) ?? term)
    const parts = event ? event().trim().split(',') : [term]
    for (const part of parts) {
      const open = event && openTerm(part)
      if (open === undefined) applyTerm(pmu, resolved, part)
      else if (!terms.some(other => other.startsWith(`${open}=`)))
        throw invalid(`Cannot count "${term}" without its term "${open}": give "${term},${open}=NUMBER"`)
    }
  }
  return resolved
}
