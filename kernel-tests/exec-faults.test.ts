/** `pmufs exec` where something dies or stands still in the middle of a call: nothing hangs, no event is left. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import t from 'tap'
import { compile, execOn, plainNode, runExec, supervisors } from './support/exec.js'
import { mounted, type Test, until } from './support/mounted.js'
import { needs } from './support/needs.js'

/** How many events the server holds at once. */
const LIMIT = 40

/** Whether a thread of the process waits in a system call; its numbers on x86-64 and arm64. */
function isIn(pid: number | undefined, numbers: readonly [number, number]): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).some(tid =>
      numbers.includes(Number(readFileSync(`/proc/${pid}/task/${tid}/syscall`, 'latin1').split(' ')[0])),
    )
  } catch {
    return false
  }
}

const PERF_EVENT_OPEN = [298, 241] as const
const OPENAT = [257, 56] as const

/** Whether all threads of a process are stopped: the one that takes the signal stops the others only when it runs. */
const isStopped = (pid: number | undefined): boolean =>
  readdirSync(`/proc/${pid}/task`).every(tid =>
    readFileSync(`/proc/${pid}/task/${tid}/stat`, 'latin1').includes(') T '),
  )

const kill = (pid: number | undefined, signal: NodeJS.Signals): void => {
  if (pid !== undefined) process.kill(pid, signal)
}

async function setUp(t: Test) {
  const mount = await mounted(t, '--source', 'demo', '--max-handles', String(LIMIT))
  const [hold, churn] = [await compile(t, ['hold']), await compile(t, ['churn'], '-pthread')]
  const tid = (await mount.sh('cat vms/*/vcpu0/tid')).stdout
  const type = (await mount.sh('cat sys/devices/kvm/type')).stdout

  /** Opens as many events as there are, through the mount alone: all of them where none is left over. */
  const isEmpty = async () => {
    const request = `{"type":"kvm","config":"exits","pid":${tid}}`
    const { stdout } = await mount.sh(
      `n=0; while [ $n -lt ${LIMIT + 5} ] && exec {fd}<>perf_event_open && echo '${request}' >&$fd; do n=$((n+1)); done 2>/dev/null; echo $n`,
    )
    return stdout === String(LIMIT)
  }

  /** A command under exec, once it asks for a go-ahead. */
  const start = async (command: string): Promise<ChildProcess> => {
    const [program = '', ...prefix] = execOn(mount).split(' ')
    const child = spawn(program, [...prefix, 'sh', '-c', `echo up; read -r line; exec ${command}`], {
      env: { ...process.env, ...plainNode },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    if (child.stdout) await once(child.stdout, 'data')
    return child
  }
  return { mount, hold, churn, tid, type, isEmpty, start }
}

t.test('pmufs exec when something fails', needs('root', 'fuse', 'gcc'), async t => {
  const { mount, hold, churn, tid, type, isEmpty, start } = await setUp(t)
  const one = `${hold} ${type} 0 ${tid} 1`

  /**
   * Stops the server while it serves nothing. One that stops between its read of a request and the answer keeps the
   * thread that asked for as long as it is stopped, SIGKILL included.
   */
  async function stopServer(): Promise<void> {
    kill(mount.server.pid, 'SIGSTOP')
    await until('the server to stand still', () => isStopped(mount.server.pid))
  }

  /** A command that waits in perf_event_open because the server stands still. */
  async function startWaiting(): Promise<ChildProcess> {
    const child = await start(one)
    await stopServer()
    child.stdin?.end('\n')
    await until('the call to wait', () => isIn(child.pid, PERF_EVENT_OPEN))
    await until('its supervisor to ask the server', () => supervisors(mount).some(pid => isIn(pid, OPENAT)))
    return child
  }

  t.test('a caller that is killed in mid-call leaves no event', async t => {
    const child = await startWaiting()
    kill(child.pid, 'SIGKILL')
    await once(child, 'exit')
    kill(mount.server.pid, 'SIGCONT')
    await until('no event to be left', isEmpty)
    await until('the supervisor to end', () => supervisors(mount).length === 0)
    t.pass()
  })

  t.test('a supervisor that is killed in mid-call leaves no event, and its caller gets ENOSYS', async t => {
    const child = await startWaiting()
    const said = child.stdout ? text(child.stdout) : ''
    const [supervisor] = supervisors(mount)
    kill(supervisor, 'SIGKILL')
    await once(child, 'exit')
    t.equal(await said, 'opened 0, then ENOSYS\n')
    kill(mount.server.pid, 'SIGCONT')
    await until('no event to be left', isEmpty)
  })

  t.test("while the server stands still the kernel's own events open", async t => {
    const software = `${hold} 1 0 0 1`
    const child = await start(`sh -c "${one} </dev/null & sleep 0.5; exec ${software} </dev/null"`)
    await stopServer()
    child.stdin?.end('\n')
    let said = ''
    child.stdout?.on('data', data => (said += data))
    await until('the event of the kernel', () => said.includes('\n'))
    t.equal(said, 'opened 1, then none\n')
    kill(mount.server.pid, 'SIGCONT')
    if (child.exitCode === null) await once(child, 'exit')
    await until('no event to be left', isEmpty)
  })

  t.test('killed at any moment, of the supervisor or the program, no event is left', async t => {
    for (let round = 0; round < 8; round++) {
      const child = await start(`${churn} ${type} 0 ${tid} 8 100000`)
      child.stdin?.end('\n')
      await sleep(50 + 60 * round)
      const [supervisor] = supervisors(mount)
      kill(round % 2 === 0 ? supervisor : child.pid, 'SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      await until(`no event to be left in round ${round}`, isEmpty)
    }
    await until('the supervisors to end', () => supervisors(mount).length === 0)
    t.pass()
  })

  t.test('a program whose calls never pause holds up no other', async t => {
    const { stdout } = await runExec(
      mount,
      `$EXEC sh -c '${churn} 99 0 ${tid} 8 1000000 >/dev/null & ${hold} ${type} 0 ${tid} 20 </dev/null; kill $!'`,
    )
    t.equal(stdout, 'opened 20, then none')
    await until('no event to be left', isEmpty)
  })

  t.test('where the server or the program has no more room the program gets EMFILE', async t => {
    const { stdout } = await runExec(mount, `$EXEC ${hold} ${type} 0 ${tid} ${LIMIT + 1} </dev/null`)
    t.equal(stdout, `opened ${LIMIT}, then EMFILE`)
    const few = await runExec(mount, `$EXEC sh -c 'ulimit -n 20; ${hold} ${type} 0 ${tid} 30 </dev/null'`)
    t.match(few.stdout, /^opened 1\d, then EMFILE$/)
    await until('no event to be left', isEmpty)
  })
})

t.test('on a mount that carries no ioctl nothing is started', needs('root', 'fuse'), async t => {
  const mount = await mounted(t, '--source', 'demo', '--transport', 'libfuse')
  const { exitCode, stdout, stderr } = await runExec(mount, '$EXEC echo started')
  t.strictSame([exitCode, stdout], [1, ''])
  t.match(stderr, /carries no ioctl.*--transport direct/)
})

t.test('on a mount whose server died nothing is started', needs('root', 'fuse'), async t => {
  const mount = await mounted(t, '--source', 'demo')
  mount.server.kill('SIGKILL')
  await once(mount.server, 'exit')
  const { exitCode, stdout, stderr } = await runExec(mount, '$EXEC echo started')
  t.strictSame([exitCode, stdout], [1, ''])
  t.match(stderr, /pmufs mount/)
  await execa('umount', ['--lazy', mount.dir], { reject: false })
})
