/** A QMP socket that is in use, as the kernel shows it: a listening socket whose server accepts nobody. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from '../src/abi/socket.js'
import { bindChecked, close, write } from '../src/os/libc.js'
import { procView } from '../src/os/proc-view.js'
import { connectSocket } from '../src/os/unix-socket.js'
import { QmpSocket } from '../src/sources/qmp/socket.js'
import { systemTimers } from '../src/sources/timers.js'
import { until } from './support/mounted.js'

const SOCK_NONBLOCK = 0x800
const SUN_PATH = 2
const SOCKADDR_UN = 110

const socket = bindChecked('socket', ['int', 'int', 'int'])
const bind = bindChecked('bind', ['int', 'void *', 'uint'])
const listen = bindChecked('listen', ['int', 'int'])
const accept = bindChecked('accept', ['int', 'void *', 'void *'])

/** A socket that is listened to as QEMU does, with a place for one that waits besides the one that is next. */
function listening(path: string): number {
  const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
  const address = new Uint8Array(SOCKADDR_UN)
  new DataView(address.buffer).setUint16(0, AF_UNIX, true)
  address.set(Buffer.from(path), SUN_PATH)
  bind(fd, address, SOCKADDR_UN)
  listen(fd, 1)
  return fd
}

/** Takes whoever waits; their number. */
function acceptAll(server: number): number[] {
  const accepted: number[] = []
  try {
    for (;;) accepted.push(accept(server, null, null))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
    return accepted
  }
}

async function waitingClient(path: string): Promise<Socket> {
  const client = createConnection(path)
  await once(client, 'connect')
  return client
}

t.test('a QMP socket in use is told from one that is gone, and never holds more than one place', async t => {
  // A folder of the test's own would make the path too long for a socket.
  const folder = mkdtempSync(join(tmpdir(), 'pmufs-qmp-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'qmp')
  const server = listening(path)
  const others = [await waitingClient(path), await waitingClient(path)]
  const qmp = new QmpSocket(path, {
    connect: connectSocket,
    view: procView,
    timers: systemTimers,
    timeoutMs: 2000,
    onGone: () => undefined,
  })
  const look = () => qmp.look(() => false)

  await look()
  t.match(qmp.uncounted, {
    reason: /lets no more clients wait: a QMP socket serves one client, and another has it/,
    remedy: /once that client ends/,
  })
  for (const other of others) other.destroy()
  acceptAll(server).forEach(close)

  await until('it waits for its turn', async () => {
    await look()
    return /gave no greeting/.test(qmp.uncounted?.reason ?? '')
  })
  for (let i = 0; i < 5; i++) {
    await look()
    await sleep(100)
  }
  const [connection, ...more] = acceptAll(server)
  t.strictSame(more, [], 'however often it is looked at')
  if (connection === undefined) throw new Error('nobody waits')

  // What it waited for was no QMP server: the connection is given back, and a new one is made later.
  write(connection, Buffer.from('SSH-2.0-OpenSSH_9.2\n'))
  await until('it has seen that', () => /does not speak QMP/.test(qmp.uncounted?.reason ?? ''))
  close(connection)
  close(server)
  await until('it is gone', async () => {
    await look()
    return /No QMP server/.test(qmp.uncounted?.reason ?? '')
  })
  qmp.close()
})
