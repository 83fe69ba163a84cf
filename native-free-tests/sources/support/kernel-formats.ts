/** The `format` files of KVM's tracepoints as real kernels have them. */
import { readFileSync } from 'node:fs'

/** Debian's, and 6.18 as its authors released it. */
export type Kernel = 'linux-6.1-amd64' | 'linux-6.12-amd64' | 'linux-6.12-arm64' | 'linux-6.18-amd64'

/** A reader of one kernel's. */
export function formatsOf(kernel: Kernel): (tracepoint: string) => string | undefined {
  const file = new URL(`../fixtures/kvm-tracepoints-${kernel}.txt`, import.meta.url)
  const formats = new Map(
    readFileSync(file, 'utf8')
      .split(/^(?=name: )/m)
      .map(text => [/^name: (\w+)$/m.exec(text)?.[1] ?? '', text]),
  )
  return tracepoint => formats.get(tracepoint)
}
