/** KVM's statistics as a test reads them itself: no parser of the project judges itself. */
import { readdirSync, readlinkSync } from 'node:fs'
import { kvm_stats_desc, kvm_stats_header } from '../../src/abi/kvm-stats.js'
import { takeDescriptor } from '../../src/os/descriptors.js'
import { close, pread } from '../../src/os/libc.js'

/** Every scalar of a statistics descriptor. */
export function readStatistics(fd: number): Map<string, bigint> {
  const bytes = new Uint8Array(65_536)
  pread(fd, bytes, 0)
  const header = kvm_stats_header.decode(bytes)
  const stride = kvm_stats_desc.size + header.name_size
  const values = new Map<string, bigint>()
  for (let i = 0; i < header.num_desc; i++) {
    const at = header.desc_offset + i * stride
    const { offset, size } = kvm_stats_desc.decode(bytes, at)
    const [name = ''] = Buffer.from(bytes.subarray(at + kvm_stats_desc.size, at + stride))
      .toString('latin1')
      .split('\0')
    if (size === 1)
      values.set(name, new DataView(bytes.buffer).getBigUint64(header.data_offset + offset, true))
  }
  return values
}

/** One statistic of all vCPUs of a process that holds their statistics open, and of its VM, summed. */
export function sumOfStatistics(pid: number, statistic: string): number {
  let sum = 0n
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    if (!/^anon_inode:kvm-(vm|vcpu)-stats/.test(readlinkSync(`/proc/${pid}/fd/${fd}`))) continue
    const taken = takeDescriptor(pid, Number(fd))
    sum += readStatistics(taken).get(statistic) ?? 0n
    close(taken)
  }
  return Number(sum)
}
