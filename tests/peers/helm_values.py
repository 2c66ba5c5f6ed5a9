"""Values for the charts: sets that render, hostile strings among them, and sets that are refused."""

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
        "webhooks": [
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


CENTRAL = {
    "default": {},
    "bills": {"config": BILLS, "secretMounts": ["azure-billing", "hook"]},
    "existing config map": {"existingConfigMap": "costband.config"},
    "existing secret": {"existingSecret": "123"},
    "image tag": {"image": {"repository": "registry.example.com:5000/team/costband", "tag": "v1.2.3_rc-1"}},
    "image digest": {"image": {"digest": DIGEST, "pullPolicy": "Always"}, "imagePullSecrets": [{"name": "registry"}]},
    "image tag and digest": {"image": {"tag": "0.1.0", "digest": DIGEST}},
    "environment": {
        "env": [
            {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
            {"name": "SSL_CERT_FILE", "value": "/etc/ca/ca.crt"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "face", "key": "token"}}},
            {"name": "COSTBAND__STORE__RETENTION", "value": "400d"},
        ],
        "envFrom": [{"secretRef": {"name": "cloud"}}, {"prefix": "X_", "configMapRef": {"name": "more"}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    },
    "addresses": {"listenAddress": "[::]", "port": 8080, "service": {"port": 80, "annotations": {"a/b": "c"}}},
    "aws identity": {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}}},
    "gcp identity": {
        "serviceAccount": {
            "name": "billing",
            "annotations": {"iam.gke.io/gcp-service-account": "costband@p.iam.gserviceaccount.com"},
        }
    },
    "azure identity": {
        "serviceAccount": {
            "annotations": {"azure.workload.identity/client-id": "0000"},
            "labels": {"team": "finops"},
            "azureWorkloadIdentity": True,
        }
    },
    "existing service account": {"serviceAccount": {"create": False, "name": "billing"}},
    "token of the Kubernetes API": {"serviceAccount": {"create": False, "automountServiceAccountToken": True}},
    "nodes and pods of the Kubernetes API": {
        "rbac": {"nodes": True, "podNamespaces": ["gpu-operator", "gke-managed-system"]},
        "config": {
            "kubernetes": [{"cluster": "train"}],
            "gpu": [{"name": "dcgm", "kubernetes": {"namespace": "gpu-operator"}}],
        },
    },
    "nodes of the Kubernetes API": {
        "rbac": {"nodes": True},
        "serviceAccount": {"create": False, "name": "billing"},
        "config": {"kubernetes": [{"cluster": "train"}], "gpu": PAGE},
    },
    "existing claim": {"persistence": {"existingClaim": "ledger"}},
    "claim": {
        "persistence": {
            "size": "20Gi",
            "storageClass": "fast.ssd",
            "accessModes": ["ReadWriteOncePod"],
            "annotations": {"backup": "daily"},
            "keep": False,
        }
    },
    "claim without a class": {"persistence": {"storageClass": "-"}},
    "no claim": {"persistence": {"enabled": False, "size": "500Mi"}},
    "platform chooses users": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
    "large users": {"runAsUser": 1000650000, "runAsGroup": 1000650000, "fsGroup": 1000650000},
    "placement": {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "finops", "effect": "NoSchedule"}],
        "affinity": AFFINITY,
        "priorityClassName": "system-cluster-critical",
        "podLabels": {"team": "finops", "app.kubernetes.io/component": "stolen"},
        "podAnnotations": {"team": "finops", "checksum/config": "stolen"},
        "terminationGracePeriodSeconds": 3600000,
        "resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1500m"}},
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "scrapeTimeout": "10s"},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "FinOps"}},
    },
    "token of the page": {
        "config": {**BILLS, "web": {"bearer_token": TOKEN}},
        "secretMounts": ["face"],
        "serviceMonitor": {"enabled": True, "interval": "1m30s", "bearerTokenSecret": {"name": "face"}},
    },
    "network policy": {"networkPolicy": {"enabled": True}},
    "narrow network policy": {
        "networkPolicy": {
            "enabled": True,
            "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443, "protocol": "TCP"}]}],
        }
    },
    "names": {"nameOverride": "bands", "test": {"enabled": False}},
    "whole name": {"fullnameOverride": "true"},
    "part of another chart": {"global": {"registry": "x"}},
    "hostile strings": {
        "config": {**hostile_config(), "bands": [{"name": text, "owner": text, text: text} for text in NAUGHTY]},
        "env": variables(),
        "podAnnotations": numbered("hostile"),
        "service": {"annotations": numbered("hostile")},
        "serviceAccount": {"annotations": numbered("hostile")},
        "persistence": {"annotations": numbered("hostile")},
        "dashboards": {"enabled": True, "annotations": numbered("hostile")},
        "tolerations": [{"key": text, "value": text} for text in NAUGHTY],
        "extraVolumes": [{"name": "extra", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "extra", "mountPath": f"/{text}"} for text in NAUGHTY],
        "prometheusRule": {"enabled": True},
        "serviceMonitor": {"enabled": True, "bearerTokenSecret": {"name": "true", "key": "{{ }}"}},
    },
}

