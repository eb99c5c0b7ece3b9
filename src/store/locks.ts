/** Keys of PostgreSQL's advisory locks, all in one place: they share one number space per database. */
export const ADVISORY_LOCKS = {
  migrations: 4_101,
  leader: 4_102,
  partitions: 4_103,
  /** First key of the two-key space; the second is a hash of the archive's key. */
  archiveClass: 4_104,
} as const;
