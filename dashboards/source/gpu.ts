// GPUs: how many there are, what they do, and what doing nothing costs.

import { alerts, monthEnds, period, toBoard, values, type Board } from "./dashboard";
import { CLOUD, FLEET, IDLE, LABELS, MONEY_LABELS, byState, cost, hours, inState, price, states, sum, utilization } from "./fleets";
import type { Language, Say } from "./language";
import { COLOUR, MONEY, STACKED, bars, graph, stat, steps, table, words, type Column, type Row } from "./panels";
import { both, one, parts, series } from "./queries";

export function gpu(language: Language, say: Say): Board {
  return {
    name: "gpu",
    title: say("costband: GPUs", "costband: GPU"),
    description: say(
      "What the GPUs that are paid for do, and what it costs that some do nothing.",
      "비용을 내는 GPU가 무엇을 하는지, 유휴 GPU에 비용이 얼마나 드는지 보여 줍니다.",
    ),
    from: "now-7d",
    to: "now",
    variables: [
      values("provider", say("Provider", "공급자"), "label_values(costband_gpus, provider)"),
      values("cluster", say("Cluster", "클러스터"), 'label_values(costband_gpus{provider=~"$provider"}, cluster)'),
      values("model", say("Model", "모델"), 'label_values(costband_gpus{cluster=~"$cluster"}, model)'),
      period(say),
    ],
    annotations: [alerts(say), monthEnds(say)],
    rows: [now(say), money(language, say), prices(say), whose(say), trust(say), beside(say)],
  };
}

function now(say: Say): Row {
  const none = say("No GPU telemetry is read", "읽고 있는 GPU 텔레메트리가 없습니다");
  const ratio = { unit: "percentunit", decimals: 0, min: 0, max: 1 };
  return {
    title: say("Now", "지금"),
    panels: [
      stat(
        { title: say("GPUs", "GPU"), description: say("GPUs that telemetry sees, each device once.", "텔레메트리에 나타난 GPU 수입니다. 장치마다 한 번만 셉니다."), none, width: 5, height: 4 },
        { unit: "none", decimals: 0 },
        { expr: sum("gpus", "") },
      ),
      stat(
        {
          title: say("Mean utilization", "평균 사용률"),
          description: say("Of the GPUs whose utilization is known. Low with a full memory: they wait for their data.", "사용률을 아는 GPU의 평균입니다. 메모리는 가득 찼는데 사용률이 낮으면 데이터를 기다리고 있는 것입니다."),
          none,
          width: 5,
          height: 4,
        },
        { ...ratio, thresholds: steps(COLOUR.bad, [0.3, COLOUR.warn], [0.6, COLOUR.good]) },
        { expr: utilization("") },
      ),
      stat(
        {
          title: say("Idle money of the period", "청구 기간의 유휴 비용"),
          description: say("What GPUs cost in the billing period while they did nothing: held without work, empty, asked for by nobody, unhealthy.", "청구 기간에 작업하지 않은 GPU의 비용입니다. 점유 유휴, 할당 후 비어 있음, 미할당, 고장이 들어갑니다."),
          none: say("No GPU time has a price yet", "비용이 매겨진 GPU 시간이 아직 없습니다"),
          width: 5,
          height: 4,
        },
        { unit: MONEY, decimals: 0 },
        { expr: cost("currency", IDLE), legend: "{{currency}}" },
      ),
      stat(
        {
          title: say("Share of it in all GPU money", "전체 GPU 비용 중 유휴 비중"),
          description: say("From three tenths of a week's money on an alert fires.", "한 주 비용의 30%부터 알림이 발생합니다."),
          none: say("No GPU time has a price yet", "비용이 매겨진 GPU 시간이 아직 없습니다"),
          width: 5,
          height: 4,
        },
        { ...ratio, thresholds: steps(COLOUR.good, [0.15, COLOUR.warn], [0.3, COLOUR.bad]) },
        {
          expr: `${cost("currency", IDLE)} / ${cost("currency")}`,
          legend: "{{currency}}",
        },
      ),
      bars(
        {
          title: say("Telemetry coverage", "텔레메트리 범위"),
          description: say("GPUs that tell something over those that the known nodes should have. Below 1 some are paid for and not seen; above 1 some are of nodes that nobody lists.", "알려진 노드에 있어야 할 GPU 중 텔레메트리가 있는 GPU의 비율입니다. 100%보다 작으면 비용을 내지만 보이지 않는 GPU가 있고, 크면 목록에 없는 노드의 GPU가 있습니다."),
          none: say("No node is known", "알려진 노드가 없습니다"),
          width: 4,
          height: 4,
        },
        { ...ratio, thresholds: steps(COLOUR.bad, [0.9, COLOUR.warn], [1, COLOUR.good]) },
        { expr: one("gpu_telemetry_coverage_ratio", "cluster", 'provider=~"$provider", cluster=~"$cluster"'), legend: "{{cluster}}" },
      ),
      graph(
        {
          title: say("What the GPUs do", "상태별 GPU 수"),
          description: say("GPUs by state over time. Red and orange cost as much as green does.", "시간에 따른 상태별 GPU 수입니다. 빨간색과 주황색도 초록색과 똑같이 비용이 듭니다."),
          none,
          width: 12,
          height: 9,
          overrides: byState(say),
        },
        { unit: "none", decimals: 0, min: 0, custom: STACKED },
        { expr: inState("state"), legend: "{{state}}" },
      ),
      graph(
        {
          title: say("Money that GPUs cost in an hour", "GPU의 시간당 비용"),
          description: say("The same, each GPU at the price of its hour: what could be given back is red and orange.", "상태별 GPU 수에 시간당 단가를 곱한 값입니다. 줄일 수 있는 비용은 빨간색과 주황색입니다."),
          none: say("No price is known", "알려진 단가가 없습니다"),
          width: 12,
          height: 9,
          overrides: byState(say),
        },
        { unit: MONEY, decimals: 0, min: 0, custom: STACKED },
        {
          expr: `sum by (state, currency) (${inState(`${LABELS}, state`)} * on (${LABELS}) group_left (currency) ${price(MONEY_LABELS)})`,
          legend: "{{state}}",
        },
      ),
    ],
  };
}

