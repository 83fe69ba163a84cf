/**
 * A PMU in one file: what a thread reads and writes, as perf events.
 *
 *   node dist/examples/thread-io.js mnt &
 *   pmufs exec -- perf stat -e io/write_calls/,io/written/ -t TID sleep 1
 *
 * The file is the program that mounts and the module that the serving thread imports.
 */
import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { mount, type Thread, threadPmu } from 'pmufs'

/** A line of /proc/TID/io, see proc_pid_io(5). Once the thread is gone this throws ENOENT: its last count stays. */
const io =
  (line: string) =>
  ({ tgid, tid }: Thread) => {
    const text = readFileSync(`/proc/${tgid}/task/${tid}/io`, 'latin1')
    return BigInt(new RegExp(`^${line}: (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
  }

export default () =>
  threadPmu({
    name: 'io',
    events: [
      { name: 'read_calls', count: io('syscr') },
      { name: 'write_calls', count: io('syscw') },
      { name: 'read', unit: 'Bytes', count: io('rchar') },
      { name: 'written', unit: 'Bytes', count: io('wchar') },
    ],
  })

if (isMainThread) {
  const mounted = await mount({ dir: process.argv[2] ?? 'mnt', pmus: [{ module: import.meta.url }] })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void mounted.unmount())
  console.log(`mounted at ${mounted.dir}`)
  await mounted.ended
}
