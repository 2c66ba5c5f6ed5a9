// Prometheus queries, and the shapes of PromQL that more than one board uses.

import type { DataQuery } from "@grafana/schema";

/** What the Prometheus data source takes. */
export type PrometheusQuery = Pick<DataQuery, keyof DataQuery> & {
  editorMode: "code";
  expr: string;
  format: "table" | "time_series";
  instant: boolean;
  legendFormat?: string;
  range: boolean;
};

export const DATASOURCE = { type: "prometheus", uid: "${datasource}" } as const;

/** Further back than a month is long. */
const A_MONTH = "32d";

/** The series of a family, from the agents that were chosen. */
export function series(name: string, selector = ""): string {
  return `costband_${name}{${both('job=~"$job"', selector)}}`;
}

/**
 * A family with one series for each set of labels, whichever replica told it: after the Lease has
 * changed hands, the series of both are there for minutes.
 */
export function one(name: string, labels: string, selector = "", offset = ""): string {
  return `max by (${labels}) (${series(name, selector)}${offset})`;
}

/**
 * A figure as it stood last in the stretch that is shown, for the whole stretch and its future. Series
 * of a month include those of pods that are gone; what another one told later is in place of theirs,
 * be it less. Within an hour of the change the pod before may still stand, where its figure is greater.
 */
export function newest(name: string, labels: string, selector = ""): string {
  const all = series(name, selector);
  const of = `namespace, job, ${labels}`;
  const told = `max_over_time(timestamp(${all})[${A_MONTH}:1h] @ end())`;
  const replaced = `${told} < on (${of}) group_left () max by (${of}) (${told})`;
  return `max by (${labels}) (last_over_time(${all}[${A_MONTH}] @ end()) unless (${replaced}))`;
}

/**
 * A gauge of which each node agent tells its own part, and a central agent, of several replicas the
 * one that leads, all of it. For minutes after the Lease has changed hands the series of both
 * replicas are there: they are one, and those of node agents stay apart. `labels` are all that the
 * family has. Counters need none of this: each replica counts what it saw while it led.
 */
export function parts(name: string, labels: string, selector = ""): string {
  const all = series(name, selector);
  // Only central agents judge alerts, and none does so without telling of each rule.
  const central = `on (namespace, job, instance) ${series("alerts")}`;
  return `(max by (namespace, job, ${labels}) (${all} and ${central}) or ${all} unless ${central})`;
}

/**
 * Keeps what is of the month that the stretch ends in. Providers' months begin hours apart, and until
 * then the series of `current` are of the month before.
 */
export function sinceItBegan(selector = ""): string {
  const start = newest("billing_period_start_timestamp_seconds", "source", both(selector, 'period="current"'));
  return `on () vector(time()) >= scalar(max(${start}))`;
}

/**
 * By what a cost of the billing period grew within `$since`. `source` is one of the labels. Where a
 * period began meanwhile, what the one before still grew by is part of it.
 */
export function added(name: string, labels: string, selector: string): string {
  const cost = (period: string, offset = "") =>
    one(name, labels, both(`period="${period}"`, selector), offset);
  const start = (offset = "") =>
    one("billing_period_start_timestamp_seconds", "source", 'period="current"', offset);
  const now = cost("current");
  const turned = `on (source) (${start()} > ${start(" offset $since")})`;
  return (
    `${now} + (${cost("previous")} and ${turned} or ${now} * 0)` +
    ` - (${cost("current", " offset $since")} or ${now} * 0)`
  );
}

/** An expression as it was `$since` ago. */
export function before(expression: string): string {
  return `last_over_time((${expression})[2m:30s] offset $since)`;
}

export function both(one: string, other: string): string {
  return [one, other].filter(Boolean).join(", ");
}
