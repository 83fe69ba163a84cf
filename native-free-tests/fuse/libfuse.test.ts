/** The table of operations that fuse-native calls. */
import t from 'tap'
import { errnoName } from '../../src/abi/errno.js'
import { O_RDONLY, O_RDWR, O_WRONLY } from '../../src/abi/fs.js'
import { type LibfuseCallback, libfuseMountOptions, libfuseOperations } from '../../src/fuse/libfuse.js'
import { sampleTree } from './support/tree.js'

type Answer = { result: number | string; value?: unknown }

/** Runs one operation: its answer, with the error's name where it is one; undefined while there is none. */
function call(operation: (done: LibfuseCallback) => void): Answer | undefined {
  let answer: Answer | undefined
  operation((result, value) => {
    answer = {
      result: result < 0 ? (errnoName(-result) ?? result) : result,
      ...(value !== undefined && { value }),
    }
  })
  return answer
}

function mount(owner = { uid: 0, gid: 0 }) {
  const sample = sampleTree()
  const reports: string[] = []
  const ops = libfuseOperations(sample.root, { owner, report: message => reports.push(message) })
  const open = (path: string, flags: number) => Number(call(done => ops.open(path, flags, done))?.value)
  return { ...sample, ops, open, reports }
}

t.test('getattr, readlink, readdir and statfs give what the nodes claim', async t => {
  const { ops } = mount()
  t.match(
    call(done => ops.getattr('/sys/type', done)),
    {
      result: 0,
      value: { mode: 0o100444, size: 4096, nlink: 1, blksize: 4096, uid: 0, gid: 0 },
    },
  )
  t.match(
    call(done => ops.getattr('/', done)),
    { value: { mode: 0o40755, ino: 1 } },
  )
  t.strictSame(
    call(done => ops.readlink('/sys/link', done)),
    { result: 0, value: '../sys/type' },
  )
  t.strictSame(
    call(done => ops.readdir('/sys', done)),
    {
      result: 0,
      value: ['.', '..', 'type', 'level', 'link', 'loop'],
    },
  )
  t.strictSame(
    call(done => ops.statfs('/', done)),
    {
      result: 0,
      value: { bsize: 4096, frsize: 4096, namemax: 255 },
    },
  )
})

t.test('a path that leads nowhere fails as the kernel has it', async t => {
  const { ops } = mount()
  const result = (path: string) => call(done => ops.getattr(path, done))?.result
  t.equal(result('/none'), 'ENOENT')
  t.equal(result('/sys/type/x'), 'ENOTDIR')
  t.equal(result(`/${'x'.repeat(256)}`), 'ENOENT', 'as in kernfs')
  t.equal(call(done => ops.readlink('/sys', done))?.result, 'EINVAL')
  t.equal(call(done => ops.readdir('/sys/type', done))?.result, 'ENOTDIR')
  t.equal(call(done => ops.open('/sys', O_RDONLY, done))?.result, 'EISDIR')
})

t.test('read and write move bytes and give their number', async t => {
  const { ops, open } = mount()
  const memory = new Uint8Array(64)
  const fd = open('/sys/level', O_RDWR)
  memory.set(new TextEncoder().encode('two\nrubbish'))
  t.strictSame(
    call(done => ops.write('', fd, memory, 4, 0, done)),
    { result: 4 },
  )
  memory.fill(0)
  t.strictSame(
    call(done => ops.read('', fd, memory, 64, 0, done)),
    { result: 4 },
  )
  t.equal(new TextDecoder().decode(memory.subarray(0, 4)), 'two\n')
  t.strictSame(
    call(done => ops.read('', fd, memory, 64, 4, done)),
    { result: 0 },
  )
  t.strictSame(
    call(done => ops.release('', fd, done)),
    { result: 0 },
  )
  t.equal(call(done => ops.read('', fd, memory, 64, 0, done))?.result, 'EBADF')
})

