-- Tests that somebody configured, as pSConfig templates and mesh configurations tell: what is silent can then be
-- told from what was never asked for.
create table expected_tests (
  -- URL of the document, and the name of the task in it.
  template text not null,
  task text not null,
  source text not null,
  destination text not null,
  test_type text not null,
  ip_version smallint,
  interval_seconds double precision,
  -- The configured URL by which the document was found.
  origin text not null,
  first_seen timestamptz not null,
  last_seen timestamptz not null,
  primary key (template, task, source, destination)
);
