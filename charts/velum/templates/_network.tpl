{{/* Addresses of the internet: where `allow_private` is off, private ones are refused here as well as in the program.
Link-local ones always are: clouds hand out credentials there. */}}
{{- define "velum.network.outside" -}}
{{- if .private }}
- ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
- ipBlock: {cidr: "::/0", except: ["fe80::/10", "fd00:ec2::254/128"]}
{{- else }}
- ipBlock:
    cidr: 0.0.0.0/0
    except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
- ipBlock:
    cidr: "::/0"
    except: ["fc00::/7", "fe80::/10"]
{{- end }}
{{- end -}}

{{- define "velum.network.ports" -}}
{{- range . }}
- {protocol: TCP, port: {{ int . }}}
{{- end }}
{{- end -}}

{{- define "velum.network.dns" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {protocol: UDP, port: {{ int . }}}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end -}}

{{/* The API server is not a pod: its addresses are the cluster's own affair. */}}
{{- define "velum.network.apiServer" -}}
- ports: {{- include "velum.network.ports" .Values.networkPolicy.apiServerPorts | nindent 4 }}
{{- end -}}

{{/* Object storage, wherever it is, and what the values add. */}}
{{- define "velum.network.storage" -}}
{{- if eq .Values.storage.type "s3" }}
- ports:
    - {protocol: TCP, port: 443}
    {{- with .Values.storage.s3.endpoint }}
    {{- $port := regexFind ":[0-9]+/*$" . | trimPrefix ":" | trimAll "/" }}
    {{- if $port }}
    - {protocol: TCP, port: {{ $port }}}
    {{- else if hasPrefix "http:" . }}
    - {protocol: TCP, port: 80}
    {{- end }}
    {{- end }}
{{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "velum.network.port" -}}
{{- regexFind ":[0-9]+" (regexReplaceAll "^[a-z]+://" . "") | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https:" .)) -}}
{{- end -}}
