// Panels: what every panel of a kind has in common, and how panels are laid out in rows.

import {
  AxisColorMode,
  AxisPlacement,
  BarAlignment,
  BarGaugeDisplayMode,
  BarGaugeNamePlacement,
  BarGaugeSizing,
  BarGaugeValueMode,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  FieldColorModeId,
  GraphDrawStyle,
  GraphGradientMode,
  LegendDisplayMode,
  LineInterpolation,
  MappingType,
  ScaleDistribution,
  SortOrder,
  StackingMode,
  TableCellDisplayMode,
  TableCellHeight,
  ThresholdsMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizOrientation,
  type DashboardLink,
  type DataTransformerConfig,
  type FieldConfig,
  type GraphFieldConfig,
  type Panel,
  type RowPanel,
  type TableFieldOptions,
  type Threshold,
  type ValueMapping,
} from "@grafana/schema";

import { DATASOURCE, type PrometheusQuery } from "./queries";

/** Money in whatever currency the series names: no symbol would be right for all. */
export const MONEY = "locale";

/** One thing that a panel asks. */
export type Asked = {
  expr: string;
  legend?: string;
};

export type Override = {
  matcher: { id: string; options: unknown };
  properties: Array<{ id: string; value: unknown }>;
};

export type Said = {
  title: string;
  /** What the figure means, and what to do about it. */
  description: string;
  /** What stands there instead of figures where there are none. */
  none?: string;
  width: number;
  height: number;
  links?: DashboardLink[];
  overrides?: Override[];
  /** The name of the variable for each value of which the panel is drawn. */
  repeat?: string;
};

type Field = FieldConfig<GraphFieldConfig & Partial<TableFieldOptions>>;

/** A panel that does not know its place yet. */
export type Unplaced = Omit<Panel, "gridPos" | "id"> & { size: [width: number, height: number] };

/** Colours with a meaning; everything else is coloured by its series. */
export const COLOUR = {
  good: "green",
  warn: "orange",
  bad: "red",
  low: "blue",
  idle: "semi-dark-orange",
  quiet: "#8e8e8e",
  none: "transparent",
} as const;

function letter(place: number): string {
  return String.fromCharCode("A".charCodeAt(0) + place);
}

function query(asked: Asked, place: number, format: "table" | "time_series", instant: boolean): PrometheusQuery {
  return {
    refId: letter(place),
    datasource: DATASOURCE,
    editorMode: "code",
    expr: asked.expr,
    format,
    instant,
    range: !instant,
    ...(asked.legend === undefined ? {} : { legendFormat: asked.legend }),
  };
}

function panel(
  type: string,
  said: Said,
  defaults: Field,
  options: Record<string, unknown>,
  targets: PrometheusQuery[],
  rest: Partial<Panel> = {},
): Unplaced {
  const { title, description, none, links, overrides, repeat } = said;
  return {
    type,
    title,
    description,
    datasource: DATASOURCE,
    size: [said.width, said.height],
    ...(repeat === undefined ? {} : { repeat, repeatDirection: "h", maxPerRow: 3 }),
    ...(links === undefined ? {} : { links }),
    ...rest,
    fieldConfig: {
      defaults: { ...defaults, ...(none === undefined ? {} : { noValue: none }) },
      overrides: overrides ?? [],
    },
    options,
    targets,
  };
}

/** Colours by value: each from its value on, the first from the least value on. */
export function steps(first: string, ...rest: Array<[from: number, color: string]>): { mode: ThresholdsMode; steps: Threshold[] } {
  return {
    mode: ThresholdsMode.Absolute,
    steps: [{ color: first, value: null }, ...rest.map(([value, color]) => ({ color, value }))],
  };
}

/** Words for values. */
export function words(...pairs: Array<[value: number | string, text: string, color?: string]>): ValueMapping[] {
  const options = pairs.map(([value, text, color], index) => [
    String(value),
    { text, index, ...(color === undefined ? {} : { color }) },
  ]);
  return [{ type: MappingType.ValueToText, options: Object.fromEntries(options) }];
}

type Shown = {
  unit: string;
  decimals?: number;
  mappings?: ValueMapping[];
  thresholds?: ReturnType<typeof steps>;
  min?: number;
  max?: number;
};

function shown({ unit, decimals, mappings, thresholds, min, max }: Shown, plain: FieldColorModeId): Field {
  return {
    unit,
    ...(decimals === undefined ? {} : { decimals }),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    color: { mode: thresholds ? FieldColorModeId.Thresholds : plain },
    mappings: mappings ?? [],
    thresholds: thresholds ?? steps(COLOUR.good),
  };
}

const LAST = { calcs: ["lastNotNull"], fields: "", values: false };

