/** What `mount --daemon` tells of a server that ended, from its log. */
import { appendFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { lastWords } from '../../src/cli/last-words.js'

const GIB = 2 ** 30

t.test('the errors behind the start are told, else the last line', async t => {
  const log = join(t.testdir(), 'log')
  const old = 'pmufs: long ago\n'
  writeFileSync(log, old)
  t.equal(lastWords(log, old.length), undefined)
  appendFileSync(log, 'one\nfatal error\n\n')
  t.equal(lastWords(log, old.length), 'fatal error')
  appendFileSync(log, '\u001b[31mpmufs:\u001b[39m first\npmufs: second\nat somewhere\n')
  t.equal(lastWords(log, old.length), 'first; second')
})

t.test('a log of gigabytes is read at its end', async t => {
  const log = join(t.testdir(), 'log')
  writeFileSync(log, '')
  truncateSync(log, 3 * GIB)
  appendFileSync(log, '\npmufs: no room\n')
  t.equal(lastWords(log, 3 * GIB), 'no room')
  t.equal(lastWords(log, 0), 'no room', 'the server itself wrote them')
})

t.test('a line that is cut is left out', async t => {
  const log = join(t.testdir(), 'log')
  writeFileSync(log, `${'x'.repeat(70_000)}pmufs: inside a line\nlast\n`)
  t.equal(lastWords(log, 0), 'last')
})

t.test('a log that was cut since the start is read from its own', async t => {
  const log = join(t.testdir(), 'log')
  writeFileSync(log, 'pmufs: no room\n')
  t.equal(lastWords(log, 4096), 'no room')
})
