// The agent itself: whether it leads, reads, tells, and what that costs.

import { BigValueTextMode, LineInterpolation } from "@grafana/schema";

import { alerts, restatements, toBoard, values, type Board } from "./dashboard";
import type { Language, Say } from "./language";
import { COLOUR, MONEY, STACKED, bars, graph, matching, stat, steps, table, words, type Row } from "./panels";
import { both, one, series } from "./queries";

const SOURCE = 'source=~"$source"';

export function agent(language: Language, say: Say): Board {
  return {
    name: "agent",
    title: say("costband: agent", "costband: 에이전트"),
    description: say("Whether costband itself is well, and what its questions to the clouds cost.", "costband가 정상 동작하는지, 클라우드 조회에 비용이 얼마나 드는지 보여 줍니다."),
    from: "now-24h",
    to: "now",
    variables: [values("source", say("Source", "소스"), "label_values(costband_source_up, source)")],
    annotations: [alerts(say), restatements(say)],
    rows: [now(language, say), sources(say), requests(say), telling(say), telemetry(say), process(say)],
  };
}

/** Self metrics of each replica. */
function counted(name: string, labels: string, selector = ""): string {
  return `sum by (${labels}) (rate(${series(name, selector)}[$__rate_interval]))`;
}

function during(name: string, labels: string, selector = ""): string {
  return `sum by (${labels}) (increase(${series(name, selector)}[$__range]))`;
}

function now(language: Language, say: Say): Row {
  const yes = (no: string, yes: string) => words([0, no, COLOUR.bad], [1, yes, COLOUR.good]);
  const good = steps(COLOUR.bad, [1, COLOUR.good]);
  const none = say("No costband is scraped", "수집 중인 costband가 없습니다");
  return {
    title: say("Now", "지금"),
    panels: [
      stat(
        {
          title: say("Leader", "리더"),
          description: say("Whether some replica holds the Lease and reads bills. Nobody: nothing watches the bands.", "Lease를 보유하고 청구를 읽는 복제본이 있는지 나타냅니다. 없으면 예산 범위를 감시하는 복제본이 없습니다."),
          none,
          width: 4,
          height: 4,
        },
        { unit: "none", mappings: yes(say("nobody leads", "리더 없음"), say("leads", "있음")), thresholds: good, background: true },
        { expr: `max(${series("leader")})` },
      ),
      stat(
        {
          title: say("Configuration", "설정"),
          description: say("Whether the file as it was last found is what runs. Refused: the log names each problem with its path.", "마지막으로 읽은 설정 파일이 적용되었는지 나타냅니다. 거부되었으면 로그에 문제와 해당 항목의 경로가 있습니다."),
          none,
          width: 4,
          height: 4,
        },
        { unit: "none", mappings: yes(say("refused", "거부됨"), say("taken", "적용됨")), thresholds: good, background: true },
        { expr: `min(${series("config_last_reload_successful")})` },
      ),
      stat(
        {
          title: say("Sources that fail", "읽기 실패 소스"),
          description: say("Sources whose newest poll failed. costband check --online names the command that mends it.", "가장 최근 조회가 실패한 소스의 수입니다. costband check --online이 해결 명령을 알려 줍니다."),
          none: say("No source was polled yet", "아직 조회한 소스가 없습니다"),
          width: 4,
          height: 4,
        },
        { unit: "none", thresholds: steps(COLOUR.good, [1, COLOUR.bad]), background: true },
        { expr: `sum(${one("source_up", "source", SOURCE)} == bool 0)` },
      ),
      stat(
        {
          title: say("Alerts that fire", "발생 중인 알림"),
          description: say("Of the agent, whoever tells them.", "어디서 전송하든 에이전트가 판정한 알림의 수입니다."),
          none,
          width: 4,
          height: 4,
        },
        { unit: "none", thresholds: steps(COLOUR.good, [1, COLOUR.warn]), background: true },
        { expr: `sum(${one("alerts", "alert", 'state="firing"')})` },
      ),
      stat(
        {
          title: say("Ledger errors", "원장 오류"),
          description: say("Operations that the ledger refused in the stretch. Meanwhile nothing is kept and nobody is told.", "표시 기간에 실패한 원장 작업 수입니다. 그동안에는 저장도 알림 전송도 되지 않습니다."),
          none: say("None", "없음"),
          width: 4,
          height: 4,
        },
        { unit: "none", decimals: 0, thresholds: steps(COLOUR.good, [1, COLOUR.bad]), background: true },
        { expr: `sum(increase(${series("ledger_errors_total")}[$__range]))` },
      ),
      stat(
        {
          title: say("Version", "버전"),
          description: say("Of each replica that is scraped. Two at once are an update that is under way.", "수집 중인 복제본의 버전입니다. 두 가지가 보이면 업데이트가 진행 중입니다."),
          none,
          width: 4,
          height: 4,
        },
        { unit: "none", text: BigValueTextMode.Name },
        { expr: `count by (version) (${series("build_info")})`, legend: "{{version}}" },
      ),
      bars(
        {
          title: say("Alerts, pending and firing", "대기 중이거나 발생 중인 알림"),
          description: say("By rule. The page and /api/v1/alerts say of what, since when and why.", "규칙별 수입니다. 대상, 시작 시각, 이유는 화면과 /api/v1/alerts에 있습니다."),
          none: say("No alert is pending or fires", "대기 중이거나 발생 중인 알림이 없습니다"),
          width: 12,
          height: 6,
          links: [toBoard("bands", say("Bands", "예산 범위"), language)],
        },
        { unit: "none", decimals: 0, min: 0 },
        { expr: `${one("alerts", "alert, state")} > 0`, legend: "{{alert}} {{state}}" },
      ),
      table(
        {
          title: say("Replicas", "복제본"),
          description: say("One leads, the others wait. A configuration that is older than on others was not taken here.", "하나가 리더이고 나머지는 대기합니다. 설정 시각이 다른 복제본보다 오래되었으면 새 설정이 적용되지 않은 것입니다."),
          none,
          width: 12,
          height: 6,
        },
        [
          { title: say("Instance", "인스턴스"), label: "instance" },
          { title: say("Leads", "리더"), expr: one("leader", "instance"), mappings: words([0, say("follows", "대기"), COLOUR.quiet], [1, say("leads", "리더"), COLOUR.good]), width: 90 },
          { title: say("Configuration of", "설정 시각"), expr: `${one("config_last_reload_success_timestamp_seconds", "instance")} * 1000`, unit: "time:YYYY-MM-DD HH:mm" },
          { title: say("Running since", "시작 시각"), expr: `${own("process_start_time_seconds")} * 1000`, unit: "time:YYYY-MM-DD HH:mm" },
        ],
        [say("Instance", "인스턴스"), false],
      ),
    ],
  };
}

