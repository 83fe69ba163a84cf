/**
 * Open files and folders by handle: one for each open(2), ended by RELEASE. Counterpart: struct fuse_file.
 */
import { ErrnoError } from '../abi/errno.js'
import type { Directory, Entry, OpenFile } from '../kernfs/node.js'

/** An open file, and whether somebody sleeps on it. */
export interface FileHandle {
  readonly kind: 'file'
  readonly file: OpenFile
  /** What the file calls to wake those who sleep in poll(2) on it: one function for as long as it is open. */
  wake: (() => void) | undefined
  /** Whether the kernel waits for that. */
  isAwaited: boolean
}

/** An open folder with the listing that its reader goes through. */
export interface DirectoryHandle {
  readonly kind: 'directory'
  readonly directory: Directory
  entries: readonly Entry[]
  /** Whether nothing was read from this listing yet. */
  isFresh: boolean
}

/** Everything the kernel holds open. Handles are numbered and never used again. */
export class HandleTable {
  readonly #handles = new Map<bigint, FileHandle | DirectoryHandle>()
  #last = 0n

  /** How many are open. */
  get size(): number {
    return this.#handles.size
  }

  openFile(file: OpenFile): bigint {
    return this.#add({ kind: 'file', file, wake: undefined, isAwaited: false })
  }

  openDirectory(directory: Directory, entries: readonly Entry[]): bigint {
    return this.#add({ kind: 'directory', directory, entries, isFresh: true })
  }

  /** Throws EBADF where it is not an open file. */
  file(fh: bigint): FileHandle {
    const handle = this.#handles.get(fh)
    if (handle?.kind !== 'file') throw new ErrnoError('EBADF', `handle ${fh} is no open file`)
    return handle
  }

  /** Throws EBADF where it is not an open folder. */
  directory(fh: bigint): DirectoryHandle {
    const handle = this.#handles.get(fh)
    if (handle?.kind !== 'directory') throw new ErrnoError('EBADF', `handle ${fh} is no open folder`)
    return handle
  }

  /** The last descriptor is closed; whoever would be woken is not there any more. */
  release(fh: bigint): void {
    const handle = this.#handles.get(fh)
    if (!handle) return
    this.#handles.delete(fh)
    if (handle.kind !== 'file') return
    handle.isAwaited = false
    handle.file.release()
  }

  /** Releases everything, as a process's end closes its descriptors; one that fails does not stop the others. */
  releaseAll(onError: (error: unknown) => void): void {
    for (const fh of this.#handles.keys()) {
      try {
        this.release(fh)
      } catch (error) {
        onError(error)
      }
    }
  }

  #add(handle: FileHandle | DirectoryHandle): bigint {
    this.#last += 1n
    this.#handles.set(this.#last, handle)
    return this.#last
  }
}
