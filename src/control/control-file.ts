/** The file `control`: a write is one request, reading the same open file gives its answer. */
import type { Caller } from '../abi/caller.js'
import { ErrnoError } from '../abi/errno.js'
import { chain, type MaybeLater } from '../kernfs/later.js'
import type { File } from '../kernfs/node.js'
import { type Answer, AnswerFile } from './answer-file.js'
import type { HandleTable } from './handle-table.js'
import { parseRequest } from './request.js'
import { type RequestFileOptions, requestFile } from './request-file.js'

function answer(handles: HandleTable, text: string, caller: Caller): MaybeLater<Answer> {
  const request = parseRequest(text)
  if (request.op === 'prctl')
    throw new ErrnoError('EINVAL', 'control opens and closes handles: perf_event_open takes "prctl"')
  if (request.op === 'close') {
    handles.close(request.handle)
    return { closed: request.handle }
  }
  return chain(handles.open(request, caller), (handle): Answer => handle.answer)
}

/** Makes one node of `control`: each look-up wants its own, or one parked request would lock out every other writer. */
export const controlFile = (handles: HandleTable, options: RequestFileOptions): File =>
  requestFile(options, () => new AnswerFile((text, caller) => answer(handles, text, caller)))
