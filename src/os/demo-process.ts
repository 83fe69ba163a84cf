/**
 * The demo guest's process as its owner holds it: started, spoken to, described as a VM to count, stopped.
 * The process dies with the thread that started it.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { ErrnoError } from '../abi/errno.js'
import { log } from '../log.js'
import type { Answer, Command, Ready } from '../sources/demo/protocol.js'
import type { VmDescription } from '../sources/messages.js'
import { takeDescriptor } from './descriptors.js'
import { close } from './libc.js'
import { threadStat } from './proc-stat.js'

/** How to start the demo guest. */
export interface DemoOptions {
  /** Simulated even where KVM is. */
  readonly isSimulated?: boolean
  /** 2 where not given. */
  readonly vcpus?: number
  /** Its compiled program, where that does not lie beside this module. */
  readonly program?: URL
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

interface Pending {
  resolve(line: string): void
  reject(error: Error): void
}

/** Milliseconds that SIGTERM is given before SIGKILL. */
const PATIENCE = 1000

function spawnGuest({ isSimulated = false, vcpus = 2, program }: DemoOptions): Child {
  const path = fileURLToPath(program ?? new URL('./demo-guest/main.js', import.meta.url))
  const args = [path, '--vcpus', String(vcpus), ...(isSimulated ? ['--simulated'] : [])]
  // A group of its own: Ctrl-C reaches the owner alone, who takes the last counts and then stops the guest.
  return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
}

function startTime(tid: number): bigint {
  const stat = threadStat(tid)
  if (!stat) throw new ErrnoError('ESRCH', `Cannot describe the demo guest: thread ${tid} has ended`)
  return stat.startTime
}

/** The demo guest's process; `launchDemo` and `startDemo` make one. */
export class DemoProcess {
  readonly #child: Child
  readonly #pending: Pending[] = []
  #ready: Ready | undefined
  #lastWords = ''
  #hasEnded = false
  /** Settles when the process is gone, whoever ended it. */
  readonly ended: Promise<void>
  /** Settles with its first line; rejects with why it has ended before. */
  readonly whenReady: Promise<Ready>

  constructor(child: Child) {
    this.#child = child
    this.ended = new Promise(resolve => {
      const end = (how: string) => {
        this.#end(how)
        resolve()
      }
      child.once('close', (code, signal) => end(signal ?? `exit status ${code}`))
      child.once('error', error => end(error.message))
    })
    createInterface({ input: child.stdout }).on('line', line => this.#pending.shift()?.resolve(line))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = text.trim()
    })
    // Writing to a process that has ended is told by `ended` already.
    child.stdin.on('error', error => log.os('demo guest: %s', error.message))
    this.whenReady = this.#takeReady()
    // Whoever waits is told as well; nobody need wait.
    this.whenReady.catch((error: unknown) => log.os('%s', error))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Its threads, their statistics, and whether it is simulated and why. */
  get ready(): Ready {
    if (!this.#ready) throw new Error('The demo guest is not ready yet')
    return this.#ready
  }

  /** Has a command carried out; throws where the guest refuses it or has ended. */
  async request(command: Command): Promise<void> {
    const line = this.#nextLine()
    this.#child.stdin.write(`${JSON.stringify(command)}\n`)
    const answer: Answer = JSON.parse(await line)
    if (!answer.ok) throw new ErrnoError('EINVAL', answer.error)
  }

  /** Takes its statistics' descriptors and describes it as a VM; whoever gets that closes them. */
  describe(): VmDescription {
    const { pid, kind, vcpus, statsFd: vmStatsFd } = this.ready
    const taken: number[] = []
    const take = (statsFd: number): number => {
      const fd = takeDescriptor(pid, statsFd)
      taken.push(fd)
      return fd
    }
    try {
      const described = vcpus.map(({ id, tid, statsFd }) => ({
        id,
        tid,
        startTime: startTime(tid),
        statsFd: take(statsFd),
      }))
      const vm = { tgid: pid, startTime: startTime(pid), isReal: kind === 'kvm', vcpus: described }
      const whole =
        vmStatsFd === undefined ? {} : { whole: [{ source: 'stats', statsFd: take(vmStatsFd) }] as const }
      return {
        key: `demo-${pid}-${vm.startTime}`,
        name: 'demo',
        source: 'stats',
        events: [],
        ...vm,
        ...whole,
      }
    } catch (error) {
      taken.forEach(close)
      throw error
    }
  }

  /** Ends it and waits until it is gone. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE)
    await this.ended
    clearTimeout(timer)
  }

  async #takeReady(): Promise<Ready> {
    const ready: Ready = JSON.parse(await this.#nextLine())
    this.#ready = ready
    const { kind, pid, reason } = ready
    log.os('demo guest: %s, pid %d%s', kind, pid, reason ? ` (${reason})` : '')
    return ready
  }

  #nextLine(): Promise<string> {
    if (this.#hasEnded) return Promise.reject(this.#endError('it is gone'))
    return new Promise((resolve, reject) => this.#pending.push({ resolve, reject }))
  }

  #end(how: string): void {
    this.#hasEnded = true
    for (const pending of this.#pending.splice(0)) pending.reject(this.#endError(how))
  }

  #endError(how: string): Error {
    return new ErrnoError('ESRCH', `The demo guest has ended: ${this.#lastWords || how}`)
  }
}

/** Starts the demo guest, and returns before it is ready. */
export const launchDemo = (options: DemoOptions = {}): DemoProcess => new DemoProcess(spawnGuest(options))

/**
 * Starts the demo guest; it runs at its own pace when this settles.
 *
 * @throws {ErrnoError} ESRCH when it ended before it was ready
 */
export async function startDemo(options: DemoOptions = {}): Promise<DemoProcess> {
  const demo = launchDemo(options)
  await demo.whenReady
  return demo
}
