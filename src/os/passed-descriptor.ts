/** Descriptors that another process hands over on a UNIX socket. See unix(7), SCM_RIGHTS. */
import {
  AF_UNIX,
  CMSG_RIGHTS_LEN,
  cmsg_rights,
  iovec,
  MSG_CMSG_CLOEXEC,
  msghdr,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../abi/socket.js'
import { addressOf, bindChecked, holding } from './libc.js'

const socketpair = bindChecked('socketpair', ['int', 'int', 'int', 'void *'])
const recvmsg = bindChecked('recvmsg', ['int', 'void *', 'int'], 'long')

/** Two connected stream sockets, close-on-exec. */
export function streamPair(): readonly [number, number] {
  const pair = new Int32Array([-1, -1])
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)
  const [one = -1, other = -1] = pair
  return [one, other]
}

/** Waits for a message and takes the descriptor out of it; undefined where it carries none, or at the end. */
export function receiveDescriptor(socket: number): number | undefined {
  const byte = new Uint8Array(1)
  const control = new Uint8Array(cmsg_rights.size)
  const vector = iovec.encode({ iov_base: addressOf(byte), iov_len: 1n })
  const message = msghdr.encode({
    msg_iov: addressOf(vector),
    msg_iovlen: 1n,
    msg_control: addressOf(control),
    msg_controllen: BigInt(control.byteLength),
  })
  holding([byte, control, vector], () => recvmsg(socket, message, MSG_CMSG_CLOEXEC))
  const { cmsg_len, cmsg_level, cmsg_type, fd } = cmsg_rights.decode(control)
  const isRights = cmsg_len === CMSG_RIGHTS_LEN && cmsg_level === SOL_SOCKET && cmsg_type === SCM_RIGHTS
  return isRights ? fd : undefined
}
