/**
 * The device as the direct transport sees it: whole messages in, whole messages out. `src/os` implements it on
 * /dev/fuse. Counterpart: fs/fuse/dev.c.
 */

/** What one receive() gives: a request, nothing just now, or the news that the mount is gone. */
export type Received = Uint8Array | 'nothing' | 'unmounted'

/** One connection to the kernel's FUSE. */
export interface FuseDevice {
  /**
   * Takes the next request; the bytes are valid until the next call. The buffer behind it must offer
   * REQUEST_BUFFER_SIZE bytes (limits.ts). 'nothing' stands for EAGAIN, EINTR and ENOENT (a request that
   * vanished while it was copied), 'unmounted' for ENODEV and ECONNABORTED; anything else is thrown.
   */
  receive(): Received
  /**
   * Sends one reply or notification, in one write; `message` is valid during the call only. Returns false where
   * the kernel no longer waits for it (ENOENT, and ENODEV or EPERM once the mount is gone).
   */
  send(message: Uint8Array): boolean
}
