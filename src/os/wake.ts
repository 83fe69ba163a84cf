/**
 * A doorbell between threads: whoever rings it ends a poll(2) in the thread that waits. It carries no message; the
 * one who is woken looks for what there is to do. Rings add up until the bell is drained.
 */

import { ErrnoError } from '../abi/errno.js'
import { EFD_CLOEXEC, EFD_NONBLOCK } from '../abi/poll.js'
import { close, eventfd, read, write } from './libc.js'

const one = new BigUint64Array([1n])
const rings = new BigUint64Array(1)

/** A new doorbell: the number of an eventfd, which every thread of this process can use. */
export const createWake = (): number => eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)

/** Wakes whoever waits for it. */
export const ring = (fd: number): void => void write(fd, one)

/** Takes all rings so far; whether there were any. */
export function drain(fd: number): boolean {
  try {
    read(fd, rings)
    return true
  } catch (error) {
    if (error instanceof ErrnoError && error.code === 'EAGAIN') return false
    throw error
  }
}

/** Gives the doorbell back. */
export const closeWake = (fd: number): void => void close(fd)
