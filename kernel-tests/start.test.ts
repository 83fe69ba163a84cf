/** scripts/start, which mounts this checkout's own `mnt`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import t from 'tap'
import { end, pmufs } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'

const start = fileURLToPath(new URL('../scripts/start', import.meta.url))
const mnt = fileURLToPath(new URL('../mnt', import.meta.url))
const isMounted = () => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${mnt} `)

/** A mount that somebody uses is left alone. */
const options = isMounted() ? { skip: `${mnt} is in use` } : needs('root', 'fuse')

t.test('--daemon leaves the mount in the background and ends', options, async t => {
  const within = { reject: false, timeout: patience(90_000), stdin: 'ignore' } as const
  const { exitCode, stdout, timedOut } = await execa(start, ['--source', 'demo', '--daemon'], within)
  const wasMounted = isMounted()
  const { exitCode: unmounted } = await execa(process.execPath, [pmufs, 'umount', mnt], within)
  t.notOk(timedOut)
  t.equal(exitCode, 0)
  t.match(stdout, /^mounted at .*\/mnt: pid \d+, log \S+$/)
  t.ok(wasMounted)
  t.equal(unmounted, 0)
})

t.test('Ctrl-C ends it, and the mount with it', options, async t => {
  const child = spawn(start, ['--source', 'demo'], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  t.teardown(() => end(child))
  let said = ''
  let failed = ''
  child.stderr.on('data', data => (failed += data))
  await new Promise<void>(resolve => {
    child.once('exit', resolve)
    child.stdout.on('data', data => {
      said += data
      if (/^demo .* \d+ +\d/m.test(said)) resolve()
    })
  })
  // A terminal sends it to all that run there.
  if (child.pid && child.exitCode === null) process.kill(-child.pid, 'SIGINT')
  t.strictSame(await exited, [0, null])
  t.equal(failed, '')
  t.match(said, /^mounted at /m)
  t.notOk(isMounted())
})
