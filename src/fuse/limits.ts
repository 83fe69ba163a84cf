/** The sizes that INIT settles, in bytes and pages. */
import { fuse_in_header, fuse_write_in } from '../abi/fuse.js'

const PAGE_SIZE = 4096

/**
 * The most that one WRITE carries. A request for `control` is refused above 64 KiB by one answer, so one message
 * must carry well more than that.
 */
export const MAX_WRITE = 128 * 1024

/** Pages of one request; twice those of MAX_WRITE, so that memory that is not page-aligned splits nothing. */
export const MAX_PAGES = 64

/** The most that one READ asks for. */
export const MAX_READ = MAX_PAGES * PAGE_SIZE

/** What a buffer for requests must hold: the largest WRITE, its headers rounded up to a page. */
export const REQUEST_BUFFER_SIZE =
  Math.ceil((fuse_in_header.size + fuse_write_in.size) / PAGE_SIZE) * PAGE_SIZE + MAX_WRITE
