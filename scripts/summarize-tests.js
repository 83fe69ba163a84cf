/**
 * Prints where each file of tests ran, what failed or was skipped, and the one closing line of all test runs:
 * `N passed, N failed, N skipped`, counted in tests (not assertions) from the TAP that is kept of each file. A file that
 * was to run and left nothing counts as failed. A test that one part of the run left to another (kernel-tests/support/needs.ts)
 * is counted where it ran, and is skipped if it ran nowhere. With REQUIRE_KERNEL_TESTS a skip is a failure.
 * Arguments: the files that were to run on this machine.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** Lines shown of one failed assertion. */
const SHOWN = 40

const read = path => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

const linesOf = path => read(path).split('\n').filter(Boolean)

const namesIn = folder => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Where tests ran: the files that were to run there, and the TAP of one. */
const places = [
  {
    name: 'this machine',
    files: process.argv.slice(2),
    tapOf: file => read(`.tap/test-results/${file}.tap`),
  },
  ...namesIn('.tap/labs')
    .map(name => ({
      name: `lab ${name}`,
      files: linesOf(`.tap/labs/${name}/files`),
      tapOf: file => read(`.tap/labs/${name}/results/${file}.tap`),
      // A line for each time that it was booted.
      seconds: linesOf(`.tap/labs/${name}/seconds`).reduce((sum, line) => sum + Number(line), 0),
    }))
    .filter(({ files }) => files.length > 0),
]

/** The innermost failures of a file, each with the lines that explain it. */
function showFailures(title, text) {
  const lines = text.split('\n')
  for (const [at, line] of lines.entries())
    if (/^\s*not ok/.test(line) && !/^\s*not ok .*# time=/.test(line))
      console.log(`${title}\n${lines.slice(at, at + SHOWN).join('\n')}\n`)
}

/** One test of the top level: its name, and what became of it. */
function resultOf(line) {
  const [, not, name = '', directive = ''] = /^(not )?ok \d+ - (.*?)(?: # (.*))?$/.exec(line) ?? []
  const state = not ? 'failed' : directive.startsWith('SKIP') ? 'skipped' : 'passed'
  return { name, state, reason: directive.replace(/^SKIP ?/, '') }
}

function resultsOf({ name, tapOf }, file) {
  const text = tapOf(file)
  const title = `${file} (${name})`
  const isComplete = /^1\.\.\d+/m.test(text) && !/^Bail out!/m.test(text)
  showFailures(title, text)
  const results = (text.match(/^(not )?ok .*$/gm) ?? []).map(resultOf)
  if (isComplete && results.length > 0) return results
  console.log(`${title}: no complete result\n${text.split('\n').slice(-SHOWN).join('\n')}`)
  return [...results, { name: 'the whole file', state: 'failed', reason: '' }]
}

/** Why a test that ran elsewhere was not run here. */
const isLeftToOthers = ({ state, reason }) => state === 'skipped' && reason.startsWith('RUNS')

const counts = { passed: 0, failed: 0, skipped: 0 }
const left = new Map()
const ran = new Set()

function countsHere(result, test, place) {
  if (!isLeftToOthers(result)) ran.add(test)
  else left.set(test, place)
  return !isLeftToOthers(result)
}

const byPlace = places.map(place => {
  const files = place.files.map(file => ({ file, results: resultsOf(place, file) }))
  const here = files.map(({ file, results }) => ({
    file,
    results: results.filter(result => countsHere(result, `${file}: ${result.name}`, place.name)),
  }))
  return { ...place, files: here.filter(({ results }) => results.length > 0) }
})

for (const { name, files, seconds } of byPlace) {
  const all = files.flatMap(({ file, results }) => results.map(result => ({ file, ...result })))
  for (const { file, state, name: test, reason } of all) {
    counts[state] += 1
    if (state === 'skipped') console.log(`SKIPPED  ${file}: ${test}: ${reason}`)
  }
  const took = seconds ? `, ${(seconds / 60).toFixed(1)} min` : ''
  console.log(`${name}: ${all.length} tests in ${files.length} files${took}`)
  if (name !== 'this machine')
    for (const { file, results } of files) console.log(`    ${file}: ${results.length}`)
}
const nowhere = [...left].filter(([test]) => !ran.has(test))
for (const [test, place] of nowhere)
  console.log(`SKIPPED  ${test}: ${place} left it to another, and none ran it`)
counts.skipped += nowhere.length
if (left.size > 0)
  console.log(
    `${left.size - nowhere.length} tests that one place left to another ran there, ${nowhere.length} did not`,
  )
for (const part of namesIn('.tap/parts'))
  console.log(`${part}: ${(Number(read(`.tap/parts/${part}`)) / 60).toFixed(1)} min`)

if (places.length === 1)
  console.log(
    'NO LAB: nothing was tried on other kernels or on arm64, and what needs KVM ran only where it is',
  )
if (counts.skipped > 0) console.log(`${counts.skipped} TESTS RAN NOWHERE, see above`)
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
const isSkipAllowed = !process.env.REQUIRE_KERNEL_TESTS
process.exitCode = counts.failed > 0 || counts.passed === 0 || (counts.skipped > 0 && !isSkipAllowed) ? 1 : 0
