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

/** Options for a tap test that needs these: `t.test('...', needs('fuse', 'kvm'), async t => ...)`. */
export function needs(...wanted: Need[]): { skip: string } | Record<string, never> {
  const lacking = wanted.filter(need => !checks[need].isThere()).map(need => checks[need].lack)
  if (lacking.length === 0) return {}
  if (process.env.REQUIRE_KERNEL_TESTS) throw new Error(`cannot run: ${lacking.join(', ')}`)
  return { skip: lacking.join(', ') }
}
