/** The protocol byte by byte: annotated requests and their exact replies. */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { fuse_entry_out, fuse_in_header, fuse_open_in, fuse_out_header } from '../../src/abi/fuse.js'
import { FUSE_MIN_READ_BUFFER, FUSE_NOTIFY_POLL, FUSE_OPCODE } from '../../src/abi/fuse-constants.js'
import { MAX_WRITE, REQUEST_BUFFER_SIZE } from '../../src/fuse/limits.js'
import { encodeRequest } from '../../src/fuse/memory-wire.js'
import { FuseServer } from '../../src/fuse/server.js'
import type { Directory, File, OpenFile } from '../../src/kernfs/node.js'
import { hex, show } from './support/hex.js'
import { sampleTree } from './support/tree.js'

const opened: OpenFile = {
  isStream: false,
  read: offset => new TextEncoder().encode('4096\n').subarray(offset),
  write: (_offset, data) => data.length,
  ioctl: () => ({ result: 7, output: hex('0a 0b 0c 0d') }),
  poll: () => 0x41,
  release: () => {},
}
const attributes = { mode: 0o100644, nlink: 1, uid: 1, gid: 2, size: 4096, time: 1_500_000_000_250 }
const file: File = { kind: 'file', ino: 0x2an, attributes: () => attributes, open: () => opened }
const root: Directory = {
  kind: 'directory',
  ino: 1n,
  attributes: () => ({ ...attributes, mode: 0o40755, nlink: 2, uid: 0, gid: 0, size: 0 }),
  lookup: name => (name === 'a' ? file : undefined),
  entries: () => [{ name: 'a', ino: 0x2an, type: 8 }],
}

function serve(tree: Directory = root) {
  const sent: Uint8Array[] = []
  const reports: string[] = []
  const server = new FuseServer(tree, {
    owner: { uid: 0, gid: 0 },
    allowOther: true,
    send: message => sent.push(message.slice()) > 0,
    report: message => reports.push(message),
  })
  return { server, sent, reports }
}

/** Sends requests one after the other; the last one's replies must be these. */
function exchange(t: Test, requests: readonly string[], ...replies: readonly string[]): void {
  const { server, sent, reports } = serve()
  for (const request of requests) {
    sent.length = 0
    server.receive(hex(request))
  }
  t.strictSame(sent.map(show), replies.map(hex).map(show))
  t.strictSame(reports, [])
}

const LOOKUP_A = `
  2a000000 01000000 0200000000000000 0100000000000000 | len 42, LOOKUP, unique 2, root
  00000000 00000000 4d000000 0000 0000                | uid 0, gid 0, thread 77
  6100                                                | "a"`
const OPEN_A = `
  30000000 0e000000 0400000000000000 2a00000000000000 | len 48, OPEN, unique 4, node 42
  00000000 00000000 4d000000 0000 0000
  02000000 00000000                                   | O_RDWR`
const FILE_ATTR = `
  2a00000000000000 0010000000000000 0000000000000000 | ino 42, size 4096, no blocks
  002f685900000000 002f685900000000 002f685900000000 | atime, mtime, ctime 1500000000
  80b2e60e 80b2e60e 80b2e60e                         | and 250000000 nanoseconds
  a4810000 01000000 01000000 02000000                | mode 0100644, one link, uid 1, gid 2
  00000000 00100000 00000000                         | rdev, blksize 4096, flags`

t.test('INIT settles version 7.38, the flags that are wanted and offered, and the sizes', async t => {
  exchange(
    t,
    [
      `
      68000000 1a000000 0200000000000000 0000000000000000 | len 104, INIT, unique 2
      00000000 00000000 00000000 0000 0000
      07000000 2d000000 00000200 fbffff73 fd050000         | 7.45, max_readahead 131072, flags, flags2
      ${'00000000'.repeat(11)}`,
    ],
    `
    50000000 00000000 0200000000000000                    | len 80, ok
    07000000 26000000 00000200 28006400                   | 7.38, ATOMIC_O_TRUNC BIG_WRITES PARALLEL_DIROPS ...
    ffff ffff 00000200 01000000                           | background 65535 twice, max_write 131072, 1 ns
    4000 0000 00000000 ${'00000000'.repeat(7)}            | 64 pages`,
  )
})

