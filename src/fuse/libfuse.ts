/**
 * The tree through the fuse-native package (libfuse 2.9): its table of operations over kernfs nodes. The package
 * itself is loaded and mounted elsewhere.
 *
 * It knows no ioctl, no poll, no caller's id and no interrupt, and every open file has a position. What is left out
 * here libfuse answers with ENOSYS, and the kernel then does without it.
 */
import { ErrnoError, type ErrnoName, errnoNumber, errnoOf } from '../abi/errno.js'
import { W_OK } from '../abi/fs.js'
import { chain, Later, type MaybeLater } from '../kernfs/later.js'
import type { AttributeChange, Directory, OpenFile } from '../kernfs/node.js'
import { changeRefusal, openMask } from '../kernfs/permission.js'
import { getxattrRefusal, kernfsRefusals, mknodRefusal } from '../kernfs/refusals.js'
import { permit } from './connection.js'
import { HandleTable } from './handle-table.js'
import { LibfuseTree, statOf } from './libfuse-tree.js'
import { NAME_MAX } from './request.js'

/** What an operation of fuse-native is given at the end: a result (a negative errno, or 0 or above) and a value. */
export type LibfuseCallback = (result: number, value?: unknown) => void

/** A transfer as fuse-native hands it over: path, handle, memory, length, position. */
type Transfer = [
  path: string,
  fd: number,
  memory: Uint8Array,
  length: number,
  position: number,
  done: LibfuseCallback,
]

/** What the adapter is told. */
export interface LibfuseOptions {
  /** The user who mounts; everything is done in this user's name. */
  readonly owner: { readonly uid: number; readonly gid: number }
  /** Is told of defects of this program: one message each, with the stack. */
  report(message: string): void
}

/**
 * Options for `new Fuse(dir, operations, options)`. It passes on options of its own list only, so the others ride
 * on fsname: without direct_io a second read of a descriptor gives the first one's content, without big_writes
 * 4096 bytes are the most that a write carries, and hard_remove keeps libfuse from renaming what is unlinked.
 */
export const libfuseMountOptions = {
  fsname:
    'pmufs,direct_io,big_writes,hard_remove,use_ino,entry_timeout=0,attr_timeout=0,negative_timeout=0,ac_attr_timeout=0',
  subtype: 'pmufs',
  /** Its own time limit would answer for us. */
  timeout: false,
} as const

const BLOCK_SIZE = 4096
const PERMISSION_BITS = 0o7777
/** A uid or gid of -1, as fuse-native passes it on: leave it as it is. */
const UNCHANGED = 0xffff_ffff

/** What an operation gives beside its result of 0. A number is the result itself, anything else means 0. */
class Answer {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }
}

/** Makes the table of operations that `new Fuse` takes, over a tree. */
export function libfuseOperations(root: Directory, options: LibfuseOptions) {
  const mount: Mount = {
    tree: new LibfuseTree(root, options.owner),
    handles: new HandleTable(),
    answer: answering(options),
  }
  return { ...attributeOperations(mount), ...nameOperations(mount), ...fileOperations(mount) }
}

const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)

interface Mount {
  readonly tree: LibfuseTree
  readonly handles: HandleTable
  /** Runs an operation and hands over what it gives, when that is there. */
  readonly answer: (done: LibfuseCallback, run: () => unknown) => void
}

function answering({ report }: Pick<LibfuseOptions, 'report'>): Mount['answer'] {
  return (done, run) => {
    const fail = (error: unknown) => {
      const code = errnoOf(error)
      if (code === 'EIO' && !(error instanceof ErrnoError)) report(`libfuse: ${describe(error)}`)
      done(-errnoNumber(code))
    }
    const succeed = (outcome: unknown) => {
      if (outcome instanceof Answer) done(0, outcome.value)
      else done(typeof outcome === 'number' ? outcome : 0)
    }
    try {
      const outcome = run()
      if (outcome instanceof Later) outcome.done(succeed, fail)
      else succeed(outcome)
    } catch (error) {
      fail(error)
    }
  }
}

const refuse = (code: ErrnoName): never => {
  throw new ErrnoError(code)
}

const isGiven = (id: number): boolean => id >>> 0 !== UNCHANGED

