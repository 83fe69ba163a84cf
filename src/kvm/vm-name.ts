/** What a VM's folder under vms/ is called. */

/** Letters, digits, ".", "_" and "-", as many as a file's name may have. */
const FIT = /^[A-Za-z0-9._-]{1,255}$/

/** A name that would be taken for the one given to a process's VM. */
const RESERVED = /^(\.{1,2}|pid-\d+(-\d+)?)$/

/**
 * The name wanted, where it is fit and free; else `pid-N`; and `pid-N-2` and so on for the further VMs of one process.
 * The first VM of a name keeps it: a folder is not renamed under those who use it.
 */
export function vmName(wanted: string, tgid: number, isTaken: (name: string) => boolean): string {
  if (FIT.test(wanted) && !RESERVED.test(wanted) && !isTaken(wanted)) return wanted
  const fallback = `pid-${tgid}`
  let name = fallback
  for (let n = 2; isTaken(name); n++) name = `${fallback}-${n}`
  return name
}
