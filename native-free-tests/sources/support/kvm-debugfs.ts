/**
 * The folder of one VM in debugfs whose files behave as KVM's do: no pread(2), one read(2) for each open(2), an open file
 * keeps the VM, and the folder goes with the VM. Counterpart: kvm_stat_data_open() and simple_attr_read().
 */
import { ErrnoError, type ErrnoName } from '../../../src/abi/errno.js'
import type { DebugfsFiles } from '../../../src/sources/debugfs/debugfs-whole.js'

interface OpenFile {
  readonly name: string
  isRead: boolean
}

const FOLDER = '/debug/kvm/100-9'

export class KvmDebugfs implements DebugfsFiles {
  readonly path = FOLDER
  readonly counts = new Map<string, bigint>()
  /** Descriptors that are open; as long as there are any, the VM lives. */
  readonly open = new Map<number, OpenFile>()
  /** What the next open(2) or read(2) fails with, until it is taken away. */
  failure: { readonly call: 'open' | 'read'; readonly code: ErrnoName } | undefined
  isGone = false
  opens = 0

  happen(name: string, times: bigint): void {
    this.counts.set(name, (this.counts.get(name) ?? 0n) + times)
  }

  /** As a shell reads it: open(2), read(2) until there is no more, close(2). */
  readText(path: string): string {
    const fd = this.#open(path)
    try {
      let text = ''
      for (let part = this.read(fd); part !== ''; part = this.read(fd)) text += part
      return text
    } finally {
      this.open.delete(fd)
    }
  }

  pread(): never {
    throw new ErrnoError('ESPIPE')
  }

  read(fd: number): string {
    const file = this.open.get(fd)
    if (!file) throw new ErrnoError('EBADF')
    if (this.isGone || this.failure?.call === 'read') throw new ErrnoError(this.failure?.code ?? 'EIO')
    if (file.isRead) return ''
    file.isRead = true
    return `${this.counts.get(file.name)}\n`
  }

  #open(path: string): number {
    this.opens += 1
    const name = path.slice(FOLDER.length + 1)
    if (this.isGone || !path.startsWith(`${FOLDER}/`) || !this.counts.has(name))
      throw new ErrnoError('ENOENT')
    if (this.failure?.call === 'open') throw new ErrnoError(this.failure.code)
    this.open.set(this.opens, { name, isRead: false })
    return this.opens
  }
}
