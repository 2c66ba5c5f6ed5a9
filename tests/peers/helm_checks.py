"""What holds for everything that the chart renders, with any values."""

import functools
import json
import re

import helm_python
import jsonschema
import kubernetes_validate

from helm_render import (
    CHART,
    agent,
    all_of,
    configuration,
    containers,
    documents,
    equal,
    hold,
    kinds,
    named,
    one,
    pod,
    selects,
    unique,
    whole,
)

# The oldest version that Chart.yaml admits and every newer one; native sidecars came with 1.29.
VERSIONS = [kubernetes_validate.utils.major_minor(v) for v in kubernetes_validate.utils.all_versions()]
NATIVE_SINCE = (1, 29)
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

counted = {"renders": 0, "documents": set(), "validations": 0}


SELECTOR = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"matchLabels": {"additionalProperties": {"type": "string"}}},
}
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
NAMESPACES = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"matchNames": {"type": "array", "items": {"type": "string"}}},
}
RULES = {"type": "array", "minItems": 1, "items": {"required": ["name", "rules"]}}
# Kubernetes has no schema of Prometheus Operator's kinds (monitoring.coreos.com/v1): these are the
# fields of its API reference that the chart uses. The last is optional.
OPERATOR = {
    "ServiceMonitor": {"selector": SELECTOR, "endpoints": ENDPOINTS},
    "PodMonitor": {"selector": SELECTOR, "podMetricsEndpoints": ENDPOINTS, "namespaceSelector": NAMESPACES},
    "PrometheusRule": {"groups": RULES},
}


@functools.lru_cache(None)
def check_schema(text):
    """Holds one document, as JSON, to the strict schema of every version of Kubernetes."""
    document = json.loads(text)
    counted["documents"].add(text)
    if document["apiVersion"] == "monitoring.coreos.com/v1":
        parts = OPERATOR[document["kind"]]
        needed = [part for part in parts if part != "namespaceSelector"]
        closed = {"additionalProperties": False, "required": needed, "properties": parts}
        jsonschema.validate(document["spec"], closed)
        return
    native = document["kind"] == "Deployment" and "initContainers" in document["spec"]["template"]["spec"]
    for version in VERSIONS:
        if not native or tuple(map(int, version.split("."))) >= NATIVE_SINCE:
            kubernetes_validate.validate(document, version, strict=True)
            counted["validations"] += 1


def check_numbers(part, where):
    """Holds whole numbers to be written as such: the API server takes no 1e+06 for an integer."""
    hold(not isinstance(part, float) or part % 1, f"{where}: {part} is written as a fraction")
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        check_numbers(value, f"{where}/{key}")


def check_names(document):
    metadata = document["metadata"]
    where = f"{document['kind']} {metadata['name']}"
    longest = 63 if document["kind"] in ("Service", "DaemonSet") else 253
    hold(isinstance(metadata["name"], str) and SUBDOMAIN.match(metadata["name"]), f"{where}: not a name")
    hold(len(metadata["name"]) <= longest, f"{where}: too long a name")
    hold(isinstance(metadata.get("namespace", ""), str), f"{where}: not a namespace")
    for part in (metadata, document.get("spec", {}).get("template", {}).get("metadata", {})):
        for key, value in part.get("labels", {}).items():
            hold(isinstance(value, str) and len(value) <= 63 and LABEL.match(value), f"{where}: label {key}={value!r}")
        for key, value in part.get("annotations", {}).items():
            hold(isinstance(value, str), f"{where}: annotation {key}={value!r}")


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


def check_documents(found):
    """What holds for every document, whoever's chart it is of."""
    counted["renders"] += 1
    # The same Role stands in several namespaces.
    places = [(d["kind"], d["metadata"].get("namespace", ""), d["metadata"]["name"]) for d in found]
    unique(places, "documents")
    for document in found:
        check_names(document)
        check_numbers(document, document["kind"])
        check_schema(json.dumps(document, sort_keys=True))
    for workload in all_of(found, "Deployment") + all_of(found, "DaemonSet"):
        template = workload["spec"]["template"]
        check_pod(template)
        hold(selects(workload["spec"]["selector"]["matchLabels"], template), "its pods are not selected")


