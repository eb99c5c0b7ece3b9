import { z } from 'zod';

/** JSON Schema of a zod type, as fastify and OpenAPI take it. */
export function jsonSchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'openapi-3.0' });
  return rest;
}
