/**
 * What `ctrlmesh` ends with. An error (code, what, where, remedy on standard error) ends with the exit code of its
 * row in `api/errors.ts`, which is one of these.
 */
export const exitCodes = {
  good: 0,
  /** Something is wrong in the cluster, or it could not be found out. */
  problems: 1,
  /** A flag, a setting or a file that the command was given is wrong. */
  usage: 2,
  /** `plan --detailed-exitcode`: applying the file would move something. */
  changes: 3,
  /** Ended by SIGINT, as shells say it. */
  interrupted: 130,
} as const;
