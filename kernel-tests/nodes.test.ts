/**
 * Other lines of Node.js than the one that runs the tests: mounts, counts and examples on each, and the tests of exec
 * and of the library, each file a program of that Node.
 */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import t from 'tap'
import { execOn, plainNode } from './support/exec.js'
import { openHandle } from './support/handles.js'
import type { Mounted } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { perfStat, printed } from './support/perf.js'
import { mountpoint, served } from './support/program.js'
import { worker } from './support/worker.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const otherNodes = `${root}scripts/other-nodes`

/** The tests that run there as they are. */
const files = ['library', 'exec'] as const

const countOf = async (mount: Mounted, handle: string) =>
  Number((await mount.sh(`cat ${handle}/count`)).stdout)

/** `scripts/pmufs` takes the first node of PATH. */
async function withNode<T>(node: string, run: () => Promise<T>): Promise<T> {
  const before = process.env.PATH
  process.env.PATH = `${dirname(node)}:${before}`
  try {
    return await run()
  } finally {
    process.env.PATH = before
  }
}

t.test('on other lines of Node.js', needs('root', 'fuse', 'perf'), async t => {
  const { stdout } = await execa(otherNodes, { timeout: patience(240_000), stderr: 'inherit' })
  const nodes = stdout.split('\n')
  t.equal(nodes.length, 2)
  const majors = new Set([process.version.split('.')[0]])
  for (const node of nodes)
    await t.test(node, t =>
      withNode(node, async () => {
        const { stdout: version } = await execa(node, ['--version'], { env: plainNode })
        const [major = ''] = version.split('.')
        t.notOk(majors.has(major), `${version} is another line`)
        majors.add(major)

        await t.test('pmufs mount counts guests, by control, by top and under perf', async t => {
          const dir = mountpoint(t)
          const args = ['mount', dir, '--source', 'demo']
          const mount = await served(t, dir, { node, file: 'dist/cli/main.js', args })
          const tid = Number((await mount.sh('cat vms/demo/vcpu0/tid')).stdout)
          const handle = await openHandle(mount, 'exits', tid)
          const before = await countOf(mount, handle)
          const lines = await perfStat(mount, ['-e', 'kvm/exits/', '-t', String(tid)], async () => {
            const from = await countOf(mount, handle)
            while ((await countOf(mount, handle)) === from);
          })
          const counted = printed(lines, 'kvm/exits/')
          t.ok(counted > 0 && counted <= (await countOf(mount, handle)) - before, `${counted} exits`)
          const commands = [['vms'], ['top', '-n', '1', '-i', '0.1', '-e', 'exits']]
          for (const [command = '', ...options] of commands) {
            const said = await execa(node, ['dist/cli/main.js', command, '--mount', dir, ...options], {
              env: plainNode,
              cwd: root,
            })
            t.match(said.stdout, /^demo +\S/m, command)
          }
          const exit = await execa('sh', ['-c', `${execOn(mount)} sh -c 'exit 7'`], {
            env: plainNode,
            reject: false,
          })
          t.equal(exit.exitCode, 7)
          mount.server.kill('SIGTERM')
          await new Promise(resolve => mount.server.once('exit', resolve))
          t.equal(mount.server.exitCode, 0)
        })

        await t.test('a PMU of the library counts exactly', async t => {
          const dir = mountpoint(t)
          const mount = await served(t, dir, { node, file: 'dist/examples/thread-io.js', args: [dir] })
          const { pid, run } = worker(t)
          // The shell itself writes "done" once for each run.
          const write = () => run('for ((i = 0; i < 1000; i++)); do echo hello; done >/dev/null')
          const calls = await openHandle(mount, 'write_calls', pid, 'io')
          await write()
          t.equal(await countOf(mount, calls), 1001)
          const lines = await perfStat(mount, ['-e', 'io/write_calls/,io/written/', '-t', String(pid)], write)
          t.equal(printed(lines, 'io/write_calls/'), 1001)
          t.equal(printed(lines, 'io/written/'), 6005)
        })

        for (const file of files)
          await t.test(`kernel-tests/${file}.test.ts`, async t => {
            const args = ['--import=@tapjs/typescript/import', `kernel-tests/${file}.test.ts`]
            const { exitCode, stdout } = await execa(node, args, {
              cwd: root,
              env: { ...plainNode, TAP: '' },
              reject: false,
              timeout: patience(240_000),
            })
            t.equal(exitCode, 0, exitCode === 0 ? file : stdout)
            t.match(stdout, /^# Subtest: /m)
          })
      }),
    )
})
