/** The distribution's own perf, unmodified, on a real QEMU guest: what it prints is what the guest says of itself. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import t from 'tap'
import { execOn, plainNode, runExec } from './support/exec.js'
import { mounted } from './support/mounted.js'
import { needs } from './support/needs.js'
import { qemu } from './support/qemu.js'

/** A count of perf's output, digits grouped or not. */
const countOf = (text: string, event: string): number =>
  Number((new RegExp(`([\\d,]+)\\s+${event}`).exec(text)?.[1] ?? 'NaN').replaceAll(',', ''))

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

t.test('perf under pmufs exec', needs('root', 'fuse', 'kvm', 'qemu', 'perf'), async t => {
  const guest = await qemu(t, { name: 'vm1', vcpus: 2 })
  const mount = await mounted(t, '--source', 'qmp', '--qmp', guest.socket)
  const tids = await guest.tids()
  const [tid = 0] = tids
  const out = (await execa('mktemp')).stdout
  t.teardown(() => execa('rm', [out]))
  await guest.qmp.run('stop')

  /**
   * Runs perf stat around a window in which the guest runs, once for each repetition: what it printed, and by how
   * much each vCPU's own statistics grew. Outside of the window the guest is paused, so that both count the same.
   */
  async function stat(options: readonly string[], statistics: readonly string[], windows = 1) {
    const counts = async () => Promise.all(statistics.map(statistic => guest.counts(statistic)))
    const [command = '', ...prefix] = execOn(mount).split(' ')
    const workload = ['sh', '-c', 'echo started; read -r line']
    const perf = spawn(command, [...prefix, 'perf', 'stat', '-o', out, ...options, '--', ...workload], {
      env: { ...process.env, ...plainNode },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface(perf.stdout)[Symbol.asyncIterator]()
    const before = await counts()
    for (let window = 0; window < windows; window++) {
      await lines.next()
      await guest.qmp.run('cont')
      await sleep(300)
      await guest.qmp.run('stop')
      perf.stdin.write('\n')
    }
    await once(perf, 'exit')
    const after = await counts()
    const grown = after.map((vcpus, i) => vcpus.map((count, vcpu) => count - (before[i]?.[vcpu] ?? NaN)))
    return { text: readFileSync(out, 'utf8'), grown }
  }

  const exits = ['-e', 'kvm/exits/']
  const thread = ['-t', String(tid)]
  const threads = ['-t', tids.join(',')]

  t.test('stat counts one thread', async t => {
    const { text, grown } = await stat([...exits, ...thread], ['exits'])
    t.ok(countOf(text, 'kvm/exits/') > 0)
    t.equal(countOf(text, 'kvm/exits/'), grown[0]?.[0])
  })

  t.test('stat counts several threads at once, together and apart', async t => {
    const together = await stat([...exits, ...threads], ['exits'])
    t.equal(countOf(together.text, 'kvm/exits/'), sum(together.grown[0] ?? []))
    const apart = await stat([...exits, ...threads, '--per-thread'], ['exits'])
    for (const [vcpu, each] of tids.entries()) {
      const line = apart.text.split('\n').find(text => text.includes(`-${each} `)) ?? ''
      t.equal(countOf(line, 'kvm/exits/') || 0, apart.grown[0]?.[vcpu], line)
    }
  })

  t.test('stat -x, and -j print the same for machines', async t => {
    const csv = await stat([...exits, ...thread, '-x,'], ['exits'])
    const [, fields = ''] = /^(\d.*kvm\/exits\/.*)$/m.exec(csv.text) ?? []
    t.equal(Number(fields.split(',')[0]), csv.grown[0]?.[0])
    const json = await stat([...exits, ...thread, '-j'], ['exits'])
    const line = json.text.split('\n').find(text => text.startsWith('{')) ?? '{}'
    t.equal(Number((JSON.parse(line) as Record<string, string>)['counter-value']), json.grown[0]?.[0])
  })

  t.test('stat -I prints intervals that add up', async t => {
    const { text, grown } = await stat([...exits, ...thread, '-I', '100', '-x,'], ['exits'])
    const lines = text.split('\n').filter(line => line.includes('kvm/exits/') && !line.includes('<not'))
    t.ok(lines.length > 1)
    t.equal(sum(lines.map(line => Number(line.split(',')[1]))), grown[0]?.[0])
  })

  t.test('stat -r 3 counts three runs, each by itself', async t => {
    const { text, grown } = await stat([...exits, ...thread, '-r', '3', '-v'], ['exits'], 3)
    const runs = [...text.matchAll(/^kvm\/exits\/: (\d+) /gm)].map(([, count]) => Number(count))
    t.equal(runs.length, 3)
    t.equal(sum(runs), grown[0]?.[0])
  })

  t.test('stat counts a group, and mixes events of ours and of the kernel outside of one', async t => {
    const group = await stat(['-e', '{kvm/exits/,kvm/io_exits/}', ...thread], ['exits', 'io_exits'])
    t.strictSame(
      ['exits', 'io_exits'].map(name => countOf(group.text, `kvm/${name}/`)),
      group.grown.map(([first]) => first),
    )
    const mixed = await stat(['-e', 'kvm/exits/,task-clock,msr/tsc/', ...thread], ['exits'])
    t.equal(countOf(mixed.text, 'kvm/exits/'), mixed.grown[0]?.[0])
    t.ok(countOf(mixed.text, 'msr/tsc/') > 0)
  })

  t.test('stat counts all events of the PMU at once', async t => {
    const names = (await mount.sh('ls sys/devices/kvm/events | grep -v [.]')).stdout.split('\n')
    const { text, grown } = await stat(
      ['-e', names.map(name => `kvm/${name}/`).join(','), ...thread, '-x,'],
      names,
    )
    for (const [at, name] of names.entries()) {
      const line = text.split('\n').find(each => each.includes(`,kvm/${name}/,`)) ?? ''
      const scale = Number((await mount.sh(`cat sys/devices/kvm/events/${name}.scale`)).stdout || 1)
      const expected = (grown[at]?.[0] ?? NaN) * scale
      // Perf prints a scaled count with two decimals.
      t.ok(
        Math.abs(Number(line.split(',')[0]) - expected) <= (scale === 1 ? 0 : 0.005),
        `${line} (${expected})`,
      )
    }
  })

  t.test('stat record keeps what stat report prints', async t => {
    const folder = (await execa('mktemp', ['-d'])).stdout
    t.teardown(() => execa('rm', ['-r', folder]))
    await guest.qmp.run('cont')
    const { stdout, stderr } = await runExec(
      mount,
      `cd ${folder}; $EXEC perf stat record -e kvm/exits/ -t ${tid} sleep 0.2; perf stat report 2>&1`,
    )
    await guest.qmp.run('stop')
    const printed = /^ +[\d,]+ +kvm\/exits\//m
    t.ok(printed.test(stderr))
    t.equal(printed.exec(stdout)?.[0].trim(), printed.exec(stderr)?.[0].trim())
  })

  t.test('list shows our events beside those of the kernel', async t => {
    const { stdout } = await runExec(mount, '$EXEC perf list 2>&1')
    for (const event of ['kvm/exits/', 'kvm/io_exits/', 'msr/tsc/']) t.match(stdout, event)
  })

  t.test("record and -a fail with the patch's errno, in perf's own words", async t => {
    const record = await runExec(mount, `$EXEC perf record -o /dev/null -e kvm/exits/ -t ${tid} sleep 0.1`)
    t.not(record.exitCode, 0)
    t.match(record.stderr, /Invalid event \(kvm\/exits\/\)/, 'EINVAL')
    const wide = await runExec(mount, '$EXEC perf stat -a -e kvm/exits/ sleep 0.1')
    t.match(wide.stdout + wide.stderr, /<not supported>\s+kvm\/exits\//)
  })
})

t.test(
  'time_enabled and time_running are those of msr/tsc/ on the same thread',
  needs('root', 'fuse', 'kvm', 'qemu', 'perf', 'msr'),
  async t => {
    const guest = await qemu(t, { name: 'vm1' })
    const mount = await mounted(t, '--source', 'qmp', '--qmp', guest.socket)
    const [tid = 0] = await guest.tids()
    const { stderr } = await runExec(mount, `$EXEC perf stat -x, -e kvm/exits/,msr/tsc/ -t ${tid} sleep 2`)
    const [ours = NaN, theirs = NaN] = stderr.split('\n').map(line => Number(line.split(',')[3]))
    t.ok(Math.abs(ours - theirs) <= 0.02 * theirs, stderr)
  },
)
