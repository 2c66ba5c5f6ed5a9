// Draws a board from its own JSON with Grafana's own components, from a real Prometheus.

import {
  createTheme,
  dateTime,
  getDisplayProcessor,
  getFieldDisplayName,
  getFieldDisplayValues,
  ThemeContext,
  VizOrientation,
  type DataFrame,
  type FieldDisplay,
  type GrafanaTheme2,
} from "@grafana/data";
import type { Dashboard, Panel, RowPanel, VariableModel } from "@grafana/schema";
import { BarGauge, BigValue, GlobalStyles, PanelChrome, PortalContainer, TimeSeries, VizRepeater, type UPlotConfigBuilder } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";
import { Component, type ReactNode } from "react";
import { createRoot } from "react-dom/client";

import { ask, framesOf, type Fill, type Stretch, type World } from "./frames";

const [COLUMN, ROW, GAP] = [58, 30, 8];

type Mark = { name: string; color: string; from: number; to: number };
type Drawn = { panel: Panel; frames: DataFrame[]; title: string; at: Stretch };

declare global {
  interface Window {
    draw(board: Dashboard, world: World, mode: "light" | "dark", values: Record<string, string[]>): Promise<number>;
  }
}

window.draw = async (board, world, mode, values) => {
  const theme = createTheme({ colors: { mode } });
  const at = stretch(board, world);
  const variables = board.templating?.list ?? [];
  const marks = await marksOf(board, world, at, filler(variables, world, at, values), theme);
  const panels = repeated(board.panels ?? [], values);
  const drawn = await Promise.all(
    panels.map(async ([panel, scope]): Promise<Drawn | RowPanel> => {
      const fill = filler(variables, world, at, { ...values, ...scope });
      const title = filler(variables, world, at, { ...texts(variables), ...values, ...scope })(panel.title ?? "");
      if (panel.type === "row") return { ...(panel as RowPanel), title };
      const frames = await framesOf(panel as Panel, world, at, fill, theme);
      return { panel: panel as Panel, frames, title, at };
    }),
  );
  const bottom = Math.max(...panels.map(([panel]) => (panel.gridPos?.y ?? 0) + (panel.gridPos?.h ?? 0)));
  document.body.style.background = theme.colors.background.canvas;
  const place = document.getElementById("board");
  if (place === null) throw new Error("the page has no #board");
  createRoot(place).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <PortalContainer />
      <Top board={board} values={values} theme={theme} />
      <div style={{ position: "relative", height: bottom * (ROW + GAP) }}>
        {drawn.map((one) =>
          "panel" in one ? (
            <Box key={`${one.panel.id}-${one.title}`} drawn={one} marks={marks} theme={theme} />
          ) : (
            <Title key={one.id} row={one} theme={theme} />
          ),
        )}
      </div>
    </ThemeContext.Provider>,
  );
  return bottom * (ROW + GAP);
};

/** The stretch of time that the board opens with, at the instant at which the recording ends. */
function stretch(board: Dashboard, { now, step }: World): Stretch {
  const from = board.time?.from ?? "now-1h";
  if (from === "now/M") {
    const day = () => dateTime(now * 1000).utc();
    return { from: day().startOf("month").unix(), to: day().endOf("month").unix() };
  }
  const [, count, unit] = /^now-(\d+)([hd])$/.exec(from) ?? [];
  if (count === undefined) throw new Error(`the board begins at ${from}`);
  const length = Number(count) * (unit === "d" ? 86400 : 3600);
  return { from: Math.floor((now - length) / step) * step, to: now };
}

function filler(variables: VariableModel[], { step }: World, at: Stretch, values: Record<string, string[]>): Fill {
  const held: Record<string, string> = {
    __interval: `${step}s`,
    __rate_interval: `${4 * step}s`,
    __range: `${at.to - at.from}s`,
  };
  for (const { name, allValue, current } of variables) {
    const chosen = values[name];
    const first = Array.isArray(current?.value) ? undefined : current?.value;
    held[name] = chosen?.length === 1 ? (chosen[0] ?? "") : (first ?? allValue ?? "");
  }
  return (text) => text.replace(/\$\{?(\w+)(:\w+)?\}?/g, (whole, name: string) => held[name] ?? whole);
}

/** What a title calls the values that are chosen. */
function texts(variables: VariableModel[]): Record<string, string[]> {
  return Object.fromEntries(variables.map(({ name, current }) => [name, [current?.text ?? ""].flat()]));
}

/** Panels that are drawn once for each value of a variable, as Grafana lays them out. */
function repeated(panels: Array<Panel | RowPanel>, values: Record<string, string[]>): Array<[Panel | RowPanel, Record<string, string[]>]> {
  return panels.flatMap((panel): Array<[Panel | RowPanel, Record<string, string[]>]> => {
    const each = panel.repeat === undefined ? undefined : values[panel.repeat];
    if (each === undefined) return [[panel, {}]];
    const width = Math.floor(24 / Math.min(each.length, (panel as Panel).maxPerRow ?? 4));
    return each.map((value, place) => {
      const gridPos = { ...panel.gridPos, x: place * width, y: panel.gridPos?.y ?? 0, w: width, h: panel.gridPos?.h ?? 0 };
      return [{ ...panel, gridPos }, { [panel.repeat ?? ""]: [value] }];
    });
  });
}

