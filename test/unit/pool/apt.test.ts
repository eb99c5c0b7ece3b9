import { describe, expect, it } from 'vitest';
import { chooseMirror, downloadSettings, proxyEnvironment } from '../../../testbed/pool/apt.ts';

describe('chooseMirror', () => {
  it.each([
    [
      'the machine’s own mirror',
      'https://mirror.example.edu/pub/debian/\n',
      'https://mirror.example.edu/pub/debian',
    ],
    ['the first of several', 'http://a.example/debian\nhttp://b.example/debian\n', 'http://a.example/debian'],
    ['no security archive', 'http://mirror.example/debian-security/\n', ''],
    ['no snapshot', 'http://snapshot.example.org/archive/debian/20250520T000000Z/\n', ''],
    ['no snapshot named as a mirror', 'http://snapshot.example/debian\n', ''],
    ['no other distribution', 'http://mirror.example/ubuntu/\n', ''],
    ['no file and no disc', 'file:/srv/debian\ncdrom:[Debian]/debian\n', ''],
    ['no address with a password in it', 'https://user:secret@mirror.example/debian\n', ''],
    ['none where apt says nothing', '', ''],
  ])('takes %s', (_what, uris, expected) => {
    expect(chooseMirror(uris)).toBe(expected);
  });
});

const dump = `APT::Architecture "amd64";
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128/";
Acquire::https::CaInfo "/etc/ssl/own.pem";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";
`;

describe('downloadSettings', () => {
  it('keeps how files are fetched and nothing else', () => {
    expect(downloadSettings(dump)).toBe(
      [
        'Acquire::http::Proxy "http://proxy.example:3128/";',
        'Acquire::https::CaInfo "/etc/ssl/own.pem";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Retries "3";',
      ].join('\n'),
    );
  });
});

describe('proxyEnvironment', () => {
  it('gives debootstrap apt’s proxy, unless the environment has one', () => {
    expect(proxyEnvironment(dump, {})).toEqual({ http_proxy: 'http://proxy.example:3128/' });
    expect(proxyEnvironment(dump, { http_proxy: 'http://other.example:1' })).toEqual({});
    expect(proxyEnvironment('Acquire::http::Proxy "DIRECT";', {})).toEqual({});
  });
});
