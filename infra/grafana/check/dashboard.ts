// A dashboard in Grafana's own types, where each panel type has its own options and field settings.
import type * as raw from '@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type * as bargauge from '@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen';
import type * as candlestick from '@grafana/schema/dist/types/raw/composable/candlestick/panelcfg/x/types.gen';
import type * as stat from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type * as table from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type * as timeseries from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';
import type * as trend from '@grafana/schema/dist/types/raw/composable/trend/panelcfg/x/types.gen';

interface DataLink {
  title: string;
  url: string;
  targetBlank: boolean;
}

interface Flux {
  refId: string;
  datasource: { type: 'influxdb'; uid: string };
  query: string;
}

interface Sql {
  refId: string;
  datasource: { type: 'grafana-postgresql-datasource'; uid: string };
  format: 'table' | 'time_series';
  rawQuery: true;
  editorMode: 'code';
  rawSql: string;
}

interface FieldConfig<Custom> extends Omit<raw.FieldConfig, 'custom' | 'links' | 'noValue'> {
  noValue: string; // an empty panel says why it is empty
  custom?: Partial<Custom>;
  links?: DataLink[];
}

interface PanelOf<Type extends string, Options, Custom>
  extends Omit<raw.Panel, 'type' | 'options' | 'fieldConfig' | 'targets' | 'id' | 'gridPos' | 'datasource' | 'title'> {
  id: number;
  type: Type;
  title: string;
  gridPos: raw.GridPos;
  datasource: Required<raw.DataSourceRef>;
  targets: Array<Flux | Sql>;
  options: Options;
  fieldConfig: {
    defaults: FieldConfig<Custom>;
    overrides: Array<{ matcher: raw.MatcherConfig; properties: Array<{ id: string; value?: unknown }> }>;
  };
}

interface Annotation extends Omit<raw.AnnotationQuery, 'target'> {
  target?: Sql;
}

interface Dashboard extends Omit<raw.Dashboard, 'panels' | 'annotations' | 'uid' | 'title' | 'time' | 'templating'> {
  uid: string;
  title: string;
  time: { from: string; to: string };
  panels: Array<{ id: number; type: string; [key: string]: unknown }>; // each is checked against its own shape
  annotations: { list: Annotation[] };
  templating: { list: raw.VariableModel[] };
}

// The settings that an override changes.
type Override<Custom> = Partial<FieldConfig<Custom>>;

export interface Shapes {
  dashboard: Dashboard;
  panels: {
    bargauge: PanelOf<'bargauge', bargauge.Options, Record<string, never>>;
    candlestick: PanelOf<'candlestick', candlestick.Options, candlestick.FieldConfig>;
    row: raw.RowPanel;
    stat: PanelOf<'stat', stat.Options, Record<string, never>>;
    table: PanelOf<'table', table.Options, table.FieldConfig>;
    timeseries: PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>;
    trend: PanelOf<'trend', trend.Options, trend.FieldConfig>;
  };
  overrides: {
    bargauge: Override<Record<string, never>>;
    candlestick: Override<candlestick.FieldConfig>;
    stat: Override<Record<string, never>>;
    table: Override<table.FieldConfig>;
    timeseries: Override<timeseries.FieldConfig>;
    trend: Override<trend.FieldConfig>;
  };
}
