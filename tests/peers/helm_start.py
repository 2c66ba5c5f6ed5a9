"""Starts the containers of rendered pods here, as a kubelet would, and holds them to become ready.

What a cluster does is done by hand, and only that: ConfigMaps and Secrets become files (with the links
through which a kubelet swaps them), the downward API becomes variables, `$(VARIABLE)` is expanded, and
each pod has an address of its own in 127.0.0.0/8. Three things are rewritten, since nobody is root
here: mounted paths lead into a temporary folder, `0.0.0.0` is the pod's address, and names of Services
are the addresses of their pods. Clouds and exporters are `costband simulate`.
"""

import contextlib
import functools
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import yaml

import helm_peers
import helm_values as given
from helm_render import (
    CHART,
    ROOT,
    Broken,
    StrictLoader,
    agent,
    all_of,
    dependent,
    documents,
    equal,
    hold,
    merged,
    one,
    pod,
)

PROGRAM = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug/costband"
PATIENCE = 120
# Proxies of this machine are not the pods'.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url):
    """The status and text of a page; None while nobody answers."""
    try:
        with OPENER.open(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, OSError):
        return None, ""


def eventually(what, attempt):
    """What an attempt gives, once it gives something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = attempt()
        if found:
            return found
        time.sleep(0.05)
    raise Broken(f"{what}: not within {PATIENCE} s")


@functools.lru_cache(None)
def network():
    """The first three bytes of the addresses of this run's node and pods."""
    return "127." + ".".join(str(random.randrange(1, 255)) for _ in range(2))


NODE = 1
addresses = iter(range(2, 255))


