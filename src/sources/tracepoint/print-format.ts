/**
 * The lists of names in the `print fmt` of a tracepoint's format file: what the kernel itself calls the values of a field.
 * Counterpart: __print_symbolic() in include/trace/stages/stage3_trace_output.h.
 */

/** One list: the field whose values it names, and the names by value. */
export interface SymbolicList {
  readonly field: string
  readonly symbols: ReadonlyMap<number, string>
}

/** `0x040 + 1`, `(((0x0CUL)))`, `-1`: as u32. Undefined where it is no sum of numbers. */
function numberOf(expression: string): number | undefined {
  const terms = expression.replaceAll(/[()\s]/g, '').split('+')
  const values = terms.map(term => {
    const [, minus, digits] = /^(-?)(0x[0-9a-f]+|\d+)u?l*$/i.exec(term) ?? []
    return digits === undefined ? Number.NaN : Number(digits) * (minus ? -1 : 1)
  })
  const sum = values.reduce((all, one) => all + one, 0)
  return Number.isSafeInteger(sum) ? sum >>> 0 : undefined
}

/** C joins strings that follow each other. */
const textOf = (strings: string): string =>
  [...strings.matchAll(/"([^"]*)"/g)].map(([, text = '']) => text).join('')

/** `{ VALUE, "NAME" "NAME" }` */
const SYMBOL = /\{([^,{}]*),((?:\s*"[^"]*")+)\s*\}/g

function symbolsOf(text: string): Map<number, string> {
  const symbols = new Map<number, string>()
  for (const [, expression = '', strings = ''] of text.matchAll(SYMBOL)) {
    const value = numberOf(expression)
    // As the kernel searches: the first that has the value.
    if (value !== undefined && !symbols.has(value)) symbols.set(value, textOf(strings))
  }
  return symbols
}

/** A field, what may mask it, and all symbols up to the end of the list. */
const LIST = /__print_symbolic\(\s*\(*REC->(\w+)[^,{]*,((?:\s*\{[^{}]*\}\s*,?)*)\s*\)/g

/** All lists of a format file, in the order in which they stand there. */
export function symbolicLists(format: string): SymbolicList[] {
  const printFormat = /^print fmt: (.*)$/m.exec(format)?.[1] ?? ''
  return [...printFormat.matchAll(LIST)].map(([, field = '', symbols = '']) => ({
    field,
    symbols: symbolsOf(symbols),
  }))
}
