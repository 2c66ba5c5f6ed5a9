"""Renders the Helm charts with the real Helm engine and holds them to what they promise.

Usage: helm_chart.py. UPDATE_GOLDEN=1 rewrites the golden renders, the packaged copies and the tables
of values. Exits 1 when a promise is broken.
"""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import traceback

import helm_python
import jsonschema
import kubernetes_validate
import yaml

import helm_values as given

ROOT = pathlib.Path(__file__).resolve().parents[2]
CENTRAL = ROOT / "helm/costband"
SIDECAR = ROOT / "helm/costband-sidecar"
GOLDEN = ROOT / "tests/golden/helm"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
# The oldest version that Chart.yaml admits and every newer one; native sidecars came with 1.29.
VERSIONS = [kubernetes_validate.utils.major_minor(v) for v in kubernetes_validate.utils.all_versions()]
NATIVE_SINCE = (1, 29)
OLD = ("v1.28.15", "v1.29.0")
CONFIG, LEDGER = "/etc/costband", "/var/lib/costband"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle")
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
# The kinds of volumes that the restricted Pod Security Standard admits.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
LABEL = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")

# Otherwise each call reads all schemas of a version from its files.
kubernetes_validate.utils.schema_contents = functools.lru_cache(None)(kubernetes_validate.utils.schema_contents)


class Broken(Exception):
    """A promise that does not hold."""


def hold(condition, sentence):
    if not condition:
        raise Broken(sentence)


def equal(found, wanted, what):
    hold(found == wanted, f"{what}: want\n{wanted!r}\nfound\n{found!r}")


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, as it is for the API server."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        hold(not twice, f"{twice} stands twice in one map, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep=deep)


@functools.lru_cache(None)
def chart(path):
    return helm_python.Chart.load(path)


def render(path, values, name="demo", namespace="finops"):
    """The rendered templates by path, without the notes; and the notes."""
    files = dict(sorted(chart(path).render(values, name=name, namespace=namespace).items()))
    notes = [files.pop(file) for file in list(files) if file.endswith("NOTES.txt")]
    return files, notes[0]


def documents(path, values, **release):
    files, _ = render(path, values, **release)
    found = [document for text in files.values() for document in yaml.load_all(text, StrictLoader) if document]
    hold(found, "nothing was rendered")
    return found


def kinds(found):
    return [document["kind"] for document in found]


def one(found, kind, name=None):
    matching = [d for d in found if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    equal(len(matching), 1, f"how many documents are a {kind} {name or ''}")
    return matching[0]


def pod(found):
    return one(found, "Deployment")["spec"]["template"]


def containers(template):
    return template["spec"].get("initContainers", []) + template["spec"]["containers"]


def named(items, name):
    matching = [item for item in items if item["name"] == name]
    equal(len(matching), 1, f"how many are named {name}")
    return matching[0]


def agent(found):
    """costband's own container."""
    return named(containers(pod(found)), "costband")


def configuration(found):
    texts = [d["data"]["costband.yaml"] for d in found if "costband.yaml" in d.get("data", {})]
    equal(len(texts), 1, "how many configurations are written")
    return yaml.load(texts[0], StrictLoader)


def selects(selector, labelled):
    return selector.items() <= labelled["metadata"]["labels"].items()


# What holds for every rendered document.

SELECTOR = {"type": "object", "required": ["matchLabels"]}
ENDPOINTS = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["port", "path", "interval"],
        "properties": {
            "port": {"type": "string"},
            "path": {"const": "/metrics"},
            "interval": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
            "scrapeTimeout": {"type": "string"},
            "authorization": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type", "credentials"],
                "properties": {"type": {"const": "Bearer"}, "credentials": {"required": ["name", "key"]}},
            },
        },
    },
}
RULES = {"type": "array", "minItems": 1, "items": {"required": ["name", "rules"]}}
# Kubernetes has no schema of Prometheus Operator's kinds (monitoring.coreos.com/v1): these are the
# fields of its API reference that the charts use.
OPERATOR = {
    "ServiceMonitor": {"selector": SELECTOR, "endpoints": ENDPOINTS},
    "PodMonitor": {"selector": SELECTOR, "podMetricsEndpoints": ENDPOINTS},
    "PrometheusRule": {"groups": RULES},
}


