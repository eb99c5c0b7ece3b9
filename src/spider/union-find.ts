/** Connected components over text tokens: tokens that were ever joined have the same root. */
export class UnionFind {
  readonly #index = new Map<string, number>();
  readonly #parent: number[] = [];
  readonly #size: number[] = [];

  /** Joins all tokens of the list into one component. */
  join(tokens: readonly string[]): void {
    const [first, ...rest] = tokens;
    if (first === undefined) return;
    let root = this.#rootOf(this.#add(first));
    for (const token of rest) root = this.#union(root, this.#rootOf(this.#add(token)));
  }

  /** A number that is the same for all tokens of a component, valid until the next `join`. */
  root(token: string): number | undefined {
    const index = this.#index.get(token);
    return index === undefined ? undefined : this.#rootOf(index);
  }

  #add(token: string): number {
    const known = this.#index.get(token);
    if (known !== undefined) return known;
    const index = this.#parent.length;
    this.#index.set(token, index);
    this.#parent.push(index);
    this.#size.push(1);
    return index;
  }

  #rootOf(start: number): number {
    let index = start;
    while (this.#parent[index] !== index) {
      const parent = this.#parent[index]!;
      this.#parent[index] = this.#parent[parent]!;
      index = this.#parent[index]!;
    }
    return index;
  }

  #union(a: number, b: number): number {
    if (a === b) return a;
    const [small, large] = this.#size[a]! < this.#size[b]! ? [a, b] : [b, a];
    this.#parent[small] = large;
    this.#size[large]! += this.#size[small]!;
    return large;
  }
}
