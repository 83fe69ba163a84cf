/** Servers that stand still or never came to serve: every command ends, in time, and says what is the matter. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import t from 'tap'
import { close } from '../src/os/libc.js'
import { mountDirect } from '../src/os/mount-direct.js'
import { plainNode } from './support/exec.js'
import { end, mounted, pmufs, type Test, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { mountpoint } from './support/program.js'

/** Runs a command, within a minute: whoever asks waits 15 s at most. */
async function cli(...args: string[]) {
  const result = await execa(process.execPath, [pmufs, ...args], {
    reject: false,
    timeout: patience(60_000),
    env: plainNode,
    stdin: 'ignore',
  })
  if (result.timedOut) throw new Error(`no end: ${args.join(' ')}`)
  return result
}

const isMounted = (dir: string) => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${dir} `)

/** What uses a mount, each as its own command line. */
const clients = (dir: string) => [
  ['vms', '--mount', dir],
  ['top', '-n', '1', '--mount', dir],
  ['exec', '--mount', dir, '--', 'true'],
  ['mount', dir],
]

interface Asserting {
  equal(found: unknown, wanted: unknown, message: string): boolean
  match(found: unknown, pattern: RegExp, message: string): boolean
}

async function allSay(t: Asserting, dir: string, what: RegExp): Promise<void> {
  const outcomes = await Promise.all(clients(dir).map(args => cli(...args)))
  for (const [at, { exitCode, stderr }] of outcomes.entries()) {
    const command = clients(dir)[at]?.join(' ') ?? ''
    t.equal(exitCode, 1, command)
    t.match(stderr, what, command)
    t.equal(stderr.split('\n').length, 1, command)
  }
}

const NO_ANSWER = /gave no answer within 15 s: it may be busy or stopped; try again/

t.test(
  'a server that is stopped is told of, and used again when it goes on',
  needs('root', 'fuse'),
  async t => {
    const { dir, server } = await mounted(t, '--source', 'stats')
    t.teardown(() => server.kill('SIGCONT'))
    server.kill('SIGSTOP')
    await allSay(t, dir, NO_ANSWER)
    server.kill('SIGCONT')
    t.equal((await cli('exec', '--mount', dir, '--', 'test', '-e', `${dir}/control`)).exitCode, 0)
  },
)

t.test('a server that is stopped can be unmounted', needs('root', 'fuse'), async t => {
  const { dir, server } = await mounted(t, '--source', 'stats')
  t.teardown(() => server.kill('SIGCONT'))
  server.kill('SIGSTOP')
  t.equal((await cli('umount', dir)).exitCode, 0)
  t.notOk(isMounted(dir))
})

t.test(
  'a mount that was never served is told of, until its server is gone',
  needs('root', 'fuse'),
  async t => {
    const dir = mountpoint(t)
    const device = mountDirect({ dir, allowOther: true })
    await allSay(t, dir, NO_ANSWER)
    close(device)
    const { exitCode, stderr } = await cli('vms', '--mount', dir)
    t.equal(exitCode, 1)
    t.ok(stderr.includes(`its server died; mount it again with "pmufs mount ${dir}"`), stderr)
    t.equal((await cli('umount', dir)).exitCode, 0)
    t.notOk(isMounted(dir))
  },
)

t.test('a mount that was never served can be unmounted', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  const device = mountDirect({ dir, allowOther: true })
  t.equal((await cli('umount', dir)).exitCode, 0)
  t.notOk(isMounted(dir))
  close(device)
})

t.test(
  'an ordinary user unmounts a server of theirs that is stopped',
  needs('root', 'fuse', 'fusermount3'),
  async t => {
    const folder = mkdtempSync(join(tmpdir(), 'pmufs-user-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const dir = join(folder, 'mnt')
    mkdirSync(dir)
    chmodSync(folder, 0o755)
    const asUser = 'setpriv --reuid=65534 --regid=65534 --clear-groups'
    // /dev/fuse as udev makes it, in a mount namespace of the test's own: the machine's stays as it is.
    const script = `
      chown 65534:65534 ${dir}; mknod -m 666 ${folder}/fuse c 10 229; mount --bind ${folder}/fuse /dev/fuse
      ${asUser} ${process.execPath} ${pmufs} mount ${dir} --source stats & server=$!
      trap 'kill -CONT $server; kill $server; wait $server' EXIT
      until ${asUser} test -e ${dir}/control; do kill -0 $server || exit 9; sleep 0.1; done
      kill -STOP $server
      ${asUser} ${process.execPath} ${pmufs} umount ${dir}; echo "status $?"
      grep -c ${dir} /proc/self/mountinfo`
    const { stdout, stderr } = await execa('unshare', ['--mount', 'bash', '-c', script], {
      reject: false,
      timeout: patience(60_000),
      env: plainNode,
    })
    t.match(stdout, /status 0\n0$/, stderr)
  },
)

/** Starts `mount --daemon`; what it prints, and its server once that is there. */
function daemon(test: Test, dir: string, ...prefix: string[]) {
  const command = [...prefix, process.execPath, pmufs, 'mount', dir, '--daemon', '--source', 'stats']
  const [file = '', ...args] = command
  const runtime = mkdtempSync(join(tmpdir(), 'pmufs-run-'))
  test.teardown(() => rmSync(runtime, { recursive: true }))
  const launcher = spawn(file, args, {
    env: { ...process.env, ...plainNode, XDG_RUNTIME_DIR: runtime },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  test.teardown(() => end(launcher, 'SIGKILL'))
  let printed = ''
  for (const stream of [launcher.stdout, launcher.stderr]) stream?.on('data', data => (printed += data))
  const ended = once(launcher, 'close').then(([code]) => ({ code: code as number, printed }))
  return { launcher, ended }
}

async function serverOf({ pid }: ChildProcess): Promise<number> {
  let server = 0
  await until('the server is started', () => {
    server = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ')[0])
    return server > 0
  })
  return server
}

t.test(
  'mount --daemon whose server fails says why, whatever lies in the folder',
  needs('root', 'fuse'),
  async t => {
    const dir = t.testdir({ control: 'an ordinary file' })
    const { ended } = daemon(t, dir, 'setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin')
    const { code, printed } = await ended
    t.equal(code, 1)
    t.match(
      printed,
      /^pmufs: The server ended with status 1: Cannot mount at .* CAP_SYS_ADMIN; .*; its log is \/\S+\.log\n$/,
    )
    const [, log = ''] = /its log is (\S+)/.exec(printed) ?? []
    t.match(readFileSync(log, 'utf8'), /Cannot mount at/)
  },
)

t.test('mount --daemon whose server is killed as it starts says so', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  writeFileSync(join(dir, 'control'), 'an ordinary file')
  t.teardown(() => rmSync(join(dir, 'control'), { force: true }))
  const { launcher, ended } = daemon(t, dir)
  process.kill(await serverOf(launcher), 'SIGKILL')
  const { code, printed } = await ended
  t.equal(code, 1)
  t.match(printed, /^pmufs: The server was ended by SIGKILL: it said nothing; its log is /)
})

t.test('mount --daemon waits for a server that is slow to start', needs('root', 'fuse'), async t => {
  const dir = mountpoint(t)
  const { launcher, ended } = daemon(t, dir)
  const server = await serverOf(launcher)
  process.kill(server, 'SIGSTOP')
  t.match((await cli('vms', '--mount', dir)).stderr, /no pmufs is mounted there/)
  t.match((await cli('umount', dir)).stderr, /no pmufs is mounted there/)
  process.kill(server, 'SIGCONT')
  t.match(await ended, { code: 0, printed: `mounted at ${dir}: pid ${server}, log ` })
  t.equal((await cli('umount', dir)).exitCode, 0)
})
