{{/* Prefix of all names: short enough that KubeRay can hang its suffixes on it (at most 47 characters). */}}
{{- define "velum.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: what selectors use. Takes (dict "root" $ "component" "ingress"). */}}
{{- define "velum.selector" -}}
app.kubernetes.io/name: velum
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* All labels of an object. Takes the same. */}}
{{- define "velum.labels" -}}
{{ include "velum.selector" . }}
app.kubernetes.io/part-of: velum
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods: nothing that changes with each version of the chart, which would replace pods for nothing. */}}
{{- define "velum.podLabels" -}}
{{ include "velum.selector" . }}
app.kubernetes.io/part-of: velum
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name of a part's service account. Takes (dict "root" $ "component" "ingress"). */}}
{{- define "velum.serviceAccount" -}}
{{- $account := index .root.Values.serviceAccounts .component -}}
{{- $account.name | default (printf "%s-%s" (include "velum.fullname" .root) .component) -}}
{{- end -}}

{{/* An image. Takes (dict "root" $ "image" (dict "repository" … "tag" …) "suffix" "-cuda"). */}}
{{- define "velum.image" -}}
{{- $tag := .image.tag | default (printf "%s%s" .root.Chart.AppVersion (.suffix | default "")) -}}
{{- with .root.Values.images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .image.repository }}:{{ $tag }}
{{- end -}}

{{- define "velum.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What the Pod Security Standard "restricted" asks of a pod; the group makes volumes writable. */}}
{{- define "velum.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* And of a container. */}}
{{- define "velum.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Where a pod runs. Takes its part of the values. */}}
{{- define "velum.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
