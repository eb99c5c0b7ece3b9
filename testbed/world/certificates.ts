import { createServer, type Server } from 'node:https';
import { generate } from 'selfsigned';

/**
 * TLS for many addresses at little cost: one CA and one self-signed certificate per world, made at start, and
 * certificates of the CA for 64 addresses at a time, made when the first client calls one of them.
 */
export interface Certificates {
  /** The world's CA, for clients that verify. */
  caPem: string;
  /** An https server (not listening) whose certificate fits the address, or is self-signed. */
  serverFor(address: string, certificate: 'ca' | 'selfSigned'): Promise<Server>;
}

const GROUP = 64;

export async function makeCertificates(addresses: string[], now: Date): Promise<Certificates> {
  const common = {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(now.getTime() - 86_400_000),
    notAfterDate: new Date(now.getTime() + 365 * 86_400_000),
  } as const;
  const ca = await generate([{ name: 'commonName', value: 'perfSONAR world CA' }], {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, digitalSignature: true, critical: true },
    ],
  });
  const own = await generate([{ name: 'commonName', value: 'localhost.localdomain' }], common);
  const selfSigned = createServer({ key: own.private, cert: own.cert });
  const position = new Map(addresses.map((address, index) => [address, index]));
  const groups = new Map<number, Promise<Server>>();

  const makeGroup = async (group: number): Promise<Server> => {
    const members = addresses.slice(group * GROUP, (group + 1) * GROUP);
    const made = await generate([{ name: 'commonName', value: members[0]! }], {
      ...common,
      ca: { key: ca.private, cert: ca.cert },
      extensions: [
        { name: 'basicConstraints', cA: false },
        { name: 'keyUsage', digitalSignature: true, keyEncipherment: true },
        { name: 'extKeyUsage', serverAuth: true },
        { name: 'subjectAltName', altNames: members.map((ip) => ({ type: 7, ip })) },
      ],
    });
    return createServer({ key: made.private, cert: made.cert });
  };

  return {
    caPem: ca.cert,
    async serverFor(address, certificate) {
      if (certificate === 'selfSigned') return selfSigned;
      const group = Math.floor(position.get(address)! / GROUP);
      let server = groups.get(group);
      if (!server) {
        server = makeGroup(group);
        groups.set(group, server);
      }
      return server;
    },
  };
}
