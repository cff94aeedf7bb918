// Reads JSON Schemas of the OpenAPI document: types in words, and fields as rows. Pure functions: they need no page.

/** Return what a list, a map or a value that may be null is made of. */
function innerOf(schema) {
  for (;;) {
    if (schema.anyOf !== undefined) schema = schema.anyOf[0];
    else if (typeof schema.items === "object") schema = schema.items;
    else if (typeof schema.additionalProperties === "object") schema = schema.additionalProperties;
    else return schema;
  }
}

const isAmount = (schema) => schema.properties?.dash !== undefined;

/** Return the type of a schema in words: "list of numbers" is "list of number". */
export function typeOf(schema) {
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(" or ");
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type })).join(" or ");
  if (schema.enum !== undefined) return schema.enum.join(" | ");
  if (schema.type === "array" && typeof schema.items === "object") return `list of ${typeOf(schema.items)}`;
  if (isAmount(schema)) return "amount";
  if (typeof schema.additionalProperties === "object") return `map of ${typeOf(schema.additionalProperties)}`;
  return schema.type ?? "any";
}

/** Return what follows the name of a list or a map of records: `[]` or `.*`. */
const markOf = (schema) => (schema.type === "array" ? "[]" : typeof schema.additionalProperties === "object" ? ".*" : "");

/** Return the fields of an answer, those within fields included, as {name, type, text}. */
export function fieldsOf(schema, prefix = "") {
  const inner = innerOf(schema);
  return Object.entries(inner.properties ?? {}).flatMap(([name, field]) => [
    { name: prefix + name, type: typeOf(field), text: field.description ?? "" },
    ...(isAmount(innerOf(field)) ? [] : fieldsOf(field, `${prefix}${name}${markOf(field)}.`)),
  ]);
}

/** Return the limits and the default of a parameter in words. */
export function limitsOf(schema) {
  const limits = [];
  if (schema.enum !== undefined) limits.push(schema.enum.join(" | "));
  if (schema.minimum !== undefined && schema.maximum !== undefined) limits.push(`${schema.minimum} to ${schema.maximum}`);
  if (schema.default !== undefined && schema.default !== null) limits.push(`default ${schema.default}`);
  return limits.join("; ");
}
