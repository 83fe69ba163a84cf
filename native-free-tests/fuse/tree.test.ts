/** What a served tree does for those who use it, through the client in memory. */
import t from 'tap'
import { ErrnoError } from '../../src/abi/errno.js'
import { O_CREAT, O_RDONLY, O_RDWR, O_WRONLY, POLLIN, POLLOUT } from '../../src/abi/fs.js'

import {
  FOPEN_DIRECT_IO,
  FOPEN_NOFLUSH,
  FOPEN_NONSEEKABLE,
  FOPEN_STREAM,
} from '../../src/abi/fuse-constants.js'
import { _IO, _IOW, _IOWR } from '../../src/abi/ioctl.js'
import { type MemoryClient, memoryClient } from '../../src/fuse/memory.js'
import { Later } from '../../src/kernfs/later.js'
import { errno } from './support/errno.js'
import { sampleTree, TIME } from './support/tree.js'

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

t.test('a file is opened for direct I/O and without FLUSH, a stream without positions', async t => {
  const fs = memoryClient(sampleTree().root)
  t.equal(fs.open('sys/type').openFlags, FOPEN_DIRECT_IO | FOPEN_NOFLUSH)
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
  t.strictSame(stream.ioctl(_IOWR(0x24, 10, 4), text('wxyz')).output, text('abcd'))
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
  t.strictSame(pending[1]?.value(), text('second'))
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

t.test('INTERRUPT ends no wait by a signal that is none for it', async t => {
  const { root, log } = sampleTree()
  const asked: number[] = []
  const isInterrupted = (tid: number) => asked.push(tid) > 1
  const fs = memoryClient(root, {}, { isInterrupted })
  log.isReadable = false
  const pending = fs.open('stream').readLater(24)
  pending.interrupt()
  t.notOk(pending.isDone)
  pending.interrupt()
  t.equal(
    errno(() => pending.value()),
    'EINTR',
  )
  t.strictSame(asked, [1, 1], "the thread's id")
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
