/** Who runs the pods' containers and has their output. */
export interface PodLogs {
  /**
   * The output of one container, oldest first, in pieces as they come. With `follow` it goes on until the
   * container ends or the signal aborts.
   *
   * @returns undefined when the pod or the container is not known
   */
  read(request: PodLogRequest, signal: AbortSignal): AsyncIterable<Uint8Array> | undefined;
}

export interface PodLogRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly container: string;
  readonly follow: boolean;
  /** The run before the last restart. */
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  readonly sinceSeconds: number | undefined;
}
