/** The kernel's own names of values, read from its format files. */
import t from 'tap'
import { symbolicLists } from '../../src/sources/tracepoint/print-format.js'
import { formatsOf } from './support/kernel-formats.js'

const lists = (printFormat: string) =>
  symbolicLists(`name: x\nID: 1\n\nprint fmt: ${printFormat}\n`).map(({ field, symbols }) => ({
    field,
    symbols: Object.fromEntries(symbols),
  }))

t.test('symbolicLists() reads values and names as C means them', async t => {
  t.strictSame(
    lists('"%s", __print_symbolic(REC->a, { 1, "ONE" }, { 0x040 + 2, "A_" "B c" }, {-1, "all"})'),
    [{ field: 'a', symbols: { 1: 'ONE', 66: 'A_B c', 4294967295: 'all' } }],
  )
  t.strictSame(lists('"%s", __print_symbolic(REC->a & 0xffff, { (((0x0CUL))), "X" }, {0xbadca11, "Y" })'), [
    { field: 'a', symbols: { 12: 'X', 195938833: 'Y' } },
  ])
  t.strictSame(
    lists('"%s %s", __print_symbolic(REC->a, { 1, "x" }), __print_symbolic(REC->b, { 2, "(}" }), REC->c'),
    [{ field: 'a', symbols: { 1: 'x' } }],
    'a list that is not understood is none',
  )
  t.strictSame(lists('"%s", __print_symbolic(REC->a, { ENUM, "x" }, { 1, "y" }, { 1, "z" })'), [
    { field: 'a', symbols: { 1: 'y' } },
  ])
  for (const text of ['', 'name: x', 'print fmt: "__print_flags(REC->a, \\"|\\", { 1, \\"x\\" })"'])
    t.strictSame(symbolicLists(text), [], text)
})

t.test('symbolicLists() reads every list of real kernels to its end', async t => {
  const shape = (kernel: Parameters<typeof formatsOf>[0], tracepoint: string) =>
    symbolicLists(formatsOf(kernel)(tracepoint) ?? '').map(
      ({ field, symbols }) => `${field} ${symbols.size} ${[...symbols.values()].at(-1)}`,
    )
  t.strictSame(shape('linux-6.1-amd64', 'kvm_exit'), [
    'exit_reason 62 NOTIFY',
    'exit_reason 108 invalid_guest_state',
  ])
  t.strictSame(shape('linux-6.18-amd64', 'kvm_exit'), [
    'exit_reason 65 MSR_WRITE_IMM',
    'exit_reason 110 invalid_guest_state',
  ])
  t.strictSame(shape('linux-6.12-arm64', 'kvm_exit'), ['ret 4 HYP_GONE', 'esr_ec 35 ERET'])
  t.strictSame(shape('linux-6.12-arm64', 'kvm_userspace_exit'), ['reason 31 KVM_EXIT_X86_WRMSR'])
})
