// What the interop tests print at their end: a row for each thing shown, a cell for each way it was
// shown. A cell that nobody filled failed.

import { libzmqVersion } from "./peer.ts";

export class Table {
  readonly #title: string;
  readonly #columns: readonly string[];
  readonly #rows = new Map<string, string[]>();

  constructor(title: string, columns: readonly string[]) {
    this.#title = title;
    this.#columns = columns;
  }

  /** A row that is going to be filled. */
  add(row: string): void {
    this.#rows.set(row, this.#columns.map(() => "FAILED"));
  }

  /** What came of a case; the time of a case that went well is of interest, too. */
  fill(row: string, column: string, text: string): void {
    const cells = this.#rows.get(row);
    const index = this.#columns.indexOf(column);
    if (cells === undefined || index < 0) throw new Error(`no place for ${row}, ${column}`);
    cells[index] = text;
  }

  print(): void {
    const name = Math.max(...[...this.#rows.keys()].map((row) => row.length));
    const width = Math.max(
      ...[this.#columns, ...this.#rows.values()].flat().map((cell) => cell.length),
    );
    const line = (row: string, cells: readonly string[]) =>
      `  ${row.padEnd(name)}  ${cells.map((cell) => cell.padStart(width)).join("  ")}`;
    console.log(
      [
        `interop with libzmq ${libzmqVersion()}: ${this.#title}`,
        line("", this.#columns),
        ...[...this.#rows].map(([row, cells]) => line(row, cells)),
      ].join("\n"),
    );
  }
}
