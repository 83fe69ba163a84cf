/** Firmware for QEMU that does nothing but write to a port, a known number of times. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from './mounted.js'

/** The port of QEMU's isa-debugcon, which keeps every byte that is written to it. */
const PORT = 0xe9
const ROM_SIZE = 0x10000
const RESET = 0xfff0
const LOOPS = 40

/** How many instructions the guest executes besides the writes: far jump, two moves, a loop's two, cli and hlt. */
export const OTHER_INSTRUCTIONS = 1 + 2 + 2 * LOOPS + 2

/** A guest that writes to a port as soon as it runs. */
export interface PortWriter {
  /** Arguments for QEMU, which waits for `cont`. */
  readonly args: readonly string[]
  /** How many bytes QEMU has been given so far. */
  written(): number
}

/** Makes one for a test; `writes` is a multiple of 40, at most a million or so. */
export function portWriter(test: Test, writes: number): PortWriter {
  const folder = mkdtempSync(join(tmpdir(), 'pmufs-rom-'))
  test.teardown(() => rmSync(folder, { recursive: true }))
  const [rom, written] = [join(folder, 'rom'), join(folder, 'written')]
  writeFileSync(rom, romOf(writes))
  return {
    args: ['-S', '-bios', rom, '-debugcon', `file:${written}`],
    written: () => statSync(written).size,
  }
}

function romOf(writes: number): Buffer {
  const each = writes / LOOPS
  const rom = Buffer.alloc(ROM_SIZE, 0xf4)
  // mov $PORT, %dx; mov $LOOPS, %cx
  const start = Buffer.of(0xba, PORT, 0, 0xb9, LOOPS, 0).copy(rom)
  // out %al, (%dx), `each` times
  rom.fill(0xee, start, start + each)
  // dec %cx; jnz back to the first of them, in 16-bit arithmetic
  const tail = Buffer.of(0x49, 0x0f, 0x85, 0, 0, 0xfa, 0xf4, 0xeb, 0xfd)
  tail.writeUInt16LE(-(each + 5) & 0xffff, 3)
  tail.copy(rom, start + each)
  // ljmp $0xf000, $0
  Buffer.of(0xea, 0, 0, 0, 0xf0).copy(rom, RESET)
  return rom
}