@functools.lru_cache(None)
def check_schema(text):
    """Holds one document, as JSON, to the strict schema of every version of Kubernetes."""
    document = json.loads(text)
    if document["apiVersion"] == "monitoring.coreos.com/v1":
        parts = OPERATOR[document["kind"]]
        closed = {"additionalProperties": False, "required": list(parts), "properties": parts}
        jsonschema.validate(document["spec"], closed)
        return
    native = document["kind"] == "Deployment" and "initContainers" in document["spec"]["template"]["spec"]
    for version in VERSIONS:
        if not native or tuple(map(int, version.split("."))) >= NATIVE_SINCE:
            kubernetes_validate.validate(document, version, strict=True)


def check_numbers(part, where):
    """Holds whole numbers to be written as such: the API server takes no 1e+06 for an integer."""
    hold(not isinstance(part, float) or part % 1, f"{where}: {part} is written as a fraction")
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        check_numbers(value, f"{where}/{key}")


def check_names(document):
    metadata = document["metadata"]
    where = f"{document['kind']} {metadata['name']}"
    longest = 63 if document["kind"] == "Service" else 253
    hold(isinstance(metadata["name"], str) and SUBDOMAIN.match(metadata["name"]), f"{where}: not a name")
    hold(len(metadata["name"]) <= longest, f"{where}: too long a name")
    hold(isinstance(metadata.get("namespace", ""), str), f"{where}: not a namespace")
    for part in (metadata, document.get("spec", {}).get("template", {}).get("metadata", {})):
        for key, value in part.get("labels", {}).items():
            hold(isinstance(value, str) and len(value) <= 63 and LABEL.match(value), f"{where}: label {key}={value!r}")
        for key, value in part.get("annotations", {}).items():
            hold(isinstance(value, str), f"{where}: annotation {key}={value!r}")


def unique(items, what):
    equal(sorted(items), sorted(set(items)), f"{what}, each once")


def check_pod(template):
    volumes = [volume["name"] for volume in template["spec"]["volumes"]]
    unique(volumes, "volumes")
    unique([port["containerPort"] for c in containers(template) for port in c.get("ports", [])], "ports")
    for container in containers(template):
        mounts = container.get("volumeMounts", [])
        unique([mount["mountPath"] for mount in mounts], "mount paths")
        unique([variable["name"] for variable in container.get("env", [])], "variables")
        missing = {mount["name"] for mount in mounts} - set(volumes)
        hold(not missing, f"{container['name']} mounts {missing}, which is no volume")


def check_agent(container, template, values):
    """The promises of costband's container in either chart."""
    context = dict(container["securityContext"])
    users = {key: context.pop(key, None) for key in ("runAsUser", "runAsGroup")}
    equal(users, {key: values.get(key, 65532) for key in users}, "user and group")
    equal(context, RESTRICTED, "security context")
    equal(container["args"], ["run", "-c", f"{CONFIG}/costband.yaml"], "arguments")
    port = container["ports"][0]["containerPort"]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    equal(env["COSTBAND__LISTEN"], f"{values.get('listenAddress', '0.0.0.0')}:{port}", "listening address")
    equal(env["COSTBAND__STORE__PATH"], f"{LEDGER}/costband.db", "the ledger's path")
    for variable in values.get("env", []):
        equal(named(container["env"], variable["name"]), variable, "a variable")
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    hold(mounts[CONFIG].get("readOnly"), "the configuration can be written")
    hold(not mounts[LEDGER].get("readOnly"), "the ledger cannot be written")
    for secret in values.get("secretMounts", []):
        mount = mounts[f"/run/secrets/costband/{secret}"]
        hold(mount.get("readOnly"), f"the Secret {secret} can be written")
        volume = named(template["spec"]["volumes"], mount["name"])
        equal(volume["secret"]["secretName"], secret, "the Secret of a mount")


