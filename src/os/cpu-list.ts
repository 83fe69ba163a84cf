/** Lists of CPUs as sysfs writes them: `0-3,8`. Counterpart: lib/bitmap.c, bitmap_print_to_pagebuf(). */

/** The ranges of a list, both ends included; an empty text has none. */
export function parseCpuList(text: string): (readonly [first: number, last: number])[] {
  if (text === '') return []
  return text.split(',').map(range => {
    const [first = NaN, last = first] = range.split('-').map(Number)
    return [first, last]
  })
}

/** Whether a list names a CPU. */
export const hasCpu = (list: string, cpu: number): boolean =>
  parseCpuList(list).some(([first, last]) => first <= cpu && cpu <= last)
