"""Renders the Helm chart with the real Helm engine and finds things in what it rendered."""

import functools
import pathlib
import shutil
import tempfile

import helm_python
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/costband"
# A chart of somebody else's, whose pods have the sidecar.
DEPENDENT = ROOT / "examples/kubernetes/video-model"


class Broken(Exception):
    """A promise that does not hold."""


def hold(condition, sentence):
    if not condition:
        raise Broken(sentence)


def equal(found, wanted, what):
    hold(found == wanted, f"{what}: want\n{wanted!r}\nfound\n{found!r}")


def unique(items, what):
    equal(sorted(items), sorted(set(items)), f"{what}, each once")


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, as it is for the API server."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        hold(not twice, f"{twice} stands twice in one map, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep=deep)


FOLDER = tempfile.TemporaryDirectory()


@functools.lru_cache(None)
def dependent():
    """The dependent chart, with its dependency brought as the README says."""
    for path in (CHART, DEPENDENT):
        shutil.copytree(path, pathlib.Path(FOLDER.name) / path.relative_to(ROOT))
    copied = pathlib.Path(FOLDER.name) / DEPENDENT.relative_to(ROOT)
    helm_python.dependency_update(copied)
    return copied


@functools.lru_cache(None)
def chart(path):
    return helm_python.Chart.load(path)


def render(path, values, name="demo", namespace="finops", upgrade=False):
    """The rendered templates by path, without the notes; and the notes."""
    rendered = chart(path).render(values, name=name, namespace=namespace, is_upgrade=upgrade)
    files = dict(sorted(rendered.items()))
    notes = [files.pop(file) for file in list(files) if file.endswith("NOTES.txt")]
    return files, notes[0]


def documents(path, values, **release):
    files, _ = render(path, values, **release)
    found = [document for text in files.values() for document in yaml.load_all(text, StrictLoader) if document]
    hold(found, "nothing was rendered")
    return found


def kinds(found):
    return [document["kind"] for document in found]


def all_of(found, kind):
    return [document for document in found if document["kind"] == kind]


def one(found, kind, name=None):
    matching = [d for d in all_of(found, kind) if name in (None, d["metadata"]["name"])]
    equal(len(matching), 1, f"how many documents are a {kind} {name or ''}")
    return matching[0]


def pod(found, kind="Deployment"):
    return one(found, kind)["spec"]["template"]


def containers(template):
    return template["spec"].get("initContainers", []) + template["spec"]["containers"]


def named(items, name):
    matching = [item for item in items if item["name"] == name]
    equal(len(matching), 1, f"how many are named {name}")
    return matching[0]


def agent(found, kind="Deployment"):
    """costband's own container."""
    return named(containers(pod(found, kind)), "costband")


def configuration(found, template=None):
    """The only configuration that is written, or that which a pod mounts."""
    maps = [document for document in found if "costband.yaml" in document.get("data", {})]
    if template:
        volume = named(template["spec"]["volumes"], "costband-config")
        maps = [document for document in maps if document["metadata"]["name"] == volume["configMap"]["name"]]
    equal(len(maps), 1, "how many configurations are written")
    return yaml.load(maps[0]["data"]["costband.yaml"], StrictLoader)


def selects(selector, labelled):
    return selector.items() <= labelled["metadata"]["labels"].items()


def merged(values, defaults):
    """Values over defaults, as Helm lays them."""
    both = dict(defaults)
    for key, value in values.items():
        old = both.get(key)
        both[key] = merged(value, old) if isinstance(value, dict) and isinstance(old, dict) else value
    return both


@functools.lru_cache(None)
def defaults(path):
    return yaml.load((path / "values.yaml").read_text(), StrictLoader)


def whole(values):
    """All values of the chart."""
    return merged(values, defaults(CHART))
