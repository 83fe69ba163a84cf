/**
 * What QEMU says, as far as it is used; whatever else is in its answers is passed over.
 * Source: docs/interop/qmp-spec.rst, qapi/{machine,stats,misc,accelerator}.json of QEMU.
 */
import { z } from 'zod'
import { ErrnoError } from '../../abi/errno.js'

/** The first line of a server. */
export const greeting = z.object({
  QMP: z.object({
    version: z.object({ qemu: z.object({ major: z.number(), minor: z.number(), micro: z.number() }) }),
  }),
})

const id = z.number()

/** A line behind the greeting: an answer, a refusal, or something that happened. */
export const message = z.union([
  z.object({ event: z.string() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }), id: id.optional() }),
  z.object({ return: z.unknown(), id }),
])

/** query-kvm */
export const kvmInfo = z.object({ enabled: z.boolean(), present: z.boolean() })

/** query-name */
export const nameInfo = z.object({ name: z.string().optional() })

/** query-cpus-fast */
export const cpus = z.array(
  z.object({
    'cpu-index': z.int().nonnegative(),
    'qom-path': z.string(),
    'thread-id': z.int().positive(),
  }),
)

/** query-stats-schemas */
export const statsSchemas = z.array(
  z.object({
    provider: z.string(),
    target: z.string(),
    stats: z.array(
      z.object({
        name: z.string(),
        type: z.string(),
        unit: z.string().optional(),
        base: z.int().optional(),
        exponent: z.int(),
      }),
    ),
  }),
)

/** A u64; long ones are strings, see parseExact. */
const count = z.union([z.int().nonnegative(), z.string().regex(/^\d{16,20}$/)])

/** query-stats */
export const stats = z.array(
  z.object({
    provider: z.string(),
    'qom-path': z.string().optional(),
    stats: z.array(z.object({ name: z.string(), value: z.union([count, z.boolean(), z.array(count)]) })),
  }),
)

/**
 * Checks an answer against its schema.
 *
 * @throws {ErrnoError} EPROTO when it has another shape
 */
export function checked<T>(schema: z.ZodType<T>, answer: unknown, what: string): T {
  const result = schema.safeParse(answer)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue?.path.join('.') ?? ''
  throw new ErrnoError('EPROTO', `Unexpected ${what}: ${where === '' ? '' : `${where}: `}${issue?.message}`)
}
