/** `pmufs mount --daemon`: the same command in the background, its log, and what became of its start. */
import { lstatSync, mkdirSync, statSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnDetached } from '../os/daemon.js'
import { CommandError, report } from './fail.js'
import { lastWords } from './last-words.js'

const OTHERS_WRITE = 0o022

/** Others could have made the folder first, or lent theirs, with a link in it to a file of this user. */
function checkOwnFolder(path: string): void {
  const status = lstatSync(path)
  if (status.isDirectory() && status.uid === process.geteuid?.() && (status.mode & OTHERS_WRITE) === 0) return
  throw new CommandError(
    `Cannot keep a log in "${path}": it is not this user's alone to write; set XDG_RUNTIME_DIR to a folder that is`,
  )
}

/** The log of a server in the background: in a folder that only its user can write. */
function logPath(dir: string): string {
  const runtime =
    process.env.XDG_RUNTIME_DIR ??
    (process.getuid?.() === 0 ? '/run' : join(tmpdir(), `pmufs-${process.getuid?.()}`))
  const folder = join(runtime, 'pmufs')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const each of [runtime, folder]) checkOwnFolder(each)
  return join(folder, `${dir.slice(1).replaceAll('/', '-')}.log`)
}

/** Above it, a shell's exit status stands for a signal. */
const SIGNALLED = 128
/** Milliseconds until a start is said to be slow. It is waited for all the same. */
const SLOW_MS = 30_000

function howEnded(status: number): string {
  if (status < SIGNALLED) return `The server ended with status ${status}`
  const name = Object.entries(constants.signals).find(([, number]) => number === status - SIGNALLED)?.[0]
  return `The server was ended by ${name ?? `signal ${status - SIGNALLED}`}`
}

/**
 * Starts the same command in the background, and returns when its mount can be used.
 *
 * @throws {CommandError} when the server ends before that, with what it said
 */
export async function daemonize(dir: string): Promise<void> {
  const path = logPath(dir)
  const from = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  const argv = process.argv.slice(1).filter(argument => argument !== '--daemon')
  const server = await spawnDetached(argv, path)
  const slow = setTimeout(
    () =>
      report(
        `the server, process ${server.pid}, is not ready after ${SLOW_MS / 1000} s; waiting on, its log is ${path}`,
      ),
    SLOW_MS,
  )
  const status = await Promise.race([server.ready, server.ended])
  clearTimeout(slow)
  server.leave()
  if (status !== undefined)
    throw new CommandError(
      `${howEnded(status)}: ${lastWords(path, from) ?? 'it said nothing'}; its log is ${path}`,
    )
  process.stdout.write(`mounted at ${dir}: pid ${server.pid}, log ${path}\n`)
}
