/** /api/v1/replay: what policies would have done to the stored history. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parsePolicy } from '../breaker/policy.ts';
import type { Config } from '../config.ts';
import { UserError } from '../errors.ts';
import { replayPolicies } from '../steps/replay.ts';
import type { Store } from '../store/store.ts';
import { isAllowed, NOT_ALLOWED } from './breaker-routes.ts';
import { jsonSchema } from './schema.ts';

export interface ReplayRoutesDeps {
  store: Store;
  token: string;
  /** Read at each request, so that a reload is seen. */
  estimate: () => Config['estimate'];
  breaker: () => Config['breaker'];
}

/** A replay takes the service's own processor: so many decisions are made for one question at most. */
const MOST_MOMENTS = 2000;

const request = z.strictObject({
  policies: z
    .array(z.strictObject({ name: z.string().min(1).max(100), text: z.string().max(20_000) }))
    .min(1)
    .max(4)
    .meta({ description: 'each in the form of config/policies/*.ad' }),
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  stepSeconds: z.number().min(60),
});

const counts = {
  openings: z.int(),
  flaps: z.int(),
  openSeconds: z.number(),
  longestSeconds: z.number(),
};
const view = z.array(
  z.object({
    policy: z.string(),
    moments: z.int(),
    paths: z.int(),
    ...counts,
    siteOpenings: z.int(),
    openShare: z.number(),
    guardedMoments: z.int(),
    byPath: z.array(
      z.object({ path: z.string(), ...counts, halfOpenSeconds: z.number(), unknownSeconds: z.number() }),
    ),
  }),
);
const failure = z.object({ message: z.string() });

export function addReplayRoutes(api: FastifyInstance, deps: ReplayRoutesDeps): void {
  let isBusy = false;
  api.post<{ Body: z.infer<typeof request> }>(
    '/api/v1/replay',
    {
      schema: {
        summary: 'What policies would have done to the stored history, one at a time; it takes the token',
        body: jsonSchema(request),
        response: {
          200: jsonSchema(view),
          400: jsonSchema(failure),
          401: jsonSchema(failure),
          409: jsonSchema(failure),
        },
      },
    },
    async (asked, reply) => {
      if (!isAllowed(asked, deps.token)) return reply.code(401).send(NOT_ALLOWED);
      if (isBusy) return reply.code(409).send({ message: 'another replay is under way; ask again later' });
      isBusy = true;
      try {
        return await reply.send(await replay(asked.body, deps));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        return reply.code(400).send({ message: error.message });
      } finally {
        isBusy = false;
      }
    },
  );
}

function replay({ policies, from, to, stepSeconds }: z.infer<typeof request>, deps: ReplayRoutesDeps) {
  const range = { from: new Date(from), to: new Date(to), stepSeconds };
  const moments = (range.to.getTime() - range.from.getTime()) / 1000 / stepSeconds;
  if (!(moments > 0)) throw new UserError('from must be before to');
  if (moments > MOST_MOMENTS) {
    throw new UserError(
      `that would be ${Math.round(moments)} decisions, ${MOST_MOMENTS} are answered here: choose a larger step, or "lark breaker replay" with the service stopped`,
    );
  }
  const parsed = policies.map(({ name, text }) => parsePolicy(text, `${name}.ad`));
  return replayPolicies(deps.store, { estimate: deps.estimate(), breaker: deps.breaker() }, parsed, range);
}