/** Large figures of now. */
export function stat(said: Said, how: Shown & { background?: boolean; text?: BigValueTextMode }, ...asked: Asked[]): Unplaced {
  const colored = how.thresholds !== undefined;
  const options = {
    colorMode: how.background ? BigValueColorMode.Background : colored ? BigValueColorMode.Value : BigValueColorMode.None,
    graphMode: BigValueGraphMode.None,
    justifyMode: BigValueJustifyMode.Auto,
    orientation: VizOrientation.Auto,
    reduceOptions: LAST,
    text: { titleSize: 14, valueSize: 28 },
    textMode: how.text ?? (asked.some((one) => one.legend !== undefined) ? BigValueTextMode.ValueAndName : BigValueTextMode.Value),
    wideLayout: true,
  };
  const targets = asked.map((one, place) => query(one, place, "time_series", true));
  return panel("stat", said, shown(how, FieldColorModeId.Thresholds), options, targets);
}

/** Bars of now, one for each series. */
export function bars(said: Said, how: Shown, ...asked: Asked[]): Unplaced {
  const options = {
    displayMode: BarGaugeDisplayMode.Basic,
    legend: { calcs: [], displayMode: LegendDisplayMode.List, placement: "bottom", showLegend: false },
    maxVizHeight: 300,
    minVizHeight: 16,
    minVizWidth: 8,
    namePlacement: BarGaugeNamePlacement.Left,
    orientation: VizOrientation.Horizontal,
    reduceOptions: LAST,
    showUnfilled: true,
    sizing: BarGaugeSizing.Auto,
    text: { titleSize: 12, valueSize: 14 },
    valueMode: how.thresholds ? BarGaugeValueMode.Color : BarGaugeValueMode.Text,
  };
  const targets = asked.map((one, place) => query(one, place, "time_series", true));
  return panel("bargauge", said, shown(how, FieldColorModeId.PaletteClassic), options, targets);
}

type Drawn = Shown & { custom?: Partial<GraphFieldConfig>; legend?: "right" | "bottom" };

/** Figures over time. */
export function graph(said: Said, how: Drawn, ...asked: Asked[]): Unplaced {
  const field = shown(how, FieldColorModeId.PaletteClassic);
  field.custom = { ...LINE, ...how.custom };
  const options = {
    legend: {
      calcs: [],
      displayMode: LegendDisplayMode.List,
      placement: how.legend ?? "bottom",
      showLegend: true,
    },
    tooltip: { mode: TooltipDisplayMode.Multi, sort: SortOrder.Descending, hideZeros: true },
  };
  return panel("timeseries", said, field, options, asked.map((one, place) => query(one, place, "time_series", false)));
}

const LINE: GraphFieldConfig = {
  axisBorderShow: false,
  axisCenteredZero: false,
  axisColorMode: AxisColorMode.Text,
  axisLabel: "",
  axisPlacement: AxisPlacement.Auto,
  barAlignment: BarAlignment.Center,
  drawStyle: GraphDrawStyle.Line,
  fillOpacity: 0,
  gradientMode: GraphGradientMode.None,
  hideFrom: { legend: false, tooltip: false, viz: false },
  insertNulls: false,
  lineInterpolation: LineInterpolation.Linear,
  lineWidth: 1,
  pointSize: 4,
  scaleDistribution: { type: ScaleDistribution.Linear },
  showPoints: VisibilityMode.Never,
  spanNulls: false,
  stacking: { group: "A", mode: StackingMode.None },
};

/** Areas upon each other. */
export const STACKED: Partial<GraphFieldConfig> = {
  fillOpacity: 55,
  lineWidth: 0,
  stacking: { group: "A", mode: StackingMode.Normal },
};

/** A column of a table: a label, a value, or one column less another. */
export type Column = {
  title: string;
  label?: string;
  expr?: string;
  less?: [from: string, what: string];
  unit?: string;
  decimals?: number;
  width?: number;
  mappings?: ValueMapping[];
  thresholds?: ReturnType<typeof steps>;
  cell?: "text" | "bar";
  min?: number;
  max?: number;
};

/**
 * A table of now. Rows of several questions become one where their labels are the same; labels that
 * have no column are left out.
 */
