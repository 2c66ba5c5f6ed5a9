"""Values for the chart: sets that render, hostile strings among them, and sets that are refused."""

NAUGHTY = [
    "it's",
    'say "no"',
    "two\nlines",
    "ends with lines\n\n",
    "\n  begins with one",
    "{{ .Release.Name }}",
    "{{",
    '}} {{- fail "no" }}',
    "컨테이너 ünïcode 🚀",
    "# no comment",
    "key: value",
    "- item",
    "null",
    "true",
    "yes",
    "1e3",
    "0o17",
    "012345678901",
    "1_000",
    "12:30",
    "2026-11-01",
    "\ttab",
    " spaces ",
    "&anchor *alias !tag |",
    "%percent @at `tick`",
    "$(HOST_IP) $HOME",
    "back\\slash",
    "---",
    "line\u2028separator bell\x07",
    "",
]

DIGEST = "sha256:" + "0123456789abcdef" * 4
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}]}
            ]
        }
    }
}
BILLS = {
    "sources": {
        "aws": [
            {
                "name": "aws-main",
                "account": "012345678901",
                "monthly_cap": "30 USD",
                "credentials": {
                    "static": {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": {"env": "AWS_SECRET"}}
                },
            }
        ],
        "azure": [
            {
                "name": "azure",
                "scope": "/subscriptions/00000000-0000-0000-0000-000000000000",
                "credentials": {
                    "method": "client_secret",
                    "tenant_id": "11111111-1111-1111-1111-111111111111",
                    "client_id": "22222222-2222-2222-2222-222222222222",
                    "client_secret": {"file": "/run/secrets/costband/azure-billing/client-secret"},
                },
            }
        ],
    },
    "bands": [
        {"preset": "aws", "ceiling": 100000000},
        {"preset": "azure", "floor": 12000.5, "ceiling": "95000.123456789012345678"},
    ],
    "notify": {
        "webhook": [
            {"name": "ops", "url": "https://hooks.example.com/x", "secret": {"file": "/run/secrets/costband/hook/key"}}
        ]
    },
    "store": {"retention": "800d"},
}
PAGE = [{"name": "node", "url": "http://$(HOST_IP):9400/metrics"}]
TOKEN = {"file": "/run/secrets/costband/face/token"}


def numbered(prefix):
    return {f"{prefix}-{index}": text for index, text in enumerate(NAUGHTY)}


def variables():
    return [{"name": f"HOSTILE_{index}", "value": text} for index, text in enumerate(NAUGHTY)]


def hostile_config():
    """A configuration of hostile strings: Helm must hand them on, the agent may refuse them."""
    pages = [{"name": text, "url": text, "cluster": text} for text in NAUGHTY]
    return {"gpu": pages, "log": numbered("log"), "language": NAUGHTY[0], "series": {"z": NAUGHTY[3]}}


def central(**values):
    return {"central": values}


def node(**values):
    """Node agents alone."""
    return {"central": {"enabled": False}, "node": {"enabled": True, **values}}


def sidecar(**values):
    """What sidecars of other pods mount, alone."""
    return {"central": {"enabled": False}, "sidecar": {"enabled": True, **values}}


NAME_TOKEN = {"name": "face"}
MONITOR = {"enabled": True, "labels": {"release": "prometheus"}, "scrapeTimeout": "10s"}
SERVICE = {"service": {"create": True}}
DATABASE = {
    "url": "postgres://costband@db.example.com:5432/costband?sslmode=verify-full",
    "passwordSecret": {"name": "ledger"},
}
SHARED = {"replicas": 3, "database": DATABASE, "lease": {"enabled": True}}
WATCHED = {
    "kubernetes": [{"cluster": "train"}],
    "gpu": [{"name": "dcgm", "kubernetes": {"namespace": "gpu-operator"}}],
}
FROM = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
EGRESS = [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443, "protocol": "TCP"}]}]
PLACEMENT = {
    "annotations": {"reloader.example.com/auto": "true"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}],
    "affinity": AFFINITY,
    "priorityClassName": "system-node-critical",
    "podLabels": {"team": "finops", "app.kubernetes.io/component": "stolen"},
    "podAnnotations": {"team": "finops", "checksum/config": "stolen"},
    "terminationGracePeriodSeconds": 3600000,
    "resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1500m"}},
}
ENVIRONMENT = {
    "env": [
        {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "face", "key": "token"}}},
        {"name": "COSTBAND__STORE__RETENTION", "value": "400d"},
    ],
    "envFrom": [{"secretRef": {"name": "cloud"}}, {"prefix": "X_", "configMapRef": {"name": "more"}}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
}
HOSTILE = {
    "annotations": numbered("hostile"),
    "env": variables(),
    "podAnnotations": numbered("hostile"),
    "tolerations": [{"key": text, "value": text} for text in NAUGHTY],
    "extraVolumes": [{"name": "extra", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": f"/{text}"} for text in NAUGHTY],
}
HOSTILE_MONITOR = {"enabled": True, "bearerTokenSecret": {"name": "true", "key": "{{ }}"}}

# Sets of values that render.
CHART = {
    "default": {},
    "bills": central(config=BILLS, secretMounts=["azure-billing", "hook"]),
    "existing config map": central(existingConfigMap="costband.config"),
    "existing secret": central(existingSecret="123"),
    "reload": central(config=BILLS, reload=True),
    "image tag": {"image": {"repository": "registry.example.com:5000/team/costband", "tag": "v1.2.3_rc-1"}},
    "image digest": {"image": {"digest": DIGEST, "pullPolicy": "Always"}, "imagePullSecrets": [{"name": "registry"}]},
    "image tag and digest": {"image": {"tag": "0.1.0", "digest": DIGEST}},
    "environment": central(**ENVIRONMENT),
    "addresses": {
        "listenAddress": "[::]",
        "central": {"port": 8080, "service": {"port": 80, "annotations": {"a/b": "c"}}},
    },
    "aws identity": central(serviceAccount={"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}}),
    "gcp identity": central(
        serviceAccount={
            "name": "billing",
            "annotations": {"iam.gke.io/gcp-service-account": "costband@p.iam.gserviceaccount.com"},
        }
    ),
    "azure identity": central(
        serviceAccount={
            "annotations": {"azure.workload.identity/client-id": "0000"},
            "labels": {"team": "finops"},
            "azureWorkloadIdentity": True,
        }
    ),
    "existing service account": central(serviceAccount={"create": False, "name": "billing"}),
    "token of the Kubernetes API": central(serviceAccount={"create": False, "automountServiceAccountToken": True}),
    "nodes and pods of the Kubernetes API": central(config=WATCHED),
    "nodes and pods for an existing configuration": central(
        existingConfigMap="costband", rbac={"nodes": True, "podNamespaces": ["gpu-operator", "gke-managed-system"]}
    ),
    "pods of several clusters": central(
        config={
            "kubernetes": [
                {"cluster": "here", "nodes": False},
                {"cluster": "there", "kubeconfig": "/run/secrets/costband/there/kubeconfig"},
            ],
            "gpu": [
                {"name": "a", "cluster": "here", "kubernetes": {"namespace": "gpu-operator"}},
                {"name": "b", "cluster": "there", "kubernetes": {"namespace": "elsewhere"}},
            ],
        },
        secretMounts=["there"],
    ),
    "roles of somebody else's": central(
        config=WATCHED, rbac={"create": False}, serviceAccount={"create": False, "name": "billing"}
    ),
    "existing claim": central(persistence={"existingClaim": "ledger"}),
    "claim": central(
        persistence={
            "size": "20Gi",
            "storageClass": "fast.ssd",
            "accessModes": ["ReadWriteOncePod"],
            "annotations": {"backup": "daily"},
            "keep": False,
        }
    ),
    "claim without a class": central(persistence={"storageClass": "-"}),
    "no claim": central(persistence={"enabled": False, "size": "500Mi"}),
    "ledger in PostgreSQL": central(config=BILLS, database=DATABASE),
    "ledger in PostgreSQL without a password": central(database={"url": "postgresql:///costband?host=/run/pg"}),
    "a Lease": central(lease={"enabled": True, "name": "costband.one"}),
    "a Lease, IPv6": {
        "listenAddress": "[::]",
        "central": {
            "port": 8080,
            "lease": {"enabled": True},
            "config": {**BILLS, "lease": {"duration": "30s", "renew_deadline": "20s", "retry_period": "4s"}},
        },
    },
    "ledger in PostgreSQL with a certificate": central(
        config={**BILLS, "store": {"root_certificate": "/etc/database/ca.crt"}},
        database=DATABASE,
        extraVolumes=[{"name": "database", "configMap": {"name": "database-ca"}}],
        extraVolumeMounts=[{"name": "database", "mountPath": "/etc/database", "readOnly": True}],
    ),
    "three replicas": central(config=BILLS, **SHARED),
    "three replicas, all the rest": central(
        **{**SHARED, "lease": {"enabled": True, "name": "finops-poller"}},
        config={**BILLS, **WATCHED, "web": {"bearer_token": TOKEN}},
        secretMounts=["face"],
        serviceMonitor={**MONITOR, "bearerTokenSecret": NAME_TOKEN},
        podDisruptionBudget={"enabled": True, "maxUnavailable": "34%"},
        topologySpreadConstraints=[
            {
                "topologyKey": "kubernetes.io/hostname",
                "maxSkew": 1,
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "central"}},
            }
        ],
    ),
    "disruption budget": central(podDisruptionBudget={"enabled": True}),
    "platform chooses users": {"runAsUser": None, "runAsGroup": None, "fsGroup": None, "node": {"enabled": False}},
    "large users": {"runAsUser": 1000650000, "runAsGroup": 1000650000, "fsGroup": 1000650000},
    "placement": central(**PLACEMENT),
    "monitoring": {
        "central": {"serviceMonitor": MONITOR},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "FinOps"}},
    },
    "dashboards in two languages": {"dashboards": {"enabled": True, "languages": ["ko", "en"]}},
    "alerts from Prometheus": {
        "central": {"config": {**BILLS, "alerting": "prometheus"}, "serviceMonitor": MONITOR},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "alerts from Prometheus, with a floor and a heartbeat": {
        "central": {"config": {**BILLS, "alerting": "prometheus"}, "serviceMonitor": MONITOR},
        "prometheusRule": {"enabled": True, "floor": True, "heartbeat": True},
    },
    "a floor where the agent tells of money": {
        "central": {"config": BILLS},
        "prometheusRule": {"enabled": True, "floor": True, "heartbeat": True},
    },
    "token of the page": central(
        config={**BILLS, "web": {"bearer_token": TOKEN}},
        secretMounts=["face"],
        serviceMonitor={"enabled": True, "interval": "1m30s", "bearerTokenSecret": NAME_TOKEN},
    ),
    "network policy": central(networkPolicy={"enabled": True}),
    "narrow network policy": central(networkPolicy={"enabled": True, "from": FROM, "egress": EGRESS}),
    "names": {"nameOverride": "bands", "test": {"enabled": False}},
    "whole name": {"fullnameOverride": "true"},
    "part of another chart": {"global": {"registry": "x"}},
    "hostile strings": {
        "central": {
            **HOSTILE,
            "config": {**hostile_config(), "bands": [{"name": text, "owner": text, text: text} for text in NAUGHTY]},
            "service": {"annotations": numbered("hostile")},
            "serviceAccount": {"annotations": numbered("hostile")},
            "persistence": {"annotations": numbered("hostile")},
            "serviceMonitor": HOSTILE_MONITOR,
        },
        "dashboards": {"enabled": True, "annotations": numbered("hostile")},
        "prometheusRule": {"enabled": True},
    },
    "node agents": node(),
    "node agents and a central agent": {"central": {"config": BILLS}, "node": {"enabled": True}},
    "node agents and a central agent with a configuration of its own": {
        "central": {"existingConfigMap": "central"},
        "node": {"enabled": True, "existingConfigMap": "node"},
    },
    "node agents and a central agent elsewhere": {
        **node(),
        "centralUrl": "https://costband.example.com",
        "exporter": {"provider": "aws"},
    },
    "node agents by a local Service": {**node(), "exporter": SERVICE},
    "node agents by a local Service of another exporter": {
        **node(),
        "exporter": {
            "service": {
                "create": True,
                "namespace": "monitoring",
                "selector": {"app": None, "app.kubernetes.io/name": "dcgm-exporter"},
                "port": 9401,
            }
        },
    },
    "node agents by an address": {
        **node(),
        "exporter": {"url": "http://[$(HOST_IP)]:9400/metrics"},
        "listenAddress": "[::]",
    },
    "node agents with counters that outlive the container": node(ledger="emptyDir"),
    "node agents with a configuration": node(
        config={
            "gpu": [{"name": "amd", "url": "http://$(HOST_IP):5000/metrics", "every": "15s"}],
            "central": {"url": "http://costband.finops.svc:9750", "bearer_token": TOKEN},
            "web": {"bearer_token": TOKEN},
            "store": {"retention": "93d"},
        },
        secretMounts=["face"],
        podMonitor={**MONITOR, "bearerTokenSecret": NAME_TOKEN},
    ),
    "node agents with an existing config map": node(existingConfigMap="gpu"),
    "node agents that reload": node(config={"language": "ko"}, reload=True),
    "node agents and the driver's library": node(nvml={"enabled": True}),
    "node agents, privileged for the driver's library": node(
        nvml={"enabled": True, "runtimeClassName": "", "privileged": True}
    ),
    "node agents on all nodes": node(gpuLabels=[], tolerations=[{"operator": "Exists"}]),
    "node agents, placed": node(**PLACEMENT),
    "node agents, replaced by hand": node(updateStrategy={"type": "OnDelete"}),
    "node agents, replaced one by one": node(updateStrategy={"rollingUpdate": {"maxUnavailable": 1}}),
    "node agents with an existing service account": node(serviceAccount={"create": False, "name": "gpu"}),
    "node agents in an environment": node(**ENVIRONMENT),
    "node agents behind a policy": node(networkPolicy={"enabled": True, "from": FROM, "egress": EGRESS}),
    "node agents, platform chooses users": {**node(), "runAsUser": None, "runAsGroup": None, "fsGroup": None},
    "node agents, hostile strings": node(**HOSTILE, config=hostile_config(), podMonitor=HOSTILE_MONITOR),
    "sidecars": sidecar(),
    "sidecars of other namespaces": {
        **sidecar(namespaces=["video", "train"], podMonitor=MONITOR),
        "exporter": SERVICE,
        "centralUrl": "http://costband.finops.svc:9750",
    },
    "sidecars with an existing config map": sidecar(existingConfigMap="gpu", podMonitor=MONITOR),
    "all modes": {
        "central": {
            "config": {**BILLS, "kubernetes": WATCHED["kubernetes"]},
            "networkPolicy": {"enabled": True, "from": FROM, "egress": EGRESS},
            "serviceMonitor": MONITOR,
        },
        "node": {
            "enabled": True,
            "networkPolicy": {"enabled": True, "from": FROM, "egress": EGRESS},
            "podMonitor": MONITOR,
        },
        "sidecar": {"enabled": True, "namespaces": ["video"], "podMonitor": MONITOR},
        "exporter": {**SERVICE, "provider": "aws"},
        "commonLabels": {"team": "finops", "cost-centre": "0042"},
    },
    "all modes, a token for each face": {
        "central": {
            "config": {**BILLS, "web": {"bearer_token": TOKEN}},
            "secretMounts": ["face"],
        },
        "node": {
            "enabled": True,
            "config": {"central": {"url": "http://demo-costband.finops.svc:9750", "bearer_token": TOKEN}},
            "secretMounts": ["face"],
        },
        "sidecar": {
            "enabled": True,
            "config": {"central": {"url": "http://demo-costband.finops.svc:9750", "bearer_token": TOKEN}},
            "secretMounts": ["face"],
        },
    },
}

# Values of a chart that has the sidecar in its pods: its own, and below `costband` this chart's.
DEPENDENT = {
    "default": {},
    "ordinary container": {"nativeSidecar": False},
    "one GPU": {"gpus": 1, "image": "registry.example.com/other:2"},
    "configuration": {
        "costband": {
            "sidecar": {
                "config": {
                    "gpu": [
                        {
                            "name": "node",
                            "url": "http://costband-exporter.gpu-operator.svc:9400/metrics",
                            "cluster": "training",
                            "provider": "aws",
                            "capacity_type": "reserved",
                        }
                    ],
                    "web": {"bearer_token": TOKEN},
                    "store": {"retention": "93d"},
                    "series": {"limit_per_dimension": 50},
                },
                "secretMounts": ["face"],
                "podMonitor": {"enabled": True, "bearerTokenSecret": NAME_TOKEN},
            }
        }
    },
    "existing config map": {"costband": {"sidecar": {"existingConfigMap": "gpu"}}},
    "ipv6": {"costband": {"listenAddress": "[::]", "sidecar": {"port": 19751}}},
    "counters that outlive the container": {"costband": {"sidecar": {"ledger": "emptyDir"}}},
    "no central agent": {"costband": {"centralUrl": "", "exporter": {"provider": ""}}},
    "image digest": {"costband": {"image": {"digest": DIGEST}}},
    "guaranteed": {
        "costband": {
            "sidecar": {
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "50m", "memory": "64Mi"}}
            }
        }
    },
    "platform chooses users": {"costband": {"runAsUser": None, "runAsGroup": None}},
    "environment": {"costband": {"sidecar": {key: ENVIRONMENT[key] for key in ("env", "envFrom")}}},
    "hostile strings": {
        "nativeSidecar": False,
        "costband": {
            "fullnameOverride": "null",
            "sidecar": {"config": hostile_config(), "env": variables(), "podMonitor": HOSTILE_MONITOR},
        },
    },
}

