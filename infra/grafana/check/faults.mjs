// Faults of a dashboard that Grafana would reject or silently ignore.
import grafana from './grafana.cjs';
import { faultsOf, panelTypes } from './shapes.mjs';

const { createTheme, dateMath, fieldMatchers, fieldReducers, getValueFormats, rangeUtil, standardTransformers } = grafana;

const UNITS = new Set(getValueFormats().flatMap((category) => category.submenu.map((unit) => unit.value)));
const TRANSFORMATIONS = new Set(Object.values(standardTransformers).map((transformer) => transformer.id));
const HUES = createTheme().visualization.hues.flatMap((hue) => [hue.name, ...hue.shades.flatMap((s) => [s.name, ...(s.aliases ?? [])])]);
const COLORS = new Set([...HUES, 'text', 'transparent', 'gray', 'black', 'white']);
const OWN_VARIABLES = /^(__\w+|timezone)$/;
const WIDTH = 24;

export function faults(dashboard, uids) {
  const shape = faultsOf('dashboard', dashboard);
  if (shape.length > 0) {
    return shape;
  }
  const panels = dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
  return [
    ...panels.flatMap((panel) => panelFaults(panel).map((fault) => `panel ${panel.id} (${panel.title}): ${fault}`)),
    ...repeated(panels.map((panel) => panel.id)).map((id) => `two panels have the id ${id}`),
    ...repeated(dashboard.templating.list.map((v) => v.name)).map((name) => `two variables are called ${name}`),
    ...overlaps(panels),
    ...times(dashboard),
    ...variables(dashboard),
    ...links(dashboard, uids),
    ...sources(dashboard),
  ];
}

function panelFaults(panel) {
  if (!panelTypes.includes(panel.type)) {
    return [`${panel.type} is no panel type that is known here`];
  }
  const shape = faultsOf(`panels/properties/${panel.type}`, panel);
  if (shape.length > 0 || panel.type === 'row') {
    return shape;
  }
  const { defaults, overrides } = panel.fieldConfig;
  return [
    ...overrides.flatMap((override) => overrideFaults(panel.type, override)),
    ...settingFaults(defaults),
    ...repeated(panel.targets.map((target) => target.refId)).map((id) => `two queries are called ${id}`),
    ...(panel.targets.length === 0 ? ['it asks nothing'] : []),
    ...(panel.options.reduceOptions?.calcs ?? []).flatMap(reducerFaults),
    ...(panel.transformations ?? []).flatMap(transformationFaults),
    ...(panel.interval && !isInterval(panel.interval) ? [`${panel.interval} is no interval`] : []),
  ];
}

function overrideFaults(type, { matcher, properties }) {
  const settings = { custom: {} };
  for (const { id, value } of properties) {
    const inner = id.startsWith('custom.') ? settings.custom : settings;
    inner[id.replace(/^custom\./, '')] = value;
  }
  return [
    ...(fieldMatchers.getIfExists(matcher.id) ? [] : [`there is no matcher ${matcher.id}`]),
    ...faultsOf(`overrides/properties/${type}`, settings),
    ...settingFaults(settings),
  ];
}

function settingFaults({ unit, color, thresholds, mappings }) {
  const colors = [color?.fixedColor, ...(thresholds?.steps ?? []).map((step) => step.color)];
  const mapped = (mappings ?? []).flatMap(({ options }) => (options.result ? [options.result] : Object.values(options)));
  return [
    ...(unit === undefined || UNITS.has(unit) ? [] : [`there is no unit ${unit}`]),
    ...[...colors, ...mapped.map((result) => result.color)].filter((c) => c && !isColor(c)).map((c) => `${c} is no color`),
    ...(thresholds && !ascending(thresholds.steps.map((step) => step.value)) ? ['thresholds are not ascending'] : []),
  ];
}

