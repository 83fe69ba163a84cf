/** Entry of the supervisor that `pmufs exec` starts, with the mountpoint as its argument. */

import { syscallAbi } from '../abi/seccomp.js'
import { supervise } from '../exec/supervise.js'
import { takeOver } from '../os/launch-supervisor.js'
import { machine } from '../os/libc.js'
import { TrappedThread } from '../os/seccomp-caller.js'
import { RunningKernel } from '../os/seccomp-kernel.js'
import { SeccompListener } from '../os/seccomp-listener.js'
import { PmufsMount } from '../os/seccomp-tree.js'

const [, , mountpoint = ''] = process.argv

const taken = takeOver(() => {
  const tree = new PmufsMount(mountpoint)
  return { tree, kernel: new RunningKernel(), abi: syscallAbi(machine()) }
})

if (taken) {
  const { tree, kernel, abi } = taken.prepared
  const listener = new SeccompListener(taken.listener)
  await supervise({ listener, tree, kernel, callingThread: tid => new TrappedThread(tid, tree.device) }, abi)
}
// Calls that still wait for the server have no caller any more.
process.exit()
