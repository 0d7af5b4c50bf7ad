/** An endpoint's OpenAPI document as the fields of a form. Pure: knows schemas, no page. */

export type Widget =
  | { kind: "photo" }
  | { kind: "archive" }
  | { kind: "text"; long: boolean }
  | { kind: "number"; whole: boolean; min?: number | undefined; max?: number | undefined; step: number }
  | { kind: "seed"; max: number }
  | { kind: "switch" }
  | { kind: "colour" }
  | { kind: "choice"; options: string[] }
  | { kind: "several"; options: string[] }
  | { kind: "size"; presets: string[]; max: number }
  | { kind: "json" };

export type Field = {
  name: string;
  description: string;
  required: boolean;
  /** Beyond fal's own schema. */
  extra: boolean;
  default: unknown;
  widget: Widget;
};

export type Schema = {
  type?: string;
  $ref?: string;
  anyOf?: Schema[];
  allOf?: Schema[];
  enum?: string[];
  const?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  ui?: { field?: string };
  "x-extension"?: boolean;
  "x-fal-order-properties"?: string[];
};

export type OpenApi = { components: { schemas: Record<string, Schema> } };

type Schemas = Record<string, Schema>;

function resolved(schema: Schema, schemas: Schemas): Schema {
  const inner = schema.$ref ? schema : schema.allOf?.length === 1 ? schema.allOf[0] : undefined;
  const name = inner?.$ref?.split("/").pop();
  return name ? { ...schemas[name], ...schema } : schema;
}

/** The fields of the input model, in its own order. */
export function fieldsOf(document: OpenApi, model: string): Field[] {
  const schemas = document.components.schemas;
  const input = schemas[model] ?? {};
  const properties = input.properties ?? {};
  const order = input["x-fal-order-properties"] ?? Object.keys(properties);
  return order.flatMap((name) => {
    const raw = properties[name];
    if (!raw) return [];
    const schema = resolved(raw, schemas);
    return [
      {
        name,
        description: schema.description ?? "",
        required: input.required?.includes(name) ?? false,
        extra: schema["x-extension"] === true,
        // Null stands for nothing said.
        default: schema.default ?? undefined,
        widget: widgetOf(name, schema, schemas),
      },
    ];
  });
}

function widgetOf(name: string, schema: Schema, schemas: Schemas): Widget {
  const branches = schema.anyOf?.map((branch) => resolved(branch, schemas)) ?? [];
  const presets = branches.find((branch) => branch.enum);
  const sized = branches.find((branch) => branch.properties?.width && branch.properties.height);
  if (sized) {
    return { kind: "size", presets: presets?.enum ?? [], max: sized.properties?.width?.maximum ?? 14142 };
  }
  // What may be left out is written as a choice of its kind and null.
  const [only] = branches.filter((branch) => branch.type !== "null");
  if (only && branches.length === 2 && branches.some((branch) => branch.type === "null")) {
    const { anyOf: _either, ...outside } = schema;
    return widgetOf(name, { ...outside, ...only }, schemas);
  }
  if (schema.enum) return { kind: "choice", options: schema.enum };
  if (schema.type === "array") {
    const options = schema.items && resolved(schema.items, schemas).enum;
    return options ? { kind: "several", options } : { kind: "json" };
  }
  if (schema.type === "boolean") return { kind: "switch" };
  if (schema.type === "integer" || schema.type === "number") return numberOf(name, schema);
  if (schema.type === "string" || presets) return textOf(name, schema);
  return { kind: "json" };
}

function textOf(name: string, schema: Schema): Widget {
  if (schema.ui?.field === "color") return { kind: "colour" };
  if (/archive|zip|_data_url$/.test(`${schema.ui?.field ?? ""} ${name}`)) return { kind: "archive" };
  if (schema.ui?.field === "image" || /image_url$/.test(name)) return { kind: "photo" };
  return { kind: "text", long: /prompt|text|caption/.test(name) };
}

function numberOf(name: string, schema: Schema): Widget {
  const whole = schema.type === "integer";
  if (name === "seed") return { kind: "seed", max: schema.maximum ?? 2 ** 32 - 1 };
  const min = schema.minimum ?? schema.exclusiveMinimum;
  const max = schema.maximum ?? schema.exclusiveMaximum;
  const fine = min !== undefined && max !== undefined && max - min <= 2 ? 0.01 : 0.1;
  return { kind: "number", whole, min, max, step: schema.multipleOf ?? (whole ? 1 : fine) };
}

/** Which fields stand open in the form; the others are settings. */
export function isFront(field: Field): boolean {
  return field.required || field.widget.kind === "photo" || field.widget.kind === "archive" || field.name === "prompt";
}

/** What is wrong with a value, before it is sent; undefined when nothing is. The server decides. */
export type Wrong = { text: "missing" | "photo" | "number" | "whole" | "between"; min?: number; max?: number };

export function wrongWith(field: Field, value: unknown): Wrong | undefined {
  const { widget } = field;
  if (value === undefined || value === "") {
    if (!field.required) return undefined;
    return { text: widget.kind === "photo" ? "photo" : "missing" };
  }
  if (widget.kind !== "number" && widget.kind !== "seed") return undefined;
  if (typeof value !== "number" || Number.isNaN(value)) return { text: "number" };
  if ((widget.kind === "seed" || widget.whole) && !Number.isInteger(value)) return { text: "whole" };
  const min = widget.kind === "seed" ? 0 : (widget.min ?? -Infinity);
  const max = widget.max ?? Infinity;
  return value < min || value > max ? { text: "between", min, max } : undefined;
}
