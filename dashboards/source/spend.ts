// Spend: on what, where, by whom, against last month, and how far the bills reach.

import { LineInterpolation } from "@grafana/schema";

import { alerts, choice, monthEnds, period, provisional, restatements, toBoard, values, type Board } from "./dashboard";
import type { Language, Say } from "./language";
import { COLOUR, MONEY, graph, matching, stat, steps, table, words, type Column, type Row, type Unplaced } from "./panels";
import { both, newest, one, series, sinceItBegan } from "./queries";

const SOURCE = 'source=~"$source"';
const CURRENT = both(SOURCE, 'period="current"');
const PREVIOUS = both(SOURCE, 'period="previous"');
const CHOSEN = both(SOURCE, 'period="$period"');
/** A family on the cost basis that was chosen. */
const COST = "${basis}_cost";
const SERVICE = "service_${basis}_cost";

export function spend(language: Language, say: Say): Board {
  return {
    name: "spend",
    title: say("costband: spend", "costband: 지출"),
    description: say(
      "What the bills say: usage and purchases before tax, refunds and promotional credits, which stand beside it.",
      "청구된 사용액과 구매액입니다. 세금, 환불, 프로모션 크레딧은 제외하고 따로 보여 줍니다.",
    ),
    from: "now/M",
    to: "now/M",
    variables: [
      values("source", say("Source", "소스"), "label_values(costband_source_up, source)"),
      choice("basis", say("Cost basis", "비용 기준"), [
        ["effective", say("effective", "상각")],
        ["billed", say("billed", "청구")],
      ]),
      period(say),
    ],
    annotations: [alerts(say), restatements(say), monthEnds(say), provisional(say)],
    rows: [month(language, say), onWhat(say), bases(say), freshness(language, say)],
  };
}

function month(language: Language, say: Say): Row {
  const total = (title: string, description: string, expr: string): Unplaced =>
    stat(
      { title, description, none: say("No bill was read yet", "아직 읽은 청구가 없습니다"), width: 8, height: 4 },
      { unit: MONEY, decimals: 0 },
      { expr, legend: "{{currency}}" },
    );
  const start = (period: string) => newest("billing_period_start_timestamp_seconds", "source", both(SOURCE, `period="${period}"`));
  const last = newest(COST, "source, currency", PREVIOUS);
  // Last month's total, spread evenly over its days.
  const elapsed = `clamp((vector(time()) - on () group_right () ${start("current")}) / (${start("current")} - ${start("previous")}), 0, 1)`;
  const now = one(COST, "source, currency", CURRENT);
  return {
    title: say("Month against month", "이번 달과 지난달"),
    panels: [
      total(
        say("This month so far", "이번 달 현재까지"),
        say("All chosen sources, for each currency: currencies are never added together.", "선택한 소스의 통화별 합계입니다. 서로 다른 통화는 합산하지 않습니다."),
        `sum by (currency) (${now})`,
      ),
      total(
        say("Last month, whole", "지난달 전체"),
        say("The bill of the month before; some days of it may still come.", "지난달의 청구입니다. 일부 날짜의 비용이 더 들어올 수 있습니다."),
        `sum by (currency) (${one(COST, "source, currency", PREVIOUS)})`,
      ),
      total(
        say("Newest complete day", "최근 완결일"),
        say("The effective cost of the newest day whose bill stands still.", "청구가 완결된 가장 최근 하루의 상각 비용입니다."),
        `sum by (currency) (${one("effective_cost_last_complete_day", "source, currency", SOURCE)})`,
      ),
      graph(
        {
          title: say("This month, and last month's even pace", "이번 달 지출과 지난달의 평균 속도"),
          description: say(
            "What was known of the month at each instant, and the total of last month spread evenly over its days. The days of the orange stretch are provisional: their bills are not complete and will grow.",
            "각 시점에 확인된 이번 달 금액과, 지난달 합계를 일수로 균등하게 나눈 선입니다. 주황색 구간은 잠정 기간으로, 청구가 완결되지 않아 금액이 더 늘어납니다.",
          ),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 16,
          height: 10,
          links: [toBoard("bands", say("Against the bands", "예산 범위와 비교"), language)],
          overrides: [
            matching(`/${say("last month", "지난달")}/`, {
              color: { mode: "fixed", fixedColor: COLOUR.quiet },
              "custom.lineStyle": { fill: "dash", dash: [8, 6] },
              "custom.lineWidth": 1,
            }),
          ],
        },
        { unit: MONEY, decimals: 0, min: 0, custom: { lineWidth: 2, lineInterpolation: LineInterpolation.StepAfter } },
        { expr: `${now} and ${sinceItBegan(SOURCE)}`, legend: "{{source}} {{currency}}" },
        { expr: `${last} * on (source) group_left () ${elapsed}`, legend: say("{{source}} {{currency}}, last month", "{{source}} {{currency}}, 지난달") },
      ),
      table(
        {
          title: say("Pace by source", "소스별 속도"),
          description: say(
            "This month's cost of a day so far over last month's. Above 1 this month is dearer. The newest days count whole though they are not complete, so that the figure is too low while their bills still grow.",
            "이번 달의 하루 비용을 지난달의 하루 비용으로 나눈 값입니다. 1보다 크면 이번 달 지출이 더 많습니다. 잠정 기간의 날도 하루로 세므로, 청구가 늘어나는 동안에는 실제보다 낮게 나타납니다.",
          ),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 8,
          height: 10,
        },
        [
          { title: say("Source", "소스"), label: "source" },
          { title: say("This month", "이번 달"), expr: now, unit: MONEY, decimals: 0 },
          { title: say("Last month", "지난달"), expr: one(COST, "source, currency", PREVIOUS), unit: MONEY, decimals: 0 },
          {
            title: say("Pace", "속도"),
            expr: pace(now, one(COST, "source, currency", PREVIOUS)),
            unit: "none",
            decimals: 2,
            width: 70,
            thresholds: steps(COLOUR.good, [1.05, COLOUR.warn], [1.25, COLOUR.bad]),
          },
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("This month", "이번 달"), true],
      ),
    ],
  };
}

