-- What discovery found. Keys come from the spider and are stable over cycles.

create table hosts (
  key text primary key,
  names text[] not null,
  addresses text[] not null,
  client_uuids text[] not null,
  site_name_hint text,
  city text,
  country_code text,
  latitude double precision,
  longitude double precision,
  communities text[] not null,
  domains text[] not null,
  roles text[] not null,
  access_policy text,
  toolkit_version text,
  capacity_mbps double precision,
  sources text[] not null,
  first_seen timestamptz not null,
  last_seen timestamptz not null
);

-- host_key has no foreign key: an archive may outlive the record of the host it was registered for.
create table archives (
  key text primary key,
  urls text[] not null,
  host_key text,
  kind text,
  sources text[] not null,
  first_seen timestamptz not null,
  last_seen timestamptz not null
);

-- How the last harvest of each archive ended.
create table archive_reports (
  archive_key text primary key references archives (key) on delete cascade,
  at timestamptz not null,
  url text,
  kind text,
  outcome text not null,
  fault text,
  message text,
  requests integer not null,
  series_read integer not null,
  samples_read integer not null,
  failed_runs integer,
  seconds double precision not null,
  -- Everything that the archive took in up to here was read, by the archive's own clock. Kept from the last report that
  -- had one; not the greatest, since a clock that was wrong is set right again.
  ingested_to timestamptz,
  -- The last harvest that was ok or partial.
  last_success_at timestamptz,
  consecutive_failures integer not null
) with (fillfactor = 70);

create table discovery_sources (
  source text primary key,
  ok boolean not null,
  records integer not null,
  fault text,
  message text,
  at timestamptz not null
);
