import { PROBLEMS, type ProblemSlug, problemOf, typeOf } from "./problems.ts";

/** Every problem as the page of errors shows it. */
export const errorCatalogue = () => ({
  errors: Object.keys(PROBLEMS).map((name) => {
    const slug = name as ProblemSlug;
    const { status, title, when, action, members = {} } = problemOf(slug);
    return { slug, type: typeOf(slug), status, title, members: Object.keys(members), when, action };
  }),
});

/** The same as a table in Markdown, which `docs/errors.md` contains. */
export const errorTable = (): string =>
  [
    "| status | type: `urn:sentinel:problem:` and | when | what to do | members |",
    "|---|---|---|---|---|",
    ...errorCatalogue().errors.map(
      ({ slug, status, when, action, members }) =>
        `| ${status} | \`${slug}\` | ${when} | ${action} | ${members.map((name) => `\`${name}\``).join(", ")} |`,
    ),
  ].join("\n");

// `bun run errors` prints it.
if (import.meta.main) console.log(errorTable());