/** This month's cost of a day that data reaches over last month's. */
function pace(now: string, last: string): string {
  const start = (period: string) => one("billing_period_start_timestamp_seconds", "source", both(SOURCE, `period="${period}"`));
  const through = one("billing_data_through_timestamp_seconds", "source", SOURCE);
  const days = `(${start("current")} - ${start("previous")}) / (${through} - ${start("current")} > 0)`;
  return `${now} / ${last} * on (source) group_left () (${days})`;
}

function onWhat(say: Say): Row {
  const dimension = (name: string, labels: string, column: Column, title: string, description: string, size: [number, number]): Unplaced =>
    table(
      { title, description, none: say("No bill was read yet", "아직 읽은 청구가 없습니다"), width: size[0], height: size[1] },
      [
        column,
        { title: say("Source", "소스"), label: "source", width: 110 },
        { title: say("Cost", "비용"), expr: one(name, labels, CHOSEN), unit: MONEY, decimals: 0, cell: "bar", min: 0 },
        { title: say("Currency", "통화"), label: "currency", width: 80 },
      ],
      [say("Cost", "비용"), true],
    );
  const account = one("sub_account_${basis}_cost", "source, sub_account_id, currency", CHOSEN);
  const name = one("sub_account_info", "source, sub_account_id, sub_account_name", SOURCE);
  return {
    title: say("On what", "지출 내역"),
    panels: [
      dimension(
        SERVICE,
        "source, service_name, currency",
        { title: say("Service", "서비스"), label: "service_name" },
        say("By service", "서비스별"),
        say("The services of the billing period, dearest first. What is past the limit of series is __other__.", "청구 기간의 서비스별 비용을 큰 순서로 보여 줍니다. 시계열 한도를 넘은 서비스는 __other__에 합산합니다."),
        [12, 13],
      ),
      table(
        {
          title: say("By sub-account", "하위 계정별"),
          description: say("AWS accounts, GCP projects and Azure subscriptions, dearest first.", "AWS 계정, GCP 프로젝트, Azure 구독별 비용을 큰 순서로 보여 줍니다."),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 12,
          height: 13,
        },
        [
          { title: say("Sub-account", "하위 계정"), label: "sub_account_name" },
          { title: say("Source", "소스"), label: "source", width: 110 },
          {
            title: say("Cost", "비용"),
            // What has no name, __other__ for one, is called by its identity.
            expr: `${account} * on (source, sub_account_id) group_left (sub_account_name) ${name} or label_replace(${account} unless on (source, sub_account_id) ${name}, "sub_account_name", "$1", "sub_account_id", "(.*)")`,
            unit: MONEY,
            decimals: 0,
            cell: "bar",
            min: 0,
          },
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("Cost", "비용"), true],
      ),
      dimension(
        "region_${basis}_cost",
        "source, region_id, currency",
        { title: say("Region", "리전"), label: "region_id" },
        say("By region", "리전별"),
        say("Regions, dearest first. What is in none has an empty name.", "리전별 비용을 큰 순서로 보여 줍니다. 리전이 없는 비용은 이름이 비어 있습니다."),
        [12, 10],
      ),
      graph(
        {
          title: say("The dearest services of the month", "이번 달 비용 상위 서비스"),
          description: say("What was known of the month at each instant. A line that bends upwards has begun to cost more.", "각 시점에 확인된 이번 달 금액입니다. 선이 위로 꺾이면 비용이 빠르게 늘기 시작한 것입니다."),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 12,
          height: 10,
        },
        { unit: MONEY, decimals: 0, min: 0, custom: { lineWidth: 2, lineInterpolation: LineInterpolation.StepAfter } },
        {
          expr: `${one(SERVICE, "source, service_name, currency", CURRENT)} and topk(8, ${newest(SERVICE, "source, service_name, currency", CURRENT)}) and ${sinceItBegan(SOURCE)}`,
          legend: "{{service_name}} {{currency}}",
        },
      ),
    ],
  };
}

