// Validators generated from Grafana's TypeScript types: unknown keys and values of the wrong type are faults.
import Ajv from 'ajv';
import { fileURLToPath } from 'node:url';
import { createGenerator } from 'ts-json-schema-generator';

const schema = createGenerator({
  path: fileURLToPath(new URL('dashboard.ts', import.meta.url)),
  type: 'Shapes',
  expose: 'none',
  skipTypeCheck: true,
}).createSchema('Shapes');

const ajv = new Ajv({ strict: false, allErrors: true });
ajv.addSchema(schema, 'shapes');

const shapes = schema.definitions?.Shapes ?? schema;
const base = schema.definitions?.Shapes ? 'shapes#/definitions/Shapes/properties' : 'shapes#/properties';
export const panelTypes = Object.keys(shapes.properties.panels.properties);

const compiled = new Map();

// Return the faults of a value against the shape at `path`, as `dashboard` or `panels/properties/stat`.
export function faultsOf(path, value) {
  if (!compiled.has(path)) {
    compiled.set(path, ajv.compile({ $ref: `${base}/${path}` }));
  }
  const validate = compiled.get(path);
  if (validate(value)) {
    return [];
  }
  return validate.errors.map((error) => {
    const what = error.params.additionalProperty ?? error.params.allowedValues?.join(', ') ?? '';
    return `${error.instancePath || '/'} ${error.message} ${what}`.trim();
  });
}
