/** Mounts as src/os makes, finds, asks, recovers and ends them on the running kernel. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fuse_in_header, fuse_out_header } from '../src/abi/fuse.js'
import { FUSE_OPCODE } from '../src/abi/fuse-constants.js'
import { REQUEST_BUFFER_SIZE } from '../src/fuse/limits.js'
import type { FuseDevice } from '../src/fuse/transport.js'
import { DevFuse } from '../src/os/fuse-device.js'
import { close } from '../src/os/libc.js'
import { mountDirect } from '../src/os/mount-direct.js'
import { mountState, recoverMount } from '../src/os/mount-state.js'
import { isPmufs, mountAt, parseMountinfo } from '../src/os/mountinfo.js'
import { unmount } from '../src/os/umount.js'

const skip = process.getuid?.() === 0 ? false : 'needs root'

t.test('DevFuse tells an empty device from one whose mount is gone', { skip }, async t => {
  const dir = t.testdir()
  const device = new DevFuse(mountDirect({ dir, allowOther: true }), REQUEST_BUFFER_SIZE)
  const fuse: FuseDevice = device
  const init = fuse.receive()
  if (typeof init === 'string') throw new Error(init)
  t.equal(fuse_in_header.decode(init).opcode, FUSE_OPCODE.FUSE_INIT)
  t.equal(fuse.receive(), 'nothing', 'it does not block')
  t.equal(
    fuse.send(fuse_out_header.encode({ len: fuse_out_header.size, unique: 999n })),
    false,
    'no such request',
  )
  t.throws(() => fuse.send(new Uint8Array(3)), { code: 'EINVAL' })
  unmount(dir)
  t.equal(fuse.receive(), 'unmounted')
  t.equal(fuse.send(fuse_out_header.encode({ len: fuse_out_header.size, unique: 999n })), false)
  device.close()
})

t.test('mountinfo is read with its escapes', async t => {
  const [mount] = parseMountinfo(
    '36 35 0:40 / /mnt/two\\040words\\134\\303\\244 rw,nosuid master:1 - fuse.pmufs pmufs rw,user_id=0\nbroken\n',
  )
  t.same(mount, {
    mountPoint: '/mnt/two words\\ä',
    type: 'fuse.pmufs',
    source: 'pmufs',
    device: '0:40',
    options: ['rw', 'user_id=0'],
  })
  t.ok(mount && isPmufs(mount))
  t.equal(parseMountinfo('').length, 0)
})

t.test('a direct mount is seen, asked, recovered and unmounted', { skip }, async t => {
  const dir = join(t.testdir(), 'two words')
  mkdirSync(dir)
  t.equal(await recoverMount(dir), 'free')
  const device = mountDirect({ dir, allowOther: true })
  symlinkSync(dir, `${dir}.link`)
  t.equal(mountAt(`${dir}.link`)?.mountPoint, dir, 'a link to it is followed')
  t.match(mountAt(dir), { type: 'fuse.pmufs', source: 'pmufs', mountPoint: dir })
  t.ok(mountAt(dir)?.options.includes('allow_other'))
  t.equal(await mountState(dir, { timeout: 300 }), 'hung', 'nobody answers')
  t.equal(unmount(dir, '0:0'), false, 'a mount that is not meant stays')
  close(device)
  t.equal(await mountState(dir), 'dead')
  close(mountDirect({ dir, allowOther: true }))
  t.equal(await recoverMount(dir), 'recovered', 'two dead ones, one on the other')
  t.equal(mountAt(dir), undefined)
  t.equal(mountAt(join(dir, 'nowhere', 'at all')), undefined)
  t.equal(unmount(dir), false)
  t.throws(() => mountDirect({ dir: `${dir}/none`, allowOther: true }), { code: 'ENOENT', message: /none/ })
})

t.test('a child that is slow to start says nothing against the server that it asks', async t => {
  const folder = t.testdir()
  const shell = join(folder, 'slow')
  writeFileSync(shell, '#!/bin/sh\nPATH=/usr/bin:/bin sleep 1\nexec /bin/sh "$@"\n', { mode: 0o700 })
  t.equal(await mountState(folder, { timeout: 900, shell }), 'live')
})

t.test('a child that is killed tells nothing of the mount, and it is not asked again', async t => {
  const folder = t.testdir()
  const shell = join(folder, 'killed')
  writeFileSync(shell, '#!/bin/sh\necho asking\nkill -9 $$\n', { mode: 0o700 })
  t.equal(await mountState(folder, { shell }), 'hung')
  writeFileSync(shell, '#!/bin/sh\nexit 1\n')
  t.equal(await mountState(folder, { shell }), 'live', 'a refusal that this process cannot see')
  writeFileSync(shell, '#!/bin/sh\nexit 2\n')
  t.equal(await mountState(folder, { shell }), 'hung', 'a shell that could not ask')
})
