"""Renders the Helm chart with the real Helm engine and holds it to what it promises.

Usage: helm_chart.py [WORDS]. Only promises whose names have the words. UPDATE_GOLDEN=1 rewrites the
golden renders, the packaged copies and the table of values. Exits 1 when a promise is broken.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import helm_python
import jsonschema
import yaml

import helm_start
import helm_values as given
from helm_checks import (
    VERSIONS,
    check_documents,
    check_lint,
    check_maps,
    check_pod,
    check_schema,
    check_configuration,
    check_sidecar,
    check_whole,
    counted,
    renders,
)
from helm_render import (
    CHART,
    ROOT,
    Broken,
    StrictLoader,
    agent,
    all_of,
    chart,
    configuration,
    containers,
    defaults,
    dependent,
    documents,
    equal,
    hold,
    kinds,
    merged,
    named,
    one,
    pod,
    render,
    selects,
    unique,
    whole,
)

DEPENDENT_VALUES = ROOT / "examples/kubernetes/video-model"
GOLDEN = ROOT / "tests/golden/helm"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
OLD = ("v1.28.15", "v1.29.0")


def renders_dependent(values):
    """A chart of somebody else's, whose pods have the sidecar."""
    path = dependent()
    check_lint(path, values)
    found = documents(path, values)
    check_documents(found)
    mine = merged(values, defaults(DEPENDENT_VALUES))
    ours = whole(mine["costband"])
    template = pod(found)
    native = mine["nativeSidecar"]
    check_sidecar(agent(found), template, ours, native)
    check_configuration(found, template, ours, "sidecar")
    check_maps(ours, found)
    hold(set(kinds(found)) <= {"ConfigMap", "Deployment", "PodMonitor"}, f"a sidecar brings {kinds(found)}")
    equal([c["name"] for c in template["spec"]["containers"]], ["workload"] + ["costband"] * (not native), "containers")
    limits = {"nvidia.com/gpu": mine["gpus"]}
    equal(named(containers(template), "workload")["resources"], {"limits": limits}, "the workload's GPUs")


# What Helm says of a schema where nobody gave it a sentence.
UNTOLD = re.compile(r"false schema|'not' failed|missing property|matched|(min|max)(Length|Items|Properties)")


def refusal(path, values):
    try:
        render(path, values)
    except (helm_python.HelmValuesError, helm_python.HelmRenderError) as error:
        return str(error)
    raise Broken("it renders")


def refuses(path, values, names):
    said = refusal(path, values)
    for name in [names] if isinstance(names, str) else names:
        hold(name in said, f"the refusal does not name {name}: {said}")
    hold(not UNTOLD.search(said), f"the refusal is no sentence: {said}")


# Single promises.


def of(name, **release):
    return documents(CHART, given.CHART[name], **release)


def with_sidecar(name):
    return documents(dependent(), given.DEPENDENT[name])


def a_change_of_the_configuration_changes_the_checksum():
    def checksum(values, kind="Deployment"):
        return pod(documents(CHART, values), kind)["metadata"]["annotations"]["checksum/config"]

    bills = given.CHART["bills"]
    changed = given.bills(language="ko")
    unique([checksum(values) for values in ({}, bills, changed)], "checksums")
    equal(checksum(merged({"central": {"podLabels": {"a": "b"}}}, bills)), checksum(bills), "another value's")
    nodes = [given.node(), given.node(config={"language": "ko"}), {**given.node(), "exporter": given.SERVICE}]
    unique([checksum(values, "DaemonSet") for values in nodes], "checksums of node agents")


def a_changed_configuration_reloads_where_that_is_asked_for():
    for name, kind in (("reload", "Deployment"), ("node agents that reload", "DaemonSet")):
        template = pod(of(name), kind)
        equal(template["metadata"].get("annotations", {}), {}, "annotations")
        # A mount of one file would never see the change.
        for mount in agent(of(name), kind)["volumeMounts"]:
            hold("subPath" not in mount, f"{mount} stays as it is")
    annotations = pod(with_sidecar("default"))["metadata"].get("annotations", {})
    equal(annotations, {}, "what would replace the workload with the configuration")


def the_default_agent_has_something_to_read():
    hold(configuration(of("default"))["gpu"], "the agent would refuse its configuration")


def a_written_configuration_replaces_the_default_one():
    hold("gpu" not in configuration(of("bills")), "the default's page stays")


def node_agents_read_their_own_node_and_ask_the_release_s_central_agent():
    found = of("node agents and a central agent")
    page = {"name": "node", "url": "http://$(HOST_IP):9400/metrics"}
    central = {"url": "http://demo-costband.finops.svc:9750"}
    equal(configuration(found, pod(found, "DaemonSet")), {"gpu": [page], "central": central}, "the configuration")
    service = one(found, "Service", "demo-costband")
    equal(service["spec"]["ports"][0]["port"], 9750, "the central agent's port")
    equal(configuration(of("node agents")), {"gpu": [page]}, "without a central agent")
    found = of("node agents and a central agent elsewhere")
    wanted = {"gpu": [{**page, "provider": "aws"}], "central": {"url": "https://costband.example.com"}}
    equal(configuration(found), wanted, "a central agent elsewhere")
    nvml = [{"name": "node", "nvml": {"hostname": "$(NODE_NAME)"}}]
    equal(configuration(of("node agents and the driver's library"))["gpu"], nvml, "the driver's library")
    found = of("node agents with a configuration")
    equal(configuration(found), given.CHART["node agents with a configuration"]["node"]["config"], "all of it")


