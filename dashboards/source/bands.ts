// Bands: where each one stands, where its month will end, and what moved.

import { LineInterpolation, type GraphFieldConfig } from "@grafana/schema";

import { alerts, monthEnds, provisional, restatements, since, toBoard, values, type Board } from "./dashboard";
import type { Language, Say } from "./language";
import { COLOUR, MONEY, bars, graph, matching, named, stat, steps, table, words, type Column, type Row, type Unplaced } from "./panels";
import { added, before, both, newest, one, series, sinceItBegan } from "./queries";

const BAND = 'band=~"$band"';
const CURRENT = both(BAND, 'period="current"');
const PREVIOUS = both(BAND, 'period="previous"');

export function bands(language: Language, say: Say): Board {
  return {
    name: "bands",
    title: say("costband: bands", "costband: 예산 범위"),
    description: say(
      "Where each band's month stands and will end. The stretch is the whole month, with the days that are still to come.",
      "예산 범위별로 이번 달의 현재 상태와 월말 예상을 보여 줍니다. 표시 기간은 남은 날을 포함한 한 달 전체입니다.",
    ),
    from: "now/M",
    to: "now/M",
    variables: [
      values("band", say("Band", "예산 범위"), "label_values(costband_band_ceiling, band)"),
      since(say),
    ],
    annotations: [alerts(say), restatements(say), monthEnds(say), provisional(say)],
    rows: [now(language, say), fans(say), end(say), moved(language, say), last(say)],
  };
}

function now(language: Language, say: Say): Row {
  const links = [
    toBoard("spend", say("What it was spent on", "지출 내역"), language),
    toBoard("gpu", say("What the GPUs did", "GPU 사용 현황"), language),
  ];
  const amount = (title: string, name: string): Column => ({
    title,
    expr: one(name, "band, currency", CURRENT),
    unit: MONEY,
    decimals: 0,
  });
  const view = (title: string, name: string): Column => ({
    title,
    expr: status(name, CURRENT),
    mappings: statuses(say),
    width: 100,
  });
  const columns: Column[] = [
    { title: say("Band", "예산 범위"), label: "band" },
    view(say("So far", "현재까지"), "actual"),
    view(say("On pace", "진행 속도"), "pace"),
    view(say("Month's end", "월말"), "forecast"),
    amount(say("Spend", "지출"), "band_spend"),
    amount(say("Floor", "하한"), "band_floor"),
    amount(say("Ceiling", "상한"), "band_ceiling"),
    {
      title: say("Ceiling used", "상한 사용률"),
      expr: one("band_ceiling_used_ratio", "band, currency", CURRENT),
      unit: "percentunit",
      decimals: 0,
      min: 0,
      max: 1,
      cell: "bar",
      thresholds: steps(COLOUR.good, [0.9, COLOUR.warn], [1, COLOUR.bad]),
    },
    {
      title: say("Forecast", "예측"),
      expr: one("band_forecast", "band, currency", both(CURRENT, 'probability="0.5"')),
      unit: MONEY,
      decimals: 0,
    },
    amount(say("Expected cost", "예상 비용"), "band_expected_cost"),
    {
      title: say("Chance above", "초과 확률"),
      expr: one("band_breach_probability", "band, currency", both(CURRENT, 'side="above"')),
      unit: "percentunit",
      decimals: 0,
      thresholds: steps(COLOUR.good, [0.2, COLOUR.warn], [0.5, COLOUR.bad]),
    },
    {
      title: say("Ceiling reached", "상한 도달"),
      expr: `${one("band_crossing_timestamp_seconds", "band, currency", both(CURRENT, 'probability="0.5"'))} * 1000`,
      unit: "time:YYYY-MM-DD",
      width: 125,
    },
    { title: say("Currency", "통화"), label: "currency", width: 80 },
  ];
  return {
    title: say("Now", "지금"),
    panels: [
      table(
        {
          title: say("Where each band stands", "예산 범위별 현황"),
          description: say(
            "Booked so far, on pace, and at the month's end. Above at the month's end with a day on which the ceiling is reached: something has to be stopped before that day. Below is a usual state. Expected cost is what the GPU nodes of now cost in a whole month at their prices. Unknown means that the bill is too old to tell.",
            "현재까지의 청구, 진행 속도, 월말 예상을 기준으로 한 상태입니다. 월말이 초과이고 상한 도달일이 있으면 그 전에 일부 사용을 중단해야 합니다. 미달은 흔한 상태입니다. 예상 비용은 현재 GPU 노드를 한 달 내내 가동할 때의 비용입니다. 알 수 없음은 청구 데이터가 너무 오래되었다는 뜻입니다.",
          ),
          none: say("No band is judged yet", "아직 판정한 예산 범위가 없습니다"),
          width: 24,
          height: 6,
          links,
        },
        columns,
        [say("Chance above", "초과 확률"), true],
      ),
    ],
  };
}

