import { toCtrlmeshError } from "#api/errors";
import { labels } from "#api/names";
import { type AdmissionRequest, allow, parseWithMeta, refuse, type Verdict } from "../admission-review.ts";

/**
 * The frame of every validation: only creates and updates of the object itself are judged, one that is being
 * deleted is let go, one with the label `ignore-validate` too, and whatever the parser or the check throws is
 * the refusal.
 */
export async function validateWith<T>(
  request: AdmissionRequest,
  parse: (object: unknown) => T,
  check: (object: T) => Verdict | Promise<Verdict>,
): Promise<Verdict> {
  const judged = request.operation === "CREATE" || request.operation === "UPDATE";
  if (!judged || (request.subResource ?? "") !== "") return allow;
  const { metadata } = parseWithMeta(request.object, "request.object");
  if (Object.hasOwn(metadata.labels ?? {}, labels.ignoreValidate)) return allow;
  // Else a finalizer could never be taken off an object that newer rules refuse.
  if (metadata.deletionTimestamp !== undefined) return allow;
  try {
    return await check(parse(request.object));
  } catch (thrown) {
    const error = toCtrlmeshError(thrown);
    if (error.code !== "INVALID_RESOURCE" && error.code !== "INVALID_LABEL_SELECTOR") throw error;
    return refuse(error);
  }
}
