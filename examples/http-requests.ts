/**
 * Counts that a program keeps of itself, as perf events: here an HTTP server's requests and bytes.
 *
 *   node dist/examples/http-requests.js mnt 8080 &
 *   pmufs exec -- perf stat -a -e http/requests/,http/sent/ -- curl -s localhost:8080
 *
 * The server runs in the main thread and the PMU in the one that serves the mount: they share the memory of the counts.
 */
import { createServer } from 'node:http'
import { isMainThread } from 'node:worker_threads'
import { machinePmu, mount } from 'pmufs'

const REQUESTS = 0
const SENT = 1

export default (counts: BigUint64Array) =>
  machinePmu({
    name: 'http',
    events: [
      { name: 'requests', count: () => Atomics.load(counts, REQUESTS) },
      { name: 'sent', unit: 'Bytes', count: () => Atomics.load(counts, SENT) },
    ],
  })

if (isMainThread) {
  const [dir = 'mnt', port = '8080'] = process.argv.slice(2)
  const counts = new BigUint64Array(new SharedArrayBuffer(2 * BigUint64Array.BYTES_PER_ELEMENT))
  const server = createServer((request, response) => {
    const text = `You asked for ${request.url}\n`
    response.end(text)
    Atomics.add(counts, REQUESTS, 1n)
    Atomics.add(counts, SENT, BigInt(Buffer.byteLength(text)))
  }).listen(port)

  const mounted = await mount({ dir, pmus: [{ module: import.meta.url, options: counts }] })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void mounted.unmount())
  console.log(`mounted at ${mounted.dir}`)
  await mounted.ended
  server.close()
}