const init = (major: string, minor: string) => `
  38000000 1a000000 0200000000000000 0000000000000000 00000000 00000000 00000000 0000 0000
  ${major} ${minor} 00000000 00000000 | the 16 bytes of INIT before 7.36`

t.test('INIT from a newer major version is answered with our version only', async t => {
  exchange(
    t,
    [init('08000000', '00000000')],
    `50000000 00000000 0200000000000000 07000000 26000000 ${'00'.repeat(56)}`,
  )
})

t.test('INIT fails with EPROTO below 7.23', async t => {
  exchange(t, [init('07000000', '16000000')], '10000000 b9ffffff 0200000000000000')
  exchange(t, [init('06000000', '30000000')], '10000000 b9ffffff 0200000000000000')
})

t.test('LOOKUP answers node, attributes and no time of validity', async t => {
  exchange(
    t,
    [LOOKUP_A],
    `
    90000000 00000000 0200000000000000                 | len 144, ok, unique 2
    2a00000000000000 0000000000000000                  | node 42, generation 0
    0000000000000000 0000000000000000 00000000 00000000 | valid for no time
    ${FILE_ATTR}`,
  )
})

t.test('GETATTR answers attributes', async t => {
  exchange(
    t,
    [
      LOOKUP_A,
      `38000000 03000000 0400000000000000 2a00000000000000 00000000 00000000 4d000000 0000 0000
       00000000 00000000 0000000000000000`,
    ],
    `78000000 00000000 0400000000000000 0000000000000000 00000000 00000000 ${FILE_ATTR}`,
  )
})

const READ_A = `
  50000000 0f000000 0600000000000000 2a00000000000000 | READ, unique 6
  00000000 00000000 4d000000 0000 0000
  0100000000000000 0100000000000000 02000000 00000000 | handle 1, offset 1, 2 bytes
  0000000000000000 00000000 00000000`

t.test('OPEN answers a handle with direct I/O and no FLUSH', async t => {
  exchange(t, [LOOKUP_A, OPEN_A], '20000000 00000000 0400000000000000 0100000000000000 21000000 00000000')
})

t.test('READ answers no more bytes than were asked for', async t => {
  exchange(t, [LOOKUP_A, OPEN_A, READ_A], '12000000 00000000 0600000000000000 3039 | "09"')
})

t.test('WRITE answers the bytes taken', async t => {
  exchange(
    t,
    [
      LOOKUP_A,
      OPEN_A,
      `53000000 10000000 0600000000000000 2a00000000000000 00000000 00000000 4d000000 0000 0000
       0100000000000000 0000000000000000 03000000 00000000 0000000000000000 00000000 00000000 | 3 bytes
       782179`,
    ],
    '18000000 00000000 0600000000000000 03000000 00000000',
  )
})

t.test('IOCTL answers the result and at most out_size bytes', async t => {
  exchange(
    t,
    [
      LOOKUP_A,
      OPEN_A,
      `48000000 27000000 0600000000000000 2a00000000000000 00000000 00000000 4d000000 0000 0000
       0100000000000000 00000000 00240280 0000000000000000 00000000 02000000 | cmd, arg, in 0, out 2`,
    ],
    '22000000 00000000 0600000000000000 07000000 00000000 00000000 00000000 0a0b',
  )
})

t.test('POLL answers the bits that hold', async t => {
  exchange(
    t,
    [
      LOOKUP_A,
      OPEN_A,
      `40000000 28000000 0600000000000000 2a00000000000000 00000000 00000000 4d000000 0000 0000
       0100000000000000 0900000000000000 00000000 41000000 | handle 1, kh 9, no notification, POLLIN`,
    ],
    '18000000 00000000 0600000000000000 41000000 00000000',
  )
})

