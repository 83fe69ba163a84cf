/**
 * The file that KVM_GET_STATS_FD gives: a header, an id string, descriptors, and the data that they describe.
 * Source: include/uapi/linux/kvm.h, "struct kvm_stats_header"; Documentation/virt/kvm/api.rst, 4.134.
 */
import { s16, struct, u16, u32 } from './struct.js'

export const kvm_stats_header = struct('kvm_stats_header', 24, {
  flags: u32,
  /** Bytes that the id string and each name take, the closing NUL included. */
  name_size: u32,
  num_desc: u32,
  id_offset: u32,
  desc_offset: u32,
  data_offset: u32,
})

/** A descriptor up to its name, which takes `name_size` bytes right behind it. */
export const kvm_stats_desc = struct('kvm_stats_desc', 16, {
  /** KVM_STATS_TYPE_, _UNIT_ and _BASE_ together. */
  flags: u32,
  /** The value is raw * base ^ exponent, in units. */
  exponent: s16,
  /** Number of u64 values. */
  size: u16,
  /** From data_offset; descriptors are not in this order. */
  offset: u32,
  /** For a linear histogram only. */
  bucket_size: u32,
})

/** The name size of every kernel so far. It is not in the uapi header: readers take it from the file's header. */
export const KVM_STATS_NAME_SIZE = 48

export const KVM_STATS_TYPE_MASK = 0xf
export const KVM_STATS_TYPE_CUMULATIVE = 0x0
export const KVM_STATS_TYPE_INSTANT = 0x1
export const KVM_STATS_TYPE_PEAK = 0x2
export const KVM_STATS_TYPE_LINEAR_HIST = 0x3
export const KVM_STATS_TYPE_LOG_HIST = 0x4

export const KVM_STATS_UNIT_MASK = 0xf0
export const KVM_STATS_UNIT_NONE = 0x00
export const KVM_STATS_UNIT_BYTES = 0x10
export const KVM_STATS_UNIT_SECONDS = 0x20
export const KVM_STATS_UNIT_CYCLES = 0x30
export const KVM_STATS_UNIT_BOOLEAN = 0x40

export const KVM_STATS_BASE_MASK = 0xf00
export const KVM_STATS_BASE_POW10 = 0x000
export const KVM_STATS_BASE_POW2 = 0x100
