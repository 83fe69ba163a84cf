/** The name that a guest was given on QEMU's command line: `-name guest=web1,debug-threads=on`. */

const isQemu = (command: string): boolean => /(^|\/)(qemu[^/]*|kvm)$/.test(command)

/** QEMU's options are separated by commas; a doubled one stands for itself. */
const options = (text: string): string[] =>
  text.split(/(?<!,),(?!,)/).map(option => option.replaceAll(',,', ','))

/** The guest's name in the arguments of a VMM, or undefined where it has none or is not QEMU. */
export function qemuGuestName(commandLine: readonly string[]): string | undefined {
  if (!isQemu(commandLine[0] ?? '')) return undefined
  const at = commandLine.findLastIndex(argument => argument === '-name' || argument === '--name')
  const value = at < 0 ? undefined : commandLine[at + 1]
  if (value === undefined) return undefined
  const [first = '', ...others] = options(value)
  const guest = [first, ...others].find(option => option.startsWith('guest='))
  if (guest !== undefined) return guest.slice('guest='.length)
  return first.includes('=') ? undefined : first
}
