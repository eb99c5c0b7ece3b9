/** A column: its heading, and the text of a row's cell. Figures stand right, text left. */
export interface Column<Row> {
  heading: string;
  cell: (row: Row) => string;
  right?: boolean;
}

/** Rows as an aligned table with a heading line; no trailing white space. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const lines = [
    columns.map(({ heading }) => heading),
    ...rows.map((row) => columns.map(({ cell }) => cell(row))),
  ];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines
    .map((line) =>
      line
        .map((text, i) => (columns[i]!.right ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Up to four significant digits, `-` for what is not known. */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined) return '-';
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

/** How long ago, in the largest unit that fits: `40 s`, `12 min`, `3 h`, `5 d`. */
export function ago(iso: string | null, now: Date): string {
  return iso === null ? 'never' : span((now.getTime() - Date.parse(iso)) / 1000);
}

/** How long from now, likewise; `-` for what is not waited for. */
export function until(iso: string | null, now: Date): string {
  return iso === null ? '-' : span((Date.parse(iso) - now.getTime()) / 1000);
}

function span(anySeconds: number): string {
  const seconds = Math.max(0, anySeconds);
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
