import type { HubSettings } from "./settings.js";

/** A model or data set of the hub. */
export interface Repo {
  readonly kind: "model" | "dataset";
  /** `owner/name`, or a bare `name`. */
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

/** What happens while something of the hub is looked for. Nothing is printed by the library. */
export type HubEvent =
  /** Bytes of the files that were missing; `file` is the one whose bytes came last. */
  | {
      readonly kind: "downloading";
      readonly name: string;
      readonly commit: string;
      readonly file: string;
      readonly done: number;
      readonly total: number;
    }
  /** The hub was asked for something and is asked again after so long. */
  | { readonly kind: "waiting"; readonly name: string; readonly seconds: number; readonly because: string }
  /** It is there, whole. `note` says why the hub was not asked whether it is the newest, if it should have been. */
  | {
      readonly kind: "located";
      readonly name: string;
      readonly revision: string;
      readonly commit: string;
      readonly path: string;
      readonly note?: string;
    };

/** What every request for one model or data set needs. */
export interface HubContext {
  readonly repo: Repo;
  readonly settings: HubSettings;
  readonly signal: AbortSignal | undefined;
  tell(event: HubEvent): void;
  /** Whether the hub has answered anything yet: before, that it cannot be reached is no failure that may pass. */
  readonly contact: { isMade: boolean };
}
