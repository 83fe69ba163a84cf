/**
 * Prints for scripts/test what this machine lacks and a lab has, on one line, and then the test files that need any of
 * it: those run in the lab.
 */
import { readFileSync } from 'node:fs'
import { lackingHere } from './needs.js'

const lacking = lackingHere()
const isNeededBy = (file: string): boolean => {
  const text = readFileSync(file, 'utf8')
  return lacking.some(need => text.includes(`'${need}'`))
}

console.log([lacking.join(' '), ...process.argv.slice(2).filter(isNeededBy)].join('\n'))