/** A status as a number, greatest where it is gravest: what the mappings of `statuses` take. */
function status(view: string, selector: string): string {
  const held = (status: string) => series("band_status", both(selector, `view="${view}", status="${status}"`));
  const all = ["unknown", "below", "within", "above"].map((status, place) => `(${held(status)} == 1) * ${place}`);
  return `max by (band, currency) (${all.join(" or ")})`;
}

function statuses(say: Say) {
  return words(
    [0, say("unknown", "알 수 없음"), COLOUR.quiet],
    [1, say("below", "미달"), COLOUR.low],
    [2, say("within", "범위 안"), COLOUR.good],
    [3, say("above", "초과"), COLOUR.bad],
  );
}

function fans(say: Say): Row {
  return { title: say("The month", "이번 달"), panels: [fan(say)] };
}

/**
 * What was spent so far, and from now on straight lines to what the month will stay under. Prometheus
 * holds no sample of a time to come, and a date is no label: the way there is on the page and under
 * `path` in `/api/v1/forecast`.
 */
function fan(say: Say): Unplaced {
  const spend = newest("band_spend", "band, currency", CURRENT);
  const forecast = newest("band_forecast", "band, currency, probability", both(CURRENT, 'probability=~"0.05|0.25|0.5|0.75|0.95"'));
  const start = newest("billing_period_start_timestamp_seconds", "source", 'period="current"');
  const today = `scalar(max(max_over_time(timestamp(${series("band_spend", CURRENT)})[32d:30m] @ end())))`;
  // Ten days on is within the month in every zone.
  const end = `scalar(min(${start} + days_in_month(${start} + 864000) * 86400))`;
  const elapsed = `scalar(clamp(vector((time() - ${today}) / (${end} - ${today})), 0, 1))`;
  const lines =
    `(${forecast} - on (band, currency) group_left () ${spend}) * ${elapsed}` +
    ` + on (band, currency) group_left () ${spend} and on () vector(time()) >= ${today}`;
  const [floor, ceiling] = [say("floor", "하한"), say("ceiling", "상한")];
  const spent = say("spend", "지출");
  const expected = say("expected cost of the fleet", "현재 노드의 예상 비용");
  // What lies between floor and ceiling is filled below the ceiling once more.
  const range = say("range", "범위");
  const unnamed = { "custom.hideFrom": { legend: true, tooltip: false, viz: false } };
  const line = (color: string, custom: Partial<GraphFieldConfig>) => ({
    color: { mode: "fixed", fixedColor: color },
    ...Object.fromEntries(Object.entries(custom).map(([name, value]) => [`custom.${name}`, value])),
  });
  return graph(
    {
      title: "$band",
      description: say(
        "Spend so far, then the fan of the month's end: half of all outcomes are in its darker part, nine of ten in all of it. The green stretch lies between floor and ceiling. Expected cost is what the GPU nodes of now cost in a whole month at their prices. Where the fan leaves the ceiling the month will too. Its lines are straight; the page has the way day by day. The orange stretch is of provisional days.",
        "현재까지의 지출과 월말 예측 범위입니다. 짙은 부분에는 가능한 결과의 50%가, 전체에는 90%가 들어갑니다. 초록색 영역은 하한과 상한 사이입니다. 예상 비용은 현재 GPU 노드를 한 달 내내 가동할 때의 비용입니다. 예측 범위가 상한을 넘으면 이번 달 지출도 상한을 넘습니다. 예측 범위는 직선으로 그리며, 날짜별 예측은 화면에서 볼 수 있습니다. 주황색 구간은 잠정 기간입니다.",
      ),
      none: say("No band is judged yet", "아직 판정한 예산 범위가 없습니다"),
      width: 8,
      height: 11,
      repeat: "band",
      overrides: [
        named(range, { ...line("green", { lineWidth: 0, fillBelowTo: floor, fillOpacity: 9 }), ...unnamed }),
        named(ceiling, line(COLOUR.bad, { lineWidth: 2 })),
        named(floor, line(COLOUR.low, { lineWidth: 2 })),
        named(spent, line("text", { lineWidth: 3 })),
        named(expected, line(COLOUR.quiet, { lineStyle: { fill: "dash", dash: [2, 6] } })),
        named("95 %", { ...line("purple", { lineWidth: 0, fillBelowTo: "5 %", fillOpacity: 20 }), ...unnamed }),
        named("75 %", { ...line("purple", { lineWidth: 0, fillBelowTo: "25 %", fillOpacity: 35 }), ...unnamed }),
        named("50 %", { ...line("purple", { lineWidth: 2, lineStyle: { fill: "dash", dash: [8, 6] } }), displayName: say("forecast", "예측") }),
        named("25 %", { ...line("purple", { lineWidth: 0 }), ...unnamed }),
        named("5 %", { ...line("purple", { lineWidth: 0 }), ...unnamed }),
      ],
    },
    { unit: MONEY, decimals: 0, min: 0 },
    { expr: newest("band_ceiling", "band, currency", CURRENT), legend: range },
    { expr: newest("band_ceiling", "band, currency", CURRENT), legend: ceiling },
    { expr: newest("band_floor", "band, currency", CURRENT), legend: floor },
    {
      expr: `${one("band_spend", "band, currency", CURRENT)} and ${sinceItBegan()}`,
      legend: spent,
    },
    { expr: asPercent(lines), legend: "{{percent}}" },
    { expr: newest("band_expected_cost", "band, currency", CURRENT), legend: expected },
  );
}

