/**
 * How long tests wait, in one setting. Waits are for a thing itself and end with it, so that patience costs a run that
 * passes nothing; a slow machine (a lab under emulation) sets PMUFS_TEST_PATIENCE to a factor for all of them.
 */

function factor(text: string | undefined): number {
  if (text === undefined || text === '') return 1
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new Error(`PMUFS_TEST_PATIENCE is "${text}": it is a factor for every wait, a number above 0`)
}

/** The factor for every wait, 1 where nothing is set. */
export const PATIENCE: number = factor(process.env.PMUFS_TEST_PATIENCE)

/** A number of milliseconds, as long as this machine needs. */
export const patience = (ms: number): number => ms * PATIENCE
