import { CtrlmeshError, toCtrlmeshError } from "#api/errors";

/**
 * Adds the place in a file of manifests to what goes wrong.
 *
 * @throws what was thrown, a pod that is none as INVALID_RESOURCE: nobody sent an AdmissionReview
 */
export function at<T>(place: string, act: () => T): T {
  try {
    return act();
  } catch (thrown) {
    const error = toCtrlmeshError(thrown);
    if (error.code === "INVALID_FLAG") throw error;
    const code = error.code === "ADMISSION_REVIEW_INVALID" ? "INVALID_RESOURCE" : error.code;
    throw new CtrlmeshError(code, { where: place, what: error.message, cause: error });
  }
}
