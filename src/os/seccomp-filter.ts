/**
 * Installs a seccomp filter with a listener on the calling thread. See seccomp(2), seccomp_unotify(2).
 * The thread's later threads, children and programs inherit it; the other threads of this process do not.
 */
import { sock_filter, sock_fprog } from '../abi/bpf.js'
import { errnoOf } from '../abi/errno.js'
import {
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
  SECCOMP_SET_MODE_FILTER,
} from '../abi/seccomp.js'
import { addressOf, holding, prctl, syscall } from './libc.js'

const PR_SET_NO_NEW_PRIVS = 38

function seccomp(program: Uint8Array, flags: number): number {
  const fprog = sock_fprog.encode({
    len: program.byteLength / sock_filter.size,
    filter: addressOf(program),
  })
  return holding([program], () => syscall('seccomp', SECCOMP_SET_MODE_FILTER, flags, fprog))
}

/** Without CAP_SYS_ADMIN a filter is allowed once set-user-id programs gain nothing any more. */
function seccompUnprivileged(program: Uint8Array, flags: number): number {
  try {
    return seccomp(program, flags)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    return seccomp(program, flags)
  }
}

/**
 * Installs the filter; the listener's descriptor, close-on-exec.
 *
 * @throws {ErrnoError} EBUSY when another listener is installed already
 */
export function installFilter(program: Uint8Array): number {
  const flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW
  try {
    return seccompUnprivileged(program, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error
    return seccompUnprivileged(program, flags)
  }
}
