/** Requests to a mount through its file `control`, as any script could make them. */
import { readSync, writeSync } from 'node:fs'
import { CommandError } from './fail.js'

/** One request and its answer through an open `control`; a refusal is thrown in the server's words. */
export function ask(control: number, request: object): Record<string, unknown> {
  let failure: unknown
  try {
    writeSync(control, JSON.stringify(request))
  } catch (error) {
    failure = error
  }
  const buffer = Buffer.alloc(4096)
  const answer = JSON.parse(buffer.toString('utf8', 0, readSync(control, buffer))) as Record<string, unknown>
  if (failure) throw new CommandError(String(answer.error), { cause: failure })
  return answer
}
