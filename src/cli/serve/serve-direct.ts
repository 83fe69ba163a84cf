/**
 * The direct transport: /dev/fuse is served by one Worker, the core with it; this thread keeps its event loop for
 * what is asynchronous.
 *
 * A Worker that waits in poll(2) cannot be terminated, so the end is asked for: the flag is set and the bell rung.
 */
import { once } from 'node:events'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { log } from '../../log.js'
import { mountDirect } from '../../os/mount-direct.js'
import { mountAt } from '../../os/mountinfo.js'
import { unmount } from '../../os/umount.js'
import { createWake, ring } from '../../os/wake.js'
import type { ToCore, ToMain } from '../../sources/messages.js'
import type { CoreOptions } from './core-options.js'
import type { Served, ServeRequest } from './served.js'

/** What the Worker is given. */
export interface WorkerData {
  readonly options: CoreOptions
  /** The FUSE device. */
  readonly device: number
  /** The bell that ends its sleep. */
  readonly wake: number
  /** One cell: not 0 when it is to end. */
  readonly stop: Int32Array
  readonly port: MessagePort
}

/** What the Worker tells besides ToMain; `print` is for standard error, which it cannot write while it serves. */
export type WorkerNews =
  | { readonly kind: 'serving' }
  | { readonly kind: 'print'; readonly text: string }
  | ToMain

/** Milliseconds that the Worker has for its end before the process gives up on it. */
const PATIENCE = 3000

/** Prints what came with the Worker's end: its port tells no more of messages then. */
function printTheLast(port: MessagePort): void {
  for (let last = receiveMessageOnPort(port); last; last = receiveMessageOnPort(port)) {
    const news = last.message as WorkerNews
    if (news.kind === 'print') process.stderr.write(news.text)
  }
}

/** Mounts and serves until stopped or unmounted. */
export async function serveDirect({ dir, options, onMessage, firstMessages }: ServeRequest): Promise<Served> {
  const stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  const wake = createWake()
  // Root's mount lets everybody reach the server, which judges each request by its caller.
  const isRoot = options.owner.uid === 0
  const device = mountDirect({ dir, allowOther: isRoot || options.allowOther })
  const mounted = mountAt(dir)?.device
  const { port1: port, port2 } = new MessageChannel()
  const deliver = (message: ToCore): void => {
    port.postMessage(message)
    ring(wake)
  }
  for (const message of firstMessages) deliver(message)

  const workerData: WorkerData = { options, device, wake, stop, port: port2 }
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData, transferList: [port2] })
  const serving = new Promise<void>(resolve => {
    port.on('message', (news: WorkerNews) => {
      if (news.kind === 'serving') resolve()
      else if (news.kind === 'print') process.stderr.write(news.text)
      else onMessage(news)
    })
  })
  const ended = new Promise<void>((resolve, reject) => {
    worker.once('error', reject)
    worker.once('exit', () => resolve())
  }).finally(() => {
    printTheLast(port)
    port.close()
    unmount(dir, mounted)
  })
  await Promise.race([serving, ended])

  return {
    deliver,
    ended,
    async stop() {
      Atomics.store(stop, 0, 1)
      unmount(dir, mounted)
      ring(wake)
      const timer = setTimeout(() => {
        log.cli('the serving thread did not end within %d ms', PATIENCE)
        process.kill(process.pid, 'SIGKILL')
      }, PATIENCE)
      if (worker.threadId !== -1) await Promise.race([once(worker, 'exit'), ended.catch(() => undefined)])
      clearTimeout(timer)
    },
  }
}