# The renders that are kept as files.
GOLDEN = {
    "central-default": {},
    "central-full": {
        "central": {
            **CHART["token of the page"]["central"],
            "serviceAccount": {
                "annotations": {"azure.workload.identity/client-id": "00000000-0000-0000-0000-000000000000"},
                "azureWorkloadIdentity": True,
            },
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
            "networkPolicy": CHART["narrow network policy"]["central"]["networkPolicy"],
            "rbac": {"nodes": True, "podNamespaces": ["gpu-operator"]},
            "persistence": {"size": "5Gi", "storageClass": "fast"},
            "podLabels": {"team": "finops"},
        },
        "image": {"repository": "registry.example.com/costband", "digest": DIGEST},
    },
    "central-replicas": CHART["three replicas, all the rest"],
    "node": {**node(), "exporter": {**SERVICE, "provider": "aws"}, "centralUrl": "http://costband.finops.svc:9750"},
    "node-nvml": CHART["node agents and the driver's library"],
    "all-modes": CHART["all modes"],
}
GOLDEN_DEPENDENT = {"sidecar-native": {}, "sidecar-container": {"nativeSidecar": False}}


def bills(**changes):
    return central(config={**BILLS, **changes})


def pages(**keys):
    return {"gpu": PAGE, **keys}


