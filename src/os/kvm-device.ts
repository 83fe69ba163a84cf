/** What the KVM of this machine says of itself. Documentation: https://docs.kernel.org/virt/kvm/api.html */

import { O_CLOEXEC, O_RDONLY } from '../abi/fs.js'
import { KVM_CHECK_EXTENSION } from '../abi/kvm.js'
import type { CheckExtension } from '../abi/kvm-exits.js'
import { log } from '../log.js'
import { close, ioctl, open } from './libc.js'

const DEVICE = '/dev/kvm'

/** Runs `use` with KVM_CHECK_EXTENSION; where /dev/kvm cannot be opened no extension is known to be there. */
export function withKvm<T>(use: (check: CheckExtension) => T): T {
  let kvm: number
  try {
    kvm = open(DEVICE, O_RDONLY | O_CLOEXEC)
  } catch (error) {
    log.sources('%s: %O', DEVICE, error)
    return use(() => 0)
  }
  try {
    return use(capability => ioctl(kvm, KVM_CHECK_EXTENSION, capability))
  } finally {
    close(kvm)
  }
}
