/**
 * Which folder of src/ may import which. The table is the architecture: docs/architecture.md draws it.
 * `types` are folders of which only types may be imported.
 */
const folders = {
  abi: { imports: [] },
  perf: { imports: ['abi'] },
  kernfs: { imports: ['abi'] },
  kvm: { imports: ['abi', 'perf'] },
  sysfs: { imports: ['abi', 'perf', 'kernfs'], types: ['kvm'] },
  control: { imports: ['abi', 'perf', 'kernfs'], types: ['kvm'] },
  fuse: { imports: ['abi', 'kernfs'], types: ['os'] },
  exec: { imports: ['abi'], types: ['os'] },
  sources: { imports: ['abi'], types: ['perf', 'kvm', 'os'] },
  os: { imports: ['abi'], types: ['perf', 'sources', 'fuse', 'exec'] },
  serve: { imports: ['abi', 'perf', 'kernfs', 'kvm', 'sysfs', 'control', 'fuse', 'sources', 'os'] },
  cli: { imports: ['abi', 'control', 'exec', 'os', 'serve', 'sources'] },
}

const inSrc = names => `^src/(${names.join('|')})/`

const direction = Object.entries(folders).flatMap(([name, { imports, types = [] }]) => [
  {
    name: `${name}-imports`,
    severity: 'error',
    from: { path: `^src/${name}/` },
    to: { path: '^src/[^/]+/', pathNot: inSrc([name, ...imports, ...types]) },
  },
  ...(types.length === 0
    ? []
    : [
        {
          name: `${name}-imports-types-only`,
          severity: 'error',
          // The demo guest is a program of its own.
          from: { path: `^src/${name}/`, pathNot: '^src/os/demo-guest/' },
          to: { path: inSrc(types), dependencyTypesNot: ['type-only'] },
        },
      ]),
])

module.exports = {
  forbidden: [
    ...direction,
    {
      name: 'examples-use-the-entry-only',
      severity: 'error',
      from: { path: '^examples/' },
      to: { path: '^(src|dist)/', pathNot: '^src/pmufs[.]ts$' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'native-add-ons-in-os-only',
      severity: 'error',
      from: { path: '^(src|native-free-tests)/', pathNot: '^src/os/' },
      to: { path: 'node_modules/(koffi|fuse-native)' },
    },
    {
      name: 'machine-in-os-serve-and-cli-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(os|serve|cli)/' },
      to: { path: '^(node:)?(child_process|net|http|fs|fs/promises|worker_threads|os)$' },
    },
    {
      name: 'tests-without-native-code',
      severity: 'error',
      from: { path: '^native-free-tests/' },
      to: { path: '^src/os/' },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^fuse-native$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