/** Gives series of a probability the label `percent`, for people. */
function asPercent(expression: string): string {
  const pairs = [["0.05", "5 %"], ["0.25", "25 %"], ["0.5", "50 %"], ["0.75", "75 %"], ["0.95", "95 %"]];
  return pairs.reduce(
    (of, [probability, percent]) => `label_replace(${of}, "percent", "${percent}", "probability", "${probability}")`,
    expression,
  );
}

function end(say: Say): Row {
  const probability = (side: string) =>
    one("band_breach_probability", "band", both(CURRENT, `side="${side}"`));
  const chance = (title: string, description: string, side: string, color: string): Unplaced =>
    bars(
      { title, description, none: say("No forecast yet", "아직 예측이 없습니다"), width: 6, height: 7 },
      { unit: "percentunit", decimals: 0, min: 0, max: 1, thresholds: steps(COLOUR.quiet, [0.2, COLOUR.warn], [0.5, color]) },
      { expr: probability(side), legend: "{{band}}" },
    );
  const burn = one("band_burn_rate", "band, days", CURRENT);
  const line: Partial<GraphFieldConfig> = { lineWidth: 2, lineInterpolation: LineInterpolation.StepAfter };
  return {
    title: say("How it will end", "월말 전망"),
    panels: [
      chance(
        say("Chance to end above the ceiling", "월말 상한 초과 확률"),
        say("From one half on the band's month is judged above.", "50% 이상이면 해당 예산 범위의 월말 상태를 초과로 판정합니다."),
        "above",
        COLOUR.bad,
      ),
      chance(
        say("Chance to end below the floor", "월말 하한 미달 확률"),
        say("A usual state where less runs than was planned; see whether something that should run does not.", "계획보다 적게 사용하면 흔한 상태입니다. 가동되어야 할 장비가 멈춰 있지 않은지 확인하세요."),
        "below",
        COLOUR.low,
      ),
      bars(
        {
          title: say("Pace of the newest complete days", "최근 완결일의 소진 배율"),
          description: say(
            "What one of the last 1, 3 and 7 complete days cost over what a day may cost. At 1 the month ends at its ceiling; 2 on the last day is an alert.",
            "최근 완결된 1일, 3일, 7일의 하루 비용을 하루 허용액으로 나눈 값입니다. 1이면 월말에 상한에 도달하며, 최근 하루가 2이면 알림이 발생합니다.",
          ),
          none: say("No complete day yet", "아직 완결된 날이 없습니다"),
          width: 6,
          height: 7,
        },
        { unit: "none", decimals: 2, min: 0, max: 2, thresholds: steps(COLOUR.good, [1, COLOUR.warn], [1.5, COLOUR.bad]) },
        { expr: burn, legend: say("{{band}} {{days}} d", "{{band}} {{days}}일") },
      ),
      table(
        {
          title: say("When the ceiling is reached", "상한 도달일"),
          description: say(
            "The day on which spend reaches the ceiling: cautious is one that is reached as early in one of five outcomes, likely in every other one. Nothing stands here for bands that stay under it.",
            "지출이 상한에 도달하는 날입니다. 그날까지 도달할 확률은 '이르면'이 20%, '예상'이 50%입니다. 상한에 도달하지 않는 예산 범위는 표시하지 않습니다.",
          ),
          none: say("No band reaches its ceiling this month", "이번 달 상한에 도달하는 예산 범위가 없습니다"),
          width: 6,
          height: 7,
        },
        [
          { title: say("Band", "예산 범위"), label: "band" },
          ...[["0.8", say("Cautious", "이르면")], ["0.5", say("Likely", "예상")]].map(([probability, title]) => ({
            title: title ?? "",
            expr: `${one("band_crossing_timestamp_seconds", "band", both(CURRENT, `probability="${probability}"`))} * 1000`,
            unit: "time:YYYY-MM-DD",
          })),
        ],
        [say("Likely", "예상"), false],
      ),
      graph(
        {
          title: say("How the forecast has moved", "월말 예측 추이"),
          description: say(
            "The median of each month's end as it was told day by day, and the ceilings. A line that climbs from day to day says that the fleet grows.",
            "날짜별 월말 예측 중앙값과 상한입니다. 계속 오르면 사용하는 GPU가 늘고 있다는 뜻입니다.",
          ),
          none: say("No forecast yet", "아직 예측이 없습니다"),
          width: 12,
          height: 8,
          overrides: [matching(`/${say("ceiling", "상한")}/`, { "custom.lineStyle": { fill: "dash", dash: [8, 6] }, "custom.lineWidth": 1 })],
        },
        { unit: MONEY, decimals: 0, min: 0, custom: line },
        { expr: `${one("band_forecast", "band, currency", both(CURRENT, 'probability="0.5"'))} and ${sinceItBegan()}`, legend: "{{band}} {{currency}}" },
        { expr: newest("band_ceiling", "band, currency", CURRENT), legend: say("ceiling of {{band}} {{currency}}", "{{band}} 상한 {{currency}}") },
      ),
      graph(
        {
          title: say("How the chance to end above has moved", "초과 확률 추이"),
          description: say(
            "The chance that each month ends above its ceiling, as it was told day by day. From one half on the month is judged above.",
            "날짜별 상한 초과 확률입니다. 50% 이상이면 월말 상태를 초과로 판정합니다.",
          ),
          none: say("No forecast yet", "아직 예측이 없습니다"),
          width: 12,
          height: 8,
        },
        { unit: "percentunit", decimals: 0, min: 0, max: 1, custom: line },
        { expr: `${probability("above")} and ${sinceItBegan()}`, legend: "{{band}}" },
      ),
    ],
  };
}