def a_local_service_reaches_the_own_node_s_exporter_alone():
    found = of("node agents by a local Service")
    service = one(found, "Service")
    equal(service["metadata"]["namespace"], "gpu-operator", "the exporter's namespace")
    equal(service["spec"]["internalTrafficPolicy"], "Local", "whom it reaches")
    equal(service["spec"]["selector"], {"app": "nvidia-dcgm-exporter"}, "the exporter's pods")
    (page,) = configuration(found)["gpu"]
    name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    equal(page["url"], f"http://{name}.gpu-operator.svc:{port}/metrics", "the page")
    found = of("node agents by a local Service of another exporter")
    service = one(found, "Service")["spec"]
    equal(service["selector"], {"app.kubernetes.io/name": "dcgm-exporter"}, "another exporter's pods")
    hold(":9401/" in configuration(found)["gpu"][0]["url"], "another port")


def the_default_sidecar_reads_its_own_node_and_no_bill():
    found = with_sidecar("no central agent")
    page = {"name": "node", "url": "http://$(HOST_IP):9400/metrics"}
    equal(configuration(found), {"gpu": [page]}, "the configuration")
    central = {"url": "http://costband.costband.svc:9750"}
    wanted = {"gpu": [{**page, "provider": "aws"}], "central": central}
    equal(configuration(with_sidecar("default")), wanted, "with a central agent")
    equal(configuration(with_sidecar("default"), pod(with_sidecar("default"))), wanted, "what the pod mounts")


def sidecars_of_many_namespaces_mount_one_configuration():
    found = of("sidecars of other namespaces")
    maps = all_of(found, "ConfigMap")
    equal({m["metadata"]["namespace"] for m in maps}, {"video", "train"}, "namespaces")
    equal(len({m["data"]["costband.yaml"] for m in maps}), 1, "how many configurations")
    monitor = one(found, "PodMonitor")["spec"]
    equal(monitor["namespaceSelector"], {"matchNames": ["video", "train"]}, "where Prometheus looks")
    equal(monitor["podMetricsEndpoints"][0]["port"], agent(with_sidecar("default"))["ports"][0]["name"], "the port")
    hold("namespaceSelector" not in one(with_sidecar("configuration"), "PodMonitor")["spec"], "other namespaces")


def an_old_cluster_gets_no_native_sidecar():
    # Only the linter takes a version of Kubernetes. It forgives `fail`, and logs it.
    lint = (
        "import helm_python, json, sys; p, v, k = sys.argv[1:];"
        " helm_python.lint(p, json.loads(v), kube_version=k, with_subcharts=True)"
    )

    def said(name, kubernetes):
        command = [sys.executable, "-c", lint, str(dependent()), json.dumps(given.DEPENDENT[name]), kubernetes]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr

    hint = "include costband.sidecar.container below `containers` instead"
    refused = {(name, old): hint in said(name, old) for name in ("default", "ordinary container") for old in OLD}
    wanted = {case: case == ("default", "v1.28.15") for case in refused}
    equal(refused, wanted, "what is refused where")


def changed(folder, **files):
    """The dependent chart with texts of it replaced."""
    copied = os.path.join(folder, "video-model")
    shutil.copytree(dependent(), copied)
    for file, (old, new) in files.items():
        path = os.path.join(copied, file)
        with open(path) as opened:
            text = opened.read()
        hold(old in text, f"{file} has no {old}")
        with open(path, "w") as opened:
            opened.write(text.replace(old, new))
    return copied


def a_dependency_under_another_name_is_a_sidecar_of_its_own():
    dependency = "  - name: costband\n"
    renamed = {
        "Chart.yaml": (dependency, f"{dependency}    alias: beside\n"),
        "templates/deployment.yaml": (".Subcharts.costband", ".Subcharts.beside"),
    }
    with tempfile.TemporaryDirectory() as folder:
        values = {"beside": {**given.sidecar(), "image": {"repository": "a/b"}}}
        found = documents(changed(folder, **renamed), values)
        check_documents(found)
        equal(agent(found)["image"], f"a/b:{version()}", "the image")
        hold(configuration(found, pod(found))["gpu"], "what the pod mounts")


