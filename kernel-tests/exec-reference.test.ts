/**
 * The live reference: one program does the same to the kernel's own msr PMU and, under exec, to ours; on a vCPU's
 * thread with cpu -1 the two transcripts are equal, but for the differences that are stated here.
 */

import { execa } from 'execa'
import t from 'tap'
import { compile, execOn, plainNode } from './support/exec.js'
import { limits } from './support/limits.js'
import { type Mounted, mounted } from './support/mounted.js'
import { needs } from './support/needs.js'
import { patience } from './support/patience.js'

/** By the word in brackets that begins a line's subject: why it differs. */
const stated: Record<string, string> = {
  ...limits,
  exclude: 'the patch refuses five of the exclude bits itself, and knows nothing of exclude_host',
  branch: 'the patch refuses branch stacks, msr does not look',
  term: 'a term that has no effect on the event is refused, msr does not look',
  cpu: 'which CPU a thread runs on cannot be followed from user space, so that cpu must be -1, save for tracepoints',
  cgroup: 'a cgroup event is no task event: EOPNOTSUPP, before its descriptor is looked at',
  reopen: 'an event of the kernel cannot be opened by a path, a file of FUSE can',
  readv: 'FUSE makes one read of it, the kernel one for each piece',
}

const differenceOf = (line: string): string | undefined => /^\[(\w+)\]/.exec(line)?.[1]

async function transcript(
  program: string,
  args: readonly string[],
  prefix: readonly string[] = [],
): Promise<string[]> {
  const [command = program, ...rest] = [...prefix, program, ...args]
  const { stdout } = await execa(command, rest, {
    timeout: patience(240_000),
    stdin: 'ignore',
    env: plainNode,
  })
  return stdout.split('\n')
}

t.test('the live reference', needs('root', 'fuse', 'gcc', 'msr'), async t => {
  const mount: Mounted = await mounted(t, '--source', 'demo')
  const program = await compile(t, [
    'reference',
    'reference-call',
    'reference-open',
    'reference-use',
    'reference-share',
    'reference-switch',
  ])
  const tid = (await mount.sh('cat vms/*/vcpu0/tid')).stdout
  const types = (await mount.sh('cat /sys/devices/msr/type sys/devices/kvm/type')).stdout.split('\n')
  const [msr = '', kvm = ''] = types
  const seed = String(Date.now() % 1_000_000)
  t.comment(`seed ${seed}`)

  const theirs = await transcript(program, [msr, '0', tid, seed])
  const ours = await transcript(program, [kvm, '0', tid, seed], execOn(mount).split(' '))

  t.test(`${theirs.length} answers are the kernel's own (seed ${seed})`, async t => {
    t.ok(theirs.length > 3000)
    const same = (lines: readonly string[]) => lines.filter(line => differenceOf(line) === undefined)
    t.strictSame(same(ours), same(theirs))
  })

  t.test('each stated difference has its reason, and is one', async t => {
    const found = new Map<string, boolean>()
    for (const [at, line] of theirs.entries()) {
      const difference = differenceOf(line)
      if (difference === undefined) continue
      found.set(difference, (found.get(difference) ?? false) || ours[at] !== line)
    }
    for (const [difference, differs] of found) {
      t.ok(stated[difference], difference)
      t.ok(differs, `${difference} differs somewhere`)
    }
  })
})

t.test(
  'states of groups, until their thread has exited',
  needs('root', 'fuse', 'kvm', 'gcc', 'msr'),
  async t => {
    const mount: Mounted = await mounted(t, '--source', 'stats')
    const program = await compile(t, ['reference-states'])
    const vmm = await compile(t, ['micro-vmm'], '-pthread')
    const types = (await mount.sh('cat /sys/devices/msr/type sys/devices/kvm/type')).stdout.split('\n')
    const [msr = '', kvm = ''] = types
    for (const seed of ['1', String(Date.now() % 1_000_000)]) {
      const theirs = await transcript(program, [msr, '0', vmm, seed])
      const ours = await transcript(program, [kvm, '0', vmm, seed], execOn(mount).split(' '))
      t.equal(theirs.length, 168, 'a line for each operation')
      t.strictSame(ours, theirs, `what the kernel does (seed ${seed})`)
    }
  },
)
