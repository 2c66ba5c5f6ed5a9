// The frame that every board has: variables, links to the other boards, annotations.

import {
  defaultDashboard,
  DashboardCursorSync,
  VariableHide,
  VariableRefresh,
  VariableSort,
  type AnnotationQuery,
  type Dashboard,
  type DashboardLink,
  type VariableModel,
} from "@grafana/schema";

import { suffix, type Language, type Say } from "./language";
import { layOut, type Row } from "./panels";
import { DATASOURCE, newest, one, series, type PrometheusQuery } from "./queries";

export type Board = {
  name: "bands" | "spend" | "gpu" | "agent";
  title: string;
  description: string;
  from: string;
  to: string;
  variables: VariableModel[];
  annotations: Annotation[];
  rows: Row[];
};

/** What the Prometheus data source takes for an annotation. */
export type Annotation = AnnotationQuery<PrometheusQuery> & {
  tagKeys: string;
  textFormat: string;
  titleFormat: string;
  useValueForTime: boolean;
};

export function dashboard(board: Board, language: Language, say: Say): Dashboard {
  return {
    title: board.title,
    uid: uid(board.name, language),
    description: board.description,
    tags: ["costband", `costband-${language}`],
    schemaVersion: defaultDashboard.schemaVersion,
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    timezone: "utc",
    time: { from: board.from, to: board.to },
    refresh: "5m",
    links: [otherBoards(language, say)],
    templating: { list: [datasource(say), job(say), ...board.variables] },
    annotations: { list: board.annotations },
    panels: layOut(board.rows, board.to !== "now"),
  };
}

export function uid(name: Board["name"], language: Language): string {
  return `costband-${name}${suffix(language)}`;
}

/** Variables go along, times do not: the bands' month reaches into the future. */
function otherBoards(language: Language, say: Say): DashboardLink {
  return {
    title: say("costband boards", "costband 대시보드"),
    type: "dashboards",
    tags: [`costband-${language}`],
    asDropdown: false,
    icon: "external link",
    includeVars: true,
    keepTime: false,
    targetBlank: false,
    tooltip: "",
    url: "",
  };
}

/** A link from a panel to another board. */
export function toBoard(name: Board["name"], title: string, language: Language, variables: string[] = []): DashboardLink {
  const along = ["datasource", "job", ...variables].map((variable) => `\${${variable}:queryparam}`);
  return {
    title,
    type: "link",
    url: `/d/${uid(name, language)}?${along.join("&")}`,
    asDropdown: false,
    icon: "dashboard",
    includeVars: false,
    keepTime: false,
    tags: [],
    targetBlank: false,
    tooltip: "",
  };
}

function datasource(say: Say): VariableModel {
  return {
    name: "datasource",
    label: say("Data source", "데이터 소스"),
    type: "datasource",
    query: "prometheus",
    regex: "",
    refresh: VariableRefresh.onDashboardLoad,
    hide: VariableHide.dontHide,
    includeAll: false,
    multi: false,
    options: [],
    current: {} as never,
  };
}

/** Which of several installations that one Prometheus scrapes. */
function job(say: Say): VariableModel {
  return values("job", say("Installation", "설치"), "label_values(costband_build_info, job)");
}

/** The values of a label, all of them or some. */
export function values(name: string, label: string, query: string): VariableModel {
  return {
    name,
    label,
    type: "query",
    datasource: DATASOURCE,
    query: { query, refId: "variable" },
    regex: "",
    refresh: VariableRefresh.onTimeRangeChanged,
    sort: VariableSort.alphabeticalAsc,
    hide: VariableHide.dontHide,
    multi: true,
    includeAll: true,
    allValue: ".*",
    options: [],
    current: { text: ["All"], value: ["$__all"], selected: true },
  };
}

/** A choice of one among some. */
export function choice(name: string, label: string, options: Array<[value: string, text: string]>): VariableModel {
  const all = options.map(([value, text], place) => ({ value, text, selected: place === 0 }));
  return {
    name,
    label,
    type: "custom",
    query: options.map(([value, text]) => `${text} : ${value}`).join(", "),
    hide: VariableHide.dontHide,
    multi: false,
    includeAll: false,
    options: all,
    ...(all[0] === undefined ? {} : { current: all[0] }),
  };
}

export function period(say: Say): VariableModel {
  return choice("period", say("Billing period", "청구 기간"), [
    ["current", say("this month", "이번 달")],
    ["previous", say("last month", "지난달")],
  ]);
}

export function since(say: Say): VariableModel {
  return choice("since", say("Moved within", "변화 기간"), [
    ["7d", say("a week", "1주")],
    ["1d", say("a day", "1일")],
    ["14d", say("two weeks", "2주")],
  ]);
}

function annotation(name: string, color: string, expr: string, how: Pick<Annotation, "textFormat" | "titleFormat"> & Partial<Annotation>): Annotation {
  return {
    name,
    datasource: DATASOURCE,
    enable: true,
    hide: false,
    iconColor: color,
    target: { refId: "Anno", editorMode: "code", expr, format: "time_series", instant: false, range: true },
    tagKeys: "",
    useValueForTime: false,
    ...how,
  };
}

/** When an alert of the agent began to fire, whoever tells it: some fire for weeks. */
export function alerts(say: Say): Annotation {
  const firing = (offset = "") => `${one("alerts", "alert", 'state="firing"', offset)} > 0`;
  return annotation(say("Alerts", "알림"), "red", `${firing()} unless ${firing(" offset $__interval")}`, {
    titleFormat: say("An alert fires", "알림 발생"),
    textFormat: "{{alert}}",
    tagKeys: "alert",
  });
}

/** Days that moved after they had been complete. */
export function restatements(say: Say): Annotation {
  const moved = `sum by (source) (max by (source, provider) (increase(${series("restatements_total")}[$__interval]))) > 0`;
  return annotation(say("Restatements", "완결 후 변경"), "purple", moved, {
    titleFormat: say("Complete days moved", "완결된 날의 청구 변경"),
    textFormat: "{{source}}",
    tagKeys: "source",
  });
}

/** The first instant of each billing period, in the provider's own zone. */
export function monthEnds(say: Say): Annotation {
  const start = `${one("billing_period_start_timestamp_seconds", "provider", 'period="current"')} * 1000`;
  return annotation(say("Month ends", "월 시작"), "blue", start, {
    titleFormat: say("A billing month begins", "청구 월 시작"),
    textFormat: "{{provider}}",
    tagKeys: "provider",
    useValueForTime: true,
  });
}

/** The stretch whose days are not complete yet: what is told of it may still move. */
export function provisional(say: Say): Annotation {
  const complete = `scalar(min(${newest("billing_complete_through_timestamp_seconds", "source")}))`;
  const told = `count(${series("source_up")}) > 0 and on () vector(time()) > ${complete}`;
  return annotation(say("Provisional days", "잠정 기간"), "orange", told, {
    titleFormat: say("Provisional: not complete yet", "잠정: 아직 완결되지 않음"),
    textFormat: say("Bills of these days are provisional and may still grow.", "이 기간의 청구는 잠정 금액이며 더 늘어날 수 있습니다."),
  });
}