class Process:
    """A program that ends with its `with`, and what it said."""

    def __init__(self, command, folder, env):
        self.said = open(pathlib.Path(folder) / "said", "w+")
        self.child = subprocess.Popen(command, cwd=folder, env=env, stdout=self.said, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.said.close()

    def output(self):
        self.said.seek(0)
        return self.said.read()

    def lives(self):
        code = self.child.poll()
        hold(code is None, f"it ended with {code}:\n{self.output()[-3000:]}")
        return True


@contextlib.contextmanager
def cluster():
    """A node with dcgm-exporter at port 9400, and three clouds; the folder of what reads them."""
    with tempfile.TemporaryDirectory() as folder:
        host = f"{network()}.{NODE}"
        command = [PROGRAM, "simulate", "--bind", host, "--port", "9397", "--write-config", "sim"]
        with Process(command, folder, {}) as simulate:
            written = pathlib.Path(folder) / "sim"
            eventually("the simulated clouds start", lambda: simulate.lives() and "config" in simulate.output())
            yield written


def samples(page, family):
    """The labels of a family's samples."""
    found = re.findall(rf"^{family}{{(.*?)}} ", page, re.M)
    return [dict(re.findall(r'(\w+)="(.*?)"', labels)) for labels in found]


def tells(page, *families):
    return all(samples(page, family) for family in families)


def is_read(page):
    """Whether every source could be read."""
    return set(re.findall(r"^costband_source_up{.*} (\d)$", page, re.M)) == {"1"}


def polls(page):
    """How many bills an agent has read."""
    return sum(map(int, re.findall(r"^costband_source_polls_total{.*} (\d+)$", page, re.M)))


class Pod:
    """A pod of rendered documents whose container costband runs here."""

    def __init__(self, found, kind, folder, services=None, fields=None, secrets=None):
        self.template, self.container = pod(found, kind), agent(found, kind)
        self.address = f"{network()}.{next(addresses)}"
        self.folder = pathlib.Path(folder) / self.address
        self.folder.mkdir()
        ports = self.container.get("ports")
        self.port = ports[0]["containerPort"] if ports else None
        metadata = one(found, kind)["metadata"]
        self.fields = {
            "spec.nodeName": "gpu-1",
            "status.hostIP": f"{network()}.{NODE}",
            "status.podIP": self.address,
            "metadata.namespace": metadata.get("namespace", "finops"),
            "metadata.name": f"{metadata['name']}-x2v7k",
            **(fields or {}),
        }
        self.secrets = secrets or {}
        self.replaced = dict(services or {})
        volumes = {volume["name"]: volume for volume in self.template["spec"]["volumes"]}
        self.volumes = {}
        for mount in self.container["volumeMounts"]:
            hold("subPath" not in mount, f"{mount} would not be swapped")
            place = self.folder / f"mount-{len(self.volumes)}"
            place.mkdir()
            self.volumes[mount["name"]] = place
            self.replaced[mount["mountPath"]] = str(place)
        for name, place in self.volumes.items():
            self.write(place, self.content(volumes[name], found))

    def swap(self, text):
        """Another configuration, as a kubelet brings it to a pod that runs."""
        self.write(self.volumes["costband-config"], {"costband.yaml": text})

    def content(self, volume, found):
        if "configMap" in volume:
            maps = [m for m in all_of(found, "ConfigMap") if m["metadata"]["name"] == volume["configMap"]["name"]]
            return maps[0]["data"]
        if "secret" in volume:
            return self.secrets[volume["secret"]["secretName"]]
        hold({"emptyDir", "persistentVolumeClaim"} & volume.keys(), f"{volume} is no volume that is known here")
        return None

    def rewrite(self, text):
        for old, new in sorted(self.replaced.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(old, new)
        return text

    def write(self, place, files):
        """Files as a kubelet leaves them: behind a link that is swapped whole."""
        if files is None:
            return
        version = pathlib.Path(tempfile.mkdtemp(prefix="..", dir=place))
        for name, text in files.items():
            (version / name).write_text(self.rewrite(text))
        link = place / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(place / "..data")
        for name in files:
            if not (place / name).is_symlink():
                (place / name).symlink_to(f"..data/{name}")

    def environment(self):
        env = {}
        for variable in self.container["env"]:
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                value = self.fields[source["fieldRef"]["fieldPath"]]
            elif "secretKeyRef" in source:
                value = self.secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
            else:
                text = variable.get("value", "")
                value = re.sub(r"\$\((\w+)\)", lambda part: env.get(part[1], part[0]), text)
            env[variable["name"]] = self.rewrite(value).replace("0.0.0.0:", f"{self.address}:")
        return env

    def __enter__(self):
        command = [PROGRAM, *(self.rewrite(argument) for argument in self.container["args"])]
        self.process = Process(command, self.folder, self.environment())
        return self

    def __exit__(self, *_):
        self.process.__exit__()

    def end(self):
        """Waits until the container is through, and well."""
        code = self.process.child.wait(PATIENCE)
        equal(code, 0, f"how it ended:\n{self.process.output()[-3000:]}")

    def url(self, path):
        return f"http://{self.address}:{self.port}{path}"

    def answers(self, path):
        """Whether a page answers 200."""
        return self.process.lives() and fetch(self.url(path))[0] == 200

    def page(self, passes):
        """The page of metrics, once it passes."""

        def attempt():
            self.process.lives()
            status, text = fetch(self.url("/metrics"))
            return text if status == 200 and passes(text) else None

        return eventually(f"{self.address} tells it", attempt)

    def ready(self):
        """Waits for what the pod's own probes ask, in a kubelet's order."""
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = self.container[name]["httpGet"]
            equal(probe["port"], self.container["ports"][0]["name"], "the probed port")
            eventually(f"{name} {probe['path']}", lambda path=probe["path"]: self.answers(path))


def billed(written):
    """Values that read the simulated clouds, and the Secret that goes with them."""
    config = yaml.load((written / "costband.yaml").read_text(), StrictLoader)
    secret = {file.name: file.read_text() for file in written.iterdir() if file.name.endswith(("key", "secret"))}
    mounted = "/run/secrets/costband/clouds/"
    text = re.sub(r'"file": "[^"]*/([^"/]+)"', rf'"file": "{mounted}\1"', json.dumps(config["sources"]))
    values = {"config": {"sources": json.loads(text), "nodes": config["nodes"]}, "secretMounts": ["clouds"]}
    return values, {"clouds": secret}


def first_node():
    """The node whose page the exporter serves, and one pod on it with its namespace."""
    _, page = fetch(f"http://{network()}.{NODE}:9400/metrics")
    labels = next(labels for labels in samples(page, "DCGM_FI_DEV_GPU_UTIL") if labels.get("pod"))
    return labels["Hostname"], labels["namespace"], labels["pod"]


def held(name):
    """The GPUs that the exporter tells of a pod."""
    _, page = fetch(f"http://{network()}.{NODE}:9400/metrics")
    return {s["UUID"] for s in samples(page, "DCGM_FI_DEV_GPU_UTIL") if s.get("pod") == name}


def the_default_central_agent_becomes_ready():
    with tempfile.TemporaryDirectory() as folder:
        # Neither its exporter nor any cloud is there: readiness asks for neither.
        with Pod(documents(CHART, {}), "Deployment", folder) as central:
            central.ready()


def central_and_node_agents_of_one_release_become_ready_and_meet():
    with cluster() as written, tempfile.TemporaryDirectory() as folder:
        values, secrets = billed(written)
        found = documents(CHART, merged({"central": values}, given.CHART["all modes"]))
        node, _, _ = first_node()
        fields = {"spec.nodeName": node}
        with Pod(found, "Deployment", folder, secrets=secrets) as central:
            central.ready()
            page = central.page(lambda page: "costband_band_spend{" in page and is_read(page))
            equal(samples(page, "costband_gpus"), [], "GPUs of the central agent, which node agents count")
            services = {
                "demo-costband.finops.svc": central.address,
                "demo-costband-exporter.gpu-operator.svc": f"{network()}.{NODE}",
            }
            with Pod(found, "DaemonSet", folder, services, fields) as agent_:
                agent_.ready()
                page = agent_.page(lambda page: tells(page, "costband_gpus", "costband_gpu_hour_price"))
                equal(samples(page, "costband_band_spend"), [], "bands of a node agent")
                facts = agent_.url(f"/api/v1/nodes/{node}")
                eventually("the node's price is told", lambda: "told by the central agent" in fetch(facts)[1])


def node_agents_alone_become_ready():
    for name in ("node agents", "node agents with counters that outlive the container"):
        with cluster(), tempfile.TemporaryDirectory() as folder:
            fields = {"spec.nodeName": first_node()[0]}
            with Pod(documents(CHART, given.CHART[name]), "DaemonSet", folder, fields=fields) as agent_:
                agent_.ready()
                agent_.page(lambda page: samples(page, "costband_gpus"))
    with tempfile.TemporaryDirectory() as folder:
        # Without an exporter too, so that a rollout does not hang on a node whose exporter is away.
        with Pod(documents(CHART, given.CHART["node agents"]), "DaemonSet", folder) as agent_:
            agent_.ready()


def sidecar(found):
    with cluster(), tempfile.TemporaryDirectory() as folder:
        node, namespace, name = first_node()
        fields = {"spec.nodeName": node, "metadata.namespace": namespace, "metadata.name": name}
        with Pod(found, "Deployment", folder, fields=fields) as beside:
            eventually("/healthz", lambda: beside.answers("/healthz"))
            page = beside.page(lambda page: tells(page, "costband_gpu_info", "costband_workload_gpu_seconds_total"))
            own = {labels["gpu_uuid"] for labels in samples(page, "costband_gpu_info")}
            equal(own, held(name), "the GPUs that its pod holds")
            spaces = {s["workload_namespace"] for s in samples(page, "costband_workload_gpu_seconds_total")}
            equal(spaces, {namespace}, "whose GPUs it tells of")
            families = set(re.findall(r"^(costband_(?:gpus|band|service|billed|effective|node)\w*)", page, re.M))
            equal(families, set(), "what is the central agent's or a node agent's")
    with tempfile.TemporaryDirectory() as folder:
        # Without exporter and central agent it still runs and answers.
        with Pod(found, "Deployment", folder) as beside:
            eventually("/healthz", lambda: beside.answers("/healthz"))
            beside.page(lambda page: "costband_build_info{" in page)


def sidecars_answer_in_either_form():
    for name in ("default", "ordinary container", "counters that outlive the container"):
        sidecar(documents(dependent(), given.DEPENDENT[name]))


TAKEN = "costband_config_last_reload_successful"


def a_running_pod_takes_a_changed_configuration_and_no_faulty_one():
    def values(name):
        host = [{"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]
        page = {"name": name, "url": "http://$(HOST_IP):9400/metrics"}
        return given.central(config={"gpu": [page]}, env=host, reload=True)

    with cluster(), tempfile.TemporaryDirectory() as folder:
        # The pod itself stays: nothing of its template tells the configurations apart.
        before, after = (documents(CHART, values(name)) for name in ("a", "b"))
        equal(pod(before), pod(after), "the pod's template")
        text = one(after, "ConfigMap")["data"]["costband.yaml"]
        with Pod(before, "Deployment", folder) as central:
            central.ready()
            central.page(lambda page: 'source="a"' in page)
            central.swap(text)
            # The new tasks begin before the series of the old ones go.
            central.page(lambda page: 'source="b"' in page and 'source="a"' not in page and f"{TAKEN} 1\n" in page)
            central.swap("gpu: [")
            page = central.page(lambda page: f"{TAKEN} 0\n" in page)
            hold('source="b"' in page and central.answers("/readyz"), "a faulty configuration is taken")


def the_plain_manifest_s_sidecar_answers():
    text = (ROOT / "examples/kubernetes/sidecar.yaml").read_text()
    sidecar(list(yaml.load_all(text, StrictLoader)))


# Where the values' database is, and how it is spoken to: it has no certificate here.
DATABASE_HOST = "db.example.com"
DATABASE = {**given.DATABASE, "url": f"postgres://postgres@{DATABASE_HOST}/postgres?sslmode=prefer"}


def a_ledger_in_postgresql_outlives_its_pod():
    address = f"{network()}.254"
    with cluster() as written, helm_peers.database(address) as password, tempfile.TemporaryDirectory() as folder:
        values, secrets = billed(written)
        secrets |= {"ledger": {"password": password}}
        found = documents(CHART, {"central": merged(values, {"database": DATABASE})})
        read = []
        for _ in ("the first pod", "the one after it"):
            with Pod(found, "Deployment", folder, {DATABASE_HOST: address}, secrets=secrets) as central:
                central.ready()
                page = central.page(lambda page: tells(page, "costband_band_spend"))
                read.append(polls(page))
        hold(read[0] > 0 and read[1] == 0, f"the two read {read} bills: the second knows what the first paid for")


def the_example_s_job_moves_a_ledger_from_its_volume_into_the_database():
    text = (ROOT / "examples/kubernetes/copy-ledger.yaml").read_text()
    (job,) = yaml.load_all(text, StrictLoader)
    address, release = f"{network()}.254", {"name": "costband", "namespace": "costband"}
    services = {DATABASE_HOST: address, "costband@": "postgres@", f"{DATABASE_HOST}/costband": f"{address}/postgres"}
    with cluster() as written, helm_peers.database(address) as password, tempfile.TemporaryDirectory() as folder:
        values, secrets = billed(written)
        secrets |= {name: {"password": password} for name in ("ledger", "costband-database")}
        before = documents(CHART, {"central": values}, **release)
        equal(one(before, "PersistentVolumeClaim")["metadata"]["name"], "costband", "the claim that the job mounts")
        with Pod(before, "Deployment", folder, secrets=secrets) as central:
            central.ready()
            central.page(lambda page: tells(page, "costband_band_spend") and is_read(page))
        copying = Pod([job, *before], "Job", folder, services, secrets=secrets)
        shutil.copytree(central.volumes["costband-ledger"], copying.volumes["costband-ledger"], dirs_exist_ok=True)
        with copying:
            copying.end()
        after = documents(CHART, {"central": merged(values, {"database": DATABASE})}, **release)
        with Pod(after, "Deployment", folder, {DATABASE_HOST: address}, secrets=secrets) as central:
            central.ready()
            page = central.page(lambda page: tells(page, "costband_band_spend"))
            equal(polls(page), 0, "bills that are read again")


def replicas_share_a_database_and_one_of_them_leads():
    with cluster() as written, helm_peers.database(f"{network()}.254") as password, helm_peers.leases(
        f"{network()}.253"
    ) as kubeconfig, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        values, secrets = billed(written)
        values["secretMounts"].append("api")
        secrets |= {"api": {"kubeconfig": kubeconfig}, "ledger": {"password": password}}
        # Outside of a cluster there is no service account, whose files have a place of their own.
        env = [{"name": "COSTBAND__LEASE__KUBECONFIG", "value": "/run/secrets/costband/api/kubeconfig"}]
        shared = merged({"env": env, "database": DATABASE}, given.SHARED)
        found = documents(CHART, {"central": merged(values, shared)})
        replicas = {}
        for name in ("one", "two", "three")[: one(found, "Deployment")["spec"]["replicas"]]:
            fields = {"metadata.name": name}
            services = {DATABASE_HOST: f"{network()}.254"}
            replica = Pod(found, "Deployment", folder, services, fields, secrets)
            replicas[name] = running.enter_context(replica)
        for replica in replicas.values():
            replica.ready()
        def leader():
            pages = {name: fetch(replica.url("/metrics"))[1] for name, replica in replicas.items()}
            leading = [name for name, page in pages.items() if "costband_leader 1\n" in page]
            hold(len(leading) < 2, f"{leading} lead at once")
            return leading[0] if leading and "costband_band_spend{" in pages[leading[0]] else None

        first = eventually("one replica leads and tells what was spent", leader)
        for name, replica in replicas.items():
            page = replica.page(lambda page: "costband_leader " in page)
            equal(bool(samples(page, "costband_band_spend")), name == first, f"whether {name} tells what was spent")
        # A clean stop, as of a rolling update: somebody else goes on from the same ledger.
        replicas.pop(first).process.__exit__()
        second = eventually("another replica leads", leader)
        hold(second != first, "the replica that ended leads")


PROMISES = (
    the_default_central_agent_becomes_ready,
    central_and_node_agents_of_one_release_become_ready_and_meet,
    node_agents_alone_become_ready,
    sidecars_answer_in_either_form,
    a_running_pod_takes_a_changed_configuration_and_no_faulty_one,
    a_ledger_in_postgresql_outlives_its_pod,
    the_example_s_job_moves_a_ledger_from_its_volume_into_the_database,
    replicas_share_a_database_and_one_of_them_leads,
    the_plain_manifest_s_sidecar_answers,
)

NEED_A_DATABASE = (
    a_ledger_in_postgresql_outlives_its_pod,
    the_example_s_job_moves_a_ledger_from_its_volume_into_the_database,
    replicas_share_a_database_and_one_of_them_leads,
)


def promises():
    """Each promise, and why it cannot be held to on this machine."""
    for function in PROMISES:
        missing = None if PROGRAM.exists() else f"there is no {PROGRAM}, which `cargo build` makes"
        if function in NEED_A_DATABASE:
            missing = missing or helm_peers.missing()
        yield function, missing
