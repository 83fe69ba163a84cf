/**
 * A tree as text, one node a line, sorted: path, type, mode, links, size, then a link's target or a file's content.
 * What cannot be read shows its errno.
 */
import { ErrnoError } from '../../../src/abi/errno.js'
import type { Node } from '../../../src/kernfs/node.js'
import { cat, root } from '../../kernfs/support/open.js'

const letters = { directory: 'd', file: 'f', symlink: 'l' } as const

export function treeText(top: Node): string {
  const lines: string[] = []
  const walk = (node: Node, path: string): void => {
    const { mode, nlink, size } = node.attributes()
    const fields = [path, letters[node.kind], (mode & 0o7777).toString(8), nlink, size, ...shown(node)]
    lines.push(fields.join(' '))
    if (node.kind !== 'directory') return
    for (const { name } of node.entries(root)) {
      const child = node.lookup(name, root)
      if (child) walk(child, `${path}/${name}`)
    }
  }
  walk(top, '.')
  return `${lines.sort().join('\n')}\n`
}

function shown(node: Node): string[] {
  if (node.kind === 'directory') return []
  if (node.kind === 'symlink') return ['->', node.readlink()]
  try {
    return [JSON.stringify(cat(node))]
  } catch (error) {
    if (error instanceof ErrnoError) return [error.code]
    throw error
  }
}
