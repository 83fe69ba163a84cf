/**
 * Prints the one closing line of all test runs: `N passed, N failed, N skipped`, counted in tests (not assertions)
 * from the TAP that tap keeps of each file. A file that was to run and left nothing counts as failed.
 * With REQUIRE_KERNEL_TESTS a skip is a failure. Arguments: the files that were to run.
 */
import { readFileSync } from 'node:fs'

const counts = { passed: 0, failed: 0, skipped: 0 }

for (const file of process.argv.slice(2)) {
  let text = ''
  try {
    text = readFileSync(`.tap/test-results/${file}.tap`, 'utf8')
  } catch {
    // Counted below: a file without results has failed.
  }
  const tests = text.match(/^(not )?ok .*$/gm) ?? []
  const isComplete = /^1\.\.\d+/m.test(text) && !/^Bail out!/m.test(text)
  if (!isComplete || tests.length === 0) {
    counts.failed += 1
    console.error(`no complete result: ${file}`)
  }
  for (const line of tests) {
    if (line.startsWith('not ok')) counts.failed += 1
    else if (/# SKIP/i.test(line)) counts.skipped += 1
    else counts.passed += 1
  }
}

console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
const isSkipAllowed = !process.env.REQUIRE_KERNEL_TESTS
process.exitCode = counts.failed > 0 || counts.passed === 0 || (counts.skipped > 0 && !isSkipAllowed) ? 1 : 0
