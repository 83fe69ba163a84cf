/** The PMUs of the running kernel: HostPmu of src/sysfs/options.ts. */
import { readdirSync, readlinkSync } from 'node:fs'
import { resolve } from 'node:path'

const DEVICES = '/sys/bus/event_source/devices'

/** Each with its folder under /sys/devices, as it is now; none where there is no sysfs. */
export function hostPmus(): { name: string; target: string }[] {
  try {
    return readdirSync(DEVICES).map(name => ({
      name,
      target: resolve(DEVICES, readlinkSync(`${DEVICES}/${name}`)),
    }))
  } catch {
    return []
  }
}
