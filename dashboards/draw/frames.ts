// Prometheus' answers as the data frames that Grafana's components take.

import {
  FieldType,
  applyFieldOverrides,
  identityOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  toDataFrame,
  transformDataFrame,
  FieldConfigOptionsRegistry,
  type DataFrame,
  type FieldConfigPropertyItem,
  type GrafanaTheme2,
} from "@grafana/data";
import type { Panel } from "@grafana/schema";
import { lastValueFrom } from "rxjs";

/** Where the demo was recorded, and what its clock showed at the end, in seconds. */
export type World = { prometheus: string; now: number; step: number };

export type Stretch = { from: number; to: number };

type Target = { refId: string; expr: string; instant: boolean; format: string; legendFormat?: string };
type Series = { metric: Record<string, string>; value?: [number, string]; values?: Array<[number, string]> };

/** Replaces variables in expressions, titles and names. */
export type Fill = (text: string) => string;

// Some stand under two names.
const transformers = new Map(Object.values(standardTransformers).map((one) => [one.id, one]));
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    aliasIds: [],
    transformation: () => Promise.resolve(transformation as never),
    editor: (() => null) as never,
    imageDark: "",
    imageLight: "",
  })),
);

export async function ask(world: World, expr: string, at: Stretch | undefined): Promise<Series[]> {
  const form: Record<string, string> = { query: expr };
  if (at === undefined) form.time = String(world.now);
  else Object.assign(form, { start: String(at.from), end: String(at.to), step: String(world.step) });
  const answer = await fetch(`${world.prometheus}/api/v1/${at ? "query_range" : "query"}`, {
    method: "POST",
    body: new URLSearchParams(form),
  });
  const told = await answer.json();
  if (told.status !== "success") throw new Error(`${expr}: ${told.error}`);
  return told.data.result;
}

function legend(format: string | undefined, metric: Record<string, string>): string {
  if (format === undefined) return "Value";
  return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? "");
}

function overTime(target: Target, series: Series, at: Stretch, step: number, fill: Fill): DataFrame {
  const known = new Map((series.values ?? []).map(([time, value]) => [time, Number(value)]));
  const times: number[] = [];
  // Grafana breaks a line where its samples are further apart than asked for.
  for (let time = at.from; time <= at.to; time += step) times.push(time);
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: times.map((time) => time * 1000), config: {} },
      {
        name: "Value",
        type: FieldType.number,
        values: times.map((time) => known.get(time) ?? null),
        labels: series.metric,
        config: { displayNameFromDS: fill(legend(target.legendFormat, series.metric)) },
      },
    ],
  });
}

function ofNow(target: Target, series: Series, fill: Fill): DataFrame {
  const [time, value] = series.value ?? [0, "NaN"];
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: [time * 1000], config: {} },
      {
        name: "Value",
        type: FieldType.number,
        values: [Number(value)],
        labels: series.metric,
        config: { displayNameFromDS: fill(legend(target.legendFormat, series.metric)) },
      },
    ],
  });
}

function asTable(target: Target, all: Series[], alone: boolean): DataFrame {
  const labels = [...new Set(all.flatMap((series) => Object.keys(series.metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: all.map((series) => (series.value?.[0] ?? 0) * 1000), config: {} },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        values: all.map((series) => series.metric[label] ?? ""),
        config: {},
      })),
      {
        name: alone ? "Value" : `Value #${target.refId}`,
        type: FieldType.number,
        values: all.map((series) => Number(series.value?.[1])),
        config: {},
      },
    ],
  });
}

/** What a panel shows: its questions asked, its transformations and its field configuration applied. */
export async function framesOf(panel: Panel, world: World, at: Stretch, fill: Fill, theme: GrafanaTheme2): Promise<DataFrame[]> {
  const targets = (panel.targets ?? []) as unknown as Target[];
  const asked = targets.map(async (target): Promise<DataFrame[]> => {
    const all = await ask(world, fill(target.expr), target.instant ? undefined : at);
    if (target.format === "table") return all.length === 0 ? [] : [asTable(target, all, targets.length === 1)];
    return all.map((series) =>
      target.instant ? ofNow(target, series, fill) : overTime(target, series, at, world.step, fill),
    );
  });
  const frames = (await Promise.all(asked)).flat();
  const filled = JSON.parse(fill(JSON.stringify(panel.transformations ?? [])));
  const transformed = await lastValueFrom(transformDataFrame(filled, frames));
  return applyFieldOverrides({
    data: transformed,
    fieldConfig: JSON.parse(fill(JSON.stringify(panel.fieldConfig))),
    fieldConfigRegistry: registry,
    replaceVariables: (text) => text,
    theme,
    timeZone: "utc",
  });
}

const FIELD = ["unit", "decimals", "min", "max", "displayName", "noValue", "color", "mappings", "thresholds", "links"];
const CUSTOM = [
  "align", "axisBorderShow", "axisCenteredZero", "axisColorMode", "axisLabel", "axisPlacement", "axisSoftMax", "barAlignment",
  "cellOptions", "drawStyle", "fillBelowTo", "fillOpacity", "footer", "gradientMode", "hideFrom", "insertNulls",
  "inspect", "lineInterpolation", "lineStyle", "lineWidth", "minWidth", "pointSize", "scaleDistribution", "showPoints",
  "spanNulls", "stacking", "width",
];

/** What may be configured of a field. */
const registry = new FieldConfigOptionsRegistry(() => [
  ...FIELD.map((path) => property(path, path, false)),
  ...CUSTOM.map((path) => property(`custom.${path}`, path, true)),
]);

function property(id: string, path: string, isCustom: boolean): FieldConfigPropertyItem {
  return {
    id,
    path,
    isCustom,
    name: id,
    description: "",
    editor: (() => null) as never,
    override: (() => null) as never,
    process: identityOverrideProcessor,
    shouldApply: () => true,
    settings: {},
  };
}
