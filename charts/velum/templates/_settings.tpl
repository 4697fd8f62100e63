{{/* A value as TOML. YAML's numbers reach us as floats, and 2147483648.0 is no whole number to TOML. */}}
{{- define "velum.tomlValue" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* The address of an Ingress that has one host, and TLS for it: clients cannot know it by another. Else nothing. */}}
{{- define "velum.exposedUrl" -}}
{{- with .Values.expose.ingress -}}
{{- if and .enabled .tls (eq (len .hosts) 1) -}}
{{- $secured := list -}}
{{- range .tls }}{{ $secured = concat $secured (.hosts | default list) }}{{ end -}}
{{- if has (first .hosts) $secured -}}
https://{{ first .hosts }}{{ trimSuffix "/" .path }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The settings that follow from the chart, by group; `settings` of the values goes over them. */}}
{{- define "velum.derivedSettings" -}}
{{- $name := include "velum.fullname" . -}}
storage:
  input: {{ include "velum.storage.inputUrl" . }}
  output: {{ include "velum.storage.outputUrl" . }}
api:
  host: "::" # and IPv4
  port: 7000
  metrics_port: 9090
  grace_seconds: {{ .Values.ingress.graceSeconds }}
{{- if .Values.ingress.tls.existingSecret }}
  tls_cert: /etc/velum-tls/tls.crt
  tls_key: /etc/velum-tls/tls.key
{{- end }}
{{- with include "velum.exposedUrl" . }}
  endpoint: {{ . }}
{{- end }}
controller:
  namespace: {{ .Release.Namespace }}
  metrics_port: 9090
serving:
{{- if eq .Values.ray.mode "kuberay" }}
  rayservice: {{ $name }}-ray
  dashboard: http://{{ $name }}-head-svc:8265
  url: http://{{ $name }}-serve-svc:8000
{{- else }}
  dashboard: {{ required "ray.external.dashboard: URL of Ray's dashboard, such as http://ray-head.ray:8265" .Values.ray.external.dashboard }}
  url: {{ required "ray.external.url: URL of Ray Serve's proxy, such as http://ray-head.ray:8000" .Values.ray.external.url }}
{{- end }}
{{- if .Values.modelPacks.manifests }}
  packs: [/etc/velum-packs]
{{- end }}
{{- if .Values.modelPacks.fetch }}
  cache: /var/cache/velum
{{- end }}
{{- end -}}

{{- define "velum.settings" -}}
{{- $tables := mergeOverwrite (fromYaml (include "velum.derivedSettings" .)) (deepCopy .Values.settings) -}}
{{- range $group := keys $tables | sortAlpha }}
[{{ $group }}]
{{- $table := index $tables $group }}
{{- range $field := keys $table | sortAlpha }}
{{- $value := index $table $field }}
{{- if not (kindIs "invalid" $value) }}
{{ $field }} = {{ include "velum.tomlValue" $value }}
{{- end }}
{{- end }}
{{ end }}
{{- end -}}

{{- define "velum.webhook.env" -}}
{{- with .Values.webhook.existingSecret }}
- name: VELUM_WEBHOOK_SECRET
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $.Values.webhook.secretKey }}}
{{- end }}
{{- end -}}
