/**
 * Shows the mounted PMUs in /sys/bus/event_source/devices, to this process and what it becomes alone: a private mount
 * namespace, with a tmpfs of links there. See mount_namespaces(7).
 *
 * Only /sys is cut off. All other mounts stay shared with the rest of the system, so that what the program mounts
 * or unmounts is so for all.
 */
import { readdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../abi/errno.js'
import { log } from '../log.js'
import { mount, unshare } from './libc.js'
import { ownPmus } from './seccomp-tree.js'

const CLONE_NEWNS = 0x0002_0000
const MS_NOSUID = 0x2
const MS_NODEV = 0x4
const MS_NOEXEC = 0x8
const MS_REC = 0x4000
const MS_PRIVATE = 0x4_0000
const MS_SHARED = 0x10_0000

const DEVICES = '/sys/bus/event_source/devices'

/** Whether a line of /proc/self/mountinfo is that of a shared root. See proc_pid_mountinfo(5). */
export function isSharedRoot(line: string): boolean {
  const [, , , , mountpoint, , ...fields] = line.split(' ')
  return mountpoint === '/' && fields.slice(0, fields.indexOf('-')).some(field => field.startsWith('shared:'))
}

/**
 * Where init shares no mounts (systemd shares all) a new namespace would be cut off from the old one altogether,
 * so they are shared first. That stays so: nobody could tell which programs count on it by then.
 */
function shareMounts(say: (message: string) => void): void {
  if (readFileSync('/proc/self/mountinfo', 'latin1').split('\n').some(isSharedRoot)) return
  say(
    'made the mounts of this system shared (mount --make-rshared /), so that it sees what the command mounts',
  )
  mount('none', '/', null, { flags: MS_REC | MS_SHARED })
}

/** The links to the kernel's own PMUs, as they are, and to the mounted ones; a name of the kernel's stays its. */
function linksFor(mountpoint: string): Map<string, string> {
  const sysfs = join(mountpoint, 'sys')
  const ours = ownPmus(sysfs).map(name => [name, join(sysfs, 'devices', name)] as const)
  const kernels = readdirSync(DEVICES).map(name => [name, readlinkSync(join(DEVICES, name))] as const)
  return new Map([...ours, ...kernels])
}

/** Whether it was possible; where it is not (no CAP_SYS_ADMIN, no sysfs) nothing has changed for this process. */
export function showPmus(mountpoint: string, say: (message: string) => void): boolean {
  try {
    const links = linksFor(mountpoint)
    shareMounts(say)
    unshare(CLONE_NEWNS)
    mount('none', '/sys', null, { flags: MS_REC | MS_PRIVATE })
    mount('pmufs', DEVICES, 'tmpfs', { flags: MS_NOSUID | MS_NODEV | MS_NOEXEC, data: 'mode=755' })
    for (const [name, target] of links) symlinkSync(target, join(DEVICES, name))
    return true
  } catch (error) {
    log.exec('no private /sys: %s', errnoOf(error))
    return false
  }
}
