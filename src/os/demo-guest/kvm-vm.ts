/**
 * A KVM guest without devices: one slot of memory, vCPUs without paging, no interrupt controller.
 * Documentation: https://docs.kernel.org/virt/kvm/api.html
 */
import { openSync } from 'node:fs'
import { ErrnoError } from '../../abi/errno.js'
import {
  KVM_API_VERSION,
  KVM_CAP_BINARY_STATS_FD,
  KVM_CAP_IMMEDIATE_EXIT,
  KVM_CHECK_EXTENSION,
  KVM_CREATE_VM,
  KVM_GET_API_VERSION,
  KVM_GET_STATS_FD,
  KVM_GET_VCPU_MMAP_SIZE,
  KVM_SET_USER_MEMORY_REGION,
  kvm_userspace_memory_region,
} from '../../abi/kvm.js'
import { KVM_VM_TYPE_ARM_IPA_SIZE } from '../../abi/kvm-arm64.js'
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../../abi/mman.js'
import { close, ioctl, machine, memoryAt, mmap, munmap } from '../libc.js'
import { Taken } from './taken.js'

/** What a thread needs to know of a VM to make a vCPU of it. Descriptors are the process's, so they cross threads. */
export interface KvmVm {
  readonly fd: number
  /** How many bytes of a vCPU's descriptor are to be mapped. */
  readonly runSize: number
  /** The descriptor of the VM's statistics. */
  readonly statsFd: number
}

const needed = [
  [KVM_CAP_IMMEDIATE_EXIT, 'KVM_CAP_IMMEDIATE_EXIT', '4.13'],
  [KVM_CAP_BINARY_STATS_FD, 'KVM_CAP_BINARY_STATS_FD', '5.14'],
] as const

function checkHost(kvm: number): void {
  const version = ioctl(kvm, KVM_GET_API_VERSION)
  if (version !== KVM_API_VERSION)
    throw new ErrnoError('EOPNOTSUPP', `Cannot use /dev/kvm: its API version is ${version}, 12 wanted`)
  for (const [capability, name, kernel] of needed)
    if (ioctl(kvm, KVM_CHECK_EXTENSION, capability) === 0)
      throw new ErrnoError(
        'EOPNOTSUPP',
        `Cannot use /dev/kvm: it lacks ${name}, use Linux ${kernel} or newer`,
      )
}

/** Its default on arm64, 40 bits of guest-physical addresses, is more than some hosts have. */
const vmType = (): number => (machine() === 'aarch64' ? KVM_VM_TYPE_ARM_IPA_SIZE(32) : 0)

function openVm(taken: Taken): KvmVm {
  const kvm = openSync('/dev/kvm', 'r+')
  try {
    checkHost(kvm)
    const runSize = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE)
    const fd = ioctl(kvm, KVM_CREATE_VM, vmType())
    taken.add(() => close(fd))
    const statsFd = ioctl(fd, KVM_GET_STATS_FD)
    taken.add(() => close(statsFd))
    return { fd, runSize, statsFd }
  } finally {
    close(kvm)
  }
}

function mapMemory(taken: Taken, vm: number, size: number, fill: (memory: Uint8Array) => void): void {
  const address = mmap({
    length: size,
    protection: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS,
    fd: -1,
  })
  taken.add(() => munmap(address, size))
  fill(new Uint8Array(memoryAt(address, size)))
  const region = { slot: 0, guest_phys_addr: 0n, memory_size: BigInt(size), userspace_addr: address }
  ioctl(vm, KVM_SET_USER_MEMORY_REGION, kvm_userspace_memory_region.encode(region))
}

/**
 * Makes a VM with `memorySize` bytes of memory from address 0.
 *
 * @param fill writes what the memory holds at first
 * @returns the VM, and what ends it: nothing of it may be used afterwards
 * @throws {ErrnoError} when this machine cannot run the guest, with the reason
 */
export function createVm(
  memorySize: number,
  fill: (memory: Uint8Array) => void,
): { readonly vm: KvmVm; readonly end: () => void } {
  const taken = new Taken()
  try {
    const vm = openVm(taken)
    mapMemory(taken, vm.fd, memorySize, fill)
    return { vm, end: () => taken.giveBack() }
  } catch (error) {
    taken.giveBack()
    throw error
  }
}
