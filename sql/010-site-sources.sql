-- Where sites are described (CRIC, OSG Topology, …), and how the last reading of each ended.
create table site_sources (
  name text primary key,
  -- Format and place.
  definition text not null,
  checked_at timestamptz not null,
  -- Of the version in force: what to send along so that only a change is answered.
  validators json not null default '{}',
  failure text,
  refused_at timestamptz,
  refused_reason text,
  -- {contentHash, counts, facts} of what was read and not believed; an administrator may accept it.
  refused_document json
);

-- The last few versions of what each said; the highest is in force.
create table site_source_versions (
  source text not null references site_sources (name) on delete cascade,
  version integer not null,
  fetched_at timestamptz not null,
  content_hash text not null,
  counts json not null,
  facts json not null,
  primary key (source, version)
);

-- The pool's own machines and where they stand, as far as that is known.
create table pool_machines (
  -- Host name and addresses: two machines may have the same name behind different walls.
  key text primary key,
  names text[] not null,
  addresses text[] not null,
  -- What its own attributes say of its site: {attribute: [text, …]}
  words json not null,
  slots integer not null,
  is_access_point boolean not null,
  last_seen timestamptz not null,
  site text,
  method text,
  evidence text not null,
  confidence double precision not null
);
