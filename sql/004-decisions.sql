create table breakers (
  src_site text not null,
  dst_site text not null,
  policy text not null,
  state text not null,
  reason text not null,
  since timestamptz not null,
  condition_since timestamptz,
  max_input_mb double precision,
  primary key (src_site, dst_site, policy)
);

create table breaker_transitions (
  id bigint generated always as identity primary key,
  src_site text not null,
  dst_site text not null,
  policy text not null,
  at timestamptz not null,
  from_state text not null,
  to_state text not null,
  reason text not null
);
create index on breaker_transitions (at);
create index on breaker_transitions (src_site, dst_site, at);

-- What stands in the collector: one document, since it is always read whole, and ten thousand entries are written in a
-- tenth of the time of as many rows.
create table publications (
  one boolean primary key default true check (one),
  -- [[name, content hash, epoch ms of sending], …]
  standing json not null default '[]',
  -- Names that are being sent: until that is confirmed, nobody knows whether they stand.
  sending json not null default '[]'
);
-- Compressing it would take longer than writing it.
alter table publications alter column standing set storage external, alter column sending set storage external;
insert into publications default values;

create table cycles (
  id bigint generated always as identity primary key,
  started_at timestamptz not null,
  finished_at timestamptz not null,
  ok boolean not null,
  phases_seconds json not null,
  counts json not null,
  message text
);
create index on cycles (started_at);

-- The harvest queue's own (pg-boss fills it). Made here, because two processes that make it at once collide.
create schema if not exists pgboss;
