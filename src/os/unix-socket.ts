/** Connections to UNIX stream sockets, as events: QmpConnect of src/sources/qmp/connection.ts. */
import { createConnection } from 'node:net'
import { ErrnoError } from '../abi/errno.js'

/** What a connection tells; `closed` comes once, and nothing after it. */
interface SocketHandlers {
  /** The bytes are valid during the call only. */
  data(bytes: Uint8Array): void
  closed(error?: Error): void
}

/** An open or opening connection. */
interface SocketConnection {
  send(text: string): void
  close(): void
}

/** What sun_path of unix(7) holds besides the final NUL. Node cuts a longer path and would reach another socket. */
const MAX_PATH = 107

/** Connects to the socket at a path; the handlers are called after this has returned. */
export function connectSocket(path: string, handlers: SocketHandlers): SocketConnection {
  if (Buffer.byteLength(path) > MAX_PATH) return refuse(path, handlers)
  const socket = createConnection({ path })
  let failure: Error | undefined
  socket.on('data', bytes => handlers.data(bytes))
  // 'close' follows each 'error', and follows 'end' because a half-open socket is not kept.
  socket.on('error', error => {
    failure = error
  })
  socket.on('close', () => handlers.closed(failure))
  return {
    send: text => void socket.write(text),
    close: () => void socket.destroy(),
  }
}

function refuse(path: string, handlers: SocketHandlers): SocketConnection {
  const message = `Cannot connect to "${path}": a socket's path has at most ${MAX_PATH} bytes; make a shorter link to its folder`
  setImmediate(() => handlers.closed(new ErrnoError('ENAMETOOLONG', message)))
  return { send: () => undefined, close: () => undefined }
}
