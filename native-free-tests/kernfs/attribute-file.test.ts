import fc from 'fast-check'
import t from 'tap'
import { ErrnoError } from '../../src/abi/errno.js'
import {
  O_APPEND,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  POLLERR,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDNORM,
  POLLWRNORM,
} from '../../src/abi/fs.js'
import { type AttributeFileOptions, attributeFile } from '../../src/kernfs/attribute-file.js'
import { Later } from '../../src/kernfs/later.js'
import { atOnce, cat, echo, errnoFrom, open, owner, pread, pwrite, root, user } from './support/open.js'

const file = (options: Partial<AttributeFileOptions>) => attributeFile({ owner, mode: 0o644, ...options })

/** An attribute whose content says how often it was made. */
function counting() {
  let shows = 0
  return file({ show: () => `show ${++shows}\n` })
}

t.test('open() lets the mode bits bind root: each access mode on 0444, 0200, 0644 and 0000', async t => {
  const modes = {
    O_RDONLY,
    O_WRONLY,
    O_RDWR,
    'O_RDONLY|O_TRUNC': O_TRUNC,
    'O_RDONLY|O_APPEND': O_APPEND,
    3: 3,
  }
  const results = (mode: number) =>
    Object.fromEntries(
      Object.entries(modes).map(([name, flags]) => [name, errnoFrom(() => open(file({ mode }), flags))]),
    )
  const all = { O_RDONLY: 'ok', 'O_RDONLY|O_TRUNC': 'ok', 'O_RDONLY|O_APPEND': 'ok', 3: 'ok' }
  t.match(results(0o444), { ...all, O_WRONLY: 'EACCES', O_RDWR: 'EACCES' })
  t.match(results(0o644), { ...all, O_WRONLY: 'ok', O_RDWR: 'ok' })
  t.match(results(0o200), { O_RDONLY: 'EACCES', O_WRONLY: 'ok', O_RDWR: 'EACCES', 3: 'ok' })
  t.match(results(0), { O_RDONLY: 'EACCES', O_WRONLY: 'EACCES', O_RDWR: 'EACCES', 3: 'ok' })
})

t.test('attributes() claims size 4096 and one link, whatever the content', async t => {
  t.match(file({ show: () => '' }).attributes(), { size: 4096 })
  t.match(file({ show: () => 'x' }).attributes(), { mode: 0o100644, size: 4096, nlink: 1, uid: 0, gid: 0 })
})

t.test('setAttributes() remembers chmod, chown and utime, and accepts a size without keeping it', async t => {
  const node = file({ mode: 0o444 })
  node.setAttributes?.({ mode: 0o106755, uid: 1, gid: 2, size: 0, time: 1000 }, root)
  t.same(node.attributes(), { mode: 0o106755, uid: 1, gid: 2, size: 4096, nlink: 1, time: 1000 })
  node.setAttributes?.({ gid: 3 }, root)
  t.match(node.attributes(), { mode: 0o106755, uid: 1, gid: 3, time: 1000 }, 'absent fields stay')
})

t.test('after chmod u+w on a show-only attribute open() succeeds and write() fails with EIO', async t => {
  const node = file({ mode: 0o444, show: () => 'x\n' })
  t.equal(
    errnoFrom(() => open(node, O_WRONLY)),
    'EACCES',
  )
  node.setAttributes?.({ mode: 0o644 }, root)
  const fd = open(node, O_WRONLY)
  t.equal(
    errnoFrom(() => pwrite(fd, '5')),
    'EIO',
  )
  t.equal(pwrite(fd, ''), 0, 'an empty write returns 0 all the same')
})

t.test('after chmod u+r on a store-only attribute read() fails with EIO', async t => {
  const node = file({ mode: 0o200, store: () => {} })
  node.setAttributes?.({ mode: 0o600 }, root)
  t.equal(
    errnoFrom(() => cat(node)),
    'EIO',
  )
})

t.test('read() makes the content once for a pass, and anew after lseek(0) or a jump', async t => {
  const fd = open(counting())
  t.equal(pread(fd, 0, 4), 'show')
  t.equal(pread(fd, 4, 100), ' 1\n', 'going on serves what was made')
  t.equal(pread(fd, 7, 100), '', 'the end')
  t.equal(pread(fd, 7, 100), '', 'the end again, without making anything')
  t.equal(pread(fd, 0, 100), 'show 2\n', 'lseek(0)')
  t.equal(pread(fd, 5, 100), '3\n', 'a jump')
  t.equal(pread(fd, 4096, 10), '', 'beyond the end is EOF')
})

t.test('read() at an offset first, before any read at 0, gives that part', async t => {
  t.equal(pread(open(counting()), 5), '1\n')
})

t.test('each open file has its own content', async t => {
  const node = counting()
  const [a, b] = [open(node), open(node)]
  t.equal(pread(a, 0, 4), 'show')
  t.equal(pread(b, 0, 100), 'show 2\n')
  t.equal(pread(a, 4, 100), ' 1\n')
})

