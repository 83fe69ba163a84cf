/**
 * Runs a command in this process's own place, with a supervisor that answers its perf_event_open. Counterpart: what
 * env(1) and nice(1) do. The command has this process's id, parent, group, terminal and exit status because it is
 * this process: job control, timeout(1) and the like have nothing to notice.
 */
import { closeSync, fstatSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { ErrnoError, errnoOf, strerror } from '../abi/errno.js'
import { O_RDWR } from '../abi/fs.js'
import { PERF_EVENT_IOC_ID } from '../abi/perf-event.js'
import { log } from '../log.js'
import { become, lastArguments } from './launch-exec.js'
import { restoreDefaults, restoreInherited, takeInherited } from './launch-inherited.js'
import { type Probe, probe } from './launch-probe.js'
import { handOver, startSupervisor } from './launch-supervisor.js'
import { showPmus } from './launch-sysfs.js'
import { ioctl } from './libc.js'
import { installFilter } from './seccomp-filter.js'

/** What to launch, and with what. */
export interface Launch {
  readonly mountpoint: string
  /** The command with its arguments: the last ones of this process. */
  readonly command: readonly string[]
  /** The filter's program. */
  readonly filter: Uint8Array
  readonly probe: Probe
  /** The supervisor's entry file. */
  readonly supervisor: string
  /** Takes what is worth saying but no failure. */
  readonly say: (message: string) => void
}

/** Whether ioctls reach the mount's server: a descriptor that is no event yet has no id, ENODEV. */
function carriesIoctls(fd: number): boolean {
  try {
    ioctl(fd, PERF_EVENT_IOC_ID, new Uint8Array(8))
  } catch (error) {
    return errnoOf(error) !== 'ENOTTY'
  }
  return true
}

/** The mount's device number. Throws where it cannot be used. */
function deviceOf(mountpoint: string): number {
  const file = join(mountpoint, 'perf_event_open')
  try {
    const fd = openSync(file, O_RDWR)
    const device = carriesIoctls(fd) ? fstatSync(fd).dev : undefined
    closeSync(fd)
    if (device !== undefined) return device
  } catch (error) {
    const code = errnoOf(error)
    throw new ErrnoError(
      code,
      `Cannot use the mount "${mountpoint}": ${strerror(code)}; "pmufs mount ${mountpoint}" mounts it, and its owner may use it`,
      { cause: error },
    )
  }
  throw new ErrnoError(
    'ENOTTY',
    `Cannot use the mount "${mountpoint}": its transport carries no ioctl, by which programs enable their events, so that nothing would be counted; mount it with --transport direct`,
  )
}

function install(filter: Uint8Array): number {
  try {
    return installFilter(filter)
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'EBUSY')
      throw new ErrnoError(
        code,
        'Cannot watch perf_event_open: a sandbox around this program has a seccomp listener already, and the kernel allows one; start it outside, or in a container with --security-opt seccomp=unconfined',
        { cause: error },
      )
    throw new ErrnoError(
      code,
      `Cannot watch perf_event_open: seccomp(2) says ${code}; Linux 5.14 or later is needed, and in a container --security-opt seccomp=unconfined`,
      { cause: error },
    )
  }
}

/** Proves that a perf_event_open of this thread reaches the supervisor. */
function checkReach(call: Probe, device: number): void {
  const answer = probe(call)
  if (answer === device) return
  throw new ErrnoError(
    'EPERM',
    `Cannot see the command's perf_event_open: something in front of pmufs answers it (${answer}), as the default seccomp profile of a container does; run the container with --cap-add PERFMON, or with --security-opt seccomp=unconfined`,
  )
}

/** Puts this thread, and all that it becomes, under a supervisor. */
function comeUnder(
  { filter, supervisor, probe: call, say }: Launch,
  mountpoint: string,
  device: number,
): void {
  const socket = startSupervisor(supervisor, [mountpoint])
  if (!showPmus(mountpoint, say)) {
    process.env.SYSFS_PATH = join(mountpoint, 'sys')
    say(`a private /sys is not permitted here: SYSFS_PATH is ${process.env.SYSFS_PATH}, which perf follows`)
  }
  handOver(socket, install(filter))
  checkReach(call, device)
}

/** Becomes the command. Returns only by throwing: an ExecError where the command cannot be run. */
export function launch(options: Launch): never {
  const inherited = takeInherited()
  restoreDefaults(inherited)
  const { mountpoint } = options
  const device = deviceOf(mountpoint)
  const outer = probe(options.probe)
  if (typeof outer === 'number' && outer !== device)
    throw new ErrnoError(
      'EBUSY',
      `Cannot run under "${mountpoint}": this program runs under another pmufs mount already; start it outside of that pmufs exec`,
    )
  if (outer === device) log.exec('the supervisor of an outer pmufs exec answers for "%s"', mountpoint)
  else comeUnder(options, mountpoint, device)
  const command = lastArguments(options.command.length)
  restoreInherited(inherited)
  return become(command)
}