t.test('a stream is read without position, and a read that must wait is answered later', async t => {
  const { ops, open, log } = mount()
  const memory = new Uint8Array(8)
  const fd = open('/stream', O_RDONLY)
  t.strictSame(
    call(done => ops.read('', fd, memory, 8, 4096, done)),
    { result: 8 },
  )
  t.strictSame(log.calls, ['read 0 8'])
  log.isReadable = false
  const results: number[] = []
  ops.read('', fd, memory, 8, 0, result => results.push(result))
  t.strictSame(results, [])
  log.waiting[0]?.resolve(new TextEncoder().encode('later'))
  t.strictSame(results, [5])
})

t.test('open is judged in the name of the user who mounts', async t => {
  const user = mount({ uid: 1000, gid: 1000 }).ops
  t.equal(call(done => user.open('/sys/level', O_WRONLY, done))?.result, 'EACCES')
  t.equal(call(done => user.getattr('/handles/x', done))?.result, 'EACCES')
  t.equal(call(done => user.access('/sys/level', 2, done))?.result, 'EACCES')
  t.equal(call(done => user.mkdir('/handles/x', 0o755, done))?.result, 'EACCES')
  t.equal(call(done => user.chmod('/sys/level', 0o666, done))?.result, 'EPERM')
})

t.test('folders are made and removed where that means something', async t => {
  const { ops } = mount()
  t.equal(call(done => ops.mkdir('/handles/x', 0o755, done))?.result, 0)
  t.equal(call(done => ops.rmdir('/handles/x', done))?.result, 0)
  t.equal(call(done => ops.rmdir('/handles/x', done))?.result, 'ENOENT')
  t.equal(call(done => ops.mkdir('/sys/x', 0o755, done))?.result, 'EPERM')
})

t.test('what kernfs does not have is refused as kernfs refuses it', async t => {
  const { ops } = mount()
  const bytes = new Uint8Array(1)
  t.strictSame(
    Object.entries({
      create: call(done => ops.create('/sys/x', 0o644, done)),
      mkfifo: call(done => ops.mknod('/sys/x', 0o010644, 0, done)),
      unlink: call(done => ops.unlink('/sys/type', done)),
      rmdir: call(done => ops.rmdir('/sys', done)),
      rename: call(done => ops.rename('/sys/type', '/sys/x', done)),
      link: call(done => ops.link('/sys/type', '/sys/x', done)),
      symlink: call(done => ops.symlink('target', '/sys/x', done)),
      fsyncdir: call(done => ops.fsyncdir('/sys', 0, 0, done)),
      getxattr: call(done => ops.getxattr('/sys', 'user.a', 0, done)),
      setxattr: call(done => ops.setxattr('/sys', 'user.a', bytes, 0, 0, done)),
    }).map(([what, answer]) => `${what} ${answer?.result}`),
    [
      'create EACCES',
      'mkfifo EPERM',
      'unlink EPERM',
      'rmdir EPERM',
      'rename EPERM',
      'link EPERM',
      'symlink EPERM',
      'fsyncdir EINVAL',
      'getxattr ENODATA',
      'setxattr EOPNOTSUPP',
    ],
  )
})

t.test('attributes change as asked, and -1 leaves an id as it is', async t => {
  const { ops } = mount()
  t.equal(call(done => ops.chmod('/sys/level', 0o100600, done))?.result, 0)
  t.equal(call(done => ops.chown('/sys/level', 5, 0xffff_ffff, done))?.result, 0)
  t.equal(call(done => ops.utimens('/sys/level', 1, 2000, done))?.result, 0)
  t.equal(call(done => ops.truncate('/sys/level', 0, done))?.result, 0)
  t.match(
    call(done => ops.getattr('/sys/level', done)),
    {
      value: { mode: 0o100600, uid: 5, gid: 0, mtime: 2000, size: 4096 },
    },
  )
})

t.test('a defect is answered with EIO and reported with its stack', async t => {
  const { ops, open, reports } = mount()
  const fd = open('/defect', O_RDONLY)
  t.equal(call(done => ops.read('', fd, new Uint8Array(8), 8, 0, done))?.result, 'EIO')
  t.match(reports, [/^libfuse: TypeError: a defect\n +at /])
})

t.test('the mount options make every read and every attribute fresh', async t => {
  const options = libfuseMountOptions.fsname.split(',')
  for (const option of ['pmufs', 'direct_io', 'big_writes', 'entry_timeout=0', 'attr_timeout=0'])
    t.ok(options.includes(option), option)
})