t.test('read() in pieces of any size gives the whole text, and at any offset its rest', async t => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 300 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      fc.nat(400),
      (text, sizes, jump) => {
        const bytes = Buffer.from(text)
        const fd = open(file({ show: () => text }))
        const pieces: Uint8Array[] = []
        let at = 0
        for (let turn = 0; ; turn++) {
          const piece = Buffer.from(atOnce(fd.read(at, sizes[turn % sizes.length] ?? 1, root)))
          if (piece.length === 0) break
          pieces.push(piece)
          at += piece.length
        }
        t.ok(Buffer.concat(pieces).equals(bytes))
        t.ok(Buffer.from(atOnce(fd.read(jump, 4096, root))).equals(bytes.subarray(jump)))
      },
    ),
    { numRuns: 50 },
  )
})

t.test('read() shows at most 4095 bytes', async t => {
  t.equal(cat(file({ show: () => 'x'.repeat(4095) })).length, 4095)
  t.equal(cat(file({ show: () => 'x'.repeat(4096) })).length, 4095)
})

t.test('read() passes on what show throws, and the next read tries again', async t => {
  let isBroken = true
  const fd = open(
    file({
      show: () => {
        if (isBroken) throw new ErrnoError('ENXIO')
        return 'mended\n'
      },
    }),
  )
  t.equal(
    errnoFrom(() => pread(fd)),
    'ENXIO',
  )
  isBroken = false
  t.equal(pread(fd), 'mended\n')
})

t.test('write() is one store of the whole buffer, its offset ignored', async t => {
  const stored: string[] = []
  const node = file({ store: text => void stored.push(text) })
  t.equal(pwrite(open(node, O_WRONLY), 'abc\n', 1), 4)
  t.same(stored, ['abc\n'])
  t.equal(echo(node, ''), 0)
  t.same(stored, ['abc\n'], 'an empty write stores nothing')
})

t.test('write() is cut at 4096 bytes and says so, so that the writer goes on', async t => {
  const stored: number[] = []
  const node = file({ store: text => void stored.push(text.length) })
  t.equal(echo(node, 'x'.repeat(4096)), 4096)
  t.equal(echo(node, 'x'.repeat(5000)), 4096)
  t.same(stored, [4096, 4096])
})

t.test("write() fails with store's errno", async t => {
  const node = file({
    store: () => {
      throw new ErrnoError('ERANGE')
    },
  })
  t.equal(
    errnoFrom(() => echo(node, '1')),
    'ERANGE',
  )
})

t.test('show and store that answer later are waited for, and are told who asks', async t => {
  const content = new Later<string>()
  const stored = new Later<void>()
  const callers: unknown[] = []
  const node = file({
    show: caller => {
      callers.push(caller)
      return content
    },
    store: (_text, caller) => {
      callers.push(caller)
      return stored
    },
  })
  const fd = open(node, O_RDWR)
  const seen: unknown[] = []
  const listen = (result: unknown) => {
    if (result instanceof Later)
      result.done(
        value => seen.push(value instanceof Uint8Array ? Buffer.from(value).toString() : value),
        error => seen.push(error),
      )
  }
  listen(fd.read(0, 100, user))
  listen(fd.write(0, Buffer.from('abc'), root))
  t.same(seen, [])
  content.resolve('late\n')
  stored.resolve()
  t.same(seen, ['late\n', 3])
  t.same(callers, [user, root])
})

t.test('remove() turns open, read and write into ENODEV, on open files too', async t => {
  const node = file({ show: () => 'abc\n', store: () => {} })
  const fd = open(node, O_RDWR)
  t.equal(pread(fd, 0, 2), 'ab')
  node.remove()
  t.equal(
    errnoFrom(() => pread(fd, 2, 2)),
    'ENODEV',
    'what was made already is not served either',
  )
  t.equal(
    errnoFrom(() => pwrite(fd, '1')),
    'ENODEV',
  )
  t.equal(
    errnoFrom(() => open(node)),
    'ENODEV',
  )
  fd.release()
})

t.test('a read that was waiting when the node was removed fails with ENODEV', async t => {
  const content = new Later<string>()
  const node = file({ show: () => content })
  const reading = open(node).read(0, 10, root)
  const seen: unknown[] = []
  if (reading instanceof Later)
    reading.done(
      value => seen.push(value),
      error => seen.push(error instanceof ErrnoError && error.code),
    )
  node.remove()
  content.resolve('late\n')
  t.same(seen, ['ENODEV'])
})

t.test(
  'poll() is always ready, with POLLERR and POLLPRI before the first read and after removal',
  async t => {
    const ready = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM
    const node = file({ show: () => 'x\n' })
    const fd = open(node)
    let wakes = 0
    const wake = () => void wakes++
    t.equal(fd.poll?.(0xffff, undefined), ready | POLLERR | POLLPRI)
    pread(fd)
    t.equal(fd.poll?.(POLLPRI, wake), ready)
    t.equal(fd.poll?.(POLLPRI, wake), ready, 'sleeping twice')
    const other = open(node)
    pread(other)
    other.poll?.(POLLPRI, wake)
    other.release()
    node.remove()
    t.equal(wakes, 1, 'removal wakes each sleeper once, and none that was released')
    t.equal(fd.poll?.(POLLPRI, undefined), ready | POLLERR | POLLPRI)
  },
)