def check_agent(container, template, values, mode):
    """The promises of costband's container in every mode."""
    own = values[mode]
    context = dict(container["securityContext"])
    users = {key: context.pop(key, None) for key in ("runAsUser", "runAsGroup")}
    equal(users, {key: values[key] for key in users}, "user and group")
    if mode == "node" and own["nvml"]["privileged"]:
        hold(context["privileged"] and "allowPrivilegeEscalation" not in context, "a privileged container")
    else:
        equal(context, RESTRICTED, "security context")
    equal(container["args"], ["run", "-c", f"{CONFIG}/costband.yaml"], "arguments")
    port = {"name": "costband" if mode == "sidecar" else "http", "containerPort": own["port"], "protocol": "TCP"}
    equal(container["ports"], [port], "ports")
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    equal(env["COSTBAND__LISTEN"], f"{values['listenAddress']}:{own['port']}", "listening address")
    for variable in own["env"]:
        equal(named(container["env"], variable["name"]), variable, "a variable")
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    hold(mounts[CONFIG].get("readOnly"), "the configuration can be written")
    in_folder = env.get("COSTBAND__STORE__PATH") == f"{LEDGER}/costband.db"
    equal(LEDGER in mounts, in_folder, "a folder for the ledger")
    hold(not mounts.get(LEDGER, {}).get("readOnly"), "the ledger cannot be written")
    for secret in own["secretMounts"]:
        mount = mounts[f"/run/secrets/costband/{secret}"]
        hold(mount.get("readOnly"), f"the Secret {secret} can be written")
        volume = named(template["spec"]["volumes"], mount["name"])
        equal(volume["secret"]["secretName"], secret, "the Secret of a mount")


def check_configuration(found, template, values, mode):
    """Which configuration a pod has, and whether a change of it replaces the pod."""
    own = values[mode]
    annotations = dict(template["metadata"].get("annotations", {}))
    checksum = annotations.pop("checksum/config", None)
    given = (own.get("existingConfigMap") or None, own.get("existingSecret") or None)
    volume = named(template["spec"]["volumes"], "costband-config")
    mounted = (volume.get("configMap", {}).get("name"), volume.get("secret", {}).get("secretName"))
    if any(given):
        equal(mounted, given, "the configuration's volume")
        equal(checksum, None, "a checksum of what the chart does not know")
        return
    written = configuration(found, template)
    for key, value in own["config"].items():
        equal(written[key], value, f"`{key}` of the configuration, as it was given")
    if mode == "sidecar":
        return
    asked = {key: value for key, value in own["podAnnotations"].items() if own["reload"] or key != "checksum/config"}
    if own["reload"]:
        checksum, annotations = None, dict(template["metadata"].get("annotations", {}))
    else:
        hold(re.fullmatch("[0-9a-f]{64}", checksum or ""), f"{checksum} is no checksum")
    equal(annotations, asked, "annotations")


def check_own_pod(found, kind, values, mode):
    """What central and node agents have in common: pods of the chart's own."""
    own, template, container = values[mode], pod(found, kind), agent(found, kind)
    spec = template["spec"]
    check_agent(container, template, values, mode)
    check_configuration(found, template, values, mode)
    equal(spec["enableServiceLinks"], False, "service links")
    equal(spec["securityContext"]["runAsNonRoot"], True, "a pod that is not root's")
    equal(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, "seccomp of the pod")
    equal(spec["securityContext"].get("fsGroup"), values["fsGroup"], "the volumes' group")
    equal(one(found, kind)["metadata"].get("annotations", {}), own["annotations"], f"annotations of the {kind}")
    for key in ("nodeSelector", "tolerations", "priorityClassName", "terminationGracePeriodSeconds"):
        equal(spec.get(key), own[key] or None, key)
    probes = {name: container[name]["httpGet"] for name in PROBES if name in container}
    alive, ready = {"path": "/healthz", "port": "http"}, {"path": "/readyz", "port": "http"}
    equal(probes, {"startupProbe": alive, "livenessProbe": alive, "readinessProbe": ready}, "probes")
    for volume in spec["volumes"]:
        hold(volume.keys() - {"name"} <= VOLUMES, f"the volume {volume} is none of the restricted standard's")


