/** Which tests: both ends, or all that touch one host or site. */
export interface TestFilter {
  end?: string;
  source?: string;
  destination?: string;
}

/** What an end of a test is called: by addresses and names. */
type Ids = readonly (string | undefined)[];

export interface FilterContext {
  siteOf: (end: string) => string | undefined;
  /** See endpointKeys() in sites/subjects.ts. */
  keyOf: (end: string) => string;
}

/** Whether one of the ids is of what the text names: a host by any of its names or addresses, or a site. */
export function isNamed({ siteOf, keyOf }: FilterContext, text: string, ids: Ids): boolean {
  return ids.some(
    (id) => id !== undefined && (keyOf(id) === keyOf(text) || keyOf(id) === text || siteOf(id) === text),
  );
}

/** Whether a test with these two ends is asked for. */
export function testFilter(filter: TestFilter, context: FilterContext): (from: Ids, to: Ids) => boolean {
  const { end, source, destination } = filter;
  const named = (text: string, ids: Ids) => isNamed(context, text, ids);
  return (from, to) =>
    (end === undefined || named(end, from) || named(end, to)) &&
    (source === undefined || named(source, from)) &&
    (destination === undefined || named(destination, to));
}
