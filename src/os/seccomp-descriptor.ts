/**
 * What a descriptor of another thread is, found without a copy of it: closing one would flush the file, and asking a
 * file for its attributes would ask its file system's server, which may be the caller's own and never answer.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { BPF_PROG_TYPE_PERF_EVENT } from '../abi/bpf.js'
import { ErrnoError, errnoOf } from '../abi/errno.js'
import { AT_FDCWD, AT_STATX_DONT_SYNC, makedev, STATX_INO, statx } from '../abi/statx.js'
import type { DescriptorKind } from '../exec/host.js'
import { syscall } from './libc.js'

function ask(path: string, mask: number) {
  const found = new Uint8Array(statx.size)
  syscall('statx', AT_FDCWD, Buffer.from(`${path}\0`), AT_STATX_DONT_SYNC, mask, found)
  return statx.decode(found)
}

/** The inode number of an open file on `device`; undefined where it is on another. */
export function inodeOn(device: number, link: string): bigint | undefined {
  const { stx_dev_major, stx_dev_minor } = ask(link, 0)
  // Of a FUSE mount of somebody else's the device is all that may be asked for.
  return makedev(stx_dev_major, stx_dev_minor) === device ? ask(link, STATX_INO).stx_ino : undefined
}

function bpfProgramType(fdinfo: string): number {
  const [, type] = /^prog_type:\t(\d+)$/m.exec(readFileSync(fdinfo, 'latin1')) ?? []
  return Number(type)
}

/** Files without a name on a disk have a link that does not begin with a slash: nobody can give it to another file. */
function kindOfLink(process: string, fd: number): DescriptorKind {
  const link = readlinkSync(`${process}/fd/${fd}`)
  if (link === 'anon_inode:[perf_event]') return { kind: 'kernel event' }
  if (link !== 'anon_inode:bpf-prog') return { kind: 'other' }
  return {
    kind: 'bpf program',
    isForPerfEvents: bpfProgramType(`${process}/fdinfo/${fd}`) === BPF_PROG_TYPE_PERF_EVENT,
  }
}

/** Throws EBADF where the thread has no descriptor of that number; `device` is that of the mount whose files are ours. */
export function kindOfDescriptor(tid: number, fd: number, device: number): DescriptorKind {
  const process = `/proc/${tid}`
  try {
    const ino = inodeOn(device, `${process}/fd/${fd}`)
    return ino === undefined ? kindOfLink(process, fd) : { kind: 'ours', ino }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new ErrnoError('EBADF', undefined, { cause: error })
    throw error
  }
}
