-- What traces told of the ways that packets take. One row for each test that traces, in each archive.
create table trace_tests (
  id integer generated always as identity primary key,
  archive_key text not null references archives (key),
  metadata_key text not null,
  source text not null,
  destination text not null,
  source_name text,
  destination_name text,
  tool text not null,
  ip_version smallint,
  -- Everything up to here has been read.
  read_to timestamptz not null,
  -- The newest run and the route that it met.
  last_run_at timestamptz,
  last_route_id integer,
  unique (archive_key, metadata_key)
) with (fillfactor = 70);

-- Each route that a test ever met, once. Between first and last it may have met others.
create table routes (
  id integer generated always as identity primary key,
  test_id integer not null references trace_tests (id) on delete cascade,
  -- What tells it from others: the hops' addresses in order; `*` for one that kept silent.
  way text not null,
  -- [[address, name, number of the autonomous system], …], each null where it is not known.
  hops json not null,
  is_reached boolean not null,
  first_seen timestamptz not null,
  last_seen timestamptz not null,
  -- By its hash: a way may be longer than an index takes.
  way_hash text not null generated always as (md5(way)) stored,
  unique (test_id, way_hash)
) with (fillfactor = 70);

-- Which route each run met, a day (UTC) of a test in one row: to know every run is what lets them be counted, and changes
-- be dated, however often and in whatever order they are read. A row for each run would be ten times the size.
create table trace_runs (
  test_id integer not null references trace_tests (id) on delete cascade,
  day date not null,
  -- Of each run, ascending: ms since midnight, and the route.
  at_ms integer[] not null,
  route_ids integer[] not null,
  primary key (test_id, day)
) with (fillfactor = 70);
