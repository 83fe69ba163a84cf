/** What the tracepoints of this host's KVM can count for a mount, looked up once. */
import { ErrnoError } from '../abi/errno.js'
import { withKvm } from '../os/kvm-device.js'
import { checkKernelCounting, kvmKind, withKvmFormats } from '../os/tracepoints.js'
import { type TracepointCatalogue, tracepointCatalogue } from '../sources/tracepoint/catalogue.js'
import type { GuestsOptions } from './guests.js'

const sources: readonly GuestsOptions['source'][] = ['auto', 'tracepoint', 'demo']

function lookUp(): TracepointCatalogue {
  try {
    checkKernelCounting()
    return withKvm(checkExtension =>
      withKvmFormats(readFormat => tracepointCatalogue({ readFormat, kvm: kvmKind(), checkExtension })),
    )
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error
    return { events: [], problem: `${error.message}; run pmufs as root` }
  }
}

/**
 * The catalogue, or undefined where the source that was asked for is another.
 *
 * @throws {ErrnoError} EOPNOTSUPP when tracepoints alone were asked for, and cannot be counted
 */
export function findTracepoints(source: GuestsOptions['source']): TracepointCatalogue | undefined {
  if (!sources.includes(source)) return undefined
  const catalogue = lookUp()
  if (source === 'tracepoint' && catalogue.problem !== undefined)
    throw new ErrnoError('EOPNOTSUPP', `Cannot count by tracepoints: ${catalogue.problem}`)
  return catalogue
}
