/** Loads a program's modules in the thread that serves: its PMUs, and its sources of guests. */
import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ErrnoError } from '../abi/errno.js'
import type { GuestSource } from '../sources/own/guest-source.js'
import type { Pmu } from './own-pmu.js'

/** A module, which the thread that serves imports, and what its default export is called with. */
export interface OwnModule {
  /** A URL, or an absolute path: `import.meta.url`, `new URL('./pmu.js', import.meta.url)`. */
  readonly module: string | URL
  /**
   * What its default export is called with. It is copied as by structuredClone(), save for a SharedArrayBuffer: that is
   * the same memory in both threads.
   */
  readonly options?: unknown
}

/** The modules of one mount, as they cross to the thread that serves. */
export interface OwnModules {
  readonly pmus: readonly OwnModule[]
  readonly sources: readonly OwnModule[]
}

/** What the modules made. */
export interface Own {
  readonly pmus: readonly Pmu[]
  readonly sources: readonly GuestSource[]
}

/** What there is where a mount brings nothing of its own. */
export const nothingOwn: Own = { pmus: [], sources: [] }

const hrefOf = (module: string | URL): string =>
  module instanceof URL ? module.href : isAbsolute(module) ? pathToFileURL(module).href : module

/**
 * The modules in a form that can cross to another thread.
 *
 * @throws {ErrnoError} EINVAL when the options of one cannot
 */
export function portable(modules: readonly OwnModule[]): OwnModule[] {
  return modules.map(({ module, options }) => {
    const href = hrefOf(module)
    try {
      structuredClone(options)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new ErrnoError(
        'EINVAL',
        `Cannot pass options to module "${href}": ${reason}; leave functions out`,
        {
          cause: error,
        },
      )
    }
    return { module: href, options }
  })
}

async function run({ module, options }: OwnModule): Promise<unknown> {
  const href = hrefOf(module)
  const { default: make } = (await import(href)) as { readonly default?: unknown }
  if (typeof make !== 'function')
    throw new ErrnoError('EINVAL', `Module "${href}" has no function as its default export`)
  return (make as (options: unknown) => unknown)(options)
}

const isSource = (made: unknown): made is GuestSource =>
  typeof made === 'object' &&
  made !== null &&
  typeof (made as Partial<GuestSource>).guests === 'function' &&
  typeof (made as Partial<GuestSource>).open === 'function'

/** Imports the modules and calls what they export, one after the other; what a module throws is thrown. */
export async function loadOwn({ pmus, sources }: OwnModules): Promise<Own> {
  const own = { pmus: [] as Pmu[], sources: [] as GuestSource[] }
  for (const module of pmus) {
    const made = (await run(module)) as Pmu | readonly Pmu[]
    own.pmus.push(...(Array.isArray(made) ? (made as readonly Pmu[]) : [made as Pmu]))
  }
  for (const module of sources) {
    const made = await run(module)
    if (!isSource(made))
      throw new ErrnoError(
        'EINVAL',
        `Module "${hrefOf(module.module)}" makes no source: guests() and open() are wanted`,
      )
    own.sources.push(made)
  }
  return own
}
