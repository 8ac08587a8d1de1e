import { PROBLEMS, type ProblemSlug, problemOf, typeOf } from "./problems.ts";

/** Every problem as the page of errors shows it. */
export const errorCatalogue = () => ({
  errors: Object.keys(PROBLEMS).map((name) => {
    const slug = name as ProblemSlug;
    const { status, title, when, action, members = {} } = problemOf(slug);
    return { slug, type: typeOf(slug), status, title, members: Object.keys(members), when, action };
  }),
});
