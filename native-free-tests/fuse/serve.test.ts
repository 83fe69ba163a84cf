/** The loop of the direct transport, with a device and a waiter that follow a script. */
import t from 'tap'
import { fuse_open_in } from '../../src/abi/fuse.js'
import { encodeRequest } from '../../src/fuse/memory-wire.js'
import { type Ready, serve } from '../../src/fuse/serve.js'
import { FuseServer } from '../../src/fuse/server.js'
import type { Received } from '../../src/fuse/transport.js'
import { sampleTree } from './support/tree.js'

interface Round extends Partial<Ready> {
  readonly received?: Received
  /** What onWake() answers. */
  readonly goesOn?: boolean
}

/** Runs the loop through these rounds; returns why it ended and what was done, in order. */
function run(rounds: readonly Round[], handles: 'opened' | 'none' = 'none') {
  const done: string[] = []
  const { root, log } = sampleTree()
  const server = new FuseServer(root, {
    owner: { uid: 0, gid: 0 },
    allowOther: true,
    send: message => done.push(`reply of ${message.length}`) > 0,
    report: message => done.push(message),
  })
  const nodeid = root.lookup('stream', { uid: 0, gid: 0, tid: 1 })?.ino ?? 0n
  if (handles === 'opened') {
    server.receive(encodeRequest({ opcode: 'FUSE_LOOKUP', nodeid: 1n, parts: ['stream'] }, 2n))
    server.receive(encodeRequest({ opcode: 'FUSE_OPEN', nodeid, parts: [fuse_open_in.encode({})] }, 4n))
    done.length = 0
  }
  let at = -1
  const round = () => rounds[at] ?? {}
  const end = serve({
    server,
    device: {
      receive: () => {
        done.push('receive')
        return round().received ?? 'nothing'
      },
      send: () => true,
    },
    waiter: {
      wait: () => {
        at += 1
        if (at >= rounds.length) throw new Error('the script is at its end')
        const { request = false, wake = false, tasks = false } = round()
        return { request, wake, tasks }
      },
    },
    onWake: () => {
      done.push('wake')
      return round().goesOn ?? true
    },
    onTasks: () => done.push('tasks'),
  })
  return { end, done, released: log.calls }
}

const statfs = encodeRequest({ opcode: 'FUSE_STATFS', nodeid: 1n }, 2n)

t.test('serve() handles exits, then messages, then one request a round', async t => {
  const { end, done } = run([
    { request: true, received: statfs },
    { request: true, wake: true, tasks: true, received: statfs },
    { tasks: true },
    { request: true, received: 'nothing' },
    {},
    { request: true, received: 'unmounted' },
  ])
  t.equal(end, 'unmounted')
  t.equal(
    done.join(', '),
    ['receive, reply of 96', 'tasks, wake, receive, reply of 96', 'tasks', 'receive', 'receive'].join(', '),
  )
})

t.test('serve() ends without another request when onWake() says so', async t => {
  const { end, done } = run([{ request: true, wake: true, goesOn: false, received: statfs }])
  t.equal(end, 'stopped')
  t.strictSame(done, ['wake'])
})

t.test('serve() releases every open file however it ends', async t => {
  t.strictSame(run([{ request: true, received: 'unmounted' }], 'opened').released, ['release'])
  t.strictSame(run([{ wake: true, goesOn: false }], 'opened').released, ['release'])
})
