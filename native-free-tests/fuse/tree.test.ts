/** What a served tree does for those who use it, through the client in memory. */
import t from 'tap'
import { ErrnoError } from '../../src/abi/errno.js'
import {
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  POLLIN,
  POLLOUT,
  R_OK,
  W_OK,
  X_OK,
} from '../../src/abi/fs.js'
import {
  fuse_create_in,
  fuse_fsync_in,
  fuse_getxattr_in,
  fuse_link_in,
  fuse_mknod_in,
  fuse_rename_in,
  fuse_rename2_in,
  fuse_setattr_in,
  fuse_setxattr_in_compat,
} from '../../src/abi/fuse.js'
import {
  FATTR_MTIME_NOW,
  FOPEN_DIRECT_IO,
  FOPEN_NOFLUSH,
  FOPEN_NONSEEKABLE,
  FOPEN_STREAM,
  type FuseOpcodeName,
} from '../../src/abi/fuse-constants.js'
import { _IO, _IOW, _IOWR } from '../../src/abi/ioctl.js'
import { type MemoryClient, memoryClient } from '../../src/fuse/memory.js'
import { Later } from '../../src/kernfs/later.js'
import { sampleTree, TIME } from './support/tree.js'

/** The errno's name that an operation fails with, or 'ok'. */
function errno(operation: () => unknown): string {
  try {
    operation()
    return 'ok'
  } catch (error) {
    if (error instanceof ErrnoError) return error.code
    throw error
  }
}

const text = (value: string) => new TextEncoder().encode(value)

t.test('read() gives the content, through links too', async t => {
  const fs = memoryClient(sampleTree().root)
  t.equal(fs.read('sys/type'), '4096\n')
  t.equal(fs.read('sys/link'), '4096\n')
  t.equal(fs.readlink('sys/link'), '../sys/type')
  t.equal(
    errno(() => fs.read('sys/loop')),
    'ELOOP',
  )
  t.equal(
    errno(() => fs.read('sys/none')),
    'ENOENT',
  )
  t.equal(
    errno(() => fs.read('sys/type/x')),
    'ENOTDIR',
  )
  t.equal(
    errno(() => fs.read('sys')),
    'EISDIR',
  )
})

t.test('write() reaches the file', async t => {
  const fs = memoryClient(sampleTree().root)
  t.equal(fs.write('sys/level', 'two\n'), 4)
  t.equal(fs.read('sys/level'), 'two\n')
})

t.test('stat() gives what the node claims', async t => {
  const fs = memoryClient(sampleTree().root)
  t.match(fs.stat('sys/type'), { mode: 0o100444, nlink: 1, size: 4096n, blocks: 0n, blksize: 4096 })
  t.match(fs.stat(''), { ino: 1n, mode: 0o40755, nlink: 5, size: 0n })
  t.match(fs.lstat('sys/link'), { mode: 0o120777 })
  t.match(fs.stat('stream'), { mtime: BigInt(TIME - 250) / 1000n, mtimensec: 250_000_000 })
})

t.test('a listing is a snapshot that shows each name once, whatever comes and goes', async t => {
  const { root, names } = sampleTree()
  const fs = memoryClient(root)
  t.strictSame(fs.readdir(''), ['sys', 'stream', 'defect', 'handles', 'many'])
  names.push(...Array.from({ length: 1000 }, (_, i) => `a rather long name of number ${i}`))
  t.strictSame(fs.readdir('many'), names, 'over many replies')
})

t.test('the kernel forgets every node that it looked up, and releases what it opened', async t => {
  const { root } = sampleTree()
  const fs = memoryClient(root)
  fs.read('sys/link')
  fs.readdir('many')
  fs.mkdir('handles/x')
  errno(() => fs.read('sys/none'))
  errno(() => fs.write('sys/type', 'x'))
  t.strictSame(fs.wire.server.held, { nodes: 0, handles: 0, parked: 0 })
  const file = fs.open('sys/type')
  t.strictSame(fs.wire.server.held, { nodes: 2, handles: 1, parked: 0 })
  file.close()
  t.strictSame(fs.wire.server.held, { nodes: 0, handles: 0, parked: 0 })
  t.strictSame(fs.wire.strays, [])
})

