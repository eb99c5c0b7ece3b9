import swagger from '@fastify/swagger';
import fastify, { type FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Config } from '../config.ts';
import type { SiteMap } from '../sites/sites-file.ts';
import { addBreakerRoutes, type BreakerRoutesDeps } from './breaker-routes.ts';
import type { Metrics } from './metrics.ts';
import { qualityView as viewQuality } from './quality.ts';
import { addReplayRoutes, type ReplayRoutesDeps } from './replay-routes.ts';
import { jsonSchema } from './schema.ts';
import { addSiteRoutes } from './site-routes.ts';
import { tracesView as viewTraces } from './traces.ts';
import { adView, archiveView, hostView, pathView, qualityView, sitesView, tracesView } from './view-types.ts';
import { adsView, archivesView, hostsView, pathsView, sitesView as viewSites } from './views.ts';
import { whyOf, whyView } from './why.ts';
import { addWhyRoutes, type WhyRoutesDeps } from './why-routes.ts';

export interface ApiDeps extends BreakerRoutesDeps, WhyRoutesDeps, ReplayRoutesDeps {
  metrics: Metrics;
  /** Lifetime in `lark ads`, seconds. Read at each request, so that a reload is seen. */
  lifetimeSeconds: () => number;
  /** What `lark sites why` goes by; also read at each request. */
  sites: () => { config: Config['sites']; map: SiteMap };
  /** Windows of `lark quality`; also read at each request. */
  estimate: () => Config['estimate'];
  health: () => Health;
  version: string;
}

export interface Health {
  healthy: boolean;
  /** One sentence. */
  message: string;
  lastGoodCycle: string | null;
}

/**
 * The HTTP API: /healthz, /metrics, /api/v1/{hosts,archives,sites,paths,ads,quality,breakers,events,
 * forcings,why,export}, /api/v1/openapi.json. To read there is no authentication: it binds to loopback unless the configuration
 * says otherwise. To change something takes a token (see BreakerRoutesDeps).
 */
export async function createApi(deps: ApiDeps): Promise<FastifyInstance> {
  const { store, metrics, clock } = deps;
  const app = fastify({ logger: false, forceCloseConnections: true });

  await app.register(swagger, {
    openapi: {
      info: {
        title: 'Lark',
        description: 'Hosts, archives, sites, paths and breakers as Lark knows them.',
        version: deps.version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
    },
  });

  await app.register(async (api) => {
    const route = <T>(
      path: string,
      summary: string,
      response: z.ZodType<T>,
      read: (query: Record<string, string | undefined>) => Promise<T>,
      querystring: z.ZodObject = z.object({}),
    ): void => {
      api.get(
        path,
        {
          schema: { summary, querystring: jsonSchema(querystring), response: { 200: jsonSchema(response) } },
        },
        (request) => read(request.query as Record<string, string | undefined>),
      );
    };
    route('/api/v1/hosts', 'Measurement hosts and their sites', z.array(hostView), () =>
      hostsView(store, clock()),
    );
    route('/api/v1/archives', 'Archives and how their last harvest ended', z.array(archiveView), () =>
      archivesView(store, clock()),
    );
    route('/api/v1/sites', 'Sites, and what has none', sitesView, () => viewSites(store, clock()));
    route(
      '/api/v1/sites/why',
      'All evidence for and against the site of a host',
      whyView,
      ({ host }) => whyOf(host!, store, deps.sites().config, deps.sites().map, clock()),
      z.object({ host: z.string().min(1).max(253) }),
    );
    route(
      '/api/v1/paths',
      'Directed pairs of sites: estimates and breakers',
      z.array(pathView),
      ({ src, dst }) => pathsView(store, { srcSite: src, dstSite: dst }),
      z.object({ src: z.string().optional(), dst: z.string().optional() }),
    );
    route('/api/v1/ads', 'The ClassAds as they would be published now', z.array(adView), () =>
      adsView(store, deps.lifetimeSeconds()),
    );
    route(
      '/api/v1/traces',
      'Which way packets go, by the tests that trace it, and when that changed',
      tracesView,
      ({ end, src, dst }) => viewTraces(store, { end, source: src, destination: dst }, clock()),
      z.object({ end: z.string().optional(), src: z.string().optional(), dst: z.string().optional() }),
    );
    route(
      '/api/v1/quality',
      'How good the data of a host, site or pair is, and why',
      qualityView,
      ({ end, src, dst }) =>
        viewQuality(store, { end, source: src, destination: dst }, deps.estimate(), clock()),
      z.object({ end: z.string().optional(), src: z.string().optional(), dst: z.string().optional() }),
    );
    addBreakerRoutes(api, deps);
    addWhyRoutes(api, deps);
    addReplayRoutes(api, deps);
    addSiteRoutes(api, deps);
    api.get(
      '/healthz',
      { schema: { summary: 'Whether the last good cycle is recent' } },
      (_request, reply) => {
        const health = deps.health();
        return reply.code(health.healthy ? 200 : 503).send(health);
      },
    );
    api.get('/metrics', { schema: { summary: 'Prometheus metrics' } }, async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.text(store)),
    );
    api.get('/api/v1/openapi.json', { schema: { hide: true } }, () => app.swagger());
  });
  return app;
}
