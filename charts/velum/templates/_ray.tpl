{{/* Labels of Ray's pods. Not app.kubernetes.io/name: the Service <name>-head-svc selects by KubeRay's own value of it
(BuildHeadServiceForRayService, controllers/ray/common/service.go), and a pod's own would win. */}}
{{- define "velum.ray.podLabels" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: velum
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
velum.dev/ray: {{ include "velum.fullname" .root }}
{{- end -}}

{{/* What head and workers have in common. Storage is the workers' alone: on the head runs no replica, and what looks through
packs there, when a model is deployed, opens none. */}}
{{- define "velum.ray.env" -}}
- name: RAY_TMPDIR # else Ray would follow TMPDIR, where KubeRay does not look for its logs
  value: /tmp
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Nine tenths of a size, in bytes: what is left is for others. Ray would take 30 % of the memory for its object store,
and put it onto the disk, into /tmp, where /dev/shm is smaller than that. */}}
{{- define "velum.ray.objectStore" -}}
{{- $size := toString . -}}
{{- $scales := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $scale := get $scales (regexFind "[A-Za-z]*$" $size) -}}
{{- if not $scale }}{{ fail (printf "shmSize %s: write it with k, M, G, T, Ki, Mi, Gi or Ti" $size) }}{{ end -}}
{{- printf "%.0f" (floor (mulf (regexFind "^[0-9.]+" $size | float64) $scale 0.9)) -}}
{{- end -}}

{{- define "velum.ray.volumes" -}}
- name: tmp
  emptyDir: {}
- name: home
  emptyDir: {}
- name: shared-mem
  emptyDir:
    medium: Memory
    sizeLimit: {{ .shm }}
{{- end -}}

{{- define "velum.ray.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: home
  mountPath: /home/velum
- name: shared-mem
  mountPath: /dev/shm
{{- end -}}

{{/* Weights are fetched when a pod starts: other manifests want other pods. */}}
{{- define "velum.ray.packs.annotations" -}}
{{- with .Values.modelPacks.manifests }}
checksum/packs: {{ toYaml . | sha256sum }}
{{- end }}
{{- end -}}

{{- define "velum.ray.packs.volumes" -}}
{{- if .Values.modelPacks.fetch }}
- name: weights
  emptyDir:
    sizeLimit: {{ .Values.modelPacks.sizeLimit }}
{{- end }}
{{- if .Values.modelPacks.manifests }}
- name: packs
  configMap:
    name: {{ include "velum.fullname" . }}-packs
    items:
      {{- range $name := keys .Values.modelPacks.manifests | sortAlpha }}
      - {key: {{ $name }}.toml, path: {{ $name }}/pack.toml}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "velum.ray.packs.mounts" -}}
{{- if .root.Values.modelPacks.fetch }}
- name: weights
  mountPath: /var/cache/velum
  readOnly: {{ .readOnly }}
{{- end }}
{{- if .root.Values.modelPacks.manifests }}
- name: packs
  mountPath: /etc/velum-packs
  readOnly: true
{{- end }}
{{- end -}}

{{/* Fetches weights; the manifests, which are in the image or in the values, hold the hashes. */}}
{{- define "velum.ray.packs.init" -}}
{{- if .root.Values.modelPacks.fetch }}
- name: model-packs
  image: {{ .image }}
  imagePullPolicy: {{ .root.Values.images.pullPolicy }}
  command: [velum, models, fetch]
  args:
    {{- range .root.Values.modelPacks.fetch }}
    - {{ . }}
    {{- end }}
    {{- if .root.Values.modelPacks.manifests }}
    - --packs=/etc/velum-packs
    {{- end }}
    {{- with .root.Values.modelPacks.mirror }}
    - --mirror={{ . }}
    {{- end }}
  env:
    - name: VELUM_CACHE
      value: /var/cache/velum
    {{- include "velum.trust.env" .root | nindent 4 }}
  resources: {{- toYaml .root.Values.modelPacks.resources | nindent 4 }}
  securityContext: {{- include "velum.containerSecurity" .root | nindent 4 }}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: home
      mountPath: /home/velum
    {{- include "velum.trust.mount" .root | nindent 4 }}
    {{- include "velum.ray.packs.mounts" (dict "root" .root "readOnly" false) | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "velum.ray.head" -}}
{{- $head := .Values.ray.head -}}
rayStartParams:
  num-cpus: "0" # no replica runs beside the cluster's own processes
  num-gpus: "0"
  dashboard-host: 0.0.0.0
  object-store-memory: {{ include "velum.ray.objectStore" $head.shmSize | quote }}
