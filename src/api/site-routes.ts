import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { UserError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { isAllowed } from './breaker-routes.ts';
import { jsonSchema } from './schema.ts';
import {
  acceptedView,
  acceptSource,
  machinesView,
  machineView,
  siteSourcesView,
  siteSourceView,
} from './site-sources.ts';

export interface SiteRoutesDeps {
  store: Store;
  clock: () => Date;
  /** See BreakerRoutesDeps. */
  token: string;
  sites: () => { config: Config['sites'] };
}

const failure = z.object({ message: z.string() });

/** /api/v1/sites/{sources,machines}: to read for everybody; to accept a source takes the token. */
export function addSiteRoutes(api: FastifyInstance, { store, clock, token, sites }: SiteRoutesDeps): void {
  api.get(
    '/api/v1/sites/sources',
    {
      schema: {
        summary: 'Where sites are described, and what of it is in force',
        response: { 200: jsonSchema(z.array(siteSourceView)) },
      },
    },
    () => siteSourcesView(store, sites().config),
  );

  api.get(
    '/api/v1/sites/machines',
    {
      schema: {
        summary: "The pool's machines and their sites",
        response: { 200: jsonSchema(z.array(machineView)) },
      },
    },
    () => machinesView(store),
  );

  api.post<{ Params: { name: string } }>(
    '/api/v1/sites/sources/:name/accept',
    {
      schema: {
        summary: 'Put into force what of a source was kept out',
        response: { 200: jsonSchema(acceptedView), 400: jsonSchema(failure), 401: jsonSchema(failure) },
      },
    },
    async (request, reply) => {
      if (!isAllowed(request, token)) {
        const message =
          'only who may read the store of the service may change something: run "lark sites" as its user';
        return reply.code(401).send({ message });
      }
      try {
        return await acceptSource(store, sites().config, request.params.name, clock());
      } catch (error) {
        if (error instanceof UserError) return reply.code(400).send({ message: error.message });
        throw error;
      }
    },
  );
}
