/**
 * Makes bytes smaller while `fails` holds (ddmin: drops halves, quarters and so on down to single bytes, until
 * nothing more can go).
 */
export async function shrink(bytes: Buffer, fails: (smaller: Buffer) => Promise<boolean>): Promise<Buffer> {
  let current = bytes;
  for (let size = Math.max(1, current.length >> 1); ; ) {
    let hasShrunk = false;
    for (let at = 0; at < current.length; ) {
      const smaller = Buffer.concat([current.subarray(0, at), current.subarray(at + size)]);
      if (await fails(smaller)) {
        current = smaller;
        hasShrunk = true;
      } else at += size;
    }
    if (size > 1) size >>= 1;
    else if (!hasShrunk) return current;
  }
}
