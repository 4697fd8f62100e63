"""The KubeRay operator as a chart package, made of its Go module.

charts/velum depends on the chart `kuberay-operator`. Where its repository cannot be reached, this makes a package of
the same name and version out of what the module carries: the CRDs, the roles and the Deployment of
ray-operator/config. Of the upstream values it knows `image` and `resources`.

The upstream chart's CRDs lie in its crds/ folder, and so they do here: helm installs them, and never removes them.
"""

import gzip
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from .gomodules import fetched

MODULE = "github.com/ray-project/kuberay/ray-operator"
VERSION = "1.5.1"
NAME = "kuberay-operator"

_CHART = f"""\
apiVersion: v2
name: {NAME}
description: KubeRay, packaged from the manifests of its Go module.
type: application
version: {VERSION}
appVersion: v{VERSION}
"""

_VALUES = f"""\
image:
  repository: quay.io/kuberay/operator
  tag: v{VERSION}
  pullPolicy: IfNotPresent
resources:
  limits: {{cpu: 100m, memory: 512Mi}}
"""

_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: kuberay-operator
  namespace: {{ .Release.Namespace }}
  labels: &labels
    app.kubernetes.io/name: kuberay
    app.kubernetes.io/instance: {{ .Release.Name }}-kuberay
    app.kubernetes.io/component: kuberay-operator
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels: *labels
  template:
    metadata:
      labels: *labels
    spec:
      serviceAccountName: kuberay-operator
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: kuberay-operator
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          command: [/manager]
          args: [--feature-gates=RayClusterStatusConditions=true, --enable-leader-election=false]
          ports:
            - {name: http, containerPort: 8080}
          livenessProbe:
            httpGet: {path: /metrics, port: http}
            initialDelaySeconds: 10
          readinessProbe:
            httpGet: {path: /metrics, port: http}
          resources: {{- toYaml .Values.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            capabilities: {drop: [ALL]}
      terminationGracePeriodSeconds: 10
"""

_ACCOUNT = """\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: kuberay-operator
  namespace: {{ .Release.Namespace }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: kuberay-operator
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: kuberay-operator}
subjects:
  - {kind: ServiceAccount, name: kuberay-operator, namespace: "{{ .Release.Namespace }}"}
"""


def package(charts: Path, environment: Mapping[str, str]) -> Path:
    """Put the package into `charts`, the folder of a chart's dependencies, unless it is there; its path.

    Raises ToolsMissing without Go, BuildFailed when the module cannot be had.
    """
    target = charts / f"{NAME}-{VERSION}.tgz"
    if target.exists():
        return target
    module = fetched(f"{MODULE}@v{VERSION}", environment)
    files = {
        "Chart.yaml": _CHART,
        "values.yaml": _VALUES,
        "templates/deployment.yaml": _DEPLOYMENT,
        "templates/account.yaml": _ACCOUNT,
        "templates/role.yaml": (module / "config/rbac/role.yaml").read_text(),
    }
    for file in sorted((module / "config/crd/bases").glob("*.yaml")):
        files[f"crds/{file.name}"] = file.read_text()
    charts.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(_packed(files))
    scratch.replace(target)
    return target


def _packed(files: Mapping[str, str]) -> bytes:
    """A chart's tgz, the same bytes every time."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
