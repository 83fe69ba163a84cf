import fc from 'fast-check'
import t from 'tap'
import { ErrnoError } from '../../src/abi/errno.js'
import { parseRequest } from '../../src/control/request.js'

const refusalOf = (text: string): ErrnoError => {
  try {
    parseRequest(text)
  } catch (error) {
    if (error instanceof ErrnoError) return error
    throw error
  }
  throw new Error(`accepted: ${text}`)
}

t.test('parseRequest() fills in the defaults of perf_event_open(2)', async t => {
  t.strictSame(parseRequest('{"type":"kvm","config":"exits","pid":4711}'), {
    op: 'open',
    attr: { type: 'kvm', config: 'exits' },
    pid: 4711,
    cpu: -1,
    groupFd: -1,
    flags: 0n,
  })
})

t.test('parseRequest() takes every argument, as number, decimal or hex', async t => {
  t.match(
    parseRequest('{"pid":"0x10","cpu":"3","group_fd":7,"flags":["FD_CLOEXEC","FD_NO_GROUP"],"caller":12}'),
    {
      pid: 16,
      cpu: 3,
      groupFd: 7,
      flags: 9n,
      callerTid: 12,
    },
  )
  t.match(parseRequest('{"pid":0,"group_ino":"18446744073709551615"}'), {
    groupInode: 0xffff_ffff_ffff_ffffn,
  })
  t.strictSame(parseRequest('{"pid":0,"attr_bytes":"00ff"}'), {
    op: 'open',
    attr: {},
    attrBytes: Buffer.from([0, 255]),
    pid: 0,
    cpu: -1,
    groupFd: -1,
    flags: 0n,
  })
})

t.test('parseRequest() reads a close by id and by name', async t => {
  t.strictSame(parseRequest('{"op":"close","handle":7}'), { op: 'close', handle: '7' })
  t.strictSame(parseRequest('{"op":"close","handle":"boot"}'), { op: 'close', handle: 'boot' })
})

t.test('parseRequest() reads a prctl', async t => {
  const request = (option: number) => parseRequest(`{"op":"prctl","option":${option},"caller":7}`)
  t.strictSame(request(31), { op: 'prctl', isEnable: false, callerTid: 7 })
  t.strictSame(request(32), { op: 'prctl', isEnable: true, callerTid: 7 })
})

t.test('parseRequest() fails with EINVAL and says what is wanted', async t => {
  const nested = `${'['.repeat(5000)}${']'.repeat(5000)}`
  const cases: readonly [string, RegExp][] = [
    [`{"pid":1,"cpu":${nested}}`, /no integer/],
    ['{"pid":', /as JSON/],
    ['', /as JSON/],
    ['[]', /must be a JSON object/],
    ['null', /must be a JSON object/],
    ['7', /must be a JSON object/],
    ['{}', /"pid" is missing/],
    ['{"pid":4711,"handle":7}', /"handle" belongs to/],
    ['{"pid":9007199254740993}', /rounded/],
    ['{"pid":4294967296}', /out of range \(-2147483648 to 2147483647\)/],
    ['{"pid":1.5}', /no integer/],
    ['{"pid":"ten"}', /no integer/],
    ['{"pid":true}', /no integer/],
    ['{"pid":1,"flags":["FD_CLOSE"]}', /did you mean "FD_CLOEXEC"/],
    ['{"pid":1,"group_fd":1,"group_ino":2}', /give one of them/],
    ['{"pid":1,"attr_bytes":"0"}', /byte pairs/],
    ['{"pid":1,"attr_bytes":"00","type":1}', /leave its other fields out/],
    ['{"op":"opn","pid":1}', /"open", "close" and "prctl"/],
    ['{"op":"prctl","option":31}', /"caller"/],
    ['{"op":"prctl","option":30,"caller":1}', /PR_TASK_PERF_EVENTS_DISABLE \(31\)/],
    ['{"op":"prctl","option":31,"caller":1,"pid":1}', /"pid"/],
    ['{"option":31,"pid":1}', /belongs to/],
    ['{"op":"close"}', /id or the name/],
    ['{"op":"close","handle":1.5}', /id or the name/],
    ['{"op":"close","handle":7,"pid":1}', /"pid"/],
    ['{"op":"close","handle":7,"type":1}', /"type"/],
  ]
  for (const [text, message] of cases) {
    const refusal = refusalOf(text)
    t.equal(refusal.code, 'EINVAL', text)
    t.match(refusal.message, message, text)
  }
})

t.test('parseRequest() leaves "__proto__" among the fields, where it is refused as unknown', async t => {
  const request = parseRequest('{"pid":1,"__proto__":{"cpu":3}}')
  t.match(request, { op: 'open', cpu: -1 })
  t.ok(request.op === 'open' && Object.hasOwn(request.attr, '__proto__'))
})

t.test('parseRequest() gives a request or an ErrnoError for any text', async () => {
  const anything = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .dictionary(
        fc.constantFrom('op', 'pid', 'cpu', 'flags', 'handle', 'caller', 'group_ino', 'attr_bytes', 'type'),
        fc.jsonValue(),
      )
      .map(value => JSON.stringify(value)),
  )
  fc.assert(
    fc.property(anything, text => {
      try {
        parseRequest(text)
      } catch (error) {
        if (!(error instanceof ErrnoError)) throw error
      }
    }),
    { numRuns: 2000 },
  )
})
