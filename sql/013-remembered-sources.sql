-- Client-uuids that machines made from one image share: recognised once, they tie no hosts together any more.
alter table hosts add column cloned_uuids text[] not null default '{}';

-- When the source last answered well: what it told then counts for a while where it fails now.
alter table discovery_sources add column answered_at timestamptz;
update discovery_sources set answered_at = at where ok;