def check_central(values, found):
    own, deployment = values["central"], one(found, "Deployment")
    template, container, spec = pod(found), agent(found), pod(found)["spec"]
    check_own_pod(found, "Deployment", values, "central")
    equal(deployment["spec"]["replicas"], own["replicas"], "replicas")
    shared = bool(own["database"]["url"])
    rolling = shared and own["lease"]["enabled"]
    equal(deployment["spec"]["strategy"]["type"], "RollingUpdate" if rolling else "Recreate", "strategy")
    hold(own["replicas"] == 1 or rolling, "several agents without a ledger that they share, or without turns")
    equal("topologySpreadConstraints" in spec, own["replicas"] > 1 or bool(own["topologySpreadConstraints"]), "spread")
    claims = all_of(found, "PersistentVolumeClaim")
    hold(not (shared and claims), "a claim for a ledger that is in PostgreSQL")
    env = {variable["name"]: variable for variable in container["env"]}
    equal(env.get("COSTBAND__STORE__URL", {}).get("value"), own["database"]["url"] or None, "the database")
    equal("COSTBAND__STORE__PATH" in env, not shared, "a file beside the database")
    held = {name.rpartition("__")[2] for name in env if name.startswith("COSTBAND__LEASE__")}
    equal(held, {"NAME", "NAMESPACE", "IDENTITY", "ADDRESS"} if own["lease"]["enabled"] else set(), "the Lease's variables")
    check_rights(values, spec, found)
    service = one(found, "Service", deployment["metadata"]["name"])["spec"]
    equal(service["type"], "ClusterIP", "the Service's type")
    port = own["service"]["port"]
    equal(service["ports"], [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP"}], "its ports")
    hold(selects(service["selector"], template), "the Service does not select the agent")
    for test in all_of(found, "Pod"):
        hold(not selects(service["selector"], test), "the Service selects the chart's test")
        equal(test["metadata"]["annotations"]["helm.sh/hook"], "test", "the test's hook")
        equal(test["spec"]["automountServiceAccountToken"], False, "a token for the test")
        context = test["spec"]["containers"][0]["securityContext"]
        equal({key: context[key] for key in RESTRICTED}, RESTRICTED, "the test's security context")
    for budget in all_of(found, "PodDisruptionBudget"):
        hold(selects(budget["spec"]["selector"]["matchLabels"], template), "the budget is of other pods")


def wanted_rules(values):
    """What the central agent may do: rules of the cluster (None) and of namespaces."""
    own = values["central"]
    watch = {"apiGroups": [""], "verbs": ["list", "watch"]}
    entries = own["config"].get("kubernetes", [])
    clusters = {entry["cluster"] for entry in entries if "kubeconfig" not in entry}
    nodes = any("kubeconfig" not in entry and entry.get("nodes", True) for entry in entries)
    wanted = {}
    if nodes or own["rbac"]["nodes"]:
        wanted[None] = [{**watch, "resources": ["nodes"]}]
    namespaces = set(own["rbac"]["podNamespaces"])
    for entry in own["config"].get("gpu", []):
        cluster = entry.get("cluster", entries[0]["cluster"] if len(entries) == 1 else None)
        if "kubernetes" in entry and cluster in clusters:
            namespaces.add(entry["kubernetes"]["namespace"])
    for namespace in namespaces:
        wanted.setdefault(namespace, []).append({**watch, "resources": ["pods"]})
    if own["lease"]["enabled"]:
        leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
        name = own["lease"]["name"] or "demo-costband"
        wanted.setdefault("finops", []).append({**leases, "verbs": ["create"]})
        wanted["finops"].append({**leases, "verbs": ["get", "update"], "resourceNames": [name]})
    return wanted


def check_rights(values, spec, found):
    """The agent may do what its configuration needs, where it needs it, and nothing else."""
    wanted, own = wanted_rules(values), values["central"]
    token = own["serviceAccount"]["automountServiceAccountToken"] or bool(wanted)
    equal(spec["automountServiceAccountToken"], token, "a token of the Kubernetes API")
    rules, namespace = {}, one(found, "Deployment")["metadata"]["namespace"]
    roles = all_of(found, "ClusterRole") + all_of(found, "Role")
    for role in roles:
        where = role["metadata"].get("namespace")
        equal(where is None, role["kind"] == "ClusterRole", "a namespace of a role")
        rules.setdefault(where, []).extend(role["rules"])
        bindings = [
            binding
            for binding in all_of(found, f"{role['kind']}Binding")
            if binding["metadata"].get("namespace") == where and binding["roleRef"]["name"] == role["metadata"]["name"]
        ]
        equal(len(bindings), 1, f"how many bind the {role['kind']}")
        equal(bindings[0]["roleRef"]["kind"], role["kind"], "the bound role")
        (subject,) = bindings[0]["subjects"]
        equal((subject["kind"], subject["name"]), ("ServiceAccount", spec["serviceAccountName"]), "who is given it")
        equal(subject["namespace"], namespace, "whose namespace that is")
    equal(rules, wanted if own["rbac"]["create"] else {}, "the agent's rights")
    bindings = [document for document in found if document["kind"].endswith("Binding")]
    equal(len(bindings), len(roles), "how many bindings there are")


def field(container, name):
    return named(container["env"], name)["valueFrom"]["fieldRef"]["fieldPath"]


def check_beside_gpus(container, values, mode):
    """What node agents and sidecars are told by the downward API, and what they never have."""
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    equal((env["COSTBAND__ROLE"], env["COSTBAND__NODE"]), (mode, "$(NODE_NAME)"), "role and node")
    equal(field(container, "NODE_NAME"), "spec.nodeName", "the node's name")
    equal(field(container, "HOST_IP"), "status.hostIP", "the node's address")
    path = {"memory": ":memory:", "emptyDir": f"{LEDGER}/costband.db"}[values[mode]["ledger"]]
    equal(env["COSTBAND__STORE__PATH"], path, "the ledger's path")
    forbidden = {name for name in env if re.match("COSTBAND__(SOURCES|BANDS|NOTIFY|KUBERNETES|LEASE)", name)}
    equal(forbidden, set(), "what is the central agent's")


def check_node(values, found):
    own, daemons = values["node"], one(found, "DaemonSet")
    template, container = pod(found, "DaemonSet"), agent(found, "DaemonSet")
    spec = template["spec"]
    check_own_pod(found, "DaemonSet", values, "node")
    check_beside_gpus(container, values, "node")
    equal(spec["automountServiceAccountToken"], False, "a token of the Kubernetes API")
    if values["central"]["enabled"]:
        hold(spec["serviceAccountName"] != pod(found)["spec"]["serviceAccountName"], "the central agent's identity")
        reads = not values["central"]["existingConfigMap"] and not values["central"]["existingSecret"]
        hold(not reads or "gpu" not in configuration(found, pod(found)), "GPUs are counted twice")
    terms = [{"matchExpressions": [{"key": key, "operator": "Exists"}]} for key in own["gpuLabels"]]
    gpus = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    equal(spec.get("affinity"), own["affinity"] or (gpus if terms else None), "which nodes have an agent")
    strategy = own["updateStrategy"]
    wanted = {"type": "OnDelete"} if strategy["type"] == "OnDelete" else strategy
    equal(daemons["spec"]["updateStrategy"], wanted, "how pods are replaced")
    nvml = own["nvml"]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    wanted = ("all", "utility") if nvml["enabled"] else (None, None)
    equal((env.get("NVIDIA_VISIBLE_DEVICES"), env.get("NVIDIA_DRIVER_CAPABILITIES")), wanted, "GPUs in the container")
    equal(spec.get("runtimeClassName"), nvml["runtimeClassName"] or None if nvml["enabled"] else None, "runtime class")
    equal("nvidia.com/gpu" in json.dumps(container["resources"]), False, "a GPU that the agent holds")


def check_sidecar(container, template, values, native):
    """costband's container in a pod of somebody else's."""
    own, spec = values["sidecar"], template["spec"]
    check_agent(container, template, values, "sidecar")
    check_beside_gpus(container, values, "sidecar")
    equal(field(container, "POD_NAMESPACE"), "metadata.namespace", "the pod's namespace")
    equal(field(container, "POD_NAME"), "metadata.name", "the pod's name")
    equal(container.get("restartPolicy"), "Always" if native else None, "the sidecar's restart policy")
    equal(container in spec.get("initContainers", []), native, "whether it is an init container")
    for probe in PROBES:
        hold(probe not in container, f"the sidecar has a {probe}")
    tokens = [mount for mount in container["volumeMounts"] if "serviceaccount" in mount["mountPath"]]
    equal(tokens, [], "the sidecar's tokens")


# What a mode brings, so that a mode that is off brings nothing.
OF = {
    "central": {"Deployment", "PersistentVolumeClaim", "ServiceMonitor", "ClusterRole", "Role", "Pod"},
    "node": {"DaemonSet"},
}


def check_whole(values, found):
    """Everything that holds for the chart with any values."""
    check_documents(found)
    values = whole(values)
    for document in found:
        hold(selects(values["commonLabels"], document), f"{document['kind']} without the common labels")
    for mode, brought in OF.items():
        if not values[mode]["enabled"]:
            equal(brought & set(kinds(found)), set(), f"what {mode} brings though it is off")
    if values["central"]["enabled"]:
        check_central(values, found)
    if values["node"]["enabled"]:
        check_node(values, found)
    check_maps(values, found)


def check_maps(values, found):
    """Each mode has its configuration in its places, once."""
    own = values["sidecar"]
    places = [
        (document["metadata"]["name"], document["metadata"]["namespace"])
        for document in found
        if "costband.yaml" in document.get("data", {})
    ]
    wanted = [
        (mode, "finops")
        for mode in ("central", "node")
        if values[mode]["enabled"] and not (values[mode]["existingConfigMap"] or values[mode].get("existingSecret"))
    ]
    if own["enabled"] and not own["existingConfigMap"]:
        wanted += [("sidecar", namespace) for namespace in own["namespaces"] or ["finops"]]
    equal(len(places), len(wanted), "how many configurations are written")
    equal({place for name, place in places if name.endswith("-sidecar")}, {at for mode, at in wanted if mode == "sidecar"}, "where")


def check_lint(path, values):
    equal(helm_python.lint(path, values, strict=True)["errors"], [], "what the linter says")


def renders(values):
    check_lint(CHART, values)
    check_whole(values, documents(CHART, values))
