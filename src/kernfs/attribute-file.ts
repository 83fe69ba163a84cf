/**
 * A file whose content a function makes and whose writes a function takes.
 * Counterparts: fs/kernfs/file.c (open, write, poll), fs/sysfs/file.c (show, store), fs/seq_file.c (read).
 *
 * - The permission bits bind root too: a file without a w bit does not open for writing.
 * - A read that goes on where the last one ended is served from the text made then; any other makes it anew, so
 *   that lseek(fd, 0) or pread(fd, 0) shows the present value and a text read in pieces is never torn.
 * - A write is one call of `store` with the whole buffer; its offset means nothing.
 * - Once the node is removed, everything on it is ENODEV, on files that are open already too.
 */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import { O_ACCMODE, POLLERR, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM, S_IFREG } from '../abi/fs.js'
import { Inode, type Owner } from './inode.js'
import { chain, type MaybeLater } from './later.js'
import type { File, OpenFile } from './node.js'

const PAGE_SIZE = 4096
const FMODE_READ = 1
const FMODE_WRITE = 2

/** What makes an attribute file. */
export interface AttributeFileOptions {
  readonly owner: Owner
  /** Permission bits. */
  readonly mode: number
  /** Makes the content. Absent: a read is EIO. */
  readonly show?: (caller: Caller) => MaybeLater<string>
  /** How many bytes of it are shown: 4095 where not given, as in sysfs; a table may need more. */
  readonly limit?: number
  /**
   * Takes what was written, at most 4096 bytes, or throws to refuse. Absent: a write is EIO. A longer write is cut,
   * and the writer goes on with the rest.
   */
  readonly store?: (text: string, caller: Caller) => MaybeLater<void>
}

/** An attribute file: `remove` is there. */
export type AttributeFile = File & { remove(): void }

/** Makes an attribute file. */
export function attributeFile(options: AttributeFileOptions): AttributeFile {
  const { owner, mode } = options
  const inode = new Inode({ owner, mode: S_IFREG | mode })
  const sleepers: Sleepers = new Map()
  return {
    kind: 'file',
    ino: inode.ino,
    attributes: () => inode.attributes(1, PAGE_SIZE),
    setAttributes: change => inode.change(change),
    open(flags) {
      throwIfRemoved(inode)
      // Access mode 3 asks for both permissions and gives neither: the kernel's `(flags + 1) & O_ACCMODE`.
      const fmode = (flags + 1) & O_ACCMODE
      if (fmode & FMODE_READ && !(inode.mode & 0o444))
        throw new ErrnoError('EACCES', 'The file has no read permission bit, which binds root too')
      if (fmode & FMODE_WRITE && !(inode.mode & 0o222))
        throw new ErrnoError('EACCES', 'The file has no write permission bit, which binds root too')
      return new OpenAttribute(inode, options, sleepers)
    },
    remove() {
      inode.remove()
      for (const wake of sleepers.values()) wake()
      sleepers.clear()
    },
  }
}

function throwIfRemoved(inode: Inode): void {
  if (inode.isRemoved) throw new ErrnoError('ENODEV', 'What this file showed is gone')
}

const nothing = Buffer.alloc(0)

/** Who sleeps in poll(2), by open file. */
type Sleepers = Map<OpenFile, () => void>

class OpenAttribute implements OpenFile {
  readonly isStream = false
  readonly #inode: Inode
  readonly #options: AttributeFileOptions
  readonly #sleepers: Sleepers
  #content: Buffer = nothing
  #position = 0
  #isShown = false

  constructor(inode: Inode, options: AttributeFileOptions, sleepers: Sleepers) {
    this.#inode = inode
    this.#options = options
    this.#sleepers = sleepers
  }

  read(offset: number, size: number, caller: Caller): MaybeLater<Uint8Array> {
    throwIfRemoved(this.#inode)
    if (offset !== 0 && offset === this.#position) return this.#take(offset, size)
    const { show, limit = PAGE_SIZE - 1 } = this.#options
    if (!show) throw new ErrnoError('EIO', 'The attribute can be written only')
    this.#forget()
    return chain(show(caller), text => {
      throwIfRemoved(this.#inode)
      this.#content = Buffer.from(text).subarray(0, limit)
      this.#isShown = true
      return this.#take(offset, size)
    })
  }

  write(_offset: number, data: Uint8Array, caller: Caller): MaybeLater<number> {
    throwIfRemoved(this.#inode)
    if (data.length === 0) return 0
    const { store } = this.#options
    if (!store) throw new ErrnoError('EIO', 'The attribute can be read only')
    const taken = data.subarray(0, PAGE_SIZE)
    return chain(store(Buffer.from(taken).toString(), caller), () => taken.length)
  }

  /** Always ready; POLLERR and POLLPRI say that there is something this open file has not shown, or never will. */
  poll(_events: number, wake: (() => void) | undefined): number {
    this.#sleepers.delete(this)
    const ready = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM
    if (this.#inode.isRemoved || !this.#isShown) return ready | POLLERR | POLLPRI
    if (wake) this.#sleepers.set(this, wake)
    return ready
  }

  release(): void {
    this.#sleepers.delete(this)
    this.#forget()
  }

  #forget(): void {
    this.#content = nothing
    this.#position = 0
  }

  #take(offset: number, size: number): Uint8Array {
    const piece = this.#content.subarray(offset, offset + size)
    this.#position = offset + piece.length
    return piece
  }
}
