const MEDIA_TYPE = "application/problem+json";
const REFERENCE = "#/components/schemas/";

interface Reference {
  $ref: string;
}
interface Union {
  oneOf: Reference[];
  discriminator: { propertyName: string; mapping: Record<string, string> };
}
interface ProblemSchema {
  properties: { type: { const: string } };
}
export interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}
interface Operation {
  operationId: string;
  responses: Record<string, { content?: Record<string, { schema: Reference | Union }> }>;
}

/** A problem that an operation may answer with, and the name of its schema. */
interface Problem {
  type: string;
  status: string;
  schema: string;
  /** Whether the status has a body of another media type, and that one comes first. */
  isSecond: boolean;
}

/** The problems of each operation. */
export function problemsOf({ paths, components }: Document): Map<string, Problem[]> {
  const typeOf = (name: string) => (components.schemas[name] as ProblemSchema).properties.type.const;
  const operations = Object.values(paths).flatMap((item) => Object.values(item));
  return new Map(
    operations.map(({ operationId, responses }) => {
      const problems = Object.entries(responses).flatMap(([status, { content }]) => {
        const schema = content?.[MEDIA_TYPE]?.schema;
        const names = schema ? ("oneOf" in schema ? schema.oneOf : [schema]).map(nameOf) : [];
        const isSecond = Object.keys(content ?? {})[0] !== MEDIA_TYPE;
        return names.map((name) => ({ type: typeOf(name), status, schema: name, isSecond }));
      });
      return [operationId, problems];
    }),
  );
}

const nameOf = ({ $ref }: Reference) => $ref.replace(REFERENCE, "");

/** How the code of one generator names what an operation answers, and the schemas. */
export interface Naming {
  imports: string;
  response(operationId: string, status: string): string;
  schema(name: string): string;
  /** Knows only the first of a status's bodies. */
  isOfFirstBodies?: true;
}

export const OPENAPI_TYPESCRIPT: Naming = {
  imports: 'import type { components, operations } from "./openapi-typescript/sentinel.d.ts";',
  response: (operationId, status) =>
    `operations["${operationId}"]["responses"][${status}]["content"]["${MEDIA_TYPE}"]`,
  schema: (name) => `components["schemas"]["${name}"]`,
};

export const HEY_API: Naming = {
  imports: 'import type * as api from "./hey-api/types.gen.ts";',
  response: (operationId, status) =>
    `api.${operationId[0]?.toUpperCase()}${operationId.slice(1)}Errors[${status}]`,
  schema: (name) => `api.${name}`,
  isOfFirstBodies: true,
};

/**
 * A module that compiles only if each problem of an operation is narrowed by its type to its own schema and status,
 * and if the operation has no other. Bodies that are no problems have no `type`.
 */
export function narrowingModule(
  operations: Map<string, Problem[]>,
  { imports, response, schema, isOfFirstBodies }: Naming,
): string {
  const functions = [...operations].map(([operationId, all]) => {
    const problems = all.filter(({ isSecond }) => !(isSecond && isOfFirstBodies));
    const statuses = [...new Set(problems.map(({ status }) => status))];
    const cases = problems.map(
      ({ type, status, schema: name }) =>
        `    case "${type}":\n      return (problem satisfies ${schema(name)}).status satisfies ${status};`,
    );
    // TypeScript narrows unions only, so that there is one more than an operation with a single problem has.
    return `type ${operationId} = ${statuses.map((status) => response(operationId, status)).join(" | ")};
export function of_${operationId}(problem: Extract<${operationId}, { type: string }> | { type: "none" }) {
  switch (problem.type) {
${cases.join("\n")}
    case "none":
      return 0;
    default:
      return problem satisfies never;
  }
}`;
  });
  return [imports, ...functions, ""].join("\n");
}