function money(language: Language, say: Say): Row {
  return {
    title: say("Money of the billing period", "청구 기간의 비용"),
    panels: [
      bars(
        {
          title: say("By what the GPUs did", "GPU 상태별"),
          description: say("As billed on complete days, estimated on the others. Ask those who hold GPUs without work first.", "완결된 날은 청구된 금액이며 나머지는 추정입니다. 작업 없이 GPU를 점유한 곳부터 확인하세요."),
          none: say("No GPU time has a price yet", "비용이 매겨진 GPU 시간이 아직 없습니다"),
          width: 8,
          height: 9,
          overrides: byState(say),
          links: [toBoard("spend", say("All spend", "전체 지출"), language)],
        },
        { unit: MONEY, decimals: 0, min: 0 },
        { expr: cost("state, currency"), legend: "{{state}}" },
      ),
      table(
        {
          title: say("Idle money by reason", "이유별 유휴 비용"),
          description: say("Which cloud's GPUs do nothing, and why.", "클라우드별 유휴 GPU 비용과 그 이유입니다."),
          none: say("No GPU is idle", "유휴 GPU가 없습니다"),
          width: 8,
          height: 9,
        },
        [
          { title: say("Provider", "공급자"), label: "provider", width: 75 },
          { title: say("Reason", "이유"), label: "state", mappings: words(...states(say)) },
          { title: say("Cost", "비용"), expr: `${cost("provider, state, currency", IDLE)} > 0`, unit: MONEY, decimals: 0, cell: "bar", min: 0, width: 120 },
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("Cost", "비용"), true],
      ),
      bars(
        {
          title: say("Billed and in no state", "GPU 상태에 속하지 않는 청구"),
          description: say("Days and hours without telemetry, and what is no GPU's: storage, network and the rest of the machines' bill.", "텔레메트리가 없던 날과 시간의 비용, 그리고 스토리지와 네트워크 등 GPU 외 비용입니다."),
          none: say("All of the bill is in a state", "모든 청구가 GPU 상태에 속합니다"),
          width: 8,
          height: 9,
        },
        { unit: MONEY, decimals: 0 },
        { expr: `sum by (residual, currency) (${parts("gpu_cost_residual", "provider, currency, period, residual", CLOUD)})`, legend: "{{residual}} {{currency}}" },
      ),
    ],
  };
}

