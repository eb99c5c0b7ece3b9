/** The median of the last values, kept by insertion: windows are short, so moving a few numbers beats any tree. */
export class WindowMedian {
  private readonly ring: Float64Array;
  private readonly sorted: Float64Array;
  private head = 0;
  size = 0;

  constructor(capacity: number) {
    this.ring = new Float64Array(capacity);
    this.sorted = new Float64Array(capacity);
  }

  clear(): void {
    this.head = 0;
    this.size = 0;
  }

  push(value: number): void {
    const { ring, sorted } = this;
    let hole: number;
    if (this.size < ring.length) {
      hole = this.size++;
    } else {
      const oldest = ring[this.head]!;
      hole = 0;
      while (sorted[hole] !== oldest) hole++;
    }
    while (hole > 0 && sorted[hole - 1]! > value) {
      sorted[hole] = sorted[hole - 1]!;
      hole--;
    }
    const last = this.size - 1;
    while (hole < last && sorted[hole + 1]! < value) {
      sorted[hole] = sorted[hole + 1]!;
      hole++;
    }
    sorted[hole] = value;
    ring[this.head] = value;
    this.head = this.head + 1 === ring.length ? 0 : this.head + 1;
  }

  /** Forgets all but the newest `count` values. */
  keepNewest(count: number): void {
    const { ring } = this;
    const kept = Math.min(count, this.size);
    const newest: number[] = [];
    for (let i = kept; i > 0; i--) newest.push(ring[(this.head - i + ring.length) % ring.length]!);
    this.clear();
    for (const value of newest) this.push(value);
  }

  /** NaN while there is no value. */
  median(): number {
    const middle = this.size >> 1;
    if (this.size % 2 === 1) return this.sorted[middle]!;
    return this.size === 0 ? Number.NaN : (this.sorted[middle - 1]! + this.sorted[middle]!) / 2;
  }
}