def check_whole(path, values, found):
    """Everything that holds for a chart with any values."""
    # The same Role stands in several namespaces.
    places = [(d["kind"], d["metadata"].get("namespace", ""), d["metadata"]["name"]) for d in found]
    unique(places, "documents")
    for document in found:
        check_names(document)
        check_numbers(document, document["kind"])
        check_schema(json.dumps(document, sort_keys=True))
    template, own = pod(found), values if path == CENTRAL else values.get("sidecar", {})
    check_pod(template)
    selector = one(found, "Deployment")["spec"]["selector"]["matchLabels"]
    hold(selects(selector, template), "the Deployment does not select its pods")
    check_agent(agent(found), template, own)
    annotations = dict(template["metadata"].get("annotations", {}))
    checksum = annotations.pop("checksum/config", None)
    asked = {key: value for key, value in values.get("podAnnotations", {}).items() if key != "checksum/config"}
    equal(annotations, asked, "annotations")
    volume = named(template["spec"]["volumes"], "costband-config")
    if own.get("existingConfigMap") or own.get("existingSecret"):
        equal(checksum, None, "a checksum of what the chart does not know")
        hold("ConfigMap" not in kinds(found), "a second configuration is written")
        wanted = (own.get("existingConfigMap"), own.get("existingSecret"))
        mounted = (volume.get("configMap", {}).get("name"), volume.get("secret", {}).get("secretName"))
        equal(mounted, wanted, "the configuration's volume")
    else:
        hold(re.fullmatch("[0-9a-f]{64}", checksum or ""), f"{checksum} is no checksum")
        one(found, "ConfigMap", volume["configMap"]["name"])
        if own.get("config"):
            equal(configuration(found), own["config"], "the configuration, as it was given")
    (check_central if path == CENTRAL else check_sidecar)(values, found)