const isColor = (color) => COLORS.has(color) || /^(#[0-9a-f]{6}|rgba?\([\d., ]+\))$/i.test(color);

function ascending(values) {
  return values[0] === null && values.slice(1).every((value, index) => index === 0 || value > values[index]);
}

const reducerFaults = (id) => (fieldReducers.getIfExists(id) ? [] : [`there is no reducer ${id}`]);

function transformationFaults({ id, options, filter }) {
  const reducers = [options.window?.reducer, options.reduce?.reducer, options.cumulative?.reducer, ...(options.reducers ?? [])];
  const modes = ['reduceRow', 'cumulativeFunctions', 'windowFunctions', 'binary', 'unary', 'index'];
  return [
    ...(TRANSFORMATIONS.has(id) ? [] : [`there is no transformation ${id}`]),
    ...(id === 'calculateField' && !modes.includes(options.mode) ? [`there is no calculation ${options.mode}`] : []),
    ...(filter && !fieldMatchers.getIfExists(filter.id) ? [`there is no matcher ${filter.id}`] : []),
    ...reducers.filter((reducer) => reducer !== undefined).flatMap(reducerFaults),
  ];
}

function overlaps(panels) {
  const placed = panels.map(({ id, gridPos: { x, y, w, h } }) => ({ id, x, y, right: x + w, bottom: y + h }));
  const outside = placed.filter((p) => p.x < 0 || p.right > WIDTH).map((p) => `panel ${p.id} does not fit into ${WIDTH} columns`);
  const over = placed.flatMap((a, index) =>
    placed
      .slice(index + 1)
      .filter((b) => a.x < b.right && b.x < a.right && a.y < b.bottom && b.y < a.bottom)
      .map((b) => `panels ${a.id} and ${b.id} overlap`)
  );
  return [...outside, ...over];
}

function times({ time, refresh }) {
  const range = [time.from, time.to].filter((text) => !dateMath.isMathString(text) || !dateMath.isValid(text));
  return [
    ...range.map((text) => `${text} is no time`),
    ...(refresh && !isInterval(refresh) ? [`${refresh} is no interval`] : []),
  ];
}

function isInterval(text) {
  try {
    return rangeUtil.intervalToMs(text) > 0;
  } catch {
    return false;
  }
}

function variables({ templating, ...rest }) {
  const known = new Set(templating.list.map((variable) => variable.name));
  const texts = [...strings(rest), ...templating.list.flatMap((v) => strings({ ...v, regex: '' }))];
  const used = texts.flatMap((text) => [...text.matchAll(/\$(?:\{(\w+)|(\w+))/g)].map((match) => match[1] ?? match[2]));
  const undefinedOnes = [...new Set(used)].filter((name) => !known.has(name) && !OWN_VARIABLES.test(name) && !/^\d/.test(name));
  const targets = [...texts.join('\n').matchAll(/var-(\w+)=/g)].map((match) => match[1]);
  return [
    ...undefinedOnes.map((name) => `there is no variable ${name}`),
    ...rest.panels.filter((p) => p.repeat && !known.has(p.repeat)).map((p) => `panel ${p.id} repeats by ${p.repeat}, which is no variable`),
    ...[...new Set(targets)].filter((name) => !['source', 'symbol', 'interval'].includes(name)).map((name) => `no dashboard has a variable ${name} to link to`),
  ];
}

function links(dashboard, uids) {
  const linked = strings(dashboard).flatMap((text) => [...text.matchAll(/\/d\/([\w-]+)/g)].map((match) => match[1]));
  return [...new Set(linked)].filter((uid) => !uids.includes(uid)).map((uid) => `there is no dashboard ${uid} to link to`);
}

// Only the datasources of the source that is chosen, and those that Grafana has of itself.
const SOURCES = {
  influxdb: '${source}',
  'grafana-postgresql-datasource': '${source}-facts',
  datasource: '-- Mixed --',
  grafana: '-- Grafana --',
};

function sources(dashboard) {
  const found = objects(dashboard).map((object) => object.datasource).filter((source) => source !== undefined);
  return [...new Set(found.filter(({ type, uid }) => SOURCES[type] !== uid).map(({ type, uid }) => `there is no datasource ${uid} of type ${type}`))];
}

function objects(value) {
  if (value === null || typeof value !== 'object') {
    return [];
  }
  return [...(Array.isArray(value) ? [] : [value]), ...Object.values(value).flatMap(objects)];
}

function strings(value) {
  if (typeof value === 'string') {
    return [value];
  }
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(strings) : [];
}

const repeated = (values) => values.filter((value, index) => values.indexOf(value) !== index);
