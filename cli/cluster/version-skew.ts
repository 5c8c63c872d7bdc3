/**
 * How far a version is from the manager's, if more than one minor version: that is as far as an upgrade goes in one
 * step, and as far as both sides are tested with each other.
 *
 * @returns such as "2 minor versions behind"; undefined when they go together
 */
export function skewBetween(version: string, manager: string): string | undefined {
  const [own, theirs] = [parse(version), parse(manager)];
  if (own === undefined || theirs === undefined) return version === manager ? undefined : "not comparable to";
  if (own.major !== theirs.major) return `another major version than`;
  const minors = own.minor - theirs.minor;
  if (Math.abs(minors) <= 1) return undefined;
  return minors < 0 ? `${-minors} minor versions behind` : `${minors} minor versions ahead of`;
}

function parse(version: string): { readonly major: number; readonly minor: number } | undefined {
  const [, major, minor] = /^v?(\d+)\.(\d+)(?:\.|$)/.exec(version) ?? [];
  return major === undefined || minor === undefined
    ? undefined
    : { major: Number(major), minor: Number(minor) };
}
