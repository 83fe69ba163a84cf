/** What README states under Limits of every descriptor, by the word in brackets that begins a line of a comparison: why. */
export const limits = {
  empty: 'FUSE answers a read or write of 0 bytes itself: 0',
  fionread: 'the kernel answers it for every regular file, which a file of FUSE is',
  fstat: 'an event of the kernel has no file type, a file of FUSE is a regular one',
  mmap: 'a file of FUSE cannot be mapped shared without a page cache: ENODEV',
} as const
