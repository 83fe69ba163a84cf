/** `pmufs exec` around any program: what the program keeps, what it sees, and what happens where it cannot be. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import t from 'tap'
import { compile, execOn, runExec, supervisors } from './support/exec.js'
import { mounted, until } from './support/mounted.js'
import { needs } from './support/needs.js'
import { PATIENCE, patience } from './support/patience.js'

t.test('pmufs exec', needs('root', 'fuse', 'gcc'), async t => {
  const mount = await mounted(t, '--source', 'demo')
  const run = (script: string) => runExec(mount, script)
  const outerFilter = await compile(t, ['outer-filter'])
  const churn = await compile(t, ['churn'], '-static', '-pthread')
  const tid = (await mount.sh('cat vms/*/vcpu0/tid')).stdout
  const type = (await mount.sh('cat sys/devices/kvm/type')).stdout

  t.test("the command's end is the end: status, signal, 126, 127", async t => {
    t.equal((await run('$EXEC sh -c "exit 7"')).exitCode, 7)
    t.equal((await run(`$EXEC sh -c 'kill -SEGV $$'; echo $?`)).stdout, '139')
    const missing = await run('$EXEC no-such-command')
    t.equal(missing.exitCode, 127)
    t.equal(missing.stderr, 'pmufs: Cannot run "no-such-command": No such file or directory')
    t.equal((await run('$EXEC /etc/passwd')).exitCode, 126)
    t.equal((await run('timeout 1 $EXEC sleep 60')).exitCode, 124)
  })

  t.test('the command is the process that was started: id, parent, group, terminal', async t => {
    const ids = 'cut -d" " -f1,4-8 /proc/self/stat'
    const { stdout } = await run(`sh -c 'echo $$; exec $EXEC sh -c "echo \\$\\$"'`)
    const [before, after] = stdout.split('\n')
    t.equal(after, before)
    const groups = (await run(`${ids} | cut -d' ' -f2-; $EXEC ${ids} | cut -d' ' -f2-`)).stdout.split('\n')
    t.equal(groups[1], groups[0])
    t.equal(
      (await run('$EXEC sh -c "wait; ps -o pid= --ppid \\$\\$ | wc -l"')).stdout,
      '2',
      'ps and wc alone',
    )
  })

  t.test(
    'the command inherits what it would without: signals, limit, descriptors, folder, environment',
    async t => {
      const look = [
        'grep -E "Sig(Blk|Ign)" /proc/self/status',
        'ulimit -Sn; ulimit -Hn; umask; pwd',
        'for n in 0 1 2 3 4 5 9; do test -e /proc/$$/fd/$n && echo $n $(grep flags /proc/$$/fdinfo/$n); done',
        'env | grep -v -e ^_= -e ^_TAPJS | sort',
      ].join('; ')
      const setUp = `ulimit -Sn 900; umask 027; trap '' HUP USR1; cd /usr; exec 3</etc/passwd 5<>/dev/null 9>&1; export look='${look}'`
      const plain = await run(`${setUp}; sh -c "$look"`)
      const under = await run(`${setUp}; $EXEC sh -c "$look"`)
      t.match(plain.stdout, /900\n/)
      t.equal(under.stdout, plain.stdout)
      t.match((await run(`nohup $EXEC grep SigIgn /proc/self/status`)).stdout, /0001$/)
    },
  )

  t.test('arguments pass as bytes', async t => {
    const { stdout } = await run(
      String.raw`$EXEC printf '%s|' "$(printf 'a\377b')" '' 'two words' -- --mount | od -An -tx1`,
    )
    t.equal(
      stdout.replaceAll(/\s+/g, ' ').trim(),
      Buffer.from('a\xffb||two words|--|--mount|', 'latin1')
        .toString('hex')
        .replaceAll(/(..)(?!$)/g, '$1 '),
    )
  })

  t.test('a pipe ends when the command does, and a background child keeps the supervisor', async t => {
    t.equal((await run('$EXEC echo hello | cat')).stdout, 'hello')
    const { stdout } = await run(
      `$EXEC sh -c '(sleep ${patience(3000) / 1000}; ${churn} ${type} 0 ${tid} 1 1) >/tmp/pmufs-late 2>&1 & exit 3'; echo $?`,
    )
    t.equal(stdout, '3', 'without waiting')
    t.equal(supervisors(mount).length, 1)
    await until('the last supervisor to end', () => supervisors(mount).length === 0)
    t.equal(readFileSync('/tmp/pmufs-late', 'utf8'), 'opened 1 counted 1\n')
    await execa('rm', ['/tmp/pmufs-late'])
  })

  t.test('the PMUs stand in /sys, and only there the mounts are its own', async t => {
    const { stdout } = await run(
      '$EXEC readlink /sys/bus/event_source/devices/kvm /sys/bus/event_source/devices/software',
    )
    t.equal(stdout, `${mount.dir}/sys/devices/kvm\n../../../devices/software`)
    t.equal(
      (await run('test -e /sys/bus/event_source/devices/kvm; echo $?')).stdout,
      '1',
      'nobody else sees it',
    )
    const folder = (await execa('mktemp', ['-d'])).stdout
    t.teardown(() => execa('rmdir', [folder]))
    await run(`$EXEC mount -t tmpfs none ${folder}`)
    t.equal((await run(`mountpoint -q ${folder}; echo $?`)).stdout, '0', 'its mounts are there for all')
    await run(`$EXEC umount ${folder}`)
    t.equal((await run(`mountpoint -q ${folder}; echo $?`)).stdout, '32')
  })

  t.test('without CAP_SYS_ADMIN SYSFS_PATH shows them, and events open all the same', async t => {
    const drop = 'setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin'
    const verbose = execOn(mount).replace(/--$/, '--verbose --')
    const { stdout, stderr } = await run(`${drop} ${verbose} sh -c 'echo $SYSFS_PATH'`)
    t.equal(stdout, `${mount.dir}/sys`)
    t.match(stderr, /^pmufs: a private \/sys is not permitted/)
    t.equal(stderr.split('\n').length, 1)
    t.equal((await run(`${drop} $EXEC ${churn} ${type} 0 ${tid} 1 2`)).stdout, 'opened 2 counted 2')
  })

  t.test('another pid namespace, another user, another exec: all are covered', async t => {
    const one = `${churn} ${type} 0 ${tid} 1 1`
    t.equal((await run(`$EXEC $EXEC ${one}`)).stdout, 'opened 1 counted 1', 'nested')
    t.equal(
      (await run(`$EXEC unshare -pf --mount-proc ${churn} ${type} 0 1 1 1`)).stdout,
      'opened 0 counted 0',
      'pid 1 is itself',
    )
    t.equal(
      (await run(`$EXEC setpriv --reuid 65534 --clear-groups ${one}`)).stdout,
      'opened 0 counted 0',
      'judged as nobody',
    )
    const other = await mounted(t, '--source', 'demo')
    const refused = await run(`$EXEC ${execOn(other)} true`)
    t.equal(refused.exitCode, 1)
    t.match(refused.stderr, /runs under another pmufs mount already/)
  })

  t.test('32-bit and x32 calls are let through untouched', async t => {
    const otherAbi = await compile(t, ['other-abi'])
    const plain = await run(`${otherAbi} ${type} ${tid}`)
    t.equal((await run(`$EXEC ${otherAbi} ${type} ${tid}`)).stdout, plain.stdout)
    t.notMatch(plain.stdout, 'ok')
    const msr = (await run('cat /sys/devices/msr/type || echo 0')).stdout
    const native = await run(`${otherAbi} ${msr} ${tid}`)
    t.equal((await run(`$EXEC ${otherAbi} ${msr} ${tid}`)).stdout, native.stdout)
  })

  t.test('what stands in front of it is found before the command starts', async t => {
    const hidden = await run(`${outerFilter} errno $EXEC echo started`)
    t.strictSame([hidden.exitCode, hidden.stdout], [1, ''])
    t.match(hidden.stderr, /--security-opt seccomp=unconfined/)
    const taken = await run(`${outerFilter} listener $EXEC echo started`)
    t.strictSame([taken.exitCode, taken.stdout], [1, ''])
    t.match(taken.stderr, /has a seccomp listener already/)
    await until('supervisors to end', () => supervisors(mount).length === 0)
  })

  t.test('8 threads that open 1,000 events each leave no event and no descriptor behind', async t => {
    const descriptors = () => readdirSync(`/proc/${mount.server.pid}/fd`).length
    await run(`$EXEC ${churn} ${type} 0 ${tid} 1 1`)
    const before = descriptors()
    t.equal((await run(`$EXEC ${churn} ${type} 0 ${tid} 8 1000`)).stdout, 'opened 8000 counted 8000')
    await until('descriptors of the server to go', () => descriptors() <= before)
  })

  t.test('where the supervisor was killed perf_event_open gives ENOSYS, and nothing hangs', async t => {
    const go = join(t.testdir(), 'go')
    // The fifo opens once the command, under its supervisor, reads it.
    const { stdout } = await run(
      `mkfifo ${go}; $EXEC sh -c 'read -r line <${go}; ${churn} ${type} 0 ${tid} 1 1' & exec 9>${go}
      supervisor=$(pgrep -f "exec-supervisor.js $MNT"); kill -KILL $supervisor
      until [ ! -e /proc/$supervisor ] || grep -q '^State:.Z' /proc/$supervisor/status; do sleep 0.05; done
      echo >&9; wait`,
    )
    t.equal(stdout, 'opened 0 counted 0')
  })
})