function prices(say: Say): Row {
  const fleet: Column[] = [
    { title: say("Cluster", "클러스터"), label: "cluster", width: 130 },
    { title: say("Model", "모델"), label: "model", width: 130 },
    { title: say("Capacity", "구매 방식"), label: "capacity_type", width: 110 },
  ];
  const ratio = { unit: "percentunit", decimals: 0, min: 0, max: 1, cell: "bar" } as const;
  return {
    title: say("Fleets: utilization against money", "GPU 그룹: 사용률과 비용"),
    panels: [
      table(
        {
          title: say("Fleets", "GPU 그룹"),
          description: say(
            "What an hour of each fleet costs, and how much of it works. A dear fleet with a short bar is where to begin.",
            "GPU 그룹별 시간당 비용과 사용률입니다. 비용이 큰데 막대가 짧은 그룹부터 확인하세요.",
          ),
          none: say("No GPU telemetry is read", "읽고 있는 GPU 텔레메트리가 없습니다"),
          width: 24,
          height: 10,
        },
        [
          ...fleet,
          { title: "GPU", expr: sum("gpus", LABELS), unit: "none", decimals: 0, width: 60 },
          { title: say("Utilization", "사용률"), expr: utilization(LABELS), ...ratio, thresholds: steps(COLOUR.bad, [0.3, COLOUR.warn], [0.6, COLOUR.good]) },
          { title: say("Memory used", "메모리 사용"), expr: `${sum("gpu_memory_used_bytes", LABELS)} / ${sum("gpu_memory_total_bytes", LABELS)}`, ...ratio, thresholds: steps(COLOUR.low) },
          { title: say("Memory", "메모리"), expr: sum("gpu_memory_total_bytes", LABELS), unit: "decbytes", decimals: 0, width: 90 },
          {
            title: say("GPU-hour", "GPU 시간당"),
            expr: price(MONEY_LABELS),
            unit: MONEY,
            decimals: 2,
            width: 100,
          },
          { title: say("Fleet in an hour", "그룹 시간당"), expr: `${price(MONEY_LABELS)} * on (${LABELS}) group_left () ${sum("gpus", LABELS)}`, unit: MONEY, decimals: 2, width: 130 },
          {
            title: say("Busy GPU-hour", "작업 GPU 시간당"),
            expr: `${price(MONEY_LABELS)} * on (${LABELS}) group_left () (${hours(LABELS)} / (${hours(LABELS, 'state="busy"')} > 0))`,
            unit: MONEY,
            decimals: 2,
            width: 130,
          },
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("Fleet in an hour", "그룹 시간당"), true],
      ),
      bars(
        {
          title: say("Effective price of a busy GPU-hour", "작업 GPU 시간의 실효 단가"),
          description: say(
            "What all GPU-hours of the stretch cost, over those in which they worked, across clouds, of the fleets that have a price. The cheapest list price is not the cheapest work.",
            "표시 기간의 전체 GPU 시간 비용을 실제로 작업한 시간으로 나눈 값으로, 단가를 아는 GPU 그룹만 클라우드별로 비교합니다. 정가가 가장 낮은 곳의 작업 비용이 가장 낮은 것은 아닙니다.",
          ),
          none: say("No GPU was busy, or no price is known", "작업한 GPU가 없거나 알려진 단가가 없습니다"),
          width: 12,
          height: 9,
        },
        { unit: MONEY, decimals: 2, min: 0 },
        {
          expr:
            `sum by (provider, model, currency) (${hours(LABELS)} * on (${LABELS}) group_left (currency) ${price(MONEY_LABELS)})` +
            // Work of a fleet whose price nobody knows would make that of the others cheap.
            ` / (sum by (provider, model, currency) (${hours(LABELS, 'state="busy"')} * on (${LABELS}) group_left (currency) ${price(MONEY_LABELS)} ^ 0) > 0)`,
          legend: "{{provider}} {{model}} {{currency}}",
        },
      ),
      table(
        {
          title: say("Prices of a GPU-hour", "GPU 시간 단가"),
          description: say("As the bill says, as the list says, as it was configured. A bill above the list wants a look; one far below it is a commitment.", "청구 단가, 정가, 설정 단가입니다. 청구 단가가 정가보다 높으면 확인이 필요하며, 훨씬 낮으면 약정이 적용된 것입니다."),
          none: say("No price is known", "알려진 단가가 없습니다"),
          width: 12,
          height: 9,
        },
        [
          { title: say("Machine", "머신"), label: "instance_type" },
          { title: say("Capacity", "구매 방식"), label: "capacity_type", width: 100 },
          ...(
            [
              ["billed", say("Billed", "청구")],
              ["list", say("List", "정가")],
            ] as const
          ).map(([source, title]) => ({
            title,
            expr: one("gpu_hour_price", "instance_type, capacity_type, currency", both(FLEET, `price_source="${source}"`)),
            unit: MONEY,
            decimals: 2,
            width: 80,
          })),
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("Billed", "청구"), true],
      ),
    ],
  };
}

