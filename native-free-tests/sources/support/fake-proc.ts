/**
 * A machine given as text: one line for each process, descriptor and thread.
 *
 *     process 100 start=5 cmd=qemu-system-x86_64,,-name,,web
 *     fd 9 anon_inode:kvm-vm
 *     thread 101 start=6 comm=CPU 0/KVM|syscall=16 0xa 0xae80 0x0 0x0 0x0 0x0 0x0 0x0|guest=3|wchan=0
 */
import { ErrnoError } from '../../../src/abi/errno.js'
import type { DebugfsFiles } from '../../../src/sources/debugfs/debugfs-whole.js'
import type { DebugfsView } from '../../../src/sources/debugfs/vm-folder.js'
import type { Descriptors, ProcView, TaskFile } from '../../../src/sources/discovery/proc-view.js'
import { preadOf, statsFile } from './kvm-stats-file.js'

interface Thread {
  readonly start: string
  readonly files: Map<string, string>
}

interface Process {
  readonly threads: Map<number, Thread>
  readonly fds: Map<number, string>
  readonly cmd: readonly string[]
}

const fieldsOf = (text: string): Map<string, string> =>
  new Map(
    text.split('|').map(field => {
      const at = field.indexOf('=')
      return [field.slice(0, at), field.slice(at + 1)]
    }),
  )

const statOf = (tid: number, start: string, guest: string): string => {
  const zeros = (count: number) => Array.from({ length: count }, () => '0').join(' ')
  return `${tid} (a) b) c) S ${zeros(18)} ${start} ${zeros(20)} ${guest} 0\n`
}

export class FakeProc implements ProcView, Descriptors, DebugfsFiles {
  readonly ioctlNumber = 16
  /** Calls of link(), to see what a scan costs. */
  links = 0
  /** Descriptors taken and not closed. */
  readonly open = new Map<number, { readonly target: string; readonly file: Uint8Array }>()
  /** Refuses take(). */
  isRefusing = false
  takes = 0
  /** Files of debugfs by their paths below kvm/. */
  debugfs: Record<string, string> = {}
  /** Inodes of its folders, where a test makes a difference. */
  readonly inodes = new Map<string, number>()
  #processes = new Map<number, Process>()
  #lastFd = 1000

  constructor(text: string) {
    this.become(text)
  }

  /** Replaces what there is. */
  become(text: string): void {
    this.#processes = new Map()
    let last: Process | undefined
    for (const line of text.split('\n').map(each => each.trim())) {
      const [kind, number, ...rest] = line.split(' ')
      const id = Number(number)
      const fields = fieldsOf(rest.join(' ').replace(' cmd=', '|cmd=').replace(' comm=', '|comm='))
      const start = fields.get('start') ?? '1'
      if (kind === 'process') {
        last = { threads: new Map(), fds: new Map(), cmd: fields.get('cmd')?.split(',,') ?? [] }
        last.threads.set(id, {
          start,
          files: new Map([
            ['comm', 'main'],
            ['guest', '0'],
          ]),
        })
        this.#processes.set(id, last)
      } else if (kind === 'fd') last?.fds.set(id, rest.join(' '))
      else if (kind === 'thread') last?.threads.set(id, { start, files: fields })
    }
  }

  processes = (): number[] => [...this.#processes.keys()]
  descriptors = (tgid: number): number[] => [...(this.#processes.get(tgid)?.fds.keys() ?? [])]
  threads = (tgid: number): number[] => [...(this.#processes.get(tgid)?.threads.keys() ?? [])]
  commandLine = (tgid: number): readonly string[] => this.#processes.get(tgid)?.cmd ?? []
  processOf = (tid: number): number | undefined =>
    [...this.#processes].find(([, process]) => process.threads.has(tid))?.[0]

  link(tgid: number, fd: number): string | undefined {
    this.links += 1
    return this.#processes.get(tgid)?.fds.get(fd)
  }

  read(tgid: number, tid: number, file: TaskFile): string | undefined {
    const thread = this.#processes.get(tgid)?.threads.get(tid)
    if (!thread) return undefined
    if (file === 'stat') return statOf(tid, thread.start, thread.files.get('guest') ?? '0')
    return `${thread.files.get(file) ?? '0'}\n`
  }

  take(tgid: number, fd: number): number {
    this.takes += 1
    const target = this.#processes.get(tgid)?.fds.get(fd)
    if (this.isRefusing) throw new ErrnoError('EPERM')
    if (target === undefined) throw new ErrnoError('EBADF')
    this.#lastFd += 1
    const id = /stats:(\d+)/.exec(target)?.[1] ?? String(fd % 10)
    const file = target.endsWith('vm-stats')
      ? statsFile(`kvm-${tgid}`, [{ name: 'remote_tlb_flush', values: [BigInt(fd)] }])
      : statsFile(`kvm-${tgid}/vcpu-${id}`, [{ name: 'exits', values: [BigInt(fd)] }])
    this.open.set(this.#lastFd, { target, file })
    return this.#lastFd
  }

  readText(path: string): string {
    const text = this.debugfs[path]
    if (text === undefined) throw new ErrnoError('ENOENT')
    return text
  }

  /** `debugfs` as discovery looks at it. */
  debugfsView(...counts: string[]): DebugfsView {
    const namesIn = (folder: string) => {
      const prefix = folder === '' ? '' : `${folder}/`
      const paths = Object.keys(this.debugfs)
      const below = paths.filter(path => path.startsWith(prefix)).map(path => path.slice(prefix.length))
      return [...new Set(below.map(path => path.replace(/\/.*/, '')))]
    }
    return {
      counts: new Set(counts),
      names: namesIn,
      read: path => this.debugfs[path],
      inodeOf: folder => this.inodes.get(folder) ?? 1,
      pathOf: folder => folder,
    }
  }

  ownLink = (fd: number): string | undefined => this.open.get(fd)?.target

  pread(fd: number, into: Uint8Array, position: number): number {
    const held = this.open.get(fd)
    if (!held) throw new ErrnoError('EBADF')
    return preadOf(held.file, into, position)
  }

  close(fd: number): void {
    if (!this.open.delete(fd)) throw new ErrnoError('EBADF')
  }
}
