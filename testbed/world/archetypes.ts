import type { Archive, Host, Test } from './model.ts';

/**
 * Makes tests alike in what they measure: all but the first `count` of each kind take the course of one of those, run
 * for run and value for value, and keep their own keys and ends. A big world then has few different bodies of data
 * to make, and answers as fast as it can send.
 */
export function shareValues(archives: readonly Archive[], count: number): void {
  const models = new Map<string, Test[]>();
  let turn = 0;
  for (const archive of archives) {
    for (const [key, test] of archive.tests) {
      const kind = `${test.type} ${test.tool} ${test.intervalSeconds} ${test.endSeconds}`;
      const ofKind = models.get(kind) ?? [];
      models.set(kind, ofKind);
      if (ofKind.length < count) {
        ofKind.push(test);
        continue;
      }
      const model = ofKind[turn++ % count]!;
      archive.tests.set(key, {
        ...test,
        id: model.id,
        phaseSeconds: model.phaseSeconds,
        path: model.path,
        source: behaving(test.source, model.source),
        destination: behaving(test.destination, model.destination),
      });
    }
  }
}

/** The one host with the other's gaps, clock and troubles. */
function behaving(host: Host, like: Host): Host {
  const { id, clockOffsetMs, clockErrorTold, trouble, outage } = like;
  return { ...host, id, clockOffsetMs, clockErrorTold, trouble, outage };
}
