/** Who may do what in a served tree, through the client in memory. */
import t from 'tap'

import { O_RDONLY, O_TRUNC, O_WRONLY, POLLIN, R_OK, W_OK, X_OK } from '../../src/abi/fs.js'
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
import { FATTR_MTIME_NOW, type FuseOpcodeName } from '../../src/abi/fuse-constants.js'
import { _IO } from '../../src/abi/ioctl.js'
import { type MemoryClient, memoryClient } from '../../src/fuse/memory.js'

import { errno } from './support/errno.js'
import { sampleTree } from './support/tree.js'

t.test('what kernfs lacks is refused as kernfs refuses it, after the permission on the folder', async t => {
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
      errno(() => fs.wire.request({ opcode, nodeid: 1n, caller: { uid, gid: uid, tid: 1 }, parts }).value()),
    ])
  t.strictSame(
    asked(0),
    rows.map(([what, , , root]) => [what, root]),
  )
  t.strictSame(
    asked(1000),
    rows.map(([what, , , , user]) => [what, user]),
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