def a_pod_may_be_replaced_with_its_sidecar_s_configuration():
    annotated = (
        "      labels:\n        app",
        "      annotations:\n"
        '        checksum/costband: {{ include "costband.sidecar.checksum" .Subcharts.costband }}\n'
        "      labels:\n        app",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = changed(folder, **{"templates/deployment.yaml": annotated})

        def checksum(values):
            return pod(documents(path, values))["metadata"]["annotations"]["checksum/costband"]

        sets = ({}, {"costband": {"centralUrl": ""}}, given.DEPENDENT["configuration"])
        unique([checksum(values) for values in sets], "checksums")
        equal(checksum({"gpus": 2}), checksum({}), "another value's")


def labels_that_select_are_never_overridden():
    labels = pod(of("placement"))["metadata"]["labels"]
    equal((labels["app.kubernetes.io/component"], labels["team"]), ("central", "finops"), "labels")
    labels = pod(of("node agents, placed"), "DaemonSet")["metadata"]["labels"]
    equal((labels["app.kubernetes.io/component"], labels["team"]), ("node", "finops"), "labels")


def no_mode_selects_another_mode_s_pods():
    found = of("all modes")
    selectors = {
        "central": one(found, "Deployment")["spec"]["selector"]["matchLabels"],
        "service": one(found, "Service", "demo-costband")["spec"]["selector"],
        "node": one(found, "DaemonSet")["spec"]["selector"]["matchLabels"],
    }
    templates = {"central": pod(found), "service": pod(found), "node": pod(found, "DaemonSet")}
    for one_, selector in selectors.items():
        for other, template in templates.items():
            both = (one_ == "node") == (other == "node")
            equal(selects(selector, template), both, f"whether {one_} selects {other}")


def a_cloud_s_identity_reaches_pod_and_service_account():
    found = of("azure identity")
    equal(pod(found)["metadata"]["labels"]["azure.workload.identity/use"], "true", "the pod's label")
    account = one(found, "ServiceAccount")
    equal(account["metadata"]["annotations"], {"azure.workload.identity/client-id": "0000"}, "the annotations")
    equal(pod(found)["spec"]["serviceAccountName"], account["metadata"]["name"], "the pod's ServiceAccount")
    equal(account["automountServiceAccountToken"], False, "a token of the Kubernetes API")
    found = of("existing service account")
    hold("ServiceAccount" not in kinds(found), "a ServiceAccount is made")
    equal(pod(found)["spec"]["serviceAccountName"], "billing", "the pod's ServiceAccount")


def images_are_named_by_tag_and_digest():
    def image(name):
        return agent(of(name))["image"]

    equal(image("default"), f"costband:{version()}", "the default image")
    equal(image("image tag"), "registry.example.com:5000/team/costband:v1.2.3_rc-1", "a tag")
    equal(image("image digest"), f"costband@{given.DIGEST}", "a digest")
    equal(image("image tag and digest"), f"costband:0.1.0@{given.DIGEST}", "both")
    equal(agent(with_sidecar("image digest"))["image"], f"registry.example.com/costband@{given.DIGEST}", "a sidecar's")


def the_ledger_lies_where_the_values_say():
    def ledger(name):
        found = of(name)
        claims = [document for document in found if document["kind"] == "PersistentVolumeClaim"]
        return named(pod(found)["spec"]["volumes"], "costband-ledger"), claims

    volume, (claim,) = ledger("default")
    equal(volume["persistentVolumeClaim"], {"claimName": claim["metadata"]["name"]}, "the claim")
    equal(claim["metadata"]["annotations"], {"helm.sh/resource-policy": "keep"}, "what keeps the claim")
    hold("storageClassName" not in claim["spec"], "the cluster's default class is overridden")
    volume, claims = ledger("existing claim")
    equal((volume["persistentVolumeClaim"], claims), ({"claimName": "ledger"}, []), "an existing claim")
    _, (claim,) = ledger("claim")
    equal(claim["spec"]["storageClassName"], "fast.ssd", "the class")
    equal(claim["spec"]["accessModes"], ["ReadWriteOncePod"], "the access modes")
    equal(claim["spec"]["resources"]["requests"]["storage"], "20Gi", "the size")
    equal(claim["metadata"]["annotations"], {"backup": "daily"}, "a claim that goes with the release")
    equal(ledger("claim without a class")[1][0]["spec"]["storageClassName"], "", "no class")
    equal(ledger("no claim"), ({"name": "costband-ledger", "emptyDir": {"sizeLimit": "500Mi"}}, []), "no claim")


def replicas_share_a_ledger_and_take_turns():
    found = of("three replicas")
    deployment, container = one(found, "Deployment"), agent(found)
    equal(deployment["spec"]["replicas"], 3, "replicas")
    equal(deployment["spec"]["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0}, "an upgrade")
    hold("PersistentVolumeClaim" not in kinds(found), "a claim")
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    equal(env["COSTBAND__STORE__URL"], given.DATABASE["url"], "the database")
    file = env["COSTBAND__STORE__PASSWORD__FILE"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    mount = mounts[os.path.dirname(file)]
    equal((mount["readOnly"], os.path.basename(file)), (True, "password"), "the password's file")
    volume = named(pod(found)["spec"]["volumes"], mount["name"])
    equal(volume["secret"], {"secretName": "ledger"}, "the password's Secret")
    equal(env["COSTBAND__LEASE__NAME"], "demo-costband", "the Lease")
    held = {
        name: named(container["env"], f"COSTBAND__LEASE__{name}")["valueFrom"]["fieldRef"]["fieldPath"]
        for name in ("NAMESPACE", "IDENTITY")
    }
    equal(held, {"NAMESPACE": "metadata.namespace", "IDENTITY": "metadata.name"}, "who holds it where")
    equal(named(container["env"], "POD_IP")["valueFrom"]["fieldRef"]["fieldPath"], "status.podIP", "the pod's address")
    equal(env["COSTBAND__LEASE__ADDRESS"], "http://$(POD_IP):9750", "where the holder's page is")
    env = {variable["name"]: variable.get("value") for variable in agent(of("a Lease, IPv6"))["env"]}
    equal(env["COSTBAND__LEASE__ADDRESS"], "http://[$(POD_IP)]:8080", "where the holder's page is, IPv6")
    spread = pod(found)["spec"]["topologySpreadConstraints"]
    hold(all(selects(s["labelSelector"]["matchLabels"], pod(found)) for s in spread), "other pods are spread")
    equal(agent(of("ledger in PostgreSQL"))["image"], agent(of("default"))["image"], "the image")
    equal(one(of("ledger in PostgreSQL"), "Deployment")["spec"]["strategy"], {"type": "Recreate"}, "without a Lease")
    names = {variable["name"] for variable in agent(of("ledger in PostgreSQL without a password"))["env"]}
    hold("COSTBAND__STORE__PASSWORD__FILE" not in names, "a password that nobody gave")


def an_upgrade_to_a_lease_tells_how_the_ledger_is_let_go():
    def notes(name, upgrade):
        return render(CHART, given.CHART[name], upgrade=upgrade)[1]

    told = notes("three replicas", upgrade=True)
    down, up = (told.find(f"scale deploy/demo-costband --replicas {n}\n") for n in (0, 3))
    hold(-1 < down < up, f"the notes do not scale to 0 and up again: {told}")
    for name, upgrade in (("three replicas", False), ("ledger in PostgreSQL", True), ("a Lease", True)):
        hold("--replicas" not in notes(name, upgrade), f"{name}, which no pod waits in, is scaled")


def a_budget_leaves_one_replica_drainable():
    spec = one(of("disruption budget"), "PodDisruptionBudget")["spec"]
    equal((spec["maxUnavailable"], "minAvailable" in spec), (1, False), "how many may be away")
    equal(one(of("three replicas, all the rest"), "PodDisruptionBudget")["spec"]["maxUnavailable"], "34%", "a share")


def a_policy_lets_scrapers_and_the_chart_s_test_in():
    found = of("narrow network policy")
    spec = one(found, "NetworkPolicy")["spec"]
    equal(spec["policyTypes"], ["Ingress", "Egress"], "the directions")
    hold(selects(spec["podSelector"]["matchLabels"], pod(found)), "the policy does not select the agent")
    asked = given.CHART["narrow network policy"]["central"]["networkPolicy"]
    (ingress,) = spec["ingress"]
    equal(ingress["ports"], [{"port": "http", "protocol": "TCP"}], "the port")
    equal(ingress["from"][:-1], asked["from"], "the peers")
    hold(selects(ingress["from"][-1]["podSelector"]["matchLabels"], one(found, "Pod")), "the test is kept out")
    names, *rules = spec["egress"]
    equal([port["port"] for port in names["ports"]], [53, 53], "the ports of DNS")
    equal(rules, asked["egress"], "the rules of what the agent may reach")
    spec = one(of("network policy"), "NetworkPolicy")["spec"]
    equal(spec["policyTypes"], ["Ingress"], "the default policy's directions")
    hold("from" not in spec["ingress"][0], "the default policy keeps scrapers out")
    found = of("all modes")
    policies = {d["metadata"]["name"]: d["spec"] for d in all_of(found, "NetworkPolicy")}
    (ingress,) = policies["demo-costband"]["ingress"]
    ours, theirs = ingress["from"][-2:]
    hold(selects(ours["podSelector"]["matchLabels"], pod(found, "DaemonSet")), "node agents are kept out")
    (video,) = theirs["namespaceSelector"]["matchExpressions"]
    equal(video["values"], ["video"], "whose sidecars are let in")
    spec = policies["demo-costband-node"]
    hold(selects(spec["podSelector"]["matchLabels"], pod(found, "DaemonSet")), "the policy of node agents")
    central = spec["egress"][1]["to"][0]["podSelector"]["matchLabels"]
    hold(selects(central, pod(found)), "node agents do not reach the central agent")


def monitors_find_what_they_scrape():
    found = of("all modes")
    monitor, service = one(found, "ServiceMonitor"), one(found, "Service", "demo-costband")
    hold(selects(monitor["spec"]["selector"]["matchLabels"], service), "the ServiceMonitor misses the Service")
    exporter = one(found, "Service", "demo-costband-exporter")
    hold(not selects(monitor["spec"]["selector"]["matchLabels"], exporter), "the exporter is scraped as an agent")
    equal(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"], "the port")
    equal(monitor["metadata"]["labels"]["release"], "prometheus", "the label that Prometheus selects by")
    found_ = of("token of the page")
    (endpoint,) = one(found_, "ServiceMonitor")["spec"]["endpoints"]
    equal(endpoint["authorization"]["credentials"], {"name": "face", "key": "token"}, "the token")
    monitor = one(found, "PodMonitor", "demo-costband-node")["spec"]
    template = pod(found, "DaemonSet")
    hold(selects(monitor["selector"]["matchLabels"], template), "the PodMonitor misses the node agents")
    hold(not selects(monitor["selector"]["matchLabels"], pod(found)), "the central agent is scraped twice")
    equal(monitor["podMetricsEndpoints"][0]["port"], agent(found, "DaemonSet")["ports"][0]["name"], "the port")


def names_of_releases_stay_text():
    for values in ({}, given.CHART["monitoring"], given.CHART["node agents by a local Service"]):
        for name, namespace in (("a" * 53, "123"), ("true", "1e3")):
            check_whole(values, documents(CHART, values, name=name, namespace=namespace))


def copies(original, packaged, ending):
    originals = {file.name: file.read_bytes() for file in original.glob(f"*{ending}")}
    hold(originals, f"there is no *{ending} in {original.relative_to(ROOT)}")
    if UPDATE:
        for file in packaged.iterdir():
            file.unlink()
        for name, content in originals.items():
            (packaged / name).write_bytes(content)
    found = {file.name: file.read_bytes() for file in packaged.iterdir()}
    where = f"{packaged.relative_to(ROOT)}, which UPDATE_GOLDEN=1 copies"
    equal(sorted(found), sorted(originals), where)
    for name, content in originals.items():
        hold(found[name] == content, f"{name} in {where}, differs from {original.relative_to(ROOT)}/{name}")
    return originals


def rules_are_those_of_the_dashboards_folder():
    originals = copies(ROOT / "dashboards/rules", CHART / "files/rules", ".yaml")
    shipped = {
        "monitoring": {"agent"},
        "alerts from Prometheus": {"agent", "money"},
        "alerts from Prometheus, with a floor and a heartbeat": {"agent", "money", "floor", "heartbeat"},
        "a floor where the agent tells of money": {"agent", "heartbeat"},
    }
    equal(set().union(*shipped.values()), {name.removesuffix(".yaml") for name in originals}, "the files of rules")
    for values, wanted in shipped.items():
        found = of(values)
        equal(kinds(found).count("PrometheusRule"), len(wanted), f"how many files of rules, {values}")
        for name in wanted:
            rule = one(found, "PrometheusRule", f"demo-costband-{name}")
            equal(rule["spec"], yaml.safe_load(originals[f"{name}.yaml"]), f"the rules of {name}, {values}")


def dashboards_are_those_of_the_dashboards_folder():
    wanted = {}
    for language, suffix in (("en", ""), ("ko", "-ko")):
        originals = copies(ROOT / "dashboards" / language, CHART / "files/dashboards" / language, ".json")
        named = {name.removesuffix(".json") + suffix: content.decode() for name, content in originals.items()}
        wanted[language] = {f"costband-{name}.json": content for name, content in named.items()}
    for values, languages in (("monitoring", ["en"]), ("dashboards in two languages", ["en", "ko"])):
        texts = {}
        for document in of(values):
            if document["metadata"]["labels"].get("grafana_dashboard") == "1":
                ((name, text),) = document["data"].items()
                # Kubernetes takes a mebibyte in one ConfigMap.
                hold(len(text.encode()) < 2**19, f"{name} has {len(text.encode())} bytes")
                board = name.removeprefix("costband-").removesuffix(".json")
                equal(document["metadata"]["name"], f"demo-costband-dashboard-{board}", f"the name of {name}")
                texts[name] = text
        equal(texts, {name: text for one in languages for name, text in wanted[one].items()}, f"the dashboards, {values}")


def no_refusal_repeats_a_password():
    for url in given.ADDRESSES:
        values = {"central": {"database": {"url": url}}}
        linted = str(helm_python.lint(CHART, values, strict=True))
        for said in (refusal(CHART, values), linted):
            hold("central.database.passwordSecret" in said or "without a password" in said, f"{url}: {said}")
            hold(given.PASSWORD not in said, f"{url} is told: {said}")


def the_linter_refuses_what_the_schema_refuses():
    for name in ("two replicas on one SQLite ledger", "config that sets listen", "an account without quotes"):
        values, (path, sentence) = given.REFUSED[name]
        errors = "".join(helm_python.lint(CHART, values)["errors"])
        hold(path in errors and sentence in errors, f"{name}: {errors}")


def a_sentence_of_the_schema_is_no_way_past_it():
    sentences = set()

    def walk(part):
        if isinstance(part, list):
            for child in part:
                walk(child)
        elif isinstance(part, dict):
            if isinstance(part.get("const"), str) and "not" in part:
                sentences.add(part["const"])
                hold(not jsonschema.Draft7Validator(part).is_valid(part["const"]), f"it takes `{part['const']}`")
            walk(list(part.values()))

    walk(schema())
    hold(len(sentences) > 20, f"{len(sentences)} sentences")


def the_readme_s_check_before_an_install_reads_what_is_written():
    text = (CHART / "README.md").read_text()
    file, script = re.search(r"-s (templates/central/\S+) \|\n  sed '(.+)' > costband.yaml", text).groups()
    for name in ("default", "bills"):
        files, _ = render(CHART, given.CHART[name])
        (rendered,) = [content for path, content in files.items() if path.endswith(file)]
        piped = f"---\n# Source: costband/{file}\n{rendered.strip()}\n"
        found = subprocess.run(["sed", script], input=piped, capture_output=True, text=True, check=True).stdout
        equal(yaml.load(found, StrictLoader), configuration(of(name)), f"what the README's command finds, {name}")


def a_release_of_dashboards_alone_is_one():
    for name in ("prometheusRule", "dashboards"):
        hold(documents(CHART, {"central": {"enabled": False}, name: {"enabled": True}}), name)
    off = {"costband": {"central": {"enabled": False}, "sidecar": {"enabled": False}}}
    said = refusal(dependent(), off)
    hold("would be empty" not in said, f"a dependency may be off: {said}")


def version():
    return re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def the_chart_is_of_the_program_s_version():
    about = chart(CHART).metadata
    equal((about["apiVersion"], about["type"]), ("v2", "application"), "the chart's kind")
    equal(about["appVersion"], version(), "the version of the program")
    equal(about["annotations"]["artifacthub.io/license"], "Apache-2.0", "the licence")
    equal(about["kubeVersion"], f">={VERSIONS[0]}.0-0", "the oldest version of Kubernetes")
    (dependency,) = chart(dependent()).metadata["dependencies"]
    equal(dependency["version"], about["version"], "the version that the example depends on")
    hold((DEPENDENT_VALUES / dependency["repository"].removeprefix("file://")).resolve() == CHART, "where it lies")


def a_packaged_chart_renders_the_same():
    with tempfile.TemporaryDirectory() as folder:
        archive = helm_python.package(CHART, destination=folder)
        for name in ("monitoring", "all modes"):
            equal(render(archive, given.CHART[name]), render(CHART, given.CHART[name]), f"the packaged chart, {name}")


def the_plain_manifest_does_what_the_template_does():
    text = (ROOT / "examples/kubernetes/sidecar.yaml").read_text()
    plain = list(yaml.load_all(text, StrictLoader))
    for document in plain:
        check_schema(json.dumps(document, sort_keys=True))
    check_pod(pod(plain))
    found = documents(dependent(), {}, name="video-model")
    equal(agent(plain), agent(found), "the sidecar")
    equal(configuration(plain, pod(plain)), configuration(found, pod(found)), "the configuration")
    equal(pod(plain)["spec"], pod(found)["spec"] | {"volumes": pod(plain)["spec"]["volumes"]}, "the rest of the pod")
    hold(selects(one(plain, "Deployment")["spec"]["selector"]["matchLabels"], pod(plain)), "no pod is selected")


def the_job_that_moves_a_ledger_is_as_narrow_as_an_agent():
    text = (ROOT / "examples/kubernetes/copy-ledger.yaml").read_text()
    found = list(yaml.load_all(text, StrictLoader))
    check_documents(found)
    check_pod(pod(found, "Job"))
    central = of("ledger in PostgreSQL")
    for key in ("securityContext", "enableServiceLinks", "automountServiceAccountToken"):
        equal(pod(found, "Job")["spec"][key], pod(central)["spec"][key], key)
    job, container = agent(found, "Job"), agent(central)
    equal(job["securityContext"], container["securityContext"], "security context")
    names = {variable["name"] for variable in job["env"]}
    equal(names, {"COSTBAND__STORE__URL", "COSTBAND__STORE__PASSWORD__FILE"}, "variables")
    equal(job["env"][1], named(container["env"], "COSTBAND__STORE__PASSWORD__FILE"), "where the password is")


# Values, schema and table.


def commented():
    """The values, and of each that is no map of further ones: its path, default and comment."""
    text = (CHART / "values.yaml").read_text()
    values, rows, stack, comment = yaml.load(text, StrictLoader), [], [], []
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("# "):
            comment.append(line.strip()[2:])
            continue
        key = re.match(r"\s*([A-Za-z_]+):", line)
        if key:
            stack = [(depth, name) for depth, name in stack if depth < indent] + [(indent, key[1])]
            names = [name for _, name in stack]
            value = functools.reduce(lambda at, name: at[name], names, values)
            if not isinstance(value, dict) or not value:
                rows.append((".".join(names), value, " ".join(comment)))
        comment = []
    return values, rows


def leaves(values):
    """How many values are no map of further ones."""
    return sum(leaves(v) if isinstance(v, dict) and v else 1 for v in values.values())


def table(rows):
    def shown(value):
        plain = isinstance(value, str) and value and yaml.safe_load(value) == value
        return value if plain else json.dumps(value)

    lines = [f"| `{name}` | `{shown(value)}` | {comment} |" for name, value, comment in rows]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *lines])


def the_readme_tells_every_value():
    values, rows = commented()
    equal(len(rows), leaves(values), "how many values are told")
    for name, _, comment in rows:
        hold(comment.endswith("."), f"`{name}` has no sentence above it in values.yaml")
    readme = CHART / "README.md"
    before, rest = readme.read_text().split("<!-- values -->\n")
    found, after = rest.split("\n<!-- end of values -->")
    if UPDATE:
        found = table(rows)
        readme.write_text(f"{before}<!-- values -->\n{found}\n<!-- end of values -->{after}")
    equal(found, table(rows), f"the table of {readme.relative_to(ROOT)}, which UPDATE_GOLDEN=1 rewrites")


def the_readme_s_examples_render():
    blocks = re.findall(r"^```yaml\n(.*?)^```", (CHART / "README.md").read_text(), re.S | re.M)
    mine = [block for block in blocks if block.startswith("# examples/")]
    hold(mine and len(blocks) > len(mine), "there is no example")
    for block in blocks:
        if block not in mine:
            renders(yaml.load(block, StrictLoader))
    for block in mine:
        file, _, lines = block.removeprefix("# ").partition("\n")
        text = "\n".join(line.strip() for line in (ROOT / file).read_text().splitlines())
        for part in lines.split("...\n"):
            wanted = "\n".join(line.strip() for line in part.strip().splitlines())
            hold(wanted in text, f"{file} has no\n{wanted}")


def schema():
    return json.loads((CHART / "values.schema.json").read_text())


def definitions():
    return schema()["definitions"]


def the_schema_knows_every_value_and_no_other():
    root = schema()
    equal(root["$schema"], "http://json-schema.org/draft-07/schema#", "the dialect")
    jsonschema.Draft7Validator.check_schema(root)

    def walk(values, part, at):
        while "$ref" in part:
            part = root["definitions"][part["$ref"].rsplit("/", 1)[1]]
        if "properties" not in part:
            return
        # `global` is Helm's own; the claims of a container are seldom wanted.
        known = part["properties"].keys() - {"global", "claims"}
        equal(sorted(values), sorted(known), f"the values in `{at}`")
        for key, value in values.items():
            if isinstance(value, dict) and value:
                walk(value, part["properties"][key], f"{at}{key}.")

    walk(commented()[0], root, "")


# Objects that Kubernetes or the agent reads: what they hold is not the chart's to know.
FOREIGN = {"agent", "band", "kubernetes", "ownPage", "page", "receiver", "source", "volume"}


def the_schema_is_closed():
    def walk(part, at):
        if not isinstance(part, dict):
            return
        if part.get("type") == "object":
            hold(part.get("additionalProperties", True) is not True, f"{at} takes any key")
        for key in ("items", "additionalProperties", "then", "else"):
            walk(part.get(key), f"{at}/{key}")
        for key, child in part.get("properties", {}).items():
            walk(child, f"{at}/{key}")

    walk(schema(), "")
    for name, part in definitions().items():
        if name not in FOREIGN:
            walk(part, f"/definitions/{name}")


def the_configuration_has_the_agent_s_keys():
    files = ROOT / "src/config/file.rs", *sorted((ROOT / "src/config/file").glob("*.rs"))
    text = "".join(file.read_text() for file in files)

    def fields(name):
        body = re.search(rf"pub struct {name} {{(.*?)^}}", text, re.S | re.M)[1]
        return sorted(re.findall(r"^    pub (\w+):", body, re.M))

    known = definitions()

    def same(part, name, what):
        # What the chart refuses is known to it too; what it admits, the program must have.
        equal(set(fields(name)) - part.keys(), set(), f"keys of {what} that the chart does not know")
        admitted = {key for key, value in part.items() if value is not False}
        equal(admitted - set(fields(name)), set(), f"keys of {what} that the agent does not know")

    for mode in ("centralConfig", "configBesideGpus"):
        same(known[mode]["properties"], "FileConfig", mode)
    same(known["store"]["properties"], "StoreFile", "`store`")
    same(known["lease"]["properties"], "LeaseFile", "`lease`")
    same(known["web"]["properties"], "WebFile", "`web`")
    same(known["configBesideGpus"]["properties"]["central"]["properties"], "CentralFile", "`central`")


def golden(name, path, values):
    files, notes = render(path, values)
    parts = [f"# {file}\n{text.strip()}\n" for file, text in files.items() if text.strip()]
    lines = ["# NOTES.txt", *(f"# {line}".rstrip() for line in notes.strip().splitlines())]
    text = "---\n".join(parts) + "\n".join(lines) + "\n"
    file = GOLDEN / f"{name}.yaml"
    if UPDATE:
        GOLDEN.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    hold(file.exists() and file.read_text() == text, f"{file.relative_to(ROOT)} differs; UPDATE_GOLDEN=1 rewrites it")


def promises():
    """Each promise: its name, and what raises when it is broken."""
    # The first two refresh copies that later ones render.
    for function in (
        rules_are_those_of_the_dashboards_folder,
        dashboards_are_those_of_the_dashboards_folder,
        the_chart_is_of_the_program_s_version,
        the_readme_tells_every_value,
        the_readme_s_examples_render,
        the_schema_knows_every_value_and_no_other,
        the_schema_is_closed,
        the_configuration_has_the_agent_s_keys,
        a_change_of_the_configuration_changes_the_checksum,
        a_changed_configuration_reloads_where_that_is_asked_for,
        the_default_agent_has_something_to_read,
        a_written_configuration_replaces_the_default_one,
        node_agents_read_their_own_node_and_ask_the_release_s_central_agent,
        a_local_service_reaches_the_own_node_s_exporter_alone,
        the_default_sidecar_reads_its_own_node_and_no_bill,
        sidecars_of_many_namespaces_mount_one_configuration,
        an_old_cluster_gets_no_native_sidecar,
        a_dependency_under_another_name_is_a_sidecar_of_its_own,
        a_pod_may_be_replaced_with_its_sidecar_s_configuration,
        labels_that_select_are_never_overridden,
        no_mode_selects_another_mode_s_pods,
        a_cloud_s_identity_reaches_pod_and_service_account,
        images_are_named_by_tag_and_digest,
        the_ledger_lies_where_the_values_say,
        replicas_share_a_ledger_and_take_turns,
        an_upgrade_to_a_lease_tells_how_the_ledger_is_let_go,
        a_budget_leaves_one_replica_drainable,
        a_policy_lets_scrapers_and_the_chart_s_test_in,
        monitors_find_what_they_scrape,
        names_of_releases_stay_text,
        a_packaged_chart_renders_the_same,
        the_plain_manifest_does_what_the_template_does,
        the_job_that_moves_a_ledger_is_as_narrow_as_an_agent,
        no_refusal_repeats_a_password,
        the_linter_refuses_what_the_schema_refuses,
        a_sentence_of_the_schema_is_no_way_past_it,
        the_readme_s_check_before_an_install_reads_what_is_written,
        a_release_of_dashboards_alone_is_one,
    ):
        yield function.__name__.replace("_", " "), function
    for name, values in given.CHART.items():
        yield f"renders: {name}", functools.partial(renders, values)
    for name, values in given.DEPENDENT.items():
        yield f"renders in another chart: {name}", functools.partial(renders_dependent, values)
    for name, (values, names) in given.REFUSED.items():
        yield f"refuses: {name}", functools.partial(refuses, CHART, values, names)
    for name, (values, names) in given.REFUSED_DEPENDENT.items():
        yield f"refuses in another chart: {name}", lambda v=values, n=names: refuses(dependent(), v, n)
    for name, values in given.GOLDEN.items():
        yield f"keeps its golden render: {name}", functools.partial(golden, name, CHART, values)
    for name, values in given.GOLDEN_DEPENDENT.items():
        yield f"keeps its golden render: {name}", lambda n=name, v=values: golden(n, dependent(), v)
    for function, missing in helm_start.promises():
        if not missing:
            yield f"starts: {function.__name__.replace('_', ' ')}", function
        elif os.environ.get("CI") == "true":
            yield f"starts: {function.__name__.replace('_', ' ')}", lambda m=missing: hold(False, m)
        else:
            print(f"skipped: {function.__name__.replace('_', ' ')}: {missing}")


def main():
    print(f"Helm {helm_python.helm_sdk_version()}, Kubernetes {VERSIONS[0]} to {VERSIONS[-1]}")
    wanted, passed, failed = " ".join(sys.argv[1:]), 0, 0
    for name, promise in promises():
        if wanted not in name:
            continue
        try:
            promise()
            passed += 1
        except (Broken, helm_python.HelmError, jsonschema.ValidationError) as error:
            failed += 1
            print(f"FAILED {name}\n  " + str(error).replace("\n", "\n  "))
        except Exception:
            failed += 1
            print(f"FAILED {name}\n  " + traceback.format_exc().replace("\n", "\n  "))
    print(
        f"{counted['renders']} renders of {len(given.CHART) + len(given.DEPENDENT)} sets of values and of examples,"
        f" {len(given.REFUSED) + len(given.REFUSED_DEPENDENT)} sets refused;"
        f" {len(counted['documents'])} documents, {counted['validations']} validations of them by version"
    )
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
