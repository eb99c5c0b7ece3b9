import { Counter, Gauge, Registry } from 'prom-client';
import type { CycleResult } from '../cycle.ts';
import { BREAKER_STATES, FINDING_KINDS } from '../domain.ts';
import type { HarvestSnapshot } from '../spider/progress.ts';
import type { Store } from '../store/store.ts';

/** The service's Prometheus metrics. Counters live as long as the process; gauges are of the last cycle. */
export interface Metrics {
  cycleDone(result: CycleResult): void;
  cycleFailed(): void;
  /** Text of /metrics; what the store knows is read at the scrape. */
  text(store: Store): Promise<string>;
  contentType: string;
}

/** @param harvest how far the harvest under way is; undefined where none is */
export function createMetrics(harvest: () => HarvestSnapshot | undefined = () => undefined): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers });
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name, help, labelNames, registers });

  const cycles = counter('lark_cycles_total', 'Cycles that ended, by outcome.', ['outcome']);
  const phaseSeconds = gauge('lark_cycle_phase_seconds', 'Seconds spent in each phase of the last cycle.', [
    'phase',
  ]);
  const lastCycle = gauge(
    'lark_last_cycle_timestamp_seconds',
    'When the last good cycle ended, epoch seconds.',
  );
  const counts = gauge('lark_objects', 'What the last cycle knew, by kind.', ['kind']);
  const unmapped = gauge('lark_unmapped_subjects', 'Hosts and endpoints without a site.');
  const warnings = gauge('lark_cycle_warnings', 'Warnings of the last cycle.');
  const samples = gauge('lark_samples', 'Samples kept, by verdict and reason.', ['verdict', 'reason']);
  const leftOut = gauge(
    'lark_samples_left_out',
    'Good samples that the last estimates left out, by reason.',
    ['reason'],
  );
  const findings = gauge('lark_host_findings', 'Hosts of which something was found, by kind.', ['kind']);
  const archives = gauge('lark_archives', 'Archives by kind and how their last harvest ended.', [
    'kind',
    'outcome',
    'fault',
  ]);
  const errors = counter(
    'lark_archive_errors_total',
    'Harvests of an archive that did not succeed, by kind and fault.',
    ['kind', 'fault'],
  );
  const requests = counter('lark_archive_requests_total', 'Requests sent to archives, by kind.', ['kind']);
  const sources = gauge('lark_discovery_source_up', '1 where the source answered at the last discovery.', [
    'source',
  ]);
  const breakers = gauge('lark_breakers', 'Breakers by policy and state.', ['policy', 'state']);
  const transitions = counter(
    'lark_breaker_transitions_total',
    'Changes of state, by policy and new state.',
    ['policy', 'to'],
  );
  const ads = gauge('lark_ads_published', 'Path ads that stand in the collector, as far as was confirmed.');
  const progress = {
    done: gauge('lark_harvest_archives_done', 'Archives read in the harvest under way; 0 where none is.'),
    total: gauge('lark_harvest_archives', 'Archives to be read in the harvest under way; 0 where none is.'),
    samples: gauge('lark_harvest_samples', 'Samples that this process stored in the harvest under way.'),
    longest: gauge(
      'lark_harvest_longest_seconds',
      'How long the archive has been read that is under way for the longest.',
    ),
  };
  for (const outcome of ['ok', 'failed']) cycles.inc({ outcome }, 0);

  return {
    contentType: registry.contentType,
    cycleDone(result) {
      cycles.inc({ outcome: 'ok' });
      lastCycle.set(result.finishedAt.getTime() / 1000);
      for (const [phase, seconds] of Object.entries(result.phases)) phaseSeconds.set({ phase }, seconds);
      for (const [kind, value] of Object.entries(result.counts)) {
        if (kind !== 'adsPublished') counts.set({ kind }, value);
      }
      ads.set(result.counts.adsPublished);
      unmapped.set(result.unmapped);
      warnings.set(result.warnings.length);
      for (const { kind = 'unknown', fault, outcome, requests: sent } of result.archives) {
        requests.inc({ kind }, sent);
        if (outcome !== 'ok') errors.inc({ kind, fault: fault ?? 'unknown-archive' });
      }
      for (const { source, ok } of result.sources) sources.set({ source }, ok ? 1 : 0);
      for (const { policy, to } of result.transitions) transitions.inc({ policy, to });
    },
    cycleFailed() {
      cycles.inc({ outcome: 'failed' });
    },
    async text(store) {
      const now = harvest();
      progress.done.set(now?.done ?? 0);
      progress.total.set(now?.total ?? 0);
      progress.samples.set(now?.samples ?? 0);
      progress.longest.set(now?.slowest[0]?.seconds ?? 0);
      samples.reset();
      for (const { verdict, reason, count } of (await store.sampleCounts()).byVerdict) {
        samples.set({ verdict, reason: reason ?? '' }, count);
      }
      leftOut.reset();
      for (const { reason, count } of await store.excludedCounts()) leftOut.set({ reason }, count);
      for (const kind of FINDING_KINDS) findings.set({ kind }, 0);
      for (const { kind } of await store.hostFindings()) findings.inc({ kind });
      archives.reset();
      for (const { kind = 'unknown', lastReport } of await store.archives()) {
        archives.inc({ kind, outcome: lastReport?.outcome ?? 'not-read', fault: lastReport?.fault ?? '' });
      }
      breakers.reset();
      const all = await store.breakers();
      for (const policy of new Set(all.map((breaker) => breaker.policy))) {
        for (const state of BREAKER_STATES) breakers.set({ policy, state }, 0);
      }
      for (const { policy, state } of all) breakers.inc({ policy, state });
      return registry.metrics();
    },
  };
}