t.test(
  'a guest in another pid namespace is counted by the thread id that it has there',
  needs('root', 'fuse', 'kvm', 'gcc'),
  async t => {
    const churn = await compile(t, ['churn'], '-pthread')
    const vmm = await compile(t, ['micro-vmm'], '-pthread')
    const machine = await mounted(t, '--source', 'stats')
    const type = (await machine.sh('cat sys/devices/kvm/type')).stdout
    const folder = (await execa('mktemp', ['-d'])).stdout
    t.teardown(() => execa('rm', ['-r', folder]))
    const inside = `mkfifo in; ${vmm} 1 <in >out & exec 9>in; until grep -q ready out; do sleep 0.1; done;
      set -- $(head -1 out); until ${churn} ${type} 0 $4 1 1 | tee said | grep "opened 1"; do sleep 0.2; done; echo "tid $4"`
    for (const proc of ['--mount-proc', '']) {
      const { stdout } = await runExec(
        machine,
        `mkdir ${folder}/x${proc}; cd ${folder}/x${proc}; $EXEC unshare -pf ${proc} timeout ${60 * PATIENCE} sh -c '${inside}'`,
      )
      const [, inner] = /^opened 1 counted 1\ntid (\d+)$/.exec(stdout) ?? []
      t.ok(inner, stdout)
      t.ok(Number(inner) < 100, 'an id of the namespace')
    }
  },
)