function moved(language: Language, say: Say): Row {
  const week = added("service_effective_cost", "source, service_name, currency", "");
  const [within, earlier, change] = [say("Newest stretch", "최근 기간"), say("Stretch before", "그 전 기간"), say("Change", "변화")];
  const columns: Column[] = [
    { title: say("Service", "서비스"), label: "service_name" },
    { title: say("Source", "소스"), label: "source", width: 120 },
    { title: within, expr: week, unit: MONEY, decimals: 0, width: 120 },
    { title: earlier, expr: before(week), unit: MONEY, decimals: 0, width: 120 },
    { title: change, less: [within, earlier], unit: MONEY, decimals: 0, width: 120, thresholds: steps(COLOUR.good, [0, COLOUR.warn]) },
    { title: say("Currency", "통화"), label: "currency", width: 90 },
  ];
  return {
    title: say("What moved within $since", "최근 $since 동안의 변화"),
    panels: [
      table(
        {
          title: say("Services that cost more or less than in the stretch before", "그 전보다 더 들거나 덜 든 서비스"),
          description: say(
            "What each service's effective cost grew by within the stretch, and by how much more than in the one before. The first lines are where to look for the reason of a pace that changed.",
            "기간 동안 서비스마다 상각 비용이 얼마나 늘었는지, 그 전 기간보다 얼마나 더 늘었는지입니다. 속도가 바뀐 이유는 첫 줄들에서 찾으세요.",
          ),
          none: say("Prometheus has no history of twice that stretch yet", "Prometheus에 그 두 배 기간의 기록이 아직 없습니다"),
          width: 16,
          height: 11,
          links: [toBoard("spend", say("Spend", "지출"), language)],
        },
        columns,
        [change, true],
      ),
      table(
        {
          title: say("Bands: change of what was added", "예산 범위: 늘어난 금액의 변화"),
          description: say(
            "How much more each band's spend grew within the stretch than in the one before. Where a month began meanwhile, what the month before still grew by is part of it.",
            "예산 범위마다 지출이 그 전 기간보다 얼마나 더 늘었는지입니다. 그사이 달이 바뀌었으면 지난달이 마저 늘어난 금액도 들어갑니다.",
          ),
          none: say("Prometheus has no history of twice that stretch yet", "Prometheus에 그 두 배 기간의 기록이 아직 없습니다"),
          width: 8,
          height: 11,
        },
        // A bar has its root at the least value, which says nothing where some are below 0.
        [
          { title: say("Band", "예산 범위"), label: "band" },
          { title: change, expr: bandsChange(), unit: MONEY, decimals: 0, thresholds: steps(COLOUR.good, [0, COLOUR.warn]) },
          { title: say("Currency", "통화"), label: "currency", width: 90 },
        ],
        [change, true],
      ),
    ],
  };
}