function bases(say: Say): Row {
  const billed = one("billed_cost", "source, currency", CHOSEN);
  const effective = one("effective_cost", "source, currency", CHOSEN);
  return {
    title: say("Cost bases, and what is not spend", "비용 기준과 지출에서 제외한 항목"),
    panels: [
      table(
        {
          title: say("Billed and effective", "청구 비용과 상각 비용"),
          description: say(
            "Billed is what the invoice says, with commitments as lumps on the day of their purchase; effective spreads them over what they cover. The two are never added together.",
            "청구 비용은 청구서의 금액으로, 약정 금액이 구매한 날에 한꺼번에 들어갑니다. 상각 비용은 약정 금액을 적용 대상 사용에 나눈 값입니다. 둘은 합산하지 않습니다.",
          ),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 12,
          height: 9,
        },
        [
          { title: say("Source", "소스"), label: "source" },
          { title: say("Billed", "청구"), expr: billed, unit: MONEY, decimals: 0 },
          { title: say("Effective", "상각"), expr: effective, unit: MONEY, decimals: 0 },
          { title: say("Difference", "차이"), less: [say("Billed", "청구"), say("Effective", "상각")], unit: MONEY, decimals: 0 },
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("Source", "소스"), false],
      ),
      table(
        {
          title: say("Tax, credits and refunds", "세금, 크레딧, 환불"),
          description: say(
            "On the bill, and not in the spend above. A source that tells none of a kind has no line of it.",
            "청구서에는 있지만 위의 지출에서는 제외한 항목입니다. 해당 항목이 없는 소스는 표시하지 않습니다.",
          ),
          none: say("No tax, credit or refund was told", "세금, 크레딧, 환불이 없습니다"),
          width: 12,
          height: 9,
        },
        [
          { title: say("Source", "소스"), label: "source" },
          {
            title: say("Kind", "종류"),
            label: "kind",
            mappings: words(["tax", say("tax", "세금"), "text"], ["credit", say("credit", "크레딧"), "text"], ["refund", say("refund", "환불"), "text"]),
          },
          { title: say("Cost", "비용"), expr: one("excluded_cost", "source, kind, currency", CHOSEN), unit: MONEY, decimals: 0 },
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("Cost", "비용"), true],
      ),
    ],
  };
}

