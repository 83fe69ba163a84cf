import t from 'tap'
import { DT_DIR, DT_LNK, DT_REG, O_WRONLY } from '../../src/abi/fs.js'
import { attributeFile } from '../../src/kernfs/attribute-file.js'
import { dynamicDirectory, staticDirectory } from '../../src/kernfs/directory.js'
import type { Node } from '../../src/kernfs/node.js'
import { NodeCache } from '../../src/kernfs/node-cache.js'
import { symbolicLink } from '../../src/kernfs/symbolic-link.js'
import { errnoFrom, names, open, owner, pread, root } from './support/open.js'

const file = () => attributeFile({ owner, mode: 0o444, show: () => 'x\n' })
const folder = (children: Record<string, Node> = {}) => staticDirectory({ owner, children })

t.test('a folder has size 0 and two links more than subfolders', async t => {
  t.match(folder().attributes(), { mode: 0o040755, size: 0, nlink: 2 })
  t.match(folder({ a: folder(), b: file(), c: folder({ d: folder() }) }).attributes(), { nlink: 4 })
  t.match(staticDirectory({ owner: { uid: 1, gid: 2 }, mode: 0o700, children: {} }).attributes(), {
    mode: 0o040700,
    uid: 1,
    gid: 2,
  })
})

t.test('entries() lists each child once in a stable order, with its type and inode number', async t => {
  const children = { z: file(), a: folder(), m: symbolicLink({ owner, target: 'z' }) }
  const directory = folder(children)
  const expected = [
    { name: 'z', type: DT_REG, ino: children.z.ino },
    { name: 'a', type: DT_DIR, ino: children.a.ino },
    { name: 'm', type: DT_LNK, ino: children.m.ino },
  ]
  t.same(directory.entries(root), expected)
  t.same(directory.entries(root), expected)
})

t.test('lookup() gives the same node each time, and undefined for what is not there', async t => {
  const a = file()
  const directory = folder({ a })
  t.equal(directory.lookup('a', root), a)
  t.equal(directory.lookup('b', root), undefined)
  t.equal(directory.lookup('toString', root), undefined)
})

t.test('staticDirectory() follows a map that changes', async t => {
  const children = new Map<string, Node>([['a', file()]])
  const directory = staticDirectory({ owner, children })
  children.set('b', folder())
  t.same(names(directory), ['a', 'b'])
  t.equal(directory.attributes().nlink, 3)
})

t.test('setAttributes() remembers chmod on a folder and chown on a link', async t => {
  const directory = folder()
  directory.setAttributes?.({ mode: 0o700 }, root)
  t.equal(directory.attributes().mode, 0o040700)
  const link = symbolicLink({ owner, target: 'x' })
  link.setAttributes?.({ uid: 5 }, root)
  t.match(link.attributes(), { mode: 0o120777, size: 0, nlink: 1, uid: 5 })
})

t.test('readlink() gives the target, asked anew where it is a function', async t => {
  let target = 'a'
  const link = symbolicLink({ owner, target: () => target })
  t.equal(link.readlink(), 'a')
  target = 'b'
  t.equal(link.readlink(), 'b')
  t.equal(symbolicLink({ owner, target: '../../bus/event_source' }).readlink(), '../../bus/event_source')
})

t.test('mkdir and rmdir are there only where they are given, so that others are EPERM', async t => {
  t.notOk('mkdir' in folder() || 'rmdir' in folder())
  const made: string[] = []
  const directory = dynamicDirectory({
    owner,
    names: () => made,
    child: () => undefined,
    mkdir: name => {
      made.push(name)
      return folder()
    },
    rmdir: name => void made.splice(made.indexOf(name), 1),
  })
  t.equal(directory.mkdir?.('boot', 0o755, root).kind, 'directory')
  t.same(made, ['boot'])
  t.equal(directory.rmdir?.('boot', root), undefined)
  t.same(made, [])
})

t.test('a name that vanishes while entries() walks is left out', async t => {
  const a = file()
  const directory = dynamicDirectory({
    owner,
    names: () => ['a', 'gone'],
    child: name => (name === 'a' ? a : undefined),
  })
  t.same(names(directory), ['a'])
})

t.test('the inode number is one of its own, or the one that is given', async t => {
  t.equal(staticDirectory({ owner, ino: 1n, children: {} }).ino, 1n)
  const inos = [folder(), folder(), file(), symbolicLink({ owner, target: 'x' })].map(node => node.ino)
  t.equal(new Set(inos).size, inos.length)
  t.ok(inos.every(ino => ino > 1n))
})

t.test('remove() reaches everything below: files give ENODEV, folders are empty', async t => {
  const deep = file()
  const inner = folder({ deep })
  const directory = folder({ inner, link: symbolicLink({ owner, target: 'inner' }) })
  const fd = open(deep)
  directory.remove()
  t.equal(
    errnoFrom(() => pread(fd)),
    'ENODEV',
  )
  t.same(names(directory), [])
  t.equal(directory.lookup('inner', root), undefined)
  t.same(names(inner), [])
})

t.test('NodeCache gives one node for a thing, and another one after its deletion', async t => {
  const cache = new NodeCache((_thing: object) => file())
  const [a, b] = [{}, {}]
  const node = cache.get(a)
  t.equal(cache.get(a), node)
  t.not(cache.get(b), node)
  cache.delete(a)
  t.equal(
    errnoFrom(() => open(node)),
    'ENODEV',
  )
  t.not(cache.get(a).ino, node.ino)
  cache.delete({})
})

t.test('NodeCache.retain() removes all but those that are named, clear() all', async t => {
  const cache = new NodeCache((_name: string) => file())
  const [a, b] = [cache.get('a'), cache.get('b')]
  cache.retain(new Set(['b', 'c']))
  t.equal(
    errnoFrom(() => open(a)),
    'ENODEV',
  )
  t.equal(cache.get('b'), b)
  cache.clear()
  t.equal(
    errnoFrom(() => open(b, O_WRONLY)),
    'ENODEV',
  )
})
