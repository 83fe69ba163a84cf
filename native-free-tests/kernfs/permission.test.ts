import fc from 'fast-check'
import t from 'tap'
import type { Caller } from '../../src/abi/caller.js'
import { O_APPEND, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, R_OK, W_OK, X_OK } from '../../src/abi/fs.js'
import type { AttributeChange, Attributes } from '../../src/kernfs/node.js'
import { changeRefusal, hasPermission, openMask } from '../../src/kernfs/permission.js'
import { getxattrRefusal, kernfsRefusals, mknodRefusal } from '../../src/kernfs/refusals.js'

const attributes = (mode: number): Attributes => ({ mode, nlink: 1, uid: 10, gid: 20, size: 4096, time: 0 })
const caller = (uid: number, gid: number) => ({ uid, gid, tid: 1 })
const owner = caller(10, 20)
const member = caller(11, 20)
const stranger = caller(11, 21)
const root = caller(0, 0)

t.test('hasPermission() takes the first class that fits: owner, group, others', async t => {
  const file = attributes(0o100421)
  const rows: [ReturnType<typeof caller>, number[]][] = [
    [owner, [R_OK]],
    [member, [W_OK]],
    [stranger, [X_OK]],
  ]
  for (const [who, granted] of rows)
    for (const mask of [R_OK, W_OK, X_OK])
      t.equal(hasPermission(file, who, mask), granted.includes(mask), `${who.uid}:${who.gid} mask ${mask}`)
})

t.test('hasPermission() wants every bit of the mask; an empty mask always passes', async t => {
  t.notOk(hasPermission(attributes(0o100400), owner, R_OK | W_OK))
  t.ok(hasPermission(attributes(0o100600), owner, R_OK | W_OK))
  t.ok(hasPermission(attributes(0o100000), stranger, 0))
})

t.test('root may read, write and search anything, and execute a file with any x bit', async t => {
  t.ok(hasPermission(attributes(0o100000), root, R_OK | W_OK))
  t.ok(hasPermission(attributes(0o040000), root, R_OK | W_OK | X_OK))
  t.notOk(hasPermission(attributes(0o100666), root, X_OK))
  t.ok(hasPermission(attributes(0o100001), root, X_OK))
})

t.test('hasPermission() for a mask is that for each of its bits, for anybody', async t => {
  const property = fc.property(fc.nat(0o777), fc.nat(12), fc.nat(22), fc.nat(7), (bits, uid, gid, mask) => {
    const file = attributes(0o100000 | bits)
    const each = [R_OK, W_OK, X_OK].filter(bit => mask & bit)
    return (
      hasPermission(file, caller(uid, gid), mask) ===
      each.every(bit => hasPermission(file, caller(uid, gid), bit))
    )
  })
  t.doesNotThrow(() => fc.assert(property))
})

t.test('openMask() asks for what open(2) needs, write for O_TRUNC too', async t => {
  const rows: [number, number][] = [
    [O_RDONLY, R_OK],
    [O_WRONLY, W_OK],
    [O_RDWR, R_OK | W_OK],
    [3, R_OK | W_OK],
    [O_RDONLY | O_TRUNC, R_OK | W_OK],
    [O_RDONLY | O_APPEND, R_OK],
  ]
  for (const [flags, mask] of rows) t.equal(openMask(flags), mask, `0o${flags.toString(8)}`)
})

t.test('changeRefusal() lets root do anything, the owner what is its own, others nothing', async t => {
  const rows: [string, AttributeChange, Record<'owner' | 'member' | 'stranger', string>][] = [
    ['chmod', { mode: 0o777 }, { owner: 'ok', member: 'EPERM', stranger: 'EPERM' }],
    ['utime', { time: 1 }, { owner: 'ok', member: 'EPERM', stranger: 'EPERM' }],
    ['chown away', { uid: 11 }, { owner: 'EPERM', member: 'EPERM', stranger: 'EPERM' }],
    ['chown to the same', { uid: 10 }, { owner: 'ok', member: 'EPERM', stranger: 'EPERM' }],
    ['chgrp to its own group', { gid: 20 }, { owner: 'ok', member: 'EPERM', stranger: 'EPERM' }],
    ['chgrp to a foreign group', { gid: 99 }, { owner: 'EPERM', member: 'EPERM', stranger: 'EPERM' }],
    ['truncate', { size: 0 }, { owner: 'ok', member: 'ok', stranger: 'EACCES' }],
    ['nothing', {}, { owner: 'ok', member: 'ok', stranger: 'ok' }],
  ]
  const file = attributes(0o100664)
  for (const [name, change, expected] of rows) {
    t.equal(changeRefusal(file, root, change), undefined, `${name} by root`)
    const codeFor = (who: Caller) => changeRefusal(file, who, change)?.code ?? 'ok'
    t.same({ owner: codeFor(owner), member: codeFor(member), stranger: codeFor(stranger) }, expected, name)
  }
  t.equal(changeRefusal(attributes(0o100444), root, { size: 0 }), undefined, 'truncate of 0444 by root')
})

t.test('kernfs refuses as /sys does', async t => {
  const { create, tmpfile, setxattr, fsyncdir, ioctl, ...others } = kernfsRefusals
  t.same(
    [create, tmpfile, setxattr, fsyncdir, ioctl],
    ['EACCES', 'EOPNOTSUPP', 'EOPNOTSUPP', 'EINVAL', 'ENOTTY'],
  )
  for (const name of ['mkdir', 'symlink', 'link', 'unlink', 'rmdir', 'rename', 'mknod'] as const)
    t.equal(others[name], 'EPERM', name)
})

t.test('mknod(2) of a regular file is refused like open(O_CREAT), any other like mkdir', async t => {
  t.same([0o644, 0o100644, 0o010644, 0o020644].map(mknodRefusal), ['EACCES', 'EACCES', 'EPERM', 'EPERM'])
})

t.test('getxattr(2) tells namespaces that are empty from those that do not exist', async t => {
  const rows = { 'user.a': 'ENODATA', 'trusted.a': 'ENODATA', 'security.selinux': 'ENODATA' }
  for (const [name, code] of Object.entries(rows)) t.equal(getxattrRefusal(name), code, name)
  t.equal(getxattrRefusal('system.posix_acl_access'), 'EOPNOTSUPP')
  t.equal(getxattrRefusal('user'), 'EOPNOTSUPP')
})
