/**
 * Sums of a weighted least-squares problem, row by row, and its solution with a penalty on each coefficient's square.
 * Small and dense: some ten coefficients.
 */
export class Ridge {
  readonly size: number;
  readonly solution: Float64Array;
  private readonly matrix: Float64Array;
  private readonly right: Float64Array;
  private readonly penalties: Float64Array;

  constructor(penalties: readonly number[]) {
    this.size = penalties.length;
    this.penalties = Float64Array.from(penalties);
    this.matrix = new Float64Array(this.size * this.size);
    this.right = new Float64Array(this.size);
    this.solution = new Float64Array(this.size);
  }

  clear(): void {
    this.matrix.fill(0);
    this.right.fill(0);
  }

  add(row: Float64Array, value: number, weight: number): void {
    const { size, matrix, right } = this;
    for (let i = 0; i < size; i++) {
      const scaled = weight * row[i]!;
      right[i]! += scaled * value;
      for (let j = 0; j <= i; j++) matrix[i * size + j]! += scaled * row[j]!;
    }
  }

  /** Cholesky's decomposition; the penalties keep the matrix positive definite. Leaves `solution`. */
  solve(): Float64Array {
    const { size, matrix, right, penalties, solution } = this;
    for (let i = 0; i < size; i++) {
      matrix[i * size + i]! += penalties[i]!;
      for (let j = 0; j <= i; j++) {
        let sum = matrix[i * size + j]!;
        for (let k = 0; k < j; k++) sum -= matrix[i * size + k]! * matrix[j * size + k]!;
        matrix[i * size + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / matrix[j * size + j]!;
      }
    }
    for (let i = 0; i < size; i++) {
      let sum = right[i]!;
      for (let k = 0; k < i; k++) sum -= matrix[i * size + k]! * solution[k]!;
      solution[i] = sum / matrix[i * size + i]!;
    }
    for (let i = size - 1; i >= 0; i--) {
      let sum = solution[i]!;
      for (let k = i + 1; k < size; k++) sum -= matrix[k * size + i]! * solution[k]!;
      solution[i] = sum / matrix[i * size + i]!;
    }
    return solution;
  }
}
