/** A Unix socket between a server and those who connect to it, which can be made to hang: nothing passes then. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from './mounted.js'

/** A proxy that listens. */
export interface SocketProxy {
  readonly path: string
  /** Lets nothing pass, though connections stay. */
  hang(): void
  /** Lets pass what has waited, and what comes. */
  resume(): void
}

/** Listens for the server at `target`, until the test's end. */
export async function socketProxy(test: Test, target: string): Promise<SocketProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'pmufs-proxy-'))
  const path = join(folder, 'proxy.sock')
  const sockets = new Set<Socket>()
  const server = createServer(client => {
    const upstream = connect(target)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('data', data => other.write(data))
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  server.listen(path)
  await once(server, 'listening')
  test.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
    rmSync(folder, { recursive: true })
  })
  return {
    path,
    hang: () => {
      for (const socket of sockets) socket.pause()
    },
    resume: () => {
      for (const socket of sockets) socket.resume()
    },
  }
}
