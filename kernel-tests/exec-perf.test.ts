/** The distribution's own perf, unmodified, on a real QEMU guest: what it prints is what the guest says of itself. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { execOn, plainNode, runExec } from './support/exec.js'
import { type Mounted, mounted, type Test } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { type Qemu, qemu } from './support/qemu.js'

/** A count of perf's output, digits grouped or not. */
const countOf = (text: string, event: string): number =>
  Number((new RegExp(`([\\d,]+)\\s+${event}`).exec(text)?.[1] ?? 'NaN').replaceAll(',', ''))

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)

/** A folder of the test's own. */
function temporary(test: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'pmufs-perf-'))
  test.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

/** What perf stat is run around. */
interface Window {
  readonly statistics?: readonly string[]
  /** How often the workload runs. */
  readonly runs?: number
  readonly milliseconds?: number
  readonly subcommand?: readonly string[]
}

/**
 * Runs perf stat around a window in which the guest runs, once for each repetition: what it printed, and by how much
 * each vCPU's own statistics grew. Outside of the window the guest is paused, so that both count the same.
 */
async function statAround(
  { mount, guest, out }: { mount: Mounted; guest: Qemu; out: string },
  options: readonly string[],
  { statistics = ['exits'], runs = 1, milliseconds = 300, subcommand = [] }: Window = {},
) {
  const counts = async () => Promise.all(statistics.map(statistic => guest.counts(statistic)))
  const [command = '', ...prefix] = execOn(mount).split(' ')
  const workload = ['sh', '-c', 'echo started; read -r line']
  const output = subcommand.length === 0 ? ['-o', out] : []
  const perf = spawn(
    command,
    [...prefix, 'perf', 'stat', ...subcommand, ...output, ...options, '--', ...workload],
    { env: { ...process.env, ...plainNode }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  let printed = ''
  perf.stderr.on('data', data => (printed += data))
  const lines = createInterface(perf.stdout)[Symbol.asyncIterator]()
  const before = await counts()
  for (let run = 0; run < runs; run++) {
    await lines.next()
    await guest.qmp.cont()
    await sleep(patience(milliseconds))
    await guest.qmp.run('stop')
    perf.stdin.write('\n')
  }
  await once(perf, 'exit')
  const after = await counts()
  const grown = after.map((vcpus, i) => vcpus.map((count, vcpu) => count - (before[i]?.[vcpu] ?? NaN)))
  return { text: subcommand.length === 0 ? readFileSync(out, 'utf8') : printed, grown }
}

t.test('perf under pmufs exec', needs('root', 'fuse', 'kvm', 'qemu', 'perf'), async t => {
  const guest = await qemu(t, { name: 'vm1', vcpus: 2 })
  const mount = await mounted(t, '--source', 'qmp', '--qmp', guest.socket)
  const tids = await guest.tids()
  const [tid = 0] = tids
  const out = join(temporary(t), 'out')
  await guest.qmp.run('stop')
  const stat = (options: readonly string[], window?: Window) =>
    statAround({ mount, guest, out }, options, window)

  const exits = ['-e', 'kvm/exits/']
  const thread = ['-t', String(tid)]
  const threads = ['-t', tids.join(',')]

  t.test('stat counts one thread', async t => {
    const { text, grown } = await stat([...exits, ...thread])
    t.ok(countOf(text, 'kvm/exits/') > 0)
    t.equal(countOf(text, 'kvm/exits/'), grown[0]?.[0])
  })

  t.test('stat counts several threads at once, together and apart', async t => {
    const together = await stat([...exits, ...threads])
    t.equal(countOf(together.text, 'kvm/exits/'), sum(together.grown[0] ?? []))
    const apart = await stat([...exits, ...threads, '--per-thread'])
    for (const [vcpu, each] of tids.entries()) {
      const line = apart.text.split('\n').find(text => text.includes(`-${each} `)) ?? ''
      t.equal(countOf(line, 'kvm/exits/') || 0, apart.grown[0]?.[vcpu], line)
    }
  })

  t.test('stat -x, and -j print the same for machines', async t => {
    const csv = await stat([...exits, ...thread, '-x,'])
    const [, fields = ''] = /^(\d.*kvm\/exits\/.*)$/m.exec(csv.text) ?? []
    t.equal(Number(fields.split(',')[0]), csv.grown[0]?.[0])
    const json = await stat([...exits, ...thread, '-j'])
    const line = json.text.split('\n').find(text => text.startsWith('{')) ?? '{}'
    t.equal(Number((JSON.parse(line) as Record<string, string>)['counter-value']), json.grown[0]?.[0])
  })

  t.test('stat -I prints intervals that add up', async t => {
    const { text, grown } = await stat([...exits, ...thread, '-I', '100', '-x,'])
    const lines = text.split('\n').filter(line => line.includes('kvm/exits/') && !line.includes('<not'))
    t.ok(lines.length > 1)
    t.equal(sum(lines.map(line => Number(line.split(',')[1]))), grown[0]?.[0])
  })

  t.test('stat -r 3 counts three runs, each by itself', async t => {
    const { text, grown } = await stat([...exits, ...thread, '-r', '3', '-v'], { runs: 3 })
    const runs = [...text.matchAll(/^kvm\/exits\/: (\d+) /gm)].map(([, count]) => Number(count))
    t.equal(runs.length, 3)
    t.equal(sum(runs), grown[0]?.[0])
  })

  t.test('stat counts a group, and mixes events of ours and of the kernel outside of one', async t => {
    const group = await stat(['-e', '{kvm/exits/,kvm/io_exits/}', ...thread], {
      statistics: ['exits', 'io_exits'],
    })
    t.strictSame(
      ['exits', 'io_exits'].map(name => countOf(group.text, `kvm/${name}/`)),
      group.grown.map(([first]) => first),
    )
    const mixed = await stat(['-e', 'kvm/exits/,task-clock,msr/tsc/', ...thread])
    t.equal(countOf(mixed.text, 'kvm/exits/'), mixed.grown[0]?.[0])
    t.ok(countOf(mixed.text, 'msr/tsc/') > 0)
  })

  t.test('stat counts all events of the PMU at once', async t => {
    const names = (await mount.sh('ls sys/devices/kvm/events | grep -v [.]')).stdout.split('\n')
    const { text, grown } = await stat(
      ['-e', names.map(name => `kvm/${name}/`).join(','), ...thread, '-x,'],
      { statistics: names.map(name => (name === 'tlb_flush_stat' ? 'tlb_flush' : name)) },
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
    const data = join(temporary(t), 'data')
    const { text, grown } = await stat([...exits, ...thread], { subcommand: ['record', '-o', data] })
    t.equal(countOf(text, 'kvm/exits/'), grown[0]?.[0])
    const report = await runExec(mount, `$EXEC perf stat report -i ${data} 2>&1`)
    t.equal(countOf(report.stdout, 'kvm/exits/'), grown[0]?.[0])
  })

  t.test('a group of ours and of the kernel is refused, whichever leads', async t => {
    for (const group of ['{kvm/exits/,msr/tsc/}', '{msr/tsc/,kvm/exits/}', '{task-clock,kvm/exits/}']) {
      const { stdout } = await runExec(mount, `$EXEC perf stat -e '${group}' -t ${tid} sleep 0.1 2>&1`)
      t.match(stdout, /<not supported>/, group)
    }
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

/** A firmware of 64 KiB that is `jmp .` where a processor begins. */
function busyFirmware(test: Test): string {
  const file = join(temporary(test), 'firmware')
  const image = new Uint8Array(0x10000)
  image.set([0xeb, 0xfe], 0xfff0)
  writeFileSync(file, image)
  return file
}

t.test(
  'time_enabled and time_running are those of msr/tsc/ on the same thread, within 2 %',
  needs('root', 'fuse', 'kvm', 'qemu', 'perf', 'msr'),
  async t => {
    const guests = {
      'that sleeps': await qemu(t, { name: 'sleeper' }),
      'that is busy': await qemu(t, { name: 'busy', args: ['-bios', busyFirmware(t)] }),
    }
    const sockets = Object.values(guests).flatMap(({ socket }) => ['--qmp', socket])
    const mount = await mounted(t, '--source', 'qmp', ...sockets)
    const out = join(temporary(t), 'out')
    const shares: number[] = []
    for (const [which, guest] of Object.entries(guests)) {
      const [tid = 0] = await guest.tids()
      await guest.qmp.run('stop')
      const options = ['-v', '-e', 'kvm/exits/,msr/tsc/', '-t', String(tid)]
      const { text } = await statAround({ mount, guest, out }, options, { milliseconds: 1500 })
      const times = (event: string) =>
        (new RegExp(`^${event}: \\d+ (\\d+) (\\d+)$`, 'm').exec(text) ?? []).slice(1).map(Number)
      const ours = times('kvm/exits/')
      const theirs = times('msr/tsc/')
      for (const [at, name] of ['time_enabled', 'time_running'].entries()) {
        const [our = NaN, their = NaN] = [ours[at], theirs[at]]
        t.ok(Math.abs(our - their) <= 0.02 * their, `${name} of a guest ${which}: ${our}, ${their}`)
      }
      shares.push((ours[0] ?? NaN) / patience(1.5e9))
    }
    const [sleeping = NaN, busy = NaN] = shares
    t.ok(sleeping < busy, `one sleeps, one is busy: ${shares.join(', ')}`)
  },
)
