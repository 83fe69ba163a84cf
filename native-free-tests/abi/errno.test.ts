import os from 'node:os'
import t from 'tap'
import {
  ErrnoError,
  errnoName,
  errnoNumber,
  errnoOf,
  Failure,
  isErrnoName,
  orThrow,
  strerror,
} from '../../src/abi/errno.js'

t.test(
  'errnoNumber() agrees with Node wherever both know a name',
  { skip: os.platform() !== 'linux' },
  async t => {
    const aliases = new Set(['EWOULDBLOCK', 'EDEADLOCK', 'ENOTSUP'])
    const shared = Object.entries(os.constants.errno).filter(([name]) => isErrnoName(name))
    t.ok(shared.length > 70)
    t.strictSame(
      shared.map(([name]) => [name, isErrnoName(name) ? errnoNumber(name) : undefined]),
      shared,
    )
    const unknown = Object.keys(os.constants.errno).filter(name => !isErrnoName(name) && !aliases.has(name))
    t.strictSame(unknown, [])
  },
)

t.test('errnoName() is the inverse of errnoNumber()', async t => {
  for (let number = 1; number < 600; number++) {
    const name = errnoName(number)
    if (name) t.equal(errnoNumber(name), number)
  }
  t.equal(errnoName(0), undefined)
  t.equal(errnoName(524), 'ENOTSUPP')
})

t.test('an ErrnoError has the shape of a Node system error', async t => {
  const cause = new Error('why')
  const error = new ErrnoError('EACCES', 'Cannot open it', { syscall: 'open', cause })
  t.match(error, { name: 'ErrnoError', code: 'EACCES', errno: -13, syscall: 'open', cause })
  t.equal(new ErrnoError('ENOENT').message, 'No such file or directory')
  t.equal(strerror('EINTR'), 'Interrupted system call')
})

t.test('orThrow() throws a Failure and passes a value through', async t => {
  t.throws(() => orThrow(new Failure('EBUSY', 'it is')), { code: 'EBUSY', message: 'it is' })
  t.equal(orThrow(0), 0)
})

t.test('errnoOf() knows system errors, and calls anything else EIO, never ENOSYS', async t => {
  t.equal(errnoOf(new ErrnoError('ESTALE')), 'ESTALE')
  t.equal(errnoOf(Object.assign(new Error('x'), { code: 'ENOENT' })), 'ENOENT')
  t.equal(errnoOf(Object.assign(new Error('x'), { code: 'ERR_INVALID_ARG_TYPE' })), 'EIO')
  for (const thrown of [new TypeError('x'), 'ENOSYS', undefined, { code: 'ENOSYS' }])
    t.equal(errnoOf(thrown), 'EIO')
})
