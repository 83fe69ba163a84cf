/**
 * Makes JavaScript of the kernel tests and of what they import, file by file, in the folder that is named: a lab then
 * has no TypeScript to read. The tests find the rest of the checkout from where they lie, so that they are not bundled.
 */
import { readdirSync } from 'node:fs'
import { build } from 'esbuild'

const [outdir = ''] = process.argv.slice(2)

await build({
  entryPoints: ['src', 'kernel-tests'].flatMap(folder =>
    readdirSync(folder, { recursive: true })
      .filter(file => file.endsWith('.ts'))
      .map(file => `${folder}/${file}`),
  ),
  outdir,
  outbase: '.',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
})