template:
  metadata:
    labels: {{- include "velum.ray.podLabels" (dict "root" . "component" "head") | nindent 6 }}
    {{- with merge (include "velum.ray.packs.annotations" . | fromYaml) $head.podAnnotations }}
    annotations: {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    enableServiceLinks: false
    {{- include "velum.pullSecrets" . | nindent 4 }}
    {{- include "velum.placement" $head | nindent 4 }}
    securityContext: {{- include "velum.podSecurity" . | nindent 6 }}
    containers:
      - name: ray-head
        image: {{ include "velum.image" (dict "root" . "image" .Values.images.worker) }}
        imagePullPolicy: {{ .Values.images.pullPolicy }}
        env:
          {{- include "velum.ray.env" (dict "root" . "extraEnv" $head.extraEnv) | nindent 10 }}
          {{- include "velum.trust.env" . | nindent 10 }}
        ports:
          - {name: gcs, containerPort: 6379}
          - {name: dashboard, containerPort: 8265}
          - {name: client, containerPort: 10001}
          - {name: metrics, containerPort: 8080}
          - {name: serve, containerPort: 8000}
        resources: {{- toYaml $head.resources | nindent 10 }}
        securityContext: {{- include "velum.containerSecurity" . | nindent 10 }}
        volumeMounts:
          {{- include "velum.ray.mounts" . | nindent 10 }}
          {{- include "velum.trust.mount" . | nindent 10 }}
          {{- include "velum.ray.packs.mounts" (dict "root" . "readOnly" true) | nindent 10 }}
    {{- with include "velum.ray.packs.init" (dict "root" . "image" (include "velum.image" (dict "root" . "image" .Values.images.worker))) }}
    initContainers: {{- . | nindent 6 }}
    {{- end }}
    volumes:
      {{- include "velum.ray.volumes" (dict "shm" $head.shmSize) | nindent 6 }}
      {{- include "velum.trust.volume" . | nindent 6 }}
      {{- include "velum.ray.packs.volumes" . | nindent 6 }}
{{- end -}}

{{- define "velum.ray.worker" -}}
{{- $root := .root -}}
{{- $group := .group -}}
{{- $withGpu := kindIs "map" $group.gpu -}}
{{- $gpu := $group.gpu | default dict -}}
{{- $image := ternary $root.Values.images.workerGpu $root.Values.images.worker $withGpu -}}
{{- if $group.image }}{{ $image = $group.image }}{{ end -}}
{{- $named := include "velum.image" (dict "root" $root "image" $image "suffix" (ternary "-cuda" "" $withGpu)) -}}
{{- $least := int ($group.minReplicas | default 0) -}}
{{- $most := 4 -}}
{{- if hasKey $group "maxReplicas" }}{{ $most = int $group.maxReplicas }}{{ end -}}
{{- if gt $least $most }}{{ fail (printf "ray.workerGroups %s: minReplicas %d is more than maxReplicas %d" $group.name $least $most) }}{{ end -}}
groupName: {{ $group.name }}
replicas: {{ int ($group.replicas | default $least) }}
minReplicas: {{ $least }}
maxReplicas: {{ $most }}
{{- with $group.idleTimeoutSeconds }}
idleTimeoutSeconds: {{ int . }}
{{- end }}
rayStartParams:
  num-gpus: {{ ternary (int ($gpu.count | default 1)) 0 $withGpu | quote }}
  object-store-memory: {{ include "velum.ray.objectStore" ($group.shmSize | default "1Gi") | quote }}
template:
  metadata:
    labels: {{- include "velum.ray.podLabels" (dict "root" $root "component" "worker") | nindent 6 }}
    {{- with merge (include "velum.ray.packs.annotations" $root | fromYaml) ($group.podAnnotations | default dict) }}
    annotations: {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    serviceAccountName: {{ include "velum.serviceAccount" (dict "root" $root "component" "worker") }}
    automountServiceAccountToken: false
    enableServiceLinks: false
    terminationGracePeriodSeconds: {{ $root.Values.ray.terminationGracePeriodSeconds }}
    {{- with $group.runtimeClassName }}
    runtimeClassName: {{ . }}
    {{- end }}
    {{- include "velum.pullSecrets" $root | nindent 4 }}
    {{- include "velum.placement" $group | nindent 4 }}
    {{- $nodes := list (dict "topologyKey" "kubernetes.io/hostname") -}}
    {{- with kindIs "slice" $group.topologySpread | ternary $group.topologySpread (ternary (list) $nodes (eq (toString $group.topologySpread) "false")) }}
    topologySpreadConstraints:
      {{- range . }}
      - topologyKey: {{ .topologyKey }}
        maxSkew: {{ int (.maxSkew | default 1) }}
        whenUnsatisfiable: {{ .whenUnsatisfiable | default "ScheduleAnyway" }}
        {{- with .nodeTaintsPolicy }}
        nodeTaintsPolicy: {{ . }}
        {{- end }}
        labelSelector:
          matchLabels:
            velum.dev/ray: {{ include "velum.fullname" $root }}
            ray.io/group: {{ $group.name }}
      {{- end }}
    {{- end }}
    securityContext: {{- include "velum.podSecurity" $root | nindent 6 }}
    containers:
      - name: ray-worker
        image: {{ $named }}
        imagePullPolicy: {{ $root.Values.images.pullPolicy }}
        env:
          - name: TMPDIR
            value: /var/tmp/velum
          - name: RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S # Ray's own 30 s would leave half of the time unused
            value: {{ max 0 (sub $root.Values.ray.terminationGracePeriodSeconds 10) | quote }}
          {{- include "velum.ray.env" (dict "root" $root "extraEnv" $group.extraEnv) | nindent 10 }}
          {{- include "velum.storage.env" $root | nindent 10 }}
        ports:
          - {name: metrics, containerPort: 8080}
          - {name: serve, containerPort: 8000}
        resources: {{- include "velum.ray.resources" $group | nindent 10 }}
        securityContext: {{- include "velum.containerSecurity" $root | nindent 10 }}
        volumeMounts:
          - name: scratch
            mountPath: /var/tmp/velum
          {{- include "velum.ray.mounts" $root | nindent 10 }}
          {{- include "velum.storage.mount" $root | nindent 10 }}
          {{- include "velum.ray.packs.mounts" (dict "root" $root "readOnly" true) | nindent 10 }}
    {{- with include "velum.ray.packs.init" (dict "root" $root "image" $named) }}
    initContainers: {{- . | nindent 6 }}
    {{- end }}
    volumes:
      - name: scratch
        emptyDir:
          sizeLimit: {{ $group.scratchSize | default $root.Values.ray.scratchSize }}
      {{- include "velum.ray.volumes" (dict "shm" ($group.shmSize | default "1Gi")) | nindent 6 }}
      {{- include "velum.storage.volume" $root | nindent 6 }}
      {{- include "velum.ray.packs.volumes" $root | nindent 6 }}
{{- end -}}

{{/* A group's resources, with its GPUs: requests and limits of such a resource have to be equal. */}}
{{- define "velum.ray.resources" -}}
{{- $resources := deepCopy (.resources | default dict) -}}
{{- if kindIs "map" .gpu -}}
{{- $gpus := dict (.gpu.resource | default "nvidia.com/gpu") (int (.gpu.count | default 1)) -}}
{{- $_ := set $resources "requests" (merge (dict) $gpus ($resources.requests | default dict)) -}}
{{- $_ := set $resources "limits" (merge (dict) $gpus ($resources.limits | default dict)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* The RayService without serveConfigV2, which the operator adds. */}}
{{- define "velum.ray.service" -}}
apiVersion: ray.io/v1
kind: RayService
metadata:
  name: {{ include "velum.fullname" . }}
  labels: {{- include "velum.labels" (dict "root" . "component" "ray") | nindent 4 }}
spec:
  rayClusterDeletionDelaySeconds: {{ .Values.ray.deletionDelaySeconds }}
  rayClusterConfig:
    rayVersion: {{ .Values.ray.version | quote }}
    {{- if ne .Values.ray.authMode "disabled" }}
    authOptions:
      mode: {{ .Values.ray.authMode }}
    {{- end }}
    enableInTreeAutoscaling: true
    autoscalerOptions:
      idleTimeoutSeconds: {{ .Values.ray.autoscaler.idleTimeoutSeconds }}
      upscalingMode: {{ .Values.ray.autoscaler.upscalingMode }}
      imagePullPolicy: {{ .Values.images.pullPolicy }}
      resources: {{- toYaml .Values.ray.autoscaler.resources | nindent 8 }}
      securityContext: {{- include "velum.containerSecurity" . | nindent 8 }}
      env:
        - name: RAY_TMPDIR
          value: /tmp
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        - name: home
          mountPath: /home/velum
    {{- with .Values.ray.gcsFaultTolerance }}
    {{- if .enabled }}
    gcsFaultToleranceOptions:
      redisAddress: {{ required "ray.gcsFaultTolerance.redisAddress: address of the Redis, such as redis:6379" .redisAddress | quote }}
      {{- if .existingSecret }}
      redisPassword:
        valueFrom:
          secretKeyRef: {name: {{ .existingSecret }}, key: {{ .secretKey }}}
      {{- end }}
    {{- end }}
    {{- end }}
    headGroupSpec: {{- include "velum.ray.head" . | nindent 6 }}
    workerGroupSpecs:
      {{- range $group := .Values.ray.workerGroups }}
      -
        {{- include "velum.ray.worker" (dict "root" $ "group" $group) | nindent 8 }}
      {{- end }}
{{- end -}}