function freshness(language: Language, say: Say): Row {
  const through = (name: string) => one(name, "source", SOURCE);
  const day = 86400;
  const age = (name: string) => `(time() - ${through(name)}) / ${day}`;
  return {
    title: say("How far the bills reach", "청구 데이터 현황"),
    panels: [
      graph(
        {
          title: say("Age of the bills", "청구 데이터 경과 시간"),
          description: say(
            "How long ago the newest complete day ended, and the newest day of which anything is told. Up to three days are usual; from five on an alert fires and nobody knows what is spent.",
            "가장 최근 완결일과 데이터가 있는 가장 최근 날이 끝난 뒤 지난 시간입니다. 3일까지는 정상이며, 5일부터는 알림이 발생하고 현재 지출을 알 수 없습니다.",
          ),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 12,
          height: 8,
          links: [toBoard("agent", say("How the agent reads them", "에이전트의 조회 상태"), language)],
          overrides: [matching(`/${say("told", "데이터")}/`, { "custom.lineStyle": { fill: "dash", dash: [2, 4] } })],
        },
        { unit: "d", decimals: 0, min: 0, custom: { lineWidth: 2, axisSoftMax: 5 } },
        { expr: age("billing_complete_through_timestamp_seconds"), legend: say("{{source}} complete", "{{source}} 완결") },
        { expr: age("billing_data_through_timestamp_seconds"), legend: say("{{source}} told", "{{source}} 데이터") },
      ),
      table(
        {
          title: say("What stands still, and what may move", "완결 기간과 잠정 기간"),
          description: say(
            "Days after the complete one are provisional. A month that is not final may still change.",
            "완결일 이후의 금액은 잠정입니다. 확정되지 않은 달의 금액은 바뀔 수 있습니다.",
          ),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 12,
          height: 8,
        },
        [
          { title: say("Source", "소스"), label: "source" },
          { title: say("Complete until", "완결 시점"), expr: `${through("billing_complete_through_timestamp_seconds")} * 1000`, unit: "time:YYYY-MM-DD HH:mm" },
          { title: say("Told until", "데이터 시점"), expr: `${through("billing_data_through_timestamp_seconds")} * 1000`, unit: "time:YYYY-MM-DD HH:mm" },
          {
            title: say("Provisional days", "잠정 일수"),
            expr: `(${through("billing_data_through_timestamp_seconds")} - ${through("billing_complete_through_timestamp_seconds")}) / ${day}`,
            unit: "none",
            decimals: 1,
          },
          {
            title: say("Last month", "지난달"),
            expr: one("billing_period_final", "source", PREVIOUS),
            mappings: words([0, say("open", "미확정"), COLOUR.warn], [1, say("final", "확정"), COLOUR.good]),
          },
        ],
        [say("Source", "소스"), false],
      ),
      stat(
        {
          title: say("Sum and total differ by", "항목 합계와 총액의 차이"),
          description: say(
            "The provider's own total less the sum by group. Anything but 0 is money that is in no group.",
            "공급자의 총액에서 항목별 합계를 뺀 값입니다. 0이 아니면 어느 항목에도 속하지 않은 금액이 있습니다.",
          ),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 10,
          height: 6,
        },
        { unit: MONEY, decimals: 2 },
        { expr: one("billing_reconciliation_difference", "source, currency", CHOSEN), legend: "{{source}} {{currency}}" },
      ),
      stat(
        {
          title: say("Days that moved after they were complete", "완결 후 변경된 날"),
          description: say("Since the ledger was begun. Some a month are usual with credits that come late; see the annotations for when.", "원장을 시작한 이후의 일수입니다. 늦게 반영되는 크레딧 때문에 한 달에 몇 번은 흔합니다. 시점은 그래프의 주석에 있습니다."),
          none: say("No bill was read yet", "아직 읽은 청구가 없습니다"),
          width: 8,
          height: 6,
        },
        { unit: "none", decimals: 0 },
        { expr: one("restatements_total", "source", SOURCE), legend: "{{source}}" },
      ),
      stat(
        {
          title: say("Values without a series of their own", "합산하여 표시하는 값"),
          description: say("Services, accounts and the like past the limit of series: they are in __other__, with their money.", "시계열 한도를 넘은 서비스, 계정 등의 수입니다. 금액은 __other__에 합산되어 있습니다."),
          none: say("None: each value has its own", "없습니다. 모든 값을 따로 표시합니다"),
          width: 6,
          height: 6,
        },
        { unit: "none", decimals: 0 },
        { expr: series("series_folded_total"), legend: "{{source}} {{dimension}}" },
      ),
    ],
  };
}
