/** `pmufs exec` in an interactive shell: job control and the terminal's signals are as without it. */
import t from 'tap'
import { mounted } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'
import { CTRL_BACKSLASH, CTRL_C, CTRL_Z, terminal } from './support/terminal.js'

t.test('a command under pmufs exec on a terminal', needs('root', 'fuse', 'gcc'), async t => {
  const mount = await mounted(t, '--source', 'demo')
  const shell = await terminal(t, mount)

  t.test('Ctrl-Z stops it, fg and bg go on with it, Ctrl-C ends it', async t => {
    shell.type('$EXEC sh -c "echo up; exec cat"\n')
    await shell.see(/up\r\n/)
    shell.type('one\n')
    await shell.see(/one\r\n/)
    shell.type(CTRL_Z)
    t.match(await shell.see(/Stopped[^\n]*\n/), 'cat')
    t.equal(await shell.status(), 148)
    shell.type('fg\n')
    await shell.see(/exec cat[^\n]*\n/)
    shell.type('two\n')
    await shell.see(/two\r\n/)
    shell.type(CTRL_C)
    t.equal(await shell.status(), 130)
  })

  t.test('one that was started in the background is stopped when it reads the terminal', async t => {
    shell.type('$EXEC sh -c "read -r line; echo got \\$line" &\n')
    await shell.status()
    let isStopped = false
    for (let tries = 0; !isStopped && tries < patience(150); tries++) {
      shell.type('sleep 0.2; jobs\n')
      isStopped = /Stopped/.test(await shell.see(/<\d+>/))
    }
    t.ok(isStopped, 'SIGTTIN')
    shell.type('fg\n')
    await shell.see(/sh -c[^\n]*\n/)
    shell.type('this\n')
    await shell.see(/got this\r\n/)
    t.equal(await shell.status(), 0)
  })

  t.test('Ctrl-\\ and Ctrl-C end a pipeline, kill %1 a job', async t => {
    shell.type('$EXEC sh -c "echo up; exec sleep 60" | cat\n')
    await shell.see(/up\r\n/)
    shell.type(CTRL_C)
    t.equal(await shell.status(), 130)
    shell.type('ulimit -c 0; $EXEC sh -c "echo up; exec sleep 60"\n')
    await shell.see(/up\r\n/)
    shell.type(CTRL_BACKSLASH)
    t.equal(await shell.status(), 131)
    shell.type('$EXEC sh -c "echo up; exec sleep 60" &\n')
    await shell.see(/up\r\n/)
    shell.type('kill %1; wait %1\n')
    await shell.see(/<143>/)
  })

  t.test('it is the foreground group of the terminal, in the session of the shell', async t => {
    shell.type('$EXEC sh -c "ps -o pgid= -o tpgid= -o sid= -p \\$\\$"; echo $$\n')
    const [, group, foreground, session, shellId] =
      /(\d+) +(\d+) +(\d+)\s+(\d+)\s/.exec(await shell.see(/<\d+>/)) ?? []
    t.ok(group)
    t.equal(group, foreground)
    t.equal(session, shellId)
  })

  t.test('Ctrl-C while it starts ends it too, and a command that handles SIGINT goes on', async t => {
    shell.type('$EXEC sleep 60\n')
    await new Promise(resolve => setTimeout(resolve, 100))
    shell.type(CTRL_C)
    t.equal(await shell.status(), 130)
    shell.type(`$EXEC sh -c 'trap "echo caught; exit 9" INT; echo up; while :; do sleep 0.1; done'\n`)
    await shell.see(/up\r\n/)
    shell.type(CTRL_C)
    await shell.see(/caught/)
    t.equal(await shell.status(), 9)
  })
})
