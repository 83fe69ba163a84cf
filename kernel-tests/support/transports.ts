/**
 * The transports that the end-to-end tests run on, and the one list of what fuse-native cannot do: through it a file
 * answers as one without ioctl and poll, and every caller counts as the mounting user.
 */

export const transports = ['direct', 'libfuse'] as const

export type Transport = (typeof transports)[number]

const lacks: Record<Transport, readonly string[]> = {
  direct: [],
  libfuse: ['ioctl', 'poll', 'caller'],
}

/** Whether a transport can do something that the list above names. */
export const can = (transport: Transport, what: string): boolean => !lacks[transport].includes(what)
