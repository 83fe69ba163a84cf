/**
 * Runs test files in a lab, one after the other, as plain Node programs, and prints one line on each. Arguments: the folder
 * under /lab/out that keeps their TAP (results/) and says which files a lab has taken (taken/FILE/LAB), since several
 * can have the same work; this lab's own name; then the files.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'

/** Seconds after which a file hangs, whatever tap thinks of it. */
const LIMIT = 1800

const [name, lab, ...files] = process.argv.slice(2)
const folder = `/lab/out/${name}`

/** Whether the file was left to this lab: only one can make its folder. */
function take(file) {
  try {
    mkdirSync(`${folder}/taken/${basename(file)}`)
    mkdirSync(`${folder}/taken/${basename(file)}/${lab}`)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

function run(file) {
  const results = `${folder}/results/${file}.tap`
  mkdirSync(dirname(results), { recursive: true })
  const output = openSync(results, 'w')
  const child = spawn(process.execPath, [file.replace(/ts$/, 'js')], {
    stdio: ['ignore', output, output],
    env: { ...process.env, TAP_TIMEOUT: String(LIMIT), NODE_OPTIONS: '' },
    detached: true,
  })
  closeSync(output)
  const killer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), LIMIT * 1000)
  return new Promise(resolve => {
    child.once('exit', (code, signal) => {
      clearTimeout(killer)
      resolve(signal ?? code)
    })
  })
}

let status = 0
for (const file of files) {
  if (!take(file)) continue
  const start = performance.now()
  const ended = await run(file)
  if (ended !== 0) status = 1
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(
    `${ended === 0 ? 'ok' : 'not ok'}  ${file}  ${seconds} s${ended === 0 ? '' : `, ended with ${ended}`}`,
  )
}
process.exitCode = status
