/**
 * The files of an attribute group. The group may grow and shrink, and may describe itself with fresh objects at each
 * use: an attribute is known by its name, and its node lasts for as long as the group lists that name.
 */
import { ErrnoError } from '../abi/errno.js'
import { type AttributeFile, attributeFile } from '../kernfs/attribute-file.js'
import type { Owner } from '../kernfs/inode.js'
import { NodeCache } from '../kernfs/node-cache.js'
import type { Attribute } from '../perf/pmu.js'

// A listing with any other name in it makes the kernel refuse the whole listing.
const fileName = /^(?!\.{1,2}$)[^/\0]{1,255}$/

/** The nodes of the attributes that a function lists. */
export class AttributeNodes {
  readonly #list: () => readonly Attribute[]
  readonly #nodes: NodeCache<string, AttributeFile>

  constructor(owner: Owner, list: () => readonly Attribute[]) {
    this.#list = list
    this.#nodes = new NodeCache(name => this.#file(name, owner))
  }

  names(): Iterable<string> {
    const names = new Set(this.#list().map(attribute => attribute.name))
    for (const name of names) if (!fileName.test(name)) names.delete(name)
    this.#nodes.retain(names)
    return names
  }

  node(name: string): AttributeFile | undefined {
    if (this.#find(name)) return this.#nodes.get(name)
    this.#nodes.delete(name)
    return undefined
  }

  remove(): void {
    this.#nodes.clear()
  }

  #find(name: string): Attribute | undefined {
    return this.#list().find(attribute => attribute.name === name)
  }

  #present(name: string): Attribute {
    const attribute = this.#find(name)
    if (attribute) return attribute
    throw new ErrnoError('ENODEV', `The attribute "${name}" is gone`)
  }

  #file(name: string, owner: Owner): AttributeFile {
    const attribute = this.#present(name)
    const isWritable = attribute.store !== undefined
    return attributeFile({
      owner,
      mode: attribute.mode ?? (isWritable ? 0o644 : 0o444),
      show: () => this.#present(name).show(),
      ...(isWritable && { store: (text: string) => this.#present(name).store?.(text) }),
    })
  }
}