def credentials(kind, **keys):
    return central(config={"sources": {kind: [{"name": "a", "credentials": keys}]}})


def variable(mode, name):
    return mode(env=[{"name": name, "value": "x"}])


def beside(mode, at):
    """What node agents and sidecars are refused alike."""
    return {
        "billing sources": (
            mode(config=pages(sources=BILLS["sources"])),
            [f"/{at}/config/sources", "central agent alone"],
        ),
        "bands": (mode(config=pages(bands=[])), f"/{at}/config/bands"),
        "receivers": (mode(config=pages(notify={})), f"/{at}/config/notify"),
        "exchange rates": (mode(config=pages(exchange_rates=[])), f"/{at}/config/exchange_rates"),
        "the Kubernetes API": (mode(config=pages(kubernetes=[])), f"/{at}/config/kubernetes"),
        "other nodes' pods": (
            mode(config={"gpu": [{"name": "a", "url": "http://x", "kubernetes": {}}]}),
            f"/{at}/config/gpu/0/kubernetes",
        ),
        "other nodes' telemetry": (
            mode(config={"gpu": [{"name": "a", "url": "http://x", "prometheus": {}}]}),
            f"/{at}/config/gpu/0/prometheus",
        ),
        "config that sets listen": (mode(config=pages(listen="127.0.0.1:1")), f"/{at}/config/listen"),
        "another role": (mode(config=pages(role="central")), f"/{at}/config/role"),
        "another role by variable": (variable(mode, "COSTBAND__ROLE"), f"/{at}/env/0/name"),
        "billing sources by variable": (variable(mode, "COSTBAND__Sources__AWS__0__NAME"), f"/{at}/env/0/name"),
        "a Lease by variable": (variable(mode, "COSTBAND__LEASE__NAME"), f"/{at}/env/0/name"),
        "another node's address": (variable(mode, "HOST_IP"), f"/{at}/env/0/name"),
        "a database": (mode(database=DATABASE), "'database'"),
        "a Lease": (mode(lease={"enabled": True}), "'lease'"),
        "replicas": (mode(replicas=2), "'replicas'"),
        "a token of the Kubernetes API": (mode(automountServiceAccountToken=True), "'automountServiceAccountToken'"),
        "rights": (mode(rbac={"nodes": True}), "'rbac'"),
        "a page without an address": (mode(config={"gpu": [{"name": "a"}]}), f"/{at}/config/gpu/0"),
        "no page": (mode(config={"gpu": []}), f"/{at}/config/gpu"),
        "config beside existingConfigMap": (
            mode(config=pages(), existingConfigMap="x"),
            [f"/{at}/config", f"{at}.existingConfigMap brings a whole configuration"],
        ),
        "scrapes without the page's token": (
            mode(config=pages(web={"bearer_token": TOKEN}), podMonitor={"enabled": True}),
            [
                f"/{at}/podMonitor/bearerTokenSecret/name",
                f"{at}.config.web.bearer_token asks who scrapes for the token",
            ],
        ),
        "a claim for the ledger": (mode(persistence={"enabled": True}), "'persistence'"),
        "a ledger of an unknown kind": (mode(ledger="disk"), f"/{at}/ledger"),
        "a port that only root may open": (mode(port=80), f"/{at}/port"),
        "a mount over the ledger": (
            mode(extraVolumeMounts=[{"name": "x", "mountPath": "/var/lib/costband"}]),
            f"/{at}/extraVolumeMounts/0/mountPath",
        ),
    }


