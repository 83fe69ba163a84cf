/** Ids of events: which names have which, and that none ever moves. */
import * as fc from 'fast-check'
import t from 'tap'
import { EventTable, knownCounts, MAX_EVENTS } from '../../src/kvm/event-table.js'

const FIRST_FREE = 84

t.test('the ids of known names are ABI', async t => {
  const table = new EventTable()
  const abi = { exits: 0, io_exits: 1, mmio_exits: 2, halt_exits: 3, signal_exits: 4, pf_taken: 10 }
  for (const [name, id] of Object.entries(abi)) t.equal(table.id(name), id, name)
  t.equal(table.id('tlb_flush'), 0x11)
  t.equal(table.id('insn_emulation'), 0x16)
  t.equal(table.id('halt_wait_ns'), 0x27)
  t.equal(table.id('mmio_exit_kernel'), 0x2c)
  t.equal(table.id('remote_tlb_flush'), 0x2d)
  t.equal(table.id('halt_wait_hist'), 0x37)
  t.equal(table.id('trace_kvm_userspace_exit'), 0x38)
  t.equal(table.id('kvm_userspace_exit_reason'), 0x39)
  t.equal(table.id('kvm_exit_reason'), 0x3b)
  t.equal(table.id('trace_kvm_toggle_cache'), FIRST_FREE - 1, 'the last line: a new one goes behind it')
})

t.test('instants have no id', async t => {
  const table = new EventTable()
  for (const name of ['guest_mode', 'blocking', 'pages_4k']) t.equal(table.id(name), undefined)
})

t.test(
  'knownCounts has no histogram: its file in debugfs shows the first bucket as if it were a count',
  async t => {
    for (const name of ['exits', 'halt_wait_ns', 'remote_tlb_flush']) t.ok(knownCounts.has(name), name)
    t.notOk(knownCounts.has('halt_wait_hist'))
  },
)

t.test('append() gives unknown names ids behind the table, sorted within their batch', async t => {
  const table = new EventTable()
  table.append(['zeta', 'exits', 'alpha', 'zeta', 'beta'])
  t.equal(table.id('alpha'), FIRST_FREE)
  t.equal(table.id('beta'), FIRST_FREE + 1)
  t.equal(table.id('zeta'), FIRST_FREE + 2)
  table.append(['aardvark', 'alpha'])
  t.equal(table.id('aardvark'), FIRST_FREE + 3, 'a later batch goes behind, though it sorts before')
  t.equal(table.id('exits'), 0)
})

t.test('append() leaves out names that cannot be a file of events/', async t => {
  const table = new EventTable()
  const unfit = ['', '.', '..', 'a/b', 'a.unit', 'a b', 'a\n', '1st', 'a-b', 'a,b', 'x'.repeat(65)]
  table.append([...unfit, 'fit'])
  for (const name of unfit) t.equal(table.id(name), undefined, JSON.stringify(name))
  t.equal(table.id('fit'), FIRST_FREE)
})

t.test('append() leaves out what 8 bits cannot tell apart', async t => {
  const table = new EventTable()
  const names = Array.from({ length: 300 }, (_, i) => `x${String(i).padStart(3, '0')}`)
  table.append(names)
  const ids = names.map(name => table.id(name)).filter(id => id !== undefined)
  t.equal(ids.length, MAX_EVENTS - FIRST_FREE)
  t.equal(Math.max(...ids), MAX_EVENTS - 1)
  table.append(['late'])
  t.equal(table.id('late'), undefined)
  t.equal(table.id('exits'), 0)
})

t.test('no batch moves an id or gives one twice', async () => {
  const name = fc.oneof(
    fc.constantFrom('exits', 'tlb_flush', 'toString', '__proto__'),
    fc.string({ maxLength: 5 }),
  )
  fc.assert(
    fc.property(fc.array(fc.array(name)), batches => {
      const table = new EventTable()
      const given = new Map<string, number>()
      for (const batch of batches) {
        table.append(batch)
        for (const one of batch) {
          const id = table.id(one)
          if (given.has(one) && given.get(one) !== id) return false
          if (id !== undefined) given.set(one, id)
        }
      }
      return new Set(given.values()).size === given.size
    }),
  )
})
