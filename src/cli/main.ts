#!/usr/bin/env node
/** The `pmufs` command: arguments in, one exit status out. Each command lives in a file of its own, loaded when used. */
import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings'
import { MAX_HANDLES } from '../serve/defaults.js'
import { FETCH_TIMEOUT_MS, SCAN_INTERVAL_MS } from '../sources/defaults.js'
import { report } from './fail.js'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

const collect = (value: string, previous: string[]): string[] => [...previous, value]

/** The longest wait that a timer of Node takes. */
const MOST_MS = 2 ** 31 - 1

/** A decimal whole number of at least `least`. */
function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const limits = most < Number.MAX_SAFE_INTEGER ? `from ${least} to ${most}` : `of at least ${least}`
  return text => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`A whole number ${limits} is wanted.`)
    return value
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('A number above 0 is wanted.')
  return value
}

const mountOption = () =>
  new Option('--mount <dir>', 'the mount to use (default: $PMUFS_MOUNT, else the only pmufs mount)').env(
    'PMUFS_MOUNT',
  )

const program = new Command('pmufs')
  .description('A perf PMU in user space: mounts PMUs that perf, scripts and any program can count with')
  .version(version)
  .enablePositionalOptions()
  .showHelpAfterError('(run it with --help for the options)')
  .exitOverride()

program
  .command('mount')
  .description('mount the PMUs and serve them until interrupted or unmounted')
  .argument('[dir]', 'the mountpoint, an existing folder', 'mnt')
  .option('--daemon', 'return once the mount is usable, and serve in the background')
  .addOption(
    new Option('--source <source>', 'where counts come from')
      .choices(['auto', 'qmp', 'stats', 'tracepoint', 'debugfs', 'demo'])
      .default('auto' as const),
  )
  .option('--qmp <socket>', 'QMP socket of a QEMU guest (repeatable)', collect, [])
  .addOption(
    new Option('--transport <transport>', 'how to speak FUSE')
      .choices(['direct', 'libfuse'])
      .default('direct' as const),
  )
  .option('--allow-other', 'let other users read sys/ and vms/')
  .option('--strict', "keep the patch's rules: no two events on one count, no thread that runs no vCPU")
  .option('--no-kvm', 'leave the host PMU out, and that of whole VMs')
  .option('--max-handles <n>', 'how many events may be open at once', wholeNumber(1), MAX_HANDLES)
  .option(
    '--fetch-timeout <ms>',
    'how long a QEMU guest may take to answer',
    wholeNumber(1, MOST_MS),
    FETCH_TIMEOUT_MS,
  )
  .option(
    '--scan-interval <ms>',
    'how often to look for guests, besides when KVM tells of one',
    wholeNumber(1, MOST_MS),
    SCAN_INTERVAL_MS,
  )
  .action(async (dir, options) => (await import('./mount.js')).mount(dir, options))

program
  .command('umount')
  .description('unmount, also a mount whose server died')
  .argument('[dir]', 'the mountpoint (default: $PMUFS_MOUNT, else the only pmufs mount)')
  .action(async dir => (await import('./umount.js')).umount(dir))

program
  .command('exec')
  .description("run a program that sees the mounted PMUs beside the kernel's: pmufs exec -- perf stat ...")
  .addOption(mountOption())
  .option('-v, --verbose', 'say what could not be done, such as showing the PMUs under /sys')
  .argument('<command...>', 'the program and its arguments')
  .passThroughOptions()
  .action(async (command, options) => (await import('./exec.js')).exec(command, options))

program
  .command('vms')
  .description('list VMs, their vCPUs and thread ids, and what counts them')
  .addOption(mountOption())
  .option('--events', 'list what can be counted, and which source counts it')
  .option('--cost', 'measure what a read does to the guests that must be queried: it queries each 33 times')
  .option('--json', 'print JSON')
  .action(async options => (await import('./vms.js')).vms(options))

program
  .command('top')
  .description('show live rates per vCPU and event')
  .addOption(mountOption())
  .option(
    '-e, --event <event>',
    'an event of the kvm PMU (repeatable; default: those that moved)',
    collect,
    [],
  )
  .option('-i, --interval <seconds>', 'time between two lines', positive, 1)
  .option('-n, --count <n>', 'stop after so many', wholeNumber(1))
  .action(async options => (await import('./top.js')).top(options))

/** Commander's own errors are wrong usage; asking for help or the version is not an error. */
function statusOf(error: unknown): number {
  if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('commander.'))) {
    report(error)
    return 1
  }
  return 'exitCode' in error && error.exitCode === 0 ? 0 : 2
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = statusOf(error)
}
