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

-- What stands in the collector: the ads sent and not withdrawn since.
create table publications (
  name text primary key,
  content_hash text not null,
  advertised_at timestamptz not null
) with (fillfactor = 50);

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
