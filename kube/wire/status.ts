/** metav1.Status as far as we send it: always a failure. */
export interface KubernetesStatus {
  /** HTTP status. */
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly details: StatusDetails | undefined;
}

export interface StatusDetails {
  readonly name: string;
  readonly group: string;
  /** The API server writes the resource here when the kind is not known. */
  readonly kind: string;
  readonly retryAfterSeconds: number | undefined;
}
