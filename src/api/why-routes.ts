/** /api/v1/{why,export}: why a job does not run or how a path stands; breakers for those who send pilots. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Policy } from '../breaker/policy.ts';
import { UserError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { exportCsv, exported, exportView } from '../why/export.ts';
import { jobWhy } from '../why/job.ts';
import { type PoolReader, whyOfJob } from '../why/read-pool.ts';
import { pathStory, storyOf } from './path-story.ts';
import { jsonSchema } from './schema.ts';

export interface WhyRoutesDeps {
  store: Store;
  clock: () => Date;
  /** The pool that Lark publishes to; undefined: none. Read at each request, so that a reload is seen. */
  htcondor: () => PoolReader | undefined;
  policies: () => readonly Policy[];
}

const question = z.object({
  src: z.string().max(200).optional(),
  dst: z.string().max(200).optional(),
  job: z.string().max(30).optional(),
  schedd: z.string().max(300).optional(),
});

/** What is asked for is filled, the other is null. */
export const whyView = z.object({ job: jobWhy.nullable(), path: pathStory.nullable() });
export type WhyView = z.infer<typeof whyView>;

export function addWhyRoutes(api: FastifyInstance, deps: WhyRoutesDeps): void {
  const { store, clock } = deps;

  api.get<{ Querystring: z.infer<typeof question> }>(
    '/api/v1/why',
    {
      schema: {
        summary: 'Why a job does not run (job, schedd), or how a path stands and why (src, dst)',
        querystring: jsonSchema(question),
        response: { 200: jsonSchema(whyView), 400: jsonSchema(z.object({ message: z.string() })) },
      },
    },
    async ({ query }, reply) => {
      try {
        return await reply.send(await answer(query));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return reply.code(400).send({ message: error.message });
      }
    },
  );

  async function answer({ src, dst, job, schedd }: z.infer<typeof question>): Promise<WhyView> {
    if (job !== undefined) {
      const htcondor = deps.htcondor();
      if (!htcondor) throw new UserError('this Lark has no pool to ask (publish.enabled, publish.directory)');
      return { job: await whyOfJob({ id: job, schedd }, htcondor, deps.policies(), clock()), path: null };
    }
    if (src === undefined || dst === undefined) throw new UserError('give src and dst, or job');
    return { job: null, path: await storyOf(store, { srcSite: src, dstSite: dst }, clock()) };
  }

  api.get<{ Querystring: { format: 'csv' | 'json' } }>(
    '/api/v1/export',
    {
      schema: {
        summary: 'How much of what leads into and out of each site is shut, as JSON or CSV',
        querystring: jsonSchema(z.object({ format: z.enum(['csv', 'json']).default('json') })),
        response: {
          200: {
            content: {
              'application/json': { schema: jsonSchema(exportView) },
              'text/csv': { schema: { type: 'string' } },
            },
          },
        },
      },
    },
    async ({ query }, reply) => {
      const view = exported(await store.breakers(), clock());
      return query.format === 'csv'
        ? reply.type('text/csv; charset=utf-8').send(exportCsv(view))
        : reply.type('application/json; charset=utf-8').send(view);
    },
  );
}