export function table(said: Said, columns: Column[], sort: [column: string, descending: boolean]): Unplaced {
  const asked = columns.filter((column) => column.expr !== undefined);
  const values = new Map(asked.map((column, place) => [column, asked.length === 1 ? "Value" : `Value #${letter(place)}`]));
  const source = (column: Column) => column.label ?? values.get(column) ?? column.title;
  const told = columns.filter((column) => column.less === undefined);
  const transformations: DataTransformerConfig[] = [
    { id: "merge", options: {} },
    { id: "filterFieldsByName", options: { include: { names: told.map(source) } } },
    {
      id: "organize",
      options: {
        excludeByName: {},
        includeByName: {},
        indexByName: Object.fromEntries(told.map((column, place) => [source(column), place])),
        renameByName: Object.fromEntries(told.map((column) => [source(column), column.title])),
      },
    },
    ...columns.flatMap(difference),
    // A difference is put last.
    ...(told.length === columns.length ? [] : [order(columns)]),
  ];
  const overrides = [...columns.map(override), ...(said.overrides ?? [])];
  const defaults: Field = {
    color: { mode: FieldColorModeId.Thresholds },
    custom: {
      align: "auto",
      cellOptions: { type: TableCellDisplayMode.Auto },
      footer: { reducers: [] },
      inspect: false,
      minWidth: 70,
    },
    mappings: [],
    thresholds: steps(COLOUR.good),
  };
  const options = {
    cellHeight: TableCellHeight.Sm,
    showHeader: true,
    sortBy: [{ desc: sort[1], displayName: sort[0] }],
  };
  const targets = asked.map(({ expr = "" }, place) => query({ expr }, place, "table", true));
  return panel("table", { ...said, overrides }, defaults, options, targets, { transformations });
}

function order(columns: Column[]): DataTransformerConfig {
  const indexByName = Object.fromEntries(columns.map(({ title }, place) => [title, place]));
  return { id: "organize", options: { excludeByName: {}, includeByName: {}, indexByName, renameByName: {} } };
}

function difference({ title, less }: Column): DataTransformerConfig[] {
  if (less === undefined) return [];
  const [from, what] = less.map((name) => ({ matcher: { id: "byName", options: name } }));
  const options = { mode: "binary", alias: title, binary: { left: from, operator: "-", right: what }, replaceFields: false };
  return [{ id: "calculateField", options }];
}

function override(column: Column): Override {
  const properties: Override["properties"] = [];
  const set = (id: string, value: unknown) => {
    if (value !== undefined) properties.push({ id, value });
  };
  // A row that has nothing here is no table without rows.
  set("noValue", "–");
  set("unit", column.unit);
  set("decimals", column.decimals);
  set("min", column.min);
  set("max", column.max);
  set("mappings", column.mappings);
  set("thresholds", column.thresholds);
  set("custom.width", column.width);
  if (column.cell === "bar") {
    set("custom.cellOptions", {
      mode: BarGaugeDisplayMode.Basic,
      type: TableCellDisplayMode.Gauge,
      valueDisplayMode: BarGaugeValueMode.Text,
    });
  } else if (column.thresholds !== undefined || column.mappings !== undefined) {
    set("custom.cellOptions", { type: TableCellDisplayMode.ColorText });
  }
  return { matcher: { id: "byName", options: column.title }, properties };
}

/** What differs for the series of a name. */
export function named(name: string, properties: Record<string, unknown>): Override {
  return {
    matcher: { id: "byName", options: name },
    properties: Object.entries(properties).map(([id, value]) => ({ id, value })),
  };
}

/** What differs for the series whose names match an expression. */
export function matching(expression: string, properties: Record<string, unknown>): Override {
  return { ...named(expression, properties), matcher: { id: "byRegexp", options: expression } };
}

/** A colour that stays with a name. */
export function fixed(name: string, color: string): Override {
  return named(name, { color: { mode: "fixed", fixedColor: color } });
}

export type Row = { title: string; panels: Unplaced[] };

/**
 * Grafana asks for figures of now at the end of the board's stretch. Where that lies in the future, they
 * are asked for in a stretch of their own.
 */
function ofNow(panel: Omit<Unplaced, "size">): Partial<Panel> {
  const isOfNow = panel.targets?.every((target) => target.instant);
  return isOfNow ? { timeFrom: "1h", hideTimeOverride: true } : {};
}

/** Lays rows out from the top to the bottom, panels from the left to the right. */
export function layOut(rows: Row[], endsInTheFuture: boolean): Array<Panel | RowPanel> {
  const placed: Array<Panel | RowPanel> = [];
  let y = 0;
  rows.forEach((row, number) => {
    // Of its row and its place in it, so that a panel that comes to a row moves no other row's.
    const id = (number + 1) * 100;
    placed.push({ id, type: "row", title: row.title, gridPos: { x: 0, y, w: 24, h: 1 }, collapsed: false, panels: [] });
    y += 1;
    let [x, tallest] = [0, 0];
    row.panels.forEach(({ size: [w, h], ...panel }, place) => {
      if (x + w > 24) [x, y, tallest] = [0, y + tallest, 0];
      placed.push({ id: id + place + 1, gridPos: { x, y, w, h }, ...(endsInTheFuture ? ofNow(panel) : {}), ...panel });
      [x, tallest] = [x + w, Math.max(tallest, h)];
    });
    y += tallest;
  });
  return placed;
}
