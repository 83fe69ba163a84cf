/**
 * Makes one file each of the modules whose start is waited for: `pmufs` itself and the two processes of `pmufs exec`.
 * Node takes about a millisecond to load a module, and these load some forty. What they import lazily stays apart.
 */
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const cli = fileURLToPath(new URL('../dist/cli/', import.meta.url))

const lazyStaysApart = {
  name: 'lazy imports stay apart',
  setup({ onResolve }) {
    onResolve({ filter: /.*/ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path, external: true } : undefined,
    )
  },
}

await build({
  entryPoints: ['main', 'exec', 'exec-supervisor'].map(name => `${cli}${name}.js`),
  outdir: cli,
  allowOverwrite: true,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  plugins: [lazyStaysApart],
  // commander is CommonJS and requires modules of Node.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
  },
  logLevel: 'warning',
})
