/** Path resolution of the memory client. Counterpart: fs/namei.c, link_path_walk(). */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import { S_IFDIR, S_IFLNK, S_IFMT } from '../abi/fs.js'
import { FUSE_ROOT_ID, fuse_entry_out, fuse_forget_in } from '../abi/fuse.js'
import type { MemoryWire } from './memory-wire.js'

/** Where a path led, and the lookups that it took. */
export interface Found {
  readonly nodeid: bigint
  readonly mode: number
  /** Gives the lookups back; call it once. */
  forget(): void
}

/** How to resolve a path. */
export interface WalkOptions {
  readonly wire: MemoryWire
  readonly caller: Caller
  /** Whether a symbolic link at the end is followed. */
  readonly followsLast: boolean
}

interface Step {
  readonly nodeid: bigint
  readonly mode: number
}

const MAX_LINKS = 40
const ROOT: Step = { nodeid: FUSE_ROOT_ID, mode: S_IFDIR }

const split = (path: string): string[] => path.split('/').filter(name => name !== '' && name !== '.')

/** A path's folder and last name. */
export function splitLast(path: string): { readonly folder: string; readonly name: string } {
  const names = path.split('/').filter(name => name !== '')
  const name = names.pop() ?? ''
  return { folder: names.join('/'), name }
}

/** Resolves a path from the root. Throws what the server answers, and ELOOP. */
export function walk(path: string, options: WalkOptions): Found {
  const held: bigint[] = []
  const forget = () => {
    for (const nodeid of held.splice(0)) forgetOne(options.wire, nodeid)
  }
  try {
    const { nodeid, mode } = follow(split(path), options, held)
    return { nodeid, mode, forget }
  } catch (error) {
    forget()
    throw error
  }
}

function follow(path: string[], options: WalkOptions, held: bigint[]): Step {
  const todo = path.toReversed()
  const steps: Step[] = [ROOT]
  let links = 0
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    if (name === '..') {
      if (steps.length > 1) steps.pop()
      continue
    }
    const step = lookup(steps.at(-1) ?? ROOT, name, options)
    held.push(step.nodeid)
    if ((step.mode & S_IFMT) !== S_IFLNK || (todo.length === 0 && !options.followsLast)) steps.push(step)
    else if (++links > MAX_LINKS) throw new ErrnoError('ELOOP')
    else todo.push(...split(readlink(step, options)).toReversed())
  }
  return steps.at(-1) ?? ROOT
}

function lookup({ nodeid }: Step, name: string, { wire, caller }: WalkOptions): Step {
  const reply = wire.request({ opcode: 'FUSE_LOOKUP', nodeid, caller, parts: [name] })
  const { nodeid: found, attr } = fuse_entry_out.decode(reply.value())
  return { nodeid: found, mode: attr.mode }
}

function readlink({ nodeid }: Step, { wire, caller }: WalkOptions): string {
  const target = new TextDecoder().decode(wire.request({ opcode: 'FUSE_READLINK', nodeid, caller }).value())
  if (target.startsWith('/')) throw new ErrnoError('EXDEV', `the link leads out of the tree, to "${target}"`)
  return target
}

function forgetOne(wire: MemoryWire, nodeid: bigint): void {
  wire.request({ opcode: 'FUSE_FORGET', nodeid, parts: [fuse_forget_in.encode({ nlookup: 1n })] })
}
