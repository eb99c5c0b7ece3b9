/**
 * The embedded database belongs to one process: while the service has it, the service is asked over its API; else the
 * command opens the store itself. PostgreSQL is for everybody.
 */
import { existsSync } from 'node:fs';
import axios from 'axios';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { messageOf, UserError } from '../errors.ts';
import { storePlace } from '../service.ts';
import { type LockHolder, lockHolder, openStore, type Store, StoreError } from '../store/store.ts';

/** A question, as the store answers it and as the API does. */
export interface Asked<T> {
  fromStore: (store: Store) => Promise<T>;
  /** Below /api/v1/. */
  apiPath: string;
  schema: z.ZodType<T>;
  /** The answer where there is no store yet; without it that is an error. */
  withoutStore?: () => Promise<T>;
}

/** A change, likewise. */
export interface Changed<T> {
  inStore: (store: Store) => Promise<T>;
  method: 'POST' | 'DELETE';
  apiPath: string;
  body: object;
  schema: z.ZodType<T>;
}

/** @throws UserError where there is no store yet, or the service does not answer */
export async function asked<T>(config: Config, question: Asked<T>): Promise<T> {
  const { fromStore, apiPath, schema, withoutStore } = question;
  const api = await runningApi(config);
  if (api) return fromApi(`${api.url}/api/v1/${apiPath}`, schema);
  return withStore(config, fromStore, withoutStore);
}

/** @throws UserError, also with what the service said against it */
export async function changed<T>(config: Config, change: Changed<T>): Promise<T> {
  const api = await runningApi(config);
  if (!api) return withStore(config, change.inStore);
  const url = `${api.url}/api/v1/${change.apiPath}`;
  const { data, status } = await axios
    .request({
      method: change.method,
      url,
      data: change.body,
      headers: { authorization: `Bearer ${api.token ?? ''}` },
      timeout: 30_000,
      proxy: false,
      validateStatus: () => true,
    })
    .catch((error: unknown) => {
      throw new UserError(`the running service did not answer at ${url}: ${messageOf(error)}`);
    });
  const parsed = change.schema.safeParse(data);
  if (status < 300 && parsed.success) return parsed.data;
  const said = z.object({ message: z.string() }).safeParse(data);
  throw new UserError(said.success ? said.data.message : `the running service answered ${status} at ${url}`);
}

async function withStore<T>(
  config: Config,
  work: (store: Store) => Promise<T>,
  withoutStore?: () => Promise<T>,
): Promise<T> {
  const place = storePlace(config);
  if ('directory' in place && !existsSync(place.directory)) {
    if (withoutStore) return withoutStore();
    throw new UserError(
      `there is no store in ${place.directory} yet: run "lark cycle" or "lark serve" first`,
    );
  }
  const store = await openStore(place);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

interface Api {
  url: string;
  token?: string;
}

/** Where the service that has the store answers; undefined when none has it. */
export async function runningApi(config: Config): Promise<Api | undefined> {
  const place = storePlace(config);
  if (!('directory' in place)) return undefined;
  let holder: LockHolder | undefined;
  try {
    holder = await lockHolder(place.directory);
  } catch (error) {
    // The store is readable by its owner alone; anybody may ask the service.
    const { host, port } = config.api;
    if (error instanceof StoreError && port > 0) return { url: `http://${host}:${port}` };
    throw error;
  }
  if (holder?.apiUrl === undefined) return undefined;
  return { url: holder.apiUrl, ...(holder.apiToken !== undefined && { token: holder.apiToken }) };
}

export async function fromApi<T>(url: string, schema: z.ZodType<T>): Promise<T> {
  try {
    const { data } = await axios.get(url, { timeout: 30_000, proxy: false });
    return schema.parse(data);
  } catch (error) {
    throw new UserError(`the running service did not answer at ${url}: ${messageOf(error)}`);
  }
}