/** A process metric of costband and of nothing else that Prometheus scrapes. */
function own(metric: string, of = (series: string) => series): string {
  return `max by (instance) (${of(`${metric}{job=~"$job"}`)} and on (job, instance) ${series("build_info")})`;
}

function sources(say: Say): Row {
  const none = say("No source was polled yet", "아직 조회한 소스가 없습니다");
  return {
    title: say("Sources", "소스"),
    panels: [
      table(
        {
          title: say("Sources", "소스"),
          description: say("When each was read well last, and how polls of the stretch ended.", "소스별 마지막 정상 읽기 시각과 표시 기간의 조회 결과입니다."),
          none,
          width: 14,
          height: 7,
        },
        [
          { title: say("Source", "소스"), label: "source" },
          { title: say("State", "상태"), expr: one("source_up", "source", SOURCE), mappings: words([0, say("fails", "실패"), COLOUR.bad], [1, say("well", "정상"), COLOUR.good]), width: 80 },
          { title: say("Read well", "마지막 정상 읽기"), expr: `${one("source_last_success_timestamp_seconds", "source", SOURCE)} * 1000`, unit: "time:YYYY-MM-DD HH:mm" },
          { title: say("Polls", "조회"), expr: during("source_polls_total", "source", SOURCE), unit: "none", decimals: 0, width: 80 },
          {
            title: say("Failed", "실패"),
            expr: `${during("source_polls_total", "source", both(SOURCE, 'outcome!="success"'))} or ${one("source_up", "source", SOURCE)} * 0`,
            unit: "none",
            decimals: 0,
            width: 80,
            thresholds: steps(COLOUR.good, [1, COLOUR.warn]),
          },
          {
            title: say("Mean duration", "평균 소요 시간"),
            expr: `${during("source_poll_duration_seconds_sum", "source", SOURCE)} / (${during("source_poll_duration_seconds_count", "source", SOURCE)} > 0)`,
            unit: "s",
            decimals: 1,
            width: 120,
          },
        ],
        [say("Source", "소스"), false],
      ),
      graph(
        {
          title: say("Nine of ten polls took less than", "조회 소요 시간(90번째 백분위)"),
          description: say("Of the polls of the day before each instant. What grows from day to day is a bill that grows, or a provider that slows down.", "각 시점 직전 하루의 조회를 기준으로 합니다. 날마다 길어지면 청구 데이터가 늘거나 공급자가 느려지고 있는 것입니다."),
          none,
          width: 10,
          height: 7,
        },
        { unit: "s", min: 0, custom: { lineWidth: 2, spanNulls: true } },
        {
          // Polls are hours apart, so that a shorter window would hold none.
          expr: `histogram_quantile(0.9, sum by (source, le) (rate(${series("source_poll_duration_seconds_bucket", SOURCE)}[1d])))`,
          legend: "{{source}}",
        },
      ),
      graph(
        {
          title: say("Polls by how they ended", "결과별 조회"),
          description: say("Polls in an hour. Auth and forbidden do not mend themselves; rate_limited stretches the cadence.", "시간당 조회 수입니다. auth와 forbidden은 자동으로 해결되지 않으며, rate_limited이면 조회 간격이 길어집니다."),
          none,
          width: 14,
          height: 6,
        },
        { unit: "none", decimals: 1, min: 0, custom: STACKED },
        { expr: `${counted("source_polls_total", "source, outcome", SOURCE)} * 3600`, legend: "{{source}} {{outcome}}" },
      ),
      table(
        {
          title: say("GPU telemetry", "GPU 텔레메트리"),
          description: say(
            "Whether the newest reading of each source did well. What the GPUs of one that fails do is unknown, never idle; the page says why it fails. Agents beside their GPUs are one row where their sources have one name, which fails where any of them does.",
            "소스별 가장 최근 읽기의 결과입니다. 읽지 못하는 소스의 GPU 상태는 유휴가 아니라 알 수 없음이며, 원인은 화면에 있습니다. GPU 옆에서 실행되는 에이전트들의 소스 이름이 같으면 한 줄로 표시되고, 하나라도 실패하면 실패로 표시됩니다.",
          ),
          none: say("No GPU telemetry was read yet", "아직 읽은 GPU 텔레메트리가 없습니다"),
          width: 10,
          height: 6,
        },
        [
          { title: say("Source", "소스"), label: "source" },
          { title: say("Cluster", "클러스터"), label: "cluster" },
          { title: say("State", "상태"), expr: `min by (source, cluster) (${series("gpu_source_up")})`, mappings: words([0, say("fails", "실패"), COLOUR.bad], [1, say("well", "정상"), COLOUR.good]), width: 80 },
        ],
        [say("State", "상태"), false],
      ),
    ],
  };
}