/**
 * Of bands, whose month turns with those of their sources. No series tells which sources those are:
 * while some months have turned and others have not, which takes hours, a band of smaller spend has.
 */
function bandsChange(): string {
  const spend = (selector: string, offset = "") => one("band_spend", "band, currency", selector, offset);
  const start = (offset = "") =>
    one("billing_period_start_timestamp_seconds", "source", 'period="current"', offset);
  const [now, then] = [spend(CURRENT), spend(CURRENT, " offset $since")];
  const all = `on () (min(${start()}) > max(${start(" offset $since")}))`;
  const some = `on () (${start()} > ${start(" offset $since")})`;
  const turned = `(${now} and ${all} or ${now} < ${then} and ${some})`;
  const old = `(${spend(PREVIOUS)} and ${turned} or ${now} * 0 unless ${turned})`;
  const grown = `(${now} + ${old} - (${then} or ${now} * 0))`;
  return `${grown} - ${before(grown)}`;
}

function last(say: Say): Row {
  const amount = (title: string, name: string): Column => ({
    title,
    expr: one(name, "band, currency", PREVIOUS),
    unit: MONEY,
    decimals: 0,
  });
  return {
    title: say("Last month", "지난달"),
    panels: [
      table(
        {
          title: say("How last month ended", "지난달이 끝난 모습"),
          description: say(
            "Bills of the last days come for some days more; until every bill calls the month final, its figures may move.",
            "마지막 며칠의 청구는 며칠 더 들어옵니다. 모든 청구가 확정될 때까지 금액이 바뀔 수 있습니다.",
          ),
          none: say("No month before is known", "지난달의 기록이 없습니다"),
          width: 16,
          height: 6,
        },
        [
          { title: say("Band", "예산 범위"), label: "band", width: 110 },
          { title: say("Status", "상태"), expr: status("actual", PREVIOUS), mappings: statuses(say), width: 110 },
          amount(say("Spend", "지출"), "band_spend"),
          amount(say("Floor", "하한"), "band_floor"),
          amount(say("Ceiling", "상한"), "band_ceiling"),
          { title: say("Currency", "통화"), label: "currency", width: 90 },
        ],
        [say("Band", "예산 범위"), false],
      ),
      stat(
        {
          title: say("Last month's bills", "지난달 청구"),
          description: say("Final: the provider will not change the month any more.", "확정: 공급자가 그 달을 더 바꾸지 않습니다."),
          none: say("No month before is known", "지난달의 기록이 없습니다"),
          width: 8,
          height: 6,
        },
        {
          unit: "none",
          mappings: words([0, say("open", "미확정"), COLOUR.warn], [1, say("final", "확정"), COLOUR.good]),
          thresholds: steps(COLOUR.warn, [1, COLOUR.good]),
        },
        { expr: one("billing_period_final", "source", 'period="previous"'), legend: "{{source}}" },
      ),
    ],
  };
}
