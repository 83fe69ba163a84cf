/** The command-line tools of PAPI and libpfm4 under `pmufs exec` see what they see without it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { execa } from 'execa'
import t from 'tap'
import { runExec } from './support/exec.js'
import { mounted } from './support/mounted.js'
import { needs } from './support/needs.js'

const tools = [
  'papi_version',
  'papi_component_avail',
  'papi_avail',
  'papi_native_avail',
  'papi_event_chooser NATIVE perf::TASK-CLOCK',
  'papi_decode -a',
]

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
  const commands = [
    ...tools,
    `${folder}/showevtinfo`,
    `${folder}/check_events perf::TASK-CLOCK perf::PAGE-FAULTS`,
  ]

  for (const command of commands) {
    t.test(command.replace(`${folder}/`, ''), async t => {
      const plain = await runExec(mount, `${command} 2>&1`)
      const under = await runExec(mount, `$EXEC ${command} 2>&1`)
      t.equal(plain.exitCode, 0, plain.stdout)
      t.ok(plain.stdout.length > 10)
      t.strictSame(under, plain)
    })
  }

  t.test('papi_command_line counts', async t => {
    const { stdout } = await runExec(mount, '$EXEC papi_command_line perf::TASK-CLOCK perf::PAGE-FAULTS')
    t.match(stdout, /perf::TASK-CLOCK : \t[1-9]/)
    t.match(stdout, /perf::PAGE-FAULTS : \t\d/)
  })
})
