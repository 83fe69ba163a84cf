/** What one request costs between its arrival as bytes and its reply as bytes, the kernel left out. */
import { Bench } from 'tinybench'
import {
  fuse_getattr_in,
  fuse_open_in,
  fuse_open_out,
  fuse_out_header,
  fuse_read_in,
} from '../src/abi/fuse.js'
import { encodeRequest, type WireRequest } from '../src/fuse/memory-wire.js'
import { FuseServer } from '../src/fuse/server.js'
import { attributeFile } from '../src/kernfs/attribute-file.js'
import { staticDirectory } from '../src/kernfs/directory.js'

const owner = { uid: 0, gid: 0 }
const type = attributeFile({ owner, mode: 0o444, show: () => '4096\n' })
const root = staticDirectory({ owner, ino: 1n, children: { type } })

let reply: Uint8Array = new Uint8Array(0)
const server = new FuseServer(root, {
  owner,
  allowOther: true,
  send: message => {
    reply = message
    return true
  },
  report: message => {
    throw new Error(message)
  },
})

/** A request whose bytes are made once; each call sends them. */
function sender(request: WireRequest): () => void {
  const message = encodeRequest(request, 2n)
  return () => {
    server.receive(message)
    if (fuse_out_header.decode(reply).error !== 0) throw new Error(`${request.opcode} failed`)
  }
}

const lookup = sender({ opcode: 'FUSE_LOOKUP', nodeid: 1n, parts: ['type'] })
lookup()
const nodeid = type.ino
sender({ opcode: 'FUSE_OPEN', nodeid, parts: [fuse_open_in.encode({})] })()
const { fh } = fuse_open_out.decode(reply, fuse_out_header.size)

const bench = new Bench({ time: 500 })
bench
  .add('LOOKUP', lookup)
  .add('GETATTR', sender({ opcode: 'FUSE_GETATTR', nodeid, parts: [fuse_getattr_in.encode({})] }))
  .add(
    'READ of an attribute',
    sender({ opcode: 'FUSE_READ', nodeid, parts: [fuse_read_in.encode({ fh, size: 4096 })] }),
  )
await bench.run()
console.table(bench.table())
