// node render.mjs < JSON {dashboard, answers: {panel id: frames}}: run each panel's transformations on real results with
// Grafana's own code; print the fields that come out, and those that the panel uses but that don't.
import { readFileSync } from 'node:fs';
import { lastValueFrom } from 'rxjs';
import grafana from './grafana.cjs';

const { getFieldDisplayName, standardTransformers, standardTransformersRegistry, toDataFrame, transformDataFrame } = grafana;

// Some are listed twice, also under an older name.
const transformers = new Map(Object.values(standardTransformers).map((transformer) => [transformer.id, transformer]));
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    transformation: async () => transformation,
    editor: () => null,
  }))
);

const { dashboard, answers } = JSON.parse(readFileSync(0, 'utf8'));
const panels = dashboard.panels.filter((panel) => panel.id in answers);
const report = {};
for (const panel of panels) {
  const frames = answers[panel.id].map((frame) => toDataFrame(frame));
  const context = { interpolate: (text) => text };
  const shown = await lastValueFrom(transformDataFrame(panel.transformations ?? [], frames, context));
  report[panel.id] = { frames: shown.map((frame) => describe(frame, shown)), missing: missing(panel, shown) };
}
console.log(JSON.stringify(report));

function describe(frame, frames) {
  const fields = frame.fields.map((field) => ({
    name: getFieldDisplayName(field, frame, frames),
    type: field.type,
    values: field.values.filter((value) => value !== null && value !== undefined).length,
  }));
  return { rows: frame.length, fields };
}

function missing(panel, frames) {
  const names = new Set(frames.flatMap((frame) => frame.fields.map((field) => field.name)));
  const labels = new Set(frames.flatMap((frame) => frame.fields.flatMap((field) => Object.keys(field.labels ?? {}))));
  const text = JSON.stringify([panel.fieldConfig, panel.options]);
  const used = [
    ...panel.fieldConfig.overrides.filter(({ matcher }) => matcher.id === 'byName').map(({ matcher }) => matcher.options),
    ...Object.values(panel.options.fields ?? {}),
    ...(panel.options.sortBy ?? []).map((sort) => sort.displayName),
    ...(panel.options.xField ? [panel.options.xField] : []),
    ...[...text.matchAll(/__data\.fields\.(\w+)/g)].map((match) => match[1]),
    ...(panel.transformations ?? []).flatMap(({ options }) => [options.alias, ...(options.include?.names ?? [])]).filter(Boolean),
  ];
  const usedLabels = [...text.matchAll(/__field\.labels\.(\w+)/g)].map((match) => match[1]);
  return [
    ...[...new Set(used)].filter((name) => !names.has(name)).map((name) => `field ${name}`),
    ...[...new Set(usedLabels)].filter((name) => !labels.has(name)).map((name) => `label ${name}`),
    ...empty(panel, frames).map((name) => `a value of ${name}`),
    ...needed(panel, frames),
  ];
}

// Fields that a panel draws must have values.
function empty(panel, frames) {
  const drawn = [...Object.values(panel.options.fields ?? {}), ...(panel.options.xField ? [panel.options.xField] : [])];
  return drawn.filter((name) => !frames.some((frame) => frame.fields.some((f) => f.name === name && f.values.some((v) => v !== null && v !== undefined))));
}

function needed(panel, frames) {
  const has = (type) => frames.some((frame) => frame.fields.some((field) => field.type === type));
  const types = { timeseries: ['time', 'number'], candlestick: ['time', 'number'], stat: ['number'], bargauge: ['number'], trend: ['number'] };
  const one = ['candlestick', 'table', 'trend'].includes(panel.type) && frames.length !== 1 ? [`one frame, not ${frames.length}`] : [];
  return [...(types[panel.type] ?? []).filter((type) => !has(type)).map((type) => `a field of type ${type}`), ...one];
}
