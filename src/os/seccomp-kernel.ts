/** The kernel's own perf. */
import { type ErrnoName, errnoOf } from '../abi/errno.js'
import type { Kernel } from '../exec/host.js'
import { knownAttrSize } from './attr-size.js'
import { close, ioctl, perf_event_open } from './libc.js'
import { ownTypes } from './seccomp-tree.js'

/** The largest attr that the kernel's copy-in looks at. */
const PAGE_SIZE = 4096
/** No descriptor: the first thing to fail once the attr was copied in. */
const NO_LEADER = -2

/** What exec asks the kernel beside the listener. */
export class RunningKernel implements Kernel {
  readonly attrSize = knownAttrSize()

  readTypes(): number[] {
    return ownTypes('/sys')
  }

  /** What copy-in says of an attr; with E2BIG its own size is written back into it. */
  judgeAttr(attr: Uint8Array): ErrnoName | undefined {
    const memory = new Uint8Array(PAGE_SIZE)
    memory.set(attr)
    try {
      close(perf_event_open(memory, { pid: -1, cpu: -1, group_fd: NO_LEADER }))
      return undefined
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'E2BIG') attr.set(memory.subarray(0, attr.byteLength))
      return code === 'EBADF' ? undefined : code
    }
  }

  close(fd: number): void {
    close(fd)
  }

  ioctl(fd: number, command: number, argument: number | Uint8Array): number {
    return ioctl(fd, command, argument)
  }
}
