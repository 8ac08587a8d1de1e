import fc from "fast-check";

/** Each run tries the same cases. A failure is enough; a smaller one would only cost time. */
fc.configureGlobal({ seed: 1, endOnFailure: true });
