/** The server's life: how it starts, ends, is ended, recovers, and what it refuses. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import t from 'tap'
import { end, mounted, pmufs, shell, type Test, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { transports } from './support/transports.js'

const cli = (...args: string[]) =>
  execa(process.execPath, [pmufs, ...args], { reject: false, timeout: patience(60_000) })

const isMounted = (dir: string) => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${dir} `)

function folder(test: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'pmufs-test-'))
  test.teardown(async () => {
    await execa('umount', ['--lazy', dir], { reject: false })
    rmdirSync(dir)
  })
  return dir
}

for (const transport of transports) {
  t.test(`a server of ${transport}`, needs('root', 'fuse'), async t => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      t.test(`ends at ${signal} though files are open, and leaves nothing behind`, async t => {
        const { dir, server, ...mount } = await mounted(t, '--transport', transport, '--source', 'demo')
        const reader = spawn('bash', ['-c', 'exec 3<sys/devices/kvm/type; sleep 60'], {
          cwd: dir,
          stdio: 'ignore',
        })
        t.teardown(() => end(reader, 'SIGKILL'))
        const demo = Number((await mount.sh('cat vms/demo/pid')).stdout)
        server.kill(signal)
        const [code] = await once(server, 'exit')
        t.equal(code, 0)
        t.notOk(isMounted(dir))
        await until(
          'the demo guest is gone',
          async () => (await shell(`kill -0 ${demo}`, '/')).exitCode !== 0,
        )
      })

    t.test('ends when it is unmounted from outside', async t => {
      const { dir, server } = await mounted(t, '--transport', transport, '--source', 'demo')
      const exited = once(server, 'exit')
      t.equal((await cli('umount', dir)).exitCode, 0)
      t.equal((await exited)[0], 0)
      t.notOk(isMounted(dir))
    })

    t.test('is recovered by mount and by umount after it was killed', async t => {
      const dir = folder(t)
      const start = async () => {
        const server = spawn(
          process.execPath,
          [pmufs, 'mount', dir, '--transport', transport, '--source', 'demo'],
          {
            stdio: 'ignore',
          },
        )
        t.teardown(() => end(server, 'SIGKILL'))
        await until('it is mounted', async () => (await shell(`test -e ${dir}/control`, '/')).exitCode === 0)
        return server
      }
      await end(await start(), 'SIGKILL')
      const second = await start()
      t.equal((await shell('cat sys/devices/kvm/type', dir)).stdout, '4096', 'mount recovers')
      await end(second, 'SIGKILL')
      t.equal((await cli('umount', dir)).exitCode, 0, 'umount recovers')
      t.notOk(isMounted(dir))
    })

    t.test('refuses a folder that is served', async t => {
      const { dir } = await mounted(t, '--transport', transport, '--source', 'demo')
      const { exitCode, stderr } = await cli('mount', dir, '--transport', transport)
      t.equal(exitCode, 1)
      t.match(stderr, /served already/)
    })

    t.test('--daemon returns when the mount is usable', async t => {
      const dir = folder(t)
      const { exitCode, stdout } = await cli(
        'mount',
        dir,
        '--daemon',
        '--transport',
        transport,
        '--source',
        'demo',
      )
      t.equal(exitCode, 0)
      t.match(stdout, new RegExp(`${dir}.*log`, 's'))
      t.equal((await shell('cat sys/devices/kvm/type', dir)).stdout, '4096')
      t.equal((await cli('umount', dir)).exitCode, 0)
    })
  })
}

t.test('who has a file open when the server is killed gets an error', needs('root', 'fuse'), async t => {
  const { dir, server } = await mounted(t, '--source', 'demo')
  const reader = spawn('bash', ['-c', 'exec 3<sys/devices/kvm/type; echo open; read -r; cat <&3'], {
    cwd: dir,
  })
  t.teardown(() => end(reader, 'SIGKILL'))
  let printed = ''
  for (const stream of [reader.stdout, reader.stderr]) stream.on('data', data => (printed += data))
  await until('it is open', () => printed.includes('open'))
  await end(server, 'SIGKILL')
  t.equal((await cli('umount', dir)).exitCode, 0)
  t.notOk(isMounted(dir))
  reader.stdin.end('\n')
  t.strictSame(await once(reader, 'close'), [1, null])
  t.match(printed, /not connected|aborted/)
})

t.test(
  'a command line that is wrong exits 2, a mount that cannot be exits 1 and says why',
  needs('root', 'fuse'),
  async t => {
    const file = join(tmpdir(), `pmufs-file-${process.pid}`)
    writeFileSync(file, '')
    t.teardown(() => rmSync(file))
    const cases: readonly [args: string[], status: number, message: RegExp][] = [
      [['mount', '--nonsense'], 2, /unknown option/],
      [['mount', 'a', 'b'], 2, /too many arguments/],
      [['mount', '--source', 'nonsense'], 2, /choices/i],
      [['mount', '--max-handles', '0'], 2, /at least 1/],
      [['nonsense'], 2, /unknown command/],
      [[], 2, /Usage/],
      [['--help'], 0, /^/],
      [['--version'], 0, /^/],
      [['mount', '/nonexistent/folder'], 1, /"\/nonexistent\/folder"/],
      [['mount', file], 1, /folder/],
      [['umount', '/'], 1, /no pmufs is mounted there/],
      [['vms', '--mount', '/tmp'], 1, /no pmufs is mounted there/],
    ]
    for (const [args, status, message] of cases) {
      const { exitCode, stderr } = await cli(...args)
      t.equal(exitCode, status, args.join(' '))
      t.match(stderr, message, args.join(' '))
    }
  },
)

t.test('what the serving thread logs appears while it serves', needs('root', 'fuse'), async t => {
  process.env.DEBUG = 'pmufs:fuse'
  t.teardown(() => delete process.env.DEBUG)
  const { server, ...mount } = await mounted(t, '--source', 'stats')
  await mount.sh('cat sys/devices/kvm/type')
  await until('the requests are logged', () => /FUSE_READ .*\n.*FUSE_RELEASE/s.test(mount.log()))
  await end(server)
  t.match(mount.log(), /the loop has ended/)
})

t.test('behind a server that is stopped', needs('root', 'fuse'), async t => {
  const { dir, server } = await mounted(t, '--source', 'stats')
  const script =
    'exec 3<>control 4<sys/devices/kvm/type; read -r line; exec 3>&- 4<&-; echo closed; exec cat sys/devices/kvm/type'
  const client = spawn('bash', ['-c', script], { cwd: dir, stdio: ['pipe', 'pipe', 'ignore'] })
  t.teardown(() => {
    server.kill('SIGCONT')
    return end(client, 'SIGKILL')
  })
  await until(
    'the files are open',
    async () => (await shell(`test -e /proc/${client.pid}/fd/4`, '/')).exitCode === 0,
  )
  server.kill('SIGSTOP')
  const threads = `grep -h ^State: /proc/${server.pid}/task/*/status`
  await until(
    'its threads stand still',
    async () => (await shell(`${threads} | grep -qv stopped`, '/')).exitCode !== 0,
  )
  client.stdin.write('\n')
  const [printed] = (await once(client.stdout, 'data')) as [Buffer]
  t.equal(String(printed), 'closed\n', 'close(2) does not wait')
  client.kill('SIGKILL')
  t.strictSame(await once(client, 'exit'), [null, 'SIGKILL'], 'who waits for it can be killed')
})

t.test('--daemon keeps no log in a folder that others can write', needs('root', 'fuse'), async t => {
  const dir = folder(t)
  const runtime = t.testdir()
  chmodSync(runtime, 0o777)
  const { exitCode, stderr } = await execa(process.execPath, [pmufs, 'mount', dir, '--daemon'], {
    reject: false,
    timeout: patience(60_000),
    env: { XDG_RUNTIME_DIR: runtime },
  })
  t.equal(exitCode, 1)
  t.match(stderr, /not this user's alone to write; set XDG_RUNTIME_DIR/)
  t.notOk(isMounted(dir))
})

t.test('a command says whose a mount is, and that its server died', needs('root', 'fuse'), async t => {
  const { dir, server } = await mounted(t, '--source', 'demo')
  const stranger = 'setpriv --reuid=65534 --regid=65534 --clear-groups'
  for (const command of ['vms', 'top -n 1']) {
    const { exitCode, stderr } = await shell(
      `${stranger} ${process.execPath} ${pmufs} ${command} --mount ${dir}`,
      '/',
    )
    t.equal(exitCode, 1, command)
    t.match(stderr, /another user's.*--allow-other/, command)
  }
  await end(server, 'SIGKILL')
  const { exitCode, stderr } = await cli('exec', '--mount', dir, '--', 'true')
  t.equal(exitCode, 1)
  t.ok(stderr.includes(`its server died; mount it again with "pmufs mount ${dir}"`), stderr)
})

t.test('top goes on when a VM that it was just shown has ended', needs('root', 'fuse', 'kvm'), async t => {
  const watching = await mounted(t, '--source', 'stats')
  const other = await mounted(t, '--source', 'demo')
  const pid = (await other.sh('cat vms/demo/pid')).stdout
  await until('its guest is seen', async () => (await watching.sh(`grep -x ${pid} vms/*/pid`)).exitCode === 0)
  await end(other.server)
  const { exitCode, stderr } = await cli('top', '--mount', watching.dir, '-n', '2', '-i', '0.5')
  t.equal(stderr, '')
  t.equal(exitCode, 0)
})

t.test('top ends quietly with its server, as Ctrl-C ends both', needs('root', 'fuse'), async t => {
  const { dir, server } = await mounted(t, '--source', 'demo')
  const top = spawn(process.execPath, [pmufs, 'top', '--mount', dir, '-i', '0.5'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => end(top, 'SIGKILL'))
  const exited = once(top, 'exit')
  let said = ''
  top.stderr.on('data', data => (said += data))
  await once(top.stdout, 'data')
  // It stands still, so that the server has surely ended by the time that it sees the signal.
  top.kill('SIGSTOP')
  await end(server, 'SIGINT')
  top.kill('SIGINT')
  top.kill('SIGCONT')
  top.stdout.resume()
  t.strictSame(await exited, [0, null])
  t.equal(said, '')
})

t.test('an ordinary user mounts through fusermount3', needs('root', 'fuse', 'fusermount3'), async t => {
  const dir = mkdtempSync(join(tmpdir(), 'pmufs-user-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  await shell(
    `mkdir ${dir}/mnt; chmod 755 ${dir}; mknod -m 666 ${dir}/fuse c 10 229; chown 65534:65534 ${dir}/mnt`,
    '/',
  )
  // /dev/fuse as udev makes it, in a mount namespace of the test's own: the machine's stays as it is.
  const asUser = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  // tap has every node report to its folder, where this user may not write.
  const script = `unset NODE_OPTIONS; mount --bind ${dir}/fuse /dev/fuse && exec ${asUser.join(' ')} ${process.execPath} ${pmufs} mount ${dir}/mnt --source demo`
  const server = spawn('unshare', ['--mount', 'bash', '-c', script], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => end(server))
  let printed = ''
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', data => (printed += data))
  const enter = (script: string, ...as: string[]) =>
    execa('nsenter', [`--mount=/proc/${server.pid}/ns/mnt`, ...as, 'bash', '-c', script], {
      cwd: '/',
      reject: false,
      timeout: patience(60_000),
    })
  await until('the user sees the mount', async () => {
    if (server.exitCode !== null) throw new Error(printed)
    return (await enter(`cat ${dir}/mnt/control`, ...asUser)).exitCode === 0
  })
  t.equal((await enter(`cat ${dir}/mnt/sys/devices/kvm/type`, ...asUser)).stdout, '4096')
  t.match(printed, /SIMULATED/, 'the user may not use /dev/kvm, and is told what is counted instead')
  t.not((await enter(`cat ${dir}/mnt/sys/devices/kvm/type`)).exitCode, 0, 'nobody else gets in, root neither')
  const count = `cd ${dir}/mnt; exec 3<>control
    echo '{"type":"kvm","config":"exits","pid":'$(cat vms/demo/vcpu0/tid)'}' >&3; cat <&3; cat handles/1/count`
  const { stdout } = await enter(count, ...asUser)
  t.match(stdout, /^\{"handle":1,"path":"handles\/1"\}\n\d+$/)
  server.kill('SIGTERM')
  t.strictSame(await once(server, 'exit'), [0, null])
})
