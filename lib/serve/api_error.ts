import { AbortedError, ConfigError } from "../base/errors.js";
import { TemplateError } from "../text/chat_template.js";

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The entry of the request that is wrong. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** What a request is answered when it cannot be carried out, as OpenAI's API spells it. */
export class ApiError extends Error {
  constructor(
    readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 429 | 500 | 503 | 504,
    message: string,
    readonly details: {
      readonly param?: string;
      readonly code?: string;
      readonly headers?: Record<string, string>;
    } = {},
  ) {
    super(message);
  }

  get body(): ErrorBody {
    const { param = null, code = null } = this.details;
    return { error: { message: this.message, type: typeOf(this.status), param, code } };
  }
}

export const badRequest = (message: string, param?: string, code?: string): ApiError =>
  new ApiError(400, message, { ...(param !== undefined && { param }), ...(code !== undefined && { code }) });

export const shuttingDown = (): ApiError =>
  new ApiError(503, "The server is shutting down.", { code: "shutting_down", headers: { Connection: "close" } });

/** The answer to an error; undefined for one that no request explains, which is a defect. */
export function toApiError(error: unknown): ApiError | undefined {
  if (error instanceof ApiError) return error;
  if (error instanceof TemplateError) return badRequest(error.message, "messages");
  if (error instanceof ConfigError) return badRequest(error.message, snakeCase(error.key));
  if (error instanceof AbortedError) return shuttingDown();
  return undefined;
}

/** What a client is told of a defect, which is nothing about it. */
export const internalError = (): ApiError =>
  new ApiError(500, "The server had an error while it processed the request.");

function typeOf(status: ApiError["status"]): string {
  if (status >= 500) return "server_error";
  return status === 429 ? "rate_limit_error" : "invalid_request_error";
}

const snakeCase = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
