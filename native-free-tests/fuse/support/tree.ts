/** A small tree with one of everything that the protocol treats differently. */
import { ErrnoError } from '../../../src/abi/errno.js'
import { POLLIN, S_IFREG } from '../../../src/abi/fs.js'
import { attributeFile } from '../../../src/kernfs/attribute-file.js'
import { dynamicDirectory, staticDirectory } from '../../../src/kernfs/directory.js'
import { Later, type MaybeLater } from '../../../src/kernfs/later.js'
import {
  type Directory,
  type File,
  type IoctlReply,
  newIno,
  type OpenFile,
} from '../../../src/kernfs/node.js'
import { symbolicLink } from '../../../src/kernfs/symbolic-link.js'

export const owner = { uid: 0, gid: 0 }
export const TIME = 1_500_000_000_250

/** What an open stream was asked, and the strings by which a test steers it. */
export interface StreamLog {
  readonly calls: string[]
  /** Reads that wait; a test settles them. */
  readonly waiting: Later<Uint8Array>[]
  isReadable: boolean
  wake: (() => void) | undefined
}

const text = (value: string) => new TextEncoder().encode(value)

class Stream implements OpenFile {
  readonly isStream = true
  readonly #log: StreamLog

  constructor(log: StreamLog) {
    this.#log = log
  }

  read(offset: number, size: number): MaybeLater<Uint8Array> {
    this.#log.calls.push(`read ${offset} ${size}`)
    if (this.#log.isReadable) return text('12345678')
    const later = new Later<Uint8Array>(() => this.#log.calls.push('withdrawn'))
    this.#log.waiting.push(later)
    return later
  }

  write(offset: number, data: Uint8Array): number {
    this.#log.calls.push(`write ${offset} ${data.length}`)
    throw new ErrnoError('EINVAL')
  }

  ioctl({ cmd, arg, input, outputSize }: Parameters<NonNullable<OpenFile['ioctl']>>[0]): IoctlReply {
    this.#log.calls.push(`ioctl ${cmd.toString(16)} ${arg} [${input.join(',')}] ${outputSize}`)
    return { result: 7, output: text('abcdefghijklmnop') }
  }

  poll(events: number, wake: (() => void) | undefined): number {
    this.#log.wake = wake
    return this.#log.isReadable ? events & POLLIN : 0
  }

  release(): void {
    this.#log.calls.push('release')
  }
}

/** Makes the tree; `log` is what its stream was asked. */
export function sampleTree(): {
  readonly root: Directory
  readonly log: StreamLog
  readonly names: string[]
} {
  const log: StreamLog = { calls: [], waiting: [], isReadable: true, wake: undefined }
  const names: string[] = []
  const stream: File = {
    kind: 'file',
    ino: newIno(),
    attributes: () => ({ mode: S_IFREG | 0o600, nlink: 1, uid: 0, gid: 0, size: 0, time: TIME }),
    open: () => new Stream(log),
  }
  const folders = new Map<string, Directory>()
  const handles = dynamicDirectory({
    owner,
    mode: 0o700,
    names: () => folders.keys(),
    child: name => folders.get(name),
    mkdir: name => {
      const made = staticDirectory({ owner, children: {} })
      folders.set(name, made)
      return made
    },
    rmdir: name => {
      if (!folders.delete(name)) throw new ErrnoError('ENOENT')
    },
  })
  const defect = attributeFile({
    owner,
    mode: 0o444,
    show: () => {
      throw new TypeError('a defect')
    },
  })
  let level = 'one\n'
  const root = staticDirectory({
    owner,
    ino: 1n,
    children: {
      sys: staticDirectory({
        owner,
        children: {
          type: attributeFile({ owner, mode: 0o444, show: () => '4096\n' }),
          level: attributeFile({
            owner,
            mode: 0o644,
            show: () => level,
            store: value => {
              level = value
            },
          }),
          link: symbolicLink({ owner, target: '../sys/type' }),
          loop: symbolicLink({ owner, target: 'loop' }),
        },
      }),
      stream,
      defect,
      handles,
      many: dynamicDirectory({
        owner,
        names: () => names,
        child: () => attributeFile({ owner, mode: 0o444, show: () => '' }),
      }),
    },
  })
  return { root, log, names }
}