t.test('READDIR answers whole entries, padded to 8 bytes, with cookies', async t => {
  const opendir = `30000000 1b000000 0400000000000000 0100000000000000 00000000 00000000 4d000000 0000 0000
                   00000000 00000000`
  const readdir = (offset: string, size: string) => `
    50000000 1c000000 0600000000000000 0100000000000000 00000000 00000000 4d000000 0000 0000
    0100000000000000 ${offset} ${size} 00000000 0000000000000000 00000000 00000000`
  const entry = (ino: string, off: string, rest: string) => `${ino} ${off} ${rest}`
  const dot = entry('0100000000000000', '0100000000000000', '01000000 04000000 2e00000000000000')
  const dotdot = entry('0100000000000000', '0200000000000000', '02000000 04000000 2e2e000000000000')
  const a = entry('2a00000000000000', '0300000000000000', '01000000 08000000 6100000000000000')
  const head = (len: string) => `${len} 00000000 0600000000000000`
  exchange(t, [opendir, readdir('0000000000000000', '00100000')], `${head('70000000')} ${dot} ${dotdot} ${a}`)
  exchange(t, [opendir, readdir('0000000000000000', '5f000000')], `${head('50000000')} ${dot} ${dotdot}`)
  exchange(t, [opendir, readdir('0200000000000000', '00100000')], `${head('30000000')} ${a}`)
  exchange(t, [opendir, readdir('0300000000000000', '00100000')], head('10000000'))
  exchange(t, [opendir, readdir('ffffffffffffffff', '00100000')], head('10000000'))
})

const header = (opcode: number, body: string) => {
  const bytes = hex(body)
  const len = fuse_in_header.size + bytes.length
  const head = fuse_in_header.encode({ len, opcode, unique: 2n, nodeid: 1n, pid: 77 })
  return Buffer.concat([head, bytes]).toString('hex')
}
const failed = (errno: number) =>
  Buffer.from(fuse_out_header.encode({ len: 16, error: -errno, unique: 2n })).toString('hex')

t.test('STATFS answers what sysfs does: no blocks, 4096 bytes each, names of 255', async t => {
  const body = `${'00'.repeat(40)} 00100000 ff000000 00100000 00000000 ${'00'.repeat(24)}`
  exchange(t, [header(FUSE_OPCODE.FUSE_STATFS, '')], `60000000 00000000 0200000000000000 ${body}`)
})

t.test('names that no file can have are refused', async t => {
  const { FUSE_LOOKUP, FUSE_RENAME } = FUSE_OPCODE
  const rows: [string, number, string, number][] = [
    ['empty', FUSE_LOOKUP, '00', 22],
    ['a slash', FUSE_LOOKUP, '612f6200', 22],
    ['"."', FUSE_LOOKUP, '2e00', 22],
    ['".."', FUSE_LOOKUP, '2e2e00', 22],
    ['without an end', FUSE_LOOKUP, '61', 22],
    ['no bytes at all', FUSE_LOOKUP, '', 22],
    ['256 bytes: no name is too long to look for, as in kernfs', FUSE_LOOKUP, `${'61'.repeat(256)}00`, 2],
    ['not UTF-8', FUSE_LOOKUP, 'ff00', 2],
    ['the second of two is missing', FUSE_RENAME, `${'00'.repeat(8)} 6100`, 22],
  ]
  for (const [what, opcode, body, errno] of rows)
    t.test(what, async t => exchange(t, [header(opcode, body)], failed(errno)))
})

t.test('a request of no known operation, and of one that is not implemented, fails with ENOSYS', async t => {
  for (const opcode of [7, 54, 4096, 0xffff_ffff, FUSE_OPCODE.FUSE_LSEEK, FUSE_OPCODE.FUSE_STATX])
    exchange(t, [header(opcode, '')], failed(38))
})

t.test('what is too short is refused with EINVAL, or ignored where no reply is wanted', async t => {
  exchange(t, ['2a000000 01000000'])
  exchange(t, [LOOKUP_A.replace('6100', '')], '10000000 eaffffff 0200000000000000')
  exchange(t, [header(FUSE_OPCODE.FUSE_READ, '00'.repeat(39))], failed(22))
  exchange(t, [header(FUSE_OPCODE.FUSE_FORGET, '00')])
  exchange(t, [header(FUSE_OPCODE.FUSE_BATCH_FORGET, 'ffffffff 00000000')])
})

t.test('extensions behind the arguments are no data', async t => {
  const request = `
    32000000 01000000 0200000000000000 0100000000000000 00000000 00000000 4d000000 0100 0000 | 8 bytes of them
    6200 0000000000000000`
  exchange(t, [request], failed(2))
  exchange(t, [request.replace('0100 0000 |', '0600 0000 |')], failed(22))
})

