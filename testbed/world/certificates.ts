import { generate } from 'selfsigned';

/**
 * TLS for many addresses at little cost: one CA and one self-signed certificate per world, made at start, and
 * certificates of the CA for 64 addresses at a time, made when the first client calls one of them.
 */
export interface Certificates {
  /** The world's CA, for clients that verify. */
  caPem: string;
  /** A certificate of the CA that fits the address, or the self-signed one. */
  of(address: string, kind: 'ca' | 'selfSigned'): Promise<KeyAndCertificate>;
}

export interface KeyAndCertificate {
  key: string;
  cert: string;
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
  const selfSigned = { key: own.private, cert: own.cert };
  const position = new Map(addresses.map((address, index) => [address, index]));
  const groups = new Map<number, Promise<KeyAndCertificate>>();

  const makeGroup = async (group: number): Promise<KeyAndCertificate> => {
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
    return { key: made.private, cert: made.cert };
  };

  return {
    caPem: ca.cert,
    async of(address, kind) {
      if (kind === 'selfSigned') return selfSigned;
      const group = Math.floor(position.get(address)! / GROUP);
      let made = groups.get(group);
      if (!made) {
        made = makeGroup(group);
        groups.set(group, made);
      }
      return made;
    },
  };
}
