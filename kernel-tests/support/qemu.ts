/**
 * A QEMU guest for a test, with two QMP sockets: one for the server under test, one for the test itself.
 * The client here is the test's own, so that the server's is checked against another.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { end, type Test, until } from './mounted.js'

interface Message {
  readonly id?: number
  readonly return?: unknown
  readonly error?: { readonly desc: string }
}

/** A QMP connection, one command after the other. */
class Qmp {
  readonly #socket: Socket
  readonly #waiting = new Map<number, (message: Message) => void>()
  #lastId = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    createInterface(socket).on('line', line => {
      const message = JSON.parse(line) as Message
      if (message.id !== undefined) this.#waiting.get(message.id)?.(message)
    })
  }

  static async connect(path: string): Promise<Qmp> {
    let socket: Socket | undefined
    await until(`QMP socket ${path}`, async () => {
      socket = createConnection(path)
      const candidate = socket
      return new Promise(resolve => {
        candidate.once('connect', () => resolve(true)).once('error', () => resolve(false))
      })
    })
    if (!socket) throw new Error(`no socket at ${path}`)
    const qmp = new Qmp(socket)
    await qmp.run('qmp_capabilities')
    return qmp
  }

  /**
   * Has the guest run on. One that has met an internal error is reset first: under an emulated SVM KVM now and then
   * cannot emulate an instruction of the BIOS, which says nothing of what is tested.
   */
  async cont(): Promise<void> {
    const { status } = await this.run<{ status: string }>('query-status')
    if (status === 'internal-error') await this.run('system_reset')
    await this.run('cont')
  }

  async run<T = unknown>(execute: string, args?: object): Promise<T> {
    this.#lastId += 1
    const id = this.#lastId
    const answered = new Promise<Message>(resolve => {
      this.#waiting.set(id, resolve)
    })
    this.#socket.write(`${JSON.stringify({ execute, id, ...(args && { arguments: args }) })}\n`)
    const message = await answered
    this.#waiting.delete(id)
    if (message.error) throw new Error(`${execute}: ${message.error.desc}`)
    return message.return as T
  }

  close(): void {
    this.#socket.destroy()
  }
}

interface CpuInfo {
  readonly 'cpu-index': number
  readonly 'qom-path': string
  readonly 'thread-id': number
}

interface StatsResult {
  readonly 'qom-path': string
  readonly stats: readonly { readonly name: string; readonly value: unknown }[]
}

/** A running guest. */
export interface Qemu {
  readonly process: ChildProcess
  /** The socket that is free for the server under test. */
  readonly socket: string
  readonly qmp: Qmp
  /** Host thread ids by vCPU number. */
  tids(): Promise<number[]>
  /** One statistic of each vCPU, by vCPU number. */
  counts(statistic: string): Promise<number[]>
}

interface QemuOptions {
  readonly name?: string
  readonly vcpus?: number
  readonly args?: readonly string[]
}

/** Starts a guest that runs its BIOS, ended with the test. */
export async function qemu(test: Test, { name, vcpus = 1, args = [] }: QemuOptions = {}): Promise<Qemu> {
  const folder = mkdtempSync(join(tmpdir(), 'pmufs-qemu-'))
  const [socket, own] = [join(folder, 'free.sock'), join(folder, 'own.sock')]
  const child = spawn(
    'qemu-system-x86_64',
    [
      '-accel',
      'kvm',
      '-display',
      'none',
      '-nodefaults',
      '-m',
      '32',
      '-smp',
      String(vcpus),
      '-boot',
      'menu=on,splash-time=60000',
    ].concat(
      name === undefined ? [] : ['-name', name],
      ['-qmp', `unix:${socket},server=on,wait=off`, '-qmp', `unix:${own},server=on,wait=off`],
      args,
    ),
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const qmp = await Qmp.connect(own)
  test.teardown(async () => {
    qmp.close()
    await end(child)
    rmSync(folder, { recursive: true })
  })
  const cpus = () => qmp.run<CpuInfo[]>('query-cpus-fast')
  return {
    process: child,
    socket,
    qmp,
    tids: async () => {
      const list = await cpus()
      return list.sort((a, b) => a['cpu-index'] - b['cpu-index']).map(cpu => cpu['thread-id'])
    },
    counts: async statistic => {
      const results = await qmp.run<StatsResult[]>('query-stats', { target: 'vcpu' })
      const list = await cpus()
      return list
        .sort((a, b) => a['cpu-index'] - b['cpu-index'])
        .map(cpu => {
          const found = results.find(result => result['qom-path'] === cpu['qom-path'])
          return Number(found?.stats.find(stat => stat.name === statistic)?.value)
        })
    },
  }
}
