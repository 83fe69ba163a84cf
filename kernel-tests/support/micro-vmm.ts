/** The C VMM of fixtures/micro-vmm.c: a guest that makes known numbers of events on command. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { end, type Test } from './mounted.js'

const source = fileURLToPath(new URL('../fixtures/micro-vmm.c', import.meta.url))

/** A running C VMM. No vCPU runs between two bursts. */
export interface MicroVmm {
  readonly process: ChildProcess
  /** Host thread ids by vCPU number. */
  readonly tids: readonly number[]
  /** Has one vCPU execute exactly `count` instructions of a kind: `port`, `mmio`, `halt` or `hypercall`. */
  burst(kind: string, vcpu: number, count: number): Promise<void>
}

/** Its program, built here, or outside of the lab that this runs in: PMUFS_TEST_MICRO_VMM. */
export function builtMicroVmm(test: { testdir(): string }): string {
  const { PMUFS_TEST_MICRO_VMM: built } = process.env
  if (built !== undefined) return built
  const path = `${test.testdir()}/micro-vmm`
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', path, source])
  return path
}

/**
 * Builds the VMM in the test's folder and starts it, ended with the test.
 *
 * @param threadName the name of a vCPU's thread, with `%` for its number
 * @param statistics whether it holds KVM's statistics descriptors
 */
export async function microVmm(
  test: Test & { testdir(): string },
  vcpus = 1,
  threadName = 'vcpu%',
  statistics: 'stats' | 'nostats' = 'stats',
): Promise<MicroVmm> {
  const path = builtMicroVmm(test)
  const child = spawn(path, [String(vcpus), threadName, ...(statistics === 'stats' ? [] : [statistics])], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  test.teardown(() => end(child, 'SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const nextLine = async (): Promise<string> => String((await lines.next()).value)
  const tids: number[] = []
  for (let line = await nextLine(); line !== 'ready'; line = await nextLine())
    tids.push(Number(/^vcpu \d+ tid (\d+)/.exec(line)?.[1]))
  return {
    process: child,
    tids,
    burst: async (kind, vcpu, count) => {
      child.stdin.write(`${kind} ${vcpu} ${count}\n`)
      const answer = await nextLine()
      if (answer !== 'done') throw new Error(`micro-vmm: ${answer}`)
    },
  }
}
