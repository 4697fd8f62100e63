{{/* Addresses of the internet: where `allow_private` is off, private ones are refused here as well as in the program.
Link-local ones always are: clouds hand out credentials there, and at addresses of their own in IPv6 (AWS, Google, Oracle).
64:ff9b::/96 is how a cluster of IPv6 alone reaches IPv4 (RFC 6052): what is refused there is refused in it. */}}
{{- define "velum.network.outside" -}}
{{- if .private }}
- ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
- ipBlock:
    cidr: "::/0"
    except: ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "64:ff9b::a9fe:0/112"]
{{- else }}
- ipBlock:
    cidr: 0.0.0.0/0
    except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
- ipBlock:
    cidr: "::/0"
    except:
      - fc00::/7
      - fe80::/10
      - "64:ff9b::a00:0/104" # 10.0.0.0/8, and so on
      - "64:ff9b::6440:0/106"
      - "64:ff9b::7f00:0/104"
      - "64:ff9b::a9fe:0/112"
      - "64:ff9b::ac10:0/108"
      - "64:ff9b::c0a8:0/112"
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
{{- regexFind ":[0-9]+(/|$)" (regexReplaceAll "^[a-z]+://" . "") | trimPrefix ":" | trimSuffix "/" | default (ternary "443" "80" (hasPrefix "https:" .)) -}}
{{- end -}}
