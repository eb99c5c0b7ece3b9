import type { Archive } from './model.ts';
import type { ArchiveRequest, Reply } from './query.ts';

/** What differs between two tests although their values are the same. */
const OF_ITS_OWN = new Set(['pscheduler-run-href', 'packet-trace']);
const MAX_BODY_CHARACTERS = 512_000_000;

/** Bodies of data that tests of the same values share, for as long as the world's clock stands still. */
export class ReplyCache {
  readonly #replies = new Map<string, Reply>();
  #nowSeconds = 0;
  #characters = 0;

  /** @param request below the archive's path */
  get(archive: Archive, request: ArchiveRequest, nowSeconds: number, make: () => Reply): Reply {
    if (nowSeconds !== this.#nowSeconds || this.#characters > MAX_BODY_CHARACTERS) {
      this.#replies.clear();
      this.#characters = 0;
      this.#nowSeconds = nowSeconds;
    }
    const [, key = '', event = '', ...rest] = request.path.split('/');
    const test = archive.tests.get(key);
    if (!test || rest.length === 0 || OF_ITS_OWN.has(event)) return make();
    const { kind, version, defaultLimit, keepsFailures, openSearch } = archive;
    const isOpen = openSearch === 'anonymous';
    const face = [kind, version, defaultLimit, keepsFailures, isOpen, request.scheme].join(' ');
    const name = `${face} ${test.type} ${test.id} ${event}/${rest.join('/')}?${request.query}`;
    const known = this.#replies.get(name);
    if (known) return known;
    const reply = make();
    this.#replies.set(name, reply);
    this.#characters += reply.body.length;
    return reply;
  }
}
