/**
 * KVM's folder in debugfs: DebugfsView of src/sources/debugfs/vm-folder.ts.
 *
 * Where debugfs is not mounted it is mounted apart: reached through a descriptor of ours alone, it is in nobody's tree
 * and ends with this process.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { ErrnoError } from '../abi/errno.js'
import { PROC_PID_INIT_INO } from '../abi/proc-ns.js'
import { log } from '../log.js'
import { detachedMount } from './detached-mount.js'

const MOUNTED = '/sys/kernel/debug/kvm'

/** The path of KVM's folder, or undefined where this user or this kernel has none. */
function kvmFolder(): string | undefined {
  if (existsSync(MOUNTED)) return MOUNTED
  try {
    // The same number in every thread: descriptors are the process's.
    return `/proc/self/fd/${detachedMount('debugfs')}/kvm`
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error
    log.os('no debugfs: %s', error.message)
    return undefined
  }
}

/** A whole file by read(2): those of KVM's have no pread(2), and give what they hold once for each open(2). */
export const readText = (path: string): string => readFileSync(path, 'latin1')

function unlessGone<T>(look: () => T, nothing: T): T {
  try {
    return look()
  } catch {
    return nothing
  }
}

const inodeOf = (path: string): number | undefined => unlessGone(() => statSync(path).ino, undefined)

/** Whether threads have the numbers here that KVM calls its folders by; a kernel without namespaces shows none. */
function hasKernelsNumbers(pidNamespace: string): boolean {
  const inode = inodeOf(pidNamespace)
  if (inode === undefined || inode === PROC_PID_INIT_INO) return true
  log.os('no debugfs: its folders have numbers of the initial pid namespace, and this one is another')
  return false
}

/**
 * debugfs as discovery looks at it; undefined where it cannot be had, for it takes root, or tells nothing, for its names
 * are of the initial pid namespace.
 *
 * @param counts the names of files that are counts
 * @param pidNamespace the file of the namespace whose numbers are used here
 */
export function debugfsView(counts: ReadonlySet<string>, pidNamespace = '/proc/self/ns/pid') {
  const root = hasKernelsNumbers(pidNamespace) ? kvmFolder() : undefined
  if (root === undefined) return undefined
  return {
    counts,
    names: (folder: string): string[] => unlessGone(() => readdirSync(`${root}/${folder}`), []),
    read: (path: string): string | undefined => unlessGone(() => readText(`${root}/${path}`), undefined),
    inodeOf: (folder: string): number | undefined => inodeOf(`${root}/${folder}`),
    pathOf: (folder: string) => `${root}/${folder}`,
  }
}