function requests(say: Say): Row {
  const none = say("Nothing was asked yet", "아직 보낸 요청이 없습니다");
  const spent = one("source_api_month_cost", "source, currency", SOURCE);
  const cap = one("source_api_cost_cap", "source, currency", SOURCE);
  return {
    title: say("What asking costs", "요청 비용"),
    panels: [
      graph(
        {
          title: say("API spend against cap", "API 비용과 월 한도"),
          description: say(
            "Reserved for requests to each provider in the calendar month (UTC), and the dashed line that it may not pass. Readings move apart before it is met; a request that would pass it is not sent.",
            "공급자마다 이번 달(UTC) 요청에 잡아 둔 비용이며, 점선은 넘을 수 없는 월 한도입니다. 한도에 가까워지면 조회 간격이 길어지고, 한도를 넘는 요청은 보내지 않습니다.",
          ),
          none: say("No source pays for requests or has a cap", "요청 비용이나 한도가 있는 소스가 없습니다"),
          width: 12,
          height: 8,
          overrides: [
            matching(`/ ${say("cap", "한도")}$/`, { "custom.lineStyle": { fill: "dash", dash: [8, 6] }, "custom.lineWidth": 1 }),
          ],
        },
        { unit: MONEY, decimals: 4, min: 0, custom: { lineWidth: 2, lineInterpolation: LineInterpolation.StepAfter } },
        { expr: spent, legend: "{{source}} {{currency}}" },
        { expr: cap, legend: say("{{source}} {{currency}} cap", "{{source}} {{currency}} 한도") },
      ),
      table(
        {
          title: say("Of the month's cap", "이번 달 한도 사용"),
          description: say(
            "From eight tenths on cap_nearly_spent fires, where no other share is configured: raise monthly_cap or read less often. A source without a cap has none here.",
            "따로 설정하지 않았으면 80%부터 cap_nearly_spent 알림이 발생합니다. monthly_cap을 올리거나 조회 주기를 늘리세요. 한도가 없는 소스는 한도 칸이 비어 있습니다.",
          ),
          none: say("No source pays for requests or has a cap", "요청 비용이나 한도가 있는 소스가 없습니다"),
          width: 12,
          height: 8,
        },
        [
          { title: say("Source", "소스"), label: "source" },
          { title: say("Spent", "사용액"), expr: spent, unit: MONEY, decimals: 4, width: 90 },
          { title: say("Cap", "한도"), expr: cap, unit: MONEY, decimals: 2, width: 90 },
          {
            title: say("Of the cap", "한도 사용률"),
            expr: `${spent} / (${cap} > 0)`,
            unit: "percentunit",
            decimals: 1,
            min: 0,
            max: 1,
            cell: "bar",
            thresholds: steps(COLOUR.good, [0.8, COLOUR.warn], [1, COLOUR.bad]),
          },
          { title: say("Currency", "통화"), label: "currency", width: 80 },
        ],
        [say("Of the cap", "한도 사용률"), true],
      ),
      graph(
        {
          title: say("Money for requests since the start", "시작 이후 요청 비용"),
          description: say("What each process has reserved since it began. It goes on where the month's figure begins anew.", "프로세스마다 시작한 뒤 요청에 잡아 둔 금액입니다. 월별 금액과 달리 달이 바뀌어도 이어집니다."),
          none,
          width: 8,
          height: 10,
        },
        { unit: MONEY, decimals: 4, min: 0, custom: { lineWidth: 2, lineInterpolation: LineInterpolation.StepAfter } },
        { expr: `sum by (source, currency) (${series("source_api_cost_total", SOURCE)})`, legend: "{{source}} {{currency}}" },
      ),
      bars(
        {
          title: say("Requests by operation", "작업별 요청 수"),
          description: say("Since the start of the process.", "프로세스가 시작된 이후의 요청 수입니다."),
          none,
          width: 8,
          height: 10,
        },
        { unit: "none", decimals: 0, min: 0 },
        { expr: `sum by (source, operation) (${series("source_api_requests_total", SOURCE)})`, legend: "{{operation}}" },
      ),
      table(
        {
          title: say("Quota left", "남은 할당량"),
          description: say("As the provider told it last. At 0 the provider refuses until the window is over.", "공급자가 마지막으로 알려 준 값입니다. 0이면 해당 구간이 끝날 때까지 요청이 거부됩니다."),
          none: say("No provider tells its quota", "할당량을 알려 주는 공급자가 없습니다"),
          width: 8,
          height: 10,
        },
        [
          { title: say("Source", "소스"), label: "source" },
          { title: say("Quota", "할당량"), label: "quota", width: 80 },
          { title: say("Window", "구간"), label: "window", width: 75 },
          { title: say("Left", "남음"), expr: `min by (source, quota, window) (${series("source_quota_remaining", SOURCE)})`, unit: "locale", decimals: 0, width: 90 },
        ],
        [say("Left", "남음"), false],
      ),
    ],
  };
}

