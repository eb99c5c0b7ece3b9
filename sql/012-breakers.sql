-- What a breaker remembers beside its state (openings, when it may be tried again, what it withholds, …): always read
-- and written as a whole, most of it absent. Times are ms since 1970.
alter table breakers add column memory json not null default '{}';
update breakers set memory = json_strip_nulls(json_build_object(
  'conditionSince', round(date_part('epoch', condition_since) * 1000),
  'withholds', case when max_input_mb is not null then json_build_object('maxInputMB', max_input_mb) end));
alter table breakers drop column condition_since, drop column max_input_mb;

-- The site breaker that the path's breaker opened as a part of.
alter table breaker_transitions add column part_of text;

-- Persons' words over breakers. They stay after their time, as a record of who said what.
create table forcings (
  id bigint generated always as identity primary key,
  -- '*' stands for every site.
  src_site text not null,
  dst_site text not null,
  -- Null: every policy.
  policy text,
  state text not null,
  owner text not null,
  reason text not null,
  at timestamptz not null,
  until timestamptz not null
);
create index on forcings (until);