async function marksOf(board: Dashboard, world: World, at: Stretch, fill: Fill, theme: GrafanaTheme2): Promise<Mark[]> {
  const all = (board.annotations?.list ?? []).map(async (annotation) => {
    const target = annotation.target as unknown as { expr: string };
    const { useValueForTime } = annotation as unknown as { useValueForTime: boolean };
    const found: Mark[] = [];
    for (const series of await ask(world, fill(target.expr), at)) {
      let open: Mark | undefined;
      for (const [time, value] of series.values ?? []) {
        const instant = useValueForTime ? Number(value) / 1000 : time;
        if (open !== undefined && instant - open.to <= world.step) open.to = instant;
        else found.push((open = { name: annotation.name, color: theme.visualization.getColorByName(annotation.iconColor), from: instant, to: instant }));
      }
    }
    return found;
  });
  return (await Promise.all(all)).flat();
}

function Top({ board, values, theme }: { board: Dashboard; values: Record<string, string[]>; theme: GrafanaTheme2 }) {
  const text = { color: theme.colors.text.secondary, fontSize: 13, marginRight: 20 };
  const swatch = { display: "inline-block", width: 10, height: 10, borderRadius: 5, marginRight: 6 };
  const shown = (board.templating?.list ?? []).filter((variable) => !["datasource", "job"].includes(variable.name));
  return (
    <div style={{ height: 44, padding: "8px 4px", fontFamily: theme.typography.fontFamily }}>
      <span style={{ ...theme.typography.h4, color: theme.colors.text.primary, marginRight: 28 }}>{board.title}</span>
      {shown.map((variable) => {
        const current = variable.current?.text;
        const told = values[variable.name]?.join(" + ") ?? (Array.isArray(current) ? current.join(" + ") : current);
        return (
          <span key={variable.name} style={text}>
            {variable.label}: <span style={{ color: theme.colors.text.primary }}>{told}</span>
          </span>
        );
      })}
      {(board.annotations?.list ?? []).map(({ name, iconColor }) => (
        <span key={name} style={text}>
          <span style={{ ...swatch, background: theme.visualization.getColorByName(iconColor) }} />
          {name}
        </span>
      ))}
    </div>
  );
}

function where({ gridPos }: Panel | RowPanel) {
  const { x, y, w, h } = gridPos ?? { x: 0, y: 0, w: 24, h: 1 };
  return { left: x * COLUMN, top: y * (ROW + GAP), width: w * COLUMN - GAP, height: h * (ROW + GAP) - GAP };
}

function Title({ row, theme }: { row: RowPanel; theme: GrafanaTheme2 }) {
  const { left, top, height } = where(row);
  const style = { ...theme.typography.h5, position: "absolute", left, top, height, color: theme.colors.text.primary } as const;
  return <div style={{ ...style, paddingTop: 6 }}>{row.title}</div>;
}

/** A panel that cannot be drawn says so in its place, and the picture is not taken. */
class Fence extends Component<{ children: ReactNode; title: string }, { error?: Error }> {
  state: { error?: Error } = {};
  static getDerivedStateFromError(error: Error) {
    return { error };
  }
  componentDidCatch(error: Error) {
    console.error(`failed to draw "${this.props.title}": ${error.stack}`);
  }
  render() {
    return this.state.error ? this.state.error.message : this.props.children;
  }
}

function Box({ drawn, marks, theme }: { drawn: Drawn; marks: Mark[]; theme: GrafanaTheme2 }) {
  const { left, top, width, height } = where(drawn.panel);
  const { panel, frames, title } = drawn;
  return (
    <div style={{ position: "absolute", left, top }} data-panel={panel.id}>
      <PanelChrome title={title} width={width} height={height} padding={panel.type === "table" ? "none" : "md"}>
        {(inner, outer) => (
          <Fence title={title}>
            {frames.length === 0 || frames.every((frame) => frame.length === 0) ? (
              <div style={{ height: outer, display: "grid", placeItems: "center", color: theme.colors.text.secondary, textAlign: "center" }}>
                {panel.fieldConfig?.defaults.noValue ?? "No data"}
              </div>
            ) : (
              <Figures drawn={drawn} width={inner} height={outer} marks={marks} theme={theme} />
            )}
          </Fence>
        )}
      </PanelChrome>
    </div>
  );
}

type Size = { drawn: Drawn; width: number; height: number; theme: GrafanaTheme2; marks: Mark[] };

