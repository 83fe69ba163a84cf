/**
 * The command-line tools of PAPI and libpfm4 under `pmufs exec` see what they see without it, whatever that is: which
 * events they know depends on the processor, and some fail on one that they do not know.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { execa } from 'execa'
import t from 'tap'
import { runExec } from './support/exec.js'
import { mounted } from './support/mounted.js'
import { needs } from './support/needs.js'

/** Events of the kernel that need no hardware; a tool is asked for those that it lists. */
const software = ['TASK-CLOCK', 'PAGE-FAULTS']

t.test('tools that know no PMU of ours', needs('root', 'fuse', 'gcc', 'papi', 'libpfm4'), async t => {
  const mount = await mounted(t, '--source', 'demo')
  const folder = (await execa('mktemp', ['-d'])).stdout
  t.teardown(() => execa('rm', ['-r', folder]))
  // The examples include libpfm4's own copy of it, which is not installed.
  mkdirSync(`${folder}/perfmon`)
  writeFileSync(`${folder}/perfmon/err.h`, '#include <err.h>\n')
  const examples = ['showevtinfo', 'check_events']
  for (const name of examples)
    await execa('gcc', [
      `-I${folder}`,
      '-o',
      `${folder}/${name}`,
      `/usr/share/doc/libpfm4-dev/examples/${name}.c`,
      '-lpfm',
    ])

  /** What a command prints and its exit status, without exec; a line that is another each time is left out. */
  async function plainly(command: string) {
    const [first, second] = [await runExec(mount, `${command} 2>&1`), await runExec(mount, `${command} 2>&1`)]
    const again = second.stdout.split('\n')
    const stable = first.stdout.split('\n').map((line, at) => (line === again[at] ? line : undefined))
    return { exitCode: first.exitCode, stable, stdout: first.stdout }
  }

  /** Asserts that it is the same under exec. */
  async function compare(command: string): Promise<string> {
    const plain = await plainly(command)
    const under = await runExec(mount, `$EXEC ${command} 2>&1`)
    t.ok(plain.stdout.length > 10, `${command} says something: ${plain.stdout}`)
    t.equal(under.exitCode, plain.exitCode, `the exit status of ${command}`)
    const lines = under.stdout.split('\n')
    t.strictSame(
      lines.map((line, at) => (plain.stable[at] === undefined ? undefined : line)),
      plain.stable,
      command,
    )
    return plain.stdout
  }

  /** Those of the PMU "perf" that a list has. */
  const listed = (text: string, lineOf: (name: string) => RegExp): string[] =>
    software.filter(name => lineOf(name).test(text)).map(name => `perf::${name}`)

  await t.test('of PAPI', async t => {
    for (const command of ['papi_version', 'papi_component_avail', 'papi_avail', 'papi_decode -a'])
      await compare(command)
    const events = listed(await compare('papi_native_avail'), name => new RegExp(`\\bperf::${name}\\b`))
    t.comment(`papi_native_avail lists ${events.join(', ') || 'none of them'}`)
    for (const event of events) await compare(`papi_event_chooser NATIVE ${event}`)
    if (events.length === 0) return
    const counting = `papi_command_line ${events.join(' ')}`
    const [plain, under] = [await runExec(mount, counting), await runExec(mount, `$EXEC ${counting}`)]
    const withoutCounts = (text: string) => text.replaceAll(/(: *\t)\d+/g, '$1N')
    t.equal(under.exitCode, plain.exitCode)
    t.equal(withoutCounts(under.stdout), withoutCounts(plain.stdout), 'it counts where it counts without')
  })

  await t.test('of libpfm4', async t => {
    const events = listed(
      await compare(`${folder}/showevtinfo`),
      name => new RegExp(`^PMU name : perf .*\\nName +: ${name}$`, 'm'),
    )
    t.comment(`showevtinfo lists ${events.join(', ') || 'none of them'}`)
    await compare(`${folder}/check_events ${events.join(' ')}`)
  })
})
