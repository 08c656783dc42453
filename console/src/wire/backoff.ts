// Waiting times after failures: doubled each time, with a little chance so that a hundred consoles do not return as one.

export class Backoff {
  private failures = 0

  constructor(
    private readonly first = 1_000,
    private readonly most = 30_000,
    private readonly chance: () => number = Math.random,
  ) {}

  /** The next wait in ms: first, 2 first, 4 first … up to `most`, each ± 10 %. */
  next(): number {
    const wait = Math.min(this.most, this.first * 2 ** Math.min(this.failures, 20))
    this.failures += 1
    return Math.round(wait * (0.9 + 0.2 * this.chance()))
  }

  reset(): void {
    this.failures = 0
  }
}