function telling(say: Say): Row {
  return {
    title: say("Telling people", "알림 전송"),
    panels: [
      graph(
        {
          title: say("Notifications", "시간당 알림 전송"),
          description: say("By receiver and outcome, in an hour. Failed ones are tried again for three days; dropped ones nobody gets.", "수신처와 결과별 시간당 건수입니다. 실패한 알림은 사흘 동안 다시 시도하며, 폐기된 알림은 전달되지 않습니다."),
          none: say("No receiver is configured, or nothing was told", "설정된 수신처가 없거나 전송한 알림이 없습니다"),
          width: 12,
          height: 5,
        },
        { unit: "none", decimals: 1, min: 0, custom: STACKED },
        { expr: `${counted("notifications_total", "receiver, outcome")} * 3600`, legend: "{{receiver}} {{outcome}}" },
      ),
      bars(
        {
          title: say("Notifications of the stretch that failed or were dropped", "표시 기간에 실패하거나 폐기된 알림"),
          description: say("costband notify test RECEIVER tries the same way.", "costband notify test RECEIVER로 같은 경로를 시험할 수 있습니다."),
          none: say("None failed", "실패한 알림이 없습니다"),
          width: 12,
          height: 5,
        },
        { unit: "none", decimals: 0, min: 0, thresholds: steps(COLOUR.good, [1, COLOUR.bad]) },
        { expr: during("notifications_total", "receiver, outcome", 'outcome=~"failed|dropped"'), legend: "{{receiver}} {{outcome}}" },
      ),
    ],
  };
}

