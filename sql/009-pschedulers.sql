-- Where hosts registered their pScheduler, the preferred URL first.
alter table hosts add column pscheduler_urls text[] not null default '{}';
