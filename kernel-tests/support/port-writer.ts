/** Firmware for QEMU that does nothing but write to a port, a known number of times. */
import { writeFileSync } from 'node:fs'

/** The port of QEMU's isa-debugcon, which keeps every byte that is written to it. */
const PORT = 0xe9
const ROM_SIZE = 0x10000
const RESET = 0xfff0
const LOOPS = 40

/** How many instructions the guest executes besides the writes: far jump, two moves, a loop's two, cli and hlt. */
export const OTHER_INSTRUCTIONS = 1 + 2 + 2 * LOOPS + 2

/** Writes a ROM for `-bios`; `writes` is a multiple of 40, at most a million or so. */
export function portWriterRom(path: string, writes: number): void {
  const each = writes / LOOPS
  const rom = Buffer.alloc(ROM_SIZE, 0xf4)
  // mov $PORT, %dx; mov $LOOPS, %cx
  const start = rom.fill(Uint8Array.of(0xba, PORT, 0, 0xb9, LOOPS, 0), 0, 6) && 6
  // out %al, (%dx), `each` times
  rom.fill(0xee, start, start + each)
  // dec %cx; jnz back to the first of them, in 16-bit arithmetic
  const tail = Buffer.of(0x49, 0x0f, 0x85, 0, 0, 0xfa, 0xf4, 0xeb, 0xfd)
  tail.writeUInt16LE(-(each + 5) & 0xffff, 3)
  tail.copy(rom, start + each)
  // ljmp $0xf000, $0
  Buffer.of(0xea, 0, 0, 0, 0xf0).copy(rom, RESET)
  writeFileSync(path, rom)
}
