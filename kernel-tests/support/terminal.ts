/** An interactive shell on a terminal of its own, as a person would use it. */
import { spawn } from 'node:child_process'
import { compile, execOn, plainNode } from './exec.js'
import { end, type Mounted, type Test, until } from './mounted.js'

/** Bytes that the terminal turns into signals. */
export const CTRL_C = '\x03'
export const CTRL_BACKSLASH = '\x1c'
export const CTRL_Z = '\x1a'

/** Types, and looks at what is printed after what it last saw. */
export interface Terminal {
  type(text: string): void
  /** Waits until it is printed, and gives what was printed up to its end. */
  see(what: RegExp): Promise<string>
  /** Waits for the shell's prompt; the exit status that it shows. */
  status(): Promise<number>
}

/** Starts bash, in which `$EXEC` is `pmufs exec` for the mount. It ends with the test. */
export async function terminal(test: Test, mount: Mounted): Promise<Terminal> {
  const program = await compile(test, ['terminal'])
  const child = spawn(program, ['bash', '--norc', '--noprofile', '-i'], {
    env: {
      ...process.env,
      ...plainNode,
      TERM: 'dumb',
      HISTFILE: '',
      EXEC: execOn(mount),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  test.teardown(() => end(child))
  let printed = ''
  child.stdout.on('data', data => (printed += data))
  const see = async (what: RegExp): Promise<string> => {
    let found: RegExpExecArray | null = null
    await until(`${what} in ${JSON.stringify(printed)}`, () => {
      found = what.exec(printed)
      return found !== null
    })
    const { index, 0: text } = found as unknown as RegExpExecArray
    const before = printed.slice(0, index + text.length)
    printed = printed.slice(index + text.length)
    return before
  }
  const shell: Terminal = {
    type: text => void child.stdin.write(text),
    see,
    status: async () => Number(/<(\d+)>$/.exec(await see(/<\d+>/))?.[1]),
  }
  shell.type("stty -echo; PS1='<$?>'\n")
  await shell.status()
  return shell
}
