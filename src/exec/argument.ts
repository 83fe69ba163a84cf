/** An argument of a trapped call as the kernel reads one that is an int: its low half, signed. */
export const int = (argument: bigint | undefined): number => Number(BigInt.asIntN(32, argument ?? 0n))
