/** What KVM keeps of a vCPU of x86. Counterpart: arch/x86/include/uapi/asm/kvm.h. */
import { _IOR, _IOW } from './ioctl.js'
import { KVMIO } from './kvm.js'
import { array, struct, u8, u16, u32, u64 } from './struct.js'

export const kvm_regs = struct('kvm_regs', 144, {
  rax: u64,
  rbx: u64,
  rcx: u64,
  rdx: u64,
  rsi: u64,
  rdi: u64,
  rsp: u64,
  rbp: u64,
  r8: u64,
  r9: u64,
  r10: u64,
  r11: u64,
  r12: u64,
  r13: u64,
  r14: u64,
  r15: u64,
  rip: u64,
  rflags: u64,
})

/** The bit of rflags that is always set. */
export const X86_EFLAGS_FIXED = 0x2n

export const kvm_segment = struct('kvm_segment', 24, {
  base: u64,
  limit: u32,
  selector: u16,
  type: u8,
  present: u8,
  dpl: u8,
  db: u8,
  s: u8,
  l: u8,
  g: u8,
  avl: u8,
  unusable: u8,
  padding: u8,
})

export const kvm_dtable = struct('kvm_dtable', 16, {
  base: u64,
  limit: u16,
  padding: array(u16, 3),
})

export const kvm_sregs = struct('kvm_sregs', 312, {
  cs: kvm_segment,
  ds: kvm_segment,
  es: kvm_segment,
  fs: kvm_segment,
  gs: kvm_segment,
  ss: kvm_segment,
  tr: kvm_segment,
  ldt: kvm_segment,
  gdt: kvm_dtable,
  idt: kvm_dtable,
  cr0: u64,
  cr2: u64,
  cr3: u64,
  cr4: u64,
  cr8: u64,
  efer: u64,
  apic_base: u64,
  interrupt_bitmap: array(u64, 4),
})

export const KVM_SET_REGS = _IOW(KVMIO, 0x82, kvm_regs.size)
export const KVM_GET_SREGS = _IOR(KVMIO, 0x83, kvm_sregs.size)
export const KVM_SET_SREGS = _IOW(KVMIO, 0x84, kvm_sregs.size)