t.test('each lookup counts, and a node that was forgotten is ESTALE', async t => {
  const { root } = sampleTree()
  const { wire } = memoryClient(root)
  const nodeid = root.lookup('sys', { uid: 0, gid: 0, tid: 1 })?.ino ?? 0n
  const lookup = () => wire.request({ opcode: 'FUSE_LOOKUP', nodeid: 1n, parts: ['sys'] }).value()
  const number = (value: bigint) => new Uint8Array(BigUint64Array.of(value).buffer)
  const access = () =>
    errno(() => wire.request({ opcode: 'FUSE_ACCESS', nodeid, parts: [number(0n)] }).value())
  lookup()
  lookup()
  lookup()
  wire.request({ opcode: 'FUSE_FORGET', nodeid, parts: [number(2n)] })
  t.equal(access(), 'ok')
  wire.request({
    opcode: 'FUSE_BATCH_FORGET',
    parts: [number(2n), number(99n), number(1n), number(nodeid), number(1n)],
  })
  t.equal(access(), 'ESTALE')
  wire.request({ opcode: 'FUSE_FORGET', nodeid: 1n, parts: [number(100n)] })
  lookup()
  t.equal(access(), 'ok', 'the root is never forgotten')
})

t.test('a file is opened for direct I/O, a stream without positions and without FLUSH', async t => {
  const fs = memoryClient(sampleTree().root)
  t.equal(fs.open('sys/type').openFlags, FOPEN_DIRECT_IO)
  const stream = fs.open('stream', O_RDWR)
  t.equal(stream.openFlags, FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE | FOPEN_STREAM | FOPEN_NOFLUSH)
  t.equal(
    errno(() => stream.read(8, 0)),
    'ESPIPE',
  )
  t.equal(
    errno(() => stream.write('x')),
    'EINVAL',
  )
})

t.test('ioctl() passes numbers and memory as the command says, and gives the result', async t => {
  const { root, log } = sampleTree()
  const fs = memoryClient(root)
  const stream = fs.open('stream')
  t.equal(stream.ioctl(_IO(0x24, 2), 5).result, 7)
  t.equal(stream.ioctl(_IOW(0x24, 4, 8), text('abcdefghij')).output.length, 0)
  t.strictSame(stream.ioctl(_IOWR(0x24, 10, 4), text('wxyz')).output, Buffer.from('abcd'))
  t.strictSame(log.calls, [
    'ioctl 2402 5 [] 0',
    'ioctl 40082404 0 [97,98,99,100,101,102,103,104] 0',
    'ioctl c004240a 0 [119,120,121,122] 4',
  ])
  t.equal(
    errno(() => fs.open('sys/type').ioctl(_IO(0x24, 0))),
    'ENOTTY',
  )
})

t.test('a read that must wait is parked, and answered when it settles', async t => {
  const { root, log } = sampleTree()
  const fs = memoryClient(root)
  log.isReadable = false
  const first = fs.open('stream')
  const second = fs.open('stream')
  const pending = [first.readLater(24), second.readLater(24)]
  t.strictSame(
    pending.map(({ isDone }) => isDone),
    [false, false],
  )
  t.equal(fs.wire.server.held.parked, 2)
  t.equal(fs.read('sys/type'), '4096\n', 'nobody else waits')
  log.waiting[1]?.resolve(text('second'))
  t.strictSame(
    pending.map(({ isDone }) => isDone),
    [false, true],
  )
  log.waiting[0]?.reject(new ErrnoError('ETIMEDOUT'))
  t.equal(
    errno(() => pending[0]?.value()),
    'ETIMEDOUT',
  )
  t.strictSame(pending[1]?.value(), Buffer.from('second'))
  t.equal(fs.wire.server.held.parked, 0)
})

