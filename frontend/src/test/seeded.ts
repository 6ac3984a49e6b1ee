// Randomness that a test can repeat: the seed is in the test's name when it fails.
export class Seeded {
  private state: number;

  constructor(seed: number) {
    this.state = (seed * 2_654_435_761) >>> 0 || 1;
  }

  /** From 0 to below `end`. */
  below(end: number): number {
    // xorshift32
    this.state ^= this.state << 13;
    this.state >>>= 0;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    this.state >>>= 0;
    return this.state % end;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  shuffled<T>(values: readonly T[]): T[] {
    const out = [...values];
    for (let at = out.length - 1; at > 0; at -= 1) {
      const other = this.below(at + 1);
      [out[at], out[other]] = [out[other]!, out[at]!];
    }
    return out;
  }
}
