/** A connection to a QMP socket, as whoever touches the machine provides it. */

/** What a connection tells. */
export interface QmpHandlers {
  /** Bytes arrived; they are valid during the call only. */
  data(bytes: Uint8Array): void
  /** It is closed, or could not be made (`error.code`: ENOENT, ECONNREFUSED, EACCES). Nothing follows. */
  closed(error?: Error): void
}

/** An open or opening connection. */
export interface QmpConnection {
  send(text: string): void
  /** Closes it; `closed` is not called any more, or once: either is fine. */
  close(): void
}

/** Connects to a socket's path. Handlers are called after this has returned. */
export type QmpConnect = (path: string, handlers: QmpHandlers) => QmpConnection