t.test('INTERRUPT ends a parked request with EINTR once, and any other is ignored', async t => {
  const { root, log } = sampleTree()
  const fs = memoryClient(root)
  log.isReadable = false
  const pending = fs.open('stream').readLater(24)
  pending.interrupt()
  t.equal(
    errno(() => pending.value()),
    'EINTR',
  )
  t.strictSame(log.calls, ['read 0 24', 'withdrawn'])
  log.waiting[0]?.resolve(text('too late'))
  pending.interrupt()
  t.strictSame(fs.wire.strays, [])
})

for (const [how, end] of [
  ['DESTROY', (fs: MemoryClient) => fs.wire.request({ opcode: 'FUSE_DESTROY' }).value()],
  ['close()', (fs: MemoryClient) => fs.wire.server.close()],
] as const) {
  t.test(`${how} gives parked requests up with ECONNABORTED`, async t => {
    const { root, log } = sampleTree()
    const fs = memoryClient(root)
    log.isReadable = false
    const pending = fs.open('stream').readLater(24)
    end(fs)
    t.equal(
      errno(() => pending.value()),
      'ECONNABORTED',
    )
  })
}

t.test('close() releases every open file once', async t => {
  const { root, log } = sampleTree()
  const fs = memoryClient(root)
  fs.open('stream')
  fs.open('stream')
  fs.wire.server.close()
  fs.wire.server.close()
  t.strictSame(log.calls, ['release', 'release'])
})

t.test('poll() wakes a sleeper once, and not after release', async t => {
  const { root, log } = sampleTree()
  const fs = memoryClient(root)
  log.isReadable = false
  const file = fs.open('stream')
  t.equal(file.poll(POLLIN), 0)
  t.equal(log.wake, undefined, 'nobody sleeps')
  t.equal(file.poll(POLLIN, true), 0)
  const { wake } = log
  t.equal(file.poll(POLLIN, true), 0)
  t.equal(log.wake, wake, 'one function for a handle, so that a list of sleepers does not grow')
  log.isReadable = true
  wake?.()
  wake?.()
  t.equal(file.wakes, 1)
  t.equal(file.poll(POLLIN, true), POLLIN)
  file.close()
  wake?.()
  t.equal(file.wakes, 1)
  t.equal(fs.open('sys/type').poll(POLLIN | POLLOUT) & (POLLIN | POLLOUT), POLLIN | POLLOUT)
})

t.test('a defect is answered with EIO and reported with its stack', async t => {
  const fs = memoryClient(sampleTree().root)
  t.equal(
    errno(() => fs.read('defect')),
    'EIO',
  )
  t.equal(fs.wire.reports.length, 1)
  t.match(fs.wire.reports[0], /FUSE_READ failed: TypeError: a defect\n +at /)
})

