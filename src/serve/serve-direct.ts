/**
 * The direct transport: /dev/fuse is served by one Worker, the core with it; this thread keeps its event loop for
 * what is asynchronous.
 *
 * A Worker that waits in poll(2) cannot be terminated, so the end is asked for: the flag is set and the bell rung. That
 * is so at the end of the process too, which would wait for the Worker.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { ErrnoError } from '../abi/errno.js'
import { log } from '../log.js'
import { close } from '../os/libc.js'
import { mountDirect } from '../os/mount-direct.js'
import { mountAt } from '../os/mountinfo.js'
import { unmount } from '../os/umount.js'
import { closeWake, createWake, ring } from '../os/wake.js'
import type { ToMain } from '../sources/messages.js'
import type { CoreOptions, ToServer } from './core-options.js'
import type { OwnModules } from './own-modules.js'
import type { Served, ServeRequest } from './served.js'

/** What the Worker is given. */
export interface WorkerData {
  readonly options: CoreOptions
  readonly own: OwnModules
  /** The FUSE device. */
  readonly device: number
  /** The bell that ends its sleep. */
  readonly wake: number
  /** One cell: not 0 when it is to end. */
  readonly stop: Int32Array
  readonly port: MessagePort
}

/** What the Worker tells; `print` is for standard error, which it cannot write while it serves. */
export type WorkerNews =
  | { readonly kind: 'serving' }
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'report'; readonly message: string }
  | ToMain

/** Milliseconds that the Worker has for its end before it is broken off, which costs it nothing but its tidying up. */
const END_MS = 5000
/** Milliseconds that a busy machine has for that: who waits for the end is told then that there is none. */
const BREAK_OFF_MS = 15_000

/** Whether a promise settles in time. */
async function settles(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>(resolve => {
    timer = setTimeout(() => resolve(false), ms)
  })
  const settled = promise.then(
    () => true,
    () => true,
  )
  const isSettled = await Promise.race([settled, late])
  clearTimeout(timer)
  return isSettled
}

/** The mount and what its two threads share; given back when the Worker is gone. */
class DirectMount {
  readonly stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  readonly wake = createWake()
  readonly device: number
  readonly #dir: string
  readonly #mounted: string | undefined
  #isOpen = true
  readonly #atExit = (): void => {
    try {
      this.end()
    } catch (error) {
      log.cli('at the end: %O', error)
    }
  }

  constructor(dir: string, allowOther: boolean) {
    this.#dir = dir
    try {
      this.device = mountDirect({ dir, allowOther })
    } catch (error) {
      closeWake(this.wake)
      throw error
    }
    this.#mounted = mountAt(dir)?.device
    process.on('exit', this.#atExit)
  }

  ring(): void {
    if (this.#isOpen) ring(this.wake)
  }

  /** Has the Worker end, whoever uses the mount. */
  end(): void {
    if (!this.#isOpen) return
    Atomics.store(this.stop, 0, 1)
    try {
      unmount(this.#dir, this.#mounted)
    } finally {
      this.ring()
    }
  }

  release(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    process.off('exit', this.#atExit)
    // Without its device the mount answers whoever waits.
    close(this.device)
    closeWake(this.wake)
    unmount(this.#dir, this.#mounted)
  }
}

function startWorker(data: WorkerData): Worker {
  return new Worker(new URL('./worker.js', import.meta.url), { workerData: data, transferList: [data.port] })
}

/** Settles when the Worker is gone; rejects with what it did not catch. */
const endOf = (worker: Worker): Promise<void> =>
  new Promise((resolve, reject) => {
    let defect: { readonly error: unknown } | undefined
    worker.once('error', (error: unknown) => {
      defect = { error }
    })
    worker.once('exit', () => (defect ? reject(defect.error) : resolve()))
  })

/** Mounts and serves until stopped or unmounted. */
export async function serveDirect(request: ServeRequest): Promise<Served> {
  const { dir, options, own = { pmus: [], sources: [] }, firstMessages } = request
  // Root's mount lets everybody reach the server, which judges each request by its caller.
  const mount = new DirectMount(dir, options.owner.uid === 0 || options.allowOther)
  const { port1: port, port2 } = new MessageChannel()
  const deliver = (message: ToServer): void => {
    port.postMessage(message)
    mount.ring()
  }
  for (const message of firstMessages) deliver(message)

  const { device, wake, stop } = mount
  const worker = startWorker({ options, own, device, wake, stop, port: port2 })
  const print = (news: WorkerNews): void => {
    if (news.kind === 'print') process.stderr.write(news.text)
    else if (news.kind === 'report') request.onReport(news.message)
  }
  const serving = new Promise<void>(resolve => {
    port.on('message', (news: WorkerNews) => {
      if (news.kind === 'serving') resolve()
      else if (news.kind === 'print' || news.kind === 'report') print(news)
      else request.onMessage(news)
    })
  })
  const ended = endOf(worker).finally(() => {
    // What came with the Worker's end: its port tells no more of messages then.
    for (let last = receiveMessageOnPort(port); last; last = receiveMessageOnPort(port)) print(last.message)
    port.close()
    mount.release()
  })
  await Promise.race([serving, ended])

  return {
    deliver,
    ended,
    async stop() {
      mount.end()
      if (await settles(ended, END_MS)) return
      log.cli('the serving thread did not end within %d ms', END_MS)
      // It does not wait for the bell but runs: a callback that does not return can be broken off.
      if (await settles(worker.terminate(), BREAK_OFF_MS)) return
      throw new ErrnoError(
        'ETIMEDOUT',
        `The thread that serves "${dir}" did not end within ${(END_MS + BREAK_OFF_MS) / 1000} s: a callback in it blocks; end the process`,
      )
    },
  }
}
