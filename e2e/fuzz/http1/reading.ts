/** The bytes of one connection in one direction. */
export type Stream =
  | { readonly kind: "requests"; readonly bytes: Buffer }
  | {
      readonly kind: "responses";
      readonly bytes: Buffer;
      /** The requests that the responses answer, in order. */
      readonly asked: readonly Asked[];
    };

export interface Asked {
  readonly isHead: boolean;
  /** It asked for an upgrade, so 101 is a valid answer. */
  readonly maySwitch: boolean;
}

/** What one reader made of one request or response. Texts are Latin-1; requests have status 0. */
export interface Message {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  /** Value of the first Accept. */
  readonly accept: string | undefined;
  /** Value of Upgrade where Connection names it. */
  readonly upgrade: string | undefined;
  readonly hasAuthorization: boolean;
  readonly expectsContinue: boolean;
  /** The connection ends behind this message. */
  readonly closes: boolean;
  /** Content, without the framing of chunks. */
  readonly body: Buffer;
  readonly bodyEnd: BodyEnd;
}

/** partial: the bytes ended before the body did. */
export type BodyEnd = "whole" | "partial" | "refused";

/** What one reader made of a stream. */
export interface Reading {
  readonly messages: readonly Message[];
  /**
   * - clean: the bytes ended between two messages, or inside a body
   * - partial: the bytes ended inside a head
   * - refused: a head or body was refused; `reason` says why
   * - closed: the last message ends the connection; what follows was not looked at
   */
  readonly end: "clean" | "partial" | "refused" | "closed";
  readonly reason: string;
}

/** One reader of streams besides ours. */
export type ReferenceName = "go" | "llhttp";
export const referenceNames = ["go", "llhttp"] as const;