function whose(say: Say): Row {
  const workload = (name: string, period: string) =>
    `sum by (workload_namespace, workload_name, currency) (${parts(name, "workload_namespace, workload_name, currency, period", period)})`;
  const chosen = 'period="$period"';
  const tiers = ["below_minimum", "minimum", "recommended", "optimal"];
  const tier = tiers
    .map((tier, place) => `(${series("cluster_tier", `provider=~"$provider", cluster=~"$cluster", tier="${tier}"`)} == 1) * ${place}`)
    .join(" or ");
  return {
    title: say("Workloads and clusters", "워크로드와 클러스터"),
    panels: [
      table(
        {
          title: say("Workloads, and what they held idle", "워크로드별 유휴 비용"),
          description: say(
            "What the GPUs that a workload held cost in the billing period, and the part in which they did nothing. Sidecars tell of their own pods what others tell of all: choose the installation that is meant.",
            "청구 기간에 워크로드가 점유한 GPU의 비용과 그중 유휴 비용입니다. 사이드카는 자기 파드만, 다른 에이전트는 전체를 알려 주므로 볼 설치를 선택하세요.",
          ),
          none: say("No workload's GPU time has a price yet", "비용이 매겨진 워크로드 GPU 시간이 아직 없습니다"),
          width: 14,
          height: 9,
        },
        [
          { title: say("Namespace", "네임스페이스"), label: "workload_namespace", width: 130 },
          { title: say("Workload", "워크로드"), label: "workload_name" },
          { title: say("Idle", "유휴"), expr: workload("workload_gpu_idle_cost", chosen), unit: MONEY, decimals: 0, cell: "bar", min: 0 },
          { title: say("Cost", "비용"), expr: workload("workload_gpu_cost", chosen), unit: MONEY, decimals: 0, width: 100 },
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("Idle", "유휴"), true],
      ),
      table(
        {
          title: say("Tiers of clusters", "클러스터 등급"),
          description: say("Where each cluster stands against the hardware guide: GPUs, GPU memory, fast storage.", "하드웨어 가이드 기준 클러스터 등급입니다. GPU, GPU 메모리, 고속 스토리지로 판정합니다."),
          none: say("No cluster is known whole", "전체 구성을 아는 클러스터가 없습니다"),
          width: 10,
          height: 9,
        },
        [
          { title: say("Cluster", "클러스터"), label: "cluster" },
          { title: say("Provider", "공급자"), label: "provider", width: 90 },
          { title: "GPU", expr: sum("gpus", "provider, cluster"), unit: "none", decimals: 0, width: 60 },
          {
            title: say("Tier", "등급"),
            expr: `max by (provider, cluster) (${tier})`,
            mappings: words(
              [0, say("below minimum", "최소 미만"), COLOUR.bad],
              [1, say("minimum", "최소"), COLOUR.warn],
              [2, say("recommended", "권장"), COLOUR.good],
              [3, say("optimal", "최적"), COLOUR.good],
            ),
          },
        ],
        [say("Cluster", "클러스터"), false],
      ),
    ],
  };
}

