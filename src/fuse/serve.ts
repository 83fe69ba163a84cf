/**
 * The loop of the direct transport: waits, lets the world catch up, answers one request, until the mount is gone
 * or somebody asks it to stop. Nothing here touches the machine: device and waiter are injected.
 *
 * What happened before a request arrived must be seen with it (a thread's exit, a guest's end), so a round handles
 * exits first, then messages, then the request. One request a round: a busy caller cannot starve the others.
 */
import type { FuseServer } from './server.js'
import type { FuseDevice } from './transport.js'

/** What is ready, as one poll(2) over all of them saw it. */
export interface Ready {
  /** The device has a request, or is gone. */
  readonly request: boolean
  /** Another thread wrote the eventfd. */
  readonly wake: boolean
  /** A watched thread has exited. */
  readonly tasks: boolean
}

/** Blocks the serving thread until something is ready. */
export interface Waiter {
  wait(): Ready
}

/** What the loop stands on. */
export interface ServeOptions {
  readonly device: FuseDevice
  readonly waiter: Waiter
  readonly server: FuseServer
  /** Takes messages from the other thread; returns false to end the loop. */
  readonly onWake: () => boolean
  /** Takes note of the threads that exited. */
  readonly onTasks: () => void
}

/** Why the loop ended. */
export type ServeEnd = 'unmounted' | 'stopped'

/** Serves until the mount is gone or onWake() says stop; then every open file is released. */
export function serve({ device, waiter, server, onWake, onTasks }: ServeOptions): ServeEnd {
  try {
    for (;;) {
      const ready = waiter.wait()
      if (ready.tasks) onTasks()
      if (ready.wake && !onWake()) return 'stopped'
      if (!ready.request) continue
      const received = device.receive()
      if (received === 'unmounted') return 'unmounted'
      if (received !== 'nothing') server.receive(received)
    }
  } finally {
    server.close()
  }
}
