/** A whole VMM under the distribution's perf: summed up, or refused as the patch refuses it. */
import t from 'tap'
import { runExec } from './support/exec.js'
import { microVmm } from './support/micro-vmm.js'
import { mounted } from './support/mounted.js'
import { needs } from './support/needs.js'
import { perfStat } from './support/perf.js'
import { sumOfStatistics } from './support/statistics.js'

t.test(
  "perf stat -p of a VMM sums its vCPUs up; --strict fails with the patch's EINVAL at the first thread that runs none",
  needs('root', 'fuse', 'kvm', 'gcc', 'perf'),
  async t => {
    const vmm = await microVmm(t, 2)
    const { pid = 0 } = vmm.process
    const exits = ['-p', String(pid), '-e', 'kvm/exits/']
    const mount = await mounted(t, '--source', 'stats')
    const before = sumOfStatistics(pid, 'exits')
    const [line = ''] = await perfStat(mount, exits, async () => {
      for (const vcpu of vmm.tids.keys()) await vmm.burst('port', vcpu, 1000 * (vcpu + 1))
    })
    t.equal(Number(line.split(',')[0]), sumOfStatistics(pid, 'exits') - before, line)
    t.ok(sumOfStatistics(pid, 'exits') - before > 0)

    const strict = await mounted(t, '--source', 'stats', '--strict')
    const { stderr } = await runExec(strict, `$EXEC perf stat -vv ${exits.join(' ')} -- true`)
    const opened = [...stderr.matchAll(/^sys_perf_event_open: pid (\d+) .*\n?(.*)$/gm)]
    t.ok(opened.length > 0, stderr)
    for (const [, thread, outcome] of opened)
      t.strictSame([Number(thread), outcome], [pid, 'sys_perf_event_open failed, error -22'])
    t.match(stderr, /<not supported>\s+kvm\/exits\//)
    const vcpus = await runExec(strict, `$EXEC perf stat -x, -t ${vmm.tids.join()} -e kvm/exits/ -- true`)
    t.equal(vcpus.exitCode, 0, vcpus.stderr)
    // Neither has run meanwhile, which perf shows so.
    t.match(vcpus.stderr, /^<not counted>,/, 'its vCPUs alone are not refused')
  },
)
