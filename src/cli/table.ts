/** Plain tables for people: columns as wide as their widest cell, numbers to the right. */

const isNumeric = (cell: string): boolean => /^[\d.,]+%?$/.test(cell)

/** Lays rows out under a header, two blanks between columns, no trailing blanks. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map(row => (row[i] ?? '').length)))
  const isRight = header.map((_, i) => rows.length > 0 && rows.every(row => isNumeric(row[i] ?? '')))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (isRight[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  return [header, ...rows].map(line).join('\n')
}
