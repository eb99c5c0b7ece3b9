import { ingestMs, type View } from './events.ts';
import type { Archive, Json, Test, TestType } from './model.ts';
import type { Reply } from './query.ts';
import { isStored, longestIngestSeconds, runDocument, runId, secondCopyMs } from './runDocuments.ts';
import { runText } from './runTexts.ts';
import {
  type FieldKind,
  type SearchDocument,
  type SearchIndex,
  type SourceFilter,
  search,
  searchError,
  valueAt,
} from './search.ts';
import { type Run, runs } from './series.ts';
import type { NodeRequest } from './servers.ts';

/**
 * The OpenSearch behind an elmond archive, as Apache shows it under /opensearch. Anonymous readers have the role
 * that may search `pscheduler*` and nothing else: no scroll, no composite aggregation, no point in time, no `_msearch`,
 * no root page. Some operators have closed it.
 */
export function openSearch(archive: Archive, request: NodeRequest, view: View, nowMs: number): Reply {
  if (archive.kind === 'esmond' || archive.openSearch === 'absent') return page(404, 'Not Found');
  if (archive.openSearch === 'forbidden') return page(403, 'Forbidden');
  if (request.scheme === 'http' && archive.version === '5.1.4') return page(403, 'Forbidden');
  if (archive.openSearch === 'unauthorized') return unauthorized('OpenSearch Security');
  const [, names, action, ...rest] = request.path.split('/').filter((part) => part !== '');
  if (rest.length > 0 || action !== '_search') {
    return denied(
      names === '_msearch' || action === '_msearch' ? 'indices:data/read/msearch' : 'cluster:monitor/main',
    );
  }
  if (request.query.has('scroll')) return denied('indices:data/read/scroll');
  if (/"(aggs|aggregations)"\s*:[\s\S]*"composite"\s*:/.test(request.body)) {
    return denied('indices:data/read/search/composite');
  }
  if (/"pit"\s*:/.test(request.body)) return denied('indices:data/read/point_in_time/create');
  const types = new Set<TestType>();
  for (const name of names!.split(',')) {
    if (!/^pscheduler/.test(name)) return denied('indices:data/read/search');
    const pattern = new RegExp(`^${name.replace(/[^\w*-]/g, '').replace(/\*/g, '.*')}$`);
    const found = TYPES.filter((type) => pattern.test('pscheduler') || pattern.test(`pscheduler_${type}`));
    if (found.length === 0 && !name.includes('*')) {
      return searchError(404, 'index_not_found_exception', `no such index [${name}]`);
    }
    for (const type of found) types.add(type);
  }
  return search(indexOf(archive, types, view, nowMs), request.query, request.body, nowMs);
}

const TYPES: readonly TestType[] = ['throughput', 'latencybg', 'rtt', 'trace'];

export function unauthorized(realm: string): Reply {
  return {
    status: 401,
    contentType: 'text/plain',
    body: 'Unauthorized',
    headers: { 'www-authenticate': `Basic realm="${realm}"` },
  };
}

function denied(permission: string): Reply {
  const user =
    'User [name=opendistro_security_anonymous, backend_roles=[opendistro_security_anonymous_backendrole], requestedTenant=null]';
  return searchError(403, 'security_exception', `no permissions for [${permission}] and ${user}`);
}

function page(status: number, title: string): Reply {
  const body = `<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n<title>${status} ${title}</title>\n</head><body>\n<h1>${title}</h1>\n</body></html>\n`;
  return { status, contentType: 'text/html; charset=iso-8859-1', body };
}

// --- the index

const TEXTS =
  /^(id|@version|test\.(type|spec\.(source|dest|probe-type))|pscheduler\.(tool|participants|task_id|task_href|run_id|run_href|test_checksum)|meta\.\w+\.hostname|result\.error|result\.hop\.\w+_str|reference\..+)$/;
const NUMBERS =
  /^(meta\.ip_version|schedule\.\w+|pscheduler\.duration|test\.spec\.[\w-]+|result\.(throughput|retransmits|mss|mtu|jitter|packets_sent|packets_lost|max_clock_error|latency\.\w+|ttl\.\w+|rtt\.\w+|packets\.\w+|hop\.(\w+_count|count|as_number)))$/;

/** The mapping of the pipeline's template: `ip` by name, histograms and `json` stored only, the rest dynamic. */
function kindOf(field: string): FieldKind | undefined {
  if (field === '@timestamp' || /^pscheduler\.(added|start_time|end_time)$/.test(field)) return 'date';
  if (/\.ip$/.test(field)) return 'keyword';
  if (/\.(json|histogram)(\.|$)/.test(field)) return 'none';
  if (field === 'result.succeeded' || field === 'test.spec.udp') return 'boolean';
  if (TEXTS.test(field)) return 'text';
  return NUMBERS.test(field) ? 'number' : undefined;
}

/** A run whose document is made when it is looked into; what most searches ask for is known without. */
class RunDocument implements SearchDocument {
  readonly #test: Test;
  readonly #run: Run;
  readonly #timestampMs: number;
  readonly #copy: boolean;
  #source: { [key: string]: Json } | undefined;
  #runId: string | undefined;

  constructor(test: Test, run: Run, timestampMs: number, copy: boolean) {
    this.#test = test;
    this.#run = run;
    this.#timestampMs = timestampMs;
    this.#copy = copy;
  }

  get id(): string {
    return this.#copy ? `${this.#id()}-again` : this.#id();
  }

  get index(): string {
    return `.ds-pscheduler_${this.#test.type}-000001`;
  }

  get(field: string): Json | undefined {
    if (field === '@timestamp') return this.#timestampMs;
    if (field === 'test.type') return this.#test.type;
    if (field === 'pscheduler.run_id') return this.#id();
    return valueAt(this.source(), field);
  }

  #id(): string {
    this.#runId ??= runId(this.#test, this.#run);
    return this.#runId;
  }

  text(filter: SourceFilter): string {
    return runText(this.#test, this.#run, this.#timestampMs, this.#id(), filter);
  }

  source(): Json {
    this.#source ??= runDocument(this.#test, this.#run, this.#timestampMs);
    return this.#source;
  }
}

function indexOf(archive: Archive, types: ReadonlySet<TestType>, view: View, nowMs: number): SearchIndex {
  const oldest = view.nowSeconds - archive.retentionSeconds;
  const reach = longestIngestSeconds(view);
  return {
    kindOf,
    time: {
      field: '@timestamp',
      extent: () => ({ fromMs: Math.max(oldest, firstRun(archive)) * 1000, toMs: nowMs }),
    },
    *documents({ fromMs, toMs }) {
      const from = Math.max(oldest, Math.floor(fromMs / 1000) - reach);
      const to = Math.floor(Math.min(toMs, nowMs) / 1000);
      const inside = (ms: number): boolean => ms >= fromMs && ms <= toMs && ms <= nowMs;
      for (const test of archive.tests.values()) {
        if (!types.has(test.type)) continue;
        for (const run of runs(test, from, to)) {
          if (!isStored(archive, run)) continue;
          const ms = ingestMs(test, run, view);
          if (inside(ms)) yield new RunDocument(test, run, ms, false);
          const again = secondCopyMs(test, run);
          if (again !== null && inside(ms + again)) yield new RunDocument(test, run, ms + again, true);
        }
      }
    },
  };
}

function firstRun(archive: Archive): number {
  let first = Number.POSITIVE_INFINITY;
  for (const test of archive.tests.values()) first = Math.min(first, test.startSeconds);
  return first;
}
