import type { Archive } from '../domain.ts';
import { archiveUrl } from './claims.ts';
import type { Credentials } from './http.ts';

/** An aggregated index (WLCG, OSG) as it is configured. Without a user it is read anonymously. */
export interface Aggregate extends Credentials {
  /** Base URL under which the indices `ps_throughput`, `ps_owd`, … answer. */
  url: string;
}

export function aggregateKey({ url }: Pick<Aggregate, 'url'>): string {
  const { host, pathname } = new URL(url);
  return `aggregate:${host}${pathname.replace(/\/+$/, '')}`;
}

/** The archives that configured aggregates are: what no discovery can find. */
export function aggregateArchives(aggregates: readonly Aggregate[]): Archive[] {
  return aggregates.map((aggregate) => ({
    key: aggregateKey(aggregate),
    urls: [archiveUrl(aggregate.url)!],
    kind: 'wlcg',
    sources: ['configuration'],
  }));
}