function attributeOperations({ tree, answer }: Mount) {
  const change = (path: string, asked: AttributeChange) => {
    const node = tree.find(path)
    const refusal = changeRefusal(node.attributes(), tree.caller, asked)
    if (refusal) throw new ErrnoError(refusal.code, refusal.message)
    if (!node.setAttributes) throw new ErrnoError('EPERM')
    node.setAttributes(asked, tree.caller)
  }
  return {
    getattr: (path: string, done: LibfuseCallback) => answer(done, () => new Answer(statOf(tree.find(path)))),
    access: (path: string, mask: number, done: LibfuseCallback) =>
      answer(done, () => permit(tree.find(path).attributes(), tree.caller, mask)),
    statfs: (_path: string, done: LibfuseCallback) =>
      answer(done, () => new Answer({ bsize: BLOCK_SIZE, frsize: BLOCK_SIZE, namemax: NAME_MAX })),
    chmod: (path: string, mode: number, done: LibfuseCallback) =>
      answer(done, () => change(path, { mode: mode & PERMISSION_BITS })),
    chown: (path: string, uid: number, gid: number, done: LibfuseCallback) =>
      answer(done, () => {
        change(path, { ...(isGiven(uid) && { uid }), ...(isGiven(gid) && { gid }) })
      }),
    utimens: (path: string, _atime: number, mtime: number, done: LibfuseCallback) =>
      answer(done, () => change(path, { time: mtime })),
    truncate: (path: string, size: number, done: LibfuseCallback) =>
      answer(done, () => change(path, { size })),
    getxattr: (...[path, name, , done]: [string, string, number, LibfuseCallback]) =>
      answer(done, () => {
        tree.find(path)
        refuse(getxattrRefusal(name))
      }),
    setxattr: (...[path, , , , , done]: [string, string, Uint8Array, number, number, LibfuseCallback]) =>
      answer(done, () => {
        permit(tree.find(path).attributes(), tree.caller, W_OK)
        refuse(kernfsRefusals.setxattr)
      }),
  }
}

function nameOperations({ tree, answer }: Mount) {
  /** Refused, but after the permission on the folder. */
  const refused = (path: string, code: ErrnoName, done: LibfuseCallback) =>
    answer(done, () => {
      tree.place(path)
      refuse(code)
    })
  return {
    readlink: (path: string, done: LibfuseCallback) =>
      answer(done, () => {
        const node = tree.find(path)
        return node.kind === 'symlink' ? new Answer(node.readlink()) : refuse('EINVAL')
      }),
    readdir: (path: string, done: LibfuseCallback) =>
      answer(done, () => {
        const names = tree
          .directory(path)
          .entries(tree.caller)
          .map(({ name }) => name)
        return new Answer(['.', '..', ...names])
      }),
    mkdir: (path: string, mode: number, done: LibfuseCallback) =>
      answer(done, () => {
        const { directory, name } = tree.place(path)
        if (!directory.mkdir) throw new ErrnoError(kernfsRefusals.mkdir)
        directory.mkdir(name, mode & PERMISSION_BITS, tree.caller)
      }),
    rmdir: (path: string, done: LibfuseCallback) =>
      answer(done, () => {
        const { directory, name } = tree.place(path)
        return directory.rmdir ? directory.rmdir(name, tree.caller) : refuse(kernfsRefusals.rmdir)
      }),
    unlink: (path: string, done: LibfuseCallback) => refused(path, kernfsRefusals.unlink, done),
    create: (path: string, _mode: number, done: LibfuseCallback) =>
      refused(path, kernfsRefusals.create, done),
    mknod: (path: string, mode: number, _device: number, done: LibfuseCallback) =>
      refused(path, mknodRefusal(mode), done),
    rename: (from: string, _to: string, done: LibfuseCallback) => refused(from, kernfsRefusals.rename, done),
    link: (_from: string, to: string, done: LibfuseCallback) => refused(to, kernfsRefusals.link, done),
    symlink: (_target: string, path: string, done: LibfuseCallback) =>
      refused(path, kernfsRefusals.symlink, done),
    fsyncdir: (_path: string, _fd: number, _datasync: number, done: LibfuseCallback) =>
      answer(done, () => refuse(kernfsRefusals.fsyncdir)),
  }
}

function fill(memory: Uint8Array, data: Uint8Array): number {
  memory.set(data)
  return data.length
}

function fileOperations({ tree, handles, answer }: Mount) {
  const fileOf = (fd: number): OpenFile => handles.file(BigInt(fd)).file
  const opened = (file: OpenFile) => new Answer(Number(handles.openFile(file)))
  const open = (path: string, flags: number): MaybeLater<Answer> => {
    const file = tree.file(path)
    permit(file.attributes(), tree.caller, openMask(flags))
    const result = file.open(flags, tree.caller)
    return chain(result, opened)
  }
  return {
    open: (path: string, flags: number, done: LibfuseCallback) => answer(done, () => open(path, flags)),
    read: (...[, fd, memory, length, position, done]: Transfer) =>
      answer(done, () => {
        const file = fileOf(fd)
        const data = file.read(file.isStream ? 0 : position, length, tree.caller)
        return chain(data, piece => fill(memory, piece.subarray(0, length)))
      }),
    write: (...[, fd, memory, length, position, done]: Transfer) =>
      answer(done, () => {
        const file = fileOf(fd)
        return file.write(file.isStream ? 0 : position, memory.subarray(0, length), tree.caller)
      }),
    release: (_path: string, fd: number, done: LibfuseCallback) =>
      answer(done, () => handles.release(BigInt(fd))),
  }
}
