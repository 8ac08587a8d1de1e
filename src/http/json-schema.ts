import { z } from "zod";

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Integers beyond this are 64 bits wide in languages that tell them apart. */
const INT32_MAX = 2 ** 31 - 1;

/**
 * The JSON Schemas of a document, the named ones among them once. A schema is named by `.meta({ id })`.
 *
 * They are written for the code generators of several languages, which know less than JSON Schema 2020-12 has: no
 * `prefixItems`, no `not`, no defaults but scalars, no `anyOf` for a value that may be null.
 */
export class JsonSchemas {
  readonly named: Record<string, JsonSchema> = {};

  /** The schema of a request's value, or a reference to it. */
  ofInput(schema: z.ZodType): JsonSchema {
    return this.convert(schema, "input");
  }

  /** The schema of a response's value, or a reference to it. Clients must expect members that come later. */
  ofOutput(schema: z.ZodType): JsonSchema {
    return this.convert(schema, "output");
  }

  private convert(schema: z.ZodType, io: "input" | "output"): JsonSchema {
    // Wrapped, so that a schema with a name becomes a reference too.
    const { properties, $defs } = z.toJSONSchema(z.object({ it: schema }), {
      io,
      unrepresentable: "any",
      override: ({ zodSchema: { _zod }, jsonSchema }) => {
        // Zod leaves out the default of what is transformed.
        if (_zod.def.type === "default" && io === "input") jsonSchema.default ??= _zod.def.defaultValue;
      },
    });
    for (const [name, definition] of Object.entries($defs ?? {})) this.add(name, simplified(definition, io));
    return simplified(properties?.["it"], io);
  }

  private add(name: string, { id: _, ...definition }: JsonSchema): void {
    const known = this.named[name];
    if (known && JSON.stringify(known) !== JSON.stringify(definition))
      throw new Error(`two schemas are named ${name}`);
    this.named[name] = definition;
  }
}

/** With references to where an OpenAPI document keeps its schemas. */
function simplified(schema: unknown, io: "input" | "output"): JsonSchema {
  const text = JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/');
  // Inner schemas come before the ones that have them.
  return JSON.parse(text, (_, value) => {
    if (value instanceof Object) simplify(value, io);
    return value;
  }) as JsonSchema;
}

/** Changes a schema in place. */
function simplify(schema: JsonSchema, io: "input" | "output"): void {
  const { shownAs, ...rest } = schema;
  // What a transformation reads has no schema of its own.
  if (shownAs !== undefined) replace(schema, { ...(shownAs as JsonSchema), ...docsOf(rest) });
  if (schema.format === "date-time") delete schema.pattern;
  if (schema.format === "uuid") delete schema.pattern;
  if (schema.type === "number" && Number.isInteger(schema.const)) schema.type = "integer";
  if (schema.type === "integer") widen(schema);
  if (schema.prefixItems) pair(schema);
  if (schema.anyOf) simplifyChoice(schema);
  if (typeof schema.default === "object") delete schema.default;
  if (schema.type === "object") closeOrOpen(schema, io);
}

const docsOf = ({ description, default: value, examples }: JsonSchema): JsonSchema => ({
  ...(description !== undefined && { description }),
  ...(value !== undefined && { default: value }),
  ...(examples !== undefined && { examples }),
});

function replace(schema: JsonSchema, other: JsonSchema): void {
  for (const name of Object.keys(schema)) delete schema[name];
  Object.assign(schema, other);
}

function widen(schema: JsonSchema): void {
  if (Number(schema.maximum ?? 0) > INT32_MAX) schema.format = "int64";
  if (schema.minimum === -Number.MAX_SAFE_INTEGER) delete schema.minimum;
  if (schema.exclusiveMinimum === 0) {
    delete schema.exclusiveMinimum;
    schema.minimum = 1;
  }
}

/** A list with a fixed number of entries of the same kind. */
function pair(schema: JsonSchema): void {
  const { prefixItems: [items = {}, ...others] = [] } = schema;
  delete schema.prefixItems;
  Object.assign(schema, { items, minItems: others.length + 1, maxItems: others.length + 1 });
}

/** A value or null becomes one schema of two types; shapes of which exactly one fits are told as such. */
function simplifyChoice(schema: JsonSchema): void {
  const { anyOf = [] } = schema;
  const isNull = (each: JsonSchema) => each.type === "null";
  const [only, ...others] = anyOf.filter((each) => !isNull(each as JsonSchema)) as JsonSchema[];
  if (only && others.length > 0 && others.length + 1 === anyOf.length) {
    delete schema.anyOf;
    schema.oneOf = anyOf;
  }
  if (anyOf.length !== 2 || others.length > 0 || !only || typeof only.type !== "string") return;
  if (only.type === "object") return;
  const docs = docsOf(schema);
  replace(schema, { ...only, type: [only.type, "null"] as never, ...docs });
  if (Array.isArray(schema.enum)) schema.enum = [...schema.enum, null];
}

function closeOrOpen(schema: JsonSchema, io: "input" | "output"): void {
  if (io === "output" && schema.additionalProperties === false) delete schema.additionalProperties;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    // Fields that are refused with a reason of their own.
    if (typeof property === "object" && property.not) delete schema.properties?.[name];
  }
}
