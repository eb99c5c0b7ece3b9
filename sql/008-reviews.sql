-- What the last estimate of a path left out, and what is remembered of its host pairs: the floors of their delays, how
-- much they lose and how often they are tested (PairSummary in src/domain.ts). Hosts are judged by all pairs together,
-- also by those of which nothing new came.
create table path_reviews (
  src_site text not null,
  dst_site text not null,
  -- { "<reason>": samples }
  left_out json not null,
  pairs json not null,
  reviewed_at timestamptz not null,
  primary key (src_site, dst_site)
) with (fillfactor = 50);

-- What all paths of a host say together of the host itself; see HostFinding in src/domain.ts.
create table host_findings (
  host text not null,
  kind text not null,
  -- A firewall may close both directions; the others have none.
  direction text not null default '',
  since timestamptz not null,
  evidence text not null,
  advice text not null,
  offset_ms double precision,
  primary key (host, kind, direction)
);

-- Tests that were told at which rate to send, UDP tests above all. What they reach says what was offered, not what the
-- path carries: Lark does not read it, so that their silence says nothing.
alter table expected_tests add column is_rate_set boolean not null default false;
