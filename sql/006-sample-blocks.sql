-- Samples in blocks: one row holds what one series measured in one span of time (src/store/blocks.ts). A row per sample
-- took fifty bytes and an index entry for each; this takes twelve.
--
-- `data`: `count` values (float8), then as many times (int4, ms after `at`), ascending, and then, unless all are good,
-- as many verdict ids (int2); each as PostgreSQL's own send functions write it. A value that is no number is NaN.
-- For people there is `sample_rows`, a row per sample.

-- Loss, delays and the like: a block spans two hours (UTC), a partition a day, `dense_samples_YYYYMMDD`.
create table dense_samples (
  at timestamptz not null,
  series_id integer not null,
  count integer not null,
  data bytea not null,
  primary key (series_id, at)
) partition by range (at);

-- Throughput, which is tested a few times a day: block and partition span seven days from a Thursday, the first day
-- after 1970 that is a multiple of seven.
create table sparse_samples (like dense_samples, primary key (series_id, at)) partition by range (at);

-- Compressing so few bytes, of which most are noise, takes time and saves little.
alter table dense_samples alter column data set storage external;
alter table sparse_samples alter column data set storage external;

-- Running totals, kept by the same transaction that writes the samples; by partition, so that what drops a partition
-- drops its totals.
create table sample_totals (
  partition text not null,
  verdict_id smallint not null,
  count bigint not null,
  primary key (partition, verdict_id)
) with (fillfactor = 70);

create function float8_from(bytes bytea) returns double precision language sql immutable strict as $$
  select case
    when exponent = 2047 and mantissa <> 0 then null
    when exponent = 2047 then sign * 'infinity'::float8
    when exponent = 0 then sign * mantissa * power(2::float8, -1074)
    else sign * (1 + mantissa / power(2::float8, 52)) * power(2::float8, exponent - 1023)
  end
  from (
    select
      case when bits < 0 then -1::float8 else 1::float8 end as sign,
      ((bits >> 52) & 2047)::integer as exponent,
      (bits & 4503599627370495)::float8 as mantissa
    from (select ('x' || encode(bytes, 'hex'))::bit(64)::bigint as bits) as input
  ) as parts
$$;

create function unpack_samples(block_at timestamptz, count integer, data bytea)
returns table (at timestamptz, value double precision, verdict_id smallint) language sql immutable strict as $$
  select
    block_at + ('x' || encode(substr(data, 8 * count + 4 * i + 1, 4), 'hex'))::bit(32)::integer * interval '1 ms',
    float8_from(substr(data, 8 * i + 1, 8)),
    case when length(data) = 12 * count then 1::smallint
      else (get_byte(data, 12 * count + 2 * i) * 256 + get_byte(data, 12 * count + 2 * i + 1))::smallint end
  from generate_series(0, count - 1) as i
$$;

create view sample_rows as
select series_id, sample.at, value, verdict, reason
from (
  select series_id, at, count, data from dense_samples
  union all
  select series_id, at, count, data from sparse_samples
) as block
cross join lateral unpack_samples(block.at, block.count, block.data) as sample
join verdicts on verdicts.id = verdict_id;

-- What there is moves into blocks.
create view earlier_samples as
select
  samples.*,
  metric in ('throughputMbps', 'retransmits') as is_sparse,
  to_timestamp(floor(extract(epoch from at) / span) * span) as block_at
from samples
join series on series.id = series_id
cross join lateral (
  select case when metric in ('throughputMbps', 'retransmits') then 604800 else 7200 end as span
) as spans;

do $$
declare
  first date;
begin
  for first in select distinct (block_at at time zone 'UTC')::date from earlier_samples where not is_sparse loop
    execute format('create table dense_samples_%s partition of dense_samples for values from (%L) to (%L)',
      to_char(first, 'YYYYMMDD'), first || ' 00:00:00+00', first + 1 || ' 00:00:00+00');
  end loop;
  for first in select distinct (block_at at time zone 'UTC')::date from earlier_samples where is_sparse loop
    execute format('create table sparse_samples_%s partition of sparse_samples for values from (%L) to (%L)',
      to_char(first, 'YYYYMMDD'), first || ' 00:00:00+00', first + 7 || ' 00:00:00+00');
  end loop;
end
$$;

create view earlier_blocks as
select
  is_sparse,
  block_at,
  series_id,
  count(*) as count,
  string_agg(float8send(coalesce(value, 'NaN')), '' order by at)
    || string_agg(int4send(round(extract(epoch from at - block_at) * 1000)::integer), '' order by at)
    || case when bool_and(verdict_id = 1) then '' else string_agg(int2send(verdict_id), '' order by at) end as data
from earlier_samples
group by is_sparse, series_id, block_at;

insert into dense_samples select block_at, series_id, count, data from earlier_blocks where not is_sparse;
insert into sparse_samples select block_at, series_id, count, data from earlier_blocks where is_sparse;

insert into sample_totals
select
  case when is_sparse then 'sparse_samples_' else 'dense_samples_' end || to_char(block_at at time zone 'UTC', 'YYYYMMDD'),
  verdict_id,
  count(*)
from earlier_samples
group by 1, 2;

drop view earlier_blocks, earlier_samples;
drop table samples, sample_counts;