t.test(
  'what kernfs does not have is refused as kernfs refuses it, after the permission on the folder',
  async t => {
    const fs = memoryClient(sampleTree().root)
    const zeros = (size: number) => new Uint8Array(size)
    const mknod = (mode: number) => fuse_mknod_in.encode({ mode })
    const rows: [string, FuseOpcodeName, (Uint8Array | string)[], string, string][] = [
      ['open(O_CREAT)', 'FUSE_CREATE', [fuse_create_in.encode({}), 'x'], 'EACCES', 'EACCES'],
      ['mknod of a file', 'FUSE_MKNOD', [mknod(0o100644), 'x'], 'EACCES', 'EACCES'],
      ['mkfifo', 'FUSE_MKNOD', [mknod(0o010644), 'x'], 'EPERM', 'EACCES'],
      ['O_TMPFILE', 'FUSE_TMPFILE', [fuse_create_in.encode({}), '/'], 'EOPNOTSUPP', 'EACCES'],
      ['mkdir', 'FUSE_MKDIR', [zeros(8), 'x'], 'EPERM', 'EACCES'],
      ['rmdir', 'FUSE_RMDIR', ['x'], 'EPERM', 'EACCES'],
      ['unlink', 'FUSE_UNLINK', ['type'], 'EPERM', 'EACCES'],
      ['symlink', 'FUSE_SYMLINK', ['x', '/a/target'], 'EPERM', 'EACCES'],
      ['link', 'FUSE_LINK', [fuse_link_in.encode({}), 'x'], 'EPERM', 'EACCES'],
      ['rename', 'FUSE_RENAME', [fuse_rename_in.encode({}), 'type', 'x'], 'EPERM', 'EACCES'],
      ['renameat2', 'FUSE_RENAME2', [fuse_rename2_in.encode({}), 'type', 'x'], 'EPERM', 'EACCES'],
      ['fallocate', 'FUSE_FALLOCATE', [zeros(32)], 'EOPNOTSUPP', 'EOPNOTSUPP'],
      ['fsync of a folder', 'FUSE_FSYNCDIR', [fuse_fsync_in.encode({})], 'EINVAL', 'EINVAL'],
      [
        'setxattr',
        'FUSE_SETXATTR',
        [fuse_setxattr_in_compat.encode({}), 'user.a', zeros(1)],
        'EOPNOTSUPP',
        'EACCES',
      ],
      ['removexattr', 'FUSE_REMOVEXATTR', ['user.a'], 'EOPNOTSUPP', 'EACCES'],
      ['getxattr user.', 'FUSE_GETXATTR', [fuse_getxattr_in.encode({}), 'user.a'], 'ENODATA', 'ENODATA'],
      [
        'getxattr of an ACL',
        'FUSE_GETXATTR',
        [fuse_getxattr_in.encode({}), 'system.x'],
        'EOPNOTSUPP',
        'EOPNOTSUPP',
      ],
      ['listxattr', 'FUSE_LISTXATTR', [fuse_getxattr_in.encode({})], 'ok', 'ok'],
    ]
    const asked = (uid: number) =>
      rows.map(([what, opcode, parts]) => [
        what,
        errno(() =>
          fs.wire.request({ opcode, nodeid: 1n, caller: { uid, gid: uid, tid: 1 }, parts }).value(),
        ),
      ])
    t.strictSame(
      asked(0),
      rows.map(([what, , , root]) => [what, root]),
    )
    t.strictSame(
      asked(1000),
      rows.map(([what, , , , user]) => [what, user]),
    )
  },
)

t.test('write() to a name that is missing fails with EACCES, as in sysfs', async t => {
  const fs = memoryClient(sampleTree().root)
  t.equal(
    errno(() => fs.write('sys/none', 'x')),
    'EACCES',
  )
  t.equal(
    errno(() => fs.open('sys/none', O_WRONLY)),
    'ENOENT',
  )
  t.equal(
    errno(() => fs.open('sys/type', O_CREAT | O_RDONLY)),
    'ok',
  )
})

t.test('mkdir() and rmdir() do what the folder means by them', async t => {
  const fs = memoryClient(sampleTree().root)
  fs.mkdir('handles/boot')
  t.strictSame(fs.readdir('handles'), ['boot'])
  t.equal(
    errno(() => fs.mkdir('handles/\uFFFD')),
    'EILSEQ',
  )
  fs.rmdir('handles/boot')
  t.strictSame(fs.readdir('handles'), [])
  t.equal(
    errno(() => fs.rmdir('handles/boot')),
    'ENOENT',
  )
  t.equal(
    errno(() => fs.unlink('sys/type')),
    'EPERM',
  )
})

t.test('rmdir() may take time', async t => {
  const later = new Later<void>()
  const { root } = sampleTree()
  const handles = root.lookup('handles', { uid: 0, gid: 0, tid: 1 })
  if (handles?.kind !== 'directory') throw new Error('no folder')
  handles.rmdir = () => later
  const fs = memoryClient(root)
  const pending = fs.rmdirLater('handles/x')
  t.equal(pending.isDone, false)
  later.resolve()
  t.equal(
    errno(() => pending.value()),
    'ok',
  )
})

