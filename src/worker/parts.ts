import { CORE_CONNECTORS, type Parts } from './plan.ts';

/** All modes and parts that this Lark has. */
export const PARTS: Parts = { connectors: CORE_CONNECTORS, parts: [] };
