/** Where to fetch Debian from, and how: read from the machine's own apt, so that proxies and mirrors hold. */

/**
 * The mirror to build from: the first plain Debian mirror in `apt-get indextargets --format '$(REPO_URI)'`
 * (http or https, path ending in `/debian`), else '', which leaves it to debootstrap. Snapshots and other distributions'
 * archives do not hold the release we need, so they are passed over.
 */
export function chooseMirror(repositoryUris: string): string {
  const plain = repositoryUris
    .split('\n')
    .map((uri) => uri.trim().replace(/\/+$/, ''))
    .find((uri) => /^https?:\/\/[^/@]+\/(?:[^/]+\/)*debian$/.test(uri) && !uri.includes('snapshot'));
  return plain ?? '';
}

/**
 * The lines of `apt-config dump` that say how files are fetched (proxies, retries, time limits, certificate
 * checks, clock checks), as an apt.conf. Hooks, cache places and languages of the machine stay behind.
 */
export function downloadSettings(aptConfigDump: string): string {
  return aptConfigDump
    .split('\n')
    .filter((line) => /^Acquire::(?:https?|Check-[\w-]+|Retries|ForceIPv[46])\b/i.test(line))
    .filter((line) => !/^\S+ "";$/.test(line))
    .join('\n');
}

/**
 * `http_proxy` and `https_proxy` as debootstrap needs them: it does not read apt's configuration. What the
 * environment already says wins.
 */
export function proxyEnvironment(
  aptConfigDump: string,
  environment: Record<string, string | undefined>,
): Record<string, string> {
  const proxies: Record<string, string> = {};
  for (const scheme of ['http', 'https']) {
    const name = `${scheme}_proxy`;
    const proxy = new RegExp(`^Acquire::${scheme}::Proxy "(https?://[^"]+)";`, 'im').exec(aptConfigDump)?.[1];
    if (proxy !== undefined && environment[name] === undefined) proxies[name] = proxy;
  }
  return proxies;
}