t.test('permissions: owner and mode decide over search, open, access and listing', async t => {
  const fs = memoryClient(sampleTree().root)
  const user = fs.as({ uid: 1000, gid: 1000 })
  const asked = (who: MemoryClient) => ({
    read: errno(() => who.read('sys/type')),
    write: errno(() => who.write('sys/level', 'x')),
    'write to 0444': errno(() => who.open('sys/type', O_WRONLY)),
    'truncate at open': errno(() => who.open('sys/level', O_RDONLY | O_TRUNC)),
    'open 0600': errno(() => who.open('stream')),
    'search 0700': errno(() => who.stat('handles/x')),
    'list 0700': errno(() => who.readdir('handles')),
    'mkdir in 0755': errno(() => who.mkdir('sys/x')),
    'access r': errno(() => who.access('sys/level', R_OK)),
    'access w': errno(() => who.access('sys/level', W_OK)),
    'access x of a file': errno(() => who.access('sys/level', X_OK)),
    'access x of a folder': errno(() => who.access('sys', X_OK)),
    chmod: errno(() => who.change('sys/level', { mode: 0o644 })),
    chown: errno(() => who.change('sys/level', { uid: 0 })),
    truncate: errno(() => who.change('sys/level', { size: 0 })),
  })
  t.strictSame(asked(fs), {
    read: 'ok',
    write: 'ok',
    'write to 0444': 'EACCES',
    'truncate at open': 'ok',
    'open 0600': 'ok',
    'search 0700': 'ENOENT',
    'list 0700': 'ok',
    'mkdir in 0755': 'EPERM',
    'access r': 'ok',
    'access w': 'ok',
    'access x of a file': 'EACCES',
    'access x of a folder': 'ok',
    chmod: 'ok',
    chown: 'ok',
    truncate: 'ok',
  })
  t.strictSame(asked(user), {
    read: 'ok',
    write: 'EACCES',
    'write to 0444': 'EACCES',
    'truncate at open': 'EACCES',
    'open 0600': 'EACCES',
    'search 0700': 'EACCES',
    'list 0700': 'EACCES',
    'mkdir in 0755': 'EACCES',
    'access r': 'ok',
    'access w': 'EACCES',
    'access x of a file': 'EACCES',
    'access x of a folder': 'ok',
    chmod: 'EPERM',
    chown: 'EPERM',
    truncate: 'EACCES',
  })
})

t.test('touch needs the owner or the right to write', async t => {
  const fs = memoryClient(sampleTree().root)
  const touch = (uid: number) => {
    const nodeid = fs.stat('sys/level').ino
    fs.wire.request({ opcode: 'FUSE_LOOKUP', nodeid: 1n, parts: ['sys'] }).value()
    fs.wire.request({ opcode: 'FUSE_LOOKUP', nodeid: fs.stat('sys').ino, parts: ['level'] }).value()
    const parts = [fuse_setattr_in.encode({ valid: FATTR_MTIME_NOW })]
    const caller = { uid, gid: uid, tid: 1 }
    return errno(() => fs.wire.request({ opcode: 'FUSE_SETATTR', nodeid, caller, parts }).value())
  }
  t.equal(touch(0), 'ok')
  t.equal(touch(1000), 'EACCES')
  fs.change('sys/level', { mode: 0o666 })
  t.equal(touch(1000), 'ok')
})

t.test('without allow_other only the owner and root enter, and what is open stays usable', async t => {
  const { root } = sampleTree()
  const owner = memoryClient(root, { uid: 1000 }, { owner: { uid: 1000, gid: 1000 }, allowOther: false })
  const stranger = owner.as({ uid: 1001 })
  t.equal(owner.read('sys/type'), '4096\n')
  t.equal(owner.as({ uid: 0 }).read('sys/type'), '4096\n')
  t.equal(
    errno(() => stranger.stat('')),
    'EACCES',
  )
  t.equal(
    errno(() => stranger.read('sys/type')),
    'EACCES',
  )
  t.equal(
    errno(() => stranger.readdir('')),
    'EACCES',
  )

  const stream = owner.as({ uid: 0 }).open('stream').as({ uid: 1001, gid: 1001, tid: 5 })
  t.equal(stream.readText(8), '12345678', 'a descriptor that was passed on survives setuid')
  t.equal(stream.ioctl(_IO(0x24, 0)).result, 7)
  t.equal(stream.poll(POLLIN), POLLIN)
  stream.close()
  t.equal(owner.wire.server.held.handles, 0)
})
