import type { LookupAddress, LookupAllOptions } from 'node:dns';
import { lookup as dnsLookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { LRUCache } from 'lru-cache';

/** System resolvers do not tell how long an answer holds. */
const ANSWER_MS = 5 * 60_000;
const FAILURE_MS = 60_000;
const MOST_NAMES = 10_000;

type Resolve = (name: string, options: LookupAllOptions) => Promise<LookupAddress[]>;

interface Answer {
  asked: Promise<LookupAddress[]>;
  /** Once it is there; none where the name does not resolve. */
  addresses?: string[];
}

/**
 * Answers of the name service, remembered for some minutes, and which names and addresses are one machine. Without,
 * each connection would ask again, by one of the four threads that all of Node's look-ups share.
 */
export class Names {
  readonly #resolve: Resolve;
  readonly #answers: LRUCache<string, Answer>;
  readonly #machines = new LRUCache<string, string>({ max: 4 * MOST_NAMES });

  /** `now` in ms. */
  constructor(resolve: Resolve = dnsLookup, now: () => number = () => performance.now()) {
    this.#resolve = resolve;
    this.#answers = new LRUCache({ max: MOST_NAMES, ttl: ANSWER_MS, ttlResolution: 0, perf: { now } });
  }

  #ask(name: string): Answer {
    const known = this.#answers.get(name);
    if (known) return known;
    const answer: Answer = { asked: this.#resolve(name, { all: true }) };
    this.#answers.set(name, answer);
    answer.asked.then(
      (all) => {
        answer.addresses = all.map(({ address }) => address).sort();
      },
      () => {
        answer.addresses = [];
        this.#answers.set(name, answer, { ttl: FAILURE_MS });
      },
    );
    return answer;
  }

  /** For connections: in place of `dns.lookup`. */
  readonly lookup: LookupFunction = (name, options, callback) => {
    const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : (options.family ?? 0);
    this.#ask(name).asked.then(
      (all) => {
        const fitting = all.filter((each) => family === 0 || each.family === family);
        const [first] = fitting;
        if (first === undefined)
          callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }), []);
        else if (options.all) callback(null, fitting);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };

  /** Notes that all these names and addresses are of one machine. */
  join(hosts: readonly string[]): void {
    const known = hosts.map((host) => this.#machines.get(host)).find((name) => name !== undefined);
    const name = known ?? hosts[0];
    if (name !== undefined && hosts.length > 1) for (const host of hosts) this.#machines.set(host, name);
  }

  /**
   * What stands for the machine that a name or address leads to, as far as it is known: names with the same addresses
   * are one, and so is what was joined. A name that does not resolve stands for itself. Waits only for a name that was
   * not resolved before.
   */
  machine(host: string): string | Promise<string> {
    const joined = this.#machines.get(host);
    if (joined !== undefined || isIP(host)) return joined ?? host;
    const answer = this.#ask(host);
    const named = (addresses: readonly string[] = []) =>
      addresses.map((address) => this.#machines.get(address)).find((known) => known !== undefined) ??
      addresses[0] ??
      host;
    if (answer.addresses) return named(answer.addresses);
    return answer.asked.then(
      () => named(answer.addresses),
      () => host,
    );
  }
}
