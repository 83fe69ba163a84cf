/** What was taken from the kernel one after the other, to be given back in reverse order, halfway through or at the end. */
export class Taken {
  readonly #undo: (() => unknown)[] = []

  /** Notes how to give back what was just taken. */
  add(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  /** Gives everything back; nothing of it may be used afterwards. */
  giveBack(): void {
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) undo()
  }
}
