/**
 * Checks the direction of imports, and that every module was looked at: dependency-cruiser passes with none when it
 * cannot read the language.
 */
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { cruise } from 'dependency-cruiser'
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config'

const folders = ['src', 'native-free-tests', 'kernel-tests', 'bench', 'examples']
const config = createRequire(import.meta.url)('../.dependency-cruiser.cjs')
const listed = execFileSync(
  'git',
  ['ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate', ...folders],
  {
    encoding: 'utf8',
  },
)
  .split('\n')
  .filter(file => file.endsWith('.ts'))

const { output } = await cruise(
  listed,
  { ...config.options, ruleSet: { forbidden: config.forbidden }, validate: true },
  undefined,
  { tsConfig: extractTSConfig('tsconfig.json') },
)
const cruised = new Set(output.modules.map(module => module.source))
const missed = listed.filter(file => !cruised.has(file))
for (const { rule, from, to } of output.summary.violations) console.error(`${rule.name}: ${from} -> ${to}`)
if (missed.length > 0) console.error(`not looked at: ${missed.join(', ')}`)
console.log(`imports: ${listed.length} modules, ${output.summary.violations.length} violations`)
process.exitCode = output.summary.violations.length > 0 || missed.length > 0 ? 1 : 0
