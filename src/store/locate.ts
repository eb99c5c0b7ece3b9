/** The sites, and which of them each subject was assigned to. Both are replaced as a whole. */
import type { Site, SiteAssignment } from '../domain.ts';
import type { Database } from './database.ts';
import { jsonParameter, type Nullable, withoutNulls } from './values.ts';

/** The full current sets: what is not among them goes. */
export async function saveAssignments(
  db: Database,
  assignments: readonly SiteAssignment[],
  sites: readonly Site[],
  at: Date,
): Promise<void> {
  await db.transaction(async (tx) => {
    // Two writers replacing the same set would each miss what the other adds.
    await tx.script('lock table sites, site_assignments in share row exclusive mode');
    const siteSet = jsonParameter(sites);
    await tx.query(
      `delete from sites where name not in (
         select name from jsonb_to_recordset($1::jsonb) as site(name text))`,
      [siteSet],
    );
    await tx.query(
      `insert into sites (name, latitude, longitude, hosts, prefixes, domains)
       select name, latitude, longitude, hosts, prefixes, domains
       from jsonb_to_recordset($1::jsonb) as site(
         name text, latitude float8, longitude float8, hosts text[], prefixes text[], domains text[])
       on conflict (name) do update set
         latitude = excluded.latitude, longitude = excluded.longitude, hosts = excluded.hosts,
         prefixes = excluded.prefixes, domains = excluded.domains
       where sites is distinct from excluded`,
      [siteSet],
    );
    const assignmentSet = jsonParameter(assignments);
    await tx.query(
      `delete from site_assignments where subject not in (
         select subject from jsonb_to_recordset($1::jsonb) as assignment(subject text))`,
      [assignmentSet],
    );
    await tx.query(
      `insert into site_assignments as earlier (subject, site, method, evidence, confidence, since)
       select subject, site, method, evidence, confidence, $2
       from jsonb_to_recordset($1::jsonb) as assignment(
         subject text, site text, method text, evidence text, confidence float8)
       on conflict (subject) do update set
         site = excluded.site, method = excluded.method, evidence = excluded.evidence,
         confidence = excluded.confidence,
         since = case when earlier.site is distinct from excluded.site then excluded.since else earlier.since end
       where (earlier.site, earlier.method, earlier.evidence, earlier.confidence)
         is distinct from (excluded.site, excluded.method, excluded.evidence, excluded.confidence)`,
      [assignmentSet, at],
    );
  });
}

/** By subject. */
export async function assignments(db: Database): Promise<SiteAssignment[]> {
  const rows = await db.query<Nullable<SiteAssignment>>(
    'select subject, site, method, evidence, confidence from site_assignments order by subject',
  );
  return rows.map((row) => withoutNulls<SiteAssignment>(row));
}

/** By name. */
export async function sites(db: Database): Promise<Site[]> {
  const rows = await db.query<Nullable<Site>>(
    'select name, latitude, longitude, hosts, prefixes, domains from sites order by name',
  );
  return rows.map((row) => withoutNulls<Site>(row));
}
