/**
 * power/ of a PMU's device: what runtime power management shows of a device that has none.
 * Counterpart: drivers/base/power/sysfs.c, runtime_attrs with pm_runtime disabled.
 */
import { ErrnoError } from '../abi/errno.js'
import { attributeFile } from '../kernfs/attribute-file.js'
import { type RemovableDirectory, staticDirectory } from '../kernfs/directory.js'
import type { Owner } from '../kernfs/inode.js'
import { isWord } from './store-text.js'

const controlWords = ['auto', 'on'] as const

/** Makes power/ of one device. `control` remembers what is written, which changes nothing, as in the kernel. */
export function powerDirectory(owner: Owner): RemovableDirectory {
  let control: (typeof controlWords)[number] = 'auto'
  const readOnly = (text: string) => attributeFile({ owner, mode: 0o444, show: () => text })
  const children = {
    autosuspend_delay_ms: attributeFile({
      owner,
      mode: 0o644,
      show: refuseAutosuspend,
      store: refuseAutosuspend,
    }),
    control: attributeFile({
      owner,
      mode: 0o644,
      show: () => `${control}\n`,
      store: text => {
        const word = controlWords.find(known => isWord(text, known))
        if (!word) throw new ErrnoError('EINVAL', 'power/control takes "auto" or "on"')
        control = word
      },
    }),
    runtime_active_time: readOnly('0\n'),
    runtime_status: readOnly('unsupported\n'),
    runtime_suspended_time: readOnly('0\n'),
  }
  return staticDirectory({ owner, children })
}

function refuseAutosuspend(): never {
  throw new ErrnoError('EIO', 'The device does not use autosuspend')
}