function telemetry(say: Say): Row {
  return {
    title: say("What the agent is told", "수집되는 데이터"),
    panels: [
      graph(
        {
          title: say("GPU samples that were no measurement", "측정값이 아닌 GPU 샘플"),
          description: say("In an hour, by why. Many out_of_range: an exporter is newer or older than is known.", "이유별 시간당 샘플 수입니다. out_of_range가 많으면 익스포터 버전이 지원 범위와 다릅니다."),
          none: say("None", "없음"),
          width: 12,
          height: 5,
        },
        { unit: "none", decimals: 0, min: 0, custom: { lineWidth: 2 } },
        { expr: `${counted("gpu_samples_dropped_total", "source, reason")} * 3600 > 0`, legend: "{{source}} {{reason}}" },
      ),
      stat(
        {
          title: say("Nodes heard of", "노드 정보 수신"),
          description: say("How long ago the Kubernetes API of each cluster last told of its nodes.", "클러스터별로 Kubernetes API에서 마지막으로 노드 정보를 받은 뒤 지난 시간입니다."),
          none: say("No cluster is configured", "설정된 클러스터가 없습니다"),
          width: 12,
          height: 5,
        },
        { unit: "s", decimals: 0, thresholds: steps(COLOUR.good, [900, COLOUR.warn], [3600, COLOUR.bad]) },
        { expr: `time() - ${one("node_inventory_last_success_timestamp_seconds", "cluster")}`, legend: "{{cluster}}" },
      ),
    ],
  };
}

function process(say: Say): Row {
  const none = say("No costband is scraped", "수집 중인 costband가 없습니다");
  return {
    title: say("The process", "프로세스"),
    panels: [
      graph(
        { title: say("Memory", "메모리"), description: say("Resident memory of each replica. It grows with sources and GPUs, not with time.", "복제본별 상주 메모리입니다. 시간이 아니라 소스와 GPU 수에 따라 늘어납니다."), none, width: 8, height: 7 },
        { unit: "bytes", min: 0, custom: { lineWidth: 2, fillOpacity: 10 } },
        { expr: own("process_resident_memory_bytes"), legend: "{{instance}}" },
      ),
      graph(
        { title: "CPU", description: say("How much of one core each replica uses.", "복제본별 CPU 코어 하나 대비 사용률입니다."), none, width: 8, height: 7 },
        { unit: "percentunit", min: 0, custom: { lineWidth: 2, fillOpacity: 10, axisSoftMax: 0.01 } },
        { expr: own("process_cpu_seconds_total", (series) => `rate(${series}[$__rate_interval])`), legend: "{{instance}}" },
      ),
      graph(
        { title: say("Open files", "열린 파일"), description: say("As a share of what the process may open.", "프로세스가 열 수 있는 파일 수 대비 비율입니다."), none, width: 8, height: 7 },
        { unit: "percentunit", min: 0, custom: { lineWidth: 2, fillOpacity: 10, axisSoftMax: 0.01 } },
        { expr: `${own("process_open_fds")} / ${own("process_max_fds")}`, legend: "{{instance}}" },
      ),
    ],
  };
}
