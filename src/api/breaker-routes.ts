import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import {
  breakersView,
  breakerView,
  eventOf,
  eventView,
  type ForceRequest,
  force,
  forceRequest,
  forcingsView,
  forcingView,
  type ReleaseRequest,
  release,
  releaseRequest,
} from './breakers.ts';
import { sendEvents } from './events.ts';
import { jsonSchema } from './schema.ts';

export interface BreakerRoutesDeps {
  store: Store;
  clock: () => Date;
  /** Who knows it may change something. It lies in the store's folder, readable by its owner alone. */
  token: string;
  /** A person said something: breakers are to be decided anew soon. */
  onForced: () => void;
  /** Aborted when the service ends: streams end with it. */
  signal: AbortSignal;
}

const failure = z.object({ message: z.string() });
const ends = z.object({ src: z.string().optional(), dst: z.string().optional() });

/** /api/v1/{breakers,events,forcings}: to read for everybody, to change for who knows the token. */
export function addBreakerRoutes(api: FastifyInstance, deps: BreakerRoutesDeps): void {
  const { store, clock } = deps;

  api.get<{ Querystring: { src?: string; dst?: string; notable?: boolean } }>(
    '/api/v1/breakers',
    {
      schema: {
        summary: 'Breakers as they stand, one for each path and policy, and those of whole sites',
        querystring: jsonSchema(ends.extend({ notable: z.boolean().optional() })),
        response: { 200: jsonSchema(z.array(breakerView)) },
      },
    },
    ({ query }) =>
      breakersView(store, { srcSite: query.src, dstSite: query.dst, notable: query.notable ?? false }),
  );

  api.get<{ Querystring: { src?: string; dst?: string; since?: string; limit: number } }>(
    '/api/v1/transitions',
    {
      schema: {
        summary: 'What happened to breakers, the newest first',
        querystring: jsonSchema(
          ends.extend({ since: z.iso.datetime().optional(), limit: z.int().min(1).max(10_000).default(200) }),
        ),
        response: { 200: jsonSchema(z.array(eventView)) },
      },
    },
    async ({ query: { src, dst, since, limit } }) =>
      (
        await store.transitions({
          limit,
          ...(src !== undefined && { srcSite: src }),
          ...(dst !== undefined && { dstSite: dst }),
          ...(since !== undefined && { since: new Date(since) }),
        })
      ).map(eventOf),
  );

  api.get<{ Querystring: { after?: number } }>(
    '/api/v1/events',
    {
      schema: {
        summary: 'Transitions of breakers as they happen, as server-sent events; Last-Event-ID is understood',
        querystring: jsonSchema(z.object({ after: z.int().min(0).optional() })),
        produces: ['text/event-stream'],
      },
    },
    async (request, reply) => {
      const header = Number(request.headers['last-event-id']);
      const after = request.query.after ?? (Number.isInteger(header) && header > 0 ? header : undefined);
      reply.hijack();
      await sendEvents(store, reply.raw, after, deps.signal);
    },
  );

  api.get(
    '/api/v1/forcings',
    {
      schema: {
        summary: "Persons' words over breakers that are in force",
        response: { 200: jsonSchema(z.array(forcingView)) },
      },
    },
    () => forcingsView(store, clock()),
  );

  api.post<{ Body: ForceRequest }>(
    '/api/v1/forcings',
    {
      schema: {
        summary: 'Force breakers open or closed for a time',
        body: jsonSchema(forceRequest),
        response: { 201: jsonSchema(forcingView), 400: jsonSchema(failure), 401: jsonSchema(failure) },
      },
    },
    async (request, reply) => {
      if (!isAllowed(request, deps.token)) return reply.code(401).send(NOT_ALLOWED);
      const said = await orFailure(force(store, request.body, clock()));
      if (said instanceof UserError) return reply.code(400).send({ message: said.message });
      deps.onForced();
      return reply.code(201).send(said);
    },
  );

  api.delete<{ Body: ReleaseRequest }>(
    '/api/v1/forcings',
    {
      schema: {
        summary: 'Take such words back before their time',
        body: jsonSchema(releaseRequest),
        response: {
          200: jsonSchema(z.object({ released: z.int() })),
          400: jsonSchema(failure),
          401: jsonSchema(failure),
        },
      },
    },
    async (request, reply) => {
      if (!isAllowed(request, deps.token)) return reply.code(401).send(NOT_ALLOWED);
      const released = await orFailure(release(store, request.body, clock()));
      if (released instanceof UserError) return reply.code(400).send({ message: released.message });
      deps.onForced();
      return reply.send({ released });
    },
  );
}

export const NOT_ALLOWED = {
  message: 'only who may read the store of the service may change something: run "lark breaker" as its user',
};

/** Whether the request shows the token. */
export function isAllowed(request: FastifyRequest, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? '');
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

/** What a person did wrong is an answer here, not a failure. */
async function orFailure<T>(work: Promise<T>): Promise<T | UserError> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}