function Figures(size: Size) {
  switch (size.drawn.panel.type) {
    case "timeseries":
      return <Graph {...size} />;
    case "stat":
      return <Stat {...size} />;
    case "bargauge":
      return <Bars {...size} />;
    case "table":
      return <Rows {...size} />;
    default:
      throw new Error(`@grafana/ui draws no ${size.drawn.panel.type}`);
  }
}

function Graph({ drawn: { panel, frames, at }, width, height, marks }: Size) {
  const options = panel.options as { legend: never };
  const [from, to] = [dateTime(at.from * 1000), dateTime(at.to * 1000)];
  return (
    <TimeSeries
      frames={frames}
      width={width}
      height={height}
      timeRange={{ from, to, raw: { from, to } }}
      timeZone="utc"
      legend={options.legend}
      options={options}
    >
      {(builder: UPlotConfigBuilder) => {
        annotate(builder, marks);
        return null;
      }}
    </TimeSeries>
  );
}

const annotated = new WeakSet<UPlotConfigBuilder>();

/** Draws annotations where Grafana draws them: that part of it is in no package. */
function annotate(builder: UPlotConfigBuilder, marks: Mark[]) {
  if (annotated.has(builder)) return;
  annotated.add(builder);
  builder.addHook("draw", (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const mark of marks) {
      const [from, to] = [plot.valToPos(mark.from * 1000, "x", true), plot.valToPos(mark.to * 1000, "x", true)];
      ctx.globalAlpha = 0.1;
      ctx.fillStyle = mark.color;
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
      ctx.globalAlpha = 0.8;
      ctx.strokeStyle = mark.color;
      ctx.setLineDash([5, 5]);
      for (const x of new Set([from, to])) {
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
      }
    }
    ctx.restore();
  });
}

function displays({ panel, frames }: Drawn, theme: GrafanaTheme2): FieldDisplay[] {
  const { reduceOptions } = panel.options as { reduceOptions: never };
  return getFieldDisplayValues({
    data: frames,
    fieldConfig: panel.fieldConfig as never,
    reduceOptions,
    replaceVariables: (text) => text,
    theme,
    timeZone: "utc",
  });
}

type Options = { text: never; colorMode: never; graphMode: never; justifyMode: never; textMode: never; displayMode: never; namePlacement: never; valueMode: never; showUnfilled: boolean };

function Stat({ drawn, width, height, theme }: Size) {
  const { text, colorMode, graphMode, justifyMode, textMode } = drawn.panel.options as Options;
  const all = displays(drawn, theme);
  return (
    <VizRepeater<FieldDisplay>
      source={all}
      renderCounter={0}
      getValues={() => all}
      width={width}
      height={height}
      orientation={VizOrientation.Auto}
      itemSpacing={8}
      renderValue={({ value, width, height }) => (
        <BigValue
          value={value.display}
          width={width}
          height={height}
          theme={theme}
          colorMode={colorMode}
          graphMode={graphMode}
          justifyMode={justifyMode}
          textMode={textMode}
          text={text}
        />
      )}
    />
  );
}

function Bars({ drawn, width, height, theme }: Size) {
  const { text, displayMode, namePlacement, valueMode, showUnfilled } = drawn.panel.options as Options;
  const all = displays(drawn, theme);
  const longest = (texts: string[]) => texts.reduce((one, other) => (other.length > one.length ? other : one), "");
  const alignment = {
    title: longest(all.map(({ display }) => display.title ?? "")),
    text: longest(all.map(({ display }) => display.text)),
    suffix: longest(all.map(({ display }) => display.suffix ?? "")),
    prefix: "",
  };
  return (
    <VizRepeater<FieldDisplay>
      source={all}
      renderCounter={0}
      getValues={() => all}
      width={width}
      height={height}
      orientation={VizOrientation.Horizontal}
      itemSpacing={8}
      minVizHeight={16}
      maxVizHeight={300}
      renderValue={({ value, width, height }) => (
        <BarGauge
          value={value.display}
          width={width}
          height={height}
          theme={theme}
          field={value.field}
          display={getDisplayProcessor({ field: { config: value.field, type: "number" as never }, theme }) ?? undefined}
          orientation={VizOrientation.Horizontal}
          displayMode={displayMode}
          namePlacement={namePlacement}
          valueDisplayMode={valueMode}
          text={text}
          showUnfilled={showUnfilled}
          alignmentFactors={alignment}
          itemSpacing={8}
        />
      )}
    />
  );
}

function Rows({ drawn: { panel, frames }, width, height }: Size) {
  const { sortBy, cellHeight } = panel.options as { sortBy: never; cellHeight: never };
  const [frame] = frames;
  if (frame === undefined) throw new Error("no rows");
  for (const field of frame.fields) field.state = { ...field.state, displayName: getFieldDisplayName(field, frame) };
  return <TableNG data={frame} width={width} height={height} sortBy={sortBy} sortByBehavior="initial" cellHeight={cellHeight} getActions={() => []} />;
}
