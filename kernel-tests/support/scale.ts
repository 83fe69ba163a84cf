/**
 * How many events tests of exactness make, in one setting: a lab, where an exit takes a hundred times as long, sets
 * PMUFS_TEST_SCALE to a part of them. As exact as before they are to be.
 */
const SCALE = Number(process.env.PMUFS_TEST_SCALE ?? 1)
if (!(SCALE > 0 && SCALE <= 1))
  throw new Error(`PMUFS_TEST_SCALE is "${process.env.PMUFS_TEST_SCALE}": it is above 0 and at most 1`)

/** What every number is a multiple of: the loops of a guest that writes to a port (port-writer.ts). */
const UNIT = 40

/** A number of events that takes this machine a reasonable time. */
export const scaled = (count: number): number => Math.max(1, Math.round((count * SCALE) / UNIT)) * UNIT
