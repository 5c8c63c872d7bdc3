/** A resource that must be refused, by our parser and by every API server that has our CRDs. */
export interface BadResource {
  /** Sentence: what is wrong, "is refused" left out; starts with the defect's number where it shows one. */
  readonly title: string;
  readonly yaml: string;
  /** Field path that the error names. */
  readonly where: string;
  /** Part of the error's text. */
  readonly message: string;
}
