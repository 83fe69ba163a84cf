/** perf counts a cgroup: the kernel's events go on beside ours, which count none. */
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { runExec } from './support/exec.js'
import { mounted } from './support/mounted.js'
import { needs } from './support/needs.js'

/** Where perf finds cgroups: mounted for the test where they are not. */
async function cgroups(test: Test): Promise<string> {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
  const found = mounts.map(line => line.split(' ')).find(([, , type]) => type === 'cgroup2')
  if (found?.[1] !== undefined) return found[1]
  const folder = mkdtempSync(join(tmpdir(), 'pmufs-cgroup-'))
  await execa('mount', ['-t', 'cgroup2', 'none', folder])
  test.teardown(async () => {
    await execa('umount', [folder])
    rmdirSync(folder)
  })
  return folder
}

t.test('ours are not supported, the others are counted', needs('root', 'fuse', 'perf'), async t => {
  const mount = await mounted(t, '--source', 'demo')
  const name = `pmufs-test-${process.pid}`
  const cgroup = join(await cgroups(t), name)
  mkdirSync(cgroup)
  t.teardown(() => rmdirSync(cgroup))
  const pid = (await mount.sh('cat vms/demo/pid')).stdout
  const workload = `sh -c 'echo $$ > ${cgroup}/cgroup.procs; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'`
  for (const option of [`-G ${name},${name},${name}`, `--for-each-cgroup ${name}`]) {
    const events = `kvm/exits/,task-clock,kvm_vm/exits,vm=${pid}/`
    const { stdout, exitCode } = await runExec(
      mount,
      `$EXEC perf stat -x, -a -e ${events} ${option} -- ${workload} 2>&1`,
    )
    t.equal(exitCode, 0, option)
    const lines = stdout.split('\n')
    for (const event of ['kvm/exits/', `kvm_vm/exits,vm=${pid}/`])
      t.match(lines.find(line => line.includes(event)) ?? '', /^<not supported>,/, `${event} with ${option}`)
    t.match(lines.find(line => line.includes('task-clock')) ?? '', /^\d+\.\d+,/, `task-clock with ${option}`)
  }
})
