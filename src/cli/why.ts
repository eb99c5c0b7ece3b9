/** `lark why`: why a job does not run, and how a path stands. */
import { type PathStory, storyOf } from '../api/path-story.ts';
import { whyView } from '../api/why-routes.ts';
import { loadPolicies, type Policy } from '../breaker/policy.ts';
import { createHtcondor } from '../collector/htcondor.ts';
import { type Config, loadConfig } from '../config.ts';
import { UserError } from '../errors.ts';
import { StoreError } from '../store/store.ts';
import type { JobWhy } from '../why/job.ts';
import { whyOfJob } from '../why/read-pool.ts';
import { jobWhyText } from '../why/text.ts';
import { pathStoryText } from './path-story-text.ts';
import { asked } from './store-or-api.ts';

export interface WhyOptions {
  schedd?: string;
  json?: boolean;
}

/** @param what a job, or with `dst` the site where a path begins */
export async function why(
  configFile: string | undefined,
  what: string,
  dst: string | undefined,
  options: WhyOptions,
): Promise<void> {
  const { config } = loadConfig(configFile, process.env);
  const now = new Date();
  if (dst !== undefined) {
    const story = await storyByName(config, what, dst, now);
    return print(options.json ? JSON.stringify(story, null, 2) : pathStoryText(story, now));
  }
  // A job is asked of the pool itself, so that it works for users on machines that have no store of Lark's.
  const job = await whyOfJob(
    { id: what, schedd: options.schedd },
    createHtcondor(config.htcondor),
    policiesOf(config),
    now,
  );
  const paths = await storiesOf(config, job, now);
  if (options.json) return print(JSON.stringify({ ...job, paths }, null, 2));
  print([jobWhyText(job, now), ...paths.map((path) => historyText(path))].join('\n\n'));
}

async function storyByName(config: Config, srcSite: string, dstSite: string, now: Date): Promise<PathStory> {
  const { path } = await asked(config, {
    fromStore: async (store) => ({ job: null, path: await storyOf(store, { srcSite, dstSite }, now) }),
    apiPath: `why?${new URLSearchParams({ src: srcSite, dst: dstSite })}`,
    schema: whyView,
  });
  if (!path) throw new UserError('the running service answered another question');
  return path;
}

/** Of so many paths the history is told. */
const MOST_PATHS = 4;

/** The stories of the paths whose breakers keep the job away, where a store or a service can be asked. */
async function storiesOf(config: Config, job: JobWhy, now: Date): Promise<PathStory[]> {
  const causes = job.sites.flatMap(({ outcomes }) => outcomes).flatMap((outcome) => outcome.causes);
  const names = new Set(causes.flatMap((one) => (one.kind === 'breaker' ? [one.path] : [])));
  const stories: PathStory[] = [];
  for (const name of [...names].slice(0, MOST_PATHS)) {
    const [srcSite, dstSite] = name.split('>') as [string, string];
    try {
      stories.push(await storyByName(config, srcSite, dstSite, now));
    } catch (error) {
      // What the pool itself told is the answer; the history is more than was asked for.
      if (!(error instanceof UserError || error instanceof StoreError)) throw error;
      break;
    }
  }
  return stories;
}

function historyText({ path, events, eventsDays }: PathStory): string {
  const openings = events.filter(({ to }) => to === 'OPEN').length;
  return `${path} opened ${openings} times in the last ${eventsDays} days; "lark why ${path.replace('>', ' ')}" tells its story.`;
}

/** Users' machines have HTCondor's tools, not always Lark's policies: without them the turns of tickets stay untold. */
function policiesOf(config: Config): Policy[] {
  try {
    return loadPolicies(config.breaker.policies);
  } catch (error) {
    if (error instanceof UserError) return [];
    throw error;
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