function trust(say: Say): Row {
  return {
    title: say("How far to trust it", "추정의 정확도"),
    panels: [
      bars(
        {
          title: say("Estimated part of GPU money", "GPU 비용 중 추정"),
          description: say("How much no complete bill stands behind yet.", "완결된 청구로 아직 확인되지 않은 금액입니다."),
          none: say("No GPU time has a price yet", "비용이 매겨진 GPU 시간이 아직 없습니다"),
          width: 8,
          height: 6,
        },
        { unit: MONEY, decimals: 0, min: 0 },
        { expr: `sum by (provider, currency) (${parts("gpu_cost_estimated", "provider, currency, period", CLOUD)})`, legend: "{{provider}} {{currency}}" },
      ),
      stat(
        {
          title: say("Estimates were above bills by", "청구 대비 추정 오차"),
          description: say("On the newest complete days. Far from 0: a price or a discount is not known.", "최근 완결일의 값으로, 추정이 청구보다 높으면 양수입니다. 0에서 멀면 반영되지 않은 단가나 할인이 있습니다."),
          none: say("No estimate was held against a bill yet", "청구와 비교한 추정이 아직 없습니다"),
          width: 8,
          height: 6,
        },
        { unit: "percentunit", decimals: 1 },
        { expr: one("gpu_nowcast_error_ratio", "provider", 'provider=~"$provider"'), legend: "{{provider}}" },
      ),
      bars(
        {
          title: say("GPU time by state", "상태별 GPU 시간"),
          description: say("GPU-hours of the stretch that is shown. Unknown hours have a cost too.", "표시 기간의 GPU 시간입니다. 상태를 알 수 없는 시간에도 비용이 듭니다."),
          none: say("No GPU telemetry is read", "읽고 있는 GPU 텔레메트리가 없습니다"),
          width: 8,
          height: 6,
          overrides: byState(say),
        },
        { unit: "suffix: h", decimals: 0, min: 0 },
        { expr: hours("state"), legend: "{{state}}" },
      ),
    ],
  };
}

function beside(say: Say): Row {
  return {
    title: say("Sidecars and node agents", "사이드카와 노드 에이전트"),
    panels: [
      bars(
        {
          title: say("GPU-hours of sidecars' own pods", "사이드카 파드의 GPU 시간"),
          description: say("Told by sidecars alone: what each one's pod held in the stretch, by what the GPUs did.", "사이드카만 알려 줍니다. 표시 기간에 각 파드가 점유한 GPU 시간을 상태별로 보여 줍니다."),
          none: say("No sidecar is scraped", "수집 중인 사이드카가 없습니다"),
          width: 14,
          height: 5,
          overrides: byState(say),
        },
        { unit: "suffix: h", decimals: 1, min: 0 },
        {
          expr: `sum by (workload_namespace, workload_name, state) (increase(${series("workload_gpu_seconds_total")}[$__range])) / 3600`,
          legend: "{{workload_namespace}}/{{workload_name}} {{state}}",
        },
      ),
      table(
        {
          title: say("GPUs of node agents and sidecars", "노드 에이전트와 사이드카의 GPU"),
          description: say("Each GPU with its tier. A central agent tells of fleets instead.", "등급별 GPU 수입니다. 중앙 에이전트는 대신 GPU 그룹을 알려 줍니다."),
          none: say("No node agent and no sidecar is scraped", "수집 중인 노드 에이전트나 사이드카가 없습니다"),
          width: 10,
          height: 5,
        },
        [
          { title: say("Model", "모델"), label: "model" },
          { title: say("Tier", "등급"), label: "tier" },
          { title: "GPU", expr: `count by (model, tier) (${series("gpu_info")})`, unit: "none", decimals: 0, width: 60 },
        ],
        ["GPU", true],
      ),
    ],
  };
}
