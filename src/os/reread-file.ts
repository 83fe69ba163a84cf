/** Small files of procfs and sysfs that are read again at each use: kept open, read into one buffer. */
import { openSync, readSync } from 'node:fs'

const buffer = Buffer.alloc(4096)

/** Opens such a file at its first use; gives what reads it, without the trailing newline. */
export function rereadFile(path: string): () => string {
  let fd: number | undefined
  return () => {
    fd ??= openSync(path, 'r')
    return buffer.toString('latin1', 0, readSync(fd, buffer, 0, buffer.length, 0)).trimEnd()
  }
}