APP = {"image": {"repository": "registry.example.com/video-model", "tag": "1.0.0"}}
GPU_APP = {
    **APP,
    "command": ["python3"],
    "args": ["-m", "serve", "--port=8000"],
    "env": [{"name": "MODEL", "value": "sora"}],
    "ports": [{"name": "http", "containerPort": 8000}],
    "resources": {"limits": {"nvidia.com/gpu": 8}},
    "startupProbe": {"httpGet": {"path": "/health", "port": "http"}, "failureThreshold": 600},
    "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
    "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}},
    "volumeMounts": [{"name": "weights", "mountPath": "/weights"}],
}

SIDECAR = {
    "default": {"workload": APP},
    "ordinary container": {"workload": APP, "nativeSidecar": False},
    "gpu workload": {
        "workload": {**GPU_APP, "replicas": 4, "strategy": {"type": "Recreate"}, "securityContext": {"runAsUser": 0}},
        "volumes": [{"name": "weights", "hostPath": {"path": "/mnt/weights"}}],
        "runtimeClassName": "nvidia",
        "terminationGracePeriodSeconds": 3600000,
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "gpu workload, ordinary container": {
        "workload": GPU_APP,
        "nativeSidecar": False,
        "volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}],
        "podMonitor": {"enabled": True},
    },
    "configuration": {
        "workload": APP,
        "sidecar": {
            "config": {
                "gpu": [
                    {
                        "name": "node",
                        "url": "http://nvidia-dcgm-exporter.gpu-operator.svc:9400/metrics",
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
        },
        "podMonitor": {"enabled": True, "bearerTokenSecret": {"name": "face"}},
    },
    "existing config map": {"workload": APP, "sidecar": {"existingConfigMap": "gpu"}},
    "ipv6": {"workload": APP, "sidecar": {"listenAddress": "[::]", "port": 19751}},
    "ledger in memory": {"workload": APP, "sidecar": {"ledger": {"medium": "Memory", "sizeLimit": "16Mi"}}},
    "image digests": {
        "workload": {"image": {"repository": "a/b", "digest": DIGEST}},
        "sidecar": {"image": {"repository": "a/costband", "digest": DIGEST}},
        "imagePullSecrets": [{"name": "registry"}],
    },
    "token for the workload": {"workload": {**APP, "serviceAccountToken": True}, "serviceAccountName": "model"},
    "guaranteed": {
        "workload": {**APP, "resources": {"limits": {"cpu": 4, "memory": "8Gi"}}},
        "sidecar": {
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "50m", "memory": "64Mi"}}
        },
    },
    "platform chooses users": {"workload": APP, "sidecar": {"runAsUser": None, "runAsGroup": None}},
    "environment": {
        "workload": {**APP, "envFrom": [{"configMapRef": {"name": "model"}}]},
        "sidecar": {
            "env": [{"name": "RUST_BACKTRACE", "value": "1"}],
            "envFrom": [{"configMapRef": {"name": "gpu"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca"}],
        },
        "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    },
    "placement": {
        "workload": APP,
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": AFFINITY,
        "priorityClassName": "gpu",
        "podLabels": {"team": "video", "app.kubernetes.io/name": "stolen"},
        "podAnnotations": {"checksum/config": "stolen"},
        "podSecurityContext": {"fsGroup": 1000},
    },
    "hostile strings": {
        "workload": {
            **APP,
            "command": NAUGHTY,
            "args": NAUGHTY,
            "env": variables(),
            "readinessProbe": {"exec": {"command": NAUGHTY}},
        },
        "sidecar": {"config": hostile_config(), "env": variables()},
        "podAnnotations": numbered("hostile"),
        "fullnameOverride": "null",
    },
}

# The renders that are kept as files: of the chart `costband`, and of `costband-sidecar`.
GOLDEN_CENTRAL = {
    "central-default": {},
    "central-full": {
        **CENTRAL["token of the page"],
        "image": {"repository": "registry.example.com/costband", "digest": DIGEST},
        "serviceAccount": {
            "annotations": {"azure.workload.identity/client-id": "00000000-0000-0000-0000-000000000000"},
            "azureWorkloadIdentity": True,
        },
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        "networkPolicy": CENTRAL["narrow network policy"]["networkPolicy"],
        "rbac": {"nodes": True, "podNamespaces": ["gpu-operator"]},
        "persistence": {"size": "5Gi", "storageClass": "fast"},
        "podLabels": {"team": "finops"},
    },
}
GOLDEN_SIDECAR = {
    "sidecar-native": SIDECAR["gpu workload"],
    "sidecar-container": SIDECAR["gpu workload, ordinary container"],
}


def bills(**changes):
    return {"config": {**BILLS, **changes}}


def sidecar(**values):
    return {"workload": APP, "sidecar": values}


def pages(**keys):
    return sidecar(config={"gpu": PAGE, **keys})


def credentials(kind, **keys):
    return {"config": {"sources": {kind: [{"name": "a", "credentials": keys}]}}}


# What is refused, and what the refusal must name.
REFUSED_CENTRAL = {
    "two replicas on one SQLite ledger": ({"replicas": 2}, "/replicas"),
    "no replica": ({"replicas": 0}, "/replicas"),
    "config beside existingSecret": ({**bills(), "existingSecret": "x"}, "/config"),
    "config beside existingConfigMap": ({**bills(), "existingConfigMap": "x"}, "/config"),
    "existingConfigMap beside existingSecret": (
        {"existingConfigMap": "x", "existingSecret": "y"},
        "/existingSecret",
    ),
    "a configuration that reads nothing": ({"config": {"language": "ko"}}, "/config"),
    "config that sets listen": (bills(listen="127.0.0.1:1"), "/config/listen"),
    "config that sets the ledger's path": (bills(store={"path": "/x"}), "'path'"),
    "a misspelt key of the configuration": (bills(band=[]), "'band'"),
    "a bearer token in the ConfigMap": (bills(web={"bearer_token": "t"}), "/config/web/bearer_token"),
    "a cloud's key in the ConfigMap": (
        credentials("aws", static={"secret_access_key": "k"}),
        "/credentials/static/secret_access_key",
    ),
    "an application's secret in the ConfigMap": (credentials("azure", client_secret="k"), "/credentials/client_secret"),
    "a webhook's key in the ConfigMap": (
        bills(notify={"webhooks": [{"name": "a", "url": "https://x", "secret": "whsec_k"}]}),
        "/config/notify/webhooks/0/secret",
    ),
    "a secret from two places": (bills(web={"bearer_token": {"file": "/x", "env": "Y"}}), "/config/web/bearer_token"),
    "the listening address by variable": ({"env": [{"name": "COSTBAND__LISTEN", "value": "x"}]}, "/env/0/name"),
    "the ledger's path by variable": ({"env": [{"name": "COSTBAND__store__Path", "value": "x"}]}, "/env/0/name"),
    "a variable with two values": ({"env": [{"name": "A", "value": "x", "valueFrom": {}}]}, "/env/0"),
    "rights for every pod of the namespace": (
        {"rbac": {"nodes": True}, "serviceAccount": {"create": False}},
        "/serviceAccount/name",
    ),
    "rights of pods for every pod of the namespace": (
        {"rbac": {"podNamespaces": ["gpu-operator"]}, "serviceAccount": {"create": False}},
        "/serviceAccount/name",
    ),
    "a namespace that is a pattern": ({"rbac": {"podNamespaces": ["*"]}}, "/rbac/podNamespaces/0"),
    "a node's folder": ({"extraVolumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "/extraVolumes/0/hostPath"),
    "a volume of the chart's name": ({"extraVolumes": [{"name": "costband-ledger"}]}, "/extraVolumes/0/name"),
    "a mount over the ledger": (
        {"extraVolumeMounts": [{"name": "x", "mountPath": "/var/lib/costband"}]},
        "/extraVolumeMounts/0/mountPath",
    ),
    "a Secret mounted twice": ({"secretMounts": ["a", "a"]}, "/secretMounts"),
    "a Secret's name that leaves its folder": ({"secretMounts": ["../x"]}, "/secretMounts/0"),
    "existingClaim without persistence": (
        {"persistence": {"enabled": False, "existingClaim": "x"}},
        "/persistence/existingClaim",
    ),
    "a class without persistence": (
        {"persistence": {"enabled": False, "storageClass": "x"}},
        "/persistence/storageClass",
    ),
    "a class for an existing claim": (
        {"persistence": {"existingClaim": "x", "storageClass": "y"}},
        "/persistence/storageClass",
    ),
    "a claim that many nodes only read": ({"persistence": {"accessModes": ["ReadOnlyMany"]}}, "/persistence/accessModes/0"),
    "annotations of a ServiceAccount that is not made": (
        {"serviceAccount": {"create": False, "annotations": {"a": "b"}}},
        "/serviceAccount/annotations",
    ),
    "scrapes without the page's token": (
        {**bills(web={"bearer_token": TOKEN}), "serviceMonitor": {"enabled": True}},
        "/serviceMonitor/bearerTokenSecret/name",
    ),
    "peers of a NetworkPolicy that is not made": (
        {"networkPolicy": {"from": [{"podSelector": {}}]}},
        "/networkPolicy/from",
    ),
    "a root user": ({"runAsUser": 0}, "/runAsUser"),
    "a root group": ({"fsGroup": 0}, "/fsGroup"),
    "a port that only root may open": ({"port": 80}, "/port"),
    "an address that no scrape reaches": ({"listenAddress": "127.0.0.1"}, "/listenAddress"),
    "a digest that is none": ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
    "a repository of two lines": ({"image": {"repository": "costband\nx: y"}}, "/image/repository"),
    "a label that is none": ({"podLabels": {"a": "two words"}}, "/podLabels/a"),
    "a name that is none": ({"fullnameOverride": "Costband"}, "/fullnameOverride"),
    "a misspelt value": ({"persistance": {}}, "'persistance'"),
    "a misspelt nested value": ({"service": {"prot": 1}}, "'prot'"),
    "a size without sense": ({"persistence": {"size": "much"}}, "/persistence/size"),
}
REFUSED_SIDECAR = {
    "no workload": ({}, "/workload/image/repository"),
    "billing sources": (sidecar(config=BILLS), "/sidecar/config/sources"),
    "bands": (pages(bands=[]), "/sidecar/config/bands"),
    "receivers": (pages(notify={}), "/sidecar/config/notify"),
    "exchange rates": (pages(exchange_rates=[]), "/sidecar/config/exchange_rates"),
    "config that sets listen": (pages(listen="127.0.0.1:1"), "/sidecar/config/listen"),
    "a configuration that reads nothing": (sidecar(config={"language": "ko"}), "/sidecar/config"),
    "a page without an address": (sidecar(config={"gpu": [{"name": "a"}]}), "/sidecar/config/gpu/0"),
    "billing sources by variable": (
        sidecar(env=[{"name": "COSTBAND__Sources__AWS__0__NAME", "value": "x"}]),
        "/sidecar/env/0/name",
    ),
    "another role": (sidecar(env=[{"name": "COSTBAND__ROLE", "value": "node"}]), "/sidecar/env/0/name"),
    "another pod": (pages(pod={"namespace": "a", "name": "b"}), "/sidecar/config/pod"),
    "another node's address": (sidecar(env=[{"name": "HOST_IP", "value": "x"}]), "/sidecar/env/0/name"),
    "config beside existingConfigMap": (sidecar(config={"gpu": PAGE}, existingConfigMap="x"), "/sidecar/config"),
    "a startup probe": (sidecar(startupProbe={}), "'startupProbe'"),
    "a readiness probe": (sidecar(readinessProbe={}), "'readinessProbe'"),
    "a liveness probe": (sidecar(livenessProbe={}), "'livenessProbe'"),
    "a token for the sidecar": (sidecar(serviceAccountToken=True), "'serviceAccountToken'"),
    "a token for every container": (
        {"workload": APP, "automountServiceAccountToken": True},
        "'automountServiceAccountToken'",
    ),
    "one port for both": (
        {"workload": {**APP, "ports": [{"containerPort": 9751}]}},
        "sidecar.port 9751 is a port of the workload",
    ),
    "one port's name for both": (
        {"workload": {**APP, "ports": [{"name": "costband", "containerPort": 1}]}},
        "/workload/ports/0/name",
    ),
    "a volume of the chart's name": ({"workload": APP, "volumes": [{"name": "costband-config"}]}, "/volumes/0/name"),
    "scrapes without the page's token": (
        {**pages(web={"bearer_token": TOKEN}), "podMonitor": {"enabled": True}},
        "/podMonitor/bearerTokenSecret/name",
    ),
    "a claim for the ledger": (sidecar(ledger={"existingClaim": "x"}), "'existingClaim'"),
    "a root user": (sidecar(runAsUser=0), "/sidecar/runAsUser"),
}
