/**
 * Prints what failed or was skipped, and the one closing line of all test runs: `N passed, N failed, N skipped`, counted
 * in tests (not assertions) from the TAP that tap keeps of each file. A file that was to run and left nothing counts
 * as failed. With REQUIRE_KERNEL_TESTS a skip is a failure. Arguments: the files that were to run.
 */
import { readFileSync } from 'node:fs'

const counts = { passed: 0, failed: 0, skipped: 0 }
/** Lines shown of one failed assertion. */
const SHOWN = 40

function resultsOf(file) {
  try {
    return readFileSync(`.tap/test-results/${file}.tap`, 'utf8')
  } catch {
    return ''
  }
}

/** The innermost failures of a file, each with the lines that explain it. */
function showFailures(file, text) {
  const lines = text.split('\n')
  for (const [at, line] of lines.entries())
    if (/^\s*not ok/.test(line) && !/^\s*not ok .*# time=/.test(line))
      console.log(`${file}\n${lines.slice(at, at + SHOWN).join('\n')}\n`)
}

for (const file of process.argv.slice(2)) {
  const text = resultsOf(file)
  const tests = text.match(/^(not )?ok .*$/gm) ?? []
  const isComplete = /^1\.\.\d+/m.test(text) && !/^Bail out!/m.test(text)
  if (!isComplete || tests.length === 0) {
    counts.failed += 1
    console.log(`${file}: no complete result\n${text.split('\n').slice(-SHOWN).join('\n')}`)
  }
  showFailures(file, text)
  for (const line of tests) {
    if (line.startsWith('not ok')) counts.failed += 1
    else if (!/# SKIP/i.test(line)) counts.passed += 1
    else {
      counts.skipped += 1
      console.log(`${file}: ${line}`)
    }
  }
}

console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
const isSkipAllowed = !process.env.REQUIRE_KERNEL_TESTS
process.exitCode = counts.failed > 0 || counts.passed === 0 || (counts.skipped > 0 && !isSkipAllowed) ? 1 : 0
