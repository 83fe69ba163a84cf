/** Reads what KVM says when a VM is made or destroyed. Counterpart: kvm_uevent_notify_change() in virt/kvm/kvm_main.c. */

/** A VM came or went. */
export interface KvmUevent {
  readonly event: 'create' | 'destroy'
  /** The thread that made the VM, as the initial pid namespace numbers it. */
  readonly tid: number
}

const text = new TextDecoder('latin1')

/** Parses an uevent: `ACTION@DEVPATH`, then `NAME=VALUE`, each ended by NUL; undefined where it is not KVM's. */
export function parseKvmUevent(message: Uint8Array): KvmUevent | undefined {
  const fields = new Map(
    text
      .decode(message)
      .split('\0')
      .map(field => [field.replace(/=.*/s, ''), field.replace(/^[^=]*=?/, '')]),
  )
  if (fields.get('SUBSYSTEM') !== 'misc' || fields.get('DEVNAME') !== 'kvm') return undefined
  const event = fields.get('EVENT')
  if (event !== 'create' && event !== 'destroy') return undefined
  return { event, tid: Number(fields.get('PID') ?? 0) }
}
