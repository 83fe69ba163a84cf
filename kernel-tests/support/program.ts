/** Programs that serve a mount: the examples, and one that does what a test tells it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { plainNode } from './exec.js'
import { end, type Mounted, shell, type Test, until } from './mounted.js'

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url))

/** A folder to mount on, gone with the test. */
export function mountpoint(test: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'pmufs-test-'))
  test.teardown(async () => {
    await execa('umount', ['--lazy', dir], { reject: false })
    rmdirSync(dir)
  })
  return dir
}

interface Start {
  readonly file: string
  readonly args: readonly string[]
  /** The Node that runs it. */
  readonly node?: string
}

function start(test: Test, { file, args, node = process.execPath }: Start): ChildProcess {
  const child = spawn(node, [path(file), ...args], {
    env: { ...process.env, ...plainNode },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  test.teardown(() => end(child))
  return child
}

/** Runs a program that serves a mount, until the test's end. */
export async function served(test: Test, dir: string, program: Start): Promise<Mounted> {
  const server = start(test, program)
  let printed = ''
  for (const stream of [server.stdout, server.stderr]) stream?.on('data', data => (printed += data))
  await until(`${program.file} has mounted`, () => {
    if (server.exitCode !== null) throw new Error(`it ended with ${server.exitCode}: ${printed}`)
    return printed.includes('mounted at')
  })
  return { dir, server, log: () => printed, sh: script => shell(script, dir, { MNT: dir }) }
}

/** Runs an example on a mount of its own until the test's end. */
export function example(test: Test, name: string, ...args: string[]): Promise<Mounted> {
  const dir = mountpoint(test)
  return served(test, dir, { file: `dist/examples/${name}.js`, args: [dir, ...args] })
}

/** What the program answers. */
export interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: whatever the call gives
  readonly value?: any
  readonly code?: string
  readonly message?: string
}

/** The program of fixtures/library.js. */
export interface Program {
  readonly process: ChildProcess
  /** Has it call something, and gives what it answers. */
  readonly call: (name: string, options?: object) => Promise<Answer>
  /** The same for a call that ends it: nothing is answered. */
  readonly tell: (name: string) => void
  /** What it has printed to stderr. */
  readonly errors: () => string
}

/** Starts the program, ended with the test. */
export function program(test: Test): Program {
  const child = start(test, { file: 'kernel-tests/fixtures/library.js', args: [] })
  let errors = ''
  child.stderr?.on('data', data => (errors += data))
  const lines = child.stdout && createInterface(child.stdout)[Symbol.asyncIterator]()
  const tell = (call: string, options?: object): void => {
    child.stdin?.write(`${JSON.stringify({ call, options })}\n`)
  }
  return {
    process: child,
    tell,
    errors: () => errors,
    call: async (name, options) => {
      tell(name, options)
      const line = await lines?.next()
      if (line === undefined || line.done) throw new Error(`the program has ended at ${name}: ${errors}`)
      return JSON.parse(line.value) as Answer
    },
  }
}

/** The URL of a module of kernel-tests/fixtures. */
export const fixture = (name: string): string => new URL(`../fixtures/${name}.js`, import.meta.url).href