QUOTES = "text in quotes: YAML reads bare digits as a number"
# Addresses with a password, which no refusal may repeat.
PASSWORD = "hunter2"
ADDRESSES = [
    f"postgres://costband:{PASSWORD}@db/costband",
    f"postgres://:{PASSWORD}@db",
    f"postgres://costband:{PASSWORD}@{PASSWORD}@db",
    f"postgres://costband:/{PASSWORD}#?@db",
    f"postgres://costband@db/costband?password={PASSWORD}",
    f"postgres://costband@db/costband?sslmode=require&sslPassword={PASSWORD}",
    f"mysql://costband:{PASSWORD}@db",
    f"costband:{PASSWORD}@db/costband",
    f"host=db password={PASSWORD}",
]
# What is refused, and what the refusal must name.
REFUSED = {
    "two replicas on one SQLite ledger": (
        central(replicas=2, lease={"enabled": True}),
        ["/central/database/url", "several agents cannot share one SQLite ledger: set it, or central.replicas to 1"],
    ),
    "two replicas without a Lease": (
        central(replicas=2, database=DATABASE),
        ["/central/lease/enabled", "without a Lease each agent would poll and pay: set it, or central.replicas to 1"],
    ),
    "no replica": (central(replicas=0), "/central/replicas"),
    "a claim for a ledger in PostgreSQL": (
        central(database=DATABASE, persistence={"existingClaim": "x"}),
        ["/central/persistence/existingClaim", "the PostgreSQL of central.database.url and needs no claim"],
    ),
    "a password in an address": (
        central(database={"url": "postgres://a:secret@db/costband"}),
        ["/central/database/url", "central.database.passwordSecret"],
    ),
    "a password without a database": (
        central(database={"passwordSecret": {"name": "x"}}),
        ["/central/database/url", "since central.database.passwordSecret is"],
    ),
    "a database that is none": (
        central(database={"url": "mysql://db"}),
        ["/central/database/url", "an address as in postgres://costband@db.example.com/costband"],
    ),
    "a Lease for every pod of the namespace": (
        central(lease={"enabled": True}, serviceAccount={"create": False}),
        ["/central/serviceAccount/name", "would go to the default ServiceAccount of every pod"],
    ),
    "a Lease's rules without a Lease": (
        bills(lease={"duration": "30s"}),
        ["/central/config/lease", "absent, since central.lease.enabled is false"],
    ),
    "another Lease in the configuration": (
        central(config={**BILLS, "lease": {"name": "x"}}, lease={"enabled": True}),
        ["/central/config/lease/name", "absent, since the chart sets it by central.lease.name"],
    ),
    "a database in the configuration": (
        bills(store={"url": "postgres://db/costband"}),
        ["/central/config/store/url", "absent: a database is named by central.database.url alone"],
    ),
    "a server's certificate for a file": (
        bills(store={"root_certificate": "/x"}),
        [
            "/central/config/store/root_certificate",
            "absent, since it verifies a database and central.database.url names none",
        ],
    ),
    "node agents and telemetry of the central agent": (
        {"central": {"config": {**BILLS, "gpu": PAGE}}, "node": {"enabled": True}},
        "node agents count this cluster's GPUs, and central.config.gpu would count them a second time",
    ),
    "node agents and a central agent that reads nothing": (
        {"node": {"enabled": True}},
        "the central agent has nothing to read: set central.config.sources",
    ),
    "node agents without the central agent's token": (
        {"central": {"config": {**BILLS, "web": {"bearer_token": TOKEN}}}, "node": {"enabled": True}},
        "set node.config.central with its url and bearer_token",
    ),
    "sidecars without the central agent's token": (
        {"central": {"config": {**BILLS, "web": {"bearer_token": TOKEN}}}, "sidecar": {"enabled": True}},
        "set sidecar.config.central with its url and bearer_token",
    ),
    "an address beside a Service of the chart's": (
        {"exporter": {"url": "http://x", "service": {"create": True}}},
        ["/exporter/service/create", "exporter.url already says where the exporter is: remove one of both"],
    ),
    "a Service that selects every pod": (
        {"exporter": {"service": {"create": True, "selector": {"app": None}}}},
        "/exporter/service/selector",
    ),
    "a cloud that is none": ({"exporter": {"provider": "on-premises"}}, "/exporter/provider"),
    "config beside existingSecret": (
        {"central": {**bills()["central"], "existingSecret": "x"}},
        ["/central/config", "central.existingSecret brings a whole configuration: remove one of both"],
    ),
    "config beside existingConfigMap": (
        {"central": {**bills()["central"], "existingConfigMap": "x"}},
        ["/central/config", "central.existingConfigMap brings a whole configuration: remove one of both"],
    ),
    "existingConfigMap beside existingSecret": (
        central(existingConfigMap="x", existingSecret="y"),
        ["/central/existingSecret", "central.existingConfigMap brings a whole configuration"],
    ),
    "reload of what the chart does not write": (
        central(existingSecret="x", reload=True),
        ["/central/reload", "false, since the chart does not write this configuration"],
    ),
    "a configuration that reads nothing": (
        central(config={"language": "ko"}),
        ["/central/config", "without which the agent has nothing to read"],
    ),
    "config that sets listen": (
        bills(listen="127.0.0.1:1"),
        ["/central/config/listen", "the chart sets it by central.port and listenAddress: remove it"],
    ),
    "config of another role": (
        bills(role="node"),
        ["/central/config/role", "other roles are those of `node` and `sidecar`"],
    ),
    "config that sets the ledger's path": (
        bills(store={"path": "/x"}),
        ["/central/config/store/path", "the ledger lies where `persistence`, `database` or `ledger` say"],
    ),
    "a misspelt key of the configuration": (bills(band=[]), "'band'"),
    "a bearer token in the ConfigMap": (
        bills(web={"bearer_token": "t"}),
        ["/central/config/web/bearer_token", "a map with `file` or `env`"],
    ),
    "a cloud's key in the ConfigMap": (
        credentials("aws", static={"secret_access_key": "k"}),
        "/credentials/static/secret_access_key",
    ),
    "an application's secret in the ConfigMap": (credentials("azure", client_secret="k"), "/credentials/client_secret"),
    "a webhook's key in the ConfigMap": (
        bills(notify={"webhook": [{"name": "a", "url": "https://x", "secret": "whsec_k"}]}),
        "/central/config/notify/webhook/0/secret",
    ),
    "a secret from two places": (
        bills(web={"bearer_token": {"file": "/x", "env": "Y"}}),
        ["/central/config/web/bearer_token", "one of `file` and `env`: remove the other"],
    ),
    "the listening address by variable": (
        variable(central, "COSTBAND__LISTEN"),
        ["/central/env/0/name", "another variable: this one the chart sets"],
    ),
    "the ledger's path by variable": (variable(central, "COSTBAND__store__Path"), "/central/env/0/name"),
    "the database by variable": (variable(central, "COSTBAND__STORE__URL"), "/central/env/0/name"),
    "the Lease's holder by variable": (variable(central, "COSTBAND__LEASE__IDENTITY"), "/central/env/0/name"),
    "the holder's address by variable": (variable(central, "COSTBAND__LEASE__ADDRESS"), "/central/env/0/name"),
    "another role by variable": (variable(central, "COSTBAND__ROLE"), "/central/env/0/name"),
    "a variable with two values": (central(env=[{"name": "A", "value": "x", "valueFrom": {}}]), "/central/env/0"),
    "rights for every pod of the namespace": (
        central(rbac={"nodes": True}, serviceAccount={"create": False}),
        "/central/serviceAccount/name",
    ),
    "rights of pods for every pod of the namespace": (
        central(rbac={"podNamespaces": ["gpu-operator"]}, serviceAccount={"create": False}),
        "/central/serviceAccount/name",
    ),
    "rights without roles": (
        central(rbac={"create": False, "nodes": True}),
        ["/central/rbac/nodes", "central.rbac.create is false and the chart makes no roles"],
    ),
    "a namespace that is a pattern": (central(rbac={"podNamespaces": ["*"]}), "/central/rbac/podNamespaces/0"),
    "a node's folder": (
        central(extraVolumes=[{"name": "x", "hostPath": {"path": "/"}}]),
        "/central/extraVolumes/0/hostPath",
    ),
    "a volume of the chart's name": (
        central(extraVolumes=[{"name": "costband-ledger"}]),
        "/central/extraVolumes/0/name",
    ),
    "a mount over the ledger": (
        central(extraVolumeMounts=[{"name": "x", "mountPath": "/var/lib/costband"}]),
        "/central/extraVolumeMounts/0/mountPath",
    ),
    "a Secret mounted twice": (central(secretMounts=["a", "a"]), "/central/secretMounts"),
    "a Secret's name that leaves its folder": (central(secretMounts=["../x"]), "/central/secretMounts/0"),
    "existingClaim without persistence": (
        central(persistence={"enabled": False, "existingClaim": "x"}),
        "/central/persistence/existingClaim",
    ),
    "a class without persistence": (
        central(persistence={"enabled": False, "storageClass": "x"}),
        "/central/persistence/storageClass",
    ),
    "a class for an existing claim": (
        central(persistence={"existingClaim": "x", "storageClass": "y"}),
        "/central/persistence/storageClass",
    ),
    "a claim that many nodes only read": (
        central(persistence={"accessModes": ["ReadOnlyMany"]}),
        "/central/persistence/accessModes/0",
    ),
    "annotations of a ServiceAccount that is not made": (
        central(serviceAccount={"create": False, "annotations": {"a": "b"}}),
        "/central/serviceAccount/annotations",
    ),
    "scrapes without the page's token": (
        central(config={**BILLS, "web": {"bearer_token": TOKEN}}, serviceMonitor={"enabled": True}),
        [
            "/central/serviceMonitor/bearerTokenSecret/name",
            "central.config.web.bearer_token asks who scrapes for the token",
        ],
    ),
    "peers of a NetworkPolicy that is not made": (
        central(networkPolicy={"from": [{"podSelector": {}}]}),
        "/central/networkPolicy/from",
    ),
    "a budget that is no share": (
        central(podDisruptionBudget={"enabled": True, "maxUnavailable": "half"}),
        "/central/podDisruptionBudget/maxUnavailable",
    ),
    "an account without quotes": (
        central(config={"sources": {"aws": [{"name": "aws-main", "account": 111122223333}]}}),
        ["/central/config/sources/aws/0/account", QUOTES],
    ),
    "an account of digits that begin with zero": (
        central(config={"sources": {"aws": [{"name": "aws-main", "account": 12345678901.0}]}}),
        ["/central/config/sources/aws/0/account", QUOTES],
    ),
    "a band's account without quotes": (
        bills(bands=[{"preset": "aws", "scope": {"sub_account_id": ["111122223333", 444455556666]}}]),
        ["/central/config/bands/0/scope/sub_account_id/1", QUOTES],
    ),
    "an application's number without quotes": (
        credentials("azure", client_id=2222),
        ["/credentials/client_id", QUOTES],
    ),
    "the driver's library and an exporter": (
        {**node(nvml={"enabled": True}), "exporter": {"url": "http://x"}},
        ["/exporter/url", "nothing reads an exporter: remove it, or set node.nvml.enabled to false"],
    ),
    "the driver's library and a Service of an exporter": (
        {**node(nvml={"enabled": True}), "exporter": {"service": {"create": True}}},
        ["/exporter/service/create", "nothing reads an exporter"],
    ),
    "a release of nothing": (
        central(enabled=False),
        "the release would be empty: set central.enabled, node.enabled or sidecar.enabled to true",
    ),
    "an exporter without a scheme": ({"exporter": {"url": "node:9400"}}, ["/exporter/url", "begins with http://"]),
    "a root user": ({"runAsUser": 0}, "/runAsUser"),
    "a root group": ({"fsGroup": 0}, "/fsGroup"),
    "a port that only root may open": (central(port=80), "/central/port"),
    "an address that no scrape reaches": ({"listenAddress": "127.0.0.1"}, "/listenAddress"),
    "a digest that is none": ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
    "a repository of two lines": ({"image": {"repository": "costband\nx: y"}}, "/image/repository"),
    "a label that is none": (central(podLabels={"a": "two words"}), "/central/podLabels/a"),
    "a name that is none": ({"fullnameOverride": "Costband"}, "/fullnameOverride"),
    "a selector's label for every object": (
        {"commonLabels": {"app.kubernetes.io/name": "x"}},
        "/commonLabels",
    ),
    "a misspelt value": (central(persistance={}), "'persistance'"),
    "a misspelt mode": ({"nodes": {}}, "'nodes'"),
    "a misspelt nested value": (central(service={"prot": 1}), "'prot'"),
    "a size without sense": (central(persistence={"size": "much"}), "/central/persistence/size"),
    **{f"node agents with {name}": case for name, case in beside(node, "node").items()},
    "a node agent of a pod": (node(config=pages(pod={"namespace": "a", "name": "b"})), "/node/config/pod"),
    "the driver's library without its runtime": (
        node(config={"gpu": [{"name": "a", "nvml": {}}]}),
        ["/node/config/gpu/0/nvml", "node.nvml.enabled is false and the container has no driver library"],
    ),
    "the driver's library and a page": (
        node(nvml={"enabled": True}, config={"gpu": PAGE}),
        ["/node/config/gpu/0/url", "node.nvml.enabled is true and would count the same GPUs"],
    ),
    "a privileged agent that reads a page": (
        node(nvml={"privileged": True}),
        ["/node/nvml/privileged", "node.nvml.enabled is false"],
    ),
    "node agents in a node's folder": (
        node(extraVolumes=[{"name": "x", "hostPath": {"path": "/"}}]),
        "/node/extraVolumes/0/hostPath",
    ),
    "a GPU's label with a value": (node(gpuLabels=["nvidia.com/gpu.present=true"]), "/node/gpuLabels/0"),
    **{f"sidecars with {name}": case for name, case in beside(sidecar, "sidecar").items()},
    "sidecars with the driver's library": (
        sidecar(config={"gpu": [{"name": "a", "nvml": {}}]}),
        ["/sidecar/config/gpu/0/nvml", "a sidecar has no driver library"],
    ),
    "a sidecar of another pod": (sidecar(config=pages(pod={"namespace": "a", "name": "b"})), "/sidecar/config/pod"),
    "a sidecar of another pod by variable": (variable(sidecar, "COSTBAND__POD__NAME"), "/sidecar/env/0/name"),
    "a sidecar with a startup probe": (sidecar(startupProbe={}), "'startupProbe'"),
    "a sidecar with a readiness probe": (sidecar(readinessProbe={}), "'readinessProbe'"),
    "a sidecar with a liveness probe": (sidecar(livenessProbe={}), "'livenessProbe'"),
}
REFUSED_DEPENDENT = {
    "a sidecar without its configuration": (
        {"costband": {"sidecar": {"enabled": False}}},
        "set costband.sidecar.enabled to true",
    ),
    "billing sources of a sidecar": (
        {"costband": {"sidecar": {"config": BILLS}}},
        ["/sidecar/config/sources", "absent, since it is of the central agent alone"],
    ),
}
