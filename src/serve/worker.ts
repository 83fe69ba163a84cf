/**
 * The thread that serves: FUSE loop, tree and perf core, synchronous from request to reply.
 *
 * What it prints goes through its port: a Worker's own stderr waits for its event loop.
 */
import { receiveMessageOnPort, workerData } from 'node:worker_threads'
import { REQUEST_BUFFER_SIZE } from '../fuse/limits.js'
import { serve } from '../fuse/serve.js'
import { FuseServer } from '../fuse/server.js'
import { log, sendLog } from '../log.js'
import { DevFuse } from '../os/fuse-device.js'
import { isInterrupted } from '../os/interrupts.js'
import { PollWaiter } from '../os/waiter.js'
import { drain } from '../os/wake.js'
import { Core } from './core.js'
import type { ToServer } from './core-options.js'
import { loadOwn } from './own-modules.js'
import type { WorkerData, WorkerNews } from './serve-direct.js'

const { options, own, device: fd, wake, stop, port } = workerData as WorkerData
const tell = (news: WorkerNews): void => port.postMessage(news)
const report = (message: string): void => tell({ kind: 'report', message })
sendLog(text => tell({ kind: 'print', text }))

const core = new Core(options, { own: await loadOwn(own), send: tell, report })
const device = new DevFuse(fd, REQUEST_BUFFER_SIZE)
const server = new FuseServer(core.root, {
  owner: options.owner,
  allowOther: options.allowOther,
  isInterrupted,
  send: message => device.send(message),
  report,
})

/** Takes every message that has come; false when it is time to end. */
function onWake(): boolean {
  drain(wake)
  for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port))
    core.receive(received.message as ToServer)
  return Atomics.load(stop, 0) === 0
}

onWake()
tell({ kind: 'serving' })
const end = serve({
  device,
  waiter: new PollWaiter({ device: fd, wake, tasks: core.tasks.fd, timeout: core.tasks.interval }),
  server,
  onWake,
  onTasks: () => core.tasks.collectExits(),
})
log.fuse('the loop has ended: %s', end)
core.close()
port.close()
// This thread alone: what a program's module has left open, a timer for instance, would keep it.
process.exit()