t.test('unique 0 is never answered: the reply would be a notification', async t => {
  exchange(t, [LOOKUP_A.replace('0200000000000000', '0000000000000000')])
})

/** Serves the sample tree with some nodes looked up, and a file (handle 1) and a folder (handle 2) open. */
function serveOpened() {
  const { root, log } = sampleTree()
  const { server, sent, reports } = serve(root)
  const open = fuse_open_in.encode({})
  const nodeids = ['stream', 'sys', 'handles', 'defect'].map(name => {
    server.receive(encodeRequest({ opcode: 'FUSE_LOOKUP', nodeid: 1n, parts: [name] }, 2n))
    return fuse_entry_out.decode(sent.at(-1) ?? new Uint8Array(0), fuse_out_header.size).nodeid
  })
  server.receive(encodeRequest({ opcode: 'FUSE_OPEN', nodeid: nodeids[0] ?? 0n, parts: [open] }, 2n))
  server.receive(encodeRequest({ opcode: 'FUSE_OPENDIR', nodeid: 1n, parts: [open] }, 2n))
  return { server, sent, reports, log, nodeids: [1n, ...nodeids, 999n] }
}

const isWellFormed = (reply: Uint8Array): boolean => {
  const { len, error, unique } = fuse_out_header.decode(reply)
  if (unique === 0n) return error === FUSE_NOTIFY_POLL
  return len === reply.length && error <= 0 && error > -512 && (error === 0 || len === fuse_out_header.size)
}

t.test('any bytes give at most one reply, which is well-formed, and leave nothing behind', async t => {
  // Mostly what gets past the checks of size: a handle or a name, then enough zeros and small numbers.
  const starts = ['0100000000000000', '0200000000000000', '00', '73797300', '6100', '']
  const small = fc.array(fc.constantFrom(0, 0, 0, 0, 1, 2, 0xff), { minLength: 24, maxLength: 90 })
  const body = fc.tuple(
    fc.constantFrom(...starts).map(hex),
    fc.oneof({ weight: 3, arbitrary: small }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 90 }) }),
  )
  const request = fc.record({
    opcode: fc.oneof(fc.constantFrom(...Object.values(FUSE_OPCODE)), fc.nat({ max: 60 })),
    node: fc.nat({ max: 5 }),
    uid: fc.constantFrom(0, 0, 1000),
    body: body.map(([start, rest]) => Uint8Array.from([...start, ...rest])),
    lie: fc.constantFrom(0, 0, 0, 0, 0, -8, 1),
    isReadable: fc.boolean(),
  })
  const answered = new Set<number>()
  fc.assert(
    fc.property(fc.array(request, { maxLength: 30 }), fc.uint8Array({ maxLength: 100 }), (requests, junk) => {
      const { server, sent, log, reports, nodeids } = serveOpened()
      for (const [index, { opcode, node, uid, body, lie, isReadable }] of requests.entries()) {
        const before = sent.length
        log.isReadable = isReadable
        const len = fuse_in_header.size + body.length + lie
        const unique = BigInt(index + 2) * 2n
        const head = fuse_in_header.encode({ len, opcode, unique, nodeid: nodeids[node] ?? 0n, uid })
        server.receive(Uint8Array.from([...head, ...body]))
        const replies = sent.slice(before)
        if (!replies.every(isWellFormed)) return false
        const own = replies.filter(reply => fuse_out_header.decode(reply).unique === unique)
        if (own.length > 1) return false
        if (own.some(reply => fuse_out_header.decode(reply).error === 0)) answered.add(opcode)
      }
      server.receive(junk)
      server.close()
      const { handles, parked } = server.held
      return handles === 0 && parked === 0 && reports.every(report => report.includes('a defect'))
    }),
    { numRuns: 400 },
  )
  t.ok(answered.size > 10, `operations that succeeded: ${answered.size}`)
})

t.test('a device buffer of REQUEST_BUFFER_SIZE is what the kernel asks for', async t => {
  // fuse_dev_do_read(): room for fuse_in_header, fuse_write_in and max_write.
  t.ok(REQUEST_BUFFER_SIZE >= Math.max(FUSE_MIN_READ_BUFFER, 40 + 40 + MAX_WRITE))
})
