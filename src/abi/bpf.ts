/**
 * Classic BPF, as seccomp filters use it. Counterparts: include/uapi/linux/bpf_common.h, include/uapi/linux/filter.h.
 * Only what a filter of loads, equality jumps and returns needs.
 */
import { struct, u8, u16, u32, u64 } from './struct.js'

/** One instruction: `jt` and `jf` count the instructions to skip where the comparison holds or not. */
export const sock_filter = struct('sock_filter', 8, { code: u16, jt: u8, jf: u8, k: u32 })

/** A program: how many instructions, and the address of the first. */
export const sock_fprog = struct('sock_fprog', 16, { len: u16, padding: u16, padding2: u32, filter: u64 })

/** BPF_LD | BPF_W | BPF_ABS: loads the word at offset `k` of the data. */
export const BPF_LOAD = 0x20
/** BPF_JMP | BPF_JEQ | BPF_K: compares what was loaded with `k`. */
export const BPF_JUMP_EQUAL = 0x15
/** BPF_RET | BPF_K: ends with `k`. */
export const BPF_RETURN = 0x06

/** BPF_PROG_TYPE_PERF_EVENT of include/uapi/linux/bpf.h, as a program's fdinfo shows it. */
export const BPF_PROG_TYPE_PERF_EVENT = 7
