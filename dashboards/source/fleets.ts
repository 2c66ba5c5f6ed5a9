// What boards ask of fleets of GPUs, and the words and colours of what GPUs do.

import type { Say } from "./language";
import { COLOUR, named, type Override } from "./panels";
import { both, parts, series } from "./queries";

export const FLEET = 'provider=~"$provider", cluster=~"$cluster", model=~"$model"';
export const CLOUD = 'provider=~"$provider", period="$period"';
export const LABELS = "provider, cluster, model, capacity_type";
export const MONEY_LABELS = `${LABELS}, currency`;
/** What costs money and does no work. */
export const IDLE = 'state=~"held_idle|empty|unallocated|unhealthy"';

/** A gauge of fleets, whole: node agents tell of one node each. */
export function sum(name: string, labels: string): string {
  return `sum${labels && ` by (${labels})`} (${parts(name, LABELS, FLEET)})`;
}

/** How many GPUs are in a state, over time. */
export function inState(labels: string, selector = ""): string {
  return `sum by (${labels}) (rate(${series("gpu_seconds_total", both(FLEET, selector))}[$__rate_interval]))`;
}

/** GPU-hours of the stretch that is shown. */
export function hours(labels: string, selector = ""): string {
  return `sum by (${labels}) (increase(${series("gpu_seconds_total", both(FLEET, selector))}[$__range])) / 3600`;
}

/** The price of an hour that is used, of several machine types the dearest. */
export function price(labels: string): string {
  const selected = series("gpu_hour_price_selected", FLEET);
  const on = "on (job, instance, provider, cluster, region_id, instance_type, model, capacity_type, price_source)";
  return `max by (${labels}) (${series("gpu_hour_price", FLEET)} and ${on} ${selected} == 1)`;
}

/** Mean utilization of the GPUs whose utilization is known. */
export function utilization(labels: string): string {
  const [gpus, ratio] = [parts("gpus", LABELS, FLEET), parts("gpu_utilization_ratio", LABELS, FLEET)];
  const by = labels && ` by (${labels})`;
  return `sum${by} (${ratio} * ${gpus}) / sum${by} (${gpus} and ${ratio})`;
}

/** Money of GPUs by some of `provider`, `currency`, `period` and `state`. */
export function cost(labels: string, selector = ""): string {
  return `sum by (${labels}) (${parts("gpu_cost", "provider, currency, period, state", both(CLOUD, selector))})`;
}

export function states(say: Say): Array<[state: string, text: string, color: string]> {
  return [
    ["busy", say("busy", "작업 중"), "green"],
    ["low", say("low", "저사용"), "semi-dark-yellow"],
    ["held_idle", say("held, engines idle", "점유 유휴"), "orange"],
    ["empty", say("held, nothing loaded", "할당 후 비어 있음"), "semi-dark-orange"],
    ["unallocated", say("nobody asked for it", "미할당"), "red"],
    ["unhealthy", say("unhealthy", "고장"), "dark-red"],
    ["unknown", say("unknown", "알 수 없음"), COLOUR.quiet],
  ];
}

/** Each state with its words and its colour, wherever it is drawn. */
export function byState(say: Say): Override[] {
  return states(say).map(([state, text, color]) =>
    named(state, { displayName: text, color: { mode: "fixed", fixedColor: color } }),
  );
}
