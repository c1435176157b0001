import { WestwindError } from "../base/errors.js";

/** A chat that its template refuses, with the template's own words (its raise_exception), or cannot render. */
export class TemplateError extends WestwindError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_TEMPLATE", `chat template: ${message}`, options);
  }
}
