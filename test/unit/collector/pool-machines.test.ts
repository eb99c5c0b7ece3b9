import { ClassAd } from 'classad-parser';
import { describe, expect, test } from 'vitest';
import { machinesOf, poolMachines } from '../../../src/collector/pool-machines.ts';

const slot = (more: Record<string, string> = {}) =>
  ClassAd.from({
    MyType: 'Machine',
    Name: 'slot1@wn1.site.example',
    Machine: 'wn1.site.example',
    MyAddress: '<192.0.2.7:9618?addrs=192.0.2.7-9618&alias=wn1.site.example&noUDP&sock=startd_1>',
    ...more,
  });

describe('machines of the pool', () => {
  test('slots of one machine are one, with what each says of its site', () => {
    const ads = [
      slot({ LarkSite: 'UCSD' }),
      slot({ Name: 'slot2@wn1.site.example', LarkSite: 'FNAL', GLIDEIN_Site: ' ' }),
      slot({ Name: 'slot3@wn1.site.example', LarkSite: 'UCSD' }),
    ];
    expect(machinesOf(ads, ['LarkSite', 'GLIDEIN_Site'])).toEqual([
      {
        key: 'wn1.site.example 192.0.2.7',
        names: ['wn1.site.example'],
        addresses: ['192.0.2.7'],
        words: { LarkSite: ['UCSD', 'FNAL'] },
        slots: 3,
        isAccessPoint: false,
      },
    ]);
  });

  test('same name and other addresses are two', () => {
    const other = slot({ MyAddress: '<10.0.0.7:9618>' });
    expect(machinesOf([slot(), other], []).map(({ addresses }) => addresses)).toEqual([
      ['10.0.0.7'],
      ['192.0.2.7'],
    ]);
  });

  test('a schedd, its submitters, and a startd on the same machine', () => {
    const MyAddress = '<192.0.2.9:9618?sock=schedd_1>';
    const at = { Machine: 'AP.site.example', MyAddress };
    const [machine, ...others] = machinesOf(
      [
        ClassAd.from({ MyType: 'Scheduler', Name: 'second@ap.site.example', ...at }),
        ClassAd.from({
          MyType: 'Submitter',
          Name: 'alice@site.example',
          ScheddName: 'AP.site.example',
          ...at,
        }),
        slot(at),
      ],
      [],
    );
    expect(others).toEqual([]);
    expect(machine).toMatchObject({
      names: ['AP.site.example', 'second@ap.site.example'],
      slots: 1,
      isAccessPoint: true,
    });
  });

  test('a submitter from elsewhere is an access point though its schedd is not in this pool', () => {
    const ad = ClassAd.from({
      MyType: 'Submitter',
      Name: 'bob@other.example',
      Machine: 'ap.other.example',
      ScheddName: 'ap.other.example',
      MyAddress: '<198.51.100.4:9618>',
    });
    expect(machinesOf([ad], [])).toMatchObject([
      { names: ['ap.other.example'], isAccessPoint: true, slots: 0 },
    ]);
  });

  test('an ad without a machine is none', () => {
    expect(machinesOf([ClassAd.from({ MyType: 'Submitter', Name: 'x' })], [])).toEqual([]);
  });
});

describe('addresses', () => {
  const of = (MyAddress: string, AddressV1 = '') =>
    machinesOf([slot({ MyAddress, AddressV1 })], [])[0]!.addresses;
  test.each([
    ['plain', '<192.0.2.7:9618>', ['192.0.2.7']],
    [
      'both families',
      '<192.0.2.7:9618?addrs=192.0.2.7-9618+[2001-db8--1]-9618&noUDP>',
      ['192.0.2.7', '2001:db8::1'],
    ],
    ['IPv6 first', '<[2001:db8::1]:9618?addrs=[2001-db8--1]-9618>', ['2001:db8::1']],
    [
      'private network, called through a broker',
      '<192.0.2.7:9618?CCBID=198.51.100.1:9618%23312&PrivAddr=%3c10.1.2.3:9618%3fsock%3dx%3e&PrivNet=cluster>',
      ['10.1.2.3', '192.0.2.7'],
    ],
    ['loopback', '<127.0.0.1:9618?addrs=127.0.0.1-9618>', []],
    ['nothing', '', []],
    ['nonsense', '<<x:y>', []],
  ])('%s', (_, sinful, expected) => {
    expect(of(sinful)).toEqual(expected);
  });

  test('of AddressV1', () => {
    expect(
      of('', '{[ p="primary"; a="192.0.2.7"; port=9618; ], [ p="IPv6"; a="2001:DB8::1"; port=1; ]}'),
    ).toEqual(['192.0.2.7', '2001:db8::1']);
  });
});

test('the collector is asked once, for these attributes only', async () => {
  const asked: [string, readonly string[]][] = [];
  const htcondor = {
    ads: async (constraint: string, attributes: readonly string[]) => {
      asked.push([constraint, attributes]);
      return '[\n{"MyType": "Machine", "Machine": "a.example", "Site": "X", "Memory": "\\/Expr(1 + 1)\\/"}\n]\n';
    },
  };
  expect(await poolMachines(htcondor, ['Site'])).toMatchObject([
    { names: ['a.example'], words: { Site: ['X'] } },
  ]);
  expect(asked).toHaveLength(1);
  expect(asked[0]![1]).toEqual(['MyType', 'Name', 'Machine', 'ScheddName', 'MyAddress', 'AddressV1', 'Site']);
  expect(await poolMachines({ ads: async () => '' }, [])).toEqual([]);
});
