/**
 * The nodes of things, so that a thing's node stays one object for as long as the thing exists. A thing that comes
 * back under the same name is another key and gets another node, hence another inode number.
 */
import type { Node } from './node.js'

/** Nodes by the thing they show: an object (by identity), or a name that stands for it. */
export class NodeCache<K, N extends Node = Node> {
  readonly #make: (thing: K) => N
  readonly #nodes = new Map<K, N>()

  constructor(make: (thing: K) => N) {
    this.#make = make
  }

  /** The thing's node, made when it is first asked for. */
  get(thing: K): N {
    const known = this.#nodes.get(thing)
    if (known) return known
    const node = this.#make(thing)
    this.#nodes.set(thing, node)
    return node
  }

  /** The thing is gone: its node and all below it answer ENODEV from now on. */
  delete(thing: K): void {
    const node = this.#nodes.get(thing)
    this.#nodes.delete(thing)
    node?.remove?.()
  }

  /** Deletes every thing that is not among these. */
  retain(things: ReadonlySet<K>): void {
    for (const thing of this.#nodes.keys()) if (!things.has(thing)) this.delete(thing)
  }

  /** Deletes every thing. */
  clear(): void {
    this.retain(new Set())
  }
}
