/** A thread that does what a test tells it, to be counted. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { end, type Test } from './mounted.js'

/** A shell that runs what it is told, and says when it has. */
export function worker(test: Test) {
  const child = spawn('bash', [], { stdio: ['pipe', 'pipe', 'inherit'] })
  test.teardown(() => end(child, 'SIGKILL'))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    pid: child.pid ?? 0,
    run: async (script: string) => {
      child.stdin.write(`${script}\necho done\n`)
      await lines.next()
    },
  }
}
