// Prometheus Operator's resource types, whose definitions the chart's tests read out of the module. Nothing is built.
module velum.dev/hack/gotools/prometheus

go 1.24.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
