create table sites (
  name text primary key,
  latitude double precision,
  longitude double precision,
  hosts text[] not null,
  prefixes text[] not null,
  domains text[] not null
);

-- subject: a host's key, or the endpoint text of a series that no known host claims.
create table site_assignments (
  subject text primary key,
  site text,
  method text,
  evidence text not null,
  confidence double precision not null,
  -- Since when the subject stands where it stands.
  since timestamptz not null
);

-- metrics: { "<metric>": [centre, p10, p90, sample count, series count, last measured in ms since 1970] }.
-- Flat columns (five metrics of six numbers) took four times as long to read; jsonb gains nothing, as Lark always reads
-- the whole.
create table estimates (
  src_site text not null,
  dst_site text not null,
  metrics json not null,
  quality double precision not null,
  sample_count integer not null,
  last_measured timestamptz not null,
  measured boolean not null,
  estimated_at timestamptz not null,
  primary key (src_site, dst_site)
) with (fillfactor = 50);
