create table series (
  id integer generated always as identity primary key,
  archive_key text not null references archives (key),
  metadata_key text not null,
  metric text not null,
  source text not null,
  destination text not null,
  source_name text,
  destination_name text,
  tool text not null,
  ip_version smallint,
  event_type text not null,
  unique (archive_key, metadata_key, metric)
);

-- Apart from series because this row changes with every read: it stays narrow, and the free space on its pages
-- lets PostgreSQL rewrite it in place (HOT), without touching an index.
create table checkpoints (
  series_id integer primary key references series (id) on delete cascade,
  -- Everything up to here has been read.
  read_to timestamptz not null,
  last_sample_at timestamptz,
  -- When samples of it were last added or changed, by the database's clock.
  touched_at timestamptz
) with (fillfactor = 70);

-- Each verdict with each reason that was ever given for it: a sample then carries two bytes instead of two words.
create table verdicts (
  id smallint generated always as identity (start with 2) primary key,
  verdict text not null,
  reason text,
  unique nulls not distinct (verdict, reason)
);

-- Good samples are what estimates are made of; their id is fixed so that no query has to look it up.
insert into verdicts (id, verdict) overriding system value values (1, 'good');

-- One partition per day (UTC), `samples_YYYYMMDD`, made by the store when a batch first needs it. Days, not weeks:
-- retention drops whole partitions, so it is exact to a day; and a busy day (some 10 million rows) has an index that
-- still fits in memory.
-- No foreign keys: series and verdict rows are made in or before the transaction that writes the samples, and a check
-- per row would cost more than the row. Columns are ordered so that no byte is lost to alignment.
create table samples (
  at timestamptz not null,
  value double precision,
  series_id integer not null,
  verdict_id smallint not null,
  primary key (series_id, at)
) partition by range (at);

-- Running totals, kept by the same transaction that writes the samples. By day, so that dropping a partition is
-- dropping its totals: nothing is ever counted anew.
create table sample_counts (
  day date not null,
  verdict_id smallint not null,
  count bigint not null,
  primary key (day, verdict_id)
) with (fillfactor = 70);
