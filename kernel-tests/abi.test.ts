/** The fixtures of src/abi's layouts and constants against what this machine's compiler and headers say now. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { machine } from '../src/os/libc.js'
import { needs } from './support/needs.js'

const file = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))

/** What a program of scripts/ prints here. */
function printed(t: Test & { testdir(): string }, program: string): string {
  const path = join(t.testdir(), program)
  execFileSync('gcc', ['-Wall', '-Wextra', '-Werror', '-o', path, file(`scripts/${program}.c`)])
  return execFileSync(path, { encoding: 'utf8' })
}

const fixture = (name: string): string =>
  readFileSync(file(`native-free-tests/abi/fixtures/${name}.${machine()}.txt`), 'utf8')

/** Each field as `STRUCT FIELD OFFSET SIZE`. Sizes of structures are left out: newer headers lengthen some. */
function fields(text: string): string[] {
  let struct = ''
  return text.split('\n').flatMap(line => {
    const [, next] = /^(?:struct|bits) (\w+)/.exec(line) ?? []
    if (next !== undefined) struct = next
    return line.startsWith('  ') ? [`${struct}${line}`] : []
  })
}

const withoutComments = (text: string): string => text.replace(/^#.*\n/gm, '')

t.test("the fixture of offsets is what this machine's headers say", needs('gcc'), async t => {
  const ours = fields(fixture('offsets'))
  t.ok(ours.length > 250)
  t.strictSame(fields(printed(t, 'abi-golden')), ours)
})

t.test("the fixture of constants is what this machine's headers say", needs('gcc'), async t => {
  t.equal(withoutComments(printed(t, 'abi-constants')), withoutComments(fixture('constants')))
})
