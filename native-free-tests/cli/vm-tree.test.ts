/** How `vms/` of a mount is read, of one that an older server serves too. */
import t from 'tap'
import { readVms } from '../../src/cli/vm-tree.js'

const files = () => ({ pid: '7\n', kind: 'kvm\n', source: 'stats\n', vcpu0: { tid: '8\n' } })
const row = { pid: 7, kind: 'kvm', source: 'stats', vcpus: [{ id: 0, tid: 8 }] }

t.test('a guest is read; what an older server does not show is none', async t => {
  const dir = t.testdir({
    vms: {
      now: { ...files(), pending: '1 2\n', cost: 'qmp 32 exits=1\n' },
      older: files(),
      quiet: { ...files(), pending: '\n', cost: '' },
    },
  })
  t.same(readVms(dir), [
    { ...row, name: 'now', pending: [1, 2], cost: [{ source: 'qmp', reads: 32, adds: { exits: 1 } }] },
    { ...row, name: 'older', pending: [], cost: [] },
    { ...row, name: 'quiet', pending: [], cost: [] },
  ])
})

t.test('a guest that ends while it is read is left out', async t => {
  const gone = { ...files(), vcpu0: {} }
  t.same(readVms(t.testdir({ vms: { gone } })), [])
})
