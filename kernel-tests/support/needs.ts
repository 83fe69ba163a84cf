/** What a kernel test needs of the machine; what is lacking skips it, or fails it where REQUIRE_KERNEL_TESTS is set. */
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const canUse = (path: string): boolean => {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

const hasCommand = (name: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some(folder => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

const checks = {
  root: { isThere: () => process.getuid?.() === 0, lack: 'root is needed' },
  fuse: { isThere: () => canUse('/dev/fuse'), lack: '/dev/fuse cannot be opened' },
  kvm: { isThere: () => canUse('/dev/kvm'), lack: '/dev/kvm cannot be opened' },
  qemu: { isThere: () => hasCommand('qemu-system-x86_64'), lack: 'qemu-system-x86_64 is not installed' },
  perf: { isThere: () => hasCommand('perf'), lack: 'perf is not installed' },
  gcc: { isThere: () => hasCommand('gcc'), lack: 'gcc is not installed' },
  papi: { isThere: () => hasCommand('papi_avail'), lack: 'papi-tools is not installed' },
  libpfm4: {
    isThere: () => existsSync('/usr/include/perfmon/pfmlib.h'),
    lack: 'libpfm4-dev is not installed',
  },
  tree: { isThere: () => hasCommand('tree'), lack: 'tree is not installed' },
  fusermount3: { isThere: () => hasCommand('fusermount3'), lack: 'fusermount3 is not installed' },
  msr: {
    isThere: () => canUse('/sys/devices/msr/perf_event_mux_interval_ms'),
    lack: 'the kernel has no msr PMU',
  },
}

/** Something of the machine that a test may need. */
export type Need = keyof typeof checks

/** What a lab has whichever machine it runs on. Tests that need one of these run there where this machine has none. */
const LAB_HAS: readonly Need[] = ['kvm', 'msr']

/** What this machine lacks of that. */
export const lackingHere = (): readonly Need[] => LAB_HAS.filter(need => !checks[need].isThere())

/**
 * Says for the summary (scripts/summarize-tests.js) that another part of the same run is to run a test: it fails where
 * none did.
 */
const elsewhere = (where: string): { skip: string } => ({ skip: `RUNS ${where}` })

/**
 * Options for a tap test that needs these: `t.test('...', needs('fuse', 'kvm'), async t => ...)`, for tests of the
 * top level: it is they that run on one machine or another.
 *
 * PMUFS_TEST_LAB says that a lab is part of this run; PMUFS_TEST_LAB_FOR, in the lab, names what this machine lacks.
 */
export function needs(...wanted: Need[]): { skip: string } | Record<string, never> {
  const { PMUFS_TEST_LAB_FOR: labFor, PMUFS_TEST_LAB: hasLab } = process.env
  if (labFor !== undefined && !wanted.some(need => labFor.split(' ').includes(need)))
    return elsewhere('on the machine')
  const lacking = wanted.filter(need => !checks[need].isThere())
  if (lacking.length === 0) return {}
  if (hasLab && lacking.every(need => LAB_HAS.includes(need))) return elsewhere('in the lab')
  const lacks = lacking.map(need => checks[need].lack).join(', ')
  if (process.env.REQUIRE_KERNEL_TESTS) throw new Error(`cannot run: ${lacks}`)
  return { skip: lacks }
}
