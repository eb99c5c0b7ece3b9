/**
 * The attribute names of an ad, apart from its values. Ads of one kind carry the same names in the same order, so they
 * share a shape: parsing then follows a chain of known names instead of filling a table for each ad, and a compiled
 * attribute reference finds its slot by comparing one pointer.
 *
 * Shared shapes are immutable and live for ever; their number and length are limited, and an ad that would exceed a
 * limit gets a private shape of its own, which grows in place.
 */
import { lowerCase } from './text.ts';

const MAX_SHARED_SHAPES = 8192;
const MAX_SHARED_LENGTH = 512;
let sharedShapes = 0;

export class Shape {
  readonly shared: boolean;
  length: number;
  private readonly parent: Shape | undefined;
  private readonly name: string;
  private readonly lower: string;
  private transitions: Map<string, Shape> | undefined = undefined;
  /** The transition taken last: the one the next ad of the same kind takes again. */
  private lastName = '';
  private lastShape: Shape | undefined = undefined;
  private namesInOrder: string[] | undefined = undefined;
  private slots: Map<string, number> | undefined = undefined;

  private constructor(parent: Shape | undefined, name: string, lower: string, shared: boolean) {
    this.parent = parent;
    this.name = name;
    this.lower = lower;
    this.shared = shared;
    this.length = parent === undefined ? 0 : parent.length + 1;
  }

  static readonly EMPTY = new Shape(undefined, '', '', true);

  /** A shape with these names (no two alike but for case) in this order. */
  static of(names: Iterable<string>): Shape {
    let shape = Shape.EMPTY;
    for (const name of names) shape = shape.with(name);
    return shape;
  }

  /** The slot of a name given in lower case, or −1. */
  slotOf(lower: string): number {
    return this.table().get(lower) ?? -1;
  }

  names(): readonly string[] {
    if (this.namesInOrder === undefined) {
      const names = new Array<string>(this.length);
      for (let shape: Shape = this; shape.parent !== undefined; shape = shape.parent) {
        names[shape.length - 1] = shape.name;
      }
      this.namesInOrder = names;
    }
    return this.namesInOrder;
  }

  /** The name most ads of this shape have next; undefined when none has been seen. */
  get expectedName(): string | undefined {
    return this.lastShape === undefined ? undefined : this.lastName;
  }

  /** The slot a name takes when set: an existing one, or `length`, with the shape to have then. */
  with(name: string): Shape {
    if (this.lastShape !== undefined && this.lastName === name) return this.lastShape;
    if (!this.shared) {
      this.grow(name);
      return this;
    }
    let next = this.transitions?.get(name);
    if (next === undefined) {
      if (sharedShapes >= MAX_SHARED_SHAPES || this.length >= MAX_SHARED_LENGTH)
        return this.privateCopy(name);
      sharedShapes += 1;
      next = new Shape(this, name, lowerCase(name), true);
      this.transitions ??= new Map();
      this.transitions.set(name, next);
    }
    this.lastName = name;
    this.lastShape = next;
    return next;
  }

  /** Whether `with(name)` would repeat a name; cheap, and without building the table, while parsing a known kind. */
  has(name: string): boolean {
    if (this.lastShape !== undefined && this.lastName === name) return false;
    if (this.transitions?.has(name)) return false;
    const lower = lowerCase(name);
    if (this.slots !== undefined || !this.shared) return this.slotOf(lower) !== -1;
    for (let shape: Shape = this; shape.parent !== undefined; shape = shape.parent) {
      if (shape.lower === lower) return true;
    }
    return false;
  }

  private table(): Map<string, number> {
    if (this.slots === undefined) {
      const slots = new Map<string, number>();
      const names = this.names();
      for (let i = 0; i < names.length; i++) slots.set(lowerCase(names[i]!), i);
      this.slots = slots;
    }
    return this.slots;
  }

  private privateCopy(name: string): Shape {
    const copy = new Shape(undefined, '', '', false);
    copy.length = this.length;
    copy.namesInOrder = [...this.names()];
    copy.table();
    copy.grow(name);
    return copy;
  }

  private grow(name: string): void {
    this.table().set(lowerCase(name), this.length);
    this.namesInOrder!.push(name);
    this.length += 1;
  }
}