def check_central(values, found):
    deployment, template, container = one(found, "Deployment"), pod(found), agent(found)
    spec = template["spec"]
    equal(deployment["spec"]["replicas"], 1, "replicas")
    equal(deployment["spec"]["strategy"], {"type": "Recreate"}, "strategy")
    equal(spec["enableServiceLinks"], False, "service links")
    rbac = {"nodes": False, "podNamespaces": [], **values.get("rbac", {})}
    token = values.get("serviceAccount", {}).get("automountServiceAccountToken", False)
    needed = token or rbac["nodes"] or bool(rbac["podNamespaces"])
    equal(spec["automountServiceAccountToken"], needed, "a token of the Kubernetes API")
    check_rights(rbac, spec["serviceAccountName"], found)
    equal(spec["securityContext"]["runAsNonRoot"], True, "a pod that is not root's")
    equal(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, "seccomp of the pod")
    equal(spec["securityContext"].get("fsGroup"), values.get("fsGroup", 65532), "the ledger's group")
    probes = {name: container[name]["httpGet"] for name in PROBES if name in container}
    alive, ready = {"path": "/healthz", "port": "http"}, {"path": "/readyz", "port": "http"}
    equal(probes, {"startupProbe": alive, "livenessProbe": alive, "readinessProbe": ready}, "probes")
    for volume in spec["volumes"]:
        hold(volume.keys() - {"name"} <= VOLUMES, f"the volume {volume} is none of the restricted standard's")
    service = one(found, "Service")["spec"]
    equal(service["type"], "ClusterIP", "the Service's type")
    port = values.get("service", {}).get("port", 9750)
    equal(service["ports"], [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP"}], "its ports")
    hold(selects(service["selector"], template), "the Service does not select the agent")
    for test in [document for document in found if document["kind"] == "Pod"]:
        hold(not selects(service["selector"], test), "the Service selects the chart's test")
        equal(test["metadata"]["annotations"]["helm.sh/hook"], "test", "the test's hook")
        equal(test["spec"]["automountServiceAccountToken"], False, "a token for the test")
        context = test["spec"]["containers"][0]["securityContext"]
        equal({key: context[key] for key in RESTRICTED}, RESTRICTED, "the test's security context")


def check_rights(rbac, account, found):
    """The agent may do what is asked for, where it is asked for, and nothing else."""
    given_ = {}
    for role in [document for document in found if document["kind"] in ("ClusterRole", "Role")]:
        where = role["metadata"].get("namespace")
        equal(where is None, role["kind"] == "ClusterRole", "a namespace of a role")
        (rule,) = role["rules"]
        equal(rule.pop("apiGroups"), [""], "the API group")
        equal(rule.pop("verbs"), ["list", "watch"], "the verbs")
        given_[where] = rule
        bindings = [
            document
            for document in found
            if document["kind"] == f"{role['kind']}Binding" and document["metadata"].get("namespace") == where
        ]
        equal(len(bindings), 1, f"how many bind the {role['kind']}")
        reference = bindings[0]["roleRef"]
        equal((reference["kind"], reference["name"]), (role["kind"], role["metadata"]["name"]), "the bound role")
        (subject,) = bindings[0]["subjects"]
        equal((subject["kind"], subject["name"]), ("ServiceAccount", account), "who is given it")
        equal(subject["namespace"], one(found, "Deployment")["metadata"]["namespace"], "whose namespace that is")
    wanted = {namespace: {"resources": ["pods"]} for namespace in rbac["podNamespaces"]}
    if rbac["nodes"]:
        wanted[None] = {"resources": ["nodes"]}
    equal(given_, wanted, "the agent's rights")
    bindings = [document for document in found if document["kind"].endswith("Binding")]
    equal(len(bindings), len(wanted), "how many bindings there are")


def check_sidecar(values, found):
    spec, container = pod(found)["spec"], agent(found)
    native = values.get("nativeSidecar", True)
    equal(container.get("restartPolicy"), "Always" if native else None, "the sidecar's restart policy")
    equal(container in spec.get("initContainers", []), native, "whether it is an init container")
    for probe in PROBES:
        hold(probe not in container, f"the sidecar has a {probe}")
    equal(spec["automountServiceAccountToken"], False, "a token of the Kubernetes API")
    tokens = [mount for mount in container["volumeMounts"] if "serviceaccount" in mount["mountPath"]]
    equal(tokens, [], "the sidecar's tokens")
    address = named(container["env"], "HOST_IP")["valueFrom"]
    equal(address, {"fieldRef": {"fieldPath": "status.hostIP"}}, "the node's address")
    ledger = {key: value for key, value in values.get("sidecar", {}).get("ledger", {}).items() if value}
    equal(named(spec["volumes"], "costband-ledger").get("emptyDir"), ledger, "the sidecar's ledger")
    hold(set(kinds(found)) <= {"ConfigMap", "Deployment", "PodMonitor"}, f"a sidecar brings {kinds(found)}")
    workload = named(spec["containers"], "workload")
    for key in ("command", "args", "env", "envFrom", "ports", "resources", "securityContext", *PROBES):
        equal(workload.get(key), values["workload"].get(key), f"the workload's {key}")


def renders(path, values):
    equal(helm_python.lint(path, values, strict=True)["errors"], [], "what the linter says")
    check_whole(path, values, documents(path, values))


def refuses(path, values, names):
    try:
        render(path, values)
    except (helm_python.HelmValuesError, helm_python.HelmRenderError) as error:
        hold(names in str(error), f"the refusal does not name {names}: {error}")
    else:
        raise Broken("it renders")


# Single promises.


def a_change_of_the_configuration_changes_the_checksum():
    def checksum(path, values):
        return pod(documents(path, values))["metadata"]["annotations"]["checksum/config"]

    bills = given.CENTRAL["bills"]
    changed = {**bills, "config": {**bills["config"], "language": "ko"}}
    unique([checksum(CENTRAL, values) for values in ({}, bills, changed)], "checksums")
    equal(checksum(CENTRAL, {**bills, "podLabels": {"a": "b"}}), checksum(CENTRAL, bills), "another value's")
    unique([checksum(SIDECAR, given.SIDECAR[name]) for name in ("default", "configuration")], "checksums")


def the_default_sidecar_reads_its_own_node_and_no_bill():
    found = documents(SIDECAR, given.SIDECAR["default"])
    page = {"name": "node", "url": "http://$(HOST_IP):9400/metrics"}
    equal(configuration(found), {"gpu": [page]}, "the configuration")
    equal(agent(found)["ports"], [{"name": "costband", "containerPort": 9751, "protocol": "TCP"}], "the ports")


def the_default_agent_has_something_to_read():
    hold(configuration(documents(CENTRAL, {}))["gpu"], "the agent would refuse its configuration")


def a_written_configuration_replaces_the_default_one():
    hold("gpu" not in configuration(documents(CENTRAL, given.CENTRAL["bills"])), "the default's page stays")


def an_old_cluster_gets_no_native_sidecar():
    # Only the linter takes a version of Kubernetes. It forgives `fail`, and logs it.
    lint = "import helm_python, json, sys; p, v, k = sys.argv[1:]; helm_python.lint(p, json.loads(v), kube_version=k)"

    def said(name, kubernetes):
        command = [sys.executable, "-c", lint, str(SIDECAR), json.dumps(given.SIDECAR[name]), kubernetes]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr

    hint = "set nativeSidecar to false"
    refused = {(name, old): hint in said(name, old) for name in ("default", "ordinary container") for old in OLD}
    wanted = {case: case == ("default", "v1.28.15") for case in refused}
    equal(refused, wanted, "what is refused where")


def a_token_reaches_the_workload_alone():
    spec = pod(documents(SIDECAR, given.SIDECAR["token for the workload"]))["spec"]
    paths = [mount["mountPath"] for mount in named(spec["containers"], "workload")["volumeMounts"]]
    equal(paths, ["/var/run/secrets/kubernetes.io/serviceaccount"], "the workload's mounts")
    equal(spec["serviceAccountName"], "model", "the ServiceAccount")


def labels_that_select_are_never_overridden():
    labels = pod(documents(CENTRAL, given.CENTRAL["placement"]))["metadata"]["labels"]
    equal((labels["app.kubernetes.io/component"], labels["team"]), ("agent", "finops"), "labels")
    labels = pod(documents(SIDECAR, given.SIDECAR["placement"]))["metadata"]["labels"]
    equal((labels["app.kubernetes.io/name"], labels["team"]), ("costband-sidecar", "video"), "labels")


def a_cloud_s_identity_reaches_pod_and_service_account():
    found = documents(CENTRAL, given.CENTRAL["azure identity"])
    equal(pod(found)["metadata"]["labels"]["azure.workload.identity/use"], "true", "the pod's label")
    account = one(found, "ServiceAccount")
    equal(account["metadata"]["annotations"], {"azure.workload.identity/client-id": "0000"}, "the annotations")
    equal(pod(found)["spec"]["serviceAccountName"], account["metadata"]["name"], "the pod's ServiceAccount")
    equal(account["automountServiceAccountToken"], False, "a token of the Kubernetes API")
    found = documents(CENTRAL, given.CENTRAL["existing service account"])
    hold("ServiceAccount" not in kinds(found), "a ServiceAccount is made")
    equal(pod(found)["spec"]["serviceAccountName"], "billing", "the pod's ServiceAccount")


def images_are_named_by_tag_and_digest():
    def image(name):
        return agent(documents(CENTRAL, given.CENTRAL[name]))["image"]

    equal(image("default"), f"costband:{version()}", "the default image")
    equal(image("image tag"), "registry.example.com:5000/team/costband:v1.2.3_rc-1", "a tag")
    equal(image("image digest"), f"costband@{given.DIGEST}", "a digest")
    equal(image("image tag and digest"), f"costband:0.1.0@{given.DIGEST}", "both")


def the_ledger_lies_where_the_values_say():
    def ledger(name):
        found = documents(CENTRAL, given.CENTRAL[name])
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


def a_policy_lets_scrapers_and_the_chart_s_test_in():
    found = documents(CENTRAL, given.CENTRAL["narrow network policy"])
    spec = one(found, "NetworkPolicy")["spec"]
    equal(spec["policyTypes"], ["Ingress", "Egress"], "the directions")
    hold(selects(spec["podSelector"]["matchLabels"], pod(found)), "the policy does not select the agent")
    asked = given.CENTRAL["narrow network policy"]["networkPolicy"]
    (ingress,) = spec["ingress"]
    equal(ingress["ports"], [{"port": "http", "protocol": "TCP"}], "the port")
    equal(ingress["from"][:-1], asked["from"], "the peers")
    hold(selects(ingress["from"][-1]["podSelector"]["matchLabels"], one(found, "Pod")), "the test is kept out")
    names, *rules = spec["egress"]
    equal([port["port"] for port in names["ports"]], [53, 53], "the ports of DNS")
    equal(rules, asked["egress"], "the rules of what the agent may reach")
    spec = one(documents(CENTRAL, given.CENTRAL["network policy"]), "NetworkPolicy")["spec"]
    equal(spec["policyTypes"], ["Ingress"], "the default policy's directions")
    hold("from" not in spec["ingress"][0], "the default policy keeps scrapers out")


def monitors_find_what_they_scrape():
    found = documents(CENTRAL, given.CENTRAL["monitoring"])
    monitor, service = one(found, "ServiceMonitor"), one(found, "Service")
    hold(selects(monitor["spec"]["selector"]["matchLabels"], service), "the ServiceMonitor misses the Service")
    equal(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"], "the port")
    equal(monitor["metadata"]["labels"]["release"], "prometheus", "the label that Prometheus selects by")
    found = documents(CENTRAL, given.CENTRAL["token of the page"])
    (endpoint,) = one(found, "ServiceMonitor")["spec"]["endpoints"]
    equal(endpoint["authorization"]["credentials"], {"name": "face", "key": "token"}, "the token")
    found = documents(SIDECAR, given.SIDECAR["gpu workload"])
    monitor = one(found, "PodMonitor")["spec"]
    hold(selects(monitor["selector"]["matchLabels"], pod(found)), "the PodMonitor misses the pods")
    equal(monitor["podMetricsEndpoints"][0]["port"], agent(found)["ports"][0]["name"], "the sidecar's port")


def names_of_releases_stay_text():
    cases = (CENTRAL, {}), (CENTRAL, given.CENTRAL["monitoring"]), (SIDECAR, given.SIDECAR["default"])
    for path, values in cases:
        for name, namespace in (("a" * 53, "123"), ("true", "1e3")):
            check_whole(path, values, documents(path, values, name=name, namespace=namespace))


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
    originals = copies(ROOT / "dashboards/rules", CENTRAL / "files/rules", ".yaml")
    found = documents(CENTRAL, given.CENTRAL["monitoring"])
    equal(kinds(found).count("PrometheusRule"), len(originals), "how many files of rules")
    for name, content in originals.items():
        rule = one(found, "PrometheusRule", f"demo-costband-{name.removesuffix('.yaml')}")
        equal(rule["spec"], yaml.safe_load(content), f"the rules of {name}")


def dashboards_are_those_of_the_dashboards_folder():
    originals = copies(ROOT / "dashboards", CENTRAL / "files/dashboards", ".json")
    found = documents(CENTRAL, given.CENTRAL["monitoring"])
    shown = [document for document in found if document["metadata"]["labels"].get("grafana_dashboard") == "1"]
    texts = {name: text for document in shown for name, text in document["data"].items()}
    equal(texts, {name: content.decode() for name, content in originals.items()}, "the dashboards")


def both_charts_share_one_container():
    original, packaged = (path / "templates/_shared.tpl" for path in (CENTRAL, SIDECAR))
    if UPDATE:
        packaged.write_bytes(original.read_bytes())
    hold(packaged.read_bytes() == original.read_bytes(), f"{packaged.relative_to(ROOT)} differs")
    one, other = (definitions(path) for path in (CENTRAL, SIDECAR))
    for name in one.keys() & other.keys() - {"config", "environment"}:
        equal(other[name], one[name], f"the schema's definition {name}")


def version():
    return re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def charts_are_of_the_program_s_version():
    for path in (CENTRAL, SIDECAR):
        about = chart(path).metadata
        equal((about["apiVersion"], about["type"]), ("v2", "application"), "the chart's kind")
        equal(about["appVersion"], version(), "the version of the program")
        equal(about["annotations"]["artifacthub.io/license"], "Apache-2.0", "the licence")
        equal(about["kubeVersion"], f">={VERSIONS[0]}.0-0", "the oldest version of Kubernetes")


def a_packaged_chart_renders_the_same():
    cases = (CENTRAL, given.CENTRAL["monitoring"]), (SIDECAR, given.SIDECAR["gpu workload"])
    with tempfile.TemporaryDirectory() as folder:
        for path, values in cases:
            archive = helm_python.package(path, destination=folder)
            equal(render(archive, values), render(path, values), f"the packaged {path.name}")


def the_plain_manifest_does_what_the_sidecar_chart_does():
    text = (ROOT / "examples/kubernetes/sidecar.yaml").read_text()
    plain = list(yaml.load_all(text, StrictLoader))
    for document in plain:
        check_schema(json.dumps(document, sort_keys=True))
    check_pod(pod(plain))
    workload = {**given.APP, "resources": {"limits": {"nvidia.com/gpu": 1}}}
    found = documents(SIDECAR, {"workload": workload, "fullnameOverride": "video-model"})
    equal(agent(plain), agent(found), "the sidecar")
    equal(configuration(plain), configuration(found), "the configuration")
    for documents_ in (plain, found):
        config = named(pod(documents_)["spec"]["volumes"], "costband-config")
        one(documents_, "ConfigMap", config["configMap"].pop("name"))
    for key in ("volumes", "automountServiceAccountToken"):
        equal(pod(plain)["spec"][key], pod(found)["spec"][key], key)
    hold(selects(one(plain, "Deployment")["spec"]["selector"]["matchLabels"], pod(plain)), "no pod is selected")


# Values, schema and table of one chart.


def commented(path):
    """The values, and of each that is no map of further ones: its path, default and comment."""
    text = (path / "values.yaml").read_text()
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


def the_readme_tells_every_value(path):
    values, rows = commented(path)
    equal(len(rows), leaves(values), "how many values are told")
    for name, _, comment in rows:
        hold(comment.endswith("."), f"`{name}` has no sentence above it in values.yaml")
    readme = path / "README.md"
    before, rest = readme.read_text().split("<!-- values -->\n")
    found, after = rest.split("\n<!-- end of values -->")
    if UPDATE:
        found = table(rows)
        readme.write_text(f"{before}<!-- values -->\n{found}\n<!-- end of values -->{after}")
    equal(found, table(rows), f"the table of {readme.relative_to(ROOT)}, which UPDATE_GOLDEN=1 rewrites")


def the_readme_s_examples_render(path):
    blocks = re.findall(r"^```yaml\n(.*?)^```", (path / "README.md").read_text(), re.S | re.M)
    hold(blocks, "there is no example")
    for block in blocks:
        renders(path, yaml.load(block, StrictLoader))


def schema(path):
    return json.loads((path / "values.schema.json").read_text())


def definitions(path):
    return schema(path)["definitions"]


def the_schema_knows_every_value_and_no_other(path):
    root = schema(path)
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

    walk(commented(path)[0], root, "")


# Objects that Kubernetes or the agent reads: what they hold is not the chart's to know.
FOREIGN = {"agent", "kubernetes", "page", "source", "volume"}


def the_schema_is_closed(path):
    def walk(part, at):
        if not isinstance(part, dict):
            return
        if part.get("type") == "object":
            hold(part.get("additionalProperties", True) is not True, f"{at} takes any key")
        for key in ("items", "additionalProperties"):
            walk(part.get(key), f"{at}/{key}")
        for key, child in part.get("properties", {}).items():
            walk(child, f"{at}/{key}")

    walk(schema(path), "")
    for name, part in definitions(path).items():
        if name not in FOREIGN:
            walk(part, f"/definitions/{name}")


def the_configuration_has_the_agent_s_keys(path):
    text = (ROOT / "src/config/file.rs").read_text()

    def fields(name):
        body = re.search(rf"pub struct {name} {{(.*?)^}}", text, re.S | re.M)[1]
        return sorted(re.findall(r"^    pub (\w+):", body, re.M))

    known = definitions(path)
    equal(sorted(known["config"]["properties"]), fields("FileConfig"), "the configuration's keys")
    equal(sorted(known["web"]["properties"]), fields("WebFile"), "the keys of `web`")
    equal(sorted([*known["store"]["properties"], "path"]), fields("StoreFile"), "the keys of `store`")
    if path == CENTRAL:
        equal(sorted(known["webhook"]["properties"]), fields("WebhookFile"), "the keys of a webhook")
        equal(sorted(known["config"]["properties"]["notify"]["properties"]), fields("NotifyFile"), "those of `notify`")


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
    # The first three refresh copies that later ones render.
    for function in (
        rules_are_those_of_the_dashboards_folder,
        dashboards_are_those_of_the_dashboards_folder,
        both_charts_share_one_container,
        charts_are_of_the_program_s_version,
        a_change_of_the_configuration_changes_the_checksum,
        the_default_sidecar_reads_its_own_node_and_no_bill,
        the_default_agent_has_something_to_read,
        a_written_configuration_replaces_the_default_one,
        an_old_cluster_gets_no_native_sidecar,
        a_token_reaches_the_workload_alone,
        labels_that_select_are_never_overridden,
        a_cloud_s_identity_reaches_pod_and_service_account,
        images_are_named_by_tag_and_digest,
        the_ledger_lies_where_the_values_say,
        a_policy_lets_scrapers_and_the_chart_s_test_in,
        monitors_find_what_they_scrape,
        names_of_releases_stay_text,
        a_packaged_chart_renders_the_same,
        the_plain_manifest_does_what_the_sidecar_chart_does,
    ):
        yield function.__name__.replace("_", " "), function
    charts = (
        (CENTRAL, given.CENTRAL, given.REFUSED_CENTRAL, given.GOLDEN_CENTRAL),
        (SIDECAR, given.SIDECAR, given.REFUSED_SIDECAR, given.GOLDEN_SIDECAR),
    )
    for path, sets, refused, kept in charts:
        for function in (
            the_readme_tells_every_value,
            the_readme_s_examples_render,
            the_schema_knows_every_value_and_no_other,
            the_schema_is_closed,
            the_configuration_has_the_agent_s_keys,
        ):
            yield f"{path.name}: {function.__name__.replace('_', ' ')}", functools.partial(function, path)
        for name, values in sets.items():
            yield f"{path.name} renders: {name}", functools.partial(renders, path, values)
        for name, (values, names) in refused.items():
            yield f"{path.name} refuses: {name}", functools.partial(refuses, path, values, names)
        for name, values in kept.items():
            yield f"{path.name} keeps its golden render: {name}", functools.partial(golden, name, path, values)


def main():
    print(f"Helm {helm_python.helm_sdk_version()}, Kubernetes {VERSIONS[0]} to {VERSIONS[-1]}")
    passed = failed = 0
    for name, promise in promises():
        try:
            promise()
            passed += 1
        except (Broken, helm_python.HelmError, jsonschema.ValidationError) as error:
            failed += 1
            print(f"FAILED {name}\n  " + str(error).replace("\n", "\n  "))
        except Exception:
            failed += 1
            print(f"FAILED {name}\n  " + traceback.format_exc().replace("\n", "\n  "))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
