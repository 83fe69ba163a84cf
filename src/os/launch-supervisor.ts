/**
 * The supervisor's start, seen from both ends of a socket: the launcher names its listener in one line, the supervisor
 * answers with one, empty where all is well.
 *
 * The supervisor is nobody's child (a shell forks it off and ends), so that the command has no child that it did
 * not make; and it has a session of its own, so that the terminal's signals do not reach it. It keeps none of the
 * command's descriptors open: a reader of a pipe sees its end when the command ends.
 */
import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { closeSync, readSync, writeSync } from 'node:fs'
import { ErrnoError, errnoOf } from '../abi/errno.js'
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from '../abi/socket.js'
import { bindChecked, close, pidfd_getfd, pidfd_open, syscall } from './libc.js'

const CLOSE_RANGE_CLOEXEC = 4
const LAST_DESCRIPTOR = 0xffff_ffff

const socketpair = bindChecked('socketpair', ['int', 'int', 'int', 'void *'])

/** The descriptor on which the supervisor finds the socket. */
const SUPERVISOR_SOCKET = 3

/** Calls that wait for the server hold a thread of libuv's pool each. */
const POOL_SIZE = '32'

const NEWLINE = 0x0a

/** Where the other side ended without a word. */
class NoAnswer extends Error {}

function readLine(socket: number): string {
  const bytes: number[] = []
  const byte = new Uint8Array(1)
  for (;;) {
    if (readSync(socket, byte) === 0) throw new NoAnswer('no answer')
    const [value = NEWLINE] = byte
    if (value === NEWLINE) return Buffer.from(bytes).toString()
    bytes.push(value)
  }
}

const writeLine = (socket: number, line: string): void =>
  void writeSync(socket, `${line.replaceAll('\n', ' ')}\n`)

/**
 * Starts a supervisor.
 *
 * @param script its entry file
 * @param args what it is started with
 * @returns the launcher's end of the socket
 */
export function startSupervisor(script: string, args: readonly string[]): number {
  const ends = new Int32Array(2)
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
  const [ours = -1, theirs = -1] = ends
  // Node has done this to all that it saw when it started, which ends at the first gap.
  syscall('close_range', SUPERVISOR_SOCKET, LAST_DESCRIPTOR, CLOSE_RANGE_CLOEXEC)
  const command = [process.execPath, ...process.execArgv, script, ...args]
  // @types/node does not list `detached` for spawnSync, which takes it all the same.
  const options = {
    cwd: '/',
    env: { ...process.env, UV_THREADPOOL_SIZE: POOL_SIZE },
    stdio: ['ignore', 'ignore', process.env.DEBUG === undefined ? 'ignore' : 'inherit', theirs],
    detached: true,
  } satisfies SpawnSyncOptions & { detached: boolean }
  const { status, error } = spawnSync('/bin/sh', ['-c', '"$@" &', 'sh', ...command], options)
  closeSync(theirs)
  if (error) throw error
  if (status !== 0) throw new Error(`Cannot start the supervisor: /bin/sh ended with ${status}`)
  return ours
}

/** The launcher's part: hands the listener over. What the supervisor has against it is thrown. */
export function handOver(socket: number, listener: number): void {
  let answer: string
  try {
    writeLine(socket, `${process.pid} ${listener}`)
    answer = readLine(socket)
  } catch (error) {
    throw new Error('The supervisor ended before it was ready; run it with DEBUG=pmufs:* to see why', {
      cause: error,
    })
  }
  closeSync(socket)
  if (answer !== '') throw new Error(answer)
}

function takeListener(line: string): number {
  const [pid = NaN, listener = NaN] = line.split(' ').map(Number)
  const pidfd = pidfd_open(pid)
  try {
    return pidfd_getfd(pidfd, listener)
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error
    throw new ErrnoError(
      'EPERM',
      'Cannot look into the command (ptrace is not permitted): in a container add --cap-add SYS_PTRACE, elsewhere set /proc/sys/kernel/yama/ptrace_scope to 0',
      { cause: error },
    )
  } finally {
    close(pidfd)
  }
}

/**
 * The supervisor's part: prepares what it needs, and gives it with the listener; or reports why it cannot, and gives
 * undefined.
 */
export function takeOver<T>(prepare: () => T): { prepared: T; listener: number } | undefined {
  try {
    const prepared = prepare()
    const listener = takeListener(readLine(SUPERVISOR_SOCKET))
    writeLine(SUPERVISOR_SOCKET, '')
    return { prepared, listener }
  } catch (error) {
    if (!(error instanceof NoAnswer))
      writeLine(SUPERVISOR_SOCKET, error instanceof Error ? error.message : String(error))
    return undefined
  } finally {
    closeSync(SUPERVISOR_SOCKET)
  }
}
