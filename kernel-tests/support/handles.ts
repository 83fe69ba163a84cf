/** Handles of a mount as a shell script has them: opened through `control`, read as text. */
import { type Mounted, until } from './mounted.js'

/** Opens a handle for an event on a thread; its path inside the mount. */
export const openHandle = (mount: Mounted, event: string, tid: number, type = 'kvm'): Promise<string> =>
  openRequest(mount, { type, config: event, pid: tid })

/** The same for whatever request. */
export async function openRequest(mount: Mounted, request: object): Promise<string> {
  const { path, error } = await ask(mount, request)
  if (path === undefined) throw new Error(`${JSON.stringify(request)}: ${error}`)
  return path
}

/** What `control` answers to a request. */
export async function ask(mount: Mounted, request: object) {
  const { stdout } = await mount.sh(`exec 3<>control; echo '${JSON.stringify(request)}' >&3; cat <&3`)
  return JSON.parse(stdout) as { path?: string; errno?: string; error?: string }
}

/** Opens one handle for each event on a thread; their paths by event. */
export async function openHandles(
  mount: Mounted,
  events: readonly string[],
  tid: number,
): Promise<Map<string, string>> {
  const handles = new Map<string, string>()
  for (const event of events) handles.set(event, await openHandle(mount, event, tid))
  return handles
}

/** The counts of handles, by event. */
export async function readCounts(
  mount: Mounted,
  handles: ReadonlyMap<string, string>,
): Promise<Record<string, number>> {
  const { stdout } = await mount.sh(`cat ${[...handles.values()].map(path => `${path}/count`).join(' ')}`)
  const counts = stdout.split('\n').map(Number)
  return Object.fromEntries([...handles.keys()].map((event, i) => [event, counts[i] ?? Number.NaN]))
}

/** Closes handles. */
export const closeHandles = (mount: Mounted, paths: Iterable<string>) =>
  mount.sh(`rmdir ${[...paths].join(' ')}`)

/** The name of the VM of a process, once it is found. */
export async function vmOf(mount: Mounted, pid: number | undefined): Promise<string> {
  const { stdout } = await mount.sh(`grep -lx ${pid} vms/*/pid | cut -d/ -f2`)
  return stdout
}

/** Waits until the VM of a process is found. */
export const vmFound = (mount: Mounted, pid: number | undefined): Promise<void> =>
  until(`process ${pid} is found`, async () => (await vmOf(mount, pid)) !== '')

/** Waits until the VM of a process is found with all its vCPUs: their threads may be told later than the VM is. */
export const vcpusFound = (mount: Mounted, pid: number | undefined): Promise<void> =>
  until(`all vCPUs of process ${pid} are found`, async () => {
    const vm = await vmOf(mount, pid)
    if (vm === '') return false
    const { stdout } = await mount.sh(`ls vms/${vm}; cat vms/${vm}/pending`)
    return stdout.includes('vcpu0') && !/^\d/m.test(stdout)
  })
